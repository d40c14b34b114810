"""Hidden states of chosen layers, taken by hooks: only visual and suffix rows are kept, only of the layers wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from vsd.types import Hidden, Prompt


def layer_number(name: str, depth: int) -> int:
    """The layer that `hidden:<name>` means in a model of `depth` layers.

    A whole number counts layers; with a point it is a fraction of the depth. Raises ValueError outside [0, depth].
    """
    try:
        number = round(float(name) * depth) if "." in name else int(name)
    except ValueError:
        raise ValueError(f"needs: 'hidden:' takes a layer number or a fraction of the depth, got {name!r}") from None
    if not 0 <= number <= depth:
        raise ValueError(f"needs: hidden:{name} means layer {number}, but the model has {depth} layers")
    return number


@contextmanager
def tapped(text: nn.Module, number: int) -> Iterator[list[Tensor]]:
    """Collects the states behind layer `number`, at least 1, of the passes made inside: (1, M, D) each."""
    layers: Any = text.layers
    found: list[Tensor] = []
    module: Any = text.norm if number == len(layers) else layers[number - 1]
    hook = module.register_forward_hook(
        lambda _, __, output: found.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        yield found
    finally:
        hook.remove()


class HiddenTaps:
    """Collects the states after the wanted layers while a prompt runs through the model in one or more pieces.

    Layer 0 is the input embeddings. The last layer is read behind the final norm, as transformers numbers them.
    """

    def __init__(self, text: nn.Module, names: Mapping[str, int], prompt: Prompt) -> None:
        """`names` are the layers by the names they are wanted by."""
        self._text = text
        self._names = names
        self._prompt = prompt
        self._after = 0
        self._ready: Callable[[], None] | None = None
        self._ends = False
        self._inside_V = prompt.visual_V
        self._tail = prompt.suffix
        self._visual: dict[int, list[Tensor]] = {number: [] for number in names.values()}
        self._suffix: dict[int, list[Tensor]] = {number: [] for number in names.values()}
        self._hooks: list[Any] = []

    def call(self, ready: Callable[[], None], *, after: int) -> None:
        """Have `ready` called when the whole prompt has gone through the layers up to `after`: a wanted one, or 0 for
        before the first."""
        self._after, self._ready = after, ready

    def __enter__(self) -> HiddenTaps:
        layers: Any = self._text.layers
        for number in self._visual:
            if number == 0:
                self._take(0, self._prompt.embeds_TD)
                continue
            module: Any = self._text.norm if number == len(layers) else layers[number - 1]
            self._hooks.append(module.register_forward_hook(self._hook(number)))
        if self._ready is not None and self._after == 0:
            self._ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()
        self._ready = None  # it refers to this object, a circle that would hold the prompt

    def piece(self, start: int, end: int) -> None:
        """Say which part of the prompt, [start, end), is read next."""
        visual_V = self._prompt.visual_V
        self._inside_V = visual_V[(visual_V >= start) & (visual_V < end)] - start
        self._tail = max(self._prompt.suffix - start, 0)
        self._ends = end == self._prompt.length

    def hidden(self, names: Iterable[str]) -> dict[str, Hidden]:
        """What was collected, under these names."""
        numbers = {name: self._names[name] for name in names}
        return {
            name: Hidden(visual_VD=torch.cat(self._visual[number]), text_SD=torch.cat(self._suffix[number]))
            for name, number in numbers.items()
        }

    def _hook(self, number: int) -> Any:
        def take(module: nn.Module, inputs: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            self._take(number, states[0])
            if self._ready is not None and self._ends and number == self._after:
                self._ready()

        return take

    def _take(self, number: int, states_MD: Tensor) -> None:
        device = self._prompt.embeds_TD.device  # the layer may lie on another one
        self._visual[number].append(states_MD[self._inside_V.to(states_MD.device)].to(device))
        self._suffix[number].append(states_MD[self._tail :].to(device, copy=True))  # a view would keep all rows alive
