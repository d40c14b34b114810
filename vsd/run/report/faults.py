"""What is wrong with a run's numbers as a whole: generations that differ though they must not, times or acceptance that
were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsd.metrics import Summary
from vsd.metrics.record import Record
from vsd.run.report.printable import plain
from vsd.verifiers import Verifier


def faults(records: Sequence[Record], summary: Summary, verifier: Verifier) -> list[str]:
    """A line each, in rich's markup. `verifier` tells whether it promises the target's own generations, so that others
    are a fault, and whether acceptance was made up."""
    found = _mismatches(records, summary.values) if verifier.lossless and verifier.deterministic else []
    if verifier.synthetic:
        found = ["[red]made up[/]  acceptance is synthetic: these are times, the generations mean nothing"]
    if any(record.trace is not None and record.trace.simulated for record in records):
        found = [*found, "[yellow]simulated[/]  the times are those of executor.profile; none was measured"]
    return found


def _mismatches(records: Sequence[Record], metrics: Mapping[str, float]) -> list[str]:
    """Generations that differ although the rule is lossless: those that rounding explains, and the others."""
    if not metrics.get("exact/mismatched"):
        return []
    near, unexplained = metrics.get("exact/near_tie"), metrics.get("exact/unexplained")
    done, lines = f"{metrics['samples/done']:.0f} generations", list[str]()
    if near is None or unexplained is None:  # records of an older version
        why = "In float32 and below a near-tie of two tokens may do that; with dtype=float64 it is a bug."
        count = f"{metrics['exact/mismatched']:.0f} of {done}"
        return [f"[red]not exact[/]  {count} differ from the target's own although the verifier is lossless. {why}"]
    if near:
        why = "where they part, both tokens' logits are equal but for rounding (with dtype=float64 none would be)."
        lines.append(f"[yellow]near-ties[/]  {near:.0f} of {done} differ from the target's own: {why}")
    if unexplained:
        first = next(r for r in records if r.mismatched and r.audit is not None and not r.audit.explained)
        count = f"{unexplained:.0f} of {done}"
        where = f"{plain(first.sample.id)} at token {first.audit.place}" if first.audit else ""
        why = f"no near-tie explains it (first: {where}{_width(first)}). This is a bug."
        lines.append(
            f"[red]not exact[/]  {count} differ from the target's own although the verifier is lossless, and {why}"
        )
    return lines


def _width(record: Record) -> str:
    """How far from a near-tie a difference is, if that is known."""
    audit = record.audit
    if audit is None or audit.gap is None:
        return ""
    if audit.gap <= audit.limit * audit.step:
        return f", and {audit.violations} tokens from there on are not the target's"
    return f", the logits {audit.gap:.3g} apart where {audit.limit * audit.step:.3g} would be rounding"
