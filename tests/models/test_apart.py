"""Target and draft on devices of their own: all that crosses between them is moved, and the tokens are the same."""

from __future__ import annotations

from typing import Any

import accelerate
import pytest
import torch

from tests.conftest import Pair
from tests.two_devices import devices
from vsd.drafters import Chain
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.executors import Inline
from vsd.models import VideoLM, load
from vsd.models.placement import draft_device
from vsd.parallelism import Parallel
from vsd.pruners.hippo import Hippo
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.types import Video
from vsd.verifiers.lvspec import LVSpec
from vsd.verifiers.sampling import Sampling
from vsd.verifiers.typical import Typical

SAMPLED: dict[str, Any] = {"temperature": 0.8, "top_p": 0.9}
EARLY: dict[str, Any] = {"overlap_prefill": True, "early_draft": True}
METHODS: dict[str, dict[str, Any]] = {
    "specvlm": {"pruner": SpecVLM(ratio=0.5), "drafter": Tree()},
    "dynamic tree": {"pruner": Hippo(ratio=0.5), "drafter": DynamicTree()},
    "sampling": {"pruner": SpecVLM(ratio=0.5), "drafter": Chain(**SAMPLED), "verifier": Sampling(**SAMPLED)},
    "sampled trees": {"pruner": SpecVLM(ratio=0.5), "drafter": Tree(**SAMPLED), "verifier": Sampling(**SAMPLED)},
    "lvspec": {"pruner": UVPrune(ratio=0.5), "verifier": LVSpec(looseness=0.5)},
    "typical": {"pruner": UVPrune(ratio=0.5), "verifier": Typical()},
    "compact": {"pruner": SpecVLM(ratio=0.5), "positions": "compact"},
    "pearl": {"pruner": SpecVLM(ratio=0.5), "parallelism": Parallel(), "executor": Inline()},
    "early": {"pruner": UVPrune(ratio=0.5), "parallelism": Parallel(**EARLY), "executor": Inline()},
    "parallel sampling": {
        **{"pruner": UVPrune(ratio=0.5), "drafter": Chain(**SAMPLED), "verifier": Sampling(**SAMPLED)},
        "parallelism": Parallel(**EARLY),
        "executor": Inline(),
    },
}


def put(model: VideoLM, place: str) -> VideoLM:
    """The model with all weights on that device. To be called inside `devices`."""
    for name, weight in [*model.model.named_parameters()]:
        owner = model.model.get_submodule(name.rpartition(".")[0])
        setattr(owner, name.rpartition(".")[2], torch.nn.Parameter(weight.to(place), requires_grad=False))
    for name, buffer in [*model.model.named_buffers()]:
        owner = model.model.get_submodule(name.rpartition(".")[0])
        owner.register_buffer(name.rpartition(".")[2], buffer.to(place), persistent=False)
    accelerate.hooks.remove_hook_from_module(model.model, recurse=True)
    placed = type(model)(model.model, model.processor, name=model.name)
    placed.eos = frozenset()
    return placed


@pytest.fixture(scope="module")
def apart(pair: Pair) -> tuple[VideoLM, VideoLM, VideoLM]:
    """The target on one device, the draft and the target's copy on another."""
    paths = {"cpu:1": (pair.target_path,), "cpu:2": (pair.draft_path, pair.target_path)}
    with devices():
        target, draft, own = (put(load(str(path), dtype="float64"), at) for at in paths for path in paths[at])
    assert [model.device_names for model in (target, draft, own)] == [{"cpu:1"}, {"cpu:2"}, {"cpu:2"}]
    return target, draft, own


@pytest.mark.parametrize("method", METHODS)
def test_token_identical_on_two_devices(method: str, pair: Pair, apart: Any, video: Video) -> None:
    here = run(pair.target, pair.draft, method, video)
    with devices():
        there = run(apart[0], apart[1], method, video)
    assert (here.tokens, here.kept) == (there.tokens, there.kept)
    assert [each.accepted for each in here.rounds] == [each.accepted for each in there.rounds]


def test_a_target_that_drafts_for_itself_elsewhere(pair: Pair, apart: Any, video: Video) -> None:
    here = run(pair.target, pair.target, "early", video)
    with devices():
        there = run(apart[0], apart[2], "early", video)
    assert (here.tokens, here.kept) == (there.tokens, there.kept)


def run(target: VideoLM, draft: VideoLM, method: str, video: Video) -> Any:
    return Engine(target=target, draft=draft, max_new_tokens=6, **METHODS[method]).run(video, "What is seen?", seed=3)


@pytest.mark.parametrize(
    ("target", "draft", "gpus", "at_once", "chosen", "place"),
    [
        ("cuda", "cuda", 2, True, False, "cuda:1"),
        ("cuda", "cuda", 8, True, False, "cuda:1"),
        ("cuda", "cuda", 1, True, False, "cuda"),  # nowhere else to go
        ("cuda", "cuda", 2, False, False, "cuda"),  # they take turns
        ("cuda", "cuda", 2, True, True, "cuda"),  # draft.device=cuda
        ("cuda", "cuda:0", 2, True, True, "cuda:0"),
        ("cuda:1", "cuda:1", 2, True, False, "cuda:1"),  # device=cuda:1: the other one may be somebody else's
        ("cuda:1", "cuda", 2, True, True, "cuda"),
        ("cpu", "cpu", 2, True, False, "cpu"),
        ("cpu", "cuda", 2, True, True, "cuda"),
    ],
)
def test_where_the_draft_goes(target: str, draft: str, gpus: int, at_once: bool, chosen: bool, place: str) -> None:
    assert draft_device(target, draft, gpus=gpus, at_once=at_once, chosen=chosen) == place
