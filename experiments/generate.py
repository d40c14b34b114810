"""transformers' own generate, on the stock classes, beside which the engine is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, StoppingCriteria, StoppingCriteriaList

from vsd.models import VideoLM
from vsd.models.checkpoint import resolve
from vsd.types import Video


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A generation, its seconds from frames to the last token, and those behind the first, with the tokens that came in
    them."""

    tokens: tuple[int, ...]
    total_s: float
    decode_s: float
    decoded: int


class Watch(StoppingCriteria):
    """Looks at the clock whenever generate has new tokens, and stops nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        self.seen.append((time.perf_counter(), input_ids.shape[1]))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def stock(target: VideoLM) -> Any:
    """The model of a loaded target as transformers has it: the same weights, another attention and cache."""
    return AutoModelForImageTextToText.from_pretrained(resolve(target.name), dtype=target.model.dtype).eval()


class Generate:
    """Greedy generate on the stock model of a loaded target. `options` are generate's; where the positions are not the
    library's own, it is given ours."""

    def __init__(self, target: VideoLM, max_new_tokens: int, model: Any = None, **options: Any) -> None:
        self.model = stock(target) if model is None else model
        self.processor = AutoProcessor.from_pretrained(resolve(target.name))
        self.target = target
        self._options = {"do_sample": False, "max_new_tokens": max_new_tokens, **options}

    def inputs(self, video: Video, question: str) -> dict[str, Any]:
        """What the processor makes of them."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        turn = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        count = len(video.frames)
        inputs: dict[str, Any] = self.processor(
            text=[turn],
            videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2)],
            video_metadata=[{"fps": video.fps, "total_num_frames": count, "frames_indices": list(range(count))}],
            do_sample_frames=False,
            return_tensors="pt",
        ).data
        return inputs

    def positions(self, video: Video, question: str) -> dict[str, Tensor]:
        """The positions that generate is given; nothing where the library's own are right."""
        if self.target.model_type != "qwen2_5_vl" or self.target.rope != "trained":
            return {}
        positions_PT = self.target.encode(video, question).positions_PT
        return {"position_ids": torch.cat((torch.arange(positions_PT.shape[1])[None], positions_PT))[:, None]}

    @torch.inference_mode()
    def timed(self, video: Video, question: str) -> Generated:
        """One generation, timed."""
        watch, given = Watch(), self.positions(video, question)
        start = time.perf_counter()
        inputs = self.inputs(video, question) | given
        stop = StoppingCriteriaList([watch])
        output = self.model.generate(**inputs, **self._options, stopping_criteria=stop)
        end = time.perf_counter()
        (first, count), length = watch.seen[0], output.shape[1]
        tokens = tuple(output[0, inputs["input_ids"].shape[1] :].tolist())
        return Generated(tokens=tokens, total_s=end - start, decode_s=end - first, decoded=length - count)

    def run(self, video: Video, question: str) -> tuple[int, ...]:
        """The tokens of one generation."""
        return self.timed(video, question).tokens
