"""Rotary positions: as the models were trained, worked by hand; and the same tokens as transformers' generate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import Pair
from vsd.engine import Engine
from vsd.models import VideoLM, load
from vsd.models.base import ROPES, chat
from vsd.models.qwen2_5_vl import mrope_positions
from vsd.parallelism import Autoregressive
from vsd.types import Grid, Video

QUESTION = "Where is it?"
NEW = 12


@pytest.fixture(scope="module", params=ROPES)
def target(request: pytest.FixtureRequest, pair: Pair) -> VideoLM:
    target = load(str(pair.target_path), dtype="float64", rope=request.param)
    target.eos = frozenset()
    return target


def stock_inputs(target: VideoLM, video: Video) -> dict[str, Tensor]:
    """What transformers' own model gets for this video: with positions only where its own are not ours."""
    inputs = dict(target._inputs(video, chat(target.processor, QUESTION)))
    if target.model_type == "qwen2_5_vl" and target.rope == "trained":
        positions_PT = target.encode(video, QUESTION).positions_PT
        text_1T = torch.arange(positions_PT.shape[1])[None]
        inputs["position_ids"] = torch.cat((text_1T, positions_PT))[:, None]
    return inputs


@pytest.fixture(scope="module")
def stock(pair: Pair) -> Any:
    """transformers' own model of the same weights, with its own attention and cache."""
    return type(pair.target.model).from_pretrained(pair.target_path, dtype=torch.float64)


@pytest.mark.parametrize(
    ("seconds", "times", "text"),
    [
        (0.5, [0, 1, 2], 3),  # the time axis is as long as the others: the text goes on behind all of them
        (0.25, [0, 0, 1], 2),  # half a step between patches is kept, and cut only at the end
        (0.3, [0, 0, 1], 2),
        (1.3, [0, 2, 5], 6),
        (40.0, [0, 80, 160], 161),  # the text stands behind the last second, not behind the first rows
        (0.001, [0, 0, 0], 2),  # here the sides of a frame are the longest axis
    ],
)
def test_positions_worked_by_hand(seconds: float, times: list[int], text: int) -> None:
    positions = mrope_positions(5, Grid(3, 2, 2), 3, seconds=seconds, tokens_per_second=2)
    assert positions[:, :5].tolist() == [[0, 1, 2, 3, 4]] * 3
    assert positions[0, 5:17].tolist() == [5 + time for time in times for _ in range(4)]
    assert positions[1, 5:17].tolist() == [5, 5, 6, 6] * 3
    assert positions[2, 5:17].tolist() == [5, 6, 5, 6] * 3
    assert positions[:, 17:].tolist() == [[5 + text, 6 + text, 7 + text]] * 3


def test_a_clip_is_as_long_on_the_time_axis_as_it_is(pair: Pair) -> None:
    """Two frames a patch, two positions a second: whichever processor told the seconds."""
    if pair.family == "llava_onevision":
        pytest.skip("one position axis: it counts tokens, whatever the time between frames")
    slow = Video(frames=np.zeros((6, 16, 16, 3), np.uint8), timestamps=np.arange(6.0) * 2.25)
    prompt = pair.target.encode(slow, QUESTION)
    times = prompt.positions_PT[0, prompt.visual_V] - prompt.positions_PT[0, prompt.visual_V[0]]
    assert times.tolist() == [0] * 4 + [9] * 4 + [18] * 4


def test_generation_goes_on_behind_everything_as_trained(pair: Pair) -> None:
    slow = Video(frames=np.zeros((6, 16, 16, 3), np.uint8), timestamps=np.arange(6.0) * 30.0)
    prompt = pair.target.encode(slow, QUESTION)
    assert prompt.next_position == int(prompt.positions_PT.max()) + 1


def test_as_the_library_has_it_a_question_stands_inside_a_long_video(pair: Pair) -> None:
    if pair.family == "llava_onevision":
        pytest.skip("one position axis: the two ways are the same")
    slow = Video(frames=np.zeros((6, 16, 16, 3), np.uint8), timestamps=np.arange(6.0) * 30.0)
    prompt = load(str(pair.target_path), dtype="float64", rope="library").encode(slow, QUESTION)
    assert prompt.next_position == int(prompt.positions_PT[0, -1]) + 1
    if prompt.next_position > int(prompt.positions_PT.max()):
        pytest.skip("this transformers lets the text go on behind the video")


def test_prefill_gives_the_logits_of_the_stock_forward(target: VideoLM, stock: Any, video: Video) -> None:
    with torch.inference_mode():
        expected_W = stock(**stock_inputs(target, video), logits_to_keep=1).logits[0, -1]
    _, logits_W = target.prefill(target.encode(video, QUESTION))
    torch.testing.assert_close(logits_W, expected_W, rtol=1e-9, atol=1e-9)


def clips() -> Iterator[Video]:
    """Random videos: 1 to 17 frames, 0.1 to 60 a second, with and without gaps."""
    rng = np.random.default_rng(0)
    for number in range(8):
        count = int(rng.integers(1, 18))
        steps = np.full(count, 1 / float(np.exp(rng.uniform(np.log(0.1), np.log(60)))))
        if number % 2:
            steps[rng.integers(0, count)] += rng.uniform(1, 30)
        frames = rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        yield Video(frames=frames, timestamps=np.cumsum(steps) - steps[0])


def test_tokens_are_those_of_generate(target: VideoLM, stock: Any, video: Video) -> None:
    engine = Engine(target=target, parallelism=Autoregressive(), max_new_tokens=NEW)
    for each in (video, *clips()):
        inputs = stock_inputs(target, each)
        output = stock.generate(**inputs, do_sample=False, max_new_tokens=NEW, eos_token_id=None)
        assert engine.run(each, QUESTION).tokens == tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


def test_another_way_is_refused(pair: Pair) -> None:
    rope: Any = "mine"
    with pytest.raises(ValueError, match=r"draft\.rope: must be one of trained, library, got 'mine'"):
        load(str(pair.target_path), rope=rope, field="draft")
