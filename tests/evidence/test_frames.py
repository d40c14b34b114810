"""Frames as evidence: what of them each visual token shows, against what each family's processor and projector do."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel

from tests.conftest import Pair
from vsd.evidence import Collector, Reading
from vsd.types import Evidence, Frames, Grid, Video

QUESTION = "What moves?"
SIDE = 8  # pixels of a visual token's place, with the tiny models of both families


def a_video(count: int, *, side: int = 16) -> Video:
    frames = np.full((count, side, side, 3), 90, dtype=np.uint8)
    return Video(frames=frames, timestamps=np.arange(count) / 2.0)


def frames_of(pair: Pair, video: Video) -> Frames:
    """What a run of the target has."""
    model = pair.target
    prompt = model.encode(video, QUESTION)
    reading = Reading(prompt=prompt, depth=model.depth, video=video, frames_per_step=model.frames_per_step)
    collector = Collector({"frames": "frames"}, reading)
    assert collector.stage({"frames"}) == 0
    frames: Frames = collector.evidence()["frames"]
    return frames


def with_a_square(video: Video, frame: int, y: int, x: int) -> Video:
    """The same video, but for the place of one token in one frame."""
    frames = video.frames.copy()
    frames[frame, SIDE * y : SIDE * (y + 1), SIDE * x : SIDE * (x + 1)] = 200
    return Video(frames=frames, timestamps=video.timestamps)


def seen_by_qwen(pair: Pair, inputs: Any) -> torch.Tensor:
    """A row for each visual token: the pixels of its four patches, as the tower gets them."""
    rows: torch.Tensor = inputs["pixel_values_videos"]
    return rows.reshape(len(rows) // 4, -1)


def seen_by_llava(pair: Pair, inputs: Any) -> torch.Tensor:
    """A row for each visual token: the mean of its patches' pixels, put together as their features are."""
    pixels = inputs["pixel_values_videos"][0]  # (frames, 3, 16, 16), in patches of 4 x 4
    patches = pixels.unflatten(2, (4, 4)).unflatten(4, (4, 4)).mean((3, 5))  # (frames, 3, 4, 4)
    pooled: torch.Tensor = pair.target.model.model.apply_pooling(patches.flatten(2).transpose(1, 2))
    return pooled.reshape(-1, 3)


SEEN: dict[str, Callable[[Pair, Any], torch.Tensor]] = {
    "qwen2_5_vl": seen_by_qwen,
    "llava_onevision": seen_by_llava,
}


@pytest.mark.parametrize("count", [1, 5, 6])
def test_each_place_of_each_frame_is_one_tokens(pair: Pair, count: int) -> None:
    plain = a_video(count)
    before = SEEN[pair.family](pair, pair.target.process(plain, QUESTION))
    frames = frames_of(pair, plain)
    assert frames.grid == Grid(-(-count // frames.per_step), 2, 2)
    for frame in range(count):
        for y, x in ((0, 0), (0, 1), (1, 0)):
            changed = with_a_square(plain, frame, y, x)
            after = SEEN[pair.family](pair, pair.target.process(changed, QUESTION))
            tokens = (after != before).any(-1).nonzero()[:, 0].tolist()
            difference_FHW = torch.from_numpy(changed.frames.astype(np.int64) - plain.frames).abs().sum(-1)
            ours = frames.per_token(difference_FHW).nonzero()[:, 0].tolist()
            t = frame // frames.per_step
            assert ours == tokens == [4 * t + 2 * y + x]
            assert frame in frames.of_step(t)


def test_frames_are_the_videos_own(pair: Pair) -> None:
    video = a_video(5)
    frames = frames_of(pair, video)
    assert frames.video is video
    assert frames.per_step == (2 if pair.family == "qwen2_5_vl" else 1)
    assert [list(frames.of_step(t)) for t in range(frames.grid.t)] == (
        [[0, 1], [2, 3], [4]] if pair.family == "qwen2_5_vl" else [[0], [1], [2], [3], [4]]
    )


def test_a_step_is_the_mean_of_its_frames_and_the_last_one_stands_for_what_is_missing() -> None:
    frames = Frames(video=a_video(5), grid=Grid(3, 1, 2), per_step=2)
    value_FHW = torch.tensor([[[1, 2]], [[3, 4]], [[5, 6]], [[7, 8]], [[9, 10]]])
    assert frames.per_token(value_FHW).tolist() == [2, 3, 6, 7, 9, 10]
    a_number_each = torch.tensor([1.0, 2, 3, 4, 5])[:, None, None]
    assert frames.per_token(a_number_each).tolist() == [1.5, 1.5, 3.5, 3.5, 5, 5]
    assert frames.per_token(value_FHW.double()).dtype == torch.float64
    with pytest.raises(ValueError, match=r"^frames: must have a value of shape \(5, H, W\), got \(4, 1, 2\)$"):
        frames.per_token(value_FHW[:4])


def test_the_places_are_those_of_a_large_llava() -> None:
    """384 x 384 pixels, 27 x 27 patches of 14, pooled to 14 x 14 tokens: a square in the midst of a place counts most
    there."""
    config = SimpleNamespace(image_size=384, patch_size=14)
    pool: Any = LlavaOnevisionModel.apply_pooling
    frames = Frames(video=a_video(1, side=384), grid=Grid(1, 14, 14))
    for y, x in ((0, 0), (3, 12), (6, 7), (13, 13)):
        square = torch.zeros(1, 384, 384)
        top, left = round((y + 0.5) * 384 / 14) - 7, round((x + 0.5) * 384 / 14) - 7
        square[:, top : top + 14, left : left + 14] = 1
        patches = square[:, :378, :378].unflatten(1, (27, 14)).unflatten(3, (27, 14)).mean((2, 4))
        pooled = pool(SimpleNamespace(config=SimpleNamespace(vision_config=config)), patches.reshape(1, 729, 1))
        assert int(frames.per_token(square).argmax()) == int(pooled[0, :, 0].argmax()) == 14 * y + x


def test_frames_of_another_grid_are_refused() -> None:
    frames = Frames(video=a_video(2), grid=Grid(2, 1, 1))
    with pytest.raises(ValueError, match=r"^evidence: frames must have 4 rows, one a visual token, got 2$"):
        Evidence(grid=Grid(4, 1, 1), values={"frames": frames})["frames"]
