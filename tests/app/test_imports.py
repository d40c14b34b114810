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
