"""A schedule of chains and a drafter of trees do not go together, and the run says so at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from vsd.cli import CONF
from vsd.run import app


def test_trees_are_refused_before_any_weight_is_loaded(tmp_path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["parallelism=pearl", "drafter=tree"])
    with pytest.raises(app.UsageError, match="drafter: Parallel needs chains, got Tree"):
        app.run(cfg, tmp_path / "run")
