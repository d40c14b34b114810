"""Shards of a run in one folder, in whatever order they came, report what the whole run does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Compose, FakeEngine, checkpoints, clips, configure, fake  # noqa: F401 - fixtures
from vsd.commands import report
from vsd.run import app
from vsd.types import Round, Trace, Video


@dataclass
class Various(FakeEngine):
    """Accepts more or less, and takes more or less time, from sample to sample."""

    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        trace = super().run(video, question, seed=seed)
        if self.alone:
            return trace
        count = seed % 5
        round_ = Round(drafted=4, nodes=4, accepted=count, committed=3, rejected=True, draft_s=0.1)
        return replace(trace, rounds=(round_,), seconds={"decode": 1 + count / 7, "first_token": 1.0, "total": 3.3})

    def baseline(self) -> Various:
        return Various(alone=True)


@pytest.fixture
def run(configure: Compose, fake: FakeEngine, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Runs into a folder with these overrides; gives the ids that are in it, in order."""
    monkeypatch.setattr(app, "build_engine", lambda cfg, methods: Various())

    def into(folder: Path, *overrides: str) -> list[str]:
        cfg = configure("data=folder", f"data.path={clips}", "frames=4", "callbacks=quiet", *overrides)
        app.run(cfg, folder, overrides=overrides)
        return [json.loads(line)["id"] for line in (folder / "samples.jsonl").read_text().splitlines()]

    return into


def metrics(folder: Path) -> dict[str, float]:
    numbers: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in numbers.items() if not name.startswith("memory/")}


def test_shards_in_one_folder_report_what_the_whole_run_does(run: Any, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert run(parts, "shard=1/2") == ["b.mp4", "d.mp4"]
    assert run(parts, "shard=0/2") == ["b.mp4", "d.mp4", "a.mp4", "c.mp4"]
    assert metrics(parts)["samples/done"] == 2  # the shard's own numbers
    assert report.main([str(parts)]) == 0
    assert metrics(parts) == metrics(whole)
    assert metrics(whole)["accept/draft_length_se"] > 0
    (parts / "metrics.json").unlink()
    assert len(run(parts)) == 4  # the same command without shards decodes nothing again
    assert metrics(parts) == metrics(whole)
