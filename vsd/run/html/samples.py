"""The samples of a page: the clip once, then each run that was chosen for it, with both texts and what it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsd.metrics import metric_of
from vsd.metrics.record import Record
from vsd.run.html import media
from vsd.run.html.choice import Chosen
from vsd.run.html.media import Frame, Media, was_replaced
from vsd.run.html.names import Names
from vsd.run.html.texts import Piece, ours, theirs
from vsd.run.report.printable import printable
from vsd.types import Trace
from vsd.utils.validation import first_line
from vsd.video import BadVideo

ROUNDS = 60  # that are written out


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one run made of a sample. `notes` say what could not be shown."""

    run: str
    why: str
    facts: tuple[str, ...]
    ours: list[Piece]
    theirs: list[Piece]
    same: bool
    rounds: str
    frames: list[Frame]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A sample: its question, what is known of the answer, its clip (empty if it is not in the page), its runs."""

    id: str
    video: str
    question: str
    reference: str
    clip: str
    shown: list[Shown]


def cards(picks: Sequence[Chosen], names: Names, *, alone: bool) -> list[Card]:
    """The samples in the order of the choice. `alone`: all are of one run, which is then not named."""
    held, groups = Media(left=media.PAGE_BYTES), dict[tuple[str, str, str], list[Chosen]]()
    for pick in picks:
        sample = pick.decoded.record.sample
        groups.setdefault((sample.id, sample.video, sample.question), []).append(pick)
    found = []
    for group in groups.values():
        sample = group[0].decoded.record.sample
        clip = held.clip(sample)
        found.append(
            Card(
                id=printable(sample.id),
                video=printable(sample.video),
                question=printable(sample.question),
                reference=printable(sample.reference)[:ROUNDS * 20],
                clip=clip,
                shown=[_shown(pick, held, "" if alone else names.long(pick.decoded.run)) for pick in group],
            )
        )  # fmt: skip
    return found


def _shown(pick: Chosen, held: Media, run: str) -> Shown:
    record, trace = pick.decoded.record, pick.decoded.record.trace
    assert trace is not None
    frames, notes = _frames(pick, held, trace)
    rounds = [f"{each.accepted}/{each.drafted}" for each in trace.rounds if each.drafted]
    more = f" … and {len(rounds) - ROUNDS} more" if len(rounds) > ROUNDS else ""
    return Shown(
        run=run,
        why=", ".join(pick.why),
        facts=tuple(_facts(pick, trace)),
        ours=ours(record),
        theirs=theirs(record) if record.baseline is not None else [],
        same=not record.mismatched,
        rounds=" ".join(rounds[:ROUNDS]) + more,
        frames=frames,
        notes=notes,
    )


def _frames(pick: Chosen, held: Media, trace: Trace) -> tuple[list[Frame], tuple[str, ...]]:
    """The frames, or why there are none; and what is odd about the video."""
    run, record = pick.decoded.run, pick.decoded.record
    notes = ["the video is another file now than when this was decoded"] if was_replaced(record) else []
    try:
        if "frames" not in run.config:
            raise ValueError("the run does not say how many frames it read")
        return held.frames(record.sample, int(run.config["frames"]), trace), tuple(notes)
    except (BadVideo, OSError, ValueError, IndexError, TypeError, KeyError) as error:
        return [], (*notes, printable(f"no frames: {first_line(error)}"))


def _facts(pick: Chosen, trace: Trace) -> list[str]:
    """Its numbers, each in a few words."""
    record, one = pick.decoded.record, pick.decoded
    found = [f"{len(trace.tokens)} tokens in {trace.seconds.get('decode', 0.0):.2g} s"]
    if one.speed is not None:
        found.append(f"decoding {one.speed:.2f}x" if record.baseline else f"{one.speed:.1f} tokens/s")
    if one.accepted is not None:
        found.append(f"{one.accepted:.2f} accepted per round")
    found += [_score(name, record) for name in list(record.scores)[:1]]  # the one that quality/retention takes
    kept = "all" if trace.kept == trace.visual else f"{trace.kept} of"
    found.append(f"the draft saw {kept} {trace.visual} visual tokens" if trace.visual else "")
    if record.audit is not None and record.audit.explained:
        found.append(f"a near-tie at token {record.audit.place}")
    return [printable(each) for each in found if each]


def _score(name: str, record: Record) -> str:
    score, alone = record.scores[name], record.baseline_scores.get(name)
    beside = f" (target alone {alone.right:.3g})" if alone else ""
    metric = metric_of(f"quality/{name}")
    return f"{metric.label if metric else name}: {score.right:.3g} of {score.asked:.3g}{beside}"
