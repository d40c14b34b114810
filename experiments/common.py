"""What the experiments share: the bundled clips as frames, and a table in Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from vsd.data.moving_shapes import MovingShapes
from vsd.data.scoring import scored
from vsd.engine import Engine
from vsd.models import Checkpoint, VideoLM
from vsd.provenance import provenance
from vsd.record import Record
from vsd.report.folder import last_run
from vsd.types import Sample, Video
from vsd.video import read
from vsd.zoo import ROPES

FAMILIES = tuple(ROPES)


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The options that all measurements on the bundled pairs have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: both")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--ratio", type=float, default=0.9)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--drafts", metavar="FOLDER", help="holds FAMILY for each pair; default: the bundled ones")
    return parser


def pairs(args: argparse.Namespace) -> Iterator[tuple[str, VideoLM, Checkpoint]]:
    """Each family asked for, its target, and its draft, which is still to be loaded."""
    for name in args.family or FAMILIES:
        yield name, bundled(name, "target").load(), bundled(name, "draft", args.drafts and f"{args.drafts}/{name}")


def bundled(family: str, role: str, path: str | None = None, **options: Any) -> Checkpoint:
    """A bundled model, or another one of its kind at `path`, with the positions that it was taught."""
    return Checkpoint(path=path or f"zoo:{family}/{role}", field=role, rope=ROPES[family], **options)


def clips(frames: int, limit: int | None = None) -> list[tuple[Sample, Video]]:
    """The held-out clips, read like any user's video."""
    return [(sample, read(sample.video, frames)) for sample in MovingShapes().samples()[:limit]]


def side_by_side(
    engines: Sequence[Engine],
    frames: int,
    limit: int | None = None,
    *,
    also: Callable[[Sample, Video], None] | None = None,
) -> list[list[Record]]:
    """The records of every engine on the clips, with the first one's target alone beside them.

    All decode a clip before the next one comes, in an order that is turned round from clip to clip: their speeds are of
    the same minutes. `also` is called on each clip behind them.
    """
    alone, scorer = engines[0].baseline(), MovingShapes().score
    found: list[list[Record]] = [[] for _ in engines]
    everyone = [alone, *engines]
    for number, (sample, video) in enumerate(clips(frames, limit)):
        if not number:
            for engine in everyone:
                engine.run(video, sample.question)  # warms up
        order = everyone if number % 2 else everyone[::-1]
        traces = {id(engine): engine.run(video, sample.question, seed=number) for engine in order}
        baseline = traces[id(alone)]
        for engine, records in zip(engines, found, strict=True):
            trace = traces[id(engine)]
            texts = {"text": engine.text(trace), "baseline_text": alone.text(baseline)}
            scores = {
                "scores": scored(scorer, sample, texts["text"]),
                "baseline_scores": scored(scorer, sample, texts["baseline_text"]),
            }
            records.append(Record(sample=sample, trace=trace, baseline=baseline, **texts, **scores))
        if also:
            also(sample, video)
    return found


def shown(values: Mapping[str, float], errors: Mapping[str, float], name: str) -> str:
    """A metric with its standard error, as far as they are defined."""
    if name not in values:
        return "–"
    return f"{values[name]:.2f}" + (f" ± {errors[name]:.2f}" if name in errors else "")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three digits."""
    shown = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *shown]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def runs(folder: Path) -> Iterator[tuple[DictConfig | ListConfig, str, list[Record]]]:
    """The config, the setting (see `described`) and the samples of every run below a multirun's folder."""
    for file in sorted(folder.glob("**/samples.jsonl")):
        source = json.loads((file.parent / "provenance.json").read_text(encoding="utf-8"))
        yield OmegaConf.load(file.parent / "config.yaml"), described(source), last_run(file.parent)[1]


def family(config: Any) -> str:
    """The bundled pair that a run's target is of."""
    return str(config.target.path.removeprefix("zoo:").split("/")[0])


def setting() -> str:
    """Date, machine and versions: what a number needs beside it."""
    return described(provenance())


def described(source: Mapping[str, Any]) -> str:
    """The same, of a run's provenance."""
    hardware, packages = source["hardware"], source["packages"]
    machine = ", ".join(hardware["gpus"]) or f"{hardware['cpu']}, {hardware['threads']} thread(s)"
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers"))
    return f"Measured {source['time'][:10]}, {machine}, Python {source['python']}, {versions}."
