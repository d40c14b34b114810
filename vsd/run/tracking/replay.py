"""A run that has ended, sent from its files as it would have been while it went on."""

from __future__ import annotations

from typing import Any

from vsd.run.results.run import Run, State
from vsd.run.tracking.tracker import INTERRUPTED, MEDIA, Tracker

_EXIT_CODES: dict[State, int] = {"done": 0, "failed": 1, "unfinished": 1, "interrupted": INTERRUPTED}
"""Of one that is unfinished nobody has heard how it ended."""


def replayed(run: Run, *, project: str | None = None, entity: str | None = None, media: int = MEDIA) -> Tracker:
    """Its tracker, when all is sent. Project and entity are by default those that the run was configured with."""
    logger: Any = run.config.get("logger")
    known = logger if isinstance(logger, dict) else {}
    tracker = Tracker(
        folder=str(run.folder),
        project=project or known.get("project"),
        entity=entity or known.get("entity"),
        name=known.get("name") or None,
        tags=known.get("tags") or (),
        media=media,
    )
    tracker.follow(run, live=False)
    tracker.begin()
    tracker.end(run.records, run.summary)
    tracker.close(_EXIT_CODES[run.state])
    return tracker
