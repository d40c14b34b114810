"""What a prefill shows of itself, for tests that look at evidence without an engine."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from vsd.evidence import Collector, Reading
from vsd.models import State, VideoLM
from vsd.types import Evidence, Prompt


def collector_of(model: VideoLM, prompt: Prompt, needs: Iterable[str], *, in_passes: Iterable[str] = ()) -> Collector:
    """Collects these needs of a prompt, each under its own name."""
    reading = Reading(prompt=prompt, depth=model.depth, ranks=model.ranks)
    return Collector({need: need for need in needs}, reading, in_passes=in_passes)


def collected(
    model: VideoLM, prompt: Prompt, needs: Iterable[str], *, capacity: int | None = None
) -> tuple[State, Tensor, Evidence]:
    """The state, the logits_W behind the prompt, and what of these needs the prompt has shown."""
    collector = collector_of(model, prompt, needs)
    prefill = model.start_prefill(prompt, collector=collector, capacity=capacity)
    logits_W = prefill.finish()
    return prefill.state, logits_W, collector.evidence()
