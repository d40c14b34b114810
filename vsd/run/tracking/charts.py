"""What a run's page shows at its end: tables, charts of them, clips, and frames with what the draft saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vsd.metrics import Summary
from vsd.metrics.record import Record
from vsd.run.html.choice import Chosen, chosen
from vsd.run.html.media import was_replaced
from vsd.run.results.clips import Drawings, playable
from vsd.run.results.run import Run
from vsd.run.tracking import panels, tables
from vsd.run.tracking.tables import Table, text
from vsd.utils.validation import first_line
from vsd.video import BadVideo

ROWS = 200  # samples of a table
_COLUMNS, _GAP = 4, 4  # frames of a row of a picture, and pixels between two


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A chosen sample: why, its clip (a file), its frames in one picture, and what could not be shown."""

    record: Record
    why: str
    clip: str | None
    picture: Any
    note: str


def charts(run: Run, records: Sequence[Record], summary: Summary, *, media: int) -> dict[str, Any]:
    """Everything by the name of its panel. At most `media` samples have pictures, at most `ROWS` a row; those chosen
    come first."""
    import wandb

    shown = shown_of(run, records, media)
    first = {id(one.record) for one in shown}
    rows = [*(one.record for one in shown), *(record for record in records if id(record) not in first)][:ROWS]
    found: dict[str, Any] = {
        panels.SAMPLES: _table(_with_media(tables.samples(rows), shown, _media_of(shown))),
        panels.ROUNDS: _table(tables.rounds(rows)),
        panels.NUMBERS: _table(tables.numbers(summary)),
        panels.TIME: _bar(tables.time_breakdown(records), "Seconds of a sample"),
        panels.PER_ROUND: _bar(tables.per_round(records), "Rounds by accepted draft tokens"),
    }
    if (curve := tables.by_position(summary.values)).rows:
        found[panels.BY_POSITION] = wandb.plot.line(
            _table(curve), "position", "accepted", title="Accepted by position in the draft"
        )
    for name, place in ((panels.CLIP, 0), (panels.KEPT, 1)):
        if objects := [pair[place] for pair in _media_of(shown) if pair[place] is not None]:
            found[name] = objects
    return found


def shown_of(run: Run, records: Sequence[Record], count: int) -> list[Shown]:
    """The samples that a page would show, with their clips and frames."""
    drawings, whole = Drawings(), replace(run, records=tuple(records))
    picks = sorted(chosen([whole], count), key=lambda pick: pick.decoded.record.sample.video)
    return [_shown(pick, run, drawings) for pick in picks]


def _shown(pick: Chosen, run: Run, drawings: Drawings) -> Shown:
    record, why = pick.decoded.record, ", ".join(pick.why)
    if was_replaced(record):
        return Shown(record=record, why=why, clip=None, picture=None, note="the video is another file now")
    clip, picture, note = playable(record.sample), None, ""
    try:
        picture = _tiles(run, record, drawings)
    except (BadVideo, OSError, ValueError, IndexError, TypeError, KeyError) as error:
        note = text(f"no frames: {first_line(error)}")
    return Shown(record=record, why=why, clip=str(clip) if clip else None, picture=picture, note=note)


def _tiles(run: Run, record: Record, drawings: Drawings) -> Any:
    """Frames in rows of `_COLUMNS`, so that a small picture of them still shows something, (height, width, 3)."""
    assert record.trace is not None
    frames = [image for image, _ in drawings.frames(record.sample, int(run.config["frames"]), record.trace)]
    blank = np.full_like(frames[0], 255)
    frames += [blank] * (-len(frames) % min(_COLUMNS, len(frames)))
    framed = [np.pad(frame, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for frame in frames]
    columns = min(_COLUMNS, len(framed))
    rows = [np.concatenate(framed[first : first + columns], axis=1) for first in range(0, len(framed), columns)]
    return np.concatenate(rows)[:-_GAP, :-_GAP]


def _media_of(shown: Sequence[Shown]) -> list[tuple[Any, Any]]:
    """The clip and the picture of each, as W&B takes them."""
    import wandb

    found = []
    for one in shown:
        caption = text(f"{one.record.sample.id}: {one.record.sample.question}")
        clip = wandb.Video(one.clip, caption=caption, format="mp4") if one.clip else None
        kept = f"{one.record.trace.kept} of {one.record.trace.visual}" if one.record.trace else ""
        about = f"{caption} ({one.why}; the draft saw {kept} visual tokens)"
        found.append((clip, None if one.picture is None else wandb.Image(one.picture, caption=about, file_type="jpg")))
    return found


def _with_media(table: Table, shown: Sequence[Shown], media: Sequence[tuple[Any, Any]]) -> Table:
    """The table of samples with why one was chosen, its clip, and what its draft saw."""
    notes = [[one.why + (f"; {one.note}" if one.note else ""), *pair] for one, pair in zip(shown, media, strict=True)]
    rows = [
        [row[0], *(notes[place] if place < len(notes) else ["", None, None]), *row[1:]]
        for place, row in enumerate(table.rows)
    ]
    return Table(columns=(table.columns[0], "look at", "clip", "kept tokens", *table.columns[1:]), rows=rows)


def _table(table: Table) -> Any:
    import wandb

    return wandb.Table(columns=list(table.columns), data=table.rows)


def _bar(table: Table, title: str) -> Any:
    import wandb

    return wandb.plot.bar(_table(table), table.columns[0], table.columns[1], title=title)


def bounds(records: Sequence[Record], media: int) -> Iterator[tuple[str, int]]:
    """What a run says of how much of it is shown."""
    yield "shown.samples", len(records)
    yield "shown.rows", min(len(records), ROWS)
    yield "shown.media", media


def summary_of(summary: Summary) -> Mapping[str, float]:
    """The final numbers, each with its standard error."""
    errors = {f"{name}_se": error for name, error in summary.errors.items()}
    return {**summary.values, **errors}
