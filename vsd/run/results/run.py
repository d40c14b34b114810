"""A run as its folder tells it: its settings, its samples, how it ended, and its numbers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vsd.metrics import Summary, by_video, summarise
from vsd.metrics.record import Record
from vsd.metrics.resampling import Videos
from vsd.run import provenance
from vsd.run.report.folder import last_run
from vsd.run.results import frames
from vsd.run.schema import check_schema

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

State = Literal["done", "interrupted", "failed", "unfinished"]
"""How a run ended; one that is unfinished is still at work, or was killed."""
WORST: tuple[State, ...] = ("failed", "unfinished", "interrupted", "done")
"""From the worst on."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. `config` is the resolved config as plain values, `choices` the option of each group by name, `overrides`
    what the command line set. `records` are its samples under its last config, `error` why it failed."""

    folder: Path
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    overrides: tuple[str, ...]
    provenance: Mapping[str, Any]
    records: tuple[Record, ...]
    state: State
    error: str = ""

    def __repr__(self) -> str:
        done = sum(record.done for record in self.records)
        return f"Run({str(self.folder)!r}, {self.state}, {done} of {len(self.records)} samples)"

    @cached_property
    def summary(self) -> Summary:
        """All numbers, with their errors."""
        return summarise(self.records)

    @cached_property
    def videos(self) -> Videos:
        """By video, the sums of the samples that it has finished: texts are held against each other once."""
        return by_video([record for record in self.records if record.done])

    @cached_property
    def samples(self) -> DataFrame:
        """A row a sample (see docs/run-folder.md)."""
        return frames.samples(self.records)

    @cached_property
    def rounds(self) -> DataFrame:
        """A row a round of its decoded samples."""
        return frames.rounds(self.records)

    @cached_property
    def tokens(self) -> DataFrame:
        """A row a token of its decoded samples."""
        return frames.tokens(self.records)

    @cached_property
    def asked(self) -> int | None:
        """How many samples it was to decode; None where its data cannot be read here. Of a run that is done those it
        has."""
        if self.state == "done":
            return len(self.records)
        limit, shard = self.config.get("limit"), str(self.config.get("shard", "0/1"))
        try:
            from hydra.utils import instantiate

            from vsd.data.base import select

            source = instantiate(OmegaConf.create(dict(self.config["data"])))
            return len(select(source.samples(), limit, shard))
        except Exception:  # it runs code of anybody's, on files that may have moved
            return None

    @property
    def time(self) -> str:
        """When it began, in UTC."""
        return str(self.provenance.get("time", ""))[:16].replace("T", " ")


def load_run(folder: str | Path) -> Run:
    """The run in this folder. Raises ValueError if there is none, or one of another schema than this version reads."""
    path = Path(folder)
    if not _is_run(path):
        first = next(_below(path), None) if path.is_dir() else None
        hint = f", which holds several (one is {str(first)!r})" if first else ""
        hint = hint if path.exists() else ", which is not there"
        raise ValueError(f"FOLDER: must be the folder of a run, got {str(path)!r}{hint}")
    told, records = provenance.read(path), list[Record]()
    check_schema(path, told)
    with suppress(ValueError):  # of a job that was refused there are none
        records = last_run(path)[1]
    hydra = _yaml(path / ".hydra" / "hydra.yaml").get("hydra", {})
    choices = {name: str(value) for name, value in hydra.get("runtime", {}).get("choices", {}).items()}
    error = path / "error.txt"
    said = error.read_text(encoding="utf-8", errors="replace") if error.is_file() else ""
    said = said.partition("\n\n")[0].strip()  # behind it stands a traceback
    return Run(
        folder=path,
        config=_yaml(path / "config.yaml") or _settled(_yaml(path / ".hydra" / "config.yaml")),
        choices={name: value for name, value in choices.items() if not name.startswith("hydra")},
        overrides=tuple(told.get("overrides") or hydra.get("overrides", {}).get("task", ())),
        provenance=told,
        records=tuple(records),
        state="failed" if said else _state(told),
        error=said,
    )


def _state(told: Mapping[str, Any]) -> State:
    """How the last job has ended; of shards the worst of the last of each, if they divide the samples as it does."""
    jobs = provenance.jobs_of(told)
    count = str(jobs[0].get("shard", "0/1")).partition("/")[2] if jobs else "1"
    last = dict[str, State]()
    for each in jobs:
        shard = str(each.get("shard", "0/1"))
        if shard.partition("/")[2] == count:
            last.setdefault(shard, each.get("outcome", "unfinished"))
    return min(last.values(), key=WORST.index, default="unfinished")


def find_runs(folders: Iterable[str | Path]) -> list[Run]:
    """All runs in these folders and below them, a multirun's in the order of their numbers; those of another schema are
    left out with a warning. Raises ValueError for a folder that does not exist or holds none that can be read."""
    found, left_out = dict[Path, Run](), list[str]()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ValueError(f"FOLDER: must be a folder, got {str(folder)!r}")
        paths, others = list(_below(folder)), list[str]()
        if not paths:
            raise ValueError(f"FOLDER: must hold a run, got {str(folder)!r}")
        for path in paths:
            try:
                found[path.resolve()] = found.get(path.resolve()) or load_run(path)
            except ValueError as error:
                others.append(str(error))
        if len(others) == len(paths):
            raise ValueError(others[0])
        left_out += others
    if left_out:
        log.warning("%d folders are left out: %s", len(left_out), left_out[0])
    return list(found.values())


def common_folder(runs: Sequence[Run]) -> Path:
    """The folder that all of them are in."""
    return Path(os.path.commonpath([run.folder.resolve().parent for run in runs])) if runs else Path()


def _is_run(folder: Path) -> bool:
    """Whether a run has begun here, however far it came."""
    return any((folder / name).is_file() for name in ("provenance.json", "error.txt", ".hydra/overrides.yaml"))


def _below(folder: Path) -> Iterator[Path]:
    """The folders of runs, their names in order as numbers where they are some."""
    if _is_run(folder):
        yield folder
        return
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(
        inside, key=lambda path: (path.name.isdecimal(), len(path.name) * path.name.isdecimal(), path.name)
    ):
        yield from _below(path)


def _yaml(file: Path) -> dict[str, Any]:
    """What a file holds, as it stands: interpolations of Hydra's own files cannot all be resolved here. Nothing of one
    that is missing or damaged."""
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OSError, YAMLError, OmegaConfBaseException):
        return {}
    return found if isinstance(found, dict) else {}


def _settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a job that was refused before its own was written: what another dial stands for has that one's
    value, and what only a running job could resolve is left out."""
    whole, found = OmegaConf.create(dict(config)), dict[str, Any]()
    for name in config:
        with suppress(OmegaConfBaseException):
            value = whole[name]
            is_node = OmegaConf.is_config(value)
            found[name] = OmegaConf.to_container(value, resolve=True) if is_node else value
    return found
