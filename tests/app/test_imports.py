"""The core runs from a notebook or a bare GPU machine: it must not pull in the rim."""

from __future__ import annotations

import subprocess
import sys

CORE = (
    *("models", "evidence", "pruners", "drafters", "verifiers", "parallelism", "executors"),
    *("step_times", "simulator", "utils"),
)
RIM = ("hydra", "omegaconf", "lightning", "wandb", "rich")


def test_the_engine_imports_nothing_of_the_rim() -> None:
    code = f"""
import importlib, pkgutil, sys
import vsd.engine
for package in {CORE}:
    module = importlib.import_module(f"vsd.{{package}}")
    for each in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"vsd.{{package}}.{{each.name}}")
print([name for name in {RIM} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_package_itself_imports_next_to_nothing_until_a_name_is_used() -> None:
    code = """
import sys
import vsd
print([name for name in ("torch", "numpy", "transformers") if name in sys.modules])
from vsd import Engine, load, load_run, load_runs, load_video
print(Engine.__module__, load.__module__, load_run.__module__, load_runs.__module__, load_video.__module__)
print("pandas" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "[]",
        "vsd.engine vsd.models.checkpoint vsd.run.results.run vsd.run.results.runs vsd.video.reading",
        "False",
    ]
