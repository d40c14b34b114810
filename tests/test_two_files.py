"""The contributing guide's promise: a new pruner is two files and nothing else. The guide's own two files are used."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = """
import runpy, sys
import vsd.pruners
vsd.pruners.__path__.append(sys.argv.pop(1))  # as if the module lay in vsd/pruners
sys.argv[0] = "run.py"
runpy.run_path("run.py", run_name="__main__")
"""


def code_blocks(guide: str) -> dict[str, str]:
    """The blocks of the guide that are announced by a file's name."""
    return dict(re.findall(r"`((?:vsd|conf)/pruner\S*)`:\n\n```\w+\n(.*?)```", guide, re.DOTALL))


def test_a_pruner_added_in_two_files_runs_and_is_exact(tmp_path):
    blocks = code_blocks((ROOT / "CONTRIBUTING.md").read_text())
    assert set(blocks) == {"vsd/pruners/brightest.py", "conf/pruner/brightest.yaml"}
    for name, code in blocks.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(code)
    command = [sys.executable, "-c", RUN, str(tmp_path / "vsd/pruners"), f"hydra.searchpath=[file://{tmp_path}/conf]"]
    dials = ["pruner=brightest", "ratio=0.5", "limit=1", "frames=8", "max_new_tokens=16", f"out={tmp_path}/out"]
    done = subprocess.run([*command, *dials], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["samples/done"] == 1
    assert metrics["exact/mismatched"] == 0
    assert metrics["prune/kept"] == metrics["prune/visual"] / 2
