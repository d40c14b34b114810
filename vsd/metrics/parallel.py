"""Draft and target at once: how well their work overlaps."""

from __future__ import annotations

from vsd.metrics.registry import Sums, Value, metric, ratio


@metric("parallel/overlap", "worked at once", "share", "higher")
def overlap(s: Sums) -> Value:
    """Of the time that the two sides could have worked at once, the share in which they did: the seconds of both less
    those of the round, over the smaller of the two, in the rounds that drafted ahead."""
    return ratio(s["ahead/draft_s"] + s["ahead/verify_s"] - s["ahead/wall_s"], s["ahead/smaller_s"])


@metric("parallel/target_wait", "target waited for draft", "share", "lower", live=True)
def target_wait(s: Sums) -> Value:
    """Of the time of the rounds that drafted ahead, the share in which the target waited for the draft."""
    return ratio(s["ahead/wait_s"], s["ahead/wall_s"])


@metric("parallel/draft_wait", "draft waited for target", "share", "lower")
def draft_wait(s: Sums) -> Value:
    """The share in which the draft had nothing to do."""
    return 1 - ratio(s["ahead/draft_s"], s["ahead/wall_s"])


@metric("parallel/wasted", "wasted drafts", "share", "lower", live=True)
def wasted(s: Sums) -> Value:
    """Share of all drafted tokens that were thrown away, tested or not."""
    return ratio(s["wasted"], s["proposed"])
