"""The tables of a run's page: every text printable, every sign where it belongs, nothing without end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.html.made import lossy, with_video
from tests.results.made import a_record, a_run
from vsd.metrics import summarise
from vsd.metrics.record import Record
from vsd.run.results.clips import CLIP_BYTES
from vsd.run.tracking import charts, tables
from vsd.types import Round, Sample, Score


def row(table: tables.Table, place: int = 0) -> dict[str, object]:
    return dict(zip(table.columns, table.rows[place], strict=True))


def a_round(**values: object) -> Round:
    plain = {"drafted": 5, "nodes": 5, "accepted": 2, "committed": 3, "rejected": True}
    return Round(**{**plain, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "strip"),
    [
        (a_round(), "■■×··"),
        (a_round(accepted=5, rejected=False), "■■■■■"),
        (a_round(accepted=0), "×····"),
        (a_round(accepted=3, relaxed=(1,)), "■▣■×·"),
        (a_round(rejected=False), "■■···"),  # cut at the end of the generation
        (a_round(drafted=0, accepted=0, rejected=False), ""),
    ],
)
def test_a_strip_has_a_sign_for_each_draft_token(one: Round, strip: str) -> None:
    assert tables.strip(one) == strip


def test_a_sample_with_relaxed_tokens(tmp_path: Path) -> None:
    record = lossy(tmp_path)
    first = row(tables.samples([record]))
    assert first["text"] == "It is ⟦red⟧ and round."
    assert first["target alone"] == "It is blue"
    assert first["same tokens"] is False
    assert (first["kept"], first["visual"], first["kept share"]) == (10, 100, 0.1)
    assert (first["quality/facts"], first["speed/decode"]) == (0.25, pytest.approx(5.0))
    assert row(tables.rounds([record]))["strip"] == "■▣×·· ■"


def test_a_failed_sample_says_why_and_nothing_else() -> None:
    failed = Record(sample=Sample(id="a", video="a.mp4", question="?"), failure="too long\udcff")
    table = tables.samples([a_record("b", [1], 5.0), failed])
    second = row(table, 1)
    assert second["failure"] == "too long\\udcff"
    assert {name for name, value in second.items() if value not in (None, "")} == {"id", "video", "question", "failure"}
    assert len(tables.rounds([failed]).rows) == 0


def test_texts_are_printable_and_not_without_end() -> None:
    record = replace(a_record("a", [1], 5.0), text="x" * 9000, baseline_text="half \udcff")
    first = row(tables.samples([record]))
    assert str(first["text"]).endswith("… and 3000 more letters")
    assert first["target alone"] == "half \\udcff"


def test_where_the_time_goes() -> None:
    steps = dict(tables.time_breakdown([a_record("a", [1, 1], 4.0), a_record("b", [1], 6.0)]).rows)
    assert steps["prefill"] == 1.0
    assert steps["encode"] == 0.5
    assert steps["verify"] == 1.5
    assert steps["target alone: decode"] == 10.0
    assert tables.time_breakdown([]).rows == []


def test_how_acceptance_is_spread() -> None:
    records = [a_record("a", [5, 0, 5], 4.0), a_record("b", [2], 4.0)]
    assert tables.per_round(records).rows == [["0", 1], ["2", 1], ["5", 2]]
    values = summarise(records).values
    curve = tables.by_position(values).rows
    assert [place for place, _ in curve] == [1, 2, 3, 4, 5]
    assert curve[0] == [1, 0.75]


def test_numbers_come_with_error_interval_and_meaning() -> None:
    summary = summarise([a_record(f"v{number}", [3, number], 4.0 + number) for number in range(4)])
    found = {each[0]: each[1:] for each in tables.numbers(summary).rows}
    value, error, low, high, better, unit, formula = found["speed/decode"]
    assert (value, error) == (summary.values["speed/decode"], summary.errors["speed/decode"])
    assert (low, high) == summary.intervals["speed/decode"]
    assert (better, unit) == ("higher", "times")
    assert "Speed-up on the decode clock" in formula


def test_chosen_samples_come_first_with_clip_and_frames(tmp_path: Path) -> None:
    records = [with_video(a_record(f"v{number}", [number], 4.0), tmp_path) for number in range(5)]
    run = a_run(records, config={"frames": 8})
    shown = charts.shown_of(run, records, 2)
    assert len(shown) == 2
    assert all(one.why and one.clip and one.picture is not None and not one.note for one in shown)
    (height, width, _) = shown[0].picture.shape
    assert width > 3 * height  # the four frames of its grid are one row
    found = charts.charts(run, records, summarise(records), media=2)
    assert found["samples"].columns[:4] == ["id", "look at", "clip", "kept tokens"]
    assert [each[0] for each in found["samples"].data][:2] == [one.record.sample.id for one in shown]
    assert [each[2] is not None for each in found["samples"].data] == [True, True, False, False, False]
    assert len(found["media/clip"]) == len(found["media/kept_tokens"]) == 2


def test_no_more_rows_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "ROWS", 3)
    records = [a_record(f"v{number}", [number], 4.0) for number in range(5)]
    found = charts.charts(a_run(records), records, summarise(records), media=0)
    assert len(found["samples"].data) == 3
    assert dict(charts.bounds(records, 0)) == {"shown.samples": 5, "shown.rows": 3, "shown.media": 0}
    assert "media/clip" not in found


def test_a_large_clip_is_left_out_and_a_missing_one_is_said(tmp_path: Path) -> None:
    large, gone = (with_video(a_record(name, [number], 4.0), tmp_path) for number, name in enumerate("ab"))
    with Path(large.sample.video).open("ab") as file:
        file.truncate(CLIP_BYTES + 1)
    Path(gone.sample.video).unlink()
    notes = {one.record.sample.id: one for one in charts.shown_of(a_run([large, gone]), [large, gone], 2)}
    assert notes["a"].clip is None
    assert "another file" in notes["a"].note
    assert notes["b"].clip is None
    assert notes["b"].note


def test_runs_without_any_sample_have_a_page(tmp_path: Path) -> None:
    failed = Record(sample=Sample(id="a", video="a.mp4", question="?"), failure="odd")
    assert charts.charts(a_run([]), [], summarise([]), media=6)["samples"].data == []
    assert len(charts.charts(a_run([failed]), [failed], summarise([failed]), media=6)["samples"].data) == 1


def test_scores_that_only_some_samples_have() -> None:
    records = [a_record("a", [1], 5.0), replace(a_record("b", [1], 5.0), scores={"facts": Score(1, 2)})]
    table = tables.samples(records)
    assert [row(table, place)["quality/facts"] for place in range(2)] == [None, 0.5]
