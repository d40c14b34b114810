"""Small files that readers get wrong: what is read of them is what the ffmpeg program shows, whoever reads."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.right import FILES, SAMPLED, Right, load, thumbnail
from vsd.types import Video
from vsd.video import BadVideo, measure, read, sample_indices
from vsd.video.apart import ReaderProcess

RIGHT = load()
SECONDS = 0.02
PIXELS = 4  # of 255, on average


def test_every_file_has_its_right_values() -> None:
    assert {file.name for file in FILES.iterdir()} == {*RIGHT, "right.npz"}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("reader", ["auto", "pyav"])
def test_a_file_is_read_right(reader: str, name: str) -> None:
    right = RIGHT[name]
    assert measure(FILES / name) == (right.count, right.height, right.width)
    check(read(FILES / name, SAMPLED, reader=reader), right)


@pytest.fixture(scope="module", params=["decord", "torchcodec"])
def other(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Video]]:
    """A reader that is not right for every file, and may hang over one."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}")
    process = ReaderProcess(reader=request.param, timeout_s=20)
    yield lambda name: process.read(FILES / name, SAMPLED)
    process.close()


@pytest.mark.parametrize("name", RIGHT)
def test_another_reader_is_right_or_refuses(other: Callable[[str], Video], name: str) -> None:
    refused = None
    try:
        check(other(name), RIGHT[name])
    except BadVideo as error:
        refused = error.reason
    assert refused is None or refused.endswith("(video.reader=auto)")


def test_another_reader_does_read(other: Callable[[str], Video]) -> None:
    check(other("vfr.mp4"), RIGHT["vfr.mp4"])


def test_auto_needs_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [read(FILES / name, SAMPLED) for name in RIGHT]
    for package in ("decord", "torchcodec"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", partial(missing, importlib.util.find_spec))
    for name, there in zip(RIGHT, before, strict=True):
        gone = read(FILES / name, SAMPLED)
        np.testing.assert_array_equal(gone.frames, there.frames)
        np.testing.assert_array_equal(gone.timestamps, there.timestamps)


def missing(find_spec: Callable[..., object], name: str, package: str | None = None) -> object:
    return None if name in ("decord", "torchcodec") else find_spec(name, package)


def check(video: Video, right: Right) -> None:
    """Its size, seconds and pixels."""
    assert video.frames.shape == (min(right.count, SAMPLED), right.height, right.width, 3)
    if right.stamped:
        np.testing.assert_allclose(video.timestamps, right.seconds_S, rtol=0, atol=SECONDS)
    else:
        check_spacing(video.timestamps, right.count)
    small = np.stack([thumbnail(frame) for frame in video.frames])
    off_S = np.abs(small.astype(int) - right.thumbnails_S).mean((1, 2, 3))
    assert off_S.max() < PIXELS


def check_spacing(seconds_S: NDArray[np.float64], count: int) -> None:
    """The file holds no times: any even spacing will do, but for half a frame."""
    indices_S = sample_indices(count, SAMPLED)
    step = (seconds_S[-1] - seconds_S[0]) / (count - 1)
    assert step > 0
    np.testing.assert_allclose(seconds_S - seconds_S[0], indices_S * step, rtol=0, atol=step / 2)
