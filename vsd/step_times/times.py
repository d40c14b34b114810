"""How long each step takes: what the simulator must know of two models and the machine they run on. All in seconds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

from vsd.utils.validation import require_number


class Times(ABC):
    """Step times of a target and its draft. A `context` is the number of cache rows that a step attends to."""

    latency_s: float = 0.0
    """A message's way from one side to the other, if the draft works on a device of its own."""

    message_s: float = 0.0
    """What asking for a draft costs the side that asks, and taking it the same again, beside the message's way."""

    window_s: float = 0.0
    """What a draft costs beside its passes, however long it is."""

    spread: tuple[float, float] = (0.0, 0.0)
    """How unevenly a step of the target, and a piece of the draft's work, takes that long: sigma of a log-normal factor
    with mean 1. Who works at once waits for the slower side, which on average takes longer than the slower average."""

    @property
    def devices(self) -> tuple[int, int]:
        """How many the target holds, and the draft."""
        return 1, 1

    def device_names(self, *, apart: bool) -> tuple[frozenset[str], frozenset[str]]:
        """Names for the target's devices and the draft's: others if they work `apart`, else shared ones."""
        theirs, ours = self.devices
        first = theirs if apart else 0
        return frozenset(map(str, range(theirs))), frozenset(map(str, range(first, first + ours)))

    @abstractmethod
    def verify_s(self, nodes: int, context: int) -> float:
        """A pass of the target over so many tokens: one when it decodes alone."""

    @abstractmethod
    def draft_s(self, nodes: int, context: int) -> float:
        """A pass of the draft: more than one node where it catches up, or for a level of a tree."""

    def encode_s(self, visual: int) -> float:
        """The target's vision tower and projector, for so many visual tokens of its prompt."""
        return 0.0

    def draft_encode_s(self, visual: int) -> float:
        """The draft's. It reads the whole video; pruned tokens are dropped behind it."""
        return 0.0

    def prefill_s(self, tokens: int) -> float:
        """The target's prefill."""
        return 0.0

    def draft_prefill_s(self, tokens: int) -> float:
        """The draft's, of what pruning left."""
        return 0.0

    def prune_s(self, visual: int) -> float:
        """Choosing what the draft will see."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Given(Times):
    """Constants: `target` for any pass of the target and `draft` for any of the draft, as the cost model of arXiv
    2211.17192 has it, and whatever else is known."""

    target: float
    draft: float
    encode: float = 0.0
    draft_encode: float = 0.0
    prefill: float = 0.0
    draft_prefill: float = 0.0
    prune: float = 0.0
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            require_number(f"times.{field.name}", getattr(self, field.name), least=0)

    def verify_s(self, nodes: int, context: int) -> float:
        return self.target

    def draft_s(self, nodes: int, context: int) -> float:
        return self.draft

    def encode_s(self, visual: int) -> float:
        return self.encode

    def draft_encode_s(self, visual: int) -> float:
        return self.draft_encode

    def prefill_s(self, tokens: int) -> float:
        return self.prefill

    def draft_prefill_s(self, tokens: int) -> float:
        return self.draft_prefill

    def prune_s(self, visual: int) -> float:
        return self.prune
