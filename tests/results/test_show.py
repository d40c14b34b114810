"""One sample looked at: whose tokens they are, and what was kept of the frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.results.made import a_record, write_run
from tests.video.clips import write_video
from vsd.commands import show
from vsd.metrics.record import Record, from_dict, to_dict
from vsd.run.results.picture import DARK, FRAME, GAP, spread, strip
from vsd.types import Grid, Round, Sample, Video

GRID = Grid(4, 2, 3)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A first token, a round whose second token was relaxed, and one that was rejected at once."""
    plain = a_record("a", [2, 0], 5.0)
    assert plain.trace is not None
    rounds: tuple[Round, ...] = (replace(plain.trace.rounds[0], relaxed=(1,), gaps=(0.5,)), plain.trace.rounds[1])
    trace = replace(plain.trace, rounds=rounds, grid=GRID, kept_K=(0, 5, 7), tokens=(1, 2, 3, 4, 5))
    sample = Sample(id="a/b", video=str(write_video(tmp_path / "a.mp4", frames=8)), question="Why [bold]so[/]?")
    return replace(plain, trace=trace, sample=sample, pieces=("It", " is", " red", " and", " round"), text="It is ...")


def test_what_was_kept_is_read_back(record: Record) -> None:
    again = from_dict({**to_dict(record)})
    assert again.trace == record.trace
    assert again.trace is not None
    assert isinstance(again.trace.grid, Grid)


def test_whose_tokens_they_are(record: Record) -> None:
    assert record.trace is not None
    text = show.tokens_of(record, record.trace)
    assert text.plain == "It is ⟦red⟧ and round"
    drafted = [text.plain[span.start : span.end] for span in text.spans if span.style == "green"]
    assert drafted == [" is", " ⟦red⟧"]


def test_the_command(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = Record(sample=Sample(id="bad", video="none.mp4", question="?"), failure="no such file")
    write_run(tmp_path / "run", [failed, record], {"frames": 8})
    assert show.main([str(tmp_path / "run"), "--frames", "4"]) == 0
    said = capsys.readouterr().out
    assert "Why [bold]so[/]?" in said
    assert "2/5 0/5" in said
    assert "10 of 100 visual tokens kept" in said
    image = imread(tmp_path / "run" / "show-a_b.png")
    assert image.shape[:2] == (300, 4 * 240)  # frames side by side, under their times
    assert show.main([str(tmp_path / "run"), "--sample", "bad"]) == 0
    assert "failed  no such file" in capsys.readouterr().out
    assert show.main([str(tmp_path / "run"), "--sample", "c"]) == 2
    assert "--sample: must be the id of a sample (bad, a/b, ...), got 'c'" in capsys.readouterr().err
    assert show.main([str(tmp_path / "run"), "--frames", "0"]) == 2


def test_a_video_that_is_gone_gives_no_picture(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run", [record], {"frames": 8})
    (tmp_path / "a.mp4").unlink()
    assert show.main([str(tmp_path / "run")]) == 0
    assert "no picture" in capsys.readouterr().out


def test_kept_tokens_are_bright_and_framed_and_the_others_dark() -> None:
    frames = np.full((8, 96, 144, 3), 200, np.uint8)
    image = strip(Video(frames=frames, timestamps=np.arange(8.0)), GRID, [0, 1], [0, 5, 7])
    assert image.shape == (96, 2 * 144 + GAP, 3)
    middle = lambda time, row, column: image[row * 48 + 24, time * (144 + GAP) + column * 48 + 24]  # noqa: E731
    light = {
        (time, row, column): float(middle(time, row, column)[0])
        for time in (0, 1)
        for row in (0, 1)
        for column in (0, 1, 2)
    }
    bright = {place for place, value in light.items() if value == pytest.approx(200 / 255)}
    assert bright == {(0, 0, 0), (0, 1, 2), (1, 0, 1)}
    assert all(light[place] == pytest.approx(DARK * 200 / 255) for place in light.keys() - bright)
    assert tuple(image[0, 0]) == FRAME
    whole = strip(Video(frames=frames, timestamps=np.arange(8.0)), GRID, [0], range(24))
    assert (whole == 200 / 255).all()


def test_a_frame_of_any_size_is_cut_to_whole_tokens() -> None:
    frames = np.zeros((2, 37, 50, 3), np.uint8)
    image = strip(Video(frames=frames, timestamps=np.arange(2.0)), Grid(2, 5, 7), [0, 1], [0])
    assert image.shape[0] % 5 == 0
    assert image.shape[0] >= 90


def test_frames_of_an_odd_number() -> None:
    """Of 63 frames in pairs there are 32 places in time, the last of one frame."""
    frames = np.repeat(np.arange(63, dtype=np.uint8), 96 * 96 * 3).reshape(63, 96, 96, 3)
    image = strip(Video(frames=frames, timestamps=np.arange(63.0)), Grid(32, 1, 1), [0, 8, 31], range(32))
    assert [round(float(image[48, place * (96 + GAP) + 48, 0]) * 255) for place in range(3)] == [0, 16, 62]


def test_frames_are_spread_and_moved_to_where_something_is() -> None:
    assert spread(Grid(16, 1, 1), 4) == [0, 4, 8, 12]
    assert spread(Grid(16, 1, 1), 4, busy=[5, 6, 15]) == [0, 5, 8, 15]
    assert spread(Grid(2, 1, 1), 4) == [0, 1]


def test_a_folder_of_several_runs(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shards of one are one run; of others one is named."""
    for shard in ("0/2", "1/2"):
        own = replace(record, sample=replace(record.sample, id=f"of {shard[0]}"))
        write_run(tmp_path / "parts" / shard[0], [own], {"shard": shard})
    assert show.main([str(tmp_path / "parts"), "--sample", "of 1"]) == 0
    assert "of 1" in capsys.readouterr().out
    for name in ("0", "1"):
        write_run(tmp_path / "several" / name, [record], {"gamma": int(name)})
    assert show.main([str(tmp_path / "several")]) == 2
    assert f"which holds several (one is '{tmp_path}/several/0')" in capsys.readouterr().err
