"""What does ParallelVLM's schedule gain, and by which part? ``python -m experiments.parallelvlm.measure``

ParallelVLM on the bundled pairs, on two cores with a thread for each model: the draft in a process of its own, and the
sequential schedule with the same threads beside it, each of ParallelVLM's parts left out in turn.
"""

from dataclasses import replace
from typing import Any

from experiments.schedules import Case, main
from vsd.executors import Process
from vsd.parallelism import PARALLELVLM, Sequential
from vsd.pruners.none import NoPruner
from vsd.pruners.uv_prune import UVPrune

PRUNED, WHOLE = UVPrune(ratio=0.9), NoPruner(ratio=0.0)
MOST = 16  # that a window of measured length may hold


def apart(name: str, *, gamma: int = MOST, **changes: Any) -> Case:
    """ParallelVLM's schedule with some of its fields changed, the draft in a process of its own."""
    schedule, executor = replace(PARALLELVLM, **changes), Process(threads=1)
    return Case(name=name, schedule=schedule, executor=executor, pruner=PRUNED, gamma=gamma)


CASES = (
    Case(name="sequential", schedule=Sequential(), pruner=PRUNED, turns=None),
    apart("parallelvlm"),
    apart("windows of 5", length="fixed", gamma=5),
    apart("no pre-verification", pre_verify=False),
    apart("no post-verification", post_verify=False),
    apart("no early draft", early_draft=False),
    apart("prefills in turn", early_draft=False, overlap_prefill=False),
    Case(name="sequential, nothing pruned", schedule=Sequential(), pruner=WHOLE, turns=None),
    replace(apart("parallelvlm, nothing pruned"), pruner=WHOLE, turns="sequential, nothing pruned"),
)

if __name__ == "__main__":
    main(__doc__, CASES)
