"""Which frames are read, and what is said of files that cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.video.clips import HEIGHT, WIDTH, truncate, write_audio, write_video, write_zero_frames
from vsd import video
from vsd.video import BadVideo, read, sample_indices

READERS = [video._read_decord, video._read_av]


@pytest.mark.parametrize(
    ("total", "frames", "expected"),
    [(20, 5, [0, 5, 10, 14, 19]), (20, 1, [0]), (3, 8, [0, 1, 2]), (4, 4, [0, 1, 2, 3]), (1, 1, [0])],
)
def test_indices_are_even_with_both_ends(total: int, frames: int, expected: list[int]) -> None:
    assert sample_indices(total, frames).tolist() == expected


def test_indices_never_repeat() -> None:
    for total in range(1, 60):
        for frames in range(1, 60):
            assert (np.diff(sample_indices(total, frames)) > 0).all()


@pytest.mark.parametrize("reader", READERS)
def test_frames_seconds_and_rate(reader: Callable, tmp_path: Path) -> None:
    clip = reader(write_video(tmp_path / "clip.mp4"), 5)
    assert clip.frames.shape == (5, HEIGHT, WIDTH, 3)
    assert clip.frames.dtype == np.uint8
    np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), [0, 50, 100, 140, 190], atol=6)
    np.testing.assert_allclose(clip.seconds, [0, 0.5, 1.0, 1.4, 1.9])
    assert clip.fps == pytest.approx(4 / 1.9)


def test_both_readers_give_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=200)
    by_decord, by_av = (reader(path, 16) for reader in READERS)
    np.testing.assert_array_equal(by_decord.seconds, by_av.seconds)
    np.testing.assert_allclose(by_decord.frames.astype(int), by_av.frames.astype(int), atol=2)


def test_twice_is_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    np.testing.assert_array_equal(read(path, 7).frames, read(path, 7).frames)


def test_containers_without_a_frame_count(tmp_path: Path) -> None:
    assert len(video._read_av(write_video(tmp_path / "clip.mkv"), 6).frames) == 6


@pytest.mark.parametrize("frames", [1, 3])
def test_a_short_video_gives_all_it_has(frames: int, tmp_path: Path) -> None:
    assert len(read(write_video(tmp_path / "clip.mp4", frames=frames), 8).frames) == frames


def make_bad(kind: str, path: Path) -> Path:
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "random":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "text":
        path.write_text("not a video\n" * 50)
    elif kind == "audio":
        write_audio(path)
    elif kind == "zero":
        write_zero_frames(path)
    elif kind == "truncated":
        truncate(write_video(path))
    elif kind == "truncated_behind_its_index":
        truncate(write_video(path, frames=200, options={"movflags": "faststart"}))
    return path


BAD = {
    "missing": "no such file",
    "folder": "not a file",
    "empty": "the file is empty",
    "random": "not a video",
    "text": "not a video",
    "audio": "audio only",
    "zero": "zero frames",
    "truncated": "truncated",
    "truncated_behind_its_index": "truncated",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_its_reason(kind: str, tmp_path: Path) -> None:
    path = make_bad(kind, tmp_path / f"{kind}.mp4")
    with pytest.raises(BadVideo, match=BAD[kind]) as caught:
        read(path, 8)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["random", "text", "audio", "zero", "truncated", "truncated_behind_its_index"])
def test_the_fallback_reader_says_the_same(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadVideo, match=BAD[kind]):
        read(make_bad(kind, tmp_path / f"{kind}.mp4"), 8)


def test_a_truncated_file_whose_end_is_silently_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame count of the container that decoding does not reach must not go unnoticed."""
    path = write_video(tmp_path / "clip.mp4")
    monkeypatch.setattr(video, "sample_indices", lambda total, frames: np.array([0, total + 3]))
    with pytest.raises(BadVideo, match=r"20 of 20 frames can be decoded"):
        video._read_av(path, 2)


def test_bad_files_leave_no_open_files(tmp_path: Path) -> None:
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        pytest.skip("needs /proc")
    path = make_bad("truncated", tmp_path / "clip.mp4")
    before = len(os.listdir(fds))
    for _ in range(5):
        with pytest.raises(BadVideo):
            read(path, 8)
    assert len(os.listdir(fds)) <= before + 1
