"""The documentation's tables: of methods, written from the docstrings of what the YAML files point at, of metrics, and
of the columns of a run's tables.
Options that are settings of one class are told apart by the comments that their files begin with.

`vsd catalogue --write` brings the tables up to date; `--check` exits 1 when they are not. A table stands between
`<!-- catalogue:NAME -->` and `<!-- /catalogue -->`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from omegaconf import OmegaConf

from vsd.metrics import METRICS, metric_of
from vsd.metrics.registry import FAMILIES
from vsd.run.results.columns import ROUNDS, SAMPLES, TOKENS, Column

GROUPS = ("pruner", "drafter", "verifier", "parallelism", "executor")
PAGES: dict[str, tuple[str, ...]] = {
    "docs/methods.md": GROUPS,
    "docs/metrics.md": ("metrics",),
    "docs/run-folder.md": ("samples", "rounds", "tokens"),
}
"""The tables of each page."""
ROOT = Path(__file__).resolve().parents[2]
CLOSE = "<!-- /catalogue -->"
_SENTENCE = re.compile(r".*?[.!?](?=\s|$)")
_ARXIV = re.compile(r"\b\d{4}\.\d{4,5}\b")
_DIFFERS = re.compile(r"differs from the paper in:\s*(.*)", re.IGNORECASE)


class CatalogueError(Exception):
    """The tables cannot be written or are not current; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row: the option's name in its group and what is said of it."""

    name: str
    does: str
    papers: tuple[str, ...]
    differs: str


def describe(name: str, text: str) -> Entry:
    """The row of a method. Raises CatalogueError when the text has no first sentence that ends in a full stop."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", inspect.cleandoc(text))]
    sentence = _SENTENCE.match(paragraphs[0])
    if sentence is None:
        raise CatalogueError(f"{name}: its text must begin with one sentence that ends in a full stop")
    papers = tuple(dict.fromkeys(_ARXIV.findall(" ".join(paragraphs))))
    differs = next((match[1] for part in paragraphs if (match := _DIFFERS.search(part))), "")
    return Entry(name=name, does=sentence[0], papers=papers, differs=differs)


def entries(group: str, conf: Path) -> list[Entry]:
    """A row for each YAML file of the group, by name. Raises CatalogueError for a file that leads to no docstring."""
    files = sorted((conf / group).glob("*.yaml"))
    if not files:
        raise CatalogueError(f"there are no YAML files in {conf / group}")
    made = {file: _target(file) for file in files}
    count = Counter(made.values())
    texts = {file: _docstring(file, target) if count[target] == 1 else _comment(file) for file, target in made.items()}
    return [describe(f"{group}={file.stem}", text) for file, text in texts.items()]


def _target(file: Path) -> str:
    """The class that a YAML points at."""
    config = OmegaConf.to_container(OmegaConf.load(file))
    target = config.get("_target_") if isinstance(config, dict) else None
    if not isinstance(target, str):
        raise CatalogueError(f"{file} has no _target_")
    return target


def _comment(file: Path) -> str:
    """The comment that a YAML begins with; what it differs in is a paragraph of its own."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    text = "\n".join(line.removeprefix("#").strip() for line in lines)
    if not text:
        raise CatalogueError(f"{file} must begin with a comment, since another option has its class")
    return _DIFFERS.sub(r"\n\n\g<0>", text)


def _docstring(file: Path, target: str) -> str:
    module, _, name = target.rpartition(".")
    try:
        docstring = getattr(importlib.import_module(module), name).__doc__
    except (ImportError, AttributeError, ValueError) as error:
        raise CatalogueError(f"{file} points at {target}, which cannot be imported: {error}") from error
    if not docstring:
        raise CatalogueError(f"{target} ({file}) has no docstring")
    return str(docstring)


def table(rows: Sequence[Entry]) -> str:
    """The rows as a Markdown table."""
    lines = ["| option | what it does | paper | differs from the paper in |", "|---|---|---|---|"]
    for row in rows:
        papers = ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in row.papers)
        cells = (f"`{row.name}`", _cell(row.does), papers or "–", _cell(row.differs) or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def metrics_table() -> str:
    """Every metric as a Markdown table; of those whose names depend on the run a few examples."""
    examples = [metric_of(name) for family in FAMILIES for name in family.examples]
    lines = ["| metric | in tables | better | formula |", "|---|---|---|---|"]
    for metric in sorted((*METRICS.values(), *filter(None, examples)), key=lambda metric: metric.name):
        lines.append(f"| `{metric.name}` | {metric.label} | {metric.better} | {_cell(metric.formula)} |")
    return "\n".join(lines)


def columns_table(columns: Sequence[Column]) -> str:
    """The columns of a run's table as a Markdown table."""
    lines = ["| column | unit | what it says |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {each.unit or '–'} | {_cell(each.says)} |" for each in columns]
    return "\n".join(lines)


OTHERS: dict[str, Callable[[], str]] = {
    "metrics": metrics_table,
    "samples": partial(columns_table, SAMPLES),
    "rounds": partial(columns_table, ROUNDS),
    "tokens": partial(columns_table, TOKENS),
}
"""The tables that are of no group."""


def updated(page: str, names: Sequence[str], conf: Path) -> str:
    """The page's text with current tables of these names. Raises CatalogueError when a marker is missing."""
    for name in names:
        start, end = _between(page, name)
        current = OTHERS[name]() if name in OTHERS else table(entries(name, conf))
        page = f"{page[:start]}\n{current}\n{page[end:]}"
    return page


def _between(page: str, name: str) -> tuple[int, int]:
    opening = f"<!-- catalogue:{name} -->"
    if opening not in page:
        raise CatalogueError(f"the page has no marker {opening}")
    start = page.index(opening) + len(opening)
    end = page.find(CLOSE, start)
    if end < 0 or "<!-- catalogue:" in page[start:end]:
        raise CatalogueError(f"the page's marker {opening} is not closed by {CLOSE}")
    return start, end


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks the tables; 0 when they are current, 1 with a message when they are not."""
    parser = argparse.ArgumentParser(prog="vsd catalogue", description="The documentation's tables.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="bring the tables up to date")
    action.add_argument("--check", action="store_true", help="exit 1 when they are not up to date")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the checkout")
    options = parser.parse_args(arguments)
    try:
        for page, names in PAGES.items():
            _run(options.root / page, names, options.root / "conf", write=options.write)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(page: Path, names: Sequence[str], conf: Path, *, write: bool) -> None:
    if not page.is_file():
        raise CatalogueError(f"there is no {page}")
    old = page.read_text(encoding="utf-8")
    new = updated(old, names, conf)
    if new == old:
        return
    if not write:
        raise CatalogueError(f"the tables of {page} are not current: run vsd catalogue --write")
    page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
