"""A run in this process, as the command line would compose it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from vsd.cli import CONF
from vsd.run import app


def composed(overrides: Sequence[str], *, hydra: bool = False) -> DictConfig:
    """The config of these overrides, with Hydra's own part if that is wanted."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=hydra)


def run_here(overrides: Sequence[str], folder: Path) -> dict[str, float]:
    """Decodes with these overrides into this folder, and says nothing of a screen; returns the metrics. Raises
    UsageError for a setting that is refused, NothingDone if no sample could be decoded."""
    return app.run(composed(overrides), folder, overrides=overrides, brief=True)
