"""Which frames are read, and what is said of files that cannot be."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.video.clips import (
    HEIGHT,
    RATE,
    WIDTH,
    brightness,
    pixels,
    rename_codec,
    trim,
    truncate,
    turn,
    write_audio,
    write_video,
    write_zero_frames,
)
from vsd.types import Span
from vsd.video import BadVideo, measure, read, sample_indices
from vsd.video.apart import ReaderProcess
from vsd.video.reading import check_reader

X264 = "keyint=12:min-keyint=12:bframes=3:open-gop=1:scenecut=0"
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "clip.mp4": ("libx264", {}),
    "clip.mov": ("libx264", {}),
    "clip.mkv": ("libx264", {}),
    "clip.flv": ("libx264", {}),
    "clip.ts": ("libx264", {}),
    "clip.avi": ("libx264", {}),
    "clip.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "clip.mpg": ("mpeg2video", {"g": "12", "bf": "2", "b": "8M"}),
    "old.avi": ("mpeg4", {"g": "12", "bf": "2", "b": "8M"}),
}


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


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("frames", [1, 4, 9, 100])
def test_every_container_shows_its_frames(name: str, frames: int, tmp_path: Path) -> None:
    """Each frame is known by its brightness; key frames lie 12 apart, and some frames are shown before theirs."""
    codec, tuning = FORMS[name]
    if codec == "libx264":
        tuning = {"x264-params": X264}
    path = write_video(tmp_path / name, frames=50, codec=codec, tuning=tuning)
    clip = read(path, frames)
    indices = sample_indices(50, frames)
    shown = clip.frames[:, HEIGHT // 2 :].mean((1, 2, 3))
    np.testing.assert_allclose(shown, [brightness(index) for index in indices], atol=4)
    np.testing.assert_allclose(clip.timestamps - clip.timestamps[0], (indices - indices[0]) / RATE, atol=2e-3)
    assert measure(path) == (50, HEIGHT, WIDTH)


@pytest.mark.parametrize("reader", ["auto", "pyav", "decord"])
def test_frames_seconds_and_rate(reader: str, tmp_path: Path) -> None:
    if reader == "decord":
        pytest.importorskip("decord")
    clip = read(write_video(tmp_path / "clip.mp4"), 5, reader=reader)
    assert clip.frames.shape == (5, HEIGHT, WIDTH, 3)
    assert clip.frames.dtype == np.uint8
    shown = clip.frames[:, HEIGHT // 2 :].mean((1, 2, 3))
    np.testing.assert_allclose(shown, [brightness(index) for index in (0, 5, 10, 14, 19)], atol=4)
    np.testing.assert_allclose(clip.timestamps, [0, 0.5, 1.0, 1.4, 1.9])
    assert clip.fps == pytest.approx(4 / 1.9)


def test_times_are_those_of_the_frames(tmp_path: Path) -> None:
    times = [0, 1, 2, 10, 11, 30, 31, 32]
    clip = read(write_video(tmp_path / "clip.mp4", times=times), 4)
    np.testing.assert_allclose(clip.timestamps, [0, 0.2, 3.0, 3.2])  # frames 0, 2, 5 and 7


@pytest.mark.parametrize(("start", "frames"), [(0, 30), (5, 20), (24, 12), (24, 30), (31, 29)])
def test_what_an_edit_list_hides_is_not_shown(start: int, frames: int, tmp_path: Path) -> None:
    """Some of it is decoded for what comes behind it; whole runs of key frames are not even there for the reader."""
    path = trim(write_video(tmp_path / "clip.mp4", frames=60, tuning={"x264-params": X264}), start, frames)
    clip = read(path, 1000)
    shown = clip.frames[:, HEIGHT // 2 :].mean((1, 2, 3))
    np.testing.assert_allclose(shown, [brightness(index) for index in range(start, start + frames)], atol=4)
    np.testing.assert_allclose(clip.timestamps, np.arange(frames) / RATE)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # a phone held upright
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
    ],
)
@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_turned_and_mirrored(matrix: tuple[int, ...], shown: Callable[[Any], Any], reader: str, tmp_path: Path) -> None:
    path = turn(write_video(tmp_path / "clip.mp4"), *matrix)
    if reader == "decord" and matrix != (1, 0, 0, 1):
        pytest.importorskip("decord")
        with pytest.raises(BadVideo, match="turned"):
            read(path, 2, reader=reader)
        return
    right = shown(pixels(19))
    assert measure(path)[1:] == right.shape[:2]
    np.testing.assert_allclose(read(path, 2, reader=reader).frames[1].astype(int), right.astype(int), atol=40)
    np.testing.assert_allclose(read(path, 2, reader=reader).frames[1].mean(), right.mean(), atol=4)


@pytest.mark.parametrize(("default", "shown"), [(None, 1), (0, 0), (1, 1)])
def test_of_several_streams_ffmpeg_s_choice_is_shown(default: int | None, shown: int, tmp_path: Path) -> None:
    """The one that its file marks as the default; without such a mark the largest."""
    path = tmp_path / "two.mkv"
    sizes = [(32, 48), (64, 96)]
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in sizes]
        for number, (stream, (height, width)) in enumerate(zip(streams, sizes, strict=True)):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for stream, size in zip(streams, sizes, strict=True):
            picture = np.zeros((*size, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    assert measure(path) == (1, *sizes[shown])


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        cover = container.add_stream("mjpeg", rate=1, options={"strict": "-2"})
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")))
        container.mux(cover.encode())
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(audio.encode(silence))
        container.mux(audio.encode())
    with pytest.raises(BadVideo, match="audio only"):
        read(path, 1)


def test_twice_is_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    np.testing.assert_array_equal(read(path, 7).frames, read(path, 7).frames)


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
    elif kind == "codec":
        rename_codec(write_video(path))
    elif kind == "garbled":
        content = bytearray(write_video(path, options={"movflags": "faststart"}).read_bytes())
        place = content.index(b"mdat") + 4
        content[place:] = bytes(len(content) - place)
        path.write_bytes(content)
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
    "truncated_behind_its_index": r"truncated: \d+ of its 200 frames are there",
    "codec": "no decoder for the codec",
    "garbled": "none of its frames can be decoded",
}


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_its_reason(kind: str, reader: str, tmp_path: Path) -> None:
    path = make_bad(kind, tmp_path / f"{kind}.mp4")
    with pytest.raises(BadVideo, match=BAD[kind]) as caught:
        read(path, 8, reader=reader)
    assert str(path) in str(caught.value)


def test_a_name_that_is_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    try:
        write_video(tmp_path / "clip.mp4").rename(path)
    except OSError:
        pytest.skip("this file system takes text only")
    clip = read(path, 2)
    assert len(clip.frames) == 2


def test_a_hole_in_the_middle_shows_what_is_left(tmp_path: Path) -> None:
    """Packets that show no frame: the frames that come out are counted, as ffmpeg does."""
    path = write_video(tmp_path / "clip.ts", frames=60, tuning={"x264-params": "keyint=12:scenecut=0"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 188 * 188
    content[middle : middle + 188 * 2] = b""
    path.write_bytes(content)
    clip = read(path, 1000)
    assert 40 <= len(clip.frames) <= 60
    np.testing.assert_array_equal(clip.frames, read(path, 1000).frames)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.flv"])
def test_a_file_that_ends_before_it_says_has_a_warning(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, frames=600)
    assert read(path, 4).warning == ""
    clip = read(truncate(path), 4)
    assert re.fullmatch(r"the file says that it lasts 6\d\.\d s, its frames end after [1-4]\d\.\d s", clip.warning)


def test_a_name_may_begin_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4").rename("12:30.mp4")
    for reader in ("auto", "decord"):
        assert len(read("12:30.mp4", 2, reader=reader).frames) == 2


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


def test_readers_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"video\.reader: must be one of auto, pyav, decord, torchcodec, got 'cv2'"):
        check_reader("cv2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_reader("auto")
    with pytest.raises(ValueError, match=r"video\.reader: its package must be installed, got 'torchcodec'"):
        check_reader("torchcodec")


@pytest.mark.parametrize(
    ("span", "first", "count"),
    [
        (Span(), 0, 50),
        (Span(1.0), 10, 40),
        (Span(1.0, 2.0), 10, 10),
        (Span(0.95, 2.05), 10, 11),
        (Span(0.0, 0.1), 0, 1),
        (Span(4.9, 100.0), 49, 1),
    ],
)
def test_a_span_of_a_video(span: Span, first: int, count: int, tmp_path: Path) -> None:
    """The frames that are shown from its start on and before its end, as ffmpeg's trim filter has it, and its
    -ss and -to before an input."""
    path = write_video(tmp_path / "a.mp4", frames=50)
    whole, part = read(path, 50), read(path, 99, span=span)
    assert measure(path, span)[0] == count
    np.testing.assert_array_equal(part.frames, whole.frames[first : first + count])
    np.testing.assert_allclose(part.timestamps, whole.timestamps[first : first + count] - span.start, atol=1e-4)
    few = read(path, 3, span=span)
    np.testing.assert_array_equal(few.frames, part.frames[sample_indices(count, 3)])
    reader = ReaderProcess()
    np.testing.assert_array_equal(reader.read(path, 3, span=span).frames, few.frames)
    assert reader.measure(path, span)[0] == count
    reader.close()


@pytest.mark.parametrize(
    ("span", "place"),
    [(Span(1.5, 2.0), 1), (Span(0.21, 0.3), 0), (Span(2.9, 2.95), 1), (Span(3.0, 3.01), 2), (Span(3.15, 9.0), 3)],
)
def test_a_span_between_two_frames_shows_what_is_on_the_screen(span: Span, place: int, tmp_path: Path) -> None:
    """Of frames that are seconds apart, as in recorded slides."""
    path = write_video(tmp_path / "slides.mp4", times=(0, 10, 30, 31))
    whole, part = read(path, 9), read(path, 9, span=span)
    assert measure(path, span)[0] == 1
    np.testing.assert_array_equal(part.frames, whole.frames[place : place + 1])
    assert part.timestamps.tolist() == [0.0]


@pytest.mark.parametrize(
    ("span", "said"), [(Span(5.0), "from 5 s to the end"), (Span(5.05, 6.0), "from 5.05 s to 6 s")]
)
def test_a_span_without_a_frame_is_refused(span: Span, said: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=50)
    for call in (lambda: read(path, 4, span=span), lambda: measure(path, span)):
        with pytest.raises(BadVideo, match=rf"a.mp4: no frame is shown {said}: its last one is at 4.900 s"):
            call()
