"""Evidence of any kind in any size, and what holds for a kind that a method needs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsd.evidence import check_need, in_decoding
from vsd.models.tree import chain
from vsd.testing.models import FAMILY, FAMILY_NAMES, PLAUSIBLE, collector_of, model_of, prompt_of
from vsd.testing.option import Option
from vsd.types import Evidence, Frames, Grid, Hidden, Video

_SIDE = 6  # pixels of a visual token's place in made frames


@cache
def shown(family: str, needs: frozenset[str]) -> tuple[Evidence, dict[str, Tensor]]:
    """What a model shows of a prompt, and of a pass over PLAUSIBLE tokens."""
    collector, model = collector_of(family, needs), model_of(family)
    prefill = model.start_prefill(prompt_of(family), collector=collector)
    prefill.finish()
    evidence = collector.evidence()
    rows = model.forward(torch.arange(PLAUSIBLE), chain(PLAUSIBLE), prefill.state, collector=collector).evidence
    return evidence, dict(rows)


def made_evidence(
    needs: Iterable[str],
    grid: tuple[int, int, int] = (4, 4, 4),
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    fill: float | None = None,
) -> Evidence:
    """Evidence for a grid: rows that a model has shown, drawn at random and each scaled at random; or `fill` alone."""
    seen, _ = shown(FAMILY, frozenset(needs))
    generator, shape = torch.Generator().manual_seed(seed), Grid(*grid)

    def drawn(rows: Tensor, count: int) -> Tensor:
        if not rows.is_floating_point():
            return rows[torch.randint(len(rows), (count,), generator=generator)].to(device)
        if fill is not None:
            return torch.full((count, *rows.shape[1:]), fill, dtype=dtype, device=device)
        scale = 0.5 + torch.rand(count, *(1 for _ in rows.shape[1:]), generator=generator, dtype=torch.float64)
        chosen = rows[torch.randint(len(rows), (count,), generator=generator)]
        return (chosen.double().cpu() * scale).to(device, dtype)

    def made(value: Any) -> Any:
        if isinstance(value, Hidden):
            return Hidden(visual_VD=drawn(value.visual_VD, shape.tokens), text_SD=drawn(value.text_SD, 5))
        if isinstance(value, Frames):
            return Frames(video=_video(shape, seed, fill), grid=shape)
        return value if isinstance(value, float) else drawn(value, shape.tokens)

    return Evidence(grid=shape, seed=seed, values={need: made(value) for need, value in seen.values.items()})


def made_rows(needs: Iterable[str], count: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Rows of a pass over so many nodes, of the needs that have some: drawn from those that a model has shown."""
    rows = shown(FAMILY, frozenset(need for need in needs if _in_passes(need)))[1]
    generator = torch.Generator().manual_seed(seed)
    return {name: some[torch.randint(len(some), (count,), generator=generator)] for name, some in rows.items()}


def numbers_of(evidence: Evidence) -> list[Tensor]:
    """All numbers that it holds, not copied."""
    found = list[Tensor]()
    for need in sorted(evidence.values):
        value = evidence[need]
        if isinstance(value, Hidden):
            found += [value.visual_VD, value.text_SD]
        elif isinstance(value, Frames):
            found.append(torch.from_numpy(value.video.frames))
        else:
            found.append(value if isinstance(value, Tensor) else torch.tensor(value))
    return found


def _in_passes(need: str) -> bool:
    return need == "relevance" or in_decoding(need)


def _video(grid: Grid, seed: int, fill: float | None) -> Video:
    shape = (grid.t, _SIDE * grid.h, _SIDE * grid.w, 3)
    frames = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    if fill is not None:
        frames[:] = int(255 * fill)
    return Video(frames=frames, timestamps=np.arange(grid.t) / 2.0)


# Checks --------------------------------------------------------------------------------------------------------------


def what_it_needs_is_there(option: Option) -> None:
    """Both families show it, a row for each visual token and, of what later passes have too, for each node of one."""
    needs = option.method().needs
    for family in FAMILY_NAMES:
        depth = model_of(family).depth
        for need in sorted(needs - {"relevance"}):
            check_need(need, depth)
        evidence, rows = shown(family, needs)
        for need in sorted(needs):
            assert evidence[need] is not None, f"{need}: must be there for {family}, got nothing"
        for name, each in rows.items():
            assert len(each) == PLAUSIBLE, (
                f"{name}: must have a row for each of {PLAUSIBLE} nodes of a pass, got {len(each)}"
            )
            assert each.isfinite().all(), f"{name}: must be finite"
        for each in numbers_of(evidence):
            assert not each.is_floating_point() or each.isfinite().all(), f"{sorted(needs)}: must be finite"


def what_it_needs_is_the_same_early_and_in_pieces(option: Option) -> None:
    """Behind its stage a value is the one at the end, and that of a prompt which is read in pieces."""
    needs = option.method().needs
    for family in FAMILY_NAMES if needs else ():
        expected = numbers_of(shown(family, needs)[0])
        for model in (model_of(family), model_of(family).computed_by(prefill_chunk=7)):
            collector = collector_of(family, needs)
            prefill = model.start_prefill(prompt_of(family), collector=collector)
            if prefill.until(stage := collector.stage(needs)):
                early = numbers_of(collector.evidence())
                prefill.finish()
                for ours, theirs in zip(early, numbers_of(collector.evidence()), strict=True):
                    assert torch.equal(ours, theirs), f"{sorted(needs)}: must not change behind layer {stage}"
            else:
                prefill.finish()
            for ours, theirs in zip(numbers_of(collector.evidence()), expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


CHECKS = (what_it_needs_is_there, what_it_needs_is_the_same_early_and_in_pieces)
