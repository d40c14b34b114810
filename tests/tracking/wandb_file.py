"""What a run's .wandb file holds: the records that W&B's own `wandb sync` would send."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 1 << 15, 7  # of LevelDB's log format, which begins with seven bytes of W&B's own
PROTO: Any = wandb_internal_pb2
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class Sent:
    """A run as its file tells it; `exit_code` is None for one that has not ended."""

    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The history without what has no place on the axis."""
        return [row for row in self.history if "sample" in row]


def sent_by(folder: Path) -> Sent:
    """Of the only W&B run in a run's folder."""
    (file,) = folder.glob("wandb/*run-*/*.wandb")
    return read(file)


def read(file: Path) -> Sent:
    wandb.teardown()  # the service writes on for a moment after a run has ended
    found = Sent()
    for record in records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            names = ("run_id", "display_name", "project", "entity", "run_group", "job_type")
            found.run = {name: getattr(record.run, name) for name in names} | {"tags": [*record.run.tags]}
            found.config |= _items(record.run.config.update)
        elif kind == "config":
            found.config |= _items(record.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "alert":
            found.alerts.append((record.alert.title, record.alert.text))
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def records(file: Path) -> Iterator[Any]:
    """The records, in order; half of one at the end, as a killed process leaves it, is none."""
    data, place, part = file.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + HEADER])
        part = (b"" if kind in (FULL, FIRST) else part) + data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            record = PROTO.Record()
            record.ParseFromString(part)
            yield record


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def sent_by_last(folder: Path) -> Sent:
    """Of the offline run; one that could not begin may have left a folder too."""
    for other in folder.glob("wandb/run-*"):
        other.rename(folder / other.name)
    return sent_by(folder)
