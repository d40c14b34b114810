"""The reading of a prompt, which may stop on its way: what is there early can be used early."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vsd.models.cache import State
from vsd.types import Prompt

if TYPE_CHECKING:
    from vsd.evidence import Collector
    from vsd.models.base import VideoLM

_ROWS = 64  # tokens of a long suffix that are read at once, so that the rows of attention that are formed stay few


@dataclass
class _Piece:
    """Tokens [start, end) of a prompt: their states behind the layers that they went through, and their mask."""

    start: int
    end: int
    states_MD: Tensor
    mask: Tensor | None = None


class Prefill:
    """A prompt on its way through a model: `until` a layer, if somebody waits for what it shows there, then `finish`.

    `state` takes the cache's rows. Where the text behind the video is looked at by itself, it is read by itself; and
    what is longer than the model's `prefill_chunk` is read in pieces of that length, so that what a layer computes on
    the way takes as much memory for any prompt.
    """

    def __init__(self, model: VideoLM, prompt: Prompt, state: State, collector: Collector | None) -> None:
        self.state = state
        self._model, self._prompt, self._collector = model, prompt, collector
        self._layer = 0
        ends, chunk = [prompt.length], model.prefill_chunk or prompt.length
        if collector is not None and collector.suffix:
            ends = [*range(prompt.suffix, prompt.length, min(_ROWS, chunk)), prompt.length]
        borders = sorted({*range(0, ends[0], chunk), *ends})
        self._pieces = [_Piece(start, end, prompt.embeds_TD[start:end]) for start, end in pairwise(borders)]

    @torch.inference_mode()
    def until(self, layer: int) -> bool:
        """Let the whole prompt go through the layers up to this one. False, and nothing is done, if that is the last
        one: what it shows is there at the end of the prefill, when the first token is."""
        if layer == self._model.depth:
            return False
        self._go_on(layer)
        return True

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Read what is left; returns the logits_W behind the prompt."""
        self._go_on(self._model.depth)
        last_1D = self._pieces[-1].states_MD[-1:]
        self._pieces = []  # decoding goes on for long without them
        return self._model.logits(last_1D)[0]

    def _go_on(self, layer: int) -> None:
        if layer <= self._layer:
            return
        for piece in self._pieces:
            if self._layer:
                self.state.resume(piece.start)
            else:
                piece.mask = self.state.extend(piece.end - piece.start)
            states_MD = self._read(piece, layer)
            if layer == self._model.depth:  # nothing comes behind but the last one's logits
                piece.mask = None
                states_MD = states_MD if piece is self._pieces[-1] else states_MD.new_empty(0)
            piece.states_MD = states_MD
        self._layer = layer

    def _read(self, piece: _Piece, layer: int) -> Tensor:
        """The states of a piece behind this layer."""
        watch = None
        if self._collector is not None:
            of_text = piece.start >= self._prompt.suffix or not self._collector.suffix
            watch = self._collector.of_prompt(piece.start, attention=of_text)
        return self._model.run(
            piece.states_MD,
            self._prompt.positions_PT[:, None, piece.start : piece.end],
            piece.mask,
            self.state.cache,
            watch=watch,
            layers=(self._layer, layer),
        )
