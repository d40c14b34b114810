"""Runs docs/first_look.ipynb again and stores its outputs: ``python -m experiments.notebook``

What the machine would leave in it is removed: versions, times of cells, and warnings. A cell that prints a path of the
machine fails `tests/test_notebook.py`.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FILE = Path(__file__).resolve().parents[1] / "docs" / "first_look.ipynb"


def main() -> None:
    book = nbformat.read(FILE, as_version=4)
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(FILE.parent)}}).execute()
    strip(book)
    nbformat.write(book, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB")


def strip(book: NotebookNode) -> None:
    """Leave what every machine has."""
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in book.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]


if __name__ == "__main__":
    main()
