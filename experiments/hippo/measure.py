"""What do draft and target gain by working at once? ``python -m experiments.hippo.measure``

HIPPO on the bundled pairs, on two cores with a thread for each model: the draft in a process of its own, and the
sequential schedule with the same threads beside it, each of HIPPO's parts left out in turn.
"""

from dataclasses import replace

from experiments.schedules import Case, main
from vsd.executors import Process, Thread
from vsd.parallelism import HIPPO, Sequential
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner

PRUNED, WHOLE = Hippo(ratio=0.9), NoPruner(ratio=0.0)
APART = Process(threads=1)
NO_PRE, NO_POST = replace(HIPPO, pre_verify=False), replace(HIPPO, post_verify=False)
CASES = (
    Case(name="sequential", schedule=Sequential(), pruner=PRUNED, turns=None),
    Case(name="hippo", schedule=HIPPO, executor=APART, pruner=PRUNED),
    Case(name="no pre-verification", schedule=NO_PRE, executor=APART, pruner=PRUNED),
    Case(name="no post-verification", schedule=NO_POST, executor=APART, pruner=PRUNED),
    Case(name="prefills in turn", schedule=replace(HIPPO, overlap_prefill=False), executor=APART, pruner=PRUNED),
    Case(name="sequential, nothing pruned", schedule=Sequential(), pruner=WHOLE, turns=None),
    Case(
        name="hippo, nothing pruned",
        schedule=HIPPO,
        executor=APART,
        pruner=WHOLE,
        turns="sequential, nothing pruned",
    ),
    Case(name="two threads of one process", schedule=HIPPO, executor=Thread(), pruner=PRUNED, simulated=False),
)

if __name__ == "__main__":
    main(__doc__, CASES)
