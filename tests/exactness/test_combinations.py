"""Token-identical, whatever schedule, executor, drafter, pruner and lossless rule come together: all files of conf/."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, cast

import pytest

from tests.conftest import Pair
from tests.exactness.parts import (
    AXES,
    DIALS,
    MADE_UP,
    STRICT,
    covered,
    method,
    options,
    possible,
    possible_pairs,
    whole,
)
from vsd.drafters import Drafter
from vsd.engine import Engine
from vsd.executors import process
from vsd.executors.process import ProcessClient
from vsd.models import Checkpoint, split_attention
from vsd.models.attention import Attention
from vsd.models.steps import Compile
from vsd.pruners.uniform import Uniform
from vsd.types import Positions, Trace, Video
from vsd.verifiers import Verifier

QUESTION = "What moves, and what moves?"
TOKENS = 14
GAMMA = 4
COVERED = covered()


def named(row: Mapping[str, str]) -> str:
    return "-".join(row.values())


class Processes:
    """The clients of all engines of a test module, one for each kind of draft: to start a process takes a second."""

    def __init__(self) -> None:
        self.clients: dict[str, ProcessClient] = {}

    def of(self, key: str) -> Callable[..., ProcessClient]:
        def client(make: Callable[[], Any], **options: Any) -> ProcessClient:
            if key not in self.clients:
                self.clients[key] = ProcessClient(make, **options)
            return self.clients[key]

        return client


@pytest.fixture(scope="module")
def processes(quick_workers: None) -> Iterator[Processes]:
    made = Processes()
    yield made
    for client in made.clients.values():
        client.close()


Expected = Callable[[Pair], Trace]


@pytest.fixture(scope="module")
def expected(video: Video) -> Expected:
    """What the target of a pair says alone."""
    traces = dict[str, Trace]()

    def alone(pair: Pair) -> Trace:
        if pair.family not in traces:
            engine = Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS)
            traces[pair.family] = engine.baseline().run(video, QUESTION)
        return traces[pair.family]

    return alone


def test_every_verifier_has_a_strict_setting() -> None:
    assert set(options("verifier")) == set(STRICT) | MADE_UP


def test_every_two_parts_come_together() -> None:
    pairs = possible_pairs()
    trees, schedules = ("tree", "dynamic_tree"), ("hippo", "parallelvlm", "pearl")
    everything = sum(len(ours) * len(theirs) for ours, theirs in combinations(AXES.values(), 2))
    assert len(pairs) == everything - len(trees) * len(schedules)
    for two in pairs:
        assert any(two.items() <= row.items() for row in COVERED), two
    assert all(possible([row[axis] for axis in AXES]) for row in COVERED)
    assert len(COVERED) < 120


@pytest.fixture
def check(
    pairs: Callable[[str], Pair],
    video: Video,
    expected: Expected,
    processes: Processes,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Mapping[str, str]], None]:
    """Decodes by one combination: its tokens are the target's own, and its rounds add up."""

    def checked(row: Mapping[str, str]) -> None:
        pair, executor = pairs(row["family"]), method("executor", row["executor"], *DIALS.get(row["executor"], []))
        compile, attention = cast(Compile, row["compile"]), cast(Attention, row["attention"])
        key = ", ".join(row[axis] for axis in ("family", "drafter", "positions", "compile", "attention"))
        monkeypatch.setattr(process, "ProcessClient", processes.of(key))
        monkeypatch.setattr(split_attention, "PIECE", 16)  # prompts are short
        engine = Engine(
            target=pair.target.computed_by(compile=compile, attention=attention),
            draft=Checkpoint(path=str(pair.draft_path), dtype="float64", compile=compile, attention=attention)
            if executor.remote
            else pair.draft.computed_by(compile=compile, attention=attention),
            pruner=method("pruner", row["pruner"], "ratio=0.5"),
            drafter=method("drafter", row["drafter"]),
            verifier=method("verifier", row["verifier"], *STRICT[row["verifier"]]),
            parallelism=method("parallelism", row["parallelism"]),
            executor=executor,
            gamma=GAMMA,
            max_new_tokens=TOKENS,
            positions=cast(Positions, row["positions"]),
        )
        trace = engine.run(video, QUESTION, seed=1)
        if not executor.remote:
            engine.close()
        assert trace.tokens == expected(pair).tokens, named(row)
        assert not any(each.relaxed for each in trace.rounds), named(row)
        proposed, gone = (sum(r.proposed for r in trace.rounds), sum(r.accepted + r.wasted for r in trace.rounds))
        assert proposed == gone, named(row)

    return checked


@pytest.mark.parametrize("row", COVERED, ids=named)
def test_token_identical(check: Callable[[Mapping[str, str]], None], row: dict[str, str]) -> None:
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("pruner", AXES["pruner"])
@pytest.mark.parametrize("family", AXES["family"])
def test_token_identical_as_a_whole(check: Callable[[Mapping[str, str]], None], family: str, pruner: str) -> None:
    same = {"family": family, "pruner": pruner, "positions": "original", "compile": "none", "attention": "fused"}
    for row in whole("drafter", "verifier", parallelism="sequential", executor="inline", **same):
        check(row)
    for row in whole("parallelism", "executor", "verifier", drafter="chain", **same):
        check(row)


def an_engine(pair: Pair, drafter: Drafter, verifier: Verifier, *, limit: int = TOKENS, ratio: float = 0.5) -> Engine:
    return Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=ratio),
        drafter=drafter,
        verifier=verifier,
        gamma=GAMMA,
        max_new_tokens=limit,
    )


@pytest.mark.parametrize("drafter", AXES["drafter"])
@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_the_budget_ends_inside_a_draft(pair: Pair, video: Video, expected: Expected, drafter: str, limit: int) -> None:
    engine = an_engine(pair, method("drafter", drafter), method("verifier", "greedy"), limit=limit)
    assert engine.run(video, QUESTION).tokens == expected(pair).tokens[:limit]


@pytest.mark.parametrize("drafter", AXES["drafter"])
@pytest.mark.parametrize("place", [1, 5, 9])
def test_the_generation_ends_inside_a_draft(
    pair: Pair, video: Video, expected: Expected, drafter: str, place: int
) -> None:
    target, tokens = copy.copy(pair.target), expected(pair).tokens
    target.eos = frozenset({tokens[place]})
    end = tokens.index(tokens[place]) + 1
    for draft in (pair.draft, target):
        run = Engine(target=target, draft=draft, drafter=method("drafter", drafter), gamma=6, max_new_tokens=TOKENS)
        trace = run.run(video, QUESTION)
        assert trace.tokens == tokens[:end]
        assert trace.finish == "eos"


@pytest.mark.parametrize("drafter", AXES["drafter"])
def test_one_visual_token_is_enough(pair: Pair, video: Video, expected: Expected, drafter: str) -> None:
    run = an_engine(pair, method("drafter", drafter), method("verifier", "greedy"), ratio=0.999)
    trace = run.run(video, QUESTION)
    assert trace.tokens == expected(pair).tokens
    assert trace.kept == 1 or not run.draft


# Settings under which a rule lets tokens stand that are not the target's own, also on random models.
LOOSE = {
    "lvspec": ["verifier.looseness=0.9"],
    "fly": ["verifier.entropy=0", "verifier.window=0"],
    "typical": ["verifier.epsilon=0", "verifier.delta=0"],
    "topk": ["verifier.k=50", "verifier.gap=1"],
    "random_relax": ["verifier.looseness=0.9"],
    "exact_prefix": ["verifier.length=2", "verifier.inner.looseness=0.9"],
    "synthetic": [],
}


@pytest.mark.parametrize(
    ("drafter", "verifier", "family"),
    [
        (drafter, verifier, AXES["family"][(one + other) % 2])  # each part meets both
        for one, drafter in enumerate(AXES["drafter"])
        for other, verifier in enumerate(LOOSE)
    ],
)
def test_a_lossy_rule_that_relaxes_keeps_the_books(
    pairs: Callable[[str], Pair], video: Video, drafter: str, verifier: str, family: str
) -> None:
    pair = pairs(family)
    rule = method("verifier", verifier, *LOOSE[verifier])
    trace = an_engine(pair, method("drafter", drafter), rule).run(video, QUESTION, seed=2)
    assert len(trace.tokens) == 1 + sum(each.committed for each in trace.rounds) == TOKENS
    for each in trace.rounds:
        assert len(each.gaps) == len(each.relaxed)
        assert all(0 <= place < each.accepted for place in each.relaxed)
        assert all(0 <= gap <= 1 for gap in each.gaps)
    if drafter not in ("prompt_lookup", "relevance_cut", "viskip") and verifier != "synthetic":
        assert any(each.relaxed for each in trace.rounds)


@pytest.mark.parametrize("drafter", ["chain", "tree"])
def test_sampling_gives_the_same_generation_for_the_same_seed(pair: Pair, video: Video, drafter: str) -> None:
    dials = ["temperature=0.8", "top_p=0.9"]
    run = an_engine(pair, method("drafter", drafter, *dials), method("verifier", "sampling", *dials))
    first, again, other = (run.run(video, QUESTION, seed=seed).tokens for seed in (1, 1, 2))
    assert first == again != other
