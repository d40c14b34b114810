"""What crosses to another process arrives as it was, through the pipe or through shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vsd.types import Video
from vsd.utils import messages
from vsd.utils.child_process import ChildProcess
from vsd.utils.messages import LARGE, packed, unpacked

WAIT_S = 60.0


def echo(pipe: Connection) -> None:
    """Sums of what comes."""
    while True:
        value = unpacked(pipe.recv())
        pipe.send(int(value["video"].frames.sum()) + int(value["rows"].float().sum()))
        del value


@pytest.fixture
def child(quick_workers: None) -> Iterator[ChildProcess]:
    process = ChildProcess(echo)
    process.start()
    yield process
    process.close()


def message(size: int) -> dict[str, Any]:
    frames = np.random.default_rng(size).integers(0, 255, (2, size // 6, 1, 3), dtype=np.uint8)
    frames.flags.writeable = False  # as some readers give them
    return {
        "video": Video(frames=frames, timestamps=np.arange(2.0)),
        "rows": torch.ones(size // 2, dtype=torch.bfloat16, requires_grad=False)[: size // 4],
    }


def answer(child: ChildProcess, value: dict[str, Any]) -> int:
    child.send({name: packed(part) for name, part in value.items()}, WAIT_S)
    found: int = child.receive(WAIT_S)
    return found


@pytest.mark.parametrize("size", [600, 4 * LARGE])
def test_it_arrives_as_it_was(child: ChildProcess, size: int) -> None:
    value = message(size)
    assert answer(child, value) == int(value["video"].frames.sum()) + size // 4


def test_nothing_stays_open(child: ChildProcess) -> None:
    value = message(4 * LARGE)
    answer(child, value)  # starts the thread that hands memory over
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(5):
        answer(child, value)
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_where_shared_memory_is_too_small_it_goes_through_the_pipe(
    child: ChildProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_has_room", lambda size: False)
    monkeypatch.setattr(messages, "_shared", lambda value: pytest.fail("written beyond its end"))
    value = message(4 * LARGE)
    assert answer(child, value) == int(value["video"].frames.sum()) + LARGE


def test_room_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(messages, "_SHARED_MEMORY", str(tmp_path))
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    assert messages._has_room(free // 4)
    assert not messages._has_room(free)
    monkeypatch.setattr(messages, "_SHARED_MEMORY", str(tmp_path / "none"))
    assert messages._has_room(free)
