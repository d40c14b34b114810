"""What holds for every pruner."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vsd.engine import Engine
from vsd.executors import Inline
from vsd.parallelism import PARALLELVLM
from vsd.pruners.base import Pruner
from vsd.testing.evidence import made_evidence, numbers_of
from vsd.testing.models import FAMILY, FAMILY_NAMES, QUESTION, model_of, prompt_of, target_tokens, video
from vsd.testing.option import Option
from vsd.types import Evidence, Grid, Trace

GRIDS = [(4, 4, 4), (5, 3, 2), (1, 4, 4), (6, 1, 1), (2, 1, 5), (1, 1, 1)]
# K = floor(V * (1 - ratio)), at least 1, worked by hand for each grid above.
BUDGETS = {
    0.0: [64, 30, 16, 6, 10, 1],
    0.5: [32, 15, 8, 3, 5, 1],
    0.9: [6, 3, 1, 1, 1, 1],
    0.97: [1, 1, 1, 1, 1, 1],
}
# V, ratio, K: 10 * (1 - 0.9) is 0.9999999999999998 in floating point and means 1; 100 * (1 - 0.9) means 10.
ROUNDED = [(10, 0.9, 1), (100, 0.9, 10), (64, 0.97, 1), (100, 0.97, 3), (10, 0.3, 7)]
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def pruner_of(option: Option, ratio: float = 0.75) -> Pruner:
    """The pruner with this ratio, if its YAML takes the dial."""
    pruner: Pruner = option.method()
    return dataclasses.replace(pruner, ratio=ratio) if option.takes("ratio") else pruner


def checked(pruner: Pruner, evidence: Evidence, count: int) -> Tensor:
    """kept_K, which are `count` indices into V, sorted and unique, in int64 and where the evidence lies."""
    kept_K, name, tokens = pruner.keep(evidence), type(pruner).__name__, evidence.tokens
    assert isinstance(kept_K, Tensor), f"{name}.keep: must give a tensor, got {type(kept_K).__name__}"
    assert kept_K.dtype == torch.int64, f"{name}.keep: must give int64, got {kept_K.dtype}"
    there = {each.device.type for each in numbers_of(evidence)} or {"cpu"}
    assert kept_K.device.type in there, (
        f"{name}.keep: its indices must lie where its evidence does ({', '.join(sorted(there))}), got {kept_K.device}"
    )
    assert kept_K.ndim == 1, f"{name}.keep: must give one axis, got shape {tuple(kept_K.shape)}"
    indices: list[int] = kept_K.tolist()
    assert len(indices) == count, (
        f"{name}.keep: must keep {count} of {tokens} tokens (self.budget(evidence.grid)), got {len(indices)}"
    )
    assert indices == sorted(set(indices)), f"{name}.keep: must be sorted and without duplicates, got {indices}"
    assert 0 <= indices[0] <= indices[-1] < tokens, f"{name}.keep: must lie in [0, {tokens}), got {indices}"
    return kept_K


def refused(call: Callable[[], object], message: str, what: str) -> None:
    """AssertionError unless the call raises a ValueError whose message holds `message`, a pattern."""
    said = "nothing"
    try:
        call()
    except ValueError as error:
        said = str(error)
    assert re.search(message, said), f"{what}: must be refused with a ValueError that says {message!r}, got {said}"


# Checks --------------------------------------------------------------------------------------------------------------


def keeps_the_budget(option: Option) -> None:
    """K sorted, unique indices, for every grid and ratio."""
    for ratio, budgets in BUDGETS.items():
        pruner = pruner_of(option, ratio)
        for grid, budget in zip(GRIDS, budgets, strict=True):
            evidence = made_evidence(pruner.needs, grid)
            checked(pruner, evidence, budget if option.takes("ratio") else evidence.tokens)


def its_budget_is_free_of_rounding_error(option: Option) -> None:
    """K is the whole number that a ratio in decimals means."""
    for tokens, ratio, budget in ROUNDED:
        pruner = pruner_of(option, ratio)
        checked(pruner, made_evidence(pruner.needs, (tokens, 1, 1)), budget if option.takes("ratio") else tokens)


def works_in_every_dtype(option: Option) -> None:
    """On half precision too, where many scores are equal."""
    for dtype in DTYPES:
        pruner = pruner_of(option)
        checked(pruner, made_evidence(pruner.needs, dtype=dtype), 16 if option.takes("ratio") else 64)


def is_deterministic_and_changes_nothing(option: Option) -> None:
    """The same evidence gives the same indices; neither it nor the global random stream changes."""
    pruner = pruner_of(option)
    evidence = made_evidence(pruner.needs)
    before, state = copy.deepcopy(numbers_of(evidence)), torch.random.get_rng_state()
    kept = pruner.keep(evidence)
    name = type(pruner).__name__
    assert torch.equal(kept, pruner_of(option).keep(evidence)), f"{name}.keep: must be the same for the same evidence"
    assert torch.equal(state, torch.random.get_rng_state()), (
        f"{name}.keep: must draw from a generator of evidence.seed, and moved the global random stream"
    )
    same = [torch.equal(old, new) for old, new in zip(before, numbers_of(evidence), strict=True)]
    assert all(same), f"{name}.keep: must not change its evidence"


def evidence_that_is_all_equal_is_no_error(option: Option) -> None:
    """A still, plain video: nothing to choose by, yet a budget to keep."""
    for fill in (0.25, 0.0):
        pruner = pruner_of(option)
        checked(pruner, made_evidence(pruner.needs, (3, 4, 4), fill=fill), 12 if option.takes("ratio") else 48)


def missing_evidence_is_refused(option: Option) -> None:
    """With its name."""
    pruner = pruner_of(option)
    for missing in pruner.needs:
        some = made_evidence(pruner.needs - {missing})
        refused(lambda some=some: pruner.keep(some), re.escape(missing), f"evidence without {missing}")  # type: ignore[misc]


def evidence_of_another_grid_is_refused(option: Option) -> None:
    """What has a row for each visual token has as many as there are."""
    pruner = pruner_of(option)
    evidence = dataclasses.replace(made_evidence(pruner.needs, (2, 2, 2)), grid=Grid(4, 4, 4))
    if any(not isinstance(value, float) for value in evidence.values.values()):
        refused(lambda: pruner.keep(evidence), "must have 64 rows", "evidence of 8 tokens for a grid of 64")


def an_empty_grid_is_refused_or_kept_whole(option: Option) -> None:
    """There is nothing to prune."""
    pruner = pruner_of(option)
    evidence = made_evidence(pruner.needs, (0, 4, 4))
    if option.takes("ratio"):
        refused(lambda: pruner.keep(evidence), "nothing to prune", "an empty grid")
    else:
        assert len(pruner.keep(evidence)) == 0, f"{type(pruner).__name__}.keep: must keep nothing of an empty grid"


def its_yaml_has_the_defaults_of_its_class(option: Option) -> None:
    """In a notebook it is the same as in a run."""
    pruner, kind = pruner_of(option, 0.5), type(option.method())
    plain: Any = kind(ratio=0.5) if option.takes("ratio") else kind()
    assert option.overrides or pruner == plain, f"{option.name}.yaml: must have the defaults, {plain!r}, got {pruner!r}"


def a_ratio_out_of_range_is_refused(option: Option) -> None:
    """Before anything is decoded: a `__post_init__` of its own calls the one of `Pruner`."""
    for ratio in (1.0, 1.5, -0.1, float("nan"), "half", None, True):
        rule = re.escape(f"pruner.ratio must be in [0, 1), got {ratio!r}")
        made: Any = option.method()
        refused(lambda made=made, ratio=ratio: dataclasses.replace(made, ratio=ratio), rule, f"ratio={ratio!r}")  # type: ignore[misc]


def it_lies_where_its_evidence_does(option: Option) -> None:
    """On a GPU it keeps what it keeps on a CPU; the indices of a pruner that needs nothing lie on the CPU."""
    if not torch.cuda.is_available():
        return
    pruner = pruner_of(option)
    count = 16 if option.takes("ratio") else 64
    here, there = (made_evidence(pruner.needs, dtype=torch.float64, device=device) for device in ("cpu", "cuda"))
    ours, theirs = checked(pruner, here, count).tolist(), checked(pruner, there, count).tolist()
    assert ours == theirs, f"{type(pruner).__name__}.keep: must keep {ours} on a GPU as on a CPU, got {theirs}"


def a_run_with_it_is_the_targets_own(option: Option) -> None:
    """Whatever the draft is shown: token-identical, with as many tokens kept, also drafting within the prefill."""
    pruner = pruner_of(option, 0.9)
    traces = {family: decoded(family, pruner) for family in FAMILY_NAMES}
    for family, trace in traces.items():
        expected = target_tokens(family)[:8]
        assert trace.tokens == expected, f"{family}: must be {expected}, got {trace.tokens}"
        count = pruner.budget(prompt_of(family).grid) if option.takes("ratio") else trace.visual
        assert trace.kept == count, f"{family}: must keep {count} tokens, got {trace.kept}"
    early = decoded(FAMILY, pruner, parallelism=dataclasses.replace(PARALLELVLM, length="fixed"), executor=Inline())
    usual = traces[FAMILY]
    assert (early.tokens, early.kept_K) == (usual.tokens, usual.kept_K), "what is there early must be the same"


def decoded(family: str, pruner: Pruner, **how: Any) -> Trace:
    """A generation whose draft has a pruned prompt."""
    model = model_of(family)
    engine = Engine(target=model, draft=model, pruner=pruner, gamma=3, max_new_tokens=8, **how)
    return engine.run(video(), QUESTION, seed=3)


CHECKS = (
    keeps_the_budget,
    its_budget_is_free_of_rounding_error,
    works_in_every_dtype,
    is_deterministic_and_changes_nothing,
    evidence_that_is_all_equal_is_no_error,
    missing_evidence_is_refused,
    evidence_of_another_grid_is_refused,
    an_empty_grid_is_refused_or_kept_whole,
    its_yaml_has_the_defaults_of_its_class,
    a_ratio_out_of_range_is_refused,
    it_lies_where_its_evidence_does,
    a_run_with_it_is_the_targets_own,
)
