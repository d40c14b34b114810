"""What crosses to another process arrives as it was, through the pipe or through memory that both map."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
import torch

from vsd.types import Video
from vsd.utils import messages
from vsd.utils.child_process import ChildProcess
from vsd.utils.messages import LARGE, Blocks, arrives, packed, probe, unpacked

WAIT_S = 60.0


def echo(pipe: Connection) -> None:
    """Sums of what comes, and whether frames may be written to."""
    while True:
        value = unpacked(pipe.recv())
        frames, rows = value["video"].frames, value["rows"]
        total = int(frames.sum()) + int(rows.float().sum())
        frames[:] = 0
        pipe.send(total)
        del value, frames, rows


@pytest.fixture
def child(quick_workers: None) -> Iterator[ChildProcess]:
    process = ChildProcess(echo)
    process.start()
    yield process
    process.close()


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    found = Blocks()
    yield found
    found.release()


def message(size: int) -> dict[str, Any]:
    frames = np.random.default_rng(size).integers(0, 255, (2, size // 6, 1, 3), dtype=np.uint8)
    return {
        "video": Video(frames=frames, timestamps=np.arange(2.0)),
        "rows": torch.ones(size, dtype=torch.bfloat16)[::2],
    }


def answer(child: ChildProcess, value: dict[str, Any], blocks: Blocks) -> int:
    child.send(packed(value, blocks), WAIT_S)
    found: int = child.receive(WAIT_S)
    return found


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [600, 4 * LARGE])
def test_it_arrives_as_it_was(child: ChildProcess, blocks: Blocks, size: int) -> None:
    value = message(size)
    before = value["video"].frames.sum()
    assert answer(child, value, blocks) == int(before) + size // 2
    assert value["video"].frames.sum() == before  # what the other process writes is its own


def test_large_values_cross_no_pipe(blocks: Blocks) -> None:
    value = message(4 * LARGE)
    assert len(str(packed(value, blocks))) < 2000
    assert sum(isinstance(each, messages._Mapped) for each in packed(message(600), blocks).values()) == 0


def test_nothing_stays_open(child: ChildProcess) -> None:
    value, before = message(4 * LARGE), open_files()
    for _ in range(3):
        blocks = Blocks()
        answer(child, value, blocks)
        assert open_files() == before + 2
        blocks.release()
        assert open_files() == before


def test_where_it_cannot_be_lent_it_goes_through_the_pipe(
    child: ChildProcess, blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", full)
    value = message(2 * LARGE)
    assert answer(child, value, blocks) == int(value["video"].frames.sum()) + LARGE


def test_whether_it_arrives_is_tried(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = probe(blocks)
    assert arrives(sent)
    blocks.release()
    assert not arrives(sent)
    monkeypatch.delattr(os, "memfd_create")
    assert not arrives(probe(blocks))
