"""Shards of one run, put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from vsd.metrics.record import Record
from vsd.run.results.dials import NOT_THE_RUN
from vsd.run.results.run import WORST, Run


def pooled(runs: Iterable[Run]) -> list[Run]:
    """The runs, those that differ in `shard` and where they write alone as one, with the samples of all, each once."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        setting = {name: value for name, value in run.config.items() if name not in NOT_THE_RUN - {"limit"}}
        alone = "" if _is_shard(run) else str(run.folder)
        groups.setdefault(json.dumps([setting, alone], sort_keys=True, default=str), []).append(run)
    return [_one(group) for group in groups.values()]


def _is_shard(run: Run) -> bool:
    return str(run.config.get("shard", "0/1")) != "0/1"


def _one(group: Sequence[Run]) -> Run:
    if len(group) == 1:
        return group[0]
    records = dict[str, Record]()
    for run in group:
        for record in run.records:
            if record.done or record.sample.id not in records:
                records[record.sample.id] = record
    state = min((run.state for run in group), key=WORST.index)
    errors = "; ".join(dict.fromkeys(run.error for run in group if run.error))
    first = replace(group[0], records=tuple(records[name] for name in sorted(records)), state=state, error=errors)
    return replace(first, config={**first.config, "shard": "0/1"})
