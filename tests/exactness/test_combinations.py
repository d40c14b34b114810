"""Token-identical, whatever schedule, executor, drafter, pruner and lossless rule come together: all files of conf/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, cast

import pytest

from tests.conftest import Pair
from tests.exactness.parts import (
    AXES,
    DIALS,
    covered,
    method,
    possible,
    possible_pairs,
    strict,
    whole,
)
from vsd.engine import Engine
from vsd.executors import process
from vsd.executors.process import ProcessClient
from vsd.models import Checkpoint, split_attention
from vsd.models.attention import Attention
from vsd.models.steps import Compile
from vsd.types import Positions, Trace, Video

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
            verifier=strict(row["verifier"]),
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


@pytest.mark.parametrize("drafter", ["chain", "tree"])
def test_sampling_gives_the_same_generation_for_the_same_seed(pair: Pair, video: Video, drafter: str) -> None:
    dials = ["temperature=0.8", "top_p=0.9"]
    run = Engine(
        target=pair.target,
        draft=pair.draft,
        drafter=method("drafter", drafter, *dials),
        verifier=method("verifier", "sampling", *dials),
        max_new_tokens=TOKENS,
    )
    first, again, other = (run.run(video, QUESTION, seed=seed).tokens for seed in (1, 1, 2))
    assert first == again != other
