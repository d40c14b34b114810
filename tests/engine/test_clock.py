"""Spans add up, and marks count from the clock's start."""

from __future__ import annotations

import time

import torch

from vsd.utils.clock import Clock


def test_spans_and_marks() -> None:
    clock = Clock(torch.device("cpu"))
    for _ in range(2):
        with clock.span("sleep"):
            time.sleep(0.01)
    clock.mark("total")
    assert 0.02 <= clock.seconds["sleep"] <= clock.seconds["total"]


def test_a_span_is_recorded_though_its_block_fails() -> None:
    clock = Clock()
    try:
        with clock.span("broken"):
            raise RuntimeError
    except RuntimeError:
        pass
    assert "broken" in clock.seconds
