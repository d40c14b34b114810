"""What a person sees at the end of a run and of a multirun."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd.metrics import Summary, summarise
from vsd.metrics.audit import Audit
from vsd.metrics.record import Record
from vsd.run.report import sweep, terminal
from vsd.run.results.run import Run, load_run
from vsd.types import Round, Sample, Trace
from vsd.verifiers import Greedy
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.sampling import Sampling
from vsd.verifiers.synthetic import Synthetic

SECONDS = {"decode": 1.0, "first_token": 0.5, "total": 2.0}


def decoded(name: str, tokens: tuple[int, ...], alone: tuple[int, ...]) -> Record:
    rounds = (Round(drafted=2, nodes=2, accepted=1, committed=2, rejected=True, draft_s=0.1, verify_s=0.2),)
    shared: dict[str, Any] = {
        "seconds": SECONDS,
        "target_forwards": 1,
        "visual": 8,
        "kept": 2,
        "prompt": 9,
        "finish": "eos",
    }
    return Record(
        sample=Sample(id=name, video="x.mp4", question="[bold]What[/] happens?"),
        trace=Trace(tokens=tokens, rounds=rounds, **shared),
        baseline=Trace(tokens=alone, rounds=(), **shared),
        text=f"a text of {tokens}",
        baseline_text=f"a text of {alone}",
    )


def shown(records: list[Record], width: int = 80, *, full: bool = False) -> str:
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as capture:
        terminal.show(records, summarise(records), Path("outputs/x"), console, verifier=Greedy(), full=full)
    return capture.get()


def test_texts_stand_side_by_side_and_markup_in_them_is_text() -> None:
    text = shown([decoded("a", (1, 2, 3), (1, 2, 3))])
    line = next(line for line in text.splitlines() if "a text of" in line)
    assert line.count("a text of (1, 2, 3)") == 2
    assert "[bold]What[/] happens?" in text
    assert "token-identical" in text
    assert "outputs/x" in text


def test_a_difference_is_said() -> None:
    assert "different tokens" in shown([decoded("a", (1, 2, 3), (1, 2, 4))])


def test_the_table_fits_80_columns() -> None:
    records = [decoded(name, (1, 2, 3), (1, 2, 3)) for name in "ab"]
    assert "…" not in shown(records)
    assert "accept/tokens_per_target_forward" not in shown(records)
    text = shown(records, full=True)
    assert "…" not in text
    assert "accept/tokens_per_target_forward" in text


def test_relaxed_tokens_and_their_relevance_are_seen() -> None:
    record = decoded("a", (1, 2, 3), (1, 2, 4))
    assert record.trace is not None
    round = replace(record.trace.rounds[0], relaxed=(0,), gaps=(0.3,), evidence={"relevance": (0.1, 0.7)})
    trace = replace(record.trace, rounds=(round,))
    record = replace(record, trace=trace, text="a red box", pieces=("a", " red", " box"))
    text = shown([record])
    assert "a ⟦red⟧ box" in text
    assert "(in ⟦⟧: relaxed, colour:" in text
    found = terminal._ours(record)
    styles = {found.plain[span.start : span.end].strip(): str(span.style) for span in found.spans}
    assert (styles["⟦red⟧"], styles["box"]) == ("bright_blue", "bright_red")


def test_failures_are_told_but_not_without_end() -> None:
    records = [Record(sample=Sample(id=f"s{i}", video="x", question="?"), failure="empty") for i in range(15)]
    text = shown(records)
    assert text.count(": empty") == 10
    assert "and 5 more" in text


def a_sweep(folder: Path, ratios: tuple[float, ...] = (0.5, 0.9)) -> list[Run]:
    """Two jobs that are done, one that was refused, one that was killed."""
    for number, ratio in enumerate(ratios):
        records = [a_record(f"v{n}", [5, n % 4], 4.0 + number + n / 100) for n in range(4)]
        write_run(
            folder / f"{number}", records, config(ratio=ratio), overrides=("limit=4", "gamma=5", f"ratio={ratio}")
        )
    wrong = "ratio: must be below 1"
    write_run(folder / "2", [], config(ratio=2), overrides=("limit=4", "gamma=5", "ratio=2"), outcome=None, error=wrong)
    write_run(folder / "10", [], config(ratio=0.7), overrides=("limit=4", "gamma=5", "ratio=0.7"), outcome=None)
    return sweep.jobs(folder)


def screen(found: list[Run], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(sweep.screen(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_multirun_is_one_table(tmp_path: Path) -> None:
    found = a_sweep(tmp_path)
    assert [(run.folder.name, run.state) for run in found] == [
        ("0", "done"),
        ("1", "done"),
        ("2", "failed"),
        ("10", "unfinished"),
    ]
    assert not sweep.ended_well(found)
    text = screen(found, 120)
    assert text.count("limit=4") == 1  # shared by all jobs: in the title
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()[:2].strip().isdecimal()}
    assert rows["0"][1:3] == ["0.5", "4"]  # a column for the dial that differs
    assert "2.49x" in rows["0"]
    assert "job 2  ratio: must be below 1" in text
    assert "job 10  did not finish" in text


def test_a_multiruns_numbers_stay_whole_at_80_columns(tmp_path: Path) -> None:
    assert "…" not in screen(a_sweep(tmp_path), 80)


def test_summary_csv_has_every_dial_and_metric(tmp_path: Path) -> None:
    lines = [*csv.DictReader(io.StringIO(sweep.summary_csv(a_sweep(tmp_path))))]
    assert [line["ratio"] for line in lines] == ["0.5", "0.9", "2", "0.7"]
    assert [line["gamma"] for line in lines] == ["5"] * 4  # given to all of them
    assert [*lines[0]][:5] == ["folder", "state", "error", "gamma", "ratio"]  # how far a run goes is none of its dials
    assert [line["state"] for line in lines] == ["done", "done", "failed", "unfinished"]
    assert lines[2]["error"] == "ratio: must be below 1"
    found = load_run(tmp_path / "0").summary
    for name in ("speed/decode", "accept/length"):
        ends = [float(lines[0][f"{name}{end}"]) for end in ("", "_se", "_low", "_high")]
        assert ends == pytest.approx([found.values[name], found.errors[name], *found.intervals[name]])
    assert lines[2]["speed/decode"] == ""


def test_a_lossless_run_that_is_not_exact_says_so(tmp_path: Path) -> None:
    for verifier, said in ((Greedy(), True), (RandomRelax(), False), (Sampling(temperature=1.0), False)):
        console = Console(record=True, width=100, file=io.StringIO())
        terminal.show(
            [], Summary(values={"exact/mismatched": 1, "samples/done": 4}), tmp_path, console, verifier=verifier
        )
        assert ("1 of 4 generations differ" in console.export_text()) == said


@pytest.mark.parametrize(("gap", "said", "unsaid"), [(0.1, "near-ties", "not exact"), (9.0, "not exact", "near-ties")])
def test_what_explains_a_difference_is_said(gap: float, said: str, unsaid: str, tmp_path: Path) -> None:
    trace = Trace(
        tokens=(1, 2), rounds=(), seconds={"decode": 1.0, "total": 1.0, "first_token": 1.0},
        target_forwards=1, visual=1, kept=1, prompt=3, finish="length",
    )  # fmt: skip
    record = Record(
        sample=Sample(id="clip", video="clip.mp4", question="Why?"),
        trace=trace,
        baseline=replace(trace, tokens=(1, 3)),
        audit=Audit(place=1, ours=2, baseline=3, gap=gap, step=0.05, limit=4.0),
    )
    console = Console(record=True, width=200, file=io.StringIO())
    terminal.show([record], summarise([record]), tmp_path, console, verifier=Greedy())
    text = console.export_text()
    assert f"{said}  1 of 1 generations differ" in text
    assert unsaid not in text
    assert ("a near-tie at token 1" in text) == (said == "near-ties")
    assert ("first: clip at token 1, the logits 9 apart where 0.2 would be rounding" in text) == (said == "not exact")


def test_made_up_acceptance_says_so(tmp_path: Path) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    terminal.show([], Summary(values={"samples/done": 4}), tmp_path, console, verifier=Synthetic())
    assert "acceptance is synthetic" in console.export_text()


def test_jobs_of_an_earlier_sweep_are_not_this_ones(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}" / ".hydra").mkdir(parents=True)
        (tmp_path / f"{number}" / ".hydra" / "overrides.yaml").write_text("[]")
        os.utime(tmp_path / f"{number}" / ".hydra" / "overrides.yaml", (number, number))
    assert [run.folder.name for run in sweep.jobs(tmp_path, since=1)] == ["1", "2"]


def test_shards_of_a_multirun_are_one_row_also_if_one_is_dead(tmp_path: Path) -> None:
    """One that died before it began has the config that was written when it was submitted."""
    dials = [(ratio, shard) for ratio in (0.5, 0.9) for shard in ("0/2", "1/2")]
    for number, (ratio, shard) in enumerate(dials):
        records = [a_record(f"v{number}", [5, number], 4.0)] if number != 3 else []
        words = ("gamma=5", f"ratio={ratio}", f"shard={shard}")
        dead: dict[str, Any] = {"outcome": None, "error": "Slurm: job 7_3 ended as CANCELLED"} if number == 3 else {}
        write_run(tmp_path / f"{number}", records, config(ratio=ratio, shard=shard), overrides=words, **dead)
    hydra = (tmp_path / "3" / "config.yaml").rename(tmp_path / "3" / ".hydra" / "config.yaml")
    hydra.write_text(hydra.read_text().replace("out: somewhere", "out: ${oc.env:NOT_THERE}"))
    found = sweep.jobs(tmp_path)
    lines = [line.split() for line in screen(found, 120).splitlines() if line.split()[:1] in (["0"], ["2"])]
    assert [line[:3] for line in lines] == [["0", "0.5", "2"], ["2", "0.9", "1"]]
    assert "job 3  Slurm: job 7_3 ended as CANCELLED" in screen(found, 120)
    rows = [*csv.DictReader(io.StringIO(sweep.summary_csv(found)))]
    assert [(row["ratio"], row["state"], row["samples/done"]) for row in rows] == [
        ("0.5", "done", "2.0"),
        ("0.9", "failed", "1.0"),
    ]
