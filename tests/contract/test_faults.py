"""The contract finds out methods that are wrong, and says what is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsd.testing import checks_of, parametrize_with_contract

FIELDS = {
    "pruner": "ratio: ${ratio}\nends: middle",
    "drafter": "temperature: ${temperature}\ntop_p: ${top_p}\ntop_k: ${top_k}\nconfidence: 0.0",
    "verifier": "looseness: 0.7",
    "parallelism": "",
    "NeverStrict": "margin: 0.5",
    "NeverLoose": "margin: 0.5",
    "Unnamed": "margin: 0.5",
    "Claimed": "margin: 0.5",
    "Remembering": "",
    "Biased": "temperature: ${temperature}\ntop_p: ${top_p}\ntop_k: ${top_k}",
    "WrongTree": "temperature: ${temperature}\ntop_p: ${top_p}\ntop_k: ${top_k}\npaths: 0 1 0,0",
    "Elsewhere": "temperature: ${temperature}\ntop_p: ${top_p}\ntop_k: ${top_k}\npaths: 0 1 2 0,0 0,1 1,0 0,0,0 0,0,1",
}
FAULTS = [
    ("pruner", "Unsorted", "keeps the budget", "must be sorted and without duplicates"),
    ("pruner", "Twice", "keeps the budget", "must be sorted and without duplicates"),
    ("pruner", "Small", "keeps the budget", "must give int64, got torch.int32"),
    ("pruner", "Nowhere", "keeps the budget", r"must lie where its evidence does \(cpu\), got meta"),
    ("pruner", "More", "keeps the budget", r"must keep 32 of 64 tokens .*, got 33"),
    ("pruner", "Drawing", "is deterministic and changes nothing", "must be the same for the same evidence"),
    ("pruner", "Unchecked", "a ratio out of range is refused", "must be refused with a ValueError"),
    ("pruner", "Untyped", "mistyped fields are refused", "pruner.ends: must be refused with a ValueError"),
    ("drafter", "Outside", "its drafts are drafts", r"must lie in the vocabulary, \[0, 896\)"),
    ("drafter", "Longer", "its drafts are drafts", "must be at most 1 tokens deep for gamma=1, got 2"),
    ("drafter", "Fan", "its drafts are drafts", "its class says that it drafts chains"),
    ("drafter", "WrongTree", "its drafts are drafts", r"the parent of node 0 must lie in \[-1, 0\), got 0"),
    ("drafter", "Misstated", "drawn its tokens have", "each token must be drawn by `random.pick`"),
    ("drafter", "Unsure", "it says how sure it is", "must be a probability of each of 4 tokens .*, got none"),
    ("drafter", "Stale", "where draft and target agree", "does it read the tokens which `state` lacks"),
    ("drafter", "Forgetful", "where draft and target agree", "does it read the tokens which `state` lacks"),
    ("drafter", "Elsewhere", "where draft and target agree", "does it read the tokens which `state` lacks"),
    ("verifier", "Writing", "it is a pure function", "must not change what it is shown"),
    ("verifier", "Miscounted", "it says which tokens are relaxed", "`relaxed` must say of each token of the path"),
    ("verifier", "Miscounted", "loose its books hold", "but [0-9]+ are said to be relaxed"),
    ("verifier", "Overstated", "it says which tokens are relaxed", "Tensor-likes are not close"),
    ("verifier", "NoBonus", "its verdict is a path", "a verdict needs a bonus token, got None"),
    ("verifier", "DraftsBonus", "its verdict is a path", "its bonus token must be the target's own"),
    (
        "verifier",
        "Invented",
        "its verdict is a path",
        "needs no bonus token behind a node that",
    ),
    ("verifier", "AcrossPaths", "its verdict is a path", "its path must lead from the root down"),
    ("verifier", "NeverStrict", "strict it is greedy", "must let the target's own tokens stand alone"),
    ("verifier", "NeverStrict", "strict it is token identical", "must be "),
    (
        "verifier",
        "NeverLoose",
        "loose it lets other tokens stand",
        "must let tokens stand that are not the target's own",
    ),
    ("verifier", "Unnamed", "it names a strict and a loose", r"Unnamed.strict: .*\n\n    strict: ClassVar"),
    ("verifier", "Remembering", "it is a pure function", "must judge the same draft alike"),
    ("verifier", "Claimed", "lossless it has", "says that it is lossless"),
    ("verifier", "Biased", "lossless it has", "says that it is lossless"),
    ("parallelism", "Padded", "its tokens are the targets own", "what is drafted must be accepted or wasted"),
]


def conf(folder: Path, group: str, name: str) -> Path:
    file = folder / "conf" / group / f"{name.lower()}.yaml"
    file.parent.mkdir(parents=True)
    fields = FIELDS.get(name, FIELDS[group])
    file.write_text(f"# Wrong.\n_target_: tests.contract.faulty.{name}\n{fields}\n")
    return folder / "conf"


@pytest.mark.parametrize(("group", "name", "check", "message"), FAULTS, ids=[f"{row[1]}-{row[2]}" for row in FAULTS])
def test_a_fault_is_found(group: str, name: str, check: str, message: str, tmp_path: Path) -> None:
    checks = dict(checks_of(conf(tmp_path, group, name)))
    (found,) = [call for title, call in checks.items() if title.startswith(f"{group}={name.lower()}: {check}")]
    with pytest.raises((AssertionError, RuntimeError), match=message):
        found()


def test_what_is_not_wrong_passes(tmp_path: Path) -> None:
    wrong = set[str]()
    for title, call in checks_of(conf(tmp_path, "verifier", "Miscounted")):
        try:
            call()
        except AssertionError:
            wrong.add(title.partition(": ")[2])
    assert wrong == {"it says which tokens are relaxed", "loose its books hold"}


def test_pytest_finds_the_checks_of_a_plugin_by_its_name(tmp_path: Path) -> None:
    folder = conf(tmp_path, "verifier", "Miscounted")
    mark = parametrize_with_contract(folder).mark
    ids = [parameter.id for parameter in mark.args[1]]
    assert mark.args[0] == "check"
    assert len(ids) == len(set(ids)) > 10
    assert all(name.startswith("verifier=miscounted: ") for name in ids)


def test_a_folder_without_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^conf: must hold a YAML of one of the groups pruner, drafter, .*, got '"):
        list(checks_of(tmp_path))
    overrides: Any = {"verifier=mine": ["verifier.margin=1"]}
    with pytest.raises(ValueError, match=r"^overrides: must be of options in .*, got verifier=mine$"):
        list(checks_of(conf(tmp_path, "verifier", "Miscounted"), overrides=overrides))


def test_overrides_fill_what_a_yaml_leaves_open(tmp_path: Path) -> None:
    folder = conf(tmp_path, "verifier", "Miscounted")
    file = folder / "verifier" / "miscounted.yaml"
    file.write_text(file.read_text().replace("0.7", "???"))
    given = {"verifier=miscounted": ["verifier.looseness=0.5"]}
    checks: dict[str, Callable[[], None]] = dict(checks_of(folder, overrides=given))
    checks["verifier=miscounted: strict it is greedy"]()
