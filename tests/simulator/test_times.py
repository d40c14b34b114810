"""Step times: from a roofline by hand calculations, from records made up by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vsd.executors.simulated import read_profile
from vsd.metrics.record import Record
from vsd.step_times.devices import DEVICES
from vsd.step_times.profile import Profile
from vsd.step_times.roofline import Machine, Roofline, Split, efficiency_of
from vsd.step_times.shapes import SHAPES, shape
from vsd.types import Round, Sample, Trace

H200 = DEVICES["h200"]
SEVEN = SHAPES["qwen2_5_vl_7b"]


@pytest.mark.parametrize(
    ("name", "billions"),
    [("llava_ov_0_5b", 0.494), ("qwen2_5_vl_7b", 7.07), ("qwen2_5_vl_32b", 31.98), ("llava_ov_72b", 71.46)],
)
def test_weights_are_those_of_the_models(name: str, billions: float) -> None:
    """Embeddings apart, which are looked up: 7.62e9 parameters of Qwen2-7B less 0.545e9."""
    assert (SHAPES[name].body + SHAPES[name].lm_head) / 1e9 == pytest.approx(billions, rel=0.002)


def test_a_bundled_checkpoint_has_a_shape_of_its_own() -> None:
    found = shape("zoo:qwen2_5_vl/target")
    assert (found.layers, found.width, found.heads, found.kv_heads, found.tower.patches) == (8, 128, 4, 2, 4)
    with pytest.raises(ValueError, match=r"^draft: must be a checkpoint or one of .*, got 'a/b/c'"):
        shape("a/b/c", field="draft")


def test_a_decode_step_moves_the_weights_and_the_cache() -> None:
    machine = Machine(device=H200)
    assert machine.pass_s(SEVEN, 1, 0) == pytest.approx(14.14e9 / 4.8e12, rel=0.001)
    # 28 layers, keys and values, 4 heads of 128, 2 bytes: 57,344 bytes a row.
    assert machine.pass_s(SEVEN, 1, 25_000) - machine.pass_s(SEVEN, 1, 0) == pytest.approx(25_000 * 57_344 / 4.8e12)
    assert machine.pass_s(SEVEN, 8, 1000) == pytest.approx(machine.pass_s(SEVEN, 1, 1000), rel=0.001)


def test_a_prefill_computes() -> None:
    tokens = 25_000
    linear = 2 * 6.525e9 * tokens
    attention = 4 * 28 * 3584 * tokens**2 / 2
    found = Machine(device=H200, efficiency=0.5).pass_s(SEVEN, tokens, 0, rows=1)
    assert found == pytest.approx((linear + attention) / (0.5 * 989e12), rel=0.001)


PLACED: tuple[tuple[int, Split], ...] = ((1, "tensor"), (2, "tensor"), (2, "pipeline"))


def test_a_model_on_two_devices() -> None:
    alone, tensor, pipeline = (
        Machine(device=H200, count=count, split=split).pass_s(SEVEN, 1, 0) for count, split in PLACED
    )
    assert tensor == pytest.approx(alone / 2 + 2 * 28 * (2 * 3584 / 450e9 + 6.6e-6 + 2 * 0.6e-6), rel=0.001)
    assert pipeline == pytest.approx(alone + 10e-6, rel=0.001)


def test_what_does_not_fit() -> None:
    small = Machine(device=DEVICES["l40s"])
    pair: dict[str, Any] = {"target": SHAPES["qwen2_5_vl_72b"], "draft": SEVEN, "draft_on": small}
    # 71.46e9 weights and 1.25e9 of the embeddings, 0.63e9 of the tower, 2 bytes each; 327,680 bytes a row.
    assert list(Roofline(target_on=small, **pair).crowded(10_000)) == [
        "target: 150 GB of weights and cache on a device of 48 GB"
    ]
    assert not list(Roofline(target_on=Machine(device=DEVICES["l40s"], count=4), **pair).crowded(10_000))


def test_a_pair_on_devices() -> None:
    machine = Machine(device=H200)
    times = Roofline(target=SHAPES["qwen2_5_vl_32b"], draft=SEVEN, target_on=machine, draft_on=machine)
    assert times.verify_s(1, 0) / times.draft_s(1, 0) == pytest.approx(31.98 / 7.07, rel=0.001)
    assert times.encode_s(1000) == pytest.approx(2 * 0.63e9 * 4000 / 989e12)


@pytest.mark.parametrize(
    ("field", "value"), [("efficiency", 0), ("efficiency", 1.1), ("split", "expert"), ("count", 0), ("layer_s", -1)]
)
def test_machines_that_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        Machine(device=H200, **{field: value})


def a_round(nodes: int, draft_s: float, verify_s: float, **changes: int) -> Round:
    same: dict[str, Any] = {
        "drafted": nodes,
        "nodes": nodes,
        "proposed": nodes,
        "accepted": 0,
        "committed": 1,
        "rejected": True,
    }
    return Round(**{**same, "draft_s": draft_s, "verify_s": verify_s, **changes})


def a_record(*rounds: Round, alone_s: float | None = 2.0) -> Record:
    spans = {"encode": 4.0, "prefill": 6.0, "prune": 2.0, "draft_encode": 8.0, "draft_prefill": 7.0, "decode": 29.5}
    same: dict[str, Any] = {"visual": 40, "kept": 15, "prompt": 60, "finish": "eos"}
    trace = Trace(tokens=(0,) * 9, rounds=rounds, seconds=spans, target_forwards=len(rounds), **same)
    alone = None
    if alone_s is not None:
        seconds = {"decode": alone_s * 8}
        alone = Trace(tokens=(0,) * 9, rounds=(), seconds=seconds, target_forwards=8, **same)
    return Record(sample=Sample(id="0", video="0", question=""), trace=trace, baseline=alone)


ROUNDS = (a_round(5, 5.0, 3.0), a_round(5, 5.0, 5.0), a_round(2, 2.0, 3.0), a_round(0, 0.0, 2.5))


def test_a_profile_of_records() -> None:
    found = Profile.from_records([a_record(*ROUNDS)])
    # The decoding took 29.5 s and its passes 25.5 s: one second a round belongs to neither.
    assert found.verify == ((1, 2.0), (3, 4.0), (6, 5.0))
    assert found.draft == 1.0
    assert [found.verify_s(nodes, 0) for nodes in (1, 2, 3, 6, 9)] == pytest.approx([2, 3, 4, 5, 6])
    assert (found.encode_s(40), found.draft_encode_s(40), found.prune_s(40)) == (4.0, 8.0, 2.0)
    assert (found.prefill_s(60), found.draft_prefill_s(35)) == (6.0, 7.0)
    # Passes over their median, in logarithms: -0.182, 0, 0, 0.511. The percentiles lie 0.48 and 2.52 places from the
    # first. All windows took a second a token.
    assert found.spread == pytest.approx(((0.52 * 0.5108 + 0.52 * 0.1823) / 2, 0.0), abs=1e-4)


def test_windows_of_two_lengths_tell_what_each_costs_besides() -> None:
    short, long = a_round(2, 2.5, 3.0), a_round(8, 5.5, 3.0)
    found = Profile.from_records([a_record(*[short] * 20), a_record(*[long] * 40)])
    assert (found.window_s, found.draft) == pytest.approx((1.5, 0.5))
    found = Profile.from_records([a_record(*[short] * 19), a_record(*[long] * 40)])  # too few to say so
    assert (found.window_s, found.draft) == pytest.approx((0, (19 * 2.5 + 40 * 5.5) / (19 * 2 + 40 * 8)))


def test_a_length_that_was_seen_often_counts_alone() -> None:
    found = Profile.from_records([a_record(*[a_round(5, 5.0, 3.0)] * 5, a_round(1, 1.0, 9.0), alone_s=None)])
    assert [nodes for nodes, _ in found.verify] == [6]
    assert found.verify_s(2, 0) == found.verify_s(6, 0) == found.verify_s(8, 0)


def test_a_profile_of_another_run_is_refused() -> None:
    for rounds, rule in (
        ((a_round(0, 0.0, 1.0),), "of a run that drafted"),
        ((a_round(5, 5.0, 3.0, ahead=2),), "of a sequential run"),
        ((a_round(5, 5.0, 3.0, drafted=2),), "of a run of chains"),
    ):
        with pytest.raises(ValueError, match=f"^profile: must be {rule}, got "):
            Profile.from_records([a_record(*rounds)])


def test_a_profile_is_kept_as_a_file(tmp_path: Path) -> None:
    found = Profile.from_records([a_record(*ROUNDS)], latency_s=0.5)
    found.save(tmp_path / "deep" / "p.json")
    assert Profile.load(tmp_path / "deep" / "p.json") == found
    (tmp_path / "bad.json").write_text('{"verify": [[1, -2]], "draft": 1}')
    for name in ("none.json", "bad.json"):
        with pytest.raises(ValueError, match=r"^profile: must be a file of step times, got "):
            Profile.load(tmp_path / name)


def test_efficiency_has_names() -> None:
    assert [efficiency_of(given) for given in (0.5, 1, "eager", "engine")] == [0.5, 1.0, 0.27, 0.7]
    for wrong in (0, 1.5, "fast", None, True):
        with pytest.raises(
            ValueError, match=r"executor.efficiency: must be a number in \(0, 1\], eager or engine, got"
        ):
            efficiency_of(wrong, field="executor.efficiency")  # type: ignore[arg-type]


def test_a_run_in_the_time_of_devices_takes_their_efficiency() -> None:
    slow, fast = (read_profile("h100", efficiency=efficiency_of(name)) for name in ("eager", "engine"))
    assert isinstance(slow, tuple)
    assert isinstance(fast, tuple)
    ratio = slow[0].pass_s(SEVEN, 1, 0) / fast[0].pass_s(SEVEN, 1, 0)
    assert ratio == pytest.approx(0.7 / 0.27)
