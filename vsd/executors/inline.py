"""The draft's work on this very thread, before anybody waits for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vsd.draft import DraftRunner
from vsd.executors.base import Done, DraftClient, Executor, MakeRunner, Pending, Request, Sides, T, loaded


class InlineClient(DraftClient):
    """Calls the runner."""

    def __init__(self, runner: DraftRunner) -> None:
        self._runner = runner

    def start(self, request: Request[T]) -> Pending[T]:
        return Done(request(self._runner))

    def ask(self, request: Request[T]) -> T:
        return request(self._runner)


@dataclass(frozen=True, kw_only=True)
class Inline(Executor):
    """The draft works on this thread, when it is its turn: no gain for a schedule that would have both sides work at
    once."""

    concurrent: ClassVar[bool] = False

    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        draft = loaded(sides.draft) if sides.draft is not None else None
        return replace(sides, draft=draft, client=InlineClient(make(draft)) if make else None)
