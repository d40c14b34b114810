"""Speed: of this run, and against the target alone on the same samples. Above 1 is faster."""

from __future__ import annotations

import numpy as np

from vsd.metrics import acceptance
from vsd.metrics.registry import Sums, Value, metric, ratio


@metric("speed/tokens_per_s", "tokens/s", "rate", "higher", live=True)
def tokens_per_s(s: Sums) -> Value:
    """Tokens per second on the decode clock: both prefills and the pruning excluded."""
    return ratio(s["decoded"], s["time/decode"])


@metric("speed/baseline_tokens_per_s", "tokens/s, target alone", "rate", "higher")
def baseline_tokens_per_s(s: Sums) -> Value:
    """Tokens per second of the target alone, on the same clock and samples."""
    return ratio(s["baseline/decoded"], s["baseline/decode"])


@metric("speed/decode", "speed-up, decoding", "times", "higher", live=True)
def decode(s: Sums) -> Value:
    """Speed-up on the decode clock (the papers'): tokens per second over the baseline's."""
    return ratio(ratio(s["paired/decoded"], s["paired/decode"]), baseline_tokens_per_s.value(s))


@metric("speed/end_to_end", "speed-up, end to end", "times", "higher", live=True)
def end_to_end(s: Sums) -> Value:
    """Speed-up of everything after the video was decoded to frames: tokens per second over the baseline's."""
    return ratio(ratio(s["paired/tokens"], s["paired/total"]), ratio(s["baseline/tokens"], s["baseline/total"]))


@metric("speed/ttft", "speed-up, first token", "times", "higher")
def ttft(s: Sums) -> Value:
    """Speed-up of the time to the first token: the baseline's over this run's. Speculation cannot make it large."""
    return ratio(s["baseline/first_token"], s["paired/first_token"])


@metric("speed/cost_ratio", "target step / draft step", "tokens", "higher")
def cost_ratio(s: Sums) -> Value:
    """c: the target's seconds per decode step, taken from the baseline, over the draft's per drafted token (of a tree:
    per level)."""
    return ratio(ratio(s["baseline/decode"], s["baseline/forwards"]), ratio(s["draft_s"], s["steps"]))


@metric("speed/verify_steps", "verification / target step", "tokens", "lower")
def verify_steps(s: Sums) -> Value:
    """Seconds of a verification, over those of one decode step of the target alone: what theory takes to be 1."""
    return ratio(ratio(s["verify_s"], s["verified"]), ratio(s["baseline/decode"], s["baseline/forwards"]))


@metric("speed/predicted", "speed-up, by theory", "times", "higher")
def predicted(s: Sums) -> Value:
    """Theory for a sequential chain with i.i.d. acceptance (2211.17192): τ / (γ/c + 1), τ = (1 − α^(γ+1)) / (1 − α).

    α is accept/rate, γ the mean draft length per round, c speed/cost_ratio. It takes a verification of γ + 1 tokens
    to cost one step of the target; what it costs more shows in speed/measured_to_predicted. Left out where the draft
    works ahead: that is another schedule.
    """
    alpha, gamma = acceptance.rate.value(s), ratio(s["drafted"], s["rounds"])
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = np.where(alpha == 1, gamma + 1, (1 - alpha ** (gamma + 1)) / (1 - alpha))
    speed: Value = np.where(s["ahead"] == 0, tau / (ratio(gamma, cost_ratio.value(s)) + 1), np.nan)
    return speed


@metric("speed/measured_to_predicted", "measured / theory", "tokens", "higher")
def measured_to_predicted(s: Sums) -> Value:
    """speed/decode over speed/predicted: 1 means that nothing is lost to overheads."""
    return ratio(decode.value(s), predicted.value(s))


@metric("speed/device_s_per_token", "device seconds per token", "seconds", "lower")
def device_s_per_token(s: Sums) -> Value:
    """Seconds of a device per token on the decode clock: a run on two devices spends two in each second."""
    return ratio(s["device/decode"], s["decoded"])


@metric("speed/equal_devices", "speed-up, as many devices", "times", "higher")
def equal_devices(s: Sums) -> Value:
    """Speed-up on the decode clock over the target alone on as many devices: a copy on each, with samples of its own.
    Left out where the run holds no more devices than the baseline."""
    more = ratio(
        ratio(s["paired/device_decode"], s["paired/decode"]), ratio(s["baseline/device_decode"], s["baseline/decode"])
    )
    speed: Value = np.where(more > 1 + 1e-9, ratio(decode.value(s), more), np.nan)
    return speed
