"""Step times as a finished run measured them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from vsd.metrics.record import Record
from vsd.step_times.times import Times
from vsd.types import Round, Trace
from vsd.utils.validation import is_number, require, require_number

FEW = 5  # passes; a number of nodes that was seen less often says little
MANY = 20  # windows of a length, before it says what a window costs besides


@dataclass(frozen=True, kw_only=True)
class Profile(Times):
    """Mean times of a run's steps, which are taken to be the same for any context.

    `verify` are the seconds of a target pass by its number of tokens, as pairs, with a straight line between them and
    on behind the last. `draft` are those of a drafted token, and `window_s` those of a window besides, where windows of
    several lengths tell the two apart. Vision towers and prefills are seconds a token, `prune` a
    visual token. Means, and not medians: a run's speed is a matter of totals.
    """

    verify: tuple[tuple[int, float], ...]
    draft: float
    encode: float = 0.0
    draft_encode: float = 0.0
    prefill: float = 0.0
    draft_prefill: float = 0.0
    prune: float = 0.0
    latency_s: float = 0.0
    message_s: float = 0.0
    window_s: float = 0.0
    spread: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        nodes = [nodes for nodes, _ in self.verify]
        require("profile.verify", "times of growing numbers of tokens", self.verify, nodes == sorted(set(nodes)) != [])
        for count, seconds in self.verify:
            holds = is_number(seconds) and seconds > 0
            require(f"profile.verify of {count} tokens", "a number above 0", seconds, holds)
        for name, value in asdict(self).items():
            for number in value if name == "spread" else () if name == "verify" else (value,):
                require_number(f"profile.{name}", number, least=0)

    @classmethod
    def from_records(cls, records: Iterable[Record], *, latency_s: float = 0.0, message_s: float = 0.0) -> Profile:
        """The times of sequential runs of chains of one pair. Raises ValueError for others.

        A pass of one token takes what the target alone takes for a step, if the run measured that. What a round costs
        beside both passes is part of the target's.
        """
        done = [record for record in records if record.trace is not None]
        traces = [record.trace for record in done if record.trace is not None]
        baselines = [record.baseline for record in done if record.baseline is not None]
        rounds = [round_ for trace in traces for round_ in trace.rounds if round_.proposed]
        require("profile", "of a run that drafted", f"{len(traces)} generations without a draft", bool(rounds))
        in_turn = not any(round_.ahead for round_ in rounds)
        require("profile", "of a sequential run", "one that worked at once", in_turn)
        require("profile", "of a run of chains", "trees", all(round_.nodes == round_.drafted for round_ in rounds))
        window_s, token_s = _windows(rounds)
        return cls(
            verify=_verify(rounds, _overhead(traces), baselines),
            draft=token_s,
            window_s=window_s,
            encode=_each(traces, "encode", lambda trace: trace.visual),
            draft_encode=_each(traces, "draft_encode", lambda trace: trace.visual),
            prefill=_each(traces, "prefill", lambda trace: trace.prompt),
            draft_prefill=_each(traces, "draft_prefill", lambda trace: trace.prompt - trace.visual + trace.kept),
            prune=_each(traces, "prune", lambda trace: trace.visual),
            latency_s=latency_s,
            message_s=message_s,
            spread=(
                _spread([[one.verify_s for one in trace.rounds] for trace in traces]),
                _spread([[one.draft_s / one.proposed for one in trace.rounds if one.proposed] for trace in traces]),
            ),
        )

    @classmethod
    def load(cls, file: Path, *, field: str = "profile") -> Profile:
        """What `save` wrote. Raises ValueError for any other file."""
        try:
            row: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            verify = tuple((int(nodes), float(s)) for nodes, s in row["verify"])
            target, draft = row.get("spread", cls.spread)
            return cls(**{**row, "verify": verify, "spread": (float(target), float(draft))})
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{field}: must be a file of step times, got {str(file)!r} ({error})") from error

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def verify_s(self, nodes: int, context: int) -> float:
        return _line(self.verify, nodes)

    def draft_s(self, nodes: int, context: int) -> float:
        return self.draft

    def encode_s(self, visual: int) -> float:
        return self.encode * visual

    def draft_encode_s(self, visual: int) -> float:
        return self.draft_encode * visual

    def prefill_s(self, tokens: int) -> float:
        return self.prefill * tokens

    def draft_prefill_s(self, tokens: int) -> float:
        return self.draft_prefill * tokens

    def prune_s(self, visual: int) -> float:
        return self.prune * visual


def _verify(rounds: Sequence[Round], overhead_s: float, baselines: Sequence[Trace]) -> tuple[tuple[int, float], ...]:
    """Seconds of a target pass by its number of tokens."""
    seen: dict[int, list[float]] = defaultdict(list)
    for round_ in rounds:
        seen[round_.nodes + 1].append(round_.verify_s)
    often = {nodes: durations for nodes, durations in seen.items() if len(durations) >= FEW} or seen
    points = {nodes: fmean(durations) + overhead_s for nodes, durations in often.items()}
    steps = sum(trace.target_forwards for trace in baselines)
    if steps:
        points[1] = sum(trace.seconds["decode"] for trace in baselines) / steps
    return tuple(sorted(points.items()))


def _windows(rounds: Sequence[Round]) -> tuple[float, float]:
    """Seconds of a window, and of each token in it: a straight line through the means of its lengths."""
    seen: dict[int, list[float]] = defaultdict(list)
    for round_ in rounds:
        seen[round_.proposed].append(round_.draft_s)
    often = {tokens: durations for tokens, durations in seen.items() if len(durations) >= MANY}
    if len(often) > 1:
        weights = [len(durations) ** 0.5 for durations in often.values()]
        slope, start = np.polyfit(list(often), [fmean(durations) for durations in often.values()], 1, w=weights)
        if slope > 0 and start > 0:
            return float(start), float(slope)
    return 0.0, sum(round_.draft_s for round_ in rounds) / sum(round_.proposed for round_ in rounds)


def _spread(durations: Sequence[Sequence[float]]) -> float:
    """Sigma of the times of a generation's steps around their median: half of what lies between the 16th and the 84th
    percentile of the logarithms, so that a single hiccup does not count."""
    around = [np.log(np.array(times) / np.median(times)) for times in durations if len(times) > 1 and min(times) > 0]
    if not around:
        return 0.0
    low, high = np.quantile(np.concatenate(around), (0.16, 0.84))
    return float(high - low) / 2


def _overhead(traces: Sequence[Trace]) -> float:
    """Seconds of the decoding that belong to neither pass, per round."""
    decode = sum(trace.seconds["decode"] for trace in traces)
    rounds = [round_ for trace in traces for round_ in trace.rounds]
    return max(0.0, decode - sum(round_.draft_s + round_.verify_s for round_ in rounds)) / len(rounds)


def _each(traces: Sequence[Trace], span: str, tokens: Any) -> float:
    """Seconds of a span by the token that it works on."""
    count = sum(tokens(trace) for trace in traces)
    return sum(trace.seconds.get(span, 0.0) for trace in traces) / count if count else 0.0


def _line(points: Sequence[tuple[int, float]], place: float) -> float:
    """Straight between the points, and on along the last two if that rises; before the first, that one."""
    places, values = zip(*points, strict=True)
    if len(points) == 1 or place <= places[0]:
        return float(values[0])
    if place > places[-1]:
        slope = max(0.0, (values[-1] - values[-2]) / (places[-1] - places[-2]))
        return float(values[-1] + slope * (place - places[-1]))
    return float(np.interp(place, places, values))
