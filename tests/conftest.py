"""Shared fixtures: a tiny random pair of each family in float64, and a small random video."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.zoo_in_code import save_llava, save_qwen
from vsd.models import VideoLM, load
from vsd.types import Video
from vsd.utils import child_process

settings.register_profile("vsd", deadline=None)  # how long a case takes is the machine's affair
settings.load_profile("vsd")

FAMILIES = {"qwen2_5_vl": save_qwen, "llava_onevision": save_llava}


@dataclass(frozen=True)
class Pair:
    """A target and a draft that agrees with it on some tokens, with the folders they were loaded from."""

    family: str
    target: VideoLM
    draft: VideoLM
    target_path: Path
    draft_path: Path


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _frozen() -> None:
    """What the imports have left is no garbage: a run of the app, and a failed sample, would look through all of it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """A random float64 pair of a family. The draft is the target with disturbed weights."""

    @cache
    def made(family: str) -> Pair:
        root, save = tmp_path_factory.mktemp(family), FAMILIES[family]
        paths = save(root / "target"), save(root / "draft", noise=0.01)
        target, draft = load(str(paths[0]), dtype="float64"), load(str(paths[1]), dtype="float64", field="draft")
        # Random weights would end a generation anywhere: tests that want an end name a token themselves.
        target.eos = draft.eos = frozenset()
        return Pair(family=family, target=target, draft=draft, target_path=paths[0], draft_path=paths[1])

    return made


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def pair(request: pytest.FixtureRequest, pairs: Callable[[str], Pair]) -> Pair:
    """The pair of each family in turn."""
    return pairs(request.param)


ONE_FAMILY = pytest.mark.parametrize("pair", ["qwen2_5_vl"], indirect=True, scope="session")
"""For tests whose outcome does not follow from the family."""


@pytest.fixture(scope="module")
def quick_workers() -> Iterator[None]:
    """Worker processes are forked from a server that has imported what they need: a fresh Python takes some eight
    seconds of a core for it. That a fresh one does the same is tested in `parallelism/test_process.py`."""
    multiprocessing.set_forkserver_preload(["vsd.executors.process"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child_process, "CONTEXT", multiprocessing.get_context("forkserver"))
        yield


@pytest.fixture(scope="session")
def video() -> Video:
    """Six random frames of 16 x 16 pixels, half a second apart."""
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    return Video(frames=frames, timestamps=np.arange(6) / 2.0)
