"""What an executor is: it says where the draft's work is done. A schedule asks a client and never knows which it
has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, Protocol, TypeVar

from vsd.draft import DraftRunner
from vsd.models import Checkpoint, VideoLM
from vsd.pruners.base import Pruner

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Request = partial[T]
"""A method of `DraftRunner` and its arguments by name: whoever has the runner calls it with that."""
MakeRunner = Callable[..., DraftRunner]
"""Makes a runner of a model (None for a drafter that asks none), and of a clock where it is not the model's."""


class Pending(Protocol[T_co]):
    """Work that goes on."""

    def result(self) -> T_co:
        """What it gives or raises, waited for."""


@dataclass(frozen=True)
class Done(Generic[T]):
    """Work that is done."""

    value: T

    def result(self) -> T:
        return self.value


class DraftClient(ABC):
    """Asks a runner, one request after the other. What is asked does not depend on where the runner is, so neither do
    the tokens."""

    def ready(self) -> None:  # noqa: B027 - most are, always
        """Have the runner there before a sample begins: one that was lost is replaced."""

    @abstractmethod
    def start(self, request: Request[T]) -> Pending[T]:
        """Begin work."""

    def ask(self, request: Request[T]) -> T:
        """Work that is waited for."""
        return self.start(request).result()

    def forget(self) -> None:
        """Have the runner drop what it holds of a sample. One in this process has done so when this returns."""
        self.ask(partial(DraftRunner.forget))

    def close(self) -> None:  # noqa: B027 - most have nothing to stop
        """Stop; nothing can be asked any more."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """What decodes: the target, and the draft's model and pruner if it has any. `client` asks the draft's runner (None:
    nobody drafts)."""

    target: VideoLM
    draft: VideoLM | Checkpoint | None = None
    pruner: Pruner | None = None
    client: DraftClient | None = None


class Executor(ABC):
    """Where the draft's work is done. Subclasses are frozen dataclasses: their fields are their config."""

    concurrent: ClassVar[bool] = True
    """Whether both sides can work at the same time."""
    remote: ClassVar[bool] = False
    """Whether the draft's model is loaded by a process of its own."""
    simulated: ClassVar[bool] = False
    """Whether the seconds of a run are those of another machine."""

    def begin(self, draft: VideoLM | Checkpoint | None, make: MakeRunner) -> DraftClient | None:
        """What can be begun before the target is loaded: a client whose runner is on its way, or None."""
        return None

    @abstractmethod
    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        """The sides as this executor runs them, with a client of the runner that `make` makes (None: nobody drafts);
        the one that `begin` gave is among the sides. `overlaps`: whether the schedule has both work at the same
        time."""


def loaded(model: VideoLM | Checkpoint) -> VideoLM:
    """The model, in this process."""
    return model.load() if isinstance(model, Checkpoint) else model
