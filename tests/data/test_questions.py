"""Questions from a user's file: every form gives the same samples, every wrong line says which and why."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsd.data.datamodule import VideoData
from vsd.data.folder import Folder
from vsd.data.questions import Questions
from vsd.types import WHOLE, Sample, Span, Video

ROWS: list[dict[str, Any]] = [
    {"video": "a.mp4", "question": "What, and why?", "reference": "A ball.", "id": "first"},
    {
        "video": "sub/b.mp4",
        "question": "Which?",
        "options": ["a dog", "a cat", "a cow"],
        "reference": "B",
        "start": 1.5,
    },
    {"video": "a.mp4", "question": "And then?", "start": "1:02.5", "end": "1:00:00"},
]
CSV = """video,question,reference,id,options,start,end
a.mp4,"What, and why?",A ball.,first,,,
sub/b.mp4,Which?,a cat,,a dog | a cat|a cow,1.5,

a.mp4,And then?,,,,1:02.5,1:00:00
"""
EXPECTED_QUESTION = (
    "Which?\nA. a dog\nB. a cat\nC. a cow\nAnswer with the option's letter from the given choices directly."
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.mp4").touch()
    return tmp_path


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def expected(folder: Path) -> list[Sample]:
    a, b = str(folder / "a.mp4"), str(folder / "sub/b.mp4")
    options = ("a dog", "a cat", "a cow")
    return [
        Sample(id="first", video=a, question="What, and why?", reference="A ball."),
        Sample(id="0002", video=b, question=EXPECTED_QUESTION, reference="B", options=options, span=Span(1.5)),
        Sample(id="0003", video=a, question="And then?", span=Span(62.5, 3600.0)),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.jsonl", "\n".join(json.dumps(row) for row in ROWS) + "\n\n"),
        ("q.json", json.dumps(ROWS)),
        ("q.csv", CSV),
        ("q.CSV", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("q.csv", CSV.replace(",", ";").replace('"What; and why?"', "What, and why?")),
        ("q.tsv", CSV.replace(",", "\t").replace('"What\t and why?"', "What, and why?")),
    ],
)
def test_every_form_says_the_same(folder: Path, name: str, text: str) -> None:
    assert Questions(path=written(folder, name, text)).samples() == expected(folder)


def test_options_that_the_question_holds_are_not_listed_again(folder: Path) -> None:
    row = {**ROWS[1], "video": "a.mp4", "question": "Which?\nA. a dog\nB. a cat\nC. a cow"}
    (sample,) = Questions(path=written(folder, "q.jsonl", json.dumps(row))).samples()
    assert sample.question == row["question"]


@pytest.mark.parametrize(
    ("question", "options", "listed"),
    [
        ("In 2012, how many dogs are seen?", ["0", "1", "2"], True),
        ("Do the eyes close? Do you notice it?", ["yes", "no"], True),
        ("Which?\nA. a dog\nB. a cat", ["a dog", "a cat"], False),
        ("Which? (A) a dog; (B) a cat", ["a dog", "a cat"], False),
    ],
)
def test_which_questions_list_their_options(folder: Path, question: str, options: list[str], listed: bool) -> None:
    row = {"video": "a.mp4", "question": question, "options": options}
    (sample,) = Questions(path=written(folder, "q.jsonl", json.dumps(row))).samples()
    assert ("A. " + options[0] in sample.question.removeprefix(question)) == listed


def test_letters_of_options_are_not_listed_twice(folder: Path) -> None:
    row = {"video": "a.mp4", "question": "Which?", "options": ["A. Apples.", "B. Pears."], "reference": "Pears."}
    (sample,) = Questions(path=written(folder, "q.jsonl", json.dumps(row))).samples()
    assert sample.question.startswith("Which?\nA. Apples.\nB. Pears.\n")
    assert (sample.options, sample.reference) == (("Apples.", "Pears."), "B")


def test_columns_of_other_names_another_root_and_one_question_for_all(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "clip,answer,split\na.mp4,yes,test\n"
    (folder / "lists").mkdir()
    path = written(folder / "lists", "q.csv", text)
    how: dict[str, Any] = {"columns": {"video": "clip", "reference": "answer"}, "root": str(folder)}
    with caplog.at_level(logging.INFO):
        (sample,) = Questions(path=path, question="Is it?", **how).samples()
    assert sample == Sample(id="0001", video=str(folder / "a.mp4"), question="Is it?", reference="yes")
    assert "not read are ['split']" in caplog.text


def test_a_folder_with_a_list_is_asked_what_that_says(folder: Path) -> None:
    written(folder, "questions.csv", CSV + "a.mp4,,,,,,\n")
    samples = Folder(path=str(folder), question="What is it?").samples()
    assert samples[:3] == expected(folder)
    assert samples[3].question == "What is it?"


WRONG = {
    "no video": ({"question": "?"}, r"line 1 of '.*q.jsonl': video must be there, got \['question'\]"),
    "another name": (
        {"video": "a.mp4", "questoin": "?"},
        r"line 1 .* question must be there, .* \(is it 'questoin'\? data.columns=\{question: questoin\}\)",
    ),
    "an empty question": ({"video": "a.mp4", "question": " "}, r"line 1 .* question must be text that is not empty"),
    "a number for a path": ({"video": 3, "question": "?"}, r"line 1 .* video must be text, got 3"),
    "a list for an id": ({"video": "a.mp4", "question": "?", "id": []}, r"line 1 .* id must be text or a whole number"),
    "a wrong letter": (
        {"video": "a.mp4", "question": "?", "options": ["x", "y"], "reference": "C"},
        r"line 1 .* reference must be the letter of an option \(A to B\), got 'C'",
    ),
    "options that are none": ({"video": "a.mp4", "question": "?", "options": 4}, r"line 1 .* options must be a list"),
    "a start that is none": ({"video": "a.mp4", "question": "?", "start": "soon"}, r"line 1 .* start must be seconds"),
    "a negative start": (
        {"video": "a.mp4", "question": "?", "start": -1},
        r"line 1 .* start must be seconds, at least",
    ),
    "an end before the start": (
        {"video": "a.mp4", "question": "?", "start": 5, "end": "0:05"},
        r"line 1 .* end must be after start, 5 s, got 5.0",
    ),
    "no such video": ({"video": "b.mp4", "question": "?"}, r"video must be a file below '.*' \(data.root says where"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_line_is_refused(folder: Path, fault: str) -> None:
    row, message = WRONG[fault]
    with pytest.raises(ValueError, match=rf"^data.path: {message}") as caught:
        Questions(path=written(folder, "q.jsonl", json.dumps(row))).samples()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.txt", "a.mp4", r"must be a file of .jsonl, .json, .csv, .tsv, got '.*q.txt'"),
        ("q.jsonl", "", r"must hold at least one row, got"),
        ("q.csv", "video,question\n", r"must hold at least one row, got"),
        ("q.jsonl", '{"video": "a.mp4",\n', r"line 1 of .*: must be JSON \(.*\), got '\{\"video\": \"a.mp4\",'"),
        ("q.jsonl", '\n["a.mp4"]\n', r"line 2 of .*: must be a JSON object, got \['a.mp4'\]"),
        ("q.json", '{"video": "a.mp4"}', r"'.*q.json': must be a list of JSON objects, got"),
        ("q.json", '[{"video": "a.mp4"}]', r"entry 1 of .*: question must be there, got \['video'\]"),
        ("q.csv", "video,question\na.mp4,What, now?\n", r"line 2 of .*: must have at most 2 cells, .* got 3"),
        (
            "q.csv",
            "video,question,id\na.mp4,?,7\n\na.mp4,?,7\n",
            r"line 4 of .*: id must be another than that of line 2",
        ),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^data.path: {message}"):
        Questions(path=written(folder, name, text)).samples()


def test_a_file_that_is_not_there_or_no_text(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^data.path: must be a file that exists, got"):
        Questions(path=str(folder / "q.csv")).samples()
    (folder / "q.csv").write_bytes(b"video\xff\n")
    with pytest.raises(ValueError, match=r"^data.path: line 1 of '.*q.csv': must be text in UTF-8, got 'video\ufffd'"):
        Questions(path=str(folder / "q.csv")).samples()


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("data.columns: must be names for video, question, id")):
        Questions(path="q.csv", columns={"film": "video"})


def test_a_video_is_read_once_for_questions_that_follow_each_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").touch()
    rows = [("a", ""), ("a", ""), ("a", "0.5"), ("b", ""), ("a", "")]
    lines = "".join(f"{name}.mp4,Why {number}?,{start}\n" for number, (name, start) in enumerate(rows))
    samples = Questions(path=written(tmp_path, "q.csv", f"video,question,start\n{lines}")).samples()
    video, asked = Video(frames=np.zeros((4, 8, 8, 3), np.uint8), timestamps=np.arange(4.0)), list[tuple[str, Span]]()

    def read(path: str, frames: int, /, *, span: Span) -> Video:
        asked.append((Path(path).stem, span))
        return video

    data = VideoData(samples, frames=4, read=read)
    assert all(item.video is video for item in data.test_dataloader())
    assert asked == [("a", WHOLE), ("a", Span(0.5)), ("b", WHOLE), ("a", WHOLE)]
