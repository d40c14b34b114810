"""Runs read back from their folders: what tells them apart, shards, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.results.made import a_record, a_run, shown, write_run
from vsd.commands import compare, runs
from vsd.run import provenance
from vsd.run.results.dials import varying
from vsd.run.results.pool import pooled
from vsd.run.results.run import find_runs, load_run

PRUNERS = {"hippo": "vsd.pruners.hippo.Hippo", "random": "vsd.pruners.random.Random"}


def config(pruner: str = "hippo", ratio: float = 0.9, **more: Any) -> dict[str, Any]:
    option = {"_target_": PRUNERS[pruner], "ratio": ratio} | ({"alpha": 0.5} if pruner == "hippo" else {})
    return {"pruner": option, "ratio": ratio, "gamma": 5, "out": "somewhere", "shard": "0/1"} | more


def test_what_tells_runs_apart() -> None:
    settings = [("hippo", 0.9), ("hippo", 0.5), ("random", 0.9)]
    found = [a_run([], config=config(*each), choices={"pruner": each[0]}) for each in settings]
    assert varying(found) == {"pruner": ["hippo", "hippo", "random"], "ratio": [0.9, 0.5, 0.9]}
    alphas = [config(), config()]
    alphas[1]["pruner"]["alpha"] = 0.1
    assert varying([a_run([], config=each, choices={"pruner": "hippo"}) for each in alphas]) == {
        "pruner.alpha": [0.5, 0.1]
    }
    assert varying([a_run([], config=config()), a_run([], config=config(out="elsewhere"))]) == {}


def test_beside_what_is_left_out_stands_nothing_that_follows_from_it() -> None:
    parts = [("nothing", config()), ("alpha", config()), ("pruning", config("random", ratio=0.0))]
    parts[1][1]["pruner"]["alpha"] = 0.0
    found = [a_run([], config={**each, "without": part}, overrides=(f"without={part}",)) for part, each in parts]
    assert varying(found) == {"without": ["nothing", "alpha", "pruning"]}
    words = [f"ratio={ratio}" for ratio in (0.9, 0.5)]
    crossed = [
        a_run([], config={**each, "without": part, "ratio": ratio}, overrides=(f"without={part}", word))
        for part, each in parts[:2]
        for ratio, word in zip((0.9, 0.5), words, strict=True)
    ]
    assert varying(crossed) == {"without": ["nothing", "nothing", "alpha", "alpha"], "ratio": [0.9, 0.5, 0.9, 0.5]}


def test_a_folder_says_what_run_it_holds(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [a_record("v", [5], 5.0)], config(), choices={"pruner": "hippo", "hydra/x": "y"})
    run = load_run(tmp_path / "a")
    assert (run.state, run.error, run.choices, run.time) == ("done", "", {"pruner": "hippo"}, "2026-01-02 03:04")
    assert run.summary.values["speed/decode"] == pytest.approx(2.0)
    with pytest.raises(ValueError, match=r"^FOLDER: must be the folder of a run, got '.*none', which is not there$"):
        load_run(tmp_path / "none")


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "b", "a"):
        write_run(tmp_path / "all" / name, [], config(), outcome=None, error="it failed" if name == "9" else "")
    found = find_runs([tmp_path / "all"])
    assert [run.folder.name for run in found] == ["a", "b", "9", "10"]
    assert [run.state for run in found] == ["unfinished", "unfinished", "failed", "unfinished"]
    assert found[2].error == "it failed"
    (tmp_path / "empty").mkdir()
    for name, rule in (("empty", "must hold a run"), ("none", "must be a folder")):
        with pytest.raises(ValueError, match=f"^FOLDER: {rule}, got"):
            find_runs([tmp_path / name])


def test_shards_are_one_run(tmp_path: Path) -> None:
    """From folders of their own, each sample once; other runs stay apart, equal ones too."""
    records = [a_record(f"v{number}", [5, number % 5], 5.0) for number in range(8)]
    for index in range(4):
        write_run(tmp_path / str(index), records[index::4], config(shard=f"{index}/4", out=str(index)))
    for name in ("again", "whole"):
        write_run(tmp_path / name, records, config(out=name))
    again, whole, shards = pooled(find_runs([tmp_path]))
    assert len(shards.records) == 8
    assert shards.summary == whole.summary == again.summary
    assert shards.config["shard"] == "0/1"


def test_the_table_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    speeds = {"slow": 8.0, "fast": 4.0, "middle": 5.0}
    for number, (name, seconds) in enumerate(speeds.items()):
        records = [a_record(f"v{n}", [5], seconds + n / 100) for n in range(3)]
        write_run(tmp_path / name, records, config(ratio=number / 10), choices={"pruner": "hippo"})
    write_run(tmp_path / "wrong", [], config("random"), outcome=None, error="no room")
    assert runs.main([str(tmp_path), "--sort", "speed/decode"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said if "01-02" in line] == ["fast", "middle", "slow", "wrong"]
    assert any("failed" in line and "0/?" in line for line in said), "its data is not known"
    assert any(line.startswith(" fast") and "2.49x ±" in line for line in said)
    assert runs.main([str(tmp_path), "--where", "ratio=0.1"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "01-02" in line] == ["fast"]


def test_the_table_of_runs_in_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "pruner.weight_temporal=0.5"
    for name, words in (("plain", []), ("hippo", ["experiment=hippo", long])):
        records = [a_record(f"v{n}", [5], 5.0 + n / 100) for n in range(3)]
        folder = write_run(tmp_path / "2026-11-26" / f"03-35-22-{name}", records, config(), overrides=words)
        provenance.note(folder, {}, overrides=words)
    assert runs.main([str(tmp_path), "--sort", "speed/ttft"]) == 0
    said = capsys.readouterr().out
    head = next(line for line in said.splitlines() if line.split()[:1] == ["run"])
    assert "first token" in head
    assert "what tells it apart" in head
    assert long in said.split()
    assert "(defaults)" in said
    assert "accepted" in said.partition("in a wider terminal: ")[2]
    assert "/" not in said.partition("in a wider terminal: ")[2]
    assert runs.main([str(tmp_path)]) == 0
    head = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["run"])
    assert " decode " in head


def test_a_run_that_stopped_says_of_how_many(tmp_path: Path) -> None:
    data = {"_target_": "vsd.data.small_events.SmallEvents", "path": None, "frames": 64}
    records = [a_record(f"v{n}", [5], 5.0) for n in range(7)]
    for shard, asked in (("0/1", 20), ("1/3", 7)):
        folder = write_run(
            tmp_path / shard[0], records, config(data=data, limit=20, shard=shard), outcome="interrupted"
        )
        assert load_run(folder).asked == asked
    gone = {"_target_": "vsd.data.folder.Folder", "path": "/no/such/folder", "question": "Why?"}
    assert load_run(write_run(tmp_path / "gone", records, config(data=gone), outcome="interrupted")).asked is None
    assert load_run(write_run(tmp_path / "done", records, config(data=gone))).asked == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["none"], "FOLDER: must be a folder, got 'none'"),
        (["{}", "--where", "gamma"], "--where: must be DIAL=VALUE, got 'gamma'"),
        (["{}", "--where", "gama=5"], "--where: must name a dial of these runs, got 'gama'"),
        (["{}", "--sort", "fast"], "--sort: must be time or a metric (docs/metrics.md), got 'fast'"),
        (["{}", "--columns", "fast"], "--columns: must be metrics (docs/metrics.md), got 'fast'"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    write_run(tmp_path / "a", [], config())
    assert runs.main([word.format(tmp_path) for word in given]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_runs_beside_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for name, seconds in (("a", 8.0), ("b", 4.0)):
        records = [a_record(f"v{n}", [5], seconds + n / 100) for n in range(5)]
        write_run(tmp_path / name, records, config(gamma=ord(name)))
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert "5 samples in common" in shown(said)  # a title is as wide as its table
    assert "gamma: 97 → 98" in said
    assert ["better" in line.split() for line in said.splitlines() if "1.25x" in line and "2.49x" in line] == [True]
    write_run(tmp_path / "c", [a_record("other", [5], 5.0)], config())
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "c")]) == 2
    assert "OTHER: must have a sample in common with FIRST, got" in capsys.readouterr().err
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b"), "--metrics", "fast"]) == 2


def test_parts_left_out_in_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for name, part, seconds, accepted in (("0", "nothing", 4.0, 5), ("1", "tree", 8.0, 3), ("2", "stage", 4.0, 5)):
        records = [a_record(f"v{n}", [accepted], seconds + n / 100) for n in range(5)]
        write_run(tmp_path / name, records, config(without=part), overrides=[f"without={part}"])
    write_run(tmp_path / "3", [], config(without="all"), outcome=None, error="no room")
    assert compare.main([str(tmp_path / "0"), str(tmp_path), "--table"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["job"].split()[1:4] == ["without", "decode", "accepted"]
    assert rows["0"].split()[1:3] == ["nothing", "2.49x"]
    assert rows["1"].split()[1:8] == ["tree", "0.50x", "±.00*", "−2.00", "±.00*", "0.60x", "±.00*"]
    assert rows["2"].split()[1:4] == ["stage", "same", "same"]
    assert "3" not in rows, "a job without a sample is left out"
    assert compare.main([str(tmp_path / "0"), str(tmp_path / "3"), "--table"]) == 2
    assert "OTHER: must have a sample in common with FIRST, got" in capsys.readouterr().err
    assert compare.main([str(tmp_path / "0"), str(tmp_path / "0"), "--table"]) == 2
    assert "OTHER: must be another run than FIRST, got" in capsys.readouterr().err
