"""What holds for every file of conf/pruner. A new pruner is covered by being there."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vsd.evidence import check_need
from vsd.pruners import Pruner
from vsd.types import Evidence, Hidden

from .random_evidence import random_evidence

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "pruner"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
GRIDS = [(4, 4, 4), (5, 3, 2), (1, 4, 4), (6, 1, 1), (2, 1, 5), (1, 1, 1)]
# K = floor(V * (1 - ratio)), at least 1, worked by hand for each grid above.
BUDGETS = {
    0.0: [64, 30, 16, 6, 10, 1],
    0.5: [32, 15, 8, 3, 5, 1],
    0.9: [6, 3, 1, 1, 1, 1],
    0.97: [1, 1, 1, 1, 1, 1],
}
every_pruner = pytest.mark.parametrize("name", NAMES)


def build(name: str, ratio: float = 0.5) -> Pruner:
    dials: Any = OmegaConf.load(FOLDER.parent / "config.yaml")  # an option may take any of them
    dials.ratio, dials.pruner = ratio, OmegaConf.load(FOLDER / f"{name}.yaml")
    pruner: Pruner = instantiate(dials.pruner)
    return pruner


def ignores_ratio(name: str) -> bool:
    """A dial is used if and only if the YAML refers to it."""
    return "${ratio}" not in (FOLDER / f"{name}.yaml").read_text()


def tensors(evidence: Evidence) -> list[torch.Tensor]:
    found = list[torch.Tensor]()
    for value in evidence.values.values():
        found += [value.visual_VD, value.text_SD] if isinstance(value, Hidden) else []
        found += [value] if isinstance(value, torch.Tensor) else []
    return found


def check_indices(kept: torch.Tensor, count: int, tokens: int) -> None:
    assert kept.dtype == torch.int64
    assert kept.shape == (count,)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert 0 <= int(kept[0]) <= int(kept[-1]) < tokens


def test_all_methods_are_there() -> None:
    issued = {"none", "random", "uniform", "frame", "window", "attention", "specvlm", "uv_prune", "hippo"}
    assert issued <= set(NAMES)


@every_pruner
@pytest.mark.parametrize("ratio", BUDGETS)
def test_keeps_the_budget(name: str, ratio: float) -> None:
    for grid, budget in zip(GRIDS, BUDGETS[ratio], strict=True):
        pruner = build(name, ratio)
        evidence = random_evidence(grid, needs=pruner.needs)
        count = evidence.tokens if ignores_ratio(name) else budget
        check_indices(pruner.keep(evidence), count, evidence.tokens)


@every_pruner
def test_budget_is_free_of_rounding_error(name: str) -> None:
    """10 * (1 - 0.9) is 0.9999999999999998 in floating point and means 1; 100 * (1 - 0.9) means 10."""
    for tokens, ratio, budget in [(10, 0.9, 1), (100, 0.9, 10), (64, 0.97, 1), (100, 0.97, 3), (10, 0.3, 7)]:
        pruner = build(name, ratio)
        kept = pruner.keep(random_evidence((tokens, 1, 1), needs=pruner.needs))
        assert len(kept) == (tokens if ignores_ratio(name) else budget)


@every_pruner
def test_ratio_zero_keeps_all(name: str) -> None:
    pruner = build(name, 0.0)
    assert pruner.keep(random_evidence((3, 2, 2), needs=pruner.needs)).tolist() == list(range(12))


@every_pruner
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_works_in_every_dtype(name: str, dtype: torch.dtype) -> None:
    pruner = build(name, 0.75)
    evidence = random_evidence((4, 4, 4), needs=pruner.needs, dtype=dtype)
    check_indices(pruner.keep(evidence), 64 if ignores_ratio(name) else 16, 64)


@every_pruner
def test_is_deterministic_and_changes_nothing(name: str) -> None:
    pruner = build(name, 0.75)
    evidence = random_evidence(needs=pruner.needs)
    before = copy.deepcopy(tensors(evidence))
    state = torch.random.get_rng_state()
    kept = pruner.keep(evidence)
    assert torch.equal(kept, build(name, 0.75).keep(evidence))
    assert torch.equal(state, torch.random.get_rng_state()), "the global random stream moved"
    assert all(torch.equal(old, new) for old, new in zip(before, tensors(evidence), strict=True))


@every_pruner
def test_constant_evidence_is_no_error(name: str) -> None:
    """A still, plain video: nothing to choose by, yet a budget to keep."""
    pruner = build(name, 0.75)
    evidence = random_evidence((3, 4, 4), needs=pruner.needs)
    for tensor in tensors(evidence):
        tensor.fill_(0.25)
    check_indices(pruner.keep(evidence), 48 if ignores_ratio(name) else 12, 48)
    for tensor in tensors(evidence):
        tensor.zero_()
    check_indices(pruner.keep(evidence), 48 if ignores_ratio(name) else 12, 48)


@every_pruner
def test_needs_are_known_and_their_absence_is_refused(name: str) -> None:
    pruner = build(name)
    for need in pruner.needs:
        check_need(need, depth=64)
    for missing in pruner.needs:
        with pytest.raises(ValueError, match=re.escape(missing)):
            pruner.keep(random_evidence(needs=pruner.needs - {missing}))


@every_pruner
def test_evidence_of_another_grid_is_refused(name: str) -> None:
    pruner = build(name)
    evidence = dataclasses.replace(random_evidence((2, 2, 2), needs=pruner.needs), grid=random_evidence().grid)
    if not pruner.needs:
        pytest.skip(f"{name} looks at no evidence but the grid")
    with pytest.raises(ValueError, match=r"must have 64 rows, one a visual token, got 8$"):
        pruner.keep(evidence)


@every_pruner
def test_yaml_spells_every_field_with_its_default(name: str) -> None:
    pruner = build(name, 0.5)
    config = OmegaConf.load(FOLDER / f"{name}.yaml")
    fields = {field.name for field in dataclasses.fields(pruner)} - ({"ratio"} if ignores_ratio(name) else set())
    assert fields == set(config) - {"_target_"}
    kind: Any = type(pruner)
    assert pruner == (kind() if ignores_ratio(name) else kind(ratio=0.5))


@every_pruner
@pytest.mark.parametrize("ratio", [1.0, 1.5, -0.1, float("nan"), "half", None, True])
def test_ratio_out_of_range_is_refused(name: str, ratio: Any) -> None:
    method = type(build(name))
    with pytest.raises(ValueError, match=re.escape(f"pruner.ratio must be in [0, 1), got {ratio!r}")):
        method(ratio=ratio)


@every_pruner
def test_an_empty_grid_is_refused_or_kept_whole(name: str) -> None:
    pruner = build(name)
    evidence = random_evidence((0, 4, 4), needs=pruner.needs)
    if ignores_ratio(name):
        assert len(pruner.keep(evidence)) == 0
    else:
        with pytest.raises(ValueError, match="nothing to prune"):
            pruner.keep(evidence)


@every_pruner
def test_cuda_keeps_what_the_cpu_keeps(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pruner = build(name, 0.75)
    evidence = random_evidence(needs=pruner.needs, dtype=torch.float64)
    on_gpu = random_evidence(needs=pruner.needs, dtype=torch.float64, device="cuda")
    kept = pruner.keep(on_gpu)
    assert kept.device.type == ("cuda" if pruner.needs else "cpu")
    assert torch.equal(kept.cpu(), pruner.keep(evidence))


def test_nan_and_wrong_shapes_are_refused() -> None:
    evidence = random_evidence()
    evidence["attention"][3] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        build("attention").keep(evidence)
    two_columns = dataclasses.replace(evidence, values={"attention": torch.ones(64, 2)})
    with pytest.raises(ValueError, match="shape"):
        build("attention").keep(two_columns)
