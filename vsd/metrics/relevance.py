"""Does visual relevance tell the tokens that state a fact from wording?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vsd.metrics.registry import Sums, Value, metric, ratio

_FACT, _WORDING = "relevance/fact/", "relevance/wording/"


def relevance_sums(facts: Iterable[bool], relevance: Iterable[float | None]) -> dict[str, float]:
    """What tokens add to the pooled sums: how often each relevance was measured, of facts and of wording. Those without
    one add nothing.

    It is counted to four decimals, so that the sums of many tokens stay few; what is then equal is a tie.
    """
    pairs = zip(facts, relevance, strict=True)
    return dict(Counter(f"{_FACT if fact else _WORDING}{each:.4f}" for fact, each in pairs if each is not None))


@metric("relevance/auc", "relevance finds facts, AUC", "score", "higher")
def auc(s: Sums) -> Value:
    """How well visual relevance tells the tokens that state a fact, as the data set marks them, from all others: the
    area under the ROC curve over the tokens of all samples, by scikit-learn. That is the share of pairs of a fact and
    another token in which the fact is the more relevant one, ties half: 1 always, 0.5 by chance. Left out where all
    tokens are of one kind."""
    names = [name for name in s if name.startswith((_FACT, _WORDING))]
    if not names:
        return np.array(np.nan)
    fact_X = np.array([name.startswith(_FACT) for name in names])
    relevance_X = np.array([float(name.rpartition("/")[2]) for name in names])
    counts = np.array([s[name] for name in names], float)
    return _area(fact_X, relevance_X, counts) if counts.ndim == 1 else _areas(fact_X, relevance_X, counts)


def _area(fact_X: NDArray[np.bool_], relevance_X: NDArray[np.float64], counts_X: NDArray[np.float64]) -> Value:
    from sklearn.metrics import roc_auc_score  # slow to import, and most runs measure no relevance

    both = counts_X[fact_X].any() and counts_X[~fact_X].any()
    return np.array(roc_auc_score(fact_X, relevance_X, sample_weight=counts_X) if both else np.nan)


def _areas(fact_X: NDArray[np.bool_], relevance_X: NDArray[np.float64], counts_XR: NDArray[np.float64]) -> Value:
    """The same of R draws, for which scikit-learn would take a second or more: it looks at one at a time."""
    values, place_X = np.unique(relevance_X, return_inverse=True)
    facts, wording = np.zeros((2, len(values), counts_XR.shape[1]))
    facts[place_X[fact_X]] = counts_XR[fact_X]
    wording[place_X[~fact_X]] = counts_XR[~fact_X]
    below = wording.cumsum(0) - wording / 2  # ties half
    return ratio((facts * below).sum(0), facts.sum(0) * wording.sum(0))
