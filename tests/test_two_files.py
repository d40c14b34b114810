"""The contributing guide's promise: a new method is two files and nothing else. The guide's own files are used."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from vsd.cli import CONF
from vsd.run import app
from vsd.testing import checks_of

ROOT = Path(__file__).parent.parent


def code_blocks(guide: str, group: str) -> dict[str, str]:
    """The blocks of the guide that are announced by the name of a file of this group."""
    return dict(re.findall(rf"`((?:vsd/{group}s|conf/{group})/\S*)`:\n\n```\w+\n(.*?)```", guide, re.DOTALL))


@pytest.mark.parametrize(
    ("group", "name", "field", "message"),
    [
        ("pruner", "brightest", "order", "pruner.order: must be a number, at least 1, got -1"),
        ("verifier", "near_ties", "margin", "verifier.margin: must be a number, at least 0, got -1"),
    ],
    ids=["brightest", "near_ties"],
)
def test_a_method_added_in_two_files_runs(
    group: str, name: str, field: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = code_blocks((ROOT / "CONTRIBUTING.md").read_text(), group)
    assert set(blocks) == {f"vsd/{group}s/{name}.py", f"conf/{group}/{name}.yaml"}
    for path, code in blocks.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(code)
    package = importlib.import_module(f"vsd.{group}s")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / f"vsd/{group}s")])  # as if it lay there
    dials = [f"{group}={name}", "ratio=0.5", "limit=1", "frames=8", "max_new_tokens=16", "callbacks=quiet"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra.searchpath=[file://{tmp_path}/conf]", *dials])
    metrics = app.run(cfg, tmp_path / "out")
    cfg[group][field] = -1
    with pytest.raises(app.UsageError, match=f"^{re.escape(message)}$"):
        app.run(cfg, tmp_path / "refused")
    checks = dict(checks_of(tmp_path / "conf"))
    assert len(checks) > 10
    for check in checks.values():
        check()
    sys.modules.pop(f"vsd.{group}s.{name}")
    assert metrics["samples/done"] == 1
    assert metrics["prune/kept"] == metrics["prune/visual"] / 2
    if group == "pruner":
        assert metrics["exact/mismatched"] == 0
