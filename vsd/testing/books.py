"""Whether the record of a generation adds up."""

from __future__ import annotations

from vsd.types import Trace


def books_hold(trace: Trace, limit: int, end: int | None, what: str) -> None:
    """Raise AssertionError unless the rounds add up to the generation, which ends at its budget or with `end`."""
    early = len(trace.tokens) - sum(each.committed for each in trace.rounds)
    assert early in (0, 1), f"{what}: all tokens but a first one must be of a round, got {early} of none"
    if trace.finish == "length":
        assert len(trace.tokens) == limit, f"{what}: must have {limit} tokens, got {len(trace.tokens)}"
    assert end is None or end not in trace.tokens[:-1], f"{what}: must end with token {end}, got {trace.tokens}"
    for each in trace.rounds:
        assert all(0 <= place < each.accepted for place in each.relaxed), f"{what}: must relax what it accepts: {each}"
        assert len(each.gaps) in (0, len(each.relaxed)), f"{what}: must have a gap of each relaxed token: {each}"
        assert all(-1e-9 <= gap <= 1 for gap in each.gaps), f"{what}: gaps must lie in [0, 1], got {each.gaps}"


def drafts_add_up(trace: Trace, what: str) -> None:
    """Raise AssertionError unless what was drafted is what was accepted and what was wasted."""
    proposed, gone = (sum(each.proposed for each in trace.rounds), sum(e.accepted + e.wasted for e in trace.rounds))
    assert proposed == gone, f"{what}: what is drafted must be accepted or wasted: {proposed} drafted, {gone} gone"
