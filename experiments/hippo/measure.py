"""What do draft and target gain by working at once? ``python -m experiments.hippo.measure``

HIPPO on the bundled pairs, on two cores with a thread for each model: the draft in a process of its own, and the
sequential schedule with the same threads beside it, each of HIPPO's parts left out in turn.
"""

from experiments.schedules import Case, main
from vsd.parallelism import Sequential
from vsd.parallelism.hippo import Hippo as Schedule
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner

PRUNED, WHOLE = Hippo(ratio=0.9), NoPruner(ratio=0.0)
APART = {"executor": "process", "threads": 1}
CASES = (
    Case(name="sequential", schedule=Sequential(), pruner=PRUNED, turns=None),
    Case(name="hippo", schedule=Schedule(**APART), pruner=PRUNED),
    Case(name="no pre-verification", schedule=Schedule(**APART, pre_verify=False), pruner=PRUNED),
    Case(name="no post-verification", schedule=Schedule(**APART, post_verify=False), pruner=PRUNED),
    Case(name="prefills in turn", schedule=Schedule(**APART, overlap_prefill=False), pruner=PRUNED),
    Case(name="sequential, nothing pruned", schedule=Sequential(), pruner=WHOLE, turns=None),
    Case(name="hippo, nothing pruned", schedule=Schedule(**APART), pruner=WHOLE, turns="sequential, nothing pruned"),
    Case(name="two threads of one process", schedule=Schedule(executor="thread"), pruner=PRUNED, simulated=False),
)

if __name__ == "__main__":
    main(__doc__, CASES)
