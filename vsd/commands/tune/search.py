"""The search of `vsd tune`: calibration, prediction, a run of each schedule, and the best ones measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from hydra.utils import instantiate
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.commands.in_process import composed, run_here
from vsd.commands.tune.candidate import UNPRUNED, Candidate, Pruning
from vsd.commands.tune.prediction import Oracle, window_share
from vsd.metrics import METRICS
from vsd.run import app, provenance
from vsd.run.results.cells import cell
from vsd.run.results.comparison import is_behind
from vsd.run.results.run import Run, load_run

LONG, SHORT, ANCHOR = 8, 1, 5  # draft lengths of calibration: for tokens and times, for what a window costs, to correct
SHOWN = 8  # candidates
OFF = 0.1  # of a prediction: experiments/simulator has what was measured


@dataclass(kw_only=True)
class Search:
    """What is searched, and where its runs are. `measured` are those so far."""

    goal: str
    prunings: tuple[Pruning, ...]
    schedules: tuple[str, ...]
    gammas: tuple[int, ...]
    samples: int
    measure: int
    folder: Path
    overrides: tuple[str, ...]
    console: Console
    measured: dict[Candidate, Run] = field(default_factory=dict)

    def run(self) -> None:
        """Prints the table and the command. Raises UsageError for a setting that no run can have."""
        oracle = self._oracle(self._check())
        ranked = self._ranked(oracle)
        for candidate in self._likely(ranked):
            self.decode(candidate)
        self.console.print(self._table(ranked))
        for line in self._result():
            self.console.print(line, soft_wrap=True)  # a command is copied as one line

    def _check(self) -> int:
        """Refuse what would be refused after many runs; returns the number of the target's layers."""
        from vsd import models

        cfg = composed([*self.overrides, "pruner=none", "parallelism=sequential"])
        drafter = instantiate(cfg.drafter)
        if not drafter.chains or not drafter.needs_model:
            raise app.UsageError(f"drafter: must draft chains by a model for vsd tune, got {type(drafter).__name__}")
        return models.inspect(cfg.target.path).depth

    def _oracle(self, depth: int) -> Oracle:
        """What is predicted, corrected by a run of each schedule."""
        long = {pruning: run for pruning in self.prunings if (run := self._calibrated(pruning)) is not None}
        short = self.decode(Candidate(UNPRUNED, "sequential", SHORT))
        windows = window_share(long[UNPRUNED].records, short.records)
        oracle = Oracle.of(self.goal, long, windows=windows, depth=depth)
        likely = max(long, key=lambda pruning: oracle.predict(Candidate(pruning, "sequential", ANCHOR)))
        anchors = [Candidate(likely, schedule, ANCHOR) for schedule in self.schedules]
        return oracle.anchored([(candidate, self._value(self.decode(candidate))) for candidate in anchors])

    def _calibrated(self, pruning: Pruning) -> Run | None:
        """A pruner's run; none of one that cannot run here, which is left out."""
        try:
            return self.decode(Candidate(pruning, "sequential", LONG))
        except (app.UsageError, app.NothingDone) as error:
            if pruning == UNPRUNED:
                raise
            self.console.print(f"[yellow]{pruning} is left out[/]: {escape(str(error))}")
            return None

    def _ranked(self, oracle: Oracle) -> list[tuple[Candidate, float]]:
        """Every candidate with its prediction, the best first."""
        every = [Candidate(*each) for each in product(oracle.settings, self.schedules, self.gammas)]
        with self.console.status(f"predicting {len(every)} settings"):
            found = [(candidate, oracle.predict(candidate)) for candidate in every]
        return sorted(found, key=lambda each: each[1], reverse=True)

    def _likely(self, ranked: Sequence[tuple[Candidate, float]]) -> list[Candidate]:
        """Those to measure: the best; its shortest and longest draft of which the simulator, which is off by so much,
        cannot say that they are worse; and the best of the next prunings and schedules."""
        (best, value), *_ = ranked
        firsts = dict[tuple[Pruning, str], Candidate]()
        for candidate, _ in ranked:
            firsts.setdefault((candidate.pruning, candidate.schedule), candidate)
        near = [each.gamma for each, other in ranked if each[:2] == best[:2] and other >= (1 - OFF) * value]
        ends = [best._replace(gamma=gamma) for gamma in (max(near), min(near))]
        return [*dict.fromkeys([best, *ends, *firsts.values()])][: self.measure]

    def _value(self, run: Run) -> float:
        return run.summary.values[self.goal]

    @property
    def choice(self) -> Candidate:
        """The best that was measured."""
        return self._allowed()[0]

    def _allowed(self) -> list[Candidate]:
        """What was measured and may be chosen, the best first; a run for calibration may have another gamma."""
        found = [each for each in self.measured if each.gamma in self.gammas and each.schedule in self.schedules]
        return sorted(found, key=lambda each: self._value(self.measured[each]), reverse=True)

    def _result(self) -> Iterator[str]:
        best, *others = self._allowed()
        said = f"[bold]best {self.goal}[/]  {cell(self.measured[best].summary, self.goal)} with {best}"
        if others:
            behind = is_behind(self.measured[best], self.measured[others[0]], self.goal)
            said += f", {'told apart' if behind else 'not told apart'} from {others[0]}"
        yield said
        if self._value(self.measured[best]) < 1:
            yield "[yellow]the target alone is faster[/] (parallelism=autoregressive)"
        if failed := sum(not record.done for record in self.measured[best].records):
            yield f"[red]{failed} of {len(self.measured[best].records)} samples failed[/] (vsd report {self.folder})"
        yield f"  {escape(shlex.join(['vsd', *best.overrides, *self.overrides]))}"

    def decode(self, candidate: Candidate) -> Run:
        """Measured, the target alone beside it; found again if it was before. Raises UsageError for one of another
        machine, whose times are others."""
        folder = self.folder / f"{self.samples}-samples" / candidate.name
        before, here = provenance.read(folder).get("hardware"), provenance.hardware()
        if folder.exists() and before is not None and {**here, **before} != here:
            raise app.UsageError(
                f"--folder: must hold runs of this machine as it is set, got others in {str(folder)!r}"
            )
        most = len(self.prunings) + 1 + len(self.schedules) + self.measure
        self.console.print(f"[dim]run {len(self.measured) + 1} of at most {most}[/]  {candidate}")
        quiet = [] if any(each.startswith("callbacks=") for each in self.overrides) else ["callbacks=quiet"]
        fixed = [*quiet, f"limit={self.samples}", f"out='{folder}'"]
        run_here([*self.overrides, *candidate.overrides, *fixed], folder)
        self.measured[candidate] = load_run(folder)
        return self.measured[candidate]

    def _table(self, ranked: Sequence[tuple[Candidate, float]]) -> Table:
        """The best, by what is predicted, and all that was measured."""
        title = f"predicted and measured: the first of {len(ranked)} settings, and all that were measured"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("pruner", "ratio", "schedule", "gamma", "predicted", "measured"):
            table.add_column(heading, justify="left" if heading in ("pruner", "schedule") else "right", no_wrap=True)
        shown = [*ranked[:SHOWN], *(each for each in ranked[SHOWN:] if each[0] in self.measured)]
        for candidate, value in shown:
            (pruner, ratio), schedule, gamma = candidate
            measured = cell(self.measured[candidate].summary, self.goal) if candidate in self.measured else ""
            table.add_row(pruner, f"{ratio:g}", schedule, str(gamma), METRICS[self.goal].written(value), measured)
        return table
