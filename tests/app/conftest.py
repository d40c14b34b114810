"""A config as Hydra composes it, tiny random checkpoints on disk, and an engine without a model."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tests.video.clips import write_video
from tests.zoo_in_code import save_qwen
from vsd.executors import Executor, Inline
from vsd.metrics.audit import Audit, first_difference
from vsd.parallelism import Parallelism, Sequential
from vsd.run import app
from vsd.types import Round, Trace, Video
from vsd.verifiers import Greedy, Verifier

ROOT = Path(__file__).resolve().parents[2]
Compose = Callable[..., DictConfig]


@pytest.fixture(autouse=True, scope="session")
def _frozen_rim() -> None:
    """As in `tests/conftest.py`, with what a run imports."""
    import lightning.pytorch  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture
def configure() -> Compose:
    """Composes conf/config.yaml with overrides."""

    def composed(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", overrides=list(overrides))

    return composed


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random target, a draft that resembles it, and a draft of another tokenizer."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "target": save_qwen(root / "target"),
        "draft": save_qwen(root / "draft", noise=0.01),
        "swapped": save_qwen(root / "swapped", swapped=True),
    }


@pytest.fixture
def pair(checkpoints: dict[str, Path]) -> list[str]:
    """Overrides for a quick run of the random pair."""
    paths = [f"{role}.path={checkpoints[role]}" for role in ("target", "draft")]
    return [*paths, "frames=4", "max_new_tokens=8", "callbacks=quiet"]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of four videos."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in "abcd":
        write_video(folder / f"{name}.mp4", frames=6)
    return folder


@dataclass
class FakeEngine:
    """Decodes at once. `calls` counts decodes; `trouble` is raised by the decode of that number."""

    calls: int = 0
    trouble: dict[int, BaseException] = field(default_factory=dict)
    tokens: tuple[int, ...] = (1, 2, 3, 4)
    alone: bool = False
    gap: float = 0.5
    vocab: int = 100
    parallelism: Parallelism = field(default_factory=Sequential)
    executor: Executor = field(default_factory=Inline)
    verifier: Verifier = field(default_factory=Greedy)
    log: list[str] = field(default_factory=list)
    """Which engine decoded, in order; shared with the baseline."""

    def scaling(self) -> None:
        """Frames are left as they are."""

    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        self.calls += 1
        self.log.append("alone" if self.alone else "pair")
        if self.calls in self.trouble:
            raise self.trouble[self.calls]
        seconds = {"decode": 3.0 if self.alone else 1.0, "first_token": 1.0, "total": 4.0 if self.alone else 2.0}
        rounds = (
            () if self.alone else (Round(drafted=2, nodes=2, accepted=2, committed=3, rejected=False, draft_s=0.2),)
        )
        forwards = 3 if self.alone else 1
        return Trace(
            tokens=self.tokens,
            rounds=rounds,
            seconds=seconds,
            target_forwards=forwards,
            visual=8,
            kept=4,
            prompt=12,
            finish="eos",
        )

    @property
    def target(self) -> FakeEngine:
        return self

    devices = ()

    def pieces(self, trace: Trace) -> tuple[str, ...]:
        return tuple(f"{token} " for token in trace.tokens)

    def audit(self, video: Video, question: str, ours: Sequence[int], baseline: Sequence[int]) -> Audit:
        return replace(first_difference(ours, baseline), gap=self.gap, step=0.25, limit=4.0)

    def close(self) -> None:
        self.log.append("closed")

    def baseline(self) -> FakeEngine:
        return FakeEngine(alone=True, log=self.log)

    def text(self, trace: Trace) -> str:
        return " ".join(str(token) for token in trace.tokens)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Put in the place of the models, whose checkpoints are not looked at."""
    engine = FakeEngine()
    monkeypatch.setattr(app, "build_engine", lambda cfg, methods: engine)
    monkeypatch.setattr("vsd.run.check.check_models", lambda cfg, **_: None)
    monkeypatch.setattr(app, "_weights", lambda cfg, methods: [])
    return engine
