"""The reading of a prompt, which may stop on its way: what is there early can be used early."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vsd.models.cache import State
from vsd.types import Prompt

if TYPE_CHECKING:
    from vsd.evidence import Collector
    from vsd.models.base import VideoLM

_PIECE = 64  # tokens of a long suffix that are read at once, so that the rows of attention that are formed stay few


class Prefill:
    """A prompt on its way through a model: `until` a layer, if somebody waits for what it shows there, then `finish`.

    `state` takes the cache's rows. Where the text behind the video is looked at by itself, it is read by itself.
    """

    def __init__(self, model: VideoLM, prompt: Prompt, state: State, collector: Collector | None) -> None:
        self.state = state
        self._model, self._prompt, self._collector = model, prompt, collector
        self._layer, self._states_TD = 0, prompt.embeds_TD
        self._mask: Tensor | None = None

    @torch.inference_mode()
    def until(self, layer: int) -> bool:
        """Let the whole prompt go through the layers up to this one. False, and nothing is done, where it is read in
        pieces."""
        if not layer:
            return True
        if len(self._pieces()) > 1:
            return False
        self._mask = self.state.extend(self._prompt.length)
        self._states_TD = self._read(0, self._prompt.length, self._mask, until=layer)
        self._layer = layer
        return True

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Read what is left; returns the logits_W behind the prompt."""
        depth = self._model.depth
        if self._layer:
            states_MD = self._states_TD if self._layer == depth else self._read(0, self._prompt.length, self._mask)
        else:
            for start, end in self._pieces():
                states_MD = self._read(start, end, self.state.extend(end - start))
        self._states_TD, self._mask = states_MD.new_empty(0), None  # decoding goes on for long without them
        return self._model.logits(states_MD[-1:])[0]

    def _pieces(self) -> list[tuple[int, int]]:
        prompt = self._prompt
        if self._collector is None or not self._collector.suffix:
            return [(0, prompt.length)]
        return list(pairwise([0, *range(prompt.suffix, prompt.length, _PIECE), prompt.length]))

    def _read(self, start: int, end: int, mask: Tensor | None, *, until: int | None = None) -> Tensor:
        """The states of tokens [start, end) behind a layer, the last if not told."""
        watch = None
        if self._collector is not None:
            of_text = start >= self._prompt.suffix or not self._collector.suffix
            watch = self._collector.of_prompt(start, attention=of_text)
        return self._model.run(
            self._states_TD[start:end],
            self._prompt.positions_PT[:, None, start:end],
            mask,
            self.state,
            watch=watch,
            layers=(self._layer, until or self._model.depth),
        )
