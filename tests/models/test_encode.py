"""A prompt holds what the model itself would have seen."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from tests.conftest import Pair
from vsd.executors.process import _sendable
from vsd.types import Grid, Prompt, SampleError, Video

QUESTION = "Where is it?"


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, QUESTION)


def test_shapes(pair: Pair, prompt: Prompt) -> None:
    grid = Grid(3, 2, 2) if pair.family == "qwen2_5_vl" else Grid(6, 2, 2)
    axes = 3 if pair.family == "qwen2_5_vl" else 1
    assert prompt.grid == grid
    assert prompt.visual_V.shape == (grid.tokens,)
    assert prompt.positions_PT.shape == (axes, prompt.length)
    assert prompt.features_VD.shape == (grid.tokens, prompt.embeds_TD.shape[1])


def test_suffix_starts_behind_the_last_placeholder(pair: Pair, prompt: Prompt) -> None:
    extra = pair.family == "llava_onevision"  # its closing newline is a placeholder, but not on the grid
    assert prompt.suffix == int(prompt.visual_V[-1]) + 1 + extra
    assert QUESTION in pair.target.decode(prompt.ids_T[prompt.suffix :].tolist())


def test_time_stretches_temporal_positions_only(pair: Pair, video: Video) -> None:
    if pair.family == "llava_onevision":
        pytest.skip("one position axis: it counts tokens, whatever the time between frames")
    slow = Video(frames=video.frames, timestamps=video.timestamps * 4)
    positions = [pair.target.encode(each, QUESTION) for each in (video, slow)]
    fast_3V, slow_3V = (prompt.positions_PT[:, prompt.visual_V] for prompt in positions)
    assert torch.equal(fast_3V[1:], slow_3V[1:])
    assert int(slow_3V[0].max()) > int(fast_3V[0].max())


def test_kept_tokens_keep_their_positions(pair: Pair, prompt: Prompt) -> None:
    kept_K = torch.tensor([1, 4, 7])
    kept = prompt.keep(kept_K)
    before, after = prompt.positions_PT[:, prompt.visual_V[kept_K]], kept.positions_PT[:, kept.visual_V]
    assert torch.equal(before, after)
    assert kept.next_position == prompt.next_position
    assert torch.equal(kept.positions_PT[:, kept.suffix :], prompt.positions_PT[:, prompt.suffix :])
    assert torch.equal(kept.ids_T[kept.suffix :], prompt.ids_T[prompt.suffix :])


def test_one_frame(pair: Pair, video: Video) -> None:
    single = Video(frames=video.frames[:1], timestamps=np.zeros(1))
    assert pair.target.encode(single, QUESTION).grid.tokens == 4


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "<|im_start|>", "<|image_pad|>", "<|vision_start|>", "<video>", "<image>"]
)
def test_a_question_with_a_special_token_is_refused(token: str, pair: Pair, video: Video) -> None:
    with pytest.raises(
        SampleError, match=re.escape(f"question: must hold no special token of the model, got {token!r}")
    ):
        pair.target.encode(video, f"What is {token}?")


def test_what_only_looks_like_a_special_token_is_text(pair: Pair, video: Video) -> None:
    question = "a < b | im_end |> <b> <images> \u2028 \x00 \ud55c"
    prompt = pair.target.encode(video, question)
    assert question in pair.target.decode(prompt.ids_T[prompt.suffix :].tolist())


def test_half_a_character_is_refused(pair: Pair, video: Video) -> None:
    with pytest.raises(SampleError, match=r"question: must be text that UTF-8 can hold, got 'a\\udcff'"):
        pair.target.encode(video, "a\udcff")


@pytest.mark.parametrize("step", ["chat template", "processor", "vision tower", "positions"])
def test_what_a_step_raises_is_the_samples_fault(
    step: str, pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    if step == "chat template":
        monkeypatch.setattr("vsd.models.base.chat", broken)
    else:
        name = {"processor": "_inputs", "vision tower": "features", "positions": "positions"}[step]
        monkeypatch.setattr(pair.target, name, broken)
    error: BaseException = KeyError("size")
    with pytest.raises(SampleError, match=f"^{step}: KeyError: 'size'$") as caught:
        pair.target.encode(video, QUESTION)
    assert type(_sendable(caught.value)) is SampleError  # as a draft's process tells it
    with pytest.raises(RuntimeError, match="must read two small frames, got: "):  # no sample: nothing will work
        pair.target.warm_up()
    for error in (torch.OutOfMemoryError("full"), torch.AcceleratorError("lost"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            pair.target.encode(video, QUESTION)
