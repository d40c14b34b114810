"""The documentation's tables: written from docstrings and the metrics' registry, checked against them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsd.commands.catalogue import CLOSE, GROUPS, PAGES, ROOT, CatalogueError, describe, entries, main

DOCSTRING = """Keeps the best 3.5 of 4 | or so. More is said here.

    Paper: arXiv 2508.16201, after 2403.06764.

    Differs from the paper in: ``K`` is rounded
    down; ties are broken.

    Something else.
"""


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    """The page of the methods, beside that of the metrics."""
    (tmp_path / "docs").mkdir()
    for page, names in PAGES.items():
        tables = "\n".join(f"## {name}\n<!-- catalogue:{name} -->\nold\n{CLOSE}" for name in names)
        (tmp_path / page).write_text(f"# Title\n{tables}\nThe end.\n")
    return tmp_path / "docs" / "methods.md"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for group in GROUPS:
        (tmp_path / "conf" / group).mkdir(parents=True)
        target = "vsd.pruners.specvlm.SpecVLM"
        (tmp_path / "conf" / group / f"a_{group}.yaml").write_text(f"_target_: {target}\nratio: ${{ratio}}\n")
    return tmp_path / "conf"


def run(action: str, readme: Path, conf: Path) -> int:
    return main([action, "--root", str(conf.parent)])


def test_describe() -> None:
    entry = describe("pruner=best", DOCSTRING)
    assert entry.does == "Keeps the best 3.5 of 4 | or so."
    assert entry.papers == ("2508.16201", "2403.06764")
    assert entry.differs == "``K`` is rounded down; ties are broken."
    with pytest.raises(CatalogueError, match="one sentence"):
        describe("pruner=best", "no full stop")


def test_options_of_one_class_are_told_apart_by_their_comments(conf: Path) -> None:
    for number in ("first", "second"):
        text = f"# Keeps the {number}\n# of all. More of it.\n# After arXiv 2403.06764.\n"
        text += f"# Differs from the paper in: it is\n# {number}.\n"
        (conf / "pruner" / f"{number}.yaml").write_text(f"{text}\n_target_: vsd.pruners.uniform.Uniform # no text\n")
    one, *rows = entries("pruner", conf)
    assert one.papers == ("2508.16201",)
    assert [(row.name, row.does, row.papers, row.differs) for row in rows] == [
        (f"pruner={number}", f"Keeps the {number} of all.", ("2403.06764",), f"it is {number}.")
        for number in ("first", "second")
    ]
    (conf / "pruner" / "third.yaml").write_text("_target_: vsd.pruners.uniform.Uniform\n")
    with pytest.raises(CatalogueError, match=r"third.yaml must begin with a comment"):
        entries("pruner", conf)


def test_write_then_check(readme: Path, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--check", readme, conf) == 1
    assert "not current" in capsys.readouterr().err
    assert run("--write", readme, conf) == 0
    assert run("--check", readme, conf) == 0
    text = readme.read_text()
    assert "`pruner=a_pruner`" in text
    assert "[2508.16201](https://arxiv.org/abs/2508.16201)" in text
    assert "\nold\n" not in text
    assert text.startswith("# Title\n")
    assert text.endswith("\nThe end.\n")


def test_a_changed_group_is_noticed(readme: Path, conf: Path) -> None:
    run("--write", readme, conf)
    (conf / "verifier" / "a_verifier.yaml").rename(conf / "verifier" / "b_verifier.yaml")
    assert run("--check", readme, conf) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<!-- catalogue:drafter -->", "", "no marker <!-- catalogue:drafter -->"),
        (f"{CLOSE}\n## verifier", "## verifier", "<!-- catalogue:drafter --> is not closed"),
    ],
)
def test_missing_markers_are_named(
    readme: Path, conf: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    before = readme.read_text().replace(old, new)
    readme.write_text(before)
    assert run("--write", readme, conf) == 1
    assert message in capsys.readouterr().err
    assert readme.read_text() == before


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("ratio: 1", "has no _target_"),
        ("_target_: vsd.nowhere.Pruner", "cannot be imported"),
        ("_target_: vsd.pruners.base.Nothing", "cannot be imported"),
        ("_target_: vsd.commands.catalogue.CatalogueError.missing", "cannot be imported"),
    ],
)
def test_bad_yaml_is_named(conf: Path, yaml: str, message: str) -> None:
    (conf / "pruner" / "bad.yaml").write_text(yaml)
    with pytest.raises(CatalogueError, match=message):
        entries("pruner", conf)


def test_a_missing_page_or_group_is_named(readme: Path, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = readme.read_text()
    readme.unlink()
    assert run("--check", readme, conf) == 1
    assert "there is no" in capsys.readouterr().err
    readme.write_text(text)
    conf.rename(conf.with_name("none"))
    assert run("--check", readme, conf) == 1
    assert "no YAML files" in capsys.readouterr().err


def test_every_parallel_schedule_of_the_project_has_a_text_of_its_own() -> None:
    rows = {row.name.partition("=")[2]: row for row in entries("parallelism", ROOT / "conf")}
    assert rows["pearl"].papers == ("2408.11850",)
    assert rows["hippo"].papers == ("2601.08273", "2408.11850")
    assert rows["parallelvlm"].papers == ("2603.19610", "2408.11850")
    assert rows["pearl"].does == (
        "While the target verifies a window, the draft writes the next one; a rejection throws it away."
    )
    assert rows["hippo"].differs.startswith("of the draft's prefill only its encoding of the video overlaps")
    assert len({row.does for row in rows.values()}) == len(rows)


def test_every_pruner_of_the_project_has_a_row() -> None:
    rows = {row.name: row for row in entries("pruner", ROOT / "conf")}
    assert rows["pruner=hippo"].papers == ("2601.08273",)
    assert all(row.differs for row in rows.values() if row.papers)
