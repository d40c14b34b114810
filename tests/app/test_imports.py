"""The core runs from a notebook or a bare GPU machine: it must not pull in the rim."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import vsd

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


def test_the_product_imports_nothing_of_the_tests() -> None:
    files = [file for file in Path(vsd.__file__).parent.rglob("*.py") if "testing" not in file.parts]
    assert len(files) > 100
    assert not [file for file in files if re.search(r"^\s*(from|import) (vsd\.testing|pytest)", file.read_text(), re.M)]


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
