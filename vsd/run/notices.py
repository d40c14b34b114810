"""What a run says before it begins, though nothing is refused: dials without effect, and what will make it slow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import psutil
from omegaconf import DictConfig, OmegaConf

from vsd.run.machine import SHORTEST_S, MachineMeter, busy

if TYPE_CHECKING:
    from vsd.executors import Executor

READ_BY_APP = frozenset(
    {
        "frames",
        "max_new_tokens",
        "seed",
        "limit",
        "shard",
        "baseline",
        "out",
        "exact",
        "report",
        "dry_run",
        "without",
        "parts",
    }
)
READ_WITH_A_DRAFT = frozenset({"positions", "draft_vocab", "share_vision"})


def crowded_cores(cfg: DictConfig, executor: Executor) -> list[str]:
    """Of a target and a draft that work at once, both on the CPU: that there are too few cores for both, as a
    sentence."""
    import torch

    if any(cfg[role].device != "cpu" for role in ("target", "draft")):
        return []
    cores, ours = usable_cores(), torch.get_num_threads()
    theirs = getattr(executor, "threads", 0) or ours
    if cores < 2:
        return ["one core for two models: they take turns, and nothing is gained over parallelism=sequential"]
    if ours + theirs > cores:
        return [
            f"{cores} cores for two models that compute with {ours} and {theirs} threads: they wait for each other "
            f"(OMP_NUM_THREADS={max(1, cores // 2)})"
        ]
    return []


def busy_machine() -> list[str]:
    """That others are at work here now, as a sentence. What this process has just done does not count."""
    meter = MachineMeter()
    time.sleep(SHORTEST_S)
    said = busy(meter.look())
    return [said] if said else []


def usable_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error):  # macOS
        return os.cpu_count() or 1


def shared_gpus(cfg: DictConfig) -> list[str]:
    """Of a draft in a process of its own: the GPUs that it shares with the target, as a sentence."""
    from vsd import models

    names = ("path", "device", "device_map")
    options: list[Any] = [OmegaConf.to_container(cfg[role], resolve=True) for role in ("target", "draft")]
    devices = [models.Checkpoint(**{name: option[name] for name in names}).device_names for option in options]
    shared = sorted(name for name in devices[0] & devices[1] if name.startswith("cuda"))
    if not shared:
        return []
    return [
        f"executor=process: target and draft share {', '.join(shared)}, where two processes take turns: "
        "they do not work at once unless NVIDIA's MPS runs (draft.device=cuda:1 for another GPU, "
        "executor=thread for two streams of one process)"
    ]


def unused_dials(cfg: DictConfig, overrides: Iterable[str], *, drafts: bool, uses_draft: bool) -> list[str]:
    """The dials of the command line that change nothing under the chosen groups, as sentences.

    A dial is used if a chosen config interpolates it or the app reads it. This is no error: a sweep may cross a dial
    with an option that has no use for it.
    """
    idle = (set() if drafts else {"drafter"}) | (set() if uses_draft else {"draft", "pruner"})
    used = READ_BY_APP | _interpolated(cfg, idle) | (frozenset({"gamma"}) if drafts else frozenset())
    used |= READ_WITH_A_DRAFT if uses_draft else frozenset()
    if cfg.baseline == "cache":
        used |= {"baseline_folder"}
    dials = {str(key) for key, value in cfg.items_ex(resolve=False) if not isinstance(value, DictConfig)}
    given = [override.lstrip("+").partition("=") for override in overrides]
    return [
        f"{name}={value} has no effect: none of the chosen options uses {name}"
        for name, _, value in given
        if name in dials - used
    ]


def _interpolated(cfg: DictConfig, idle: set[str]) -> frozenset[str]:
    """The top-level keys that the chosen options refer to, those of `idle` groups left out."""
    options = [value for key, value in cfg.items_ex(resolve=False) if isinstance(value, DictConfig) and key not in idle]
    return frozenset(
        re.findall(r"\$\{(\w+)", str([OmegaConf.to_container(option, resolve=False) for option in options]))
    )
