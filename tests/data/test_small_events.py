"""SmallEvents as a data set: what is asked, how answers are scored, and listings that are not what they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import ListConfig

from vsd.data.scoring import scored
from vsd.data.small_events import SmallEvents
from vsd.types import Sample, Score

SECTION = {"about": "blue shape", "given": {"colour": "blue"}, "facts": {"size": "small", "motion": "up"}}
ONE = {
    "kind": "one",
    "text": "Describe the blue shape.",
    "answer": "The blue shape is a small blue circle. It moves up.",
    "facts": {"kind": "one", "sections": [SECTION]},
}
CHOICE = {"kind": "choice", "text": "Which? A. up B. down", "answer": "B", "options": ["up", "down"]}


def listing(folder: Path, *rows: Any) -> SmallEvents:
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SmallEvents(path=str(folder), ask="all", frames=None)


def row(*questions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": 7, "video": "x.mp4", "questions": list(questions), **fields}


def kind_of(sample: Sample) -> str:
    return sample.id.split("-")[1]


def test_bundled_clips() -> None:
    found = SmallEvents().samples()
    assert [sample.id for sample in found] == [f"{number:03d}-one" for number in range(48)]
    assert all(Path(sample.video).is_file() and sample.reference and sample.facts["sections"] for sample in found)


@pytest.mark.parametrize(("frames", "clips"), [(64, 48), (32, 8), (96, 8), (None, 64)])
def test_clips_of_one_length(frames: int | None, clips: int) -> None:
    assert len({sample.video for sample in SmallEvents(frames=frames).samples()}) == clips


def test_kinds_and_groups_of_them() -> None:
    kinds = {ask: {kind_of(sample) for sample in SmallEvents(ask=ask).samples()} for ask in ("description", "all")}
    assert kinds["description"] == {"one", "two", "order", "shot", "everything"}
    assert kinds["all"] == {*kinds["description"], "short", "choice"}
    several = SmallEvents(ask=ListConfig(["choice", "two"]))
    assert several.kinds == ("two", "choice")
    assert {kind_of(sample) for sample in several.samples()} == {"two", "choice"}


def test_ids_stay_the_same_whatever_is_asked() -> None:
    every = {sample.id: sample for sample in SmallEvents(ask="all").samples()}
    assert len(every) > 48 * 8
    for sample in SmallEvents(ask="choice").samples():
        assert every[sample.id] == sample
    assert "000-choice-2" in every


def test_right_answers_have_all_facts_and_letters_right() -> None:
    data = SmallEvents(ask="all", frames=None)
    for sample in data.samples():
        scores = scored(data.score, sample, sample.reference)
        assert all(score.right == pytest.approx(score.asked) for score in scores.values())
        kind = kind_of(sample)
        expected = {"choice"} if kind == "choice" else {"facts", f"facts_{kind}", "reference_rouge_l"}
        assert scores.keys() == expected


def test_facts_and_letters_are_counted(tmp_path: Path) -> None:
    data = listing(tmp_path, row(ONE, CHOICE))
    one, choice = data.samples()
    assert data.score(one, "The blue shape is a large circle. It moves down.")["facts"] == Score(0, 2)
    assert data.score(one, "The blue shape is a small circle. It moves down.")["facts"] == Score(1, 2)
    assert data.score(choice, "B") == {"choice": Score(1.0)}
    assert SmallEvents(path=str(tmp_path)).score(one, "").keys() == {"facts", "reference_rouge_l"}


def test_another_folder_of_clips(tmp_path: Path) -> None:
    asked = {"kind": "short", "text": "What is it?"}
    assert listing(tmp_path, row(asked, asked)).samples() == [
        Sample(id="7-short", video=str(tmp_path / "x.mp4"), question="What is it?"),
        Sample(id="7-short-2", video=str(tmp_path / "x.mp4"), question="What is it?"),
    ]
    listing(tmp_path, row(ONE), row(ONE, id=8, frames=32), row(ONE, id=9, frames=64))
    assert [sample.id for sample in SmallEvents(path=str(tmp_path)).samples()] == ["7-one", "9-one"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ask": "open"}, r"data\.ask: must be one of one, two, .* choice, description, all, got 'open'"),
        ({"ask": ["one", 3]}, r"data\.ask: must be one of .*, got 3"),
        ({"ask": []}, r"data\.ask: must be at least one kind, got \[\]"),
        ({"ask": None}, r"data\.ask: must be one of .*, got None"),
        ({"frames": 0}, r"data\.frames: must be a whole number, at least 1, got 0"),
        ({"path": ""}, r"data\.path: must be text that is not empty, got ''"),
    ],
)
def test_a_wrong_field_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallEvents(**fields)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.path: must be a folder with a clips\.jsonl"):
        SmallEvents(path=str(tmp_path)).samples()
    rule = r"null or the frames of a clip of .*clips\.jsonl \(32, 64, 96\)"
    with pytest.raises(ValueError, match=rf"data\.frames: must be {rule}, got 48"):
        SmallEvents(frames=48).samples()
    listing(tmp_path, row(ONE))
    with pytest.raises(ValueError, match=r"data\.ask: must be something that .* asks, got 'order'"):
        SmallEvents(path=str(tmp_path), ask="order").samples()
    listing(tmp_path)
    with pytest.raises(ValueError, match=r"data\.path: must hold at least one row"):
        SmallEvents(path=str(tmp_path)).samples()


def altered(**fields: Any) -> dict[str, Any]:
    """A line whose second question is like ONE but for these fields."""
    return row(ONE, {**ONE, **fields})


def section(**fields: Any) -> dict[str, Any]:
    return altered(facts={"kind": "one", "sections": [{**SECTION, **fields}]})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([1], r"must be a JSON object, got \[1\]"),
        ({"id": 1, "video": "x.mp4"}, "questions must be there, got None"),
        (row(ONE, id=1.5), r"id must be text or a whole number, got 1\.5"),
        (row(ONE, video=3), "video must be text, got 3"),
        (row(ONE, frames="64"), "frames must be a whole number, at least 1, got '64'"),
        (row(), r"questions must be a list of objects, at least one, got \[\]"),
        (altered(kind="open"), "question 2's kind must be one of one, .*, got 'open'"),
        (altered(text=" "), "question 2's text must be text that is not empty, got ' '"),
        (altered(answer=4), "question 2's answer must be text, got 4"),
        (altered(options=["a", "b"]), "question 2's options must be there for a choice, and for nothing else"),
        (row(ONE, {**CHOICE, "options": []}), "question 2's options must be there for a choice"),
        (
            row(ONE, {**CHOICE, "answer": "C"}),
            r"question 2: reference must be the letter of an option \(A to B\), got 'C'",
        ),
        (altered(facts=3), "question 2's facts must be an object, got 3"),
        (altered(facts={"kind": "two", "sections": []}), "question 2's facts must be of the kind 'one', got 'two'"),
        (altered(facts={"kind": "one"}), "question 2's sections must be a list of objects, got None"),
        (section(about=2), "question 2's section 1's about must be text, got 2"),
        (section(given=["blue"]), r"question 2's section 1's given must be an object, got \['blue'\]"),
        (section(facts={"weight": "3 kg"}), "question 2's section 1's facts must be named among .*, got 'weight'"),
        (section(facts={"size": 3}), "question 2's section 1's size must be text, got 3"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line: Any, message: str, tmp_path: Path) -> None:
    data = listing(tmp_path, row(ONE), line)
    with pytest.raises(ValueError, match=rf"data\.path: line 2 of '.*clips\.jsonl': {message}"):
        data.samples()


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.jsonl").write_bytes(b"\n\xff\n")
    with pytest.raises(ValueError, match=r"data\.path: line 2 of .*: must be text in UTF-8, got '\ufffd'"):
        SmallEvents(path=str(tmp_path)).samples()
