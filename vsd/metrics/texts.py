"""How much a generation is like the target's own: by tokens, and by text through torchmetrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import takewhile

from vsd.metrics.record import Record
from vsd.types import Trace


def agreement(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Share of places with the same token, over the longer of the two."""
    return sum(a == b for a, b in zip(ours, theirs, strict=False)) / max(len(ours), len(theirs), 1)


def first_divergence(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Tokens before the first difference; the length of the shorter one if it is a prefix of the other."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))


@lru_cache(maxsize=4096)  # the numbers of a run are computed while it goes and at its end
def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 by torchmetrics, over words of letters and digits."""
    if text == reference:
        return 1.0
    from torchmetrics.functional.text import rouge_score  # takes seconds to import

    rouge = rouge_score(text, reference, rouge_keys="rougeL", normalizer=_words)
    return float(rouge["rougeL_fmeasure"])


def _words(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower())


@lru_cache(maxsize=4096)
def bleu(text: str, reference: str) -> float:
    """BLEU-4 of one text by torchmetrics, smoothed; 0 where no four words in a row are the same."""
    if text == reference:
        return 1.0
    from torchmetrics.functional.text import bleu_score

    return float(bleu_score([text], [[reference]], smooth=True)) if text.split() else 0.0


COMPARED: dict[str, Callable[[Record, Trace, Trace], float]] = {
    "agreement": lambda record, trace, baseline: agreement(trace.tokens, baseline.tokens),
    "first_divergence": lambda record, trace, baseline: first_divergence(trace.tokens, baseline.tokens),
    "rouge_l": lambda record, *_: rouge_l(record.text, record.baseline_text),
    "bleu": lambda record, *_: bleu(record.text, record.baseline_text),
}
"""What is compared of each sample, by name; a run's number is the mean."""
