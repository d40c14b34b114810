"""All parts that conf/ has, and combinations of them and of the families: every two together at least once, or the
whole product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

from allpairspy import AllPairs

from tests.conftest import FAMILIES
from vsd.cli import CONF
from vsd.testing.option import Option, options
from vsd.verifiers import Verifier

DIALS = {"process": ["executor.threads=1"], "simulated": ["executor.profile='l40s*8,h100'"]}


def method(group: str, name: str, *overrides: str) -> Any:
    """The option, as a run has it."""
    return Option(group=group, name=name, conf=CONF).method(*overrides)


AXES = {
    "parallelism": [name for name in options(CONF, "parallelism") if name != "autoregressive"],
    "executor": options(CONF, "executor"),
    "drafter": options(CONF, "drafter"),
    "pruner": options(CONF, "pruner"),
    "verifier": [name for name in options(CONF, "verifier") if not method("verifier", name).synthetic],
    "positions": ["original", "compact"],
    "compile": ["none", "eager"],
    "attention": ["fused", "split"],
    "family": sorted(FAMILIES),
}


SIMPLE = {
    "parallelism": "sequential",
    "executor": "inline",
    "drafter": "chain",
    "pruner": "uniform",
    "verifier": "greedy",
    "positions": "original",
    "compile": "none",
    "attention": "fused",
    "family": "llava_onevision",
}


def strict(verifier: str) -> Verifier:
    """The rule, set so that it is greedy verification."""
    rule: Any = method("verifier", verifier)
    strict: Verifier = replace(rule, **rule.strict)
    return strict


def possible(row: Sequence[str]) -> bool:
    """Whether the first parts of a row, in the order of AXES, go together: a schedule of chains has no trees."""
    named = dict(zip(AXES, row, strict=False))
    if not {"parallelism", "drafter"} <= named.keys():
        return True
    return not chains("parallelism", named["parallelism"]) or chains("drafter", named["drafter"])


@cache
def chains(group: str, name: str) -> bool:
    """Whether a schedule asks for chains, or a drafter makes them."""
    return bool(method(group, name).chains)


def covered() -> list[dict[str, str]]:
    """Combinations in which every two parts that go together do so at least once."""
    rows = [dict(zip(AXES, row, strict=True)) for row in AllPairs(list(AXES.values()), filter_func=possible)]
    for two in possible_pairs():  # where parts do not go together, the library leaves out some others as well
        if not any(two.items() <= row.items() for row in rows):
            rows.append(SIMPLE | two)
    return rows


def possible_pairs() -> list[dict[str, str]]:
    """Every two parts that go together, by their groups."""
    pairs = (
        {one: ours, other: theirs}
        for (one, some), (other, more) in combinations(AXES.items(), 2)
        for ours, theirs in product(some, more)
    )
    return [two for two in pairs if possible([(SIMPLE | two)[axis] for axis in AXES])]


def whole(*axes: str, **rest: str) -> list[dict[str, str]]:
    """All combinations of these axes' parts that go together, with the other parts as they are given."""
    rows = (dict(zip(axes, values, strict=True)) | rest for values in product(*(AXES[axis] for axis in axes)))
    return [row for row in rows if possible([row[axis] for axis in AXES])]
