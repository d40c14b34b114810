"""The run folder: metrics.json, samples.jsonl, config.yaml, provenance.json; and what a second run finds there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vsd.metrics.record import Record, from_dict, to_dict
from vsd.run import disk, provenance
from vsd.run.schema import SCHEMA, check_schema
from vsd.utils.fingerprint import fingerprint

# These change where, how far or with how many jobs a run goes, never what a sample gives.
NOT_HASHED = (
    "out",
    "report",
    "limit",
    "shard",
    "logger",
    "callbacks",
    "trainer",
    "baseline_folder",
    "video",
    "dry_run",
    "parts",
)


def config_hash(cfg: DictConfig, *, weights: Sequence[Sequence[str]] = ()) -> str:
    """A hash of all that a sample's record depends on: the resolved config, and what identifies the checkpoints."""
    hashed = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in NOT_HASHED])
    return fingerprint([OmegaConf.to_container(hashed, resolve=True), weights])


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. `config` is the hash (see `config_hash`) under which samples are written and found."""

    path: Path
    config: str

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.jsonl"

    def open(self, cfg: DictConfig, told: Mapping[str, Any]) -> None:
        """Write the resolved config, and to the provenance what is `told` and the config's hash."""
        with disk.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        disk.write_whole(self.path / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        provenance.note(self.path, told, config=self.config)

    def append(self, record: Record) -> None:
        """Add a sample to samples.jsonl; it is on disk when this returns."""
        key = {"id": record.sample.id, "schema": SCHEMA, "config": self.config}
        line = json.dumps({**key, **to_dict(record)}, ensure_ascii=False)
        with disk.writing(self.samples_file), self.samples_file.open("a+b") as file:
            start = "\n" if _torn(file) else ""  # a killed job or a full disk may have left half a line
            file.write(f"{start}{line}\n".encode(errors="backslashreplace"))  # half a character is JSON's \udcff
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> dict[str, Record]:
        """The samples written under this config and schema, by id. Broken lines are skipped.

        Of equal ids the last wins, but a failure never hides a finished sample of the same video file.
        """
        finished: dict[str, Record] = {}
        for row in self._rows():
            if self._key(row) == (SCHEMA, self.config):
                with contextlib.suppress(KeyError, TypeError):  # a record of other fields is a broken line too
                    record = from_dict(row)
                    past = finished.get(row["id"])
                    if past is None or record.done or not past.done or record.video_stamp not in ("", past.video_stamp):
                        finished[row["id"]] = record
        return finished

    def holds_others(self) -> bool:
        """Whether a sample was written here under another config or schema."""
        return any("config" in row and self._key(row) != (SCHEMA, self.config) for row in self._rows())

    @staticmethod
    def _key(row: Mapping[str, Any]) -> tuple[Any, Any]:
        return row.get("schema"), row.get("config")

    def _rows(self) -> list[dict[str, Any]]:
        if not self.samples_file.exists():
            return []
        with disk.writing(self.samples_file):  # whoever cannot read it cannot add to it either
            text = self.samples_file.read_text(encoding="utf-8", errors="replace")
        return [_parse(line) for line in text.split("\n")]

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write metrics.json, whole or not at all."""
        disk.write_json(self.path / "metrics.json", metrics)


def last_run(path: Path) -> tuple[RunFolder, list[Record]]:
    """The folder of a run as it was last written to, and its samples: those of the last job that came so far as to have
    a config. Raises ValueError if no run has begun in it, or one of another schema."""
    told = provenance.read(path)
    check_schema(path, told)
    config = next((job["config"] for job in provenance.jobs_of(told) if "config" in job), None)
    if config is None:
        raise ValueError(f"FOLDER: must be the folder of a run, got {str(path)!r}")
    run = RunFolder(path, config)
    return run, list(run.records().values())


def _torn(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


def _parse(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
