"""Where a page's numbers come from: versions, hardware, commit, and the commands to repeat them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from vsd.run.html.names import Names
from vsd.run.report.printable import printable
from vsd.run.results.run import Run

_OF_ONE_RUN = (
    "schema",
    "submitted",
    "slurm",
    "signal",
    "job",
    "shard",
    "overrides",
    "load",
    "host",
    "pid",
    "command",
    "config",
    "earlier",
    "outcome",
    "ended",
    "time",
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What several runs have in common: names and values; and which runs these are."""

    runs: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Command:
    """What repeats a run or a sweep, as a shell takes it."""

    of: str
    line: str


def origins(runs: Sequence[Run], names: Names) -> list[Origin]:
    """Versions, hardware and commit, once for all runs that share them."""
    groups = dict[str, list[Run]]()
    for run in runs:
        groups.setdefault(json.dumps(_lasting(run), sort_keys=True, default=str), []).append(run)
    return [
        Origin(
            runs="" if len(groups) == 1 else ", ".join(map(names.short, group)),
            facts=tuple((name, printable(value)) for name, value in _facts(_lasting(group[0]))),
        )
        for group in groups.values()
    ]


def commands(runs: Sequence[Run], names: Names) -> list[Command]:
    """The command of each sweep that all its jobs are of, and that of each run."""
    found = [Command(of="the sweep", line=line) for line in dict.fromkeys(filter(None, map(_sweep, runs)))]
    return [*found, *(Command(of=names.short(run), line=line) for run in runs if (line := _command(run)))]


def times(runs: Sequence[Run]) -> str:
    """From when to when the runs began, in UTC."""
    known = sorted(run.time for run in runs if run.time)
    return "" if not known else known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _command(run: Run) -> str:
    """By what was set for it, but where it wrote: there it would go on instead of beginning anew."""
    if not (run.folder / ".hydra" / "overrides.yaml").is_file():  # it was not started from the command line
        return printable(str(run.provenance.get("command", "")))
    whole = str(run.config.get("shard", "0/1")) == "0/1"  # its shards are put together
    return _line(["vsd"], run.overrides, ("out", "shard") if whole else ("out",))


def _sweep(run: Run) -> str:
    """The command of the multirun that a run is a job of; empty if there is none."""
    file = run.folder.parent / "multirun.yaml"
    try:
        task = OmegaConf.to_container(OmegaConf.load(file), resolve=False)["hydra"]["overrides"]["task"]  # type: ignore[index, call-overload]
    except Exception:  # missing, damaged, or another's
        return ""
    return _line(["vsd", "-m"], [str(each) for each in task or ()], ("out",))


def _line(begin: Sequence[str], overrides: Sequence[str], without: Sequence[str]) -> str:
    kept = [each for each in overrides if each.partition("=")[0].lstrip("+") not in without]
    return printable(shlex.join([*begin, *kept]))


def _lasting(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.provenance.items() if name not in _OF_ONE_RUN}


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    git = told.get("git")
    if isinstance(git, Mapping):
        changed = " with uncommitted changes" if git.get("dirty") else ""
        yield "commit", f"{git.get('commit')}{changed}"
    for name, value in told.items():
        if isinstance(value, Mapping) and name != "git":
            yield name, ", ".join(_said(key, each) for key, each in value.items() if each not in (None, [], ""))
        elif name != "git" and value not in (None, [], ""):
            yield name, _plain(value)


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, Mapping):
        return f"{name} ({', '.join(_said(key, each) for key, each in value.items())})"
    return f"{name} {_plain(value)}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
