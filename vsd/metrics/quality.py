"""What a generation is worth: against the target's own, and against the reference. For lossy rules, the price of speed.

Scores are those of the records, whatever the data set calls them: all that is right of all that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vsd.metrics.registry import FAMILIES, METRICS, Better, Family, Metric, Sums, Unit, Value, metric, ratio

OVERLAP = "reference_rouge_l"  # the score of free text, which says least: it makes the retention last
_NAME, _BASELINE = "quality/", "baseline_"
_LIKE_TARGET: dict[str, tuple[str, Unit, str]] = {
    "agreement": (
        "tokens like target's",
        "share",
        "Tokens equal at the same place, over the longer generation's length.",
    ),
    "first_divergence": ("tokens before they differ", "tokens", "Tokens before the first difference, or all."),
    "rouge_l": ("ROUGE-L to target's", "score", "ROUGE-L F1 to the target's own text."),
    "bleu": ("BLEU to target's", "score", "BLEU-4 to the target's own text, smoothed."),
}
# What the scores of our own data sets are called; another's is called by its name.
_SCORES: dict[str, tuple[str, Unit]] = {
    "facts": ("facts right", "share"),
    "choice": ("choices right", "share"),
    OVERLAP: ("ROUGE-L to reference", "score"),
}
OWN_NAMES = (*_LIKE_TARGET, "retention")
"""Names that a data set's scores cannot have."""


def _right(s: Sums, name: str) -> Value:
    return ratio(s[f"right/{name}"], s[f"asked/{name}"])


for _each, (_label, _unit, _formula) in _LIKE_TARGET.items():
    METRICS[_NAME + _each] = Metric(
        name=_NAME + _each, label=_label, unit=_unit, better="higher", formula=f"{_formula} A mean over the samples.",
        value=partial(_right, name=_each), live=_each == "agreement",
    )  # fmt: skip


@metric("quality/retention", "quality kept, percent", "percent", "higher", live=True)
def retention(s: Sums) -> Value:
    """The run's share of the target's own quality in percent, by the data set's first score (ROUGE-L to the reference
    only where there is no other). Left out where the target alone has none right."""
    names = [name.removeprefix("asked/") for name in s if name.startswith("asked/")]
    scored = [name for name in names if f"asked/{_BASELINE}{name}" in s]
    first = min(scored, key=lambda name: name == OVERLAP, default="")
    return 100 * ratio(_right(s, first), _right(s, _BASELINE + first))


def _score(name: str) -> Metric | None:
    score = name.removeprefix(_NAME)
    plain = score.removeprefix(_BASELINE)
    if not plain.isidentifier() or plain.startswith("_"):
        return None
    label, unit = _SCORES.get(plain, (plain, "score"))
    alone = score != plain
    better: Better = "neither" if alone else "higher"
    formula = f"The data set's score {plain!r}: right of asked" + (", of the target alone." if alone else ".")
    label += ", target alone" if alone else ""
    value = partial(_right, name=score)
    return Metric(
        name=name, label=label, unit=unit, better=better, formula=formula, value=value,
        live=not alone and plain != OVERLAP,
    )  # fmt: skip


def _scores(sums: Mapping[str, Any]) -> list[str]:
    names = [name.removeprefix("asked/") for name in sums if name.startswith("asked/")]
    return [_NAME + name for name in names if name not in _LIKE_TARGET]


FAMILIES.append(
    Family(prefix=_NAME, examples=("quality/facts", "quality/baseline_facts"), member=_score, names=_scores)
)
