"""docs/first_look.ipynb runs, and what it stores is of its own making and of no machine."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

FILE = Path(__file__).resolve().parents[1] / "docs" / "first_look.ipynb"
PATH = re.compile(r"(?<![\w.<:/])/(?:[\w.-]+/)+[\w.-]*|[A-Za-z]:\\\\|site-packages|\.venv|\.pyenv")
"""An absolute path, of Unix or of Windows, or a part of one."""


@pytest.fixture
def book() -> NotebookNode:
    found: NotebookNode = nbformat.read(FILE, as_version=4)
    return found


def test_every_cell_runs(book: NotebookNode) -> None:
    """A cell that raises fails this; the sweep and the run folders in it are held equal by a cell of its own."""
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(FILE.parent)}}).execute()
    pictures = [each for cell in book.cells for each in cell.get("outputs", ()) if "image/png" in each.get("data", {})]
    assert len(pictures) == 3


def test_the_stored_outputs_are_of_one_run(book: NotebookNode) -> None:
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [each for cell in code for each in cell.outputs]
    assert {each.output_type for each in outputs} == {"stream", "display_data", "execute_result"}
    assert {each.name for each in outputs if each.output_type == "stream"} == {"stdout"}
    coloured = [each.data["text/html"] for each in outputs if "<pre" in each.get("data", {}).get("text/html", "")]
    assert ["⟦" in html and "color: #008000" in html for html in coloured] == [False, True]
    assert "color: #008000" in coloured[0]


def test_nothing_of_a_machine_is_stored(book: NotebookNode) -> None:
    for cell in book.cells:
        assert cell.metadata == {}
        for each in cell.get("outputs", ()):
            shown = {
                "data": {k: v for k, v in each.get("data", {}).items() if k != "image/png"},
                "text": each.get("text"),
            }
            assert not PATH.findall(json.dumps(shown).replace("</", "<")), shown
    assert book.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/me/run", True),
        ("in '/tmp/x.png'", True),
        (r"C:\\\\Users", True),
        ("speed/decode", False),
        ("a / b", False),
    ],
)
def test_a_path_is_known_as_one(text: str, found: bool) -> None:
    assert bool(PATH.search(text)) == found


def test_it_is_small(book: NotebookNode) -> None:
    assert FILE.stat().st_size < 300_000
    for cell in book.cells:
        for each in cell.get("outputs", ()):
            assert len(b64decode(each.get("data", {}).get("image/png", ""))) < 60_000
