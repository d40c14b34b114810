"""What an answer is worth: against the target's own, and against the reference. For lossy rules, the price of speed.

Everything is computed from the records, so a finished run's numbers can be made again without decoding. A value is a
pooled total or a mean over the samples that have what it needs; without any it is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile

import numpy as np

from vsd.record import Record
from vsd.zoo import score

CHOICES = "ABCDE"
COMPARED = ("agreement", "first_divergence", "rouge_l", "bleu")  # with the target's own answer
JUDGED = ("facts", "choice", "reference_rouge_l")  # by the reference; the first there is makes the retention
NAMES = (*COMPARED, *JUDGED, "retention")
RESAMPLES = 1000
Sums = dict[str, float]


def summary(records: Sequence[Record]) -> dict[str, float]:
    """The metrics `quality/...` of a run, flat and finite.

    Against the target's own answer: `agreement` (tokens equal at the same place, over the longer answer's length),
    `first_divergence` (tokens before the first difference, the whole answer where there is none), `rouge_l` (F1) and
    `bleu` (smoothed, per sample), as means. Against the reference, of this run and (`baseline_...`) of the target
    alone: `reference_rouge_l`, `facts` (share right, where the data knows them), `choice` (share of multiple-choice
    answers that name the right letter). `retention`: the run's share of the baseline's in percent, of facts if there
    are any, else of choices, else of ROUGE-L; left out where the baseline has none right. `..._low` to `..._high` is a
    value's 95% bootstrap interval over the videos, this run and the baseline drawn together.
    """
    parts = _by_video(records)
    values = _ratios(_total(parts))
    for name, found in _resampled(parts).items():
        values[f"{name}_low"], values[f"{name}_high"] = (float(end) for end in np.quantile(found, [0.025, 0.975]))
    return values


def standard_errors(records: Sequence[Record]) -> dict[str, float]:
    """The standard errors of the metrics of `summary`, by the same bootstrap."""
    return {name: float(np.std(found)) for name, found in _resampled(_by_video(records)).items()}


def agreement(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Share of places with the same token, over the longer of the two."""
    return sum(a == b for a, b in zip(ours, theirs, strict=False)) / max(len(ours), len(theirs), 1)


def first_divergence(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Tokens before the first difference; the length of the shorter one if it is a prefix of the other."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))


@lru_cache(maxsize=4096)  # the numbers of a run are computed while it goes and at its end
def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 by torchmetrics, over words of any script."""
    from torchmetrics.functional.text import rouge_score

    if text == reference:
        return 1.0
    found = rouge_score(text, reference, rouge_keys="rougeL", normalizer=_words)
    return float(found["rougeL_fmeasure"])


def _words(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower())


@lru_cache(maxsize=4096)
def bleu(text: str, reference: str) -> float:
    """BLEU-4 of one text by torchmetrics, smoothed; 0 where no four words in a row are the same."""
    from torchmetrics.functional.text import bleu_score

    if text == reference:
        return 1.0
    return float(bleu_score([text], [[reference]], smooth=True)) if text.split() else 0.0


def chosen(text: str) -> str:
    """The letter that a multiple-choice answer names: the first that stands alone; empty if there is none."""
    found = re.search(rf"(?<![A-Za-z])\(?([{CHOICES}])\)?(?![A-Za-z])", text)
    return found.group(1) if found else ""


def _resampled(parts: Sequence[Sums], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, list[float]]:
    """Each metric of this run over videos drawn anew, with replacement; empty for fewer than two of them."""
    if len(parts) < 2:
        return {}
    names = sorted({name for part in parts for name in part})
    table = np.array([[part.get(name, 0.0) for name in names] for part in parts])
    drawn = np.random.default_rng(seed).integers(len(parts), size=(resamples, len(parts)))
    found: dict[str, list[float]] = defaultdict(list)
    for rows in drawn:
        for name, value in _ratios(dict(zip(names, table[rows].sum(0).tolist(), strict=True))).items():
            found[name].append(value)
    return found


def _by_video(records: Sequence[Record]) -> list[Sums]:
    """The sums of each video: questions about one video resemble each other and are drawn together."""
    videos: dict[str, list[Sums]] = defaultdict(list)
    for record in records:
        if record.done:
            videos[record.sample.video].append(_sums(record))
    return [_total(parts) for parts in videos.values()]


def _sums(record: Record) -> Sums:
    sums: Sums = {}
    if record.trace and record.baseline:
        ours, theirs = record.trace.tokens, record.baseline.tokens
        sums |= {
            "compared": 1,
            "agreement": agreement(ours, theirs),
            "first_divergence": first_divergence(ours, theirs),
        }
        sums |= {
            "rouge_l": rouge_l(record.text, record.baseline_text),
            "bleu": bleu(record.text, record.baseline_text),
        }
        sums |= {f"baseline/{name}": value for name, value in _against_reference(record, record.baseline_text).items()}
        paired = "paired/"
    else:
        paired = ""
    return sums | {f"{paired}{name}": value for name, value in _against_reference(record, record.text).items()}


def _against_reference(record: Record, text: str) -> Sums:
    sample, sums = record.sample, Sums()
    if sample.facts:
        right, asked = score.score(text, sample.facts)
        sums |= {"facts": sum(right.values()), "facts_asked": sum(asked.values())}
    if sample.reference in tuple(CHOICES):
        sums |= {"choice": chosen(text) == sample.reference, "choice_asked": 1}
    elif sample.reference:
        sums |= {"reference_rouge_l": rouge_l(text, sample.reference), "reference_rouge_l_asked": 1}
    return sums


def _total(parts: Sequence[Sums]) -> Sums:
    total: Sums = defaultdict(float)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return dict(total)


def _ratios(sums: Sums) -> dict[str, float]:
    values: dict[str, float] = {}

    def add(name: str, over: str, under: str) -> None:
        if sums.get(under):
            values[f"quality/{name}"] = sums[over] / sums[under]

    for name in COMPARED:
        add(name, name, "compared")
    for name in JUDGED:
        side = "paired/" if f"paired/{name}_asked" in sums else ""
        add(name, f"{side}{name}", f"{side}{name}_asked")
        add(f"baseline_{name}", f"baseline/{name}", f"baseline/{name}_asked")
    judged = next((name for name in JUDGED if sums.get(f"baseline/{name}_asked")), None)
    theirs = values.get(f"quality/baseline_{judged}")
    if theirs:
        values["quality/retention"] = 100 * values[f"quality/{judged}"] / theirs
    return values
