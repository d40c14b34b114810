"""Made-up runs whose numbers are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from vsd.metrics.record import Record
from vsd.run.report.folder import RunFolder
from vsd.run.results.run import Run, State
from vsd.run.schema import SCHEMA
from vsd.types import Round, Sample, Trace

ALONE_S = 10.0


def a_trace(accepted: Sequence[int], decode_s: float, gamma: int = 5) -> Trace:
    """A generation of rounds that accepted so many of gamma tokens."""
    rounds = tuple(
        Round(
            drafted=gamma,
            nodes=gamma,
            accepted=count,
            committed=count + 1,
            rejected=count < gamma,
            proposed=gamma,
            wasted=gamma - count,
            verify_s=1.0,
        )
        for count in accepted
    )
    tokens = 1 + sum(each.committed for each in rounds)
    seconds = {"decode": decode_s, "total": decode_s + 2, "first_token": 1.0, "prefill": 1.0, "encode": 0.5}
    return Trace(
        tokens=tuple(range(tokens)),
        rounds=rounds,
        seconds=seconds,
        target_forwards=len(rounds),
        visual=100,
        kept=10,
        prompt=120,
        finish="eos",
    )


def a_record(video: str, accepted: Sequence[int], decode_s: float, name: str = "") -> Record:
    trace = a_trace(accepted, decode_s)
    alone = Trace(**{**trace.__dict__, "rounds": (), "seconds": {**trace.seconds, "decode": ALONE_S, "total": 12.0}})
    sample = Sample(id=name or video, video=f"{video}.mp4", question="Why?")
    return Record(sample=sample, trace=trace, baseline=alone, text="so", baseline_text="so")


def records_of(random: np.random.Generator, videos: int, speed: float, effects: NDArray[np.float64]) -> list[Record]:
    """A sample of each video; how fast one is decoded has a part of the video's own (`effects`) and one of the run."""
    return [
        a_record(
            f"v{number:03d}", [3, 5, int(random.integers(0, 6))], ALONE_S / (speed + effect + random.normal(0, 0.1))
        )
        for number, effect in zip(range(videos), effects, strict=True)
    ]


def a_run(records: Sequence[Record], **values: Any) -> Run:
    how: dict[str, Any] = {
        "folder": Path("run"),
        "config": {},
        "choices": {},
        "overrides": (),
        "provenance": {"time": "2026-01-02T03:04:05"},
        "state": "done",
    }
    return Run(records=tuple(records), **{**how, **values})


def write_run(
    folder: Path,
    records: Sequence[Record],
    config: Mapping[str, Any],
    *,
    choices: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    outcome: State | None = "done",
    error: str = "",
) -> Path:
    """The folder that a run with this config leaves."""
    run = RunFolder(folder, "config")
    told = {"schema": SCHEMA, "time": "2026-01-02T03:04:05", "packages": {"torch": "2"}, "hardware": {"cpu": "x"}}
    run.open(OmegaConf.create(dict(config)), told | ({"outcome": outcome} if outcome else {}))
    for record in records:
        run.append(record)
    hydra = {"hydra": {"runtime": {"choices": dict(choices or {})}, "overrides": {"task": list(overrides)}}}
    (folder / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(list(overrides)), folder / ".hydra" / "overrides.yaml")
    OmegaConf.save(OmegaConf.create(hydra), folder / ".hydra" / "hydra.yaml")
    if error:
        (folder / "error.txt").write_text(error + "\n")
    return folder


def shown(text: str) -> str:
    """A terminal's text on one line."""
    return " ".join(json.loads(json.dumps(text)).split())
