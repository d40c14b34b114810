"""Evidence of random numbers, for tests of anything that prunes."""

from __future__ import annotations

from typing import Any

import torch

from vsd.types import Evidence, Grid, Hidden


def random_evidence(
    grid: tuple[int, int, int] = (4, 4, 4),
    *,
    needs: frozenset[str] | None = None,
    seed: int = 0,
    width: int = 8,
    suffix: int = 5,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Evidence:
    """Evidence for a grid with what `needs` names (by default all kinds, with layers 0, 0.5 and 2)."""
    if needs is None:
        needs = frozenset({"features", "attention", "video_attention", "hidden:0", "hidden:0.5", "hidden:2"})
    generator = torch.Generator().manual_seed(seed)
    tokens = Grid(*grid).tokens

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)

    video = normal(tokens).softmax(0)

    def value(need: str) -> Any:
        match need.partition(":")[0]:
            case "hidden" | "relevance":
                return Hidden(visual_VD=normal(tokens, width), text_SD=normal(suffix, width))
            case "attention":
                return video * 0.3
            case "visual_mass":
                return 0.3
            case "video_attention" | "vision_attention":
                return video.clone()
            case _:
                return normal(tokens, width)

    return Evidence(grid=Grid(*grid), seed=seed, values={need: value(need) for need in sorted(needs)})
