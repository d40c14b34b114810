"""The contributing guide's promise: a new method is two files and nothing else. The guide's own files are used."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = """
import importlib, runpy, sys
importlib.import_module(f"vsd.{sys.argv.pop(1)}s").__path__.append(sys.argv.pop(1))  # as if the module lay there
sys.argv[0] = "run.py"
runpy.run_path("run.py", run_name="__main__")
"""


def code_blocks(guide: str, group: str) -> dict[str, str]:
    """The blocks of the guide that are announced by the name of a file of this group."""
    return dict(re.findall(rf"`((?:vsd/{group}s|conf/{group})/\S*)`:\n\n```\w+\n(.*?)```", guide, re.DOTALL))


@pytest.mark.parametrize(("group", "name"), [("pruner", "brightest"), ("verifier", "near_ties")])
def test_a_method_added_in_two_files_runs(tmp_path: Path, group: str, name: str) -> None:
    blocks = code_blocks((ROOT / "CONTRIBUTING.md").read_text(), group)
    assert set(blocks) == {f"vsd/{group}s/{name}.py", f"conf/{group}/{name}.yaml"}
    for path, code in blocks.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(code)
    module = str(tmp_path / f"vsd/{group}s")
    command = [sys.executable, "-c", RUN, group, module, f"hydra.searchpath=[file://{tmp_path}/conf]"]
    dials = [f"{group}={name}", "ratio=0.5", "limit=1", "frames=8", "max_new_tokens=16", f"out={tmp_path}/out"]
    done = subprocess.run([*command, *dials], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["samples/done"] == 1
    assert metrics["prune/kept"] == metrics["prune/visual"] / 2
    if group == "pruner":
        assert metrics["exact/mismatched"] == 0
