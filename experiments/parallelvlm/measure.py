"""What does ParallelVLM's schedule gain, and by which part? ``python -m experiments.parallelvlm.measure``

ParallelVLM on the bundled pairs, on two cores with a thread for each model: the draft in a process of its own, and the
sequential schedule with the same threads beside it, each of ParallelVLM's parts left out in turn.
"""

from experiments.schedules import Case, main
from vsd.parallelism import Sequential
from vsd.parallelism.parallelvlm import ParallelVLM
from vsd.pruners.none import NoPruner
from vsd.pruners.uv_prune import UVPrune

PRUNED, WHOLE = UVPrune(ratio=0.9), NoPruner(ratio=0.0)
APART = {"executor": "process", "threads": 1}
MOST = 16  # that a window of measured length may hold
CASES = (
    Case(name="sequential", schedule=Sequential(), pruner=PRUNED, turns=None),
    Case(name="parallelvlm", schedule=ParallelVLM(**APART), pruner=PRUNED, gamma=MOST),
    Case(name="windows of 5", schedule=ParallelVLM(**APART, length="fixed"), pruner=PRUNED),
    Case(name="no pre-verification", schedule=ParallelVLM(**APART, pre_verify=False), pruner=PRUNED, gamma=MOST),
    Case(name="no post-verification", schedule=ParallelVLM(**APART, post_verify=False), pruner=PRUNED, gamma=MOST),
    Case(name="no early draft", schedule=ParallelVLM(**APART, early_draft=False), pruner=PRUNED, gamma=MOST),
    Case(
        name="prefills in turn",
        schedule=ParallelVLM(**APART, early_draft=False, overlap_prefill=False),
        pruner=PRUNED,
        gamma=MOST,
    ),
    Case(name="sequential, nothing pruned", schedule=Sequential(), pruner=WHOLE, turns=None),
    Case(
        name="parallelvlm, nothing pruned",
        schedule=ParallelVLM(**APART),
        pruner=WHOLE,
        gamma=MOST,
        turns="sequential, nothing pruned",
    ),
)

if __name__ == "__main__":
    main(__doc__, CASES)
