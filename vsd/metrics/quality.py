"""What a generation is worth: against the target's own, and against the reference. For lossy rules, the price of speed.

Everything is computed from the records, so a finished run's numbers can be made again without decoding. A value is a
pooled total or a mean over the samples that have what it needs; without any it is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import takewhile

import numpy as np

from vsd.metrics.record import Record
from vsd.types import Score, Trace
from vsd.utils.faults import left_out

OVERLAP = "reference_rouge_l"  # the score of free text, which says least: it makes the retention last
RESAMPLES = 1000
Parts = dict[str, Score]


def summary(records: Sequence[Record]) -> dict[str, float]:
    """The metrics `quality/...` of a run, flat and finite.

    Against the target's own generation: `agreement` (tokens equal at the same place, over the longer generation's
    length), `first_divergence` (tokens before the first difference, the whole generation where there is none),
    `rouge_l` (F1) and `bleu` (smoothed, per sample), as means. Against the reference, of this run and (`baseline_...`)
    of the target alone: the scores of the records, whatever the data set calls them, each as all that is right of all
    that was asked. `retention`: the run's share of the baseline's in percent, of the data set's first score (ROUGE-L to
    the reference only where there is no other); left out where the baseline has none right. `..._low` to `..._high` is
    a value's 95% bootstrap interval over the videos, this run and the baseline drawn together.
    """
    videos, judged = _by_video(records), _judged(records)
    values = _values(_total(videos), judged)
    for name, drawn in _resampled(videos, judged).items():
        values[f"{name}_low"], values[f"{name}_high"] = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    return values


def standard_errors(records: Sequence[Record]) -> dict[str, float]:
    """The standard errors of the metrics of `summary`, by the same bootstrap."""
    drawn = _resampled(_by_video(records), _judged(records))
    return {name: float(np.std(values)) for name, values in drawn.items()}


def agreement(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Share of places with the same token, over the longer of the two."""
    return sum(a == b for a, b in zip(ours, theirs, strict=False)) / max(len(ours), len(theirs), 1)


def first_divergence(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Tokens before the first difference; the length of the shorter one if it is a prefix of the other."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))


@lru_cache(maxsize=4096)  # the numbers of a run are computed while it goes and at its end
def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 by torchmetrics, over words of letters and digits."""
    from torchmetrics.functional.text import rouge_score

    if text == reference:
        return 1.0
    rouge = rouge_score(text, reference, rouge_keys="rougeL", normalizer=_words)
    return float(rouge["rougeL_fmeasure"])


def _words(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower())


@lru_cache(maxsize=4096)
def bleu(text: str, reference: str) -> float:
    """BLEU-4 of one text by torchmetrics, smoothed; 0 where no four words in a row are the same."""
    from torchmetrics.functional.text import bleu_score

    if text == reference:
        return 1.0
    return float(bleu_score([text], [[reference]], smooth=True)) if text.split() else 0.0


COMPARED: dict[str, Callable[[Record, Trace, Trace], float]] = {  # with the target's own generation
    "agreement": lambda record, trace, baseline: agreement(trace.tokens, baseline.tokens),
    "first_divergence": lambda record, trace, baseline: first_divergence(trace.tokens, baseline.tokens),
    "rouge_l": lambda record, *_: rouge_l(record.text, record.baseline_text),
    "bleu": lambda record, *_: bleu(record.text, record.baseline_text),
}
OWN_NAMES = (*COMPARED, "retention")


def _resampled(
    videos: Sequence[Parts], judged: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, list[float]]:
    """Each metric of this run over videos drawn anew, with replacement; empty for fewer than two of them."""
    if len(videos) < 2:
        return {}
    names = list(_total(videos))
    nothing = Score(0.0, 0.0)
    table = np.array([[video.get(name, nothing) for name in names] for video in videos])
    drawn = np.random.default_rng(seed).integers(len(videos), size=(resamples, len(videos)))
    values: dict[str, list[float]] = defaultdict(list)
    for rows in drawn:
        total = zip(names, table[rows].sum(0).tolist(), strict=True)
        for name, value in _values({name: Score(*pair) for name, pair in total}, judged).items():
            values[name].append(value)
    return values


def _by_video(records: Sequence[Record]) -> list[Parts]:
    """The parts of each video: questions about one video resemble each other and are drawn together."""
    videos: dict[str, list[Parts]] = defaultdict(list)
    for record in _counted(records):
        videos[record.sample.video].append(_parts(record))
    return [_total(parts) for parts in videos.values()]


def _counted(records: Sequence[Record]) -> list[Record]:
    """The finished samples; where some have a baseline, those alone, so that both sides are of the same samples."""
    done = [record for record in records if record.done]
    return [record for record in done if record.baseline] or done


def _parts(record: Record) -> Parts:
    """What one sample adds to each metric."""
    parts: Parts = {}
    if record.trace and record.baseline:
        for name, function in COMPARED.items():
            with left_out(f"quality/{name} of sample {record.sample.id!r}"):
                parts[name] = Score(float(function(record, record.trace, record.baseline)))
    return parts | dict(record.scores) | {f"baseline_{name}": score for name, score in record.baseline_scores.items()}


def _judged(records: Sequence[Record]) -> list[str]:
    """The names of the scores, in the data set's order but for ROUGE-L, which is last."""
    names = dict.fromkeys(name for record in _counted(records) for name in record.scores)
    return sorted(names, key=lambda name: name == OVERLAP)


def _total(parts: Iterable[Parts]) -> Parts:
    total: Parts = {}
    for part in parts:
        for name, score in part.items():
            right, asked = total.get(name, (0.0, 0.0))
            total[name] = Score(right + score.right, asked + score.asked)
    return total


def _values(total: Parts, judged: Sequence[str]) -> dict[str, float]:
    values = {f"quality/{name}": score.right / score.asked for name, score in total.items() if score.asked}
    first = next((name for name in judged if f"quality/baseline_{name}" in values), None)
    theirs = values.get(f"quality/baseline_{first}")
    if theirs and f"quality/{first}" in values:
        values["quality/retention"] = 100 * values[f"quality/{first}"] / theirs
    return values
