"""A checkout of its own, which a test may edit, and the cluster that .ci/slurm starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _cluster() -> None:
    if not os.environ.get("VSD_SLURM"):
        pytest.skip("needs a Slurm cluster: .ci/slurm starts one and runs this")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as it is, as a git checkout with one commit."""
    root = tmp_path_factory.mktemp("checkout") / "vsd"
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")):
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name, follow_symlinks=False)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)
    return root


@pytest.fixture
def environment(checkout: Path) -> dict[str, str]:
    """In which Python imports vsd from the checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def begin(checkout: Path, environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `run.py` with these words; what it says goes to the file `said`."""

    def started(*words: str) -> subprocess.Popen[str]:
        with (tmp_path / "said").open("a") as said:
            return subprocess.Popen(
                [sys.executable, str(checkout / "run.py"), *words],
                env=environment,
                cwd=tmp_path,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
            )

    return started
