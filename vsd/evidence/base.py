"""What a kind of evidence is: something of the target's that a method may look at.

A need names it: a kind, and behind a colon what the kind has to be told, as in "features", "hidden:0.5" or
"attention:3". Methods say what they need, and what nobody needs is never computed. Evidence of the prompt is there at a
`stage`: some when the video is encoded, some behind a layer of the prefill, some at its end. Some kinds also have a
value in each row of every later pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from vsd.types import Prompt, Video

KINDS: dict[str, type[Probe]] = {}
"""All kinds by name. A class of `Probe` enters itself when its module is imported."""

_LAYER = re.compile(r"\d+|\d*\.\d+|\d+\.")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a probe is told of the sample: its prompt, the number of the target's layers, how many processes hold equal
    shares of the heads, the video (None where only its prompt is known), and how many of its frames a step of the grid
    shows."""

    prompt: Prompt
    depth: int
    ranks: int = 1
    video: Video | None = None
    frames_per_step: int = 1


class Attended(NamedTuple):
    """One layer's attention in one pass: queries (1, H, M, d), keys (1, Hkv, T, d), the additive mask (1, 1, M or more,
    T), None where row i sees all but the last M - 1 - i keys, and the scale of the scores."""

    query: Tensor
    key: Tensor
    mask: Tensor | None
    scaling: float


class Probe:
    """Collects one need of one sample. A subclass is a kind; `kind` is its name.

    `stage` is the number of layers behind which the prompt's value is there: 0 if it comes with the encoded prompt.
    `layers` are those whose states it takes (0: the embeddings), `attention` those whose queries and keys, counted from
    1. With `suffix` it looks at the queries of the text behind the video alone, which are then read in pieces of their
    own.
    """

    kind: ClassVar[str] = ""
    argument: ClassVar[str] = ""
    """What stands behind the colon: "" for nothing, "layer" for a layer, "[layer]" where it may be left out."""
    first_layer: ClassVar[int] = 0
    """The first layer that can stand there: 0 are the embeddings."""
    in_passes: ClassVar[bool] = False
    """Whether later passes have `rows` of it."""

    stage: int = 0
    layers: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()
    suffix: bool = False

    def __init__(self, argument: str, reading: Reading) -> None:
        self.reading = reading

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.kind:
            KINDS[cls.kind] = cls

    @classmethod
    def check(cls, argument: str, depth: int) -> None:
        """Raise ValueError for an argument that the kind does not have, or a layer that a model of `depth` layers has
        not."""
        if argument and not cls.argument:
            raise ValueError(f"needs: {cls.kind!r} takes nothing behind a colon, got {argument!r}")
        if argument or cls.argument == "layer":
            layer_number(argument, depth, kind=cls.kind, least=cls.first_layer)

    # While the prompt is read ----------------------------------------------------------------------------------------

    def prompt_states(self, layer: int, states_MD: Tensor, start: int) -> None:
        """Take the states of a piece of the prompt that begins at token `start`: of layers from 1 on, since the
        embeddings stand in the prompt."""

    def prompt_attention(self, layer: int, attended: Attended) -> None:
        """Take the attention of a piece of the prompt."""

    def value(self) -> Any:
        """What the prompt has shown: a tensor with a row for each visual token, a `Hidden`, a number, or `Frames`."""
        raise NotImplementedError(f"{type(self).__name__}: has no value of the prompt")

    # In a later pass -------------------------------------------------------------------------------------------------

    def pass_states(self, layer: int, states_MD: Tensor) -> None:
        """Take the states of all rows of a pass."""

    def pass_attention(self, layer: int, attended: Attended) -> None:
        """Take the attention of all rows of a pass."""

    def rows(self) -> Tensor:
        """What the last pass has shown, a row for each of its M nodes; of a prompt one row, of its last token."""
        raise NotImplementedError(f"{type(self).__name__}: has no rows of a pass")


def layer_number(name: str, depth: int, *, kind: str = "hidden", least: int = 0) -> int:
    """The layer that `kind:name` means in a model of `depth` layers.

    A whole number counts layers; with a point it is a share of the depth. Raises ValueError outside [least, depth].
    """
    if not is_layer(name):
        raise ValueError(f"needs: '{kind}:' takes a layer's number, or a share of the depth with a point, got {name!r}")
    number = round(float(name) * depth) if "." in name else int(name)
    if not least <= number <= depth:
        raise ValueError(f"needs: {kind}:{name} must mean a layer in [{least}, {depth}], got {number}")
    return number


def is_layer(name: str) -> bool:
    """Whether it is written as a layer's number, or as a share of the depth in [0, 1] with a point."""
    return bool(_LAYER.fullmatch(name)) and ("." not in name or float(name) <= 1)


def parsed(need: str) -> tuple[type[Probe], str]:
    """The kind and what stands behind the colon. Raises ValueError for a kind that is not there."""
    kind, _, argument = need.partition(":")
    if kind not in KINDS:
        raise ValueError(f"needs: evidence must be of one of the kinds {', '.join(sorted(KINDS))}, got {need!r}")
    return KINDS[kind], argument


def check_need(need: str, depth: int) -> None:
    """Raise ValueError for evidence that a model of `depth` layers does not have."""
    kind, argument = parsed(need)
    kind.check(argument, depth)


def in_decoding(need: str) -> bool:
    """Whether later passes have rows of this evidence."""
    return parsed(need)[0].in_passes
