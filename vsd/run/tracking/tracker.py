"""A run in Weights & Biases, from its first sample to how it ended. Whatever happens there, the run goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from vsd.metrics import Summary
from vsd.metrics.record import Record
from vsd.run import disk, provenance
from vsd.run.report.printable import printable
from vsd.run.results.run import Run
from vsd.run.tracking import charts, login, names, patience, service
from vsd.run.tracking.history import OWN, STEP, History
from vsd.run.tracking.patience import GaveUp, Patience
from vsd.run.tracking.service import Opening
from vsd.utils.validation import first_line, reason, require, require_whole

log = logging.getLogger(__name__)

PROJECT = "vsd"
HURRY_S = 10.0  # for each of the last words of a run that has to end
MEDIA = 6  # samples with a clip and frames
INTERRUPTED = 130


class Tracker:
    """One run. `begin`, `add` for each sample, `end` with the final numbers, `close` with the exit code. Nothing here
    raises because of W&B: what goes wrong is said once, and the run is then no longer followed.

    `folder` takes W&B's own files, in `wandb/`. Without a `project` it is the variable WANDB_PROJECT's, or else "vsd".
    `name` replaces the one that is made of what was set. `media`: of how many samples clips and frames are shown.
    `why_offline` says why nothing was sent, if it was not, and `lost` that the run could not be followed to its end.
    """

    def __init__(
        self,
        *,
        folder: str,
        project: str | None = None,
        entity: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        media: int = MEDIA,
    ) -> None:
        _require_text("logger.folder", folder)
        for field, value in (("logger.project", project), ("logger.entity", entity), ("logger.name", name)):
            if value is not None:
                _require_text(field, value)
        require("logger.tags", "a list of texts", tags, isinstance(tags, Iterable) and not isinstance(tags, str))
        fit = (isinstance(tag, str) and 0 < len(tag) <= names.LONGEST_TAG for tag in tags)
        rule = f"a list of texts of at most {names.LONGEST_TAG} letters"
        require("logger.tags", rule, tags, all(fit))
        require_whole("logger.media", media, least=0)
        self.folder, self.entity, self.name = Path(folder), entity, name
        self.project = project or os.environ.get("WANDB_PROJECT") or PROJECT
        self.tags, self.media = tuple(tags), media
        self._address = ""
        self._offline: Path | None = None
        self.why_offline = ""  # if nothing was sent
        self._wandb: Any = None
        self._begun = False
        self.lost = False
        self._run: Run | None = None
        self._live = True
        self._history = History()
        self._defined = set[str]()
        self._patience = Patience(lambda: True)

    @property
    def where(self) -> str:
        """Where to look at the run, on one line; empty where it could not be followed to its end."""
        if self.lost or self._run is None:
            return ""
        if self._offline is not None:
            return f"W&B  offline: vsd upload {self._run.folder} sends it, wandb leet {self._offline} shows it"
        return f"W&B  {self._address}" if self._address else ""

    @property
    def brief(self) -> str:
        """Its address, or how W&B's own files of it are sent."""
        return self._address if self._offline is None else f"wandb sync {self._offline}"

    def follow(self, run: Run, *, live: bool = True) -> None:
        """Say which run it is, with the samples that it has already, and whether it goes on. Nothing is there of it in
        W&B before it begins."""
        self._run = run
        self._live = live

    @property
    def begun(self) -> bool:
        """Whether something of it is there."""
        return self._wandb is not None

    def begin(self) -> None:
        """Start the W&B run. The samples that the run has already are its first steps."""
        assert self._run is not None, "follow a run first"
        self._begun = True
        try:
            if (mode := login.mode()) != "disabled":
                self._open(self._run, online=mode == "online")
        except Exception as error:
            self._lose(error)
        if self._wandb is not None:
            self._try(partial(self._first, self._run.records))

    def add(self, record: Record) -> None:
        """One more sample has ended, and is in samples.jsonl."""
        if self._wandb is not None:
            self._try(partial(self._step, record))

    def end(self, records: Sequence[Record], summary: Summary, *, at_once: bool = False) -> None:
        """The final numbers, which are in metrics.json, and the tables and pictures of these samples. A run that was
        asked to end `at_once` leaves these out, and waits for no server: whoever asked does not wait for long."""
        if not self._begun and records:
            self.begin()  # it has failed before its first new sample
        if at_once:
            self._patience = Patience(lambda: True, longest_s=HURRY_S)
        if self._wandb is not None:
            self._try(partial(self._summarise, records, summary, with_charts=not at_once))

    def close(self, exit_code: int, why: str = "") -> None:
        """How the run has ended: 0 done, 1 failed, 130 interrupted. `why` is sent as an alert if it failed; one that
        failed before it began is there for that."""
        if not self._begun:
            self.begin()
        if self._wandb is None:
            return
        if exit_code not in (0, INTERRUPTED) and why:
            self._try(partial(self._wandb.alert, "run failed", printable(first_line(RuntimeError(why))), "ERROR"))
        self._try(partial(self._wandb.finish, exit_code))
        self._wandb = None

    def _open(self, run: Run, *, online: bool) -> None:
        """Online if a server answers, else offline."""
        opening = self._opening(run)
        if online:
            address = login.server()
            answers = partial(patience.answers, address)
            self._patience = Patience(answers)
            try:
                if not answers():
                    raise GaveUp("it does not answer")
                self._wandb = self._patience.call(partial(service.start, opening, "online"))
                self._address = str(self._wandb.url or "")
            except Exception as error:
                self.why_offline = "the server cannot be used"
                self._patience_for_disk()
                self._warn(f"{address} cannot be used ({reason(error)})", "this run is logged offline")
                service.abandon()
        else:
            self.why_offline = "offline is chosen" if login.has_login() else "no login"
        if self._wandb is None:
            self._patience_for_disk()
            self._try(partial(self._open_offline, opening))
        if self._wandb is not None and self._wandb.id != opening.id:  # the agent of a W&B sweep has named it
            with suppress(disk.CannotWrite):
                provenance.note(run.folder, run.provenance, wandb=str(self._wandb.id))

    def _open_offline(self, opening: Opening) -> None:
        self._wandb = service.start(opening, "offline")
        self._offline = Path(self._wandb.dir).parent

    def _patience_for_disk(self) -> None:
        self._patience = Patience(lambda: True, longest_s=60.0)

    def _opening(self, run: Run) -> Opening:
        return Opening(
            folder=self.folder,
            id=names.run_id(run),
            name=printable(self.name) if self.name else names.title(run),
            project=self.project,
            entity=self.entity,
            group=names.group(run),
            job_type=names.job_type(run),
            tags=[*dict.fromkeys((*self.tags, *names.tags(run)))],
            config=names.flat_config(run),
        )

    def _first(self, records: Sequence[Record]) -> None:
        # Tables and pictures have no place on the axis, so that no step is there twice.
        self._wandb.define_metric("*", step_metric=STEP, step_sync=False)
        self._wandb.define_metric(STEP, hidden=True, summary="none")
        for record in records:
            self._step(record)

    def _step(self, record: Record) -> None:
        step = self._history.add(record)
        for name in step.keys() - self._defined - {STEP}:
            self._define(name)
        # Committed at once: without that a step is sent when the next one comes.
        self._wandb.log(step, step=self._history.count, commit=True)

    def _define(self, name: str) -> None:
        """Of one sample nothing is summed up; of all, the last number stands until the final one is there."""
        self._defined.add(name)
        summary = "none" if name.startswith(OWN) else "last"
        self._wandb.define_metric(name, step_metric=STEP, step_sync=False, summary=summary)

    def _summarise(self, records: Sequence[Record], summary: Summary, *, with_charts: bool) -> None:
        assert self._run is not None
        self._wandb.summary.update(dict(charts.summary_of(summary)))  # first: tables may have to wait for the server
        if not with_charts:
            return
        self._wandb.config.update(dict(charts.bounds(records, self.media)), allow_val_change=True)
        shown = charts.charts(self._run, records, summary, media=self.media)
        self._wandb.log(shown, step=self._history.count + 1, commit=True)

    def _try(self, work: Callable[[], object]) -> None:
        """Do this as long as the run is followed."""
        try:
            self._patience.call(work)
        except Exception as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._warn(reason(error), "the run goes on without it")
        self._wandb, self.lost = None, True
        service.abandon()

    def _warn(self, what: str, then: str) -> None:
        folder = self._run.folder if self._run else self.folder
        log.warning("W&B: %s%s", what, f"; {then}, and `vsd upload {folder}` sends it" if self._live else "")


def _require_text(field: str, value: object) -> None:
    require(field, "a text", value, isinstance(value, str) and bool(value.strip()))
