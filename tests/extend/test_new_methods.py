"""Methods from files outside the project: a pruner with evidence of a new kind, a drafter with a trained head, and a
verifier that looks at the draft's confidence. They lie in a folder of their own; hydra.searchpath finds the YAMLs.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from tests.app.conftest import ROOT, checkpoints, clips  # noqa: F401 - fixtures
from tests.collected import collected, collector_of
from tests.conftest import Pair
from vsd.engine import Engine
from vsd.evidence import KINDS
from vsd.executors import Executor, Inline, Process, Thread
from vsd.executors.simulated import Simulated
from vsd.models import Checkpoint
from vsd.models.tree import chain
from vsd.parallelism import PARALLELVLM, PEARL, Autoregressive, Parallelism, Sequential
from vsd.run import app
from vsd.testing import checks_of
from vsd.types import Hidden, Trace, Video

QUESTION = "What moves, and what moves?"
TOKENS = 24
GUIDE = ROOT / "CONTRIBUTING.md"
pytestmark = pytest.mark.usefixtures("quick_workers")
FILES = Path(__file__).parent / "files"
MODULES = sorted(file.stem for file in FILES.glob("*.py"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with the methods, and their YAMLs in its conf."""
    for file in FILES.rglob("*.*"):
        copy = tmp_path / "mine" / file.relative_to(FILES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    monkeypatch.syspath_prepend(tmp_path / "mine")
    kinds = dict(KINDS)
    yield tmp_path / "mine"
    KINDS.clear()
    KINDS.update(kinds)
    for name in MODULES:
        sys.modules.pop(name, None)


def config(folder: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=[f"hydra.searchpath=[file://{folder}/conf]", *overrides])


@pytest.fixture
def ran(elsewhere: Path, checkpoints: dict[str, Path], clips: Path, tmp_path: Path) -> Any:  # noqa: F811
    """Runs the app on a tiny random pair and gives the metrics."""

    def run(*overrides: str) -> dict[str, float]:
        given = [f"{role}.path={checkpoints[role]}" for role in ("target", "draft")]
        given += [
            "dtype=float64",
            "frames=4",
            "max_new_tokens=8",
            "callbacks=quiet",
            "data=folder",
            f"data.path={clips}",
        ]
        return app.run(config(elsewhere, *given, "limit=2", *overrides), tmp_path / "run")

    return run


def decoded(pair: Pair, video: Video, *, executor: Executor | None = None, **methods: Any) -> Trace:
    draft = None if methods.get("drafter") and not methods["drafter"].needs_model else pair.draft
    engine = Engine(target=pair.target, draft=draft, executor=executor, gamma=4, max_new_tokens=TOKENS, **methods)
    try:
        return engine.run(video, QUESTION)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return decoded(pair, video, parallelism=Autoregressive())


# A pruner with evidence of a new kind --------------------------------------------------------------------------------


def test_a_pruner_with_evidence_of_its_own_runs(ran: Any) -> None:
    metrics = ran("pruner=grown", "ratio=0.5")
    assert (metrics["samples/done"], metrics["exact/mismatched"]) == (2, 0)
    assert metrics["prune/kept"] == metrics["prune/visual"] / 2


def test_a_need_of_its_own_is_checked_before_weights(ran: Any) -> None:
    with pytest.raises(app.UsageError, match=r"^needs: growth:99 must mean a layer in \[1, 3\], got 99$"):
        ran("pruner=grown", "pruner.layer=99")


def test_its_evidence_is_what_it_says(pair: Pair, video: Video, expected: Trace, elsewhere: Path) -> None:
    pruner = instantiate(config(elsewhere, "pruner=grown", "ratio=0.5").pruner)
    assert pruner.needs == {"growth:0.5"}
    prompt = pair.target.encode(video, QUESTION)
    evidence = collected(pair.target, prompt, pruner.needs | {"hidden:0", "hidden:2"})[2]
    before, after = (evidence[f"hidden:{layer}"] for layer in (0, 2))
    assert isinstance(before, Hidden)
    assert isinstance(after, Hidden)
    growth_V = after.visual_VD.norm(dim=-1) / before.visual_VD.norm(dim=-1)
    torch.testing.assert_close(evidence["growth:0.5"], growth_V)
    best = growth_V.topk(len(growth_V) // 2).indices.sort().values
    assert pruner.keep(evidence).tolist() == best.tolist()
    trace = decoded(pair, video, pruner=pruner)
    assert (trace.tokens, trace.kept) == (expected.tokens, len(best))


# A pruner that looks at frames ---------------------------------------------------------------------------------------


@pytest.fixture
def moves(video: Video) -> Video:
    """A square that is elsewhere in the fourth frame: from the lower left token's place to that above."""
    frames = np.full_like(video.frames, 90)
    frames[:, 10:14, 2:6] = 200
    frames[3:, 10:14, 2:6] = 90
    frames[3:, 2:6, 2:6] = 200
    return replace(video, frames=frames)


@pytest.mark.parametrize(
    ("family", "draft", "schedule", "executor"),
    [
        ("qwen2_5_vl", "another", Sequential(), Inline()),
        ("llava_onevision", "itself", Sequential(), Inline()),
        ("qwen2_5_vl", "itself", replace(PARALLELVLM, length="fixed"), Thread()),
        ("llava_onevision", "another", PEARL, Process(threads=1)),
        ("llava_onevision", "another", PEARL, Simulated(profile="l40s,l40s")),
    ],
    ids=["sequential", "draft=self", "within the prefill", "in a process", "simulated"],
)
def test_a_pruner_finds_what_moves(
    pairs: Callable[[str], Pair],
    moves: Video,
    elsewhere: Path,
    family: str,
    draft: str,
    schedule: Parallelism,
    executor: Executor,
) -> None:
    pair = pairs(family)
    pruner = instantiate(config(elsewhere, "pruner=moving").pruner)
    drafts = Checkpoint(path=str(pair.draft_path), dtype="float64") if executor.remote else pair.draft
    engine = Engine(
        target=pair.target,
        draft=pair.target if draft == "itself" else drafts,
        pruner=replace(pruner, ratio=0.9),
        parallelism=schedule,
        executor=executor,
        max_new_tokens=8,
    )
    try:
        trace = engine.run(moves, QUESTION)
    finally:
        engine.close()
    t = 1 if pair.family == "qwen2_5_vl" else 3  # of which the fourth frame is a part
    places = [4 * t, 4 * t + 2]  # where the square is now, and where it was
    assert trace.visual in (12, 24)
    assert list(trace.kept_K) == places[: trace.visual // 12]
    assert trace.tokens == decoded(pair, moves, parallelism=Autoregressive()).tokens[:8]


def test_a_pruner_that_looks_at_frames_runs(ran: Any) -> None:
    metrics = ran("pruner=moving", "ratio=0.5", "parallelism=parallelvlm", "executor=thread")
    assert (metrics["samples/done"], metrics["exact/mismatched"]) == (2, 0)
    assert metrics["prune/kept"] == metrics["prune/visual"] / 2


# The contract --------------------------------------------------------------------------------------------------------


def test_the_guides_test_file_puts_the_contract_to_them(elsewhere: Path) -> None:
    (code,) = re.findall(r"```python\n(from pathlib .*?parametrize_with_contract.*?)```", GUIDE.read_text(), re.S)
    names: dict[str, Any] = {"__file__": str(elsewhere / "test_contract.py")}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    (mark,) = names["test_contract"].pytestmark
    checks = {parameter.id: parameter.values[0] for parameter in mark.args[1]}
    for option in ("pruner=grown", "pruner=moving", "verifier=trusting"):
        mine = [check for name, check in checks.items() if name.startswith(f"{option}: ")]
        assert len(mine) > 10
        for check in mine:
            names["test_contract"](check)


def test_the_contract_holds_for_a_method_that_needs_a_file(elsewhere: Path) -> None:
    weights = torch.randn(128 + 896, 896, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.save(weights, elsewhere / "head.pt")
    overrides = {"drafter=linear_head": [f"drafter.file={elsewhere / 'head.pt'}"]}
    checks = {name: check for name, check in checks_of(elsewhere / "conf", overrides=overrides) if "linear" in name}
    assert len(checks) > 10
    for check in checks.values():
        check()


# A drafter with a trained head on the target's states ----------------------------------------------------------------


@pytest.fixture
def head(pair: Pair, video: Video, expected: Trace, elsewhere: Path) -> Path:
    """A linear head that tells a token from the one before it and the state which predicted that one, by least squares
    on the target's own generation."""
    prompt = pair.target.encode(video, QUESTION)
    collector = collector_of(pair.target, prompt, {"hidden:1.0"}, in_passes={"hidden:1.0"})
    prefill = pair.target.start_prefill(prompt, collector=collector)
    prefill.finish()
    first = collector.rows()["hidden:1.0"]
    tokens = torch.tensor(expected.tokens)
    later = pair.target.forward(tokens, chain(TOKENS), prefill.state, collector=collector).evidence["hidden:1.0"]
    states = torch.cat((first, later))[: TOKENS - 1]  # row i is of the state that predicted token i
    known = torch.nn.functional.one_hot(tokens, pair.target.vocab).double()
    seen = torch.cat((states, known[:-1]), dim=1)
    torch.save(torch.linalg.lstsq(seen, known[1:], driver="gelsd").solution, elsewhere / "head.pt")
    return elsewhere / "head.pt"


@pytest.mark.parametrize(
    ("schedule", "executor"),
    [(Sequential(), Inline()), (PEARL, Thread()), (Sequential(), Process(threads=1))],
    ids=["sequential", "pearl on a thread", "in a process"],
)
def test_a_trained_head_drafts_what_it_has_learnt(
    pair: Pair, video: Video, expected: Trace, head: Path, elsewhere: Path, schedule: Parallelism, executor: Executor
) -> None:
    drafter = instantiate(config(elsewhere, "drafter=linear_head", f"drafter.file={head}").drafter)
    trace = decoded(pair, video, drafter=drafter, parallelism=schedule, executor=executor)
    assert trace.tokens == expected.tokens
    drafted, accepted = (sum(getattr(each, name) for each in trace.rounds) for name in ("drafted", "accepted"))
    assert drafted > 3
    assert accepted == drafted, "it was fitted to this very generation"


def test_a_trained_head_runs(ran: Any, pair: Pair, head: Path) -> None:
    if pair.family != "qwen2_5_vl":
        pytest.skip("the app runs on a pair of the other family")
    metrics = ran("drafter=linear_head", f"drafter.file={head}", "draft=none")
    assert (metrics["samples/done"], metrics["exact/mismatched"]) == (2, 0)


# A verifier that looks at the draft's confidence ---------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [Sequential(), PEARL], ids=["sequential", "pearl"])
def test_a_rule_by_confidence_at_its_ends(
    pair: Pair, video: Video, expected: Trace, elsewhere: Path, schedule: Parallelism
) -> None:
    module = importlib.import_module("trusting")
    how: dict[str, Any] = {"parallelism": schedule, "executor": Inline()}
    nothing = decoded(pair, video, verifier=module.Trusting(sure=1.1), **how)
    assert nothing.tokens == expected.tokens
    everything = decoded(pair, video, verifier=module.Trusting(sure=0.0), **how)
    assert not any(each.rejected for each in everything.rounds)
    assert any(each.relaxed for each in everything.rounds)


def test_a_rule_by_confidence_runs(ran: Any) -> None:
    metrics = ran("verifier=trusting", "verifier.sure=0.02")
    assert metrics["samples/done"] == 2
    with pytest.raises(app.UsageError, match=r"^drafter: Trusting needs drafts that say their confidence, got "):
        ran("verifier=trusting", "drafter=prompt_lookup")


def test_a_rule_by_confidence_lets_stand_what_the_draft_is_sure_of(elsewhere: Path) -> None:
    from vsd.types import Draft, Evidence, Grid, Output, VerifierContext
    from vsd.utils.random_source import SeededRandom

    rule = instantiate(config(elsewhere, "verifier=trusting").verifier)
    assert rule.sure == 0.5
    draft = Draft(
        tokens_N=torch.tensor([1, 2, 3]),
        parents_N=torch.tensor([-1, 0, 1]),
        confidence_N=torch.tensor([0.1, 0.6, 0.4]),
    )
    logits_MW = torch.nn.functional.one_hot(torch.tensor([1, 4, 4, 4]), 5).double()  # only the first is its own
    context = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=9)
    verdict = rule.verify(draft, Output(logits_MW=logits_MW), context, SeededRandom(0))
    assert (verdict.path, verdict.bonus, verdict.relaxed) == ((0, 1), 4, (False, True))
