"""A training run: the loop of every stage, its schedule and its state, which is kept in one file.

Whatever is random in a step is drawn from the step's own number, so a run that was stopped goes on with the batches
that it would have seen. With a budget in steps it ends, on a CPU, with the same weights bit by bit; with one in minutes
the schedule goes by the time spent in training.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.optim import Muon
from torch.utils.data import DataLoader, Dataset

Shares = dict[str, float]
"""Numbers of a step, by name."""
_CONSOLE = Console(soft_wrap=True, highlight=False)
_SAVE_S = 60.0
_LOG = 25  # steps
_RECENT = 50  # steps that a line is a mean of
_WARM, _LAST = 0.03, 0.02  # share of the budget in which the rate rises; what is left of it at the end
_DECAY = 0.05
_ENDLESS = 10**9  # steps
INNER_PEAK = 5e-3
"""The learning rate's peak of the matrices between embeddings and heads."""
PRECISION = torch.bfloat16
"""Of forward passes: on a CPU that has its instructions they take half the time, and a step a fifth less."""
_OUTER = ("heads.", "embed", "lm_head")  # in the names of the other matrices


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: one of the two is given."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"budget: must be in steps or in minutes, got {self.steps} and {self.minutes}")
        given = self.minutes if self.steps is None else self.steps
        if given is not None and given <= 0:
            raise ValueError(f"budget: must be positive, got {given}")

    def spent(self, step: int, seconds: float) -> float:
        """The share that is spent, 1 or more at the end."""
        return step / self.steps if self.steps else seconds / (60 * (self.minutes or 1))

    def share(self, part: float) -> Budget:
        """A part of it."""
        if self.steps:
            return Budget(steps=max(1, round(self.steps * part)))
        return Budget(minutes=(self.minutes or 0) * part)


class StateError(ValueError):
    """A kept state that this stage cannot go on from."""


class Stage(Protocol):
    """What is learnt. `parts` are all modules whose weights change, or are needed to go on."""

    peak: float
    parts: nn.ModuleDict

    def draw(self, step: int, spent: float) -> Any:
        """What a step learns from, when this share of the budget is spent; on the CPU."""

    def loss(self, drawn: Any) -> tuple[Tensor, Shares]:
        """The loss on it, and what is worth a curve."""


def rate(spent: float) -> float:
    """The learning rate's share of its peak: a short rise, then half a cosine."""
    falling = _LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, spent)))
    return min(1.0, (spent + 1e-3) / _WARM) * falling


class Run:
    """A stage in training. State is read from `file` if it is there; `curve` gets a JSON line every few steps. With
    `inner_peak` the inner matrices learn by Muon, at a rate of their own; without, by AdamW as all other weights.
    Forward passes are of `precision` (autocast), weights of float32. As many processes as `workers` draw ahead what the
    next steps learn from, which on a GPU takes longer than to learn it. Raises StateError for the state of another
    recipe."""

    def __init__(
        self,
        stage: Stage,
        budget: Budget,
        file: Path,
        inner_peak: float | None = INNER_PEAK,
        precision: torch.dtype = PRECISION,
        workers: int = 0,
    ) -> None:
        self.stage, self.budget, self.file, self._precision = stage, budget, file, precision
        self._workers = workers
        self.step, self.seconds = 0, 0.0
        self._weights = [weight for weight in stage.parts.parameters() if weight.requires_grad]
        self._optimizers = _optimizers(stage, inner_peak)
        self._recent: deque[Shares] = deque(maxlen=_RECENT)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            self._restore()
        self._forget_later_lines()

    @property
    def curve(self) -> Path:
        return self.file.with_suffix(".jsonl")

    @property
    def _device(self) -> torch.device:
        return self._weights[0].device

    @property
    def spent(self) -> float:
        return self.budget.spent(self.step, self.seconds)

    def train(self, stop: int | None = None) -> bool:
        """Trains until the budget is spent, or to step `stop`; the state is kept whatever ends it. Says whether the
        budget is spent."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        try:
            # A thread that draws the bar may hold a lock at the moment in which workers are forked.
            refresh = not self._workers
            with Progress(*columns, console=_CONSOLE, transient=True, auto_refresh=refresh) as progress:
                self._loop(progress, stop)
        finally:
            self.save()
        return self.spent >= 1

    def save(self) -> None:
        """Writes the state; a file is there at any time."""
        state = {
            "parts": self.stage.parts.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in self._optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }
        new = self.file.with_suffix(".new")
        torch.save(state, new)
        new.replace(self.file)

    def _loop(self, progress: Progress, stop: int | None) -> None:
        task = progress.add_task(self.file.stem, total=1.0, note="")
        saved = time.monotonic()
        drawn = self._drawn()
        while self.spent < 1 and (stop is None or self.step < stop):
            began, worked = time.monotonic(), time.process_time()
            loss = self._learn(next(drawn))
            now = time.monotonic()
            # Where other programs share the cores, only the time that this one got counts. A GPU and workers are waited
            # for.
            worked_s = time.process_time() - worked
            alone = self._device.type == "cpu" and not self._workers
            self.seconds += min(now - began, worked_s) if alone else now - began
            progress.update(task, completed=self.spent, note=f"step {self.step}, loss {loss:.3f}")
            if self.step % _LOG == 0 or self.spent >= 1:
                self._log(progress.console)
                progress.refresh()
            if now - saved > _SAVE_S:
                self.save()
                saved = now

    def _drawn(self) -> Iterator[Any]:
        """What this step and those behind it learn from."""
        if not self._workers:
            while True:
                yield self.stage.draw(self.step, self.spent)
        context = multiprocessing.get_context("fork")  # a worker has the stage as it is, and leaves its device alone
        seconds = context.Value("d", self.seconds)
        for drawn in DataLoader(
            _Steps(self.stage, self.budget, self.step, seconds),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._workers,
            multiprocessing_context=context,
        ):
            yield drawn
            seconds.value = self.seconds

    def _learn(self, drawn: Any) -> float:
        device = self._device.type
        with torch.autocast(device, self._precision, enabled=self._precision != torch.float32):
            loss, shares = self.stage.loss(drawn)
        for weight in self._weights:
            weight.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        for optimizer, peak in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(self.spent)
            optimizer.step()
        self.step += 1
        self._recent.append({"loss": loss.item(), **shares})
        return loss.item()

    def _log(self, console: Console) -> None:
        names = dict.fromkeys(name for shares in self._recent for name in shares)
        means = {name: _mean(shares[name] for shares in self._recent if name in shares) for name in names}
        line = {"step": self.step, "minutes": round(self.seconds / 60, 2), **means}
        with self.curve.open("a") as file:
            file.write(json.dumps(line) + "\n")
        console.print(f"{self.file.stem}: " + ", ".join(f"{name} {value}" for name, value in line.items()))

    def _restore(self) -> None:
        saved = torch.load(self.file, map_location=self._device, weights_only=True)
        try:
            self.stage.parts.load_state_dict(saved["parts"])
            for (optimizer, _), state in zip(self._optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.step, self.seconds = saved["step"], saved["seconds"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise StateError(f"{self.file}: must be the state of this recipe, move it away to begin anew") from error

    def _forget_later_lines(self) -> None:
        """Of steps that were lost, since their state was not kept."""
        if self.curve.exists():
            lines = self.curve.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
            self.curve.write_text("".join(kept))


class _Steps(Dataset[Any]):
    """What the steps from `first` on learn from. `seconds` is the time spent so far, shared with the trainer."""

    def __init__(self, stage: Stage, budget: Budget, first: int, seconds: Synchronized[float]) -> None:
        self._stage, self._budget, self._first, self._seconds = stage, budget, first, seconds

    def __len__(self) -> int:
        return (self._budget.steps or _ENDLESS) - self._first

    def __getitem__(self, place: int) -> Any:
        step = self._first + place
        return self._stage.draw(step, self._budget.spent(step, self._seconds.value))


def _as_it_is(drawn: Any) -> Any:
    return drawn


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)


def _optimizers(stage: Stage, inner_peak: float | None) -> list[tuple[torch.optim.Optimizer, float]]:
    """With their rates' peaks: AdamW, and Muon (arXiv 2502.16982) for the matrices between embeddings and heads."""
    inner: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, weight in stage.parts.named_parameters():
        if weight.requires_grad:
            matrix = weight.ndim == 2 and not any(part in name for part in _OUTER)
            (inner if matrix and inner_peak is not None else others).append(weight)
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in others if weight.ndim > 1], "weight_decay": _DECAY},
        {"params": [weight for weight in others if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=stage.peak, betas=(0.9, 0.98), fused=True)
    if inner_peak is None:
        return [(adamw, stage.peak)]
    return [(adamw, stage.peak), (Muon(inner, weight_decay=_DECAY, adjust_lr_fn="match_rms_adamw"), inner_peak)]
