"""The baseline's tokens and times, kept in a folder so that the jobs of a sweep measure them once.

A key names all that decides the baseline's tokens or its speed. A file holds one trace; two jobs that write the same
one write the same contents, and neither sees half a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsd.metrics.record import trace_from
from vsd.run import disk
from vsd.types import Sample, Trace
from vsd.utils.faults import warn_once
from vsd.utils.fingerprint import file_identity, fingerprint


@dataclass(frozen=True, kw_only=True)
class BaselineCache:
    """`setting`: what all samples share (target, frames, dtype, hardware ...), as JSON-ready values."""

    folder: Path
    setting: Mapping[str, Any]

    def get(self, sample: Sample) -> Trace | None:
        """The stored trace, or None if there is none that can be read."""
        try:
            return trace_from(json.loads(self._file(sample).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, sample: Sample, trace: Trace) -> None:
        """Store a trace. Where that cannot be done a warning says so, once: the trace itself is measured."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            disk.write_whole(self._file(sample), json.dumps(asdict(trace)))
        except (OSError, disk.CannotWrite) as error:
            cause = error.__cause__ or error
            why = getattr(cause, "strerror", None) or str(cause)
            warn_once(f"baseline_folder: {self.folder} takes no more baselines ({why}); this run measures its own")

    def _file(self, sample: Sample) -> Path:
        asked = {"id": sample.id, "question": sample.question, "span": sample.span}
        key = {**self.setting, **asked, "video": file_identity(sample.video)}
        return self.folder / f"{fingerprint(key)}.json"
