"""Acceptance: how much of what is drafted stands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vsd.metrics.registry import FAMILIES, Family, Metric, Sums, Value, metric, ratio


@metric("accept/length", "tokens per round", "tokens", "higher")
def length(s: Sums) -> Value:
    """τ: tokens committed per round, the target's own (bonus) token included."""
    return ratio(s["committed"], s["rounds"])


@metric("accept/draft_length", "accepted per round", "tokens", "higher", live=True)
def draft_length(s: Sums) -> Value:
    """Draft tokens accepted per round, without the bonus token (the "accept length" of SpecVLM and LVSpec)."""
    return ratio(s["accepted"], s["rounds"])


@metric("accept/run_length", "accepted per run", "tokens", "higher")
def run_length(s: Sums) -> Value:
    """Draft tokens accepted up to a rejection, across rounds, as a mean over all rejections of all samples.

    That is PEARL's "mean accepted tokens" by its authors' code (arXiv 2408.11850): a run ends at a rejection, a last
    one that ends with the generation counts nowhere, and the runs of all samples are pooled. Others count otherwise
    under the same name: nano-PEARL adds the target's own token to each run, counts the last one too, and takes the mean
    of the samples' means; SpecVLM's accept length is per round (`accept/draft_length`), a mean of means too. Which one
    HIPPO (arXiv 2601.08273) and ParallelVLM (arXiv 2603.19610) report is not known.
    """
    return ratio(s["run"], s["rejected"])


@metric("accept/rate", "accepted of tested", "share", "higher", live=True)
def rate(s: Sums) -> Value:
    """α: share of the tested draft tokens that were accepted; tokens after a rejection were never tested.

    This is the maximum-likelihood α if acceptance is i.i.d., and accept/run_length comes near α / (1 − α) in long
    generations. It is not "accepted over drafted", which falls with gamma.
    """
    return ratio(s["accepted"], s["accepted"] + s["rejected"])


@metric("accept/tokens_per_target_forward", "tokens per forward", "tokens", "higher")
def tokens_per_target_forward(s: Sums) -> Value:
    """Tokens per decode-time forward pass of the target, passes that had no draft to verify included."""
    return ratio(s["decoded"], s["forwards"])


@metric("relax/share", "relaxed of accepted", "share", "neither", live=True)
def relaxed_share(s: Sums) -> Value:
    """Share of the accepted draft tokens that stand only because the rule was relaxed."""
    return ratio(s["relaxed"], s["accepted"])


@metric("relax/gap", "their probability gap", "tokens", "lower")
def relaxed_gap(s: Sums) -> Value:
    """How much likelier the target's own token was than a relaxed one, as a mean of probability differences."""
    return ratio(s["gap"], s["relaxed"])


_PLACE, _UNCONDITIONAL = "accept/position_", "_unconditional"


def _position(name: str) -> Metric | None:
    place = name.removeprefix(_PLACE)
    k = place.removesuffix(_UNCONDITIONAL)
    if not k.isdecimal() or k != str(int(k)) or k == "0":
        return None
    whole = place.endswith(_UNCONDITIONAL)
    of = f"all rounds that drafted {k} tokens or more" if whole else "those that were tested"
    return Metric(
        name=name,
        label=f"accepted at place {k}" + (" of all rounds" if whole else ""),
        unit="share",
        better="higher",
        formula=f"Share accepted of the draft tokens at place {k}, of {of}.",
        value=partial(_share, over=f"accepted/{k}", under=f"offered/{k}" if whole else f"tested/{k}"),
    )


def _share(s: Sums, over: str, under: str) -> Value:
    return ratio(s[over], s[under])


def _places(sums: Mapping[str, Any]) -> list[str]:
    drafted = sorted(int(name.removeprefix("offered/")) for name in sums if name.startswith("offered/"))
    return [f"{_PLACE}{k}{end}" for k in drafted for end in ("", _UNCONDITIONAL)]


FAMILIES.append(
    Family(prefix=_PLACE, examples=(f"{_PLACE}1", f"{_PLACE}1{_UNCONDITIONAL}"), member=_position, names=_places)
)
