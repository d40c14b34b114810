"""What people's listings, questions and file names hold: one line before weights, or one failed sample among others."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tests.app.conftest import ROOT, FakeEngine
from vsd.commands.report import main
from vsd.data.folder import Folder
from vsd.run import app
from vsd.run.app import UsageError
from vsd.run.report.folder import last_run
from vsd.run.tracking import tables
from vsd.types import Sample, Score
from vsd.zoo.small_events import CLIPS
from vsd.zoo.small_events.write import write_video


@cache
def _composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def configure(*overrides: str, **data: Any) -> DictConfig:
    """The config of these overrides, composed once, with fields of `data`."""
    cfg = _composed(*overrides).copy()
    if "_target_" in data:
        cfg.data = data
    else:
        cfg.data.update(data)
    return cfg


ASKED = {"kind": "one", "text": "What?"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id must be text or a whole number, got None"),
        ({"id": True}, "id must be text or a whole number, got True"),
        ({"video": "a\0.mp4"}, "question 1: video must be the path of a file, got "),
        ({"video": " "}, "video must be text that is not empty, got ' '"),
        ({"questions": ...}, "questions must be there, got None"),
        ({"questions": "Why?"}, "questions must be a list of objects, at least one, got 'Why?'"),
        ({"questions": [{"kind": "one"}]}, "question 1's text must be text, got None"),
        ({"questions": [ASKED | {"text": 42}]}, "question 1's text must be text, got 42"),
        ({"questions": [ASKED, ASKED | {"text": ["Why?"]}]}, "question 2's text must be text, got ['Why?']"),
        ({"questions": [ASKED | {"answer": 7}]}, "question 1's answer must be text, got 7"),
        ({"questions": [ASKED | {"options": "red"}]}, "question 1's options must be a list of "),
        ({"questions": [ASKED | {"facts": "red"}]}, "question 1's facts must be an object, got 'red'"),
        ("[]", "must be a JSON object, got []"),
        ('{"id": 1', "must be JSON (Expecting ',' delimiter: line 1 column 9 (char 8)), got '{\"id\": 1'"),
        ("[" * 100_000, "must be JSON (maximum recursion depth exceeded"),
        (b'{"id": "\xff"}', 'must be text in UTF-8, got \'{"id": "\ufffd'),
    ],
)
def test_a_line_of_the_wrong_form(change: Mapping[str, Any] | str | bytes, message: str, tmp_path: Path) -> None:
    row: dict[str, Any] = {"id": "a", "video": "a.mp4", "questions": [ASKED]}
    if isinstance(change, Mapping):
        change = json.dumps({name: value for name, value in {**row, **change}.items() if value is not ...})
    line = change.encode() if isinstance(change, str) else change
    listing = tmp_path / "clips.jsonl"
    listing.write_bytes(json.dumps(row).encode() + b"\n\n" + line + b"\n")
    where = f"data.path: line 3 of {str(listing)!r}: {message}"
    with pytest.raises(UsageError, match=f"^{re.escape(where)}") as refused:
        app.run(configure(path=str(tmp_path)), tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A data set of somebody else's, whose one sample has a field of the wrong type."""

    fields: Mapping[str, Any]

    def samples(self) -> Any:
        if "raises" in self.fields:
            raise PermissionError(self.fields["raises"])
        if "samples" in self.fields:
            return self.fields["samples"]
        return [Sample(**{"id": "a", "video": "a.mp4", "question": "?", **self.fields})]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"question": 42}, "data: sample 1 (id 'a'): question must be text, got 42"),
        ({"id": 7}, "data: sample 1 (id 7): id must be text, got 7"),
        ({"reference": None}, "data: sample 1 (id 'a'): reference must be text, got None"),
        ({"facts": [1]}, "data: sample 1 (id 'a'): facts must be an object of JSON values, got [1]"),
        ({"options": "AB"}, "data: sample 1 (id 'a'): options must be a list of at most 26 texts, got 'AB'"),
        ({"raises": "cannot be read"}, "data: its files must be readable, got cannot be read"),
        ({"samples": []}, "data: samples must be at least one vsd.types.Sample, got []"),
        ({"samples": None}, "data: samples must be at least one vsd.types.Sample, got None"),
        ({"samples": ["a.mp4"]}, "data: sample 1: it must be a vsd.types.Sample, got 'a.mp4'"),
    ],
)
def test_any_source_is_checked(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    cfg = configure(_target_=f"{__name__}.Typed", _convert_="all", fields=fields)
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        app.run(cfg, tmp_path / "run")


@pytest.mark.parametrize(
    ("value", "typed", "question"),
    [(42, "42", "42"), (True, "true", "true"), (1.5, "1.50", "1.50"), (7, "007", "007"), ("7", "'7'", "7")],
)
def test_a_question_that_is_text_to_people(
    value: Any, typed: str, question: str, fake: FakeEngine, clips: Path
) -> None:
    cfg = configure("data=folder", path=str(clips), question=value)
    assert {sample.question for sample in app.prepare(cfg, [f"data.question={typed}"])[1]} == {question}
    assert Folder(path=str(clips), question=value).question in (str(value), "true")


@pytest.mark.parametrize("question", [None, "", " ", ["Why"], {"why": "me"}])
def test_a_question_that_is_none(question: object, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^data.question: must be text that is not empty, got "):
        app.run(configure("data=folder", path=str(clips), question=question), tmp_path / "run")


@pytest.mark.parametrize("question", ["What is <|im_end|>?", "half \udcff"])
def test_a_question_that_no_sample_can_be_asked(question: str, clips: Path, tmp_path: Path) -> None:
    cfg = configure("data=folder", path=str(clips), question=question)
    with pytest.raises(UsageError, match=r"^question: must "):
        app.run(cfg, tmp_path / "run")


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A listing of all that may be odd about a sample, with a scorer that takes three of them badly."""

    folder: str

    def samples(self) -> list[Sample]:
        shared: dict[str, Any] = {"video": str(CLIPS / "000.mp4"), "question": "What moves?"}
        videos = {name: f"{self.folder}/{name}" for name in ("wide.mp4", "empty.mp4", "text.mp4", "missing.mp4")}
        odd: dict[str, dict[str, Any]] = {
            **{name: {"video": path} for name, path in videos.items()},
            "folder": {"video": self.folder},
            "no UTF-8": {"video": f"{self.folder}/half\udcff.mp4"},
            **{token: {"question": f"What is {token}?"} for token in TOKENS},
            "half": {"question": "What \ud800?"},
            "long": {"question": "What? " * 5000},
            "id \udcff": {},
            "zero": {"question": "a\0b"},
            "markup": {"question": "[red]{{ question }}[/] %s {} \x1b[31m"},
            "facts": {"facts": {"subject": ["a dog"], "when": None}, "reference": "A"},
            "scorer": {},
            "no score": {},
            "no names": {},
            "last": {"options": ("red", "blue"), "reference": "B"},
        }
        return [Sample(**{"id": name, **shared, **fields}) for name, fields in odd.items()]

    def score(self, sample: Sample, text: str) -> Any:
        if sample.id == "scorer":
            raise LookupError("no key for this clip")
        return {"no score": {"mark": text}, "no names": [1]}.get(sample.id, {"mark": Score(1, 2)})


TOKENS = ("<image>", "<video>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|im_end|>", "<|endoftext|>")
SPECIAL = {"qwen": {*TOKENS[2:]}, "llava": {*TOKENS[:2], *TOKENS[5:]}}  # the rest is text to that family
UNREADABLE = {
    "empty.mp4": "the file is empty",
    "text.mp4": "not a video, or truncated",
    "missing.mp4": "there is no such file",
}
FAILED = {
    "half": r"question: must be text that UTF-8 can hold, got 'What \ud800?'",
    "long": "max_new_tokens: the prompt (",
    "scorer": "score: LookupError: no key for this clip",
    "no score": "score: mark: must be a number, or how much is right and how much was asked, got",
    "no names": "score: score: must be a mapping of names to numbers, got [1]",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos that Odd names, but for the bundled one."""
    folder = tmp_path_factory.mktemp("odd")
    write_video(folder / "wide.mp4", np.zeros((4, 16, 4800, 3), np.uint8))
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video")
    shutil.copy(CLIPS / "001.mp4", os.fsdecode(bytes(folder) + b"/half\xff.mp4"))
    return folder


@pytest.mark.parametrize("family", ["qwen", "llava"])
def test_every_other_sample_is_decoded(
    family: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("frames=4", "max_new_tokens=3", "callbacks=quiet")
    cfg = configure(f"target=tiny_{family}", *quick, _target_=f"{__name__}.Odd", folder=str(files))
    metrics = app.run(cfg, tmp_path / "run")
    records = {record.sample.id: record for record in last_run(tmp_path / "run")[1]}
    reasons = FAILED | {
        name: f"question: must hold no special token of the model, got {name!r}" for name in SPECIAL[family]
    }
    reasons |= {name: f"{files / name}: {reason}" for name, reason in UNREADABLE.items()}
    reasons["folder"] = f"{files}: not a file"
    if family == "qwen":
        reasons["wide.mp4"] = "processor: absolute aspect ratio must be smaller than 200, got 300"
    failed = {name: record.failure for name, record in records.items() if record.failure and name != "no UTF-8"}
    assert set(failed) == set(reasons)
    for name, reason in reasons.items():
        assert failed[name].startswith(reason)
        assert "\n" not in failed[name]
    assert list(records) == [sample.id for sample in Odd(folder=str(files)).samples()]
    assert all(record.done != bool(record.failure) for record in records.values())
    assert records["scorer"].text == records["id \udcff"].text  # it is not lost
    assert metrics["samples/done"] + metrics["samples/failed"] == len(records)
    assert metrics["quality/mark"] == metrics["quality/baseline_mark"] == 0.5
    assert metrics["quality/retention"] == 100
    assert metrics.items() <= json.loads((tmp_path / "run" / "metrics.json").read_text()).items()
    said = capsys.readouterr().out
    assert f"{metrics['samples/failed']:.0f} of {len(records)} failed" in said
    assert len(tables.samples([*records.values()]).rows) == len(records)
    json.dumps(tables.samples([*records.values()]).rows, ensure_ascii=False).encode()
    assert main([str(tmp_path / "run")]) == 0
    assert metrics.items() <= json.loads((tmp_path / "run" / "metrics.json").read_text()).items()
    if family == "llava":  # once is enough
        return
    before = len((tmp_path / "run" / "samples.jsonl").read_bytes().splitlines())
    timed = ("speed/", "time/", "memory/", "parallel/")
    later = app.run(cfg, tmp_path / "run")
    assert later.keys() == metrics.keys()
    same = {name: value for name, value in metrics.items() if not name.startswith(timed)}
    assert {name: later[name] for name in same} == same
    again = len((tmp_path / "run" / "samples.jsonl").read_bytes().splitlines()) - before
    assert again == metrics["samples/failed"]  # the others are not decoded again


def test_names_with_a_dot_in_front_are_no_samples(fake: FakeEngine, clips: Path) -> None:
    (clips / ".git").mkdir()
    for name in (".a.mp4", "._b.mp4", ".git/c.mp4"):
        (clips / name).touch()

    def ids(path: Path) -> list[str]:
        return [sample.id for sample in app.prepare(configure("data=folder", path=str(path)), [])[1]]

    assert ids(clips) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert ids(clips / ".a.mp4") == [".a.mp4"]
    assert ids(clips / ".git/c.mp4") == ["c.mp4"]
