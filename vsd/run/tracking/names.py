"""What a run is called in Weights & Biases, and by what it is found there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vsd.run import provenance
from vsd.run.check import METHODS
from vsd.run.report.printable import printable
from vsd.run.results.cells import written
from vsd.run.results.dials import NOT_THE_RUN, dial_of, group_of
from vsd.run.results.run import Run
from vsd.utils.fingerprint import fingerprint

_SWEEP = ("multirun.yaml", "study.journal")
_LONGEST = 120  # characters of a name
LONGEST_TAG = 64  # W&B takes no longer ones


def title(run: Run) -> str:
    """The method, its ratio, whatever else was set, and the target: "hippo 0.9 gamma 7 · tiny_qwen"."""
    given = _given(run)
    experiment, target = _choice(run, "experiment"), _choice(run, "target")
    alone = _choice(run, "parallelism") == "autoregressive"
    said = {"experiment", "ratio", "target"} | (set() if experiment else {"parallelism" if alone else "pruner"})
    words = [experiment or ("autoregressive" if alone else _choice(run, "pruner")) or "run"]
    if not alone and _choice(run, "pruner") not in ("", "none") and "ratio" in run.config:
        words.append(written(run.config["ratio"]))
    words += [_said(run, dial, value) for dial, value in given.items() if dial not in said]
    name = printable(" ".join(words) + (f" · {target}" if target else ""))
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def group(run: Run) -> str | None:
    """The folder of the sweep or study that the run is a job of, None for a run of its own."""
    above = run.folder.resolve().parent
    if not any((above / name).is_file() for name in _SWEEP):
        return None
    return printable(f"{above.parent.name}/{above.name}")[-_LONGEST:]


def job_type(run: Run) -> str | None:
    """The experiment, None where none was chosen."""
    return _choice(run, "experiment") or None


def tags(run: Run) -> list[str]:
    """The methods used, each once."""
    found = dict.fromkeys(_choice(run, name) for name in METHODS)
    return [printable(name)[:LONGEST_TAG] for name in found if name]


def run_id(run: Run) -> str:
    """The same for every job that goes on with this run, and whenever it is sent again: the first of these jobs, or the
    name that a W&B sweep has given it. Shards that were put together are another run than each of them."""
    jobs = provenance.jobs_of(run.provenance)
    config = next((job["config"] for job in jobs if "config" in job), None)
    shard = str(run.config.get("shard", "0/1"))
    same = [job for job in jobs if job.get("config") == config]
    mine = [job for job in same if job.get("shard", "0/1") == shard]
    first = (mine or same or [{}])[-1]
    known = first.get("wandb") or first.get("job")
    if not known:
        return fingerprint(str(run.folder.resolve()))[:12]
    return str(known) if mine else fingerprint([known, "shards"])[:12]


def flat_config(run: Run) -> dict[str, Any]:
    """Every dial under a name to filter by: a group's is its option, and the fields of a method stand under the
    option's name (hippo.weight_global), those of a model under its role. A field that only hands on a dial is left out.
    """
    found: dict[str, Any] = {}
    dials = {name: value for name, value in run.config.items() if not isinstance(value, Mapping)}
    for name, value in dials.items():
        if name not in NOT_THE_RUN - {"limit", "shard"}:
            found[name] = value
    for group_name, value in run.config.items():
        if not isinstance(value, Mapping) or group_name in NOT_THE_RUN:
            continue
        option = _choice(run, group_name)
        if option:
            found[group_name] = option
        prefix = option if group_name in METHODS and option else group_name
        for field, inner in _leaves(value):
            if field in dials and dials[field] == inner:
                continue
            key = f"{prefix}.{field}"
            found[key if key not in found else f"{group_name}.{field}"] = inner
    if experiment := _choice(run, "experiment"):
        found["experiment"] = experiment
    return {printable(str(name)): _plain(value) for name, value in {**found, **_origin(run)}.items()}


def _origin(run: Run) -> dict[str, Any]:
    """Where the numbers come from, in short; provenance.json has all of it."""
    told = run.provenance
    hardware, packages, git = (told.get(name) or {} for name in ("hardware", "packages", "git"))
    found = {
        "commit": git.get("commit"),
        "changed": git.get("dirty"),
        "host": told.get("host"),
        "cpu": hardware.get("cpu"),
        "gpus": hardware.get("gpus"),
        "torch": packages.get("torch"),
        "transformers": packages.get("transformers"),
        "folder": str(run.folder.resolve()),
        "command": told.get("command"),
    }
    return {f"provenance.{name}": value for name, value in found.items() if value not in (None, [])}


def _leaves(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in _leaves(value))
        elif name != "_target_":
            yield str(name), value


def _plain(value: Any) -> Any:
    """What JSON and W&B's filters take."""
    if isinstance(value, str):
        return printable(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _choice(run: Run, name: str) -> str:
    """The chosen option of a group, a method's class where Hydra has not started the job; empty where none was."""
    chosen = run.choices.get(name, "")
    if chosen in ("None", "null"):
        return ""
    value = run.config.get(name)
    target = value.get("_target_") if isinstance(value, Mapping) and name in METHODS else None
    return chosen or str(target or "").rpartition(".")[2]


def _given(run: Run) -> dict[str, str]:
    """What was set, without what only says where and how far a run goes."""
    words = (word for word in run.overrides if group_of(word) not in NOT_THE_RUN)
    return {dial_of(word): word.partition("=")[2] for word in words}


def _said(run: Run, dial: str, value: str) -> str:
    """An override in a name."""
    last = value.rstrip("/").rpartition("/")[2]
    if dial in METHODS:
        return last
    return f"{dial.rpartition('.')[2]} {last}" if last else f"no {dial}"
