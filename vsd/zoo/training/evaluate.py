"""How good the exported models of a family are, from video files, through the project's own engine, full prompts.

The targets' answers are scored as they are, and again with noise in the video's place: what is right then is chance. Of
a draft it is asked how many of the target's tokens it foresees, each behind the target's own ones, and what it misses:
a fact, where both tokens are words of facts, else wording.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from vsd.data.small_events import SmallEvents
from vsd.engine import Engine
from vsd.models import VideoLM, load
from vsd.parallelism import Autoregressive
from vsd.types import Sample, Score, Video
from vsd.video import read
from vsd.zoo.small_events import CLIPS
from vsd.zoo.small_events.asking import questions_of
from vsd.zoo.small_events.reading import chance
from vsd.zoo.small_events.world import HELD_OUT, SHOT, scene
from vsd.zoo.training.models import DRAFTS
from vsd.zoo.training.words import Facts

_LONGEST = 192  # tokens of an answer
_DRAWN = 200  # scenes for what is right by chance
Numbers = dict[str, float]


class EvaluationError(ValueError):
    """Clips, questions or a checkpoint that are not there or cannot be read."""


def evaluate(
    weights: Path,
    *,
    target: str = "target",
    clips: str | None = None,
    ask: str | Sequence[str] = "all",
    most: int | None = None,
) -> dict[str, dict[str, Numbers]]:
    """Of each length of clip, of the models in the folder `weights`: the shares of facts right of each that is there
    ("target", "noise", "near", "other"), and by chance; and of each draft the share of tokens "foreseen", how many
    "misses" there are and the share of them that is "wording". `clips` is a folder of clips (None: the bundled ones),
    `ask` the kinds of questions, `most` bounds the clips of a length. Raises EvaluationError for what is not there."""
    try:
        data_sets = [SmallEvents(path=clips, ask=ask, frames=frames) for frames in _lengths(clips)]
        samples = [_first(data, most) for data in data_sets]
        models = {target: load(str(weights / target))}
        models |= {role: load(str(weights / role), field="draft") for role in DRAFTS if (weights / role).exists()}
    except ValueError as error:
        raise EvaluationError(str(error)) from error
    return {
        str(data.frames): _Evaluation(data, first, models, target).numbers()
        for data, first in zip(data_sets, samples, strict=True)
    }


def _lengths(clips: str | None) -> list[int]:
    """The numbers of frames of the clips."""
    SmallEvents(path=clips, ask="all", frames=None).samples()  # raises for a listing that cannot be read
    lines = (Path(clips or CLIPS) / "clips.jsonl").read_text().splitlines()
    return sorted({json.loads(line)["frames"] for line in lines if line.strip()})


def _first(data: SmallEvents, most: int | None) -> list[Sample]:
    """The questions about the first clips."""
    samples = data.samples()
    videos = list(dict.fromkeys(sample.video for sample in samples))[:most]
    return [sample for sample in samples if sample.video in videos]


def write(report: dict[str, dict[str, Numbers]], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n")


def table(report: dict[str, dict[str, Numbers]]) -> str:
    """A line a length and model."""
    lines = []
    for frames, models in report.items():
        for name, numbers in models.items():
            said = ", ".join(f"{key} {value:.3f}" for key, value in numbers.items())
            lines.append(f"{frames} frames, {name}: {said}")
    return "\n".join(lines)


class _Evaluation:
    """Of clips of one length."""

    def __init__(self, data: SmallEvents, samples: list[Sample], models: dict[str, VideoLM], target: str) -> None:
        self._data, self._samples, self._models, self._target = data, samples, models, target
        self._engines = {
            name: Engine(target=model, parallelism=Autoregressive(), max_new_tokens=_LONGEST)
            for name, model in models.items()
        }
        self._facts = frozenset(Facts(models[target].processor.tokenizer).tokens)
        self._scores: defaultdict[str, list[dict[str, Score]]] = defaultdict(list)
        self._foreseen: defaultdict[str, list[NDArray[np.int64]]] = defaultdict(list)

    def numbers(self) -> dict[str, Numbers]:
        videos: dict[str, Video] = {}
        for number, sample in enumerate(track(self._samples, description=f"{self._data.frames} frames")):
            if sample.video not in videos:
                videos = {sample.video: read(sample.video, self._data.frames or 0)}
            self._try(sample, videos[sample.video], seed=number)
        numbers = {name: _pooled(scores) for name, scores in self._scores.items()}
        for name, misses in self._foreseen.items():
            numbers[name] |= _misses(np.concatenate(misses))
        return numbers | {"chance": {"facts": _chance(self._data.frames or SHOT)}}

    def _try(self, sample: Sample, video: Video, seed: int) -> None:
        for name, engine in self._engines.items():
            trace = engine.run(video, sample.question)
            self._scores[name].append(self._data.score(sample, engine.text(trace)))
            if name == self._target:
                tokens = list(trace.tokens)
            else:
                model = self._models[name]
                self._foreseen[name].append(compare(model, video, sample.question, tokens, self._facts))
        engine = self._engines[self._target]
        trace = engine.run(_noise(video, seed), sample.question)
        self._scores["noise"].append(self._data.score(sample, engine.text(trace)))


RIGHT, WORDING, FACT = range(3)


def compare(draft: VideoLM, video: Video, question: str, tokens: list[int], facts: frozenset[int]) -> NDArray[np.int64]:
    """What the draft would say at each of the target's tokens, behind those before: RIGHT, or what is missed. `facts`
    are the tokens that are words of facts."""
    prompt = draft.encode(video, question)
    state, first_W = draft.prefill(prompt, capacity=prompt.length + len(tokens))
    said = [int(first_W.argmax())]
    if len(tokens) > 1:
        logits_MW = draft.forward(torch.tensor(tokens[:-1]), range(-1, len(tokens) - 2), state).logits_MW
        said += logits_MW.argmax(-1).tolist()
    kinds = [FACT if {ours, theirs} <= facts else WORDING for ours, theirs in zip(said, tokens, strict=True)]
    return np.where(np.array(said) == tokens, RIGHT, kinds)


def _misses(kinds: NDArray[np.int64]) -> Numbers:
    """The share foreseen, and of the misses the share that is wording."""
    missed = kinds[kinds != RIGHT]
    return {
        "foreseen": float((kinds == RIGHT).mean()),
        "misses": float(len(missed)),
        "wording": float((missed == WORDING).mean()) if len(missed) else 0.0,
    }


def _chance(frames: int) -> float:
    """Of the facts that clips of this length are asked for."""
    rng, seeds = np.random.default_rng(0), range(HELD_OUT, HELD_OUT + _DRAWN)
    questions = [question for seed in seeds for question in questions_of(scene(seed, frames // SHOT), rng)]
    return chance(question.facts for question in questions)


def _noise(video: Video, seed: int) -> Video:
    pixels = np.random.default_rng(seed).integers(0, 256, video.frames.shape, np.uint8)
    return Video(frames=pixels, timestamps=video.timestamps, path=video.path)


def _pooled(scores: Iterable[dict[str, Score]]) -> Numbers:
    right: defaultdict[str, float] = defaultdict(float)
    total: defaultdict[str, float] = defaultdict(float)
    for score in scores:
        for name, part in score.items():
            right[name] += part.right
            total[name] += part.asked
    return {name: right[name] / total[name] for name in sorted(total) if total[name]}
