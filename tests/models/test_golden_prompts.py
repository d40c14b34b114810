"""The prompt of each family, letter by letter: a template or processor that changes changes what models are asked."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoProcessor
from transformers.video_utils import VideoMetadata

from tests.conftest import Pair
from vsd.models import resolve
from vsd.models.base import chat
from vsd.types import Grid, Video

QUESTION = "Where is it?"
TEXTS = {
    "qwen2_5_vl": (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Where is it?<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llava_onevision": "<|im_start|>user\n<video>\nWhere is it?<|im_end|>\n<|im_start|>assistant\n",
}
PLACEHOLDERS = {"qwen2_5_vl": "<|video_pad|>", "llava_onevision": "<video>"}
# For six frames of 16 x 16 pixels: two frames a step and 2 x 2 tokens; 2 x 2 tokens a frame and a closing newline.
COUNTS = {"qwen2_5_vl": 3 * 2 * 2, "llava_onevision": 6 * 2 * 2 + 1}
GRIDS = {"qwen2_5_vl": Grid(3, 2, 2), "llava_onevision": Grid(6, 2, 2)}
FIRST_POSITIONS = {"qwen2_5_vl": 38, "llava_onevision": 57}
"""Of the first generated token. Qwen2.5-VL's video spans 7 to 11 on the time axis: 2 positions a second."""


def test_the_prompt_is_this_text(pair: Pair, video: Video) -> None:
    prompt = pair.target.encode(video, QUESTION)
    placeholder = PLACEHOLDERS[pair.family]
    expected = TEXTS[pair.family].replace(placeholder, placeholder * COUNTS[pair.family])
    assert pair.target.processor.tokenizer.decode(prompt.ids_T.tolist()) == expected
    assert (prompt.grid, len(prompt.visual_V)) == (GRIDS[pair.family], GRIDS[pair.family].tokens)
    assert prompt.next_position == FIRST_POSITIONS[pair.family]


def test_the_tokens_are_those_of_transformers_own_processor(pair: Pair, video: Video) -> None:
    frames = torch.from_numpy(video.frames).permute(0, 3, 1, 2)
    inputs = pair.target.processor(
        text=[TEXTS[pair.family]],
        videos=[frames],
        video_metadata=[VideoMetadata(total_num_frames=6, fps=2.0, frames_indices=list(range(6)))],
        do_sample_frames=False,
        return_tensors="pt",
    )
    assert pair.target.encode(video, QUESTION).ids_T.tolist() == inputs["input_ids"][0].tolist()


@pytest.mark.parametrize("role", ["target", "near", "other"])
@pytest.mark.parametrize("family", TEXTS)
def test_the_bundled_models_have_the_same_template(family: str, role: str) -> None:
    processor = AutoProcessor.from_pretrained(resolve(f"zoo:{family}/{role}"))
    assert chat(processor, QUESTION) == TEXTS[family]
