"""Snapshots of code that no job will run any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vsd.run.cluster import record, slurm, snapshot
from vsd.run.cluster.record import Submitted


def unused(sweep: Path) -> Iterator[Path]:
    """The snapshots of a sweep whose jobs are done, or are no longer Slurm's; where Slurm cannot be asked, those of
    which every job is done."""
    told = list(record.read_all(sweep))
    for folder in sorted((sweep / snapshot.FOLDER).glob("*")):
        if not _needed(sweep, [each for each in told if each.digest == folder.name]):
            yield folder


def _needed(sweep: Path, jobs: Sequence[Submitted]) -> bool:
    waiting = [job for job in jobs if not record.is_done(sweep / str(job.number), job)]
    if not waiting:
        return False
    if any(job.cluster != "slurm" or not job.job for job in waiting) or not slurm.reachable():
        return True
    known = slurm.statuses([job.job for job in waiting])
    return any(not status.ended for status in known.values())
