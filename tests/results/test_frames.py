"""The tables of a run: each column holds what docs/run-folder.md says of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd import load_run, load_runs
from vsd.metrics.audit import Audit
from vsd.metrics.record import Record
from vsd.run.results import frames
from vsd.types import Grid, Round, Sample, Score, Span

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "run-folder.md").read_text()
RELAXED: dict[str, Any] = {"relaxed": (1,), "gaps": (0.25,), "evidence": {"relevance": (0.5, 0.25, 0.125)}}


@pytest.fixture
def record() -> Record:
    """Six tokens: of the prefill, two accepted (the second by a relaxed rule) and a correction, a round without any
    accepted, and a last one without a draft."""
    plain = a_record("a", [2, 0], 5.0)
    assert plain.trace is not None
    assert plain.baseline is not None
    first, second = plain.trace.rounds
    last = Round(drafted=0, nodes=0, accepted=0, committed=1, rejected=False, verify_s=2.0)
    rounds = (replace(first, **RELAXED, draft_s=0.5, wait_s=0.25, wall_s=1.75), second, last)
    seconds = {**plain.trace.seconds, "prune": 0.125, "draft_encode": 0.25, "draft_prefill": 0.375}
    trace = replace(
        plain.trace, rounds=rounds, tokens=(1, 2, 3, 4, 5, 9), seconds=seconds, grid=Grid(4, 5, 5), kept_K=(0, 7)
    )
    sample = Sample(id="a", video="a.mp4", question="Why?", reference="so", facts={"kind": "one"}, span=Span(1.0, 2.5))
    return replace(
        plain,
        sample=sample,
        trace=trace,
        baseline=replace(plain.baseline, tokens=(1, 2, 3, 4, 5, 6)),
        pieces=("It", " is", " red", " and", " round", ""),
        fact_tokens=(False, False, True, False, True, False),
        scores={"facts": Score(1, 2)},
        baseline_scores={"facts": Score(2, 2)},
        audit=Audit(place=5, ours=9, baseline=6, gap=0.5, step=0.25, limit=4.0),
        warnings=("odd",),
        peak_mb=12.5,
    )


FAILED = Record(sample=Sample(id="b", video="none.mp4", question="What?"), failure="no such file")


def columns_of(table: str) -> list[str]:
    """The columns that the page's table names."""
    text = PAGE.split(f"<!-- catalogue:{table} -->")[1].split("<!-- /catalogue -->")[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.M)


@pytest.mark.parametrize("table", ["samples", "rounds", "tokens"])
def test_the_page_names_the_columns(table: str, record: Record) -> None:
    """Behind them stand what the page says: metrics of a sample, other evidence of a token."""
    found = [*getattr(frames, table)([record, FAILED]).columns]
    named = columns_of(table)
    assert len(named) >= 10
    assert found[: len(named)] == named
    assert (
        all(name.startswith(frames.METRICS) for name in found[len(named) :]) if table == "samples" else found == named
    )
    assert all(f"`{prefix}`" in PAGE for prefix in frames.METRICS)


def test_a_row_a_sample(record: Record) -> None:
    table = frames.samples([record, FAILED])
    row = table.iloc[0].to_dict()
    texts = {"sample": "a", "video": "a.mp4", "kind": "one", "question": "Why?", "reference": "so", "text": "so"}
    counts = {"tokens": 6, "baseline_tokens": 6, "prompt": 120, "visual": 100, "kept": 10, "rounds": 2, "drafted": 10}
    more = {"target_forwards": 2, "accepted": 2, "relaxed": 1, "wasted": 8, "grid": (4, 5, 5), "kept_K": (0, 7)}
    seconds = {"decode_s": 5.0, "total_s": 7.0, "first_token_s": 1.0, "prefill_s": 1.0, "encode_s": 0.5}
    draft = {"prune_s": 0.125, "draft_encode_s": 0.25, "draft_prefill_s": 0.375, "rounds_draft_s": 0.5}
    sums = {"rounds_verify_s": 4.0, "rounds_wait_s": 0.25, "baseline_decode_s": 10.0, "baseline_total_s": 12.0}
    ends = {"exact": False, "near_tie": True, "done": True, "failure": None, "finish": "eos", "warnings": ("odd",)}
    span = {"start_s": 1.0, "end_s": 2.5, "peak_mb": 12.5, "devices": 1, "simulated": False, "shared": None}
    for expected in (texts, counts, more, seconds, draft, sums, ends, span):
        assert {name: row[name] for name in expected} == expected
    # five tokens behind the first in 5 s, of the target alone five in 10 s
    assert (row["speed/decode"], row["accept/draft_length"], row["quality/facts"]) == (2.0, 1.0, 0.5)
    assert (row["quality/baseline_facts"], row["quality/agreement"]) == (1.0, pytest.approx(5 / 6))


def test_a_sample_that_failed_is_a_row(record: Record) -> None:
    row = frames.samples([record, FAILED]).iloc[1]
    assert (row["sample"], row["video"], row["question"], row["done"]) == ("b", "none.mp4", "What?", False)
    assert row["failure"] == "no such file"
    known = {"sample", "video", "question", "start_s", "done", "failure", "warnings"}
    assert {name for name, value in row.items() if name in known or not pd.isna(value)} == known


def test_a_row_a_round(record: Record) -> None:
    table = frames.rounds([FAILED, record])
    assert [*table["round"]] == [0, 1, 2]
    assert [*table["first"]] == [1, 4, 5]
    assert [*table["accepted"]] == [2, 0, 0]
    assert [*table["committed"]] == [3, 1, 1]
    assert [*table["relaxed"]] == [1, 0, 0]
    assert [*table["rejected"]] == [True, True, False]
    assert [*table["wasted"]] == [3, 5, 0]
    assert table.loc[0, ["draft_s", "verify_s", "wait_s", "wall_s"]].tolist() == [0.5, 1.0, 0.25, 1.75]


def test_a_row_a_token(record: Record) -> None:
    table = frames.tokens([FAILED, record])
    assert [*table["place"]] == [0, 1, 2, 3, 4, 5]
    assert "".join(table["piece"]) == "It is red and round"
    assert [*table["token"]] == [1, 2, 3, 4, 5, 9]
    assert table["round"].isna().tolist() == [True, False, False, False, False, False]
    assert [*table["round"].iloc[1:]] == [0, 0, 0, 1, 2]
    assert [*table["origin"]] == ["target", "draft", "draft", "correction", "correction", "target"]
    assert [*table["relaxed"]] == [False, False, True, False, False, False]
    assert table["gap"].dropna().to_dict() == {2: 0.25}
    assert table["relevance"].dropna().to_dict() == {1: 0.5, 2: 0.25, 3: 0.125}
    assert [*table["fact"]] == [False, False, True, False, True, False]


def test_other_evidence_has_columns_of_its_own(record: Record) -> None:
    assert record.trace is not None
    first = replace(record.trace.rounds[0], evidence={"visual_mass": (0.5, 0.25, 0.75)})
    table = frames.tokens([replace(record, trace=replace(record.trace, rounds=(first, *record.trace.rounds[1:])))])
    assert table["visual_mass"].dropna().to_dict() == {1: 0.5, 2: 0.25, 3: 0.75}
    assert table["relevance"].isna().all()


@pytest.mark.parametrize("table", ["samples", "rounds", "tokens"])
def test_types_are_those_of_a_full_table_where_there_is_nothing(table: str, record: Record) -> None:
    make = getattr(frames, table)
    empty, full = make([]), make([record])
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes[empty.columns].to_dict()
    assert {"Int64", "object"} <= {str(each) for each in empty.dtypes}


def test_of_a_folder(record: Record, tmp_path: Path) -> None:
    """The same as of the records, JSON or not."""
    run = load_run(write_run(tmp_path / "run", [record, FAILED], config()))
    pd.testing.assert_frame_equal(run.samples, frames.samples([record, FAILED]))
    pd.testing.assert_frame_equal(run.rounds, frames.rounds([record]))
    pd.testing.assert_frame_equal(run.tokens, frames.tokens([record]))


def test_of_several_folders(record: Record, tmp_path: Path) -> None:
    """The dials that differ stand in front; one with the name of a column says that it is a dial."""
    others = [a_record(f"v{number}", [5, number], 5.0 + number) for number in range(3)]
    for ratio, records in ((0.5, [record]), (0.9, others)):
        write_run(tmp_path / "all" / str(ratio), records, config(ratio=ratio, exact=ratio < 0.9))
    write_run(tmp_path / "all" / "wrong", [], config(ratio=2), outcome=None, error="ratio: must be ...")
    runs = load_runs(tmp_path / "all")
    assert [*runs.samples.columns[:3]] == ["run", "ratio", "exact (dial)"]
    assert [*runs.samples["ratio"]] == [0.5, 0.9, 0.9, 0.9]
    assert [*runs.samples["sample"]] == ["a", "v0", "v1", "v2"]
    assert runs.rounds.groupby("ratio")["accepted"].sum().to_dict() == {0.5: 2, 0.9: 15 + 0 + 1 + 2}
    assert len(runs.tokens) == 6 + 3 * 8 + (0 + 1 + 2)
    assert [*runs.metrics["state"]] == ["done", "done", "failed"]
    assert runs.metrics["error"].iloc[2] == "ratio: must be ..."
    row, run = runs.metrics.iloc[1], load_run(tmp_path / "all" / "0.9")
    assert {name: row[name] for name in run.summary.flat()} == run.summary.flat()
    assert (row["run"], row["ratio"]) == (str(run.folder), 0.9)
