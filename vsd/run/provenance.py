"""Where numbers come from: versions, commit, hardware, command and time of a run."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vsd.utils import distributed

PACKAGES = (
    "vsd",
    "torch",
    "torchao",
    "transformers",
    "accelerate",
    "lightning",
    "hydra-core",
    "decord",
    "av",
    "numpy",
    "wandb",
)


def provenance() -> dict[str, Any]:
    """What is needed to make the run again, as JSON-ready values. What cannot be found out is None."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": packages(),
        "hardware": hardware(),
    }


def packages() -> dict[str, str | None]:
    """The versions of what a run's tokens and speed depend on."""
    return {name: _version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """What the speed of a run depends on."""
    import torch

    from vsd.models.attention import sdpa_flags

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "ranks": distributed.count(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "sdpa": sdpa_flags(),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that holds `folder`; None outside of one or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
