"""The parts of a page that have a right answer of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.html.made import GREEDY, lossy
from tests.results.made import a_record, a_run, a_trace
from tests.results.test_runs import config
from vsd.metrics.audit import Audit
from vsd.metrics.record import Record
from vsd.run.html import charts, times
from vsd.run.html.chart import inline, page_style
from vsd.run.html.choice import chosen
from vsd.run.html.names import Names
from vsd.run.results.curves import draw
from vsd.run.results.pareto import front
from vsd.types import Score


def test_the_front_is_what_no_other_beats() -> None:
    points = [(100.0, 1.0), (90.0, 2.0), (95.0, 1.5), (95.0, 1.4), (80.0, 2.0), (90.0, 2.0)]
    assert front(points) == [1, 5, 2, 0]
    assert front([]) == []


def test_samples_are_one_of_each_kind_and_then_the_next() -> None:
    records = {name: a_record(name, [accepted], seconds) for name, accepted, seconds in (
        ("plain", 3, 5.0), ("slow", 3, 9.0), ("fast", 3, 2.0), ("few", 1, 5.0), ("poor", 3, 5.0), ("other", 3, 5.0),
        ("near", 3, 5.0),
    )}  # fmt: skip
    for name, record in records.items():
        right = Score(1, 4) if name == "poor" else Score(3, 4)
        records[name] = replace(record, scores={"facts": right}, baseline_scores={"facts": Score(3, 4)})
    records["other"] = _unlike(records["other"], Audit(place=1, ours=1, baseline=9))
    records["near"] = _unlike(records["near"], Audit(place=1, ours=1, baseline=9, gap=0.0))
    run = a_run([*records.values()])
    reasons = {each.decoded.record.sample.id: each.why for each in chosen([run], 6)}
    assert reasons == {
        "other": ("not the target's own",),
        "poor": ("worst in quality",),
        "few": ("fewest accepted",),
        "slow": ("slowest",),
        "fast": ("fastest",),
        "near": ("not the target's own (2)",),
    }
    assert [each.decoded.record.sample.id for each in chosen([run], 2)] == ["other", "poor"]
    assert chosen([run], 0) == []
    alike = a_run([a_record("a", [3], 5.0), a_record("b", [3], 5.0)])
    assert [(each.decoded.record.sample.id, each.why) for each in chosen([alike], 6)] == [("a", ("the first",))]


def _unlike(record: Record, audit: Audit) -> Record:
    assert record.baseline is not None
    return replace(record, baseline=replace(record.baseline, tokens=(0, 9, *record.baseline.tokens[2:])), audit=audit)


@pytest.mark.parametrize("within", [False, True])
def test_the_steps_of_the_time_add_up(within: bool) -> None:
    trace = a_trace([5, 2], 4.0)
    rounds = tuple(replace(each, verify_s=1.0, wait_s=0.5) for each in trace.rounds)
    seconds = {"encode": 1.0, "prefill": 2.0, "prune": 0.25, "draft_encode": 0.5, "draft_prefill": 0.25, "decode": 4.0}
    total = 7.25 if within else 8.5
    trace = replace(trace, rounds=rounds, seconds={**seconds, "total": total})
    record = replace(a_record("a", [5, 2], 4.0), trace=trace)
    found = times.spans(a_run([record]))
    beside = {} if within else {"prune": 0.25, "draft_encode": 0.5, "draft_prefill": 0.25}
    decode = {"decode: target": 2.0, "decode: waits for draft": 1.0, "decode: rest": 1.0}
    hidden = {"hidden": 1.0} if within else {}
    assert found == pytest.approx(
        {"encode": 1.0, "prefill": 2.0, **beside, **decode, **hidden, "rest": 0.25 if within else 0.5}
    )
    assert sum(found[name] for name in times.SPANS if name in found) == pytest.approx(total)
    alone = times.alone(a_run([record]))
    assert alone["decode: target"] == 10.0
    assert sum(alone.values()) == pytest.approx(12.0)
    assert times.alone(a_run([replace(record, baseline=None)])) == {}


def test_many_runs_are_drawn_in_charts_that_can_be_read() -> None:
    """30 runs: lines are split over charts by a dial of words, and rows and charts that are left out are counted."""
    runs = [
        a_run(
            [a_record(f"v{n}", [5, n], 4.0 + ratio) for n in range(3)],
            folder=Path(f"sweep/{name}-{ratio}"),
            config=config("random", ratio, note=f"{name} {'of a long name ' * 4}"),
        )
        for ratio in (0.1, 0.5, 0.9)
        for name in range(10)
    ]
    names = Names(runs)
    curves = charts.curves(runs, names)
    assert len(curves) == charts.CURVES
    assert curves[0].title == f"speed-up, decoding by ratio, note=0 {'of a long name ' * 4}"
    assert curves[0].note == "Bars are one standard error."
    left_out = 2 * 10 - charts.CURVES
    assert curves[-1].note == f"{left_out} more charts are left out: see vsd plot. Bars are one standard error."
    (bars,) = charts.drafts(runs, names)
    assert bars.note == "6 more runs are left out: see metrics.json."
    (lines,) = charts.positions(runs, names)
    assert lines.note.endswith("Bars are 95% intervals. 22 more runs are left out: see metrics.json.")


def test_the_front_of_a_lossy_sweep(tmp_path: Path) -> None:
    loose = a_run([lossy(tmp_path)], folder=Path("all/loose"), config=config(ratio=0.9))
    good = a_record("a", [2, 2], 6.0)
    scores = {"facts": Score(2, 4)}
    good = replace(good, scores=scores, baseline_scores=scores)
    strict = a_run([good], folder=Path("all/strict"), config=config(ratio=0.5))
    slow = a_run([replace(good, trace=a_trace([2, 2], 8.0))], folder=Path("all/slow"), config=config(ratio=0.1))
    runs = [loose, strict, slow]
    (chart,) = charts.pareto(runs, Names(runs))
    assert chart.title == "Pareto front: speed-up, decoding against quality kept, percent"
    assert chart.note.startswith("Filled: on the front, by the values alone (ratio=0.9, ratio=0.5).")
    assert all(name in chart.svg for name in ("loose", "strict", "slow"))
    alike = [strict, replace(slow, config=config(ratio=0.2))]
    assert "the fastest run alone" in charts.pareto(alike, Names(alike))[0].note


def test_a_picture_is_the_same_twice_and_its_words_are_text() -> None:
    runs = [
        a_run([a_record(f"v{n}", [5, n], 4.0) for n in range(3)], config=config(ratio=ratio, **GREEDY, note="$x$ <b>"))
        for ratio in (0.1, 0.5)
    ]
    drawn = []
    for _ in range(2):
        with page_style():
            drawn.append(inline(draw(runs, x="note", ys=["speed/decode"]), 'a "label"'))
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith('<svg role="img" aria-label="a &#34;label&#34;" ')
    assert ">$x$ &lt;b&gt;</text>" in drawn[0]
    assert "currentColor" in drawn[0]
