"""The reader's own process: the same frames, and files over which it hangs, dies or is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from tests.video.clips import HEIGHT, WIDTH, truncate, write_video
from vsd.utils.child_process import send_stream
from vsd.video import BadVideo, apart, measure, read
from vsd.video.apart import ReaderProcess
from vsd.video.reading import Shown, stream

LIMIT_S = 1.0


def serve(pipe: Connection) -> None:
    """Like the real one, but for files whose name says what happens over them."""
    pipe.send("ready")
    while True:
        path, *_ = message = pipe.recv()
        name = Path(path).name
        if name.startswith("hang"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        if name.startswith("crash"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("stop"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if name.startswith("half"):  # in the midst of a frame
            pipe.send(Shown(1, np.zeros(1), 2000, 2000))
            pipe.send("frame")
            pipe.send_bytes(bytes(1000))
            time.sleep(1000)
        if name.startswith("slow"):  # but alive
            for _ in range(6):
                time.sleep(LIMIT_S / 3)
                pipe.send("beat")
        for event in stream(*message[:2], span=message[2], reader=message[3]):
            if isinstance(event, np.ndarray):
                pipe.send("frame")
                send_stream(pipe, event)
            else:
                pipe.send(event)
        pipe.send("end")


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    reader = ReaderProcess(timeout_s=LIMIT_S)
    yield reader
    reader.close()


def test_the_same_frames_as_here(reader: ReaderProcess, tmp_path: Path) -> None:
    assert reader.measure(write_video(tmp_path / "first.mp4")) == (20, HEIGHT, WIDTH)
    assert (process := reader._child.pid) is not None
    for name, frames in (("a.mp4", 5), ("b.ts", 100), ("c.avi", 1)):
        path = write_video(tmp_path / name)
        there, here = reader.read(path, frames), read(path, frames)
        np.testing.assert_array_equal(there.frames, here.frames)
        np.testing.assert_array_equal(there.timestamps, here.timestamps)
        assert reader.measure(path) == measure(path) == (20, HEIGHT, WIDTH)
    assert reader._child.pid == process  # one for all of them


def test_the_same_reasons_as_here(reader: ReaderProcess, tmp_path: Path) -> None:
    path = truncate(write_video(tmp_path / "bad.mp4"))
    reasons = []
    for one in (read, reader.read):
        with pytest.raises(BadVideo) as caught:
            one(path, 4)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    assert len(reader.read(write_video(tmp_path / "good.mp4"), 4).frames) == 4


def test_frames_are_scaled_at_this_end(reader: ReaderProcess, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    clip = reader.read(path, 3, scaling=lambda count, height, width: lambda frame: frame[: count * 2, : width // 2])
    np.testing.assert_array_equal(clip.frames, read(path, 3).frames[:, :6, : WIDTH // 2])
    assert clip.fitted
    assert not reader.read(path, 3, scaling=lambda count, height, width: None).fitted


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("hang", r"stands still for 1 s \(video\.timeout_s\)"),
        ("stop", r"stands still for 1 s \(video\.timeout_s\)"),
        ("half", r"stands still for 1 s \(video\.timeout_s\)"),
        ("crash", rf"its reader died over it \(exit code -{int(signal.SIGSEGV)}\)"),
    ],
)
def test_a_lost_reader_costs_one_file(
    what: str, reason: str, reader: ReaderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "serve", serve)
    reader = ReaderProcess(timeout_s=LIMIT_S)
    bad, good = write_video(tmp_path / f"{what}.mp4"), write_video(tmp_path / "good.mp4")
    assert len(reader.read(good, 4).frames) == 4
    lost = reader._child.pid
    assert lost
    began = time.perf_counter()
    with pytest.raises(BadVideo, match=reason):
        reader.read(bad, 4)
    assert time.perf_counter() - began < LIMIT_S + 1.5
    with pytest.raises(ProcessLookupError):
        os.kill(lost, 0)
    assert len(reader.read(good, 4).frames) == 4
    reader.close()
    assert not reader._child.alive


def test_slow_work_that_goes_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "serve", serve)
    reader = ReaderProcess(timeout_s=LIMIT_S)
    assert len(reader.read(write_video(tmp_path / "slow.mp4"), 4).frames) == 4
    reader.close()
