"""The page says what the files say, of whole runs, lossy ones, and what is left of damaged ones."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.html.made import GREEDY, TOPK, a_sweep, lossy, page_of, with_video
from tests.html.tree import read, rows
from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd.commands import report
from vsd.metrics import metric_of
from vsd.metrics.record import Record
from vsd.run.html import charts, media, texts
from vsd.run.html.chart import Chart
from vsd.run.report.folder import RunFolder
from vsd.run.results import clips
from vsd.types import Sample

EVIL = "<script>alert(1)</script>\" onload='x' & $a_b$ {{ 7 * 7 }}"


DAMAGES = ("cut", "no samples", "no config", "no provenance", "other version", "odd", "refused")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    records = [with_video(a_record(f"v{n}", [5, n], 4.0 + n), tmp_path / "videos") for n in range(4)]
    return write_run(tmp_path / "run", records, config(**GREEDY), overrides=["ratio=0.9", "out=here"])


def test_the_numbers_are_those_of_metrics_json(run: Path) -> None:
    assert report.main([str(run)]) == 0
    flat = json.loads((run / "metrics.json").read_text())
    page = page_of(run)
    headline, every = (rows(table) for table in page.all("table")[:2])
    decode = metric_of("speed/decode")
    assert decode is not None
    assert headline[0] == ["run", "differ", "decode", "end to end", "accepted", "done", "state"]
    error = f"{flat['speed/decode_se']:.2f}".removeprefix("0")
    ends = f"{flat['speed/decode_low']:.2f}x to {flat['speed/decode_high']:.2f}x"
    assert headline[1][2] == f"{flat['speed/decode']:.2f}x ±{error}{ends}"
    assert headline[1][-2:] == ["4/4", "done"]
    assert len(every) > 15
    for label, value, error, interval, name in every[1:]:
        metric = metric_of(name)
        assert metric is not None
        assert (label, value) == (metric.label, metric.written(flat[name]))
        if f"{name}_se" in flat:
            assert error == metric.written(flat[f"{name}_se"])
            assert interval == f"{metric.written(flat[f'{name}_low'])} to {metric.written(flat[f'{name}_high'])}"
        else:
            assert error == interval == ""
    first = page.all("dl")[0].text
    assert "yes: 4 of 4 generations are the target's own, token by token" in first
    assert f"{flat['speed/decode']:.2f}x" in first


def test_a_sweep_has_a_row_a_run_and_a_curve_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsd.run.results.table.LEAST", 1)  # it is a small one
    page = page_of(a_sweep(tmp_path))
    table = page.all("table", "runs")[0]
    head, *body = rows(table)
    assert head[:3] == ["run", "pruner", "ratio"]
    assert [row[:3] for row in body] == [
        [str(number), pruner, ratio]
        for number, (pruner, ratio) in enumerate((p, r) for p in ("hippo", "random") for r in ("0.5", "0.8", "0.9"))
    ]
    best = [row.all("td")[4].classes for row in table.all("tr")[1:]]
    assert ["best" in classes for classes in best] == [True, False, False, False, False, False]
    lines = page.all("dl")[0].text
    assert "6: 6 done" in lines
    assert "yes: every generation of 6 lossless runs is the target's own" in lines
    assert "pruner=hippo ratio=0.5: 2." in lines
    titles = [figure.all("h3")[0].text for figure in page.all("figure") if figure.all("h3")]
    assert titles == [
        "speed-up, decoding by ratio",
        "accepted per round by ratio",
        "Pareto front",
        "Where the time goes: mean seconds of a sample",
        "Acceptance by position",
        "What became of the drafted tokens",
    ]
    assert {"hippo", "random"} <= {text.text for text in page.all("svg")[0].all("text")}
    assert page.all("figcaption")[0].text == "Each of its own colour: pruner. Bars are one standard error."
    assert "#010203" not in page.raw  # text in pictures has the page's own colour


def test_whose_each_token_of_a_lossy_run_is(tmp_path: Path) -> None:
    strict = write_run(tmp_path / "all" / "0", [with_video(a_record("a", [5, 5], 6.0), tmp_path / "v")], GREEDY)
    loose = write_run(tmp_path / "all" / "1", [lossy(tmp_path / "v")], TOPK)
    page = page_of(strict.parent)
    shown = next(each for each in page.all("section") if "not the target's own" in each.text)
    ours, theirs = shown.all("p", "text")
    assert [(piece.classes, piece.raw) for piece in ours.all("span")] == [
        (["target"], "It"),
        (["draft", "begins"], " is"),
        (["relaxed", "parts"], " red"),
        (["correction"], " and"),
        (["draft", "begins"], " round"),
        (["target"], "."),
    ]
    assert [(piece.classes, piece.raw) for piece in theirs.all("span")] == [
        (["unknown"], "It is "),
        (["unknown", "parts"], "blue"),
    ]
    assert "other tokens" in shown.text
    assert "facts right: 1 of 4 (target alone 2)" in shown.text
    assert "2/5 1/1" in shown.text
    assert "0 of 1 generations are the target's own; their rules do not promise it" in page.all("dl")[0].text
    assert "50.0 percent of the target's quality" in page_of(loose, strict).all("dl")[0].text.replace(" ±nan", "")


def test_nothing_in_a_record_is_taken_for_html(tmp_path: Path) -> None:
    record = with_video(a_record("v", [5], 5.0), tmp_path / "videos")
    video = Path(record.sample.video).with_name("a<b>\"'&.mp4")
    shutil.copy(record.sample.video, video)
    assert record.trace is not None
    many = (*[EVIL] * len(record.trace.tokens),)
    sample = Sample(id=EVIL, video=str(video), question=EVIL, reference=EVIL)
    bad = Record(sample=replace(sample, id="bad"), failure=EVIL, warnings=(EVIL, "half \udcff"))
    records = [replace(record, sample=sample, text=EVIL, pieces=many, baseline_text=EVIL), bad]
    for name in ("one", EVIL.replace("/", "")):
        setting = config(**GREEDY, note=EVIL + name)
        write_run(tmp_path / "all" / name, records, setting, overrides=[f"note={EVIL}"], outcome=None, error=EVIL)
    page = page_of(tmp_path / "all")
    assert not page.all("script")
    names = {name for element in page.all() for name in element.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert page.all("article")[0].all("h3")[0].text == EVIL
    assert page.all("article")[0].all("p", "text")[1].all("span")[1].raw.startswith(EVIL)
    reasons = [row[1] for row in rows(page.all("table")[1])]
    assert reasons == ["reason", EVIL, EVIL, EVIL, "half \\udcff"]
    assert not [each.text for each in page.all("p") if each.text.startswith("left out")]
    for element in page.all():  # nothing is loaded from anywhere
        for name in ("src", "href", "xlink:href"):
            address = element.attributes.get(name, "data:")
            assert address.startswith(("data:", "#")), address


def test_the_clip_the_frames_and_why_there_are_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = page_of(run).all("article")[0]
    assert card.all("video")[0].attributes["src"].startswith("data:video/mp4;base64,")
    frames = card.all("img")
    assert [frame.attributes["alt"] for frame in frames] == [f"frame at 0.{tenth} seconds" for tenth in (0, 2, 4, 6)]
    assert all(frame.attributes["src"].startswith("data:image/jpeg;base64,") for frame in frames)
    videos = run.parent / "videos"
    (videos / "v1.mp4").unlink()
    (videos / "v2.mp4").write_bytes((videos / "v3.mp4").read_bytes() + b" ")
    cards = {each.all("h3")[0].text: each for each in page_of(run).all("article")}
    assert not cards["v1"].all("video")
    assert "no frames: " in cards["v1"].text
    assert "v1.mp4" in cards["v1"].text
    assert "the video is another file now than when this was decoded" in cards["v2"].text
    monkeypatch.setattr(clips, "CLIP_BYTES", 100)
    assert not page_of(run).all("video")
    assert "(not inside this page)" in page_of(run).all("article")[0].text


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [with_video(a_record(f"v{n}", [5, n % 6], 4.0 + n / 10), tmp_path / "videos") for n in range(30)]
    words = [replace(each, pieces=("word" * 4000,) * 9, text="word" * 36000) for each in records]
    words = [replace(each, pieces=each.pieces[: len(each.trace.tokens)]) for each in words if each.trace]
    failed = [
        Record(sample=Sample(id=f"f{n}", video="x.mp4", question="?"), failure=f"reason {n % 25}") for n in range(60)
    ]
    run = write_run(tmp_path / "run", [*words, *failed], config(**GREEDY))
    page = page_of(run, options=["--samples", "10"])
    assert len(page.all("section")) == 10
    assert all(len(text.raw) < texts.LONGEST + 100 for text in page.all("p", "text"))
    assert "more letters" in page.all("p", "text")[0].text
    assert len(rows(page.all("table")[2])) == 21
    assert "5 more reasons are left out" in page.text
    assert not page_of(run, options=["--samples", "0"]).all("article")
    monkeypatch.setattr(media, "PAGE_BYTES", 20_000)
    small = page_of(run, options=["--samples", "10"])
    held = [each.attributes["src"] for each in [*small.all("img"), *small.all("video")]]
    assert 10_000 < sum(len(address) * 3 / 4 for address in held) < 21_000
    assert "clips and frames already" in small.text


def test_failures_are_grouped_by_reason(run: Path) -> None:
    for name in ("x1", "x2"):
        sample = Sample(id=name, video=f"/d/{name}.mp4", question="?")
        record = Record(sample=sample, failure=f"reading: /d/{name}.mp4: it is gone")
        RunFolder(run, "config").append(record)
    page = page_of(run)
    assert rows(page.all("table")[2])[1:] == [["failed", "reading: VIDEO: it is gone", "2", "x1, x2"]]
    assert "2 of 6 failed" in page.all("dl")[0].text


def test_the_commands_and_where_the_numbers_come_from(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    task = ["pruner=hippo,random", "ratio=0.5,0.8,0.9", "limit=4", "out=x", "question=a b"]
    (sweep / "multirun.yaml").write_text(json.dumps({"hydra": {"overrides": {"task": task}}}))
    told = json.loads((sweep / "3" / "provenance.json").read_text())
    told |= {"git": {"commit": "abc", "dirty": True}, "packages": {"torch": "3"}, "driver": 0.5}
    (sweep / "3" / "provenance.json").write_text(json.dumps(told))
    page = page_of(sweep)
    lines = [each.text for each in page.all("pre")]
    assert lines[0] == "vsd -m pruner=hippo,random ratio=0.5,0.8,0.9 limit=4 'question=a b'"
    assert lines[1] == "vsd pruner=hippo ratio=0.5 limit=4"
    assert len(lines) == 7
    first, second = (rows(table) for table in page.all("table")[1:3])
    assert first == [["packages", "torch 2"], ["hardware", "cpu x"]]
    assert second == [
        ["commit", "abc with uncommitted changes"],
        ["packages", "torch 3"],
        ["hardware", "cpu x"],
        ["driver", "0.5"],
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_half_run_gives_a_page(run: Path, damage: str) -> None:
    samples = run / "samples.jsonl"
    lines = samples.read_text().splitlines()
    states = {"cut": "unfinished", "refused": "failed", "no provenance": "unfinished"}
    if damage == "cut":
        samples.write_text("\n".join([*lines[:2], lines[2][:200]]))
        told = json.loads((run / "provenance.json").read_text())
        del told["outcome"]
        (run / "provenance.json").write_text(json.dumps(told))
    elif damage == "no samples":
        samples.unlink()
    elif damage == "no config":
        (run / "config.yaml").unlink()
    elif damage == "no provenance":
        (run / "provenance.json").write_text("{")
    elif damage == "other version":
        samples.write_text("".join(json.dumps({**json.loads(line), "trace": {"tokens": []}}) + "\n" for line in lines))
    elif damage == "odd":
        rows_ = [json.loads(line) for line in lines]
        rows_[0]["trace"]["kept_K"] = [9999]
        rows_[1]["trace"]["grid"] = [0, 0, 0]
        rows_[2]["pieces"] = ["one"]
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows_))
    elif damage == "refused":
        shutil.rmtree(run)
        (run / ".hydra").mkdir(parents=True)
        (run / ".hydra" / "overrides.yaml").write_text("- ratio=2\n")
        (run / "error.txt").write_text("ratio: must be in [0, 1], got 2\n")
    page = page_of(run)
    table = rows(page.all("table", "runs")[0])
    assert table[1][-1] == states.get(damage, "done")
    assert table[1][-2] == {"cut": "2/2", "no config": "4/4", "odd": "4/4"}.get(damage, "0/0")
    if damage == "refused":
        assert "ratio: must be in [0, 1], got 2" in page.text
    if damage in ("no config", "odd"):
        assert ("unknown rule" in page.all("dl")[0].text) == (damage == "no config")
        assert ("the run does not say how many frames it read" in page.text) == (damage == "no config")
    if damage == "odd":
        assert "no frames: index 9999 is out of bounds" in page.text
        assert "no frames: the run does not say what was kept" in page.text


def test_a_part_that_fails_is_said_and_the_others_stand(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[Chart]:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(charts, "times", broken)
    page = page_of(run)
    assert "left out a picture: ZeroDivisionError: nothing to divide by" in page.text
    assert len(page.all("svg")) == 2


def test_where_the_page_is_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "metrics.json").write_text("{}")
    assert report.main([str(run), "--html"]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert read((run / "report.html").read_text()).all("title")[0].text == str(run)
    assert (run / "metrics.json").read_text() == "{}"  # a page only looks
    (tmp_path / "file").write_text("")
    for given, said in (
        ([str(run), str(run), "--html"], "--html: must name a FILE where several folders are given, got 2 folders"),
        ([str(run), "--html", str(tmp_path)], f"--html: must be a file, got the folder {str(tmp_path)!r}"),
        ([str(run), "--html", str(tmp_path / "file" / "a.html")], f"{tmp_path}/file/a.html: must be written, got "),
        ([str(run), "--html", "--samples", "-1"], "--samples: must be a whole number, at least 0, got -1"),
        ([str(tmp_path / "none"), "--html"], "FOLDER: must be a folder"),
    ):
        assert report.main(given) == 2
        assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_page_of_one_sample_has_no_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [with_video(a_record("a", [5], 5.0), tmp_path / "v")], config(**GREEDY))
    page = page_of(run)
    assert "nan" not in page.text.lower().split()
    assert page.all("section")[0].all("b")[0].text == "the first"
    assert not math.isnan(float(rows(page.all("table")[1])[1][1]))
