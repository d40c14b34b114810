"""Which samples a job takes, and what the data module makes of a bad video."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.video.clips import truncate, write_video
from vsd.data.base import parse_shard, select
from vsd.data.datamodule import VideoData
from vsd.data.folder import Folder
from vsd.types import Sample


def samples(count: int) -> list[Sample]:
    return [Sample(id=str(index), video=f"{index}.mp4", question="?") for index in range(count)]


def ids(found: list[Sample]) -> list[str]:
    return [sample.id for sample in found]


def test_limit_then_shard() -> None:
    assert ids(select(samples(10), 5, "0/2")) == ["0", "2", "4"]
    assert ids(select(samples(10), 5, "1/2")) == ["1", "3"]
    assert ids(select(samples(3), None, "0/1")) == ["0", "1", "2"]


def test_shards_are_a_partition() -> None:
    found = [sample for index in range(3) for sample in select(samples(11), None, f"{index}/3")]
    assert sorted(ids(found), key=int) == ids(samples(11))


@pytest.mark.parametrize("shard", ["2/2", "a/2", "1", "1/2/3", "-1/2", "0/0", ""])
def test_a_bad_shard_is_refused(shard: str) -> None:
    with pytest.raises(ValueError, match=r"shard: must be i/n"):
        parse_shard(shard)


def test_folder_takes_every_video_by_name(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.MP4", "a.mkv", "deep/c.webm", "notes.txt"):
        (tmp_path / name).touch()
    found = Folder(path=str(tmp_path), question="What?").samples()
    assert ids(found) == ["a.mkv", "b.MP4", "deep/c.webm"]
    assert {sample.question for sample in found} == {"What?"}


def test_one_file_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "clip.bin").touch()
    assert ids(Folder(path=str(tmp_path / "clip.bin"), question="?").samples()) == ["clip.bin"]


@pytest.mark.parametrize(("name", "message"), [("", "must hold a video"), ("nope", "a video file or a folder")])
def test_a_folder_without_videos_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Folder(path=str(tmp_path / name), question="?").samples()


def test_linked_folders_are_entered_once_and_what_is_no_file_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a", elsewhere, root / "folder.mp4"):
        folder.mkdir(parents=True)
    (root / "a" / "1.mp4").touch()
    (elsewhere / "2.mp4").touch()
    (root / "b").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (root / "gone.mp4").symlink_to(root / "nowhere.mp4")
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    assert ids(Folder(path=str(root), question="?").samples()) == ["a/1.mp4", "b/2.mp4"]
    assert "left out, since they are no files: ['folder.mp4', 'gone.mp4', 'loop.mp4']" in caplog.text
    with pytest.raises(ValueError, match=r"data\.path: must be a video file or a folder of videos, got '/dev/null'"):
        Folder(path="/dev/null", question="?").samples()


def test_items_in_order_with_failures_and_warnings(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    truncate(write_video(tmp_path / "b.mp4"))
    write_video(tmp_path / "c.mp4", frames=3)
    data = VideoData(Folder(path=str(tmp_path), question="?").samples(), frames=8)
    good, bad, short = list(data.test_dataloader())
    assert good.video is not None
    assert (len(good.video.frames), good.failure, good.warnings) == (8, "", ())
    assert bad.video is None
    assert "truncated" in bad.failure
    assert short.video is not None
    assert short.warnings == ("there are 3 frames to see, fewer than frames=8",)
