"""Writes small video files, good and bad."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def write_video(path: Path, *, frames: int = 20, options: Mapping[str, str] | None = None) -> Path:
    """Grey frames at 10 a second; frame i has brightness 10 * i (modulo 240)."""
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            pixels = np.full((HEIGHT, WIDTH, 3), 10 * index % 240, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """A second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def truncate(path: Path, *, keep: float = 0.5) -> Path:
    """Cut the end of a file off."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def write_zero_frames(path: Path) -> Path:
    """A container with a video track and no frame in it."""
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()
    return path
