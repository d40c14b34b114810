"""The stages of a family, each from what the ones before have left in the work folder: tower, target, near, other."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vsd.zoo.small_events.habits import HABITS
from vsd.zoo.training import tower
from vsd.zoo.training.batches import BATCH_TOKENS
from vsd.zoo.training.export import export
from vsd.zoo.training.family import Family
from vsd.zoo.training.lessons import LESSONS, Lesson
from vsd.zoo.training.mimic import MimicStage
from vsd.zoo.training.models import SIZES, build
from vsd.zoo.training.run import INNER_PEAK, PRECISION, Budget, Run, Stage
from vsd.zoo.training.speaking import SpeakingStage
from vsd.zoo.training.store import Store

PEAKS = {"target": 1.2e-3, "near": 3e-3, "other": 3e-3}  # learning rates; a deep model forgets at 2e-3
HEADS = {"target": (2, 4, 6, 8), "near": (2,), "other": (2,)}
_MIMIC = 0.3  # of the budget of `near`, for its tower


@dataclass(frozen=True, kw_only=True)
class Training:
    """How and where a family is trained: state, curves and towers in `work`, checkpoints in `out`. `peaks` are learning
    rates by role, `inner_peak` that of the matrices that learn by Muon (None: none), `precision` is that of forward
    passes, `lessons` say what is learnt when; a language model's batch has about `batch_tokens`, and as many processes
    as `workers` draw ahead. Without `heads` on its layers a target is named `target-plain`."""

    family: Family
    budget: Budget
    work: Path
    out: Path
    seed: int = 0
    heads: bool = True
    device: str = "cpu"
    peaks: dict[str, float] = field(default_factory=lambda: dict(PEAKS))
    inner_peak: float | None = INNER_PEAK
    precision: torch.dtype = PRECISION
    lessons: tuple[Lesson, ...] = LESSONS
    batch_tokens: int = BATCH_TOKENS
    workers: int = 0

    @property
    def folder(self) -> Path:
        """Of the family's state and curves."""
        return self.work / self.family.name

    def stage(self, name: str, stop: int | None = None) -> bool:
        """Trains a stage, or goes on with it, to the end of its budget or to step `stop`. Says whether it has come to
        its end; what it makes is there then. Raises FileNotFoundError where a stage before it is missing."""
        if name == "tower":
            return self._tower(stop)
        if name == "near":
            own = self.folder / "near-tower-done.pt"
            if not own.exists() and not self._mimic(own, stop):
                return False
            return self._speak(name, own, self.budget.share(1 - _MIMIC), stop)
        return self._speak(name, self._eyes, self.budget, stop)

    @property
    def _eyes(self) -> Path:
        """The finished tower of the target."""
        return self.folder / "tower-done.pt"

    def _model(self, role: str) -> Any:
        return build(self.family, SIZES[role], seed=self.seed).to(self.device)

    def _tower(self, stop: int | None) -> bool:
        model = self._model("target")
        done = self._train(tower.TowerStage(self.family, model, seed=self.seed), self.budget, "tower", stop)
        if done:
            tower.finish(self.family, model)
            tower.write(self.family, model, self._eyes)
        return done

    def _mimic(self, file: Path, stop: int | None) -> bool:
        teacher, model = self._model("target"), self._model("near")
        tower.read(self.family, teacher, self._eyes)
        stage = MimicStage(self.family, teacher, model, seed=self.seed)
        done = self._train(stage, self.budget.share(_MIMIC), "near-tower", stop)
        if done:
            tower.write(self.family, model, file)
        return done

    def _speak(self, role: str, eyes: Path, budget: Budget, stop: int | None) -> bool:
        model = self._model(role)
        tower.read(self.family, model, eyes)
        plain = role == "target" and not self.heads
        heads = () if plain else HEADS[role]
        peak, habit = self.peaks[role], HABITS[role]
        stage = SpeakingStage(
            self.family,
            model,
            peak=peak,
            heads=heads,
            habit=habit,
            lessons=self.lessons,
            seed=self.seed,
            # Features are the same on each device, and are computed where no process has to share one.
            store=Store(self.family, copy.deepcopy(model).cpu(), seed=self.seed, folder=self._features(eyes)),
            batch_tokens=self.batch_tokens,
        )
        name = f"{role}-plain" if plain else role
        done = self._train(stage, budget, name, stop)
        if done:
            export(self.family, model, self.out / self.family.name / name)
        return done

    def _features(self, eyes: Path) -> Path | None:
        """Where features of clips are kept as this very tower sees them: many processes share them, one has no need."""
        if not self.workers:
            return None
        tower_hash = hashlib.sha256(eyes.read_bytes()).hexdigest()[:12]
        folder = self.folder / f"clips-{tower_hash}-seed{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _train(self, stage: Stage, budget: Budget, name: str, stop: int | None) -> bool:
        file = self.folder / f"{name}.pt"
        return Run(stage, budget, file, self.inner_peak, self.precision, self.workers).train(stop)
