"""Records → numbers. Every metric is defined here, once.

A record is reduced to plain sums, the sums are pooled over the samples, and a metric is a function of the pooled sums:
totals over totals, never a mean of ratios. A metric whose denominator is zero (no baseline, nothing drafted, nothing
rejected) is left out rather than reported as 0 or infinity.

Acceptance counts rounds as the engine recorded them. A round cut short by the end of the generation counts what it
committed: its untested tokens are neither accepted nor rejected. The first token of a generation comes from the prefill
and belongs to no round. Rounds without a draft (at the very end of a generation, or all of them under autoregressive
decoding) do not count as rounds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from vsd.metrics.record import Record
from vsd.types import Round, Trace
from vsd.utils.faults import left_out

Sums = Mapping[str, float]
Metric = Callable[[Sums], float]

METRICS: dict[str, Metric] = {}


def metric(name: str) -> Callable[[Metric], Metric]:
    """Registers a function of the pooled sums under the metric's name. A ZeroDivisionError means "undefined"; what else
    it raises costs this metric alone, and a warning."""

    def register(function: Metric) -> Metric:
        METRICS[name] = function
        return function

    return register


# Acceptance


@metric("accept/length")
def length(s: Sums) -> float:
    """τ: tokens committed per round, the target's own (bonus) token included."""
    return s["committed"] / s["rounds"]


@metric("accept/draft_length")
def draft_length(s: Sums) -> float:
    """Draft tokens accepted per round, without the bonus token (the "accept length" of SpecVLM and LVSpec)."""
    return s["accepted"] / s["rounds"]


@metric("accept/run_length")
def run_length(s: Sums) -> float:
    """Draft tokens accepted up to a rejection, across rounds, as a mean over all rejections of all samples.

    That is PEARL's "mean accepted tokens" by its authors' code (arXiv 2408.11850): a run ends at a rejection, a last
    one that ends with the generation counts nowhere, and the runs of all samples are pooled. Others count otherwise
    under the same name: nano-PEARL adds the target's own token to each run, counts the last one too, and takes the mean
    of the samples' means; SpecVLM's accept length is per round (`accept/draft_length`), a mean of means too. Which one
    HIPPO (arXiv 2601.08273) and ParallelVLM (arXiv 2603.19610) report is not known.
    """
    return s["run"] / s["rejected"]


@metric("accept/rate")
def rate(s: Sums) -> float:
    """α: share of the tested draft tokens that were accepted; tokens after a rejection were never tested.

    This is the maximum-likelihood α if acceptance is i.i.d., and accept/run_length comes near α / (1 − α) in long
    generations. It is not "accepted over drafted", which falls with gamma.
    """
    return s["accepted"] / (s["accepted"] + s["rejected"])


@metric("accept/tokens_per_target_forward")
def tokens_per_target_forward(s: Sums) -> float:
    """Tokens per decode-time forward pass of the target, passes that had no draft to verify included."""
    return s["decoded"] / s["forwards"]


# Relaxed rules: what stands although it is not the target's own


@metric("relax/share")
def relaxed_share(s: Sums) -> float:
    """Share of the accepted draft tokens that stand only because the rule was relaxed."""
    return s["relaxed"] / s["accepted"]


@metric("relax/gap")
def relaxed_gap(s: Sums) -> float:
    """How much likelier the target's own token was than a relaxed one, as a mean of probability differences."""
    return s["gap"] / s["relaxed"]


# Speed: of this run, and against the target alone on the same samples. Above 1 is faster.


@metric("speed/tokens_per_s")
def tokens_per_s(s: Sums) -> float:
    """Tokens per second on the decode clock: both prefills and the pruning excluded."""
    return s["decoded"] / s["time/decode"]


@metric("speed/baseline_tokens_per_s")
def baseline_tokens_per_s(s: Sums) -> float:
    """Tokens per second of the target alone, on the same clock and samples."""
    return s["baseline/decoded"] / s["baseline/decode"]


@metric("speed/decode")
def decode(s: Sums) -> float:
    """Speed-up on the decode clock (the papers'): tokens per second over the baseline's."""
    return s["paired/decoded"] / s["paired/decode"] / baseline_tokens_per_s(s)


@metric("speed/end_to_end")
def end_to_end(s: Sums) -> float:
    """Speed-up of everything after the video was decoded to frames: tokens per second over the baseline's."""
    return (s["paired/tokens"] / s["paired/total"]) / (s["baseline/tokens"] / s["baseline/total"])


@metric("speed/ttft")
def ttft(s: Sums) -> float:
    """Speed-up of the time to the first token: the baseline's over this run's. Speculation cannot make it large."""
    return s["baseline/first_token"] / s["paired/first_token"]


@metric("speed/cost_ratio")
def cost_ratio(s: Sums) -> float:
    """c: the target's seconds per decode step, taken from the baseline, over the draft's per drafted token (of a tree:
    per level)."""
    return (s["baseline/decode"] / s["baseline/forwards"]) / (s["draft_s"] / s["steps"])


@metric("speed/predicted")
def predicted(s: Sums) -> float:
    """Theory for a sequential chain with i.i.d. acceptance (2211.17192): τ / (γ/c + 1), τ = (1 − α^(γ+1)) / (1 − α).

    α is accept/rate, γ the mean draft length per round, c speed/cost_ratio. It takes a verification of γ + 1 tokens
    to cost one step of the target; what it costs more shows in speed/measured_to_predicted. Left out where the draft
    works ahead: that is another schedule.
    """
    if s["ahead"]:
        raise ZeroDivisionError
    alpha, gamma = rate(s), s["drafted"] / s["rounds"]
    tau = gamma + 1 if alpha == 1 else (1 - alpha ** (gamma + 1)) / (1 - alpha)
    return tau / (gamma / cost_ratio(s) + 1)


@metric("speed/measured_to_predicted")
def measured_to_predicted(s: Sums) -> float:
    """speed/decode over speed/predicted: 1 means that nothing is lost to overheads."""
    return decode(s) / predicted(s)


@metric("speed/device_s_per_token")
def device_s_per_token(s: Sums) -> float:
    """Seconds of a device per token on the decode clock: a run on two devices spends two in each second."""
    return s["device/decode"] / s["decoded"]


@metric("speed/equal_devices")
def equal_devices(s: Sums) -> float:
    """Speed-up on the decode clock over the target alone on as many devices: a copy on each, with samples of its own.
    Left out where the run holds no more devices than the baseline."""
    more = s["paired/device_decode"] / s["paired/decode"] / (s["baseline/device_decode"] / s["baseline/decode"])
    if more < 1 + 1e-9:
        raise ZeroDivisionError
    return decode(s) / more


# Draft and target at once


@metric("parallel/overlap")
def overlap(s: Sums) -> float:
    """Of the time that the two sides could have worked at once, the share in which they did: the seconds of both less
    those of the round, over the smaller of the two, in the rounds that drafted ahead."""
    return (s["ahead/draft_s"] + s["ahead/verify_s"] - s["ahead/wall_s"]) / s["ahead/smaller_s"]


@metric("parallel/target_wait")
def target_wait(s: Sums) -> float:
    """Of the time of the rounds that drafted ahead, the share in which the target waited for the draft."""
    return s["ahead/wait_s"] / s["ahead/wall_s"]


@metric("parallel/draft_wait")
def draft_wait(s: Sums) -> float:
    """The share in which the draft had nothing to do."""
    return 1 - s["ahead/draft_s"] / s["ahead/wall_s"]


@metric("parallel/wasted")
def wasted(s: Sums) -> float:
    """Share of all drafted tokens that were thrown away, tested or not."""
    return s["wasted"] / s["proposed"]


# What the draft reads


@metric("encode/vision_shared")
def vision_shared(s: Sums) -> float:
    """Share of the samples in which the draft took the target's vision features, since its own would be the same."""
    return s["vision_shared"] / s["vision_drafts"]


@metric("prune/visual")
def visual(s: Sums) -> float:
    """Visual tokens per prompt of the target."""
    return s["visual"] / s["done"]


@metric("prune/kept")
def kept(s: Sums) -> float:
    """Visual tokens per prompt that the draft sees."""
    return s["kept"] / s["done"]


def summary(records: Sequence[Record]) -> dict[str, float]:
    """All metrics of a run as one flat dict of finite numbers (the contents of metrics.json).

    Beside METRICS: `accept/position_k` (share accepted of the k-th draft tokens that were tested, k from 1),
    `accept/position_k_unconditional` (share accepted of the rounds that drafted k or more), `time/SPAN` (mean seconds
    per sample of each span of the trace), `exact/mismatched` (samples whose tokens differ from the baseline's), of them
    `exact/near_tie` (rounding explains it, see `vsd.metrics.audit`) and `exact/unexplained` (nothing does),
    `memory/peak_mb`, `samples/done`, `samples/failed`.
    """
    done = [record for record in records if record.done]
    values = _evaluate(_pool(map(_known_sums, done)))
    if any(record.baseline for record in done):
        audits = [record.audit for record in done if record.mismatched]
        values["exact/mismatched"] = len(audits)
        if None not in audits:  # a rule that may differ is not audited
            values["exact/near_tie"] = sum(audit.explained for audit in audits if audit)
            values["exact/unexplained"] = len(audits) - values["exact/near_tie"]
    if done:
        values["memory/peak_mb"] = max(record.peak_mb for record in done)
    values["samples/done"] = len(done)
    values["samples/failed"] = len(records) - len(done)
    return values


def standard_errors(records: Sequence[Record]) -> dict[str, float]:
    """The standard error of each pooled metric over the videos: delete-one jackknife, so rounds and questions of one
    video (which resemble each other) are never taken for independent. Empty for fewer than two videos; a metric that is
    undefined without one of them is left out."""
    videos: dict[str, list[Sums]] = defaultdict(list)
    for record in records:
        if record.done:
            videos[record.sample.video].append(_known_sums(record))
    parts = [_pool(sums) for sums in videos.values()]
    n = len(parts)
    if n < 2:
        return {}
    total = _pool(parts)
    estimates = [_evaluate({key: total[key] - part.get(key, 0.0) for key in total}) for part in parts]
    errors = {}
    for name in _evaluate(total):
        values = [estimate[name] for estimate in estimates if name in estimate]
        if len(values) == n:
            mean = sum(values) / n
            errors[name] = math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in values))
    return errors


def accepted_per_round(records: Iterable[Record]) -> list[int]:
    """Draft tokens accepted in each round of the run, for histograms."""
    return [r.accepted for record in records if record.trace for r in record.trace.rounds if r.drafted]


def position_curve(records: Sequence[Record]) -> list[tuple[int, float]]:
    """(k, accept/position_k) for every draft position, in order."""
    prefix = "accept/position_"
    values = {name.removeprefix(prefix): value for name, value in summary(records).items() if name.startswith(prefix)}
    return [(int(position), value) for position, value in values.items() if position.isdecimal()]


def _known_sums(record: Record) -> dict[str, float]:
    """The same; nothing of a record whose numbers cannot be told."""
    with left_out(f"sample {record.sample.id!r}"):
        return _sums(record)
    return {}


def _sums(record: Record) -> dict[str, float]:
    """The sums of one finished record."""
    trace = record.trace
    if trace is None:
        return {}
    sums = _trace_sums(trace)
    base = record.baseline
    if base is not None:
        sums |= {f"paired/{key}": sums[f"time/{key}"] for key in ("decode", "total", "first_token")}
        sums |= {f"baseline/{key}": base.seconds[key] for key in ("decode", "total", "first_token")}
        sums |= {"paired/tokens": len(trace.tokens), "baseline/tokens": len(base.tokens)}
        sums |= {"paired/decoded": _decoded(trace), "baseline/decoded": _decoded(base)}
        sums["baseline/forwards"] = base.target_forwards
        sums["paired/device_decode"] = sums["device/decode"]
        sums["baseline/device_decode"] = base.devices * base.seconds["decode"]
    return sums


def _trace_sums(trace: Trace) -> dict[str, float]:
    rounds = [r for r in trace.rounds if r.drafted]
    sums: dict[str, float] = defaultdict(float)
    sums |= {f"time/{span}": seconds for span, seconds in trace.seconds.items()}
    sums |= {"done": 1, "visual": trace.visual, "kept": trace.kept, "decoded": _decoded(trace)}
    sums |= {"rounds": len(rounds), "forwards": trace.target_forwards, "committed": sum(r.committed for r in rounds)}
    sums |= {"accepted": sum(r.accepted for r in rounds), "rejected": sum(r.rejected for r in rounds)}
    sums["run"] = _finished_runs(rounds)
    sums |= {"drafted": sum(r.drafted for r in rounds), "draft_s": sum(r.draft_s for r in rounds)}
    sums["device/decode"] = trace.devices * trace.seconds["decode"]
    sums |= {"vision_drafts": trace.vision_shared is not None, "vision_shared": bool(trace.vision_shared)}
    ahead = [r for r in trace.rounds if r.ahead and r.wall_s]  # not the one that the prefill's logits tested
    sums |= {"proposed": sum(r.proposed for r in trace.rounds), "wasted": sum(r.wasted for r in trace.rounds)}
    sums |= {"steps": sums["proposed"] if ahead else sums["drafted"]}
    spans = ("draft_s", "verify_s", "wait_s", "wall_s")
    sums |= {f"ahead/{name}": sum(getattr(r, name) for r in ahead) for name in spans}
    sums |= {"ahead": len(ahead), "ahead/smaller_s": sum(min(r.draft_s, r.verify_s) for r in ahead)}
    sums |= {"relaxed": sum(len(r.relaxed) for r in rounds), "gap": sum(sum(r.gaps) for r in rounds)}
    for r in rounds:
        for k in range(1, r.drafted + 1):
            sums[f"offered/{k}"] += 1
            sums[f"tested/{k}"] += k <= _tested(r)
            sums[f"accepted/{k}"] += k <= r.accepted
    return dict(sums)


def _finished_runs(rounds: Sequence[Round]) -> int:
    """Draft tokens accepted up to the last rejection of a generation."""
    last = max((place for place, r in enumerate(rounds) if r.rejected), default=-1)
    return sum(r.accepted for r in rounds[: last + 1])


def _tested(r: Round) -> int:
    """Draft positions of a round that were compared with the target: the accepted ones, and the refused one."""
    return r.accepted + r.rejected


def _decoded(trace: Trace) -> int:
    """Tokens that the decode clock covers: all but the first, which comes from the prefill."""
    return max(len(trace.tokens) - 1, 0)


def _pool(parts: Iterable[Sums]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return dict(total)


def _evaluate(sums: Sums) -> dict[str, float]:
    """Every metric that is defined for these sums."""
    full = defaultdict(float, sums)
    values = {}
    for name, function in [*METRICS.items(), *_position_metrics(sums), *_time_metrics(sums)]:
        with left_out(name):
            values[name] = function(full)
    return values


def _position_metrics(sums: Sums) -> Iterator[tuple[str, Metric]]:
    for k in sorted(int(key.removeprefix("offered/")) for key in sums if key.startswith("offered/")):
        yield f"accept/position_{k}", partial(_ratio, over=f"accepted/{k}", under=f"tested/{k}")
        yield f"accept/position_{k}_unconditional", partial(_ratio, over=f"accepted/{k}", under=f"offered/{k}")


def _time_metrics(sums: Sums) -> Iterator[tuple[str, Metric]]:
    for key in sums:
        if key.startswith("time/"):
            yield key, partial(_ratio, over=key, under="done")


def _ratio(sums: Sums, over: str, under: str) -> float:
    return sums[over] / sums[under]
