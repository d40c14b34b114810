"""The baseline's tokens and times, kept in a folder so that the jobs of a sweep measure them once.

A key names all that decides the baseline's tokens or its speed, but for the state of the machine, which is kept beside
them. A file holds one trace; of two jobs that write the same one the last counts, and neither sees half a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsd.metrics.record import trace_from
from vsd.run import disk
from vsd.run.machine import MachineState
from vsd.types import Sample, Trace
from vsd.utils.faults import warn_once
from vsd.utils.fingerprint import file_identity, fingerprint


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A trace and the state of the machine while it was measured."""

    trace: Trace
    state: MachineState


@dataclass(frozen=True, kw_only=True)
class BaselineCache:
    """`setting`: what all samples share (target, frames, dtype, hardware ...), as JSON-ready values."""

    folder: Path
    setting: Mapping[str, Any]

    def get(self, sample: Sample) -> Kept | None:
        """What is stored of this sample, or None if there is nothing that can be read."""
        try:
            row = json.loads(self._file(sample).read_text(encoding="utf-8"))
            trace = trace_from(row["trace"])
            return Kept(trace=trace, state=MachineState(**row["state"])) if trace else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, sample: Sample, kept: Kept) -> None:
        """Store a trace and its state. Where that cannot be done a warning says so, once: it is measured all the
        same."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            disk.write_whole(self._file(sample), json.dumps(asdict(kept)))
        except (OSError, disk.CannotWrite) as error:
            cause = error.__cause__ or error
            why = getattr(cause, "strerror", None) or str(cause)
            warn_once(f"baseline_folder: {self.folder} takes no more baselines ({why}); this run measures its own")

    def _file(self, sample: Sample) -> Path:
        asked = {"id": sample.id, "question": sample.question, "span": sample.span}
        key = {**self.setting, **asked, "video": file_identity(sample.video)}
        return self.folder / f"{fingerprint(key)}.json"
