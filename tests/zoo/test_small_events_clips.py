"""SmallEvents' files: the bundled clips are small, are what the writer writes, and show what they are said to show."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsd.zoo.small_events import CLIPS, drawing, world, write

ROWS = [json.loads(text) for text in (CLIPS / "clips.jsonl").read_text().splitlines()]


def decoded(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def test_the_bundled_clips_are_small() -> None:
    files = {path.name: path.stat().st_size for path in CLIPS.iterdir()}
    videos = {name: size for name, size in files.items() if name.endswith(".mp4")}
    assert files.keys() == {"clips.jsonl"} | {row["video"] for row in ROWS} == {"clips.jsonl", *videos}
    assert max(videos.values()) <= 60e3
    assert sum(files.values()) < 3e6


def test_the_listing_is_the_writers() -> None:
    assert [row["frames"] for row in ROWS] == [64] * 48 + [32] * 8 + [96] * 8
    for row, (seed, frames) in zip(ROWS, write.bundled(), strict=True):
        assert row == write.line(row["id"], seed, frames // world.SHOT)
        assert world.HELD_OUT <= row["seed"] == seed < world.TRAINING


def test_every_clip_is_asked_all_kinds_and_a_share_for_everything() -> None:
    for row in ROWS:
        kinds = [question["kind"] for question in row["questions"]]
        always = [kind for kind in kinds if kind != "everything"]
        assert always == ["one", "two", "order", "shot", "short", "short", "choice", "choice"]
    share = np.mean(["everything" in json.dumps([q["kind"] for q in row["questions"]]) for row in ROWS[:48]])
    assert 0.3 < share < 0.7


@pytest.mark.parametrize("number", [0, 50, 60])
def test_a_video_shows_its_scene(number: int) -> None:
    row = ROWS[number]
    scene = world.scene(row["seed"], row["frames"] // world.SHOT)
    seen, meant = decoded(CLIPS / row["video"]), drawing.render(scene, range(row["frames"]))
    assert seen.shape == meant.shape
    assert np.abs(seen.astype(int) - meant).mean() < 2
    for event in scene.events:  # the small things are as true as the rest
        row_, column = drawing.cell_of(event)
        frame = event.start + 3
        cell = slice(28 * row_, 28 * row_ + 28), slice(28 * column, 28 * column + 28)
        assert np.abs(seen[frame][cell].astype(int) - meant[frame][cell]).mean() < 10


def test_writing_other_clips(tmp_path: Path) -> None:
    write.main(["--out", str(tmp_path / "new"), "--count", "2", "--seed", "7", "--frames", "16", "--side", "84",
                "--sheet", str(tmp_path / "sheet.png")])  # fmt: skip
    rows = [json.loads(text) for text in (tmp_path / "new" / "clips.jsonl").read_text().splitlines()]
    assert [(row["id"], row["seed"], row["frames"]) for row in rows] == [("000", 7, 16), ("001", 8, 16)]
    assert "two" not in [question["kind"] for question in rows[0]["questions"]]  # there is one event
    assert decoded(tmp_path / "new" / "001.mp4").shape == (16, 84, 84, 3)
    assert (tmp_path / "sheet.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count: must be at least 1, got 0"),
        (["--count", "2", "--seed", "999999"], "--seed: must be from 0 to 999998: clips for training come after it"),
        (["--count", "1", "--frames", "20"], "--frames: must be a multiple of 16, got 20"),
        (["--count", "1", "--side", "100"], "--side: must be a multiple of 28, at least 84, got 100"),
    ],
)
def test_what_cannot_be_written_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        write.main(["--out", str(tmp_path / "new"), *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
