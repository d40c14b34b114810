"""W&B without an account, and whose own files stay in the test's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import (  # noqa: F401 - fixtures
    FakeEngine,
    checkpoints,
    clips,
    configure,
    fake,
    pair,
)
from vsd.run.tracking import service


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody is logged in, and no service is left of another test, which would remember its settings."""
    service.abandon()
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SWEEP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))
    yield
    service.abandon()
