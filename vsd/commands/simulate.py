"""How fast would it be? ``vsd simulate`` predicts speed-ups on machines that are not here.

Step times are those of a roofline (``--target llava_ov_72b --draft llava_ov_7b --device l40s --target-devices 8``), of
a finished run (``--run FOLDER``) or file (``--profile FILE``), or given (``--times target_s=0.42,draft_s=0.0466``).
Acceptance is a rate (``--rate 0.87``), rates by the place in a draft (``--rate 0.9,0.85,0.8``), or with ``--run`` the
recorded tokens themselves, also at the step times of another machine. Lists are written ``0,0.5,0.9``, ranges of whole
numbers ``1-16``; every combination of ``--schedule``, ``--ratio`` and ``--gamma`` is a row. A rate is taken to be the
same at every ratio.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from vsd.commands.lists import is_written, numbers, whole_numbers
from vsd.drafters.tree import SPECVLM, form
from vsd.metrics import METRICS, summarise
from vsd.metrics.record import Record
from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Parallelism, Sequential
from vsd.simulator.acceptance import Acceptance, ByPosition, Replay
from vsd.simulator.figure import draw
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.devices import DEVICES
from vsd.step_times.profile import Profile
from vsd.step_times.roofline import EFFICIENCIES, USUAL_EFFICIENCY, Machine, Roofline, Split, efficiency_of
from vsd.step_times.shapes import SHAPES, shape
from vsd.step_times.times import Given, Times
from vsd.utils.validation import require, require_one_of

SCHEDULES: dict[str, Parallelism] = {
    "sequential": Sequential(),
    "pearl": PEARL,
    "hippo": HIPPO,
    "parallelvlm": replace(PARALLELVLM, length="fixed"),  # every gamma is tried here
}
COLUMNS = {
    "speed/decode": "decode",
    "speed/end_to_end": "end to end",
    "speed/ttft": "first token",
    "speed/tokens_per_s": "tokens/s",
    "speed/device_s_per_token": "device-s",
    "accept/length": "per round",
    "accept/run_length": "per run",
    "parallel/wasted": "wasted",
    "parallel/overlap": "at once",
    "parallel/target_wait": "waits",
}
"""The metrics of the table, and its narrow headings."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting, its numbers, and the standard error of `speed/decode`."""

    schedule: str
    ratio: float
    gamma: int
    values: dict[str, float]
    error: float


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a row a setting, and the best one; 2 for an option that is refused."""
    args = options().parse_args(argv)
    try:
        table_rows = list(rows(args))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(table_rows))
    for name in ("speed/decode", "speed/end_to_end"):
        best = max(table_rows, key=lambda row: row.values[name])
        print(f"best, {COLUMNS[name]}: {METRICS[name].written(best.values[name])} with {described(best)}")
    print(f"standard error of the decode speed-up: at most {max(row.error for row in table_rows):.1%} of it")
    if args.figure:
        draw([(row.schedule, row.ratio, row.gamma, row.values["speed/decode"]) for row in table_rows], args.figure)
    return 0


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vsd simulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = parser.add_argument_group("step times of a roofline")
    models.add_argument("--target", help=f"a checkpoint, or one of {', '.join(SHAPES)}")
    models.add_argument("--draft", help="the same")
    models.add_argument(
        "--device", default="h100", help=f"{', '.join(DEVICES)}, or two: the draft's last (default h100)"
    )
    models.add_argument("--target-devices", default="1", help="over how many the target is split (default 1)")
    models.add_argument("--draft-devices", default="1", help="the draft's own (default 1)")
    models.add_argument("--split", default="tensor", help="tensor or pipeline (default tensor)")
    presets = ", ".join(f"{name}: {share}" for name, share in EFFICIENCIES.items())
    models.add_argument(
        "--efficiency",
        default=str(USUAL_EFFICIENCY),
        help=f"share of the data sheet's numbers, or {presets} (default {USUAL_EFFICIENCY})",
    )
    models.add_argument("--layer-us", default="0", help="microseconds that a layer costs besides (default 0)")
    measured = parser.add_argument_group("other step times")
    measured.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        nargs="+",
        help="of a run: its tokens, and its times if no others are named; of runs with several gammas, the first one's "
        "tokens, and times of all",
    )
    measured.add_argument("--profile", type=Path, metavar="FILE", help="times that --save-profile wrote")
    measured.add_argument("--times", help="target_s=, draft_s=, and if known " + ", ".join(_known()[2:]))
    measured.add_argument("--save-profile", type=Path, metavar="FILE", help="write the times of --run")
    parser.add_argument("--schedule", default="sequential", help=f"list of {', '.join(SCHEDULES)}")
    parser.add_argument("--gamma", default="1-10")
    parser.add_argument("--ratio", default=None, help="list; of --run its own, else 0")
    parser.add_argument("--rate", help="acceptance; by the place in a draft if there are several")
    parser.add_argument("--visual", default="0", help="visual tokens of a prompt (default 0)")
    parser.add_argument("--text", default="64", help="its other tokens (default 64)")
    parser.add_argument("--tokens", default="256", help="of a generation (default 256)")
    parser.add_argument("--tree", default="", help="specvlm, or paths of ranks as of drafter=tree: '0 1 0,0'")
    parser.add_argument("--early", default="0.5", help="share of the target's layers that pruning needs (default 0.5)")
    parser.add_argument("--latency-us", help="a message's way between two devices; the default is that of the times")
    parser.add_argument("--precision", default="0.01", help="standard error wanted, as a share (default 0.01)")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="speed-up over gamma, as a picture")
    return parser


def rows(args: argparse.Namespace) -> Iterator[Row]:
    """A row a setting. Raises ValueError for an option that is refused, before anything is simulated."""
    runs = [_records(folder) for folder in args.run or []]
    records = runs[0] if runs else []
    times, acceptance = _times(args, [record for run in runs for record in run]), _acceptance(args, records)
    schedules = [_schedule(name) for name in args.schedule.split(",")]
    _check_figure(args.figure)
    chains = [name for name, parallelism in schedules if parallelism.chains]
    require("--tree", f"empty with {', '.join(chains)}, which need chains", args.tree, not (args.tree and chains))
    given = _own_ratio(records) if args.ratio is None else args.ratio
    ratios = numbers("--ratio", given, "in [0, 1)", lambda value: 0 <= value < 1)
    gammas = whole_numbers("--gamma", args.gamma)
    wanted = numbers("--precision", args.precision, "one number in (0, 1)", lambda value: 0 < value < 1)[0]
    base = Setting(
        times=times,
        acceptance=acceptance,
        paths=_tree(args.tree),
        early=numbers("--early", args.early, "one number in [0, 1]", lambda value: 0 <= value <= 1)[0],
        visual=_whole("--visual", args.visual, 0),
        text=_whole("--text", args.text, 1),
        tokens=_whole("--tokens", args.tokens, 2),
        seed=_whole("--seed", args.seed, 0),
    )
    if isinstance(times, Roofline):
        for note in times.crowded(base.visual + base.text + base.tokens):
            print(f"warning: {note}", file=sys.stderr)
    if args.save_profile:
        require("--save-profile", "given with --run, whose times it writes", str(args.save_profile), not named(args))
        assert isinstance(times, Profile)
        times.save(args.save_profile)
    for name, parallelism in schedules:
        for ratio in ratios:
            for gamma in gammas:
                setting = replace(base, parallelism=parallelism, gamma=gamma, ratio=ratio)
                yield _row(name, setting, simulate(setting, precision=wanted))


def _row(schedule: str, setting: Setting, records: Sequence[Record]) -> Row:
    summary = summarise(records)
    error = summary.errors.get("speed/decode", 0.0) / summary.values["speed/decode"]
    return Row(schedule=schedule, ratio=setting.ratio, gamma=setting.gamma, values=summary.values, error=error)


def table(table_rows: Sequence[Row]) -> str:
    """The rows as an aligned table in Markdown."""
    head = ["schedule", "ratio", "gamma", *COLUMNS.values()]
    lines = [head]
    for row in table_rows:
        cells = [METRICS[name].written(row.values[name]) if name in row.values else "–" for name in COLUMNS]
        lines.append([row.schedule, f"{row.ratio:g}", str(row.gamma), *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def described(row: Row) -> str:
    return f"schedule {row.schedule}, ratio {row.ratio:g}, gamma {row.gamma}"


def _check_figure(file: Path | None) -> None:
    if file is None:
        return
    require("--figure", "in a folder that exists", str(file), file.parent.is_dir())
    require("--figure", "a file of .svg, .png or .pdf", str(file), file.suffix in (".svg", ".png", ".pdf"))


# What the options mean


def named(args: argparse.Namespace) -> list[str]:
    """The options that name step times, other than --run."""
    return [f"--{option}" for option in ("profile", "times", "target") if getattr(args, option)]


def _times(args: argparse.Namespace, records: Sequence[Record]) -> Times:
    """The one source of step times that was named."""
    sources = named(args)
    holds = len(sources) <= 1 and bool(sources or args.run)
    require("--target", "given with --draft, or one of --run, --profile, --times instead", ", ".join(sources), holds)
    latency: dict[str, Any] = {}
    if args.latency_us is not None:
        latency["latency_s"] = _number("--latency-us", args.latency_us) / 1e6
    if not sources:
        return Profile.from_records(records, **latency)
    if args.profile:
        return replace(Profile.load(args.profile), **latency)
    if args.times:
        return _given(args.times, latency)
    require("--draft", "given with --target", args.draft, bool(args.draft))
    devices = args.device.split(",")
    known = len(devices) <= 2 and all(device in DEVICES for device in devices)
    require("--device", f"one of {', '.join(DEVICES)}, or one for each model", args.device, known)
    require_one_of("--split", args.split, get_args(Split))
    given = args.efficiency
    efficiency = efficiency_of(float(given) if is_written(given) else given, field="--efficiency")
    layer_s = _number("--layer-us", args.layer_us) / 1e6
    target_on, draft_on = (
        Machine(
            device=DEVICES[device],
            count=_whole(f"--{role}-devices", getattr(args, f"{role}_devices"), 1),
            split=args.split,
            efficiency=efficiency,
            layer_s=layer_s,
        )
        for role, device in (("target", devices[0]), ("draft", devices[-1]))
    )
    target, draft = shape(args.target, field="--target"), shape(args.draft, field="--draft")
    return Roofline(target=target, draft=draft, target_on=target_on, draft_on=draft_on, **latency)


def _known() -> list[str]:
    """What --times knows, in its spelling."""
    return [field.name.removesuffix("_s") + "_s" for field in fields(Given)]


def _given(text: str, latency: dict[str, Any]) -> Given:
    rule = f"NAME=SECONDS,..., with {', '.join(_known()[:2])} and of {', '.join(_known()[2:])}"
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    holds = set(_known()[:2]) <= set(parts) <= set(_known()) and all(
        is_written(value, least=0) for value in parts.values()
    )
    require("--times", rule, text, holds)
    require("--times", "with a target_s above 0", text, float(parts["target_s"]) > 0)
    values = {name.removesuffix("_s"): float(value) for name, value in parts.items()}
    if "latency" in values:
        values["latency_s"] = values.pop("latency")
    return Given(**{**values, **latency})


def _acceptance(args: argparse.Namespace, records: Sequence[Record]) -> Acceptance:
    if args.rate is not None:
        return ByPosition(numbers("--rate", args.rate, "numbers in [0, 1]", lambda value: 0 <= value <= 1))
    require("--rate", "given where there is no --run", args.rate, bool(records))
    return Replay([record.trace for record in records if record.trace is not None])


def _records(folder: Path) -> list[Record]:
    from vsd.run.report.folder import last_run  # not of the core: it reads the run's config

    holds = (folder / "provenance.json").is_file()
    require("--run", "the folder of a run", str(folder), holds)
    return last_run(folder)[1]


def _own_ratio(records: Sequence[Record]) -> str:
    """The share of its visual tokens that a run removed."""
    traces = [record.trace for record in records if record.trace is not None]
    visual, kept = sum(trace.visual for trace in traces), sum(trace.kept for trace in traces)
    return f"{1 - kept / visual:.4f}" if visual else "0"


def _schedule(name: str) -> tuple[str, Parallelism]:
    require("--schedule", f"a list of {', '.join(SCHEDULES)}", name, name in SCHEDULES)
    return name, SCHEDULES[name]


def _tree(text: str) -> str:
    paths = SPECVLM if text == "specvlm" else text
    try:
        form(paths or "0")
    except ValueError as error:
        raise ValueError(f"--tree: {error}") from error
    return paths


def _number(name: str, text: str) -> float:
    return numbers(name, text, "one number, at least 0", lambda value: value >= 0)[0]


def _whole(name: str, text: str, least: int) -> int:
    require(name, f"a whole number, at least {least}", text, text.isdecimal() and int(text) >= least)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
