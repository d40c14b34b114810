"""The W&B sweeps: in the form that wandb's own schema asks for, and with a command whose every override composes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_wandb_accepts_the_form(file: Path) -> None:
    config = pytest.importorskip("sweeps.config", reason="comes with wandb[sweeps]")
    assert config.schema_violations_from_proposed_config(yaml.safe_load(file.read_text())) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_an_agent_would_run_composes(file: Path) -> None:
    sweep = yaml.safe_load(file.read_text())
    assert (ROOT / sweep["program"]).is_file()
    fixed = [part for part in sweep["command"] if not part.startswith("${")]
    names = list(sweep["parameters"])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for values in itertools.product(*(sweep["parameters"][name]["values"] for name in names)):
            compose("config", overrides=[*fixed, *(f"{n}={v}" for n, v in zip(names, values, strict=True))])
