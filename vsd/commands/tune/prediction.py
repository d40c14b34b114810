"""How fast each candidate would be: the simulator on step times and acceptance of short sequential runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hydra.utils import instantiate
from omegaconf import OmegaConf

from vsd.commands.tune.candidate import SCHEDULES, Candidate, Pruning
from vsd.evidence import Collector, Reading
from vsd.metrics import values_of
from vsd.metrics.record import Record
from vsd.pruners.base import Pruner
from vsd.run.results.run import Run
from vsd.simulator.acceptance import Replay, Script
from vsd.simulator.rehearsal import Setting, simulate
from vsd.simulator.stubs import StubModel
from vsd.step_times.profile import Profile
from vsd.step_times.times import Given
from vsd.step_times.virtual_clock import VirtualClock

_HALVINGS = 7

Runs = Mapping[Pruning, Run]
"""Sequential runs of chains of one length, with the target alone beside them."""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Predicts a metric (`goal`) of any candidate whose pruning has a run. Where one candidate of a schedule was
    measured, `messages_s` is what asking for a draft and taking it must cost there, and `anchors` by how much it does
    better than even that says."""

    goal: str
    settings: Mapping[Pruning, Setting]
    messages_s: Mapping[str, float] = field(default_factory=dict)
    anchors: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, goal: str, runs: Runs, *, windows: float, depth: int) -> Oracle:
        """`windows` is the share of a window's seconds in those runs that does not grow with its tokens, `depth` the
        number of the target's layers."""
        settings = {pruning: _setting(run, windows, depth) for pruning, run in runs.items()}
        return cls(goal=goal, settings=settings)

    def predict(self, candidate: Candidate) -> float:
        message_s = self.messages_s.get(candidate.schedule, 0.0)
        return self._simulated(candidate, message_s) * self.anchors.get(candidate.schedule, 1.0)

    def anchored(self, measured: Iterable[tuple[Candidate, float]]) -> Oracle:
        """The same one, corrected by what these candidates gave, one of a schedule. What both sides lose at once is
        taken to be lost with each message, so that it weighs more on short drafts than on long ones."""
        messages, anchors = dict(self.messages_s), dict(self.anchors)
        for candidate, value in measured:
            if SCHEDULES[candidate.schedule].overlaps:
                messages[candidate.schedule] = self._message_s(candidate, value)
            simulated = self._simulated(candidate, messages.get(candidate.schedule, 0.0))
            anchors[candidate.schedule] = value / simulated
        return replace(self, messages_s=messages, anchors=anchors)

    def _simulated(self, candidate: Candidate, message_s: float) -> float:
        setting = self.settings[candidate.pruning]
        assert isinstance(setting.times, Profile)
        times = replace(setting.times, message_s=message_s)
        told = replace(setting, times=times, parallelism=SCHEDULES[candidate.schedule], gamma=candidate.gamma)
        return values_of(simulate(told))[self.goal]

    def _message_s(self, candidate: Candidate, value: float) -> float:
        """What a message must cost for a candidate to be as slow as it is: at most half a step of the target."""
        low, high = 0.0, self.settings[candidate.pruning].times.verify_s(1, 0) / 2
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._simulated(candidate, middle) > value else (low, middle)
        return low


def window_share(long: Sequence[Record], short: Sequence[Record]) -> float:
    """Of runs with two draft lengths: the share of a long window's seconds that does not grow with its tokens."""
    profile = Profile.from_records([*long, *short])
    length = max(round_.proposed for record in long if record.trace is not None for round_ in record.trace.rounds)
    return profile.window_s / (profile.window_s + length * profile.draft)


def early_share(pruner: Pruner, depth: int) -> float:
    """The share of the target's layers after which what a pruner needs is there."""
    nothing = Script(visual=1, text=1, limit=1, draws=(), odds=(0.0,))
    prompt = StubModel(script=nothing, times=Given(target=1.0, draft=1.0), time=VirtualClock()).prompt()
    collector = Collector({need: need for need in pruner.needs}, Reading(prompt=prompt, depth=depth))
    return collector.stage(pruner.needs) / depth


def _setting(run: Run, windows: float, depth: int) -> Setting:
    """Step times and tokens of a run."""
    profile = Profile.from_records(run.records)
    traces = [record.trace for record in run.records if record.trace is not None]
    rounds = [round_ for trace in traces for round_ in trace.rounds if round_.proposed]
    window_s = sum(round_.draft_s for round_ in rounds) / len(rounds)
    each = (1 - windows) * window_s * len(rounds) / sum(round_.proposed for round_ in rounds)
    kept = sum(trace.kept for trace in traces) / sum(trace.visual for trace in traces)
    return Setting(
        times=replace(profile, window_s=windows * window_s, draft=each),
        acceptance=Replay(traces),
        ratio=1 - kept,
        early=early_share(instantiate(OmegaConf.create(dict(run.config["pruner"]))), depth),
        visual=1,  # each recording has its own
    )
