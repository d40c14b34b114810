"""Run by torchrun, two processes: python -m tests.two_ranks FOLDER. FOLDER holds family/target and family/draft.

A target whose layers two processes share is compared with the same one in each process alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.collected import collected
from vsd.drafters.adaptive import Adaptive, Pace
from vsd.drafters.chain import Chain
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.executors import Inline, Thread
from vsd.models import VideoLM, load
from vsd.parallelism import PARALLELVLM, Parallel
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.types import SampleError, Video
from vsd.utils import distributed
from vsd.verifiers.sampling import Sampling

LAYERS = frozenset({"attention:1", "video_attention:2", "keys:2", "hidden:2"})
WANTED = LAYERS | {"attention", "video_attention", "features", "visual_mass"}


class Wayward(Adaptive):
    """Drafts of another length on every rank."""

    def length(self, pace: Pace, largest: int) -> int:
        return 1 + distributed.rank()


def compare(folder: Path, video: Video) -> None:
    alone = load(str(folder / "target"), dtype="float64")
    shared = load(str(folder / "target"), dtype="float64", tp_plan="auto")
    draft = load(str(folder / "draft"), dtype="float64")
    shared.eos = alone.eos = frozenset()
    assert shared.ranks == 2
    found = [collected(model, model.encode(video, "Why?"), WANTED) for model in (alone, shared)]
    assert found[0][0].rows(0)[0].shape[1] == 2 * found[1][0].rows(0)[0].shape[1]
    close(found[0][1], found[1][1])
    ours, theirs = found[0][2], found[1][2]
    for name in WANTED - {"visual_mass", "hidden:2"}:
        close(ours[name], theirs[name])
    assert ours["visual_mass"] == pytest.approx(theirs["visual_mass"], rel=1e-9)
    close(ours["hidden:2"].visual_VD, theirs["hidden:2"].visual_VD)
    some = range(0, alone.vocab - 8, 2)
    both = [model.trim(some).narrow(alone.vocab - 20) for model in (alone, shared)]
    close(*[model.prefill(model.encode(video, "Why?"))[1] for model in both])
    with pytest.raises(ValueError, match="no twin"):
        shared.twin()
    sampling = {"drafter": Chain(temperature=1.0), "verifier": Sampling(temperature=1.0)}
    early = {"parallelism": PARALLELVLM, "executor": Inline(), "pruner": UVPrune(ratio=0.5, layer="0.5")}
    measured = {"parallelism": Parallel(length="measured"), "executor": Thread()}
    skipping = {"drafter": ViSkip(inner=Chain(), threshold=ours["visual_mass"])}
    for options in ({}, sampling, skipping, {"drafter": Wayward(inner=Chain())}, measured, early):
        # What a draft is like changes no greedy generation; one that differs between ranks would hang or break the
        # cache.
        runs = [generation(target, draft, video, **options) for target in (alone, shared)]
        assert runs[0] == runs[1], options
    assert generation(shared, shared, video) == generation(alone, alone, video)
    refuse_together(shared, video)


def refuse_together(shared: VideoLM, video: Video) -> None:
    """What one process alone cannot read, none goes on with; and the next sample is read by all."""
    for step, name in (("processor", "_inputs"), ("vision tower", "features")):
        with pytest.MonkeyPatch.context() as patch:
            if distributed.rank() == 1:
                patch.setattr(shared, name, _not_here)
            with pytest.raises(SampleError, match=f"{step}: not here"):
                shared.encode(video, "Why?")
    assert shared.encode(video, "Why?").length
    with pytest.raises(SampleError, match="question: must hold no special token"):
        shared.encode(video, "<|im_end|>")


def _not_here(*_: object) -> None:
    raise ValueError("not here")


def generation(target: VideoLM, draft: VideoLM, video: Video, **options: Any) -> tuple[int, ...]:
    methods: dict[str, Any] = {"pruner": SpecVLM(ratio=0.5), "max_new_tokens": 12}
    return Engine(target=target, draft=draft, **(methods | options)).run(video, "Why?").tokens


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.join()
    random = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    for family in sorted(Path(sys.argv[1]).iterdir()):
        compare(family, Video(frames=random, timestamps=np.arange(6) / 2.0))
    assert distributed.from_rank0(distributed.rank) == 0
    if distributed.rank() == 0:
        print("the same")
