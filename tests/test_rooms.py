"""The rooms of vsd (its packages and the modules beside them) import each other in one direction only."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vsd"
Chart = dict[str, set[str]]
"""By room, those that it imports from."""


def imported(source: str, module: str) -> set[str]:
    """The modules of vsd that this source of a module imports, wherever it does so, but for type checking alone."""
    tree = ast.parse(source)
    unread = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set[str]()
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute"
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return {name for name in found if name.startswith("vsd.")}


def room(module: str) -> str:
    """The first part of the name within vsd. What trains the bundled models lies in their folder, but is a room of its
    own: it uses the engine, which can load those models."""
    return "zoo.training" if module.startswith("vsd.zoo.training") else module.split(".")[1]


def chart() -> Chart:
    rooms: Chart = defaultdict(set)
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        if module == "vsd.__init__":  # shows at the front door what the rooms hold
            continue
        rooms[room(module)] |= {room(each) for each in imported(file.read_text(), module)} - {room(module)}
    return rooms


def circles(rooms: Chart) -> Iterator[list[str]]:
    """For each room from which a way leads back to it, the shortest such way."""
    for start in sorted(rooms):
        ways, seen = [[start]], set[str]()
        while ways:
            way = ways.pop(0)
            for after in sorted(rooms.get(way[-1], ())):
                if after == start:
                    yield [*way, start]
                    ways.clear()
                    break
                if after not in seen:
                    seen.add(after)
                    ways.append([*way, after])


def test_the_chart_knows_the_project() -> None:
    rooms = chart()
    assert {"engine", "models", "pruners", "run", "commands", "types", "utils"} <= set(rooms)
    assert {"models", "parallelism", "executors", "session", "draft"} <= rooms["engine"]


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert [" -> ".join(way) for way in circles(chart())] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import vsd.engine\nfrom vsd.models import load\nimport os", {"vsd.engine", "vsd.models.load"}),
        ("def f():\n    from vsd.run import app", {"vsd.run.app"}),
        ("if TYPE_CHECKING:\n    from vsd.run import app\nelse:\n    import vsd.types", {"vsd.types"}),
    ],
)
def test_what_counts_as_an_import(source: str, found: set[str]) -> None:
    assert imported(source, "vsd.a.b") == found


def test_a_circle_is_found() -> None:
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()})) == [["b", "c", "b"], ["c", "b", "c"]]
