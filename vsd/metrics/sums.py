"""What one record adds to the pooled sums.

Acceptance counts rounds as the engine recorded them. A round cut short by the end of the generation counts what it
committed: its untested tokens are neither accepted nor rejected. The first token of a generation comes from the prefill
and belongs to no round. Rounds without a draft (at the very end of a generation, or all of them under autoregressive
decoding) do not count as rounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from vsd.metrics.record import Record
from vsd.metrics.relevance import relevance_sums
from vsd.metrics.texts import COMPARED
from vsd.types import Round, Trace
from vsd.utils.faults import left_out

LARGEST = "largest/"  # what begins so is not added up: the largest counts


def sums_of(record: Record, *, scored: bool = True) -> dict[str, float]:
    """The sums of one record; of one that failed, or whose numbers cannot be told, that alone. `scored`: whether its
    scores count."""
    if not record.done:
        return {"failed": 1}
    sums: dict[str, float] = {"finished": 1}
    with left_out(f"sample {record.sample.id!r}"):
        sums |= _sums(record, scored=scored)
    return sums


def pooled(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sums of several."""
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, value in part.items():
            total[name] = max(total[name], value) if name.startswith(LARGEST) else total[name] + value
    return dict(total)


def _sums(record: Record, *, scored: bool) -> dict[str, float]:
    trace, base = record.trace, record.baseline
    assert trace is not None
    sums = _trace_sums(trace)
    sums[f"{LARGEST}peak_mb"] = record.peak_mb
    if record.fact_tokens:
        sums |= relevance_sums(record.fact_tokens, trace.by_token("relevance"))
    for name, score in record.scores.items() if scored else ():
        sums |= {f"right/{name}": score.right, f"asked/{name}": score.asked}
    if base is None:
        return sums
    sums |= {f"paired/{key}": sums[f"time/{key}"] for key in ("decode", "total", "first_token")}
    sums |= {f"baseline/{key}": base.seconds[key] for key in ("decode", "total", "first_token")}
    sums |= {"paired/tokens": len(trace.tokens), "baseline/tokens": len(base.tokens)}
    sums |= {"paired/decoded": _decoded(trace), "baseline/decoded": _decoded(base)}
    sums["baseline/forwards"] = base.target_forwards
    sums["paired/device_decode"] = sums["device/decode"]
    sums["baseline/device_decode"] = base.devices * base.seconds["decode"]
    for name, score in record.baseline_scores.items():
        sums |= {f"right/baseline_{name}": score.right, f"asked/baseline_{name}": score.asked}
    return sums | _compared(record, trace, base) | _exactness(record)


def _compared(record: Record, trace: Trace, base: Trace) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, function in COMPARED.items():
        with left_out(f"quality/{name} of sample {record.sample.id!r}"):
            sums |= {f"right/{name}": float(function(record, trace, base)), f"asked/{name}": 1}
    return sums


def _exactness(record: Record) -> dict[str, float]:
    sums: dict[str, float] = {"compared": 1, "mismatched": record.mismatched}
    if record.mismatched and (found := record.audit) is not None:
        sums |= {"audited": 1, "near_tie": found.explained, "violations": found.violations}
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
    verified = [r.verify_s for r in rounds if r.verify_s]  # not one that was tested with the prefill's logits
    sums |= {"verify_s": sum(verified), "verified": len(verified)}
    sums["device/decode"] = trace.devices * trace.seconds["decode"]
    sums |= {"vision_drafts": trace.shared is not None, "vision_shared": trace.shared == "features"}
    sums["pixels_shared"] = trace.shared == "pixels"
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
            sums[f"tested/{k}"] += k <= r.accepted + r.rejected
            sums[f"accepted/{k}"] += k <= r.accepted
    return dict(sums)


def _finished_runs(rounds: Sequence[Round]) -> int:
    """Draft tokens accepted up to the last rejection of a generation."""
    last = max((place for place, r in enumerate(rounds) if r.rejected), default=-1)
    return sum(r.accepted for r in rounds[: last + 1])


def _decoded(trace: Trace) -> int:
    """Tokens that the decode clock covers: all but the first, which comes from the prefill."""
    return max(len(trace.tokens) - 1, 0)
