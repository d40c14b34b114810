"""What the experiments share: the held-out clips as frames, engines side by side, runs compared, and tables."""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, ListConfig, OmegaConf

from vsd.data.scoring import scored
from vsd.data.small_events import SmallEvents
from vsd.engine import Engine
from vsd.evidence import Collector, Reading
from vsd.metrics import METRICS, Estimate, estimate
from vsd.metrics.record import Record
from vsd.metrics.registry import ratio
from vsd.metrics.resampling import Videos
from vsd.models import Checkpoint, State, VideoLM
from vsd.run import app
from vsd.run.provenance import provenance
from vsd.run.report.folder import last_run
from vsd.run.task import sample_seed
from vsd.types import Evidence, Grid, Prompt, Sample, Video
from vsd.video import read
from vsd.zoo.small_events.drawing import CELL, tokens_of
from vsd.zoo.small_events.world import Shown

CONF = Path(__file__).resolve().parents[1] / "conf"
TARGETS = {"qwen2_5_vl": "tiny_qwen", "llava_onevision": "tiny_llava"}
"""The bundled families, and the options that name their pairs."""
FAMILIES = tuple(TARGETS)
DRAFTS = ("near", "other")
ACCEPTED = "accept/draft_length"
"""The metric by which drafts are compared: draft tokens accepted per round."""


def arguments(doc: str | None, *, draft: str = "near") -> argparse.ArgumentParser:
    """The options that all measurements on the bundled pairs have; `draft` is the one taken by default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: both")
    parser.add_argument("--target", default="target", help="its ROLE (target-plain: one trained without heads)")
    parser.add_argument("--draft", choices=DRAFTS, default=draft, help=f"default: {draft}")
    parser.add_argument("--frames", type=int, default=64, help="of the clips (default: 64)")
    parser.add_argument("--ask", nargs="+", default=["one"], help="kinds of question, as of data.ask (default: one)")
    parser.add_argument("--ratio", type=float, default=0.9)
    parser.add_argument("--limit", type=int, help="questions; default: all")
    parser.add_argument("--weights", metavar="FOLDER", help="holds FAMILY/ROLE; default: the bundled models")
    parser.add_argument("--clips", metavar="FOLDER", help="holds a clips.jsonl; default: the bundled clips")
    return parser


def pairs(args: argparse.Namespace, **options: Any) -> Iterator[tuple[str, VideoLM, Checkpoint]]:
    """Each family asked for, its target, and its draft, which is still to be loaded."""
    for name in args.family or FAMILIES:
        target, draft = (bundled(name, role, args.weights, **options) for role in (args.target, args.draft))
        yield name, target.load(), draft


def bundled(family: str, role: str, weights: str | None = None, **options: Any) -> Checkpoint:
    """A bundled model, or the one of that family and role in the folder `weights`."""
    path = f"{weights}/{family}/{role}" if weights else f"zoo:{family}/{role}"
    return Checkpoint(path=path, field="draft" if role in DRAFTS else "target", **options)


@dataclass(frozen=True)
class Clips:
    """Held-out clips with their questions and their scorer. To go through them is to read them like any user's."""

    data: SmallEvents
    limit: int | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Clips:
        return cls(SmallEvents(path=args.clips, ask=args.ask, frames=args.frames), args.limit)

    @property
    def samples(self) -> list[Sample]:
        return self.data.samples()[: self.limit]

    def __iter__(self) -> Iterator[tuple[Sample, Video]]:
        videos: dict[str, Video] = {}
        for sample in self.samples:
            if sample.video not in videos:
                videos = {sample.video: read(sample.video, self.data.frames or 0)}
            yield sample, videos[sample.video]

    def __str__(self) -> str:
        samples = self.samples
        count, asked = len({sample.video for sample in samples}), ", ".join(self.data.kinds)
        return f"{count} clips of {self.data.frames} frames, {len(samples)} questions ({asked})."


def configured(*dials: str) -> Engine:
    """The engine that the command line runs with these dials."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=list(dials))
    methods, *_ = app.prepare(cfg, [])
    return app.build_engine(cfg, methods)


def pair_dials(family: str, args: argparse.Namespace) -> list[str]:
    """The dials that choose the pair, its weights and the clips for `configured`."""
    option = TARGETS[family] + ("" if args.draft == "near" else f"_{args.draft}")
    dials = [f"target={TARGETS[family]}", f"draft={option}", f"frames={args.frames}"]
    dials += [f"data.frames={args.frames}", f"data.ask=[{','.join(args.ask)}]"]
    dials += [f"data.path={args.clips}"] if args.clips else []
    roles = {"target": args.target, "draft": args.draft} if args.weights else {}
    return dials + [f"{group}.path={args.weights}/{family}/{role}" for group, role in roles.items()]


def side_by_side(
    engines: Sequence[Engine], clips: Clips, *, also: Callable[[Sample, Video], None] | None = None
) -> list[list[Record]]:
    """The records of every engine on the clips, with the first one's target alone beside them.

    All answer a question before the next one comes, in an order that is turned round from one to the next: their speeds
    are of the same minutes. `also` is called on each question behind them.
    """
    alone = engines[0].baseline()
    found: list[list[Record]] = [[] for _ in engines]
    everyone = [alone, *engines]
    for number, (sample, video) in enumerate(clips):
        if not number:
            for engine in everyone:
                engine.run(video, sample.question)  # warms up
        order = everyone if number % 2 else everyone[::-1]
        traces = {id(engine): engine.run(video, sample.question, seed=number) for engine in order}
        baseline = traces[id(alone)]
        for engine, records in zip(engines, found, strict=True):
            trace = traces[id(engine)]
            text, baseline_text = engine.text(trace), alone.text(baseline)
            records.append(
                Record(
                    sample=sample,
                    trace=trace,
                    baseline=baseline,
                    text=text,
                    baseline_text=baseline_text,
                    scores=scored(clips.data.score, sample, text),
                    baseline_scores=scored(clips.data.score, sample, baseline_text),
                )
            )
        if also:
            also(sample, video)
    return found


def seen(target: VideoLM, sample: Sample, video: Video, needs: Iterable[str], seed: int = 0) -> Evidence:
    """What a pruner that `needs` this was shown in a run with this seed."""
    evidence = read_prompt(target, target.encode(video, sample.question), needs, video=video)[1]
    return replace(evidence, seed=sample_seed(seed, sample.id))


def read_prompt(
    target: VideoLM,
    prompt: Prompt,
    needs: Iterable[str],
    *,
    video: Video | None = None,
    capacity: int | None = None,
) -> tuple[State, Evidence]:
    """The target's cache behind a prompt, and what of these needs the prompt has shown; `video` is what it is of."""
    reading = Reading(
        prompt=prompt,
        depth=target.depth,
        ranks=target.ranks,
        video=video,
        frames_per_step=target.frames_per_step,
    )
    collector = Collector({need: need for need in needs}, reading)
    prefill = target.start_prefill(prompt, collector=collector, capacity=capacity)
    prefill.finish()
    return prefill.state, collector.evidence()


def event_tokens(sample: Sample, grid: Grid, frames: int) -> list[int]:
    """The visual tokens that show the events which the answer is about."""
    shown = [Shown(*each) for each in sample.facts["shown"]]
    return tokens_of(shown, frames // grid.t, side=CELL * grid.h)


def difference(name: str, ours: Videos, theirs: Videos) -> Estimate:
    """A metric of one run less that of another, on the same videos."""
    value = METRICS[name].value
    return estimate(lambda a, b: value(a) - value(b), ours, theirs)


def quotient(name: str, ours: Videos, theirs: Videos) -> Estimate:
    """A metric of one run over that of another, on the same videos."""
    value = METRICS[name].value
    return estimate(lambda a, b: ratio(value(a), value(b)), ours, theirs)


def mean(numbers: Iterable[tuple[str, float]]) -> Estimate:
    """The mean of some numbers, each of a video."""
    videos: dict[str, Counter[str]] = defaultdict(Counter)
    for video, number in numbers:
        videos[video].update({"done": 1, "sum": number})
    return estimate(lambda s: ratio(s["sum"], s["done"]), videos)


def plus_minus(found: Estimate, digits: int = 2, sign: str = "") -> str:
    return f"{found.value:{sign}.{digits}f} ± {found.error:.{digits}f}"


def in_errors(found: Estimate) -> str:
    """A difference in its standard errors."""
    return f"{found.value / found.error:+.1f}" if found.error > 0 else "–"


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


def details(title: str, text: str) -> str:
    """Markdown that is folded under its title."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>\n"


def pyplot() -> Any:
    """matplotlib's, set so that the same numbers give the same file."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "vsd"
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Writes a figure, without the date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def runs(folder: Path) -> Iterator[tuple[DictConfig | ListConfig, str, list[Record]]]:
    """The config, the setting (see `described`) and the samples of every run below a multirun's folder."""
    for file in sorted(folder.glob("**/samples.jsonl")):
        source = json.loads((file.parent / "provenance.json").read_text(encoding="utf-8"))
        yield OmegaConf.load(file.parent / "config.yaml"), described(source), last_run(file.parent)[1]


def pair(config: Any) -> str:
    """The family and the draft of a run, and the target if it is another than the usual one, by their folders."""
    target, draft = Path(config.target.path.removeprefix("zoo:")), Path(config.draft.path).name
    role = "" if target.name == "target" else f" ({target.name})"
    return f"{target.parent.name}{role}, {draft}"


def setting() -> str:
    """Date, machine and versions: what a number needs beside it."""
    return described(provenance())


def described(source: Mapping[str, Any]) -> str:
    """The same, of a run's provenance."""
    hardware, packages = source["hardware"], source["packages"]
    machine = ", ".join(hardware["gpus"]) or f"{hardware['cpu']}, {hardware['threads']} thread(s)"
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers"))
    return f"Measured {source['time'][:10]}, {machine}, Python {source['python']}, {versions}."
