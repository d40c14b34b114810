"""Token-identical, draft and target at once: every parallel schedule, wherever drafts are made, whatever is pruned,
whichever lossless rule verifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Pair
from tests.exactness.test_combinations import CONF, PRUNERS, QUESTION, STRICT, TOKENS, method
from vsd.engine import Engine
from vsd.executors import process
from vsd.executors.process import ProcessClient
from vsd.models import Checkpoint
from vsd.types import Trace, Video

IN_TURN = {"autoregressive", "sequential"}
SCHEDULES = sorted({file.stem for file in (CONF / "parallelism").glob("*.yaml")} - IN_TURN)
EXECUTORS = sorted(file.stem for file in (CONF / "executor").glob("*.yaml"))
DIALS = {"process": ["executor.threads=1"], "simulated": ["executor.profile='l40s*8,h100'"]}
GAMMA = 4


class OneProcess:
    """The client of all engines of a test module: to start a process takes seconds."""

    def __init__(self) -> None:
        self.client: ProcessClient | None = None

    def __call__(self, make: Callable[[], Any], **options: Any) -> ProcessClient:
        self.client = self.client or ProcessClient(make, **options)
        return self.client


@pytest.fixture(scope="module")
def one_process(pair: Pair) -> Iterator[OneProcess]:
    found = OneProcess()
    yield found
    if found.client is not None:
        found.client.close()


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_strict_rule_is_token_identical(
    pair: Pair,
    video: Video,
    expected: Trace,
    one_process: OneProcess,
    monkeypatch: pytest.MonkeyPatch,
    schedule: str,
    executor: str,
    pruner: str,
) -> None:
    monkeypatch.setattr(process, "ProcessClient", one_process)
    where = method("executor", executor, *DIALS.get(executor, []))
    remote = where.remote
    for verifier, strict in STRICT.items():
        engine = Engine(
            target=pair.target,
            draft=Checkpoint(path=str(pair.draft_path), dtype="float64") if remote else pair.draft,
            pruner=method("pruner", pruner, "ratio=0.5"),
            verifier=method("verifier", verifier, *strict),
            parallelism=method("parallelism", schedule),
            executor=where,
            gamma=GAMMA,
            max_new_tokens=TOKENS,
        )
        trace = engine.run(video, QUESTION, seed=1)
        if not remote:
            engine.close()
        assert trace.tokens == expected.tokens, verifier
        assert not any(round.relaxed for round in trace.rounds), verifier
        proposed, gone = (sum(r.proposed for r in trace.rounds), sum(r.accepted + r.wasted for r in trace.rounds))
        assert proposed == gone, verifier
