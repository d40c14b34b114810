"""What is written down of a job when it is submitted, and held against what it finds when it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vsd.run import disk, provenance
from vsd.utils.fingerprint import fingerprint

FOLDER = ".submitted"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job of a multirun as it was submitted: by which command, with which code (its digest, and the folder of its
    snapshot, empty for an installed package) and config (its fingerprint). `job` is its id in the cluster."""

    number: int
    time: str
    command: str
    overrides: tuple[str, ...]
    config: str
    digest: str
    code: str
    commit: str | None
    dirty: bool
    cluster: str
    job: str = ""

    def write(self, sweep: Path) -> None:
        """Raises CannotWrite."""
        file = file_of(sweep, self.number)
        with disk.writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        disk.write_json(file, asdict(self))


def file_of(sweep: Path, number: int) -> Path:
    return sweep / FOLDER / f"{number}.json"


def read(sweep: Path, number: int) -> Submitted | None:
    """What was written last; None where there is nothing that this version reads."""
    with suppress(OSError, ValueError, TypeError):
        told = json.loads(file_of(sweep, number).read_text(encoding="utf-8"))
        return Submitted(**{**told, "overrides": tuple(told["overrides"])})
    return None


def read_all(sweep: Path) -> Iterator[Submitted]:
    """Of all jobs of a sweep."""
    numbers = sorted(int(file.stem) for file in (sweep / FOLDER).glob("*.json") if file.stem.isdecimal())
    yield from (found for number in numbers if (found := read(sweep, number)) is not None)


def has_begun(folder: Path, submitted: Submitted) -> bool:
    """Whether the last job in this folder is the one that was submitted so, and not an earlier one."""
    return bool(provenance.read(folder).get("submitted", {}).get("time") == submitted.time)


def is_done(folder: Path, submitted: Submitted) -> bool:
    """Whether the job that was submitted so has done all that it was asked for."""
    done = provenance.read(folder).get("outcome") == "done" and not (folder / "error.txt").exists()
    return done and has_begun(folder, submitted)


def config_fingerprint(cfg: DictConfig) -> str:
    """Of every dial of a job but Hydra's own. Interpolations count as they are written: what they stand for (a
    variable of the environment, the job's number) may be another where the job runs."""
    dials = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return fingerprint(OmegaConf.to_container(dials, resolve=False))
