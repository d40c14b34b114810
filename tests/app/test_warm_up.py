"""What is decoded twice: an engine's first sample, and on a GPU the first of each size of cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.app.conftest import FakeEngine
from vsd.data.datamodule import Item
from vsd.models.cache import bucket
from vsd.run.task import DecodeTask
from vsd.types import Sample, Trace, Video

LENGTHS = (100, 110, 300, 120, 310, 5_000)


@dataclass
class Sized(FakeEngine):
    """Encodes prompts of the lengths that the questions say."""

    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        return replace(super().run(video, question, seed=seed), prompt=int(question))

    def capacity(self, prompt: int) -> int:
        return prompt + 10

    def rows(self, capacity: int) -> int:
        """Of its target, which it is itself."""
        return bucket(capacity)


@pytest.mark.parametrize(("device", "decodes"), [("cpu", 7), ("cuda", 9)])
def test_decodes_that_are_not_timed(device: str, decodes: int) -> None:
    engine: Any = Sized()
    task = DecodeTask(engine, devices=(torch.device(device),))
    task.memory_devices = ()
    video = Video(frames=np.zeros((1, 4, 4, 3), dtype=np.uint8), timestamps=np.zeros(1))
    for length in LENGTHS:
        task.test_step(Item(sample=Sample(id=str(length), video="a.mp4", question=str(length)), video=video), 0)
    assert engine.calls == decodes
