"""A run or a sweep as one HTML file: everything is inside, nothing is loaded, nothing of it is a program.

Its size is bounded: clips and frames together (`media.PAGE_BYTES`), the number of samples, charts, their rows, and the
letters of texts. Only the table and the commands grow with the runs, by a line each. A part that cannot be made is left
out, and the page says so: damaged files are no reason to see nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vsd.run.html import charts, choice, numbers, origin, samples, troubles
from vsd.run.html.names import Names
from vsd.run.report.printable import printable
from vsd.run.results.run import Run, common_folder
from vsd.run.results.table import MARKED
from vsd.utils.validation import reason

log = logging.getLogger(__name__)
Part = TypeVar("Part")
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # texts and names of files are anybody's
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(runs: Sequence[Run], *, columns: Sequence[str], count: int = choice.SAMPLES) -> str:
    """The page of these runs, as text. `columns` are the metrics of the table of several runs, `count` how many samples
    are shown at most."""
    missing, names, alone = list[str](), Names(runs), len(runs) == 1

    def made(what: str, make: Callable[[], Part], otherwise: Part) -> Part:
        try:
            return make()
        except Exception as error:  # of damaged files anything may come
            log.debug("%s", what, exc_info=True)
            missing.append(printable(f"{what}: {reason(error)}"))
            return otherwise

    def lines() -> list[tuple[str, Markup]]:
        return numbers.lines_of_run(runs[0]) if alone else numbers.lines_of_runs(runs, names)

    nothing = list[Any]
    found = made("samples", lambda: samples.cards(choice.chosen(runs, count), names, alone=alone), nothing())
    wrong, more_wrong = made("failures", lambda: troubles.troubles(runs, names), (nothing(), 0))
    parts: dict[str, Any] = {
        "title": printable(str(runs[0].folder.resolve() if alone else common_folder(runs))),
        "kind": "run" if alone else f"{len(runs)} runs",
        "when": made("times", lambda: origin.times(runs), ""),
        "lines": made("headline", lines, nothing()),
        "table": made("table", lambda: numbers.table_of_runs(runs, names, columns), None),
        "marked": MARKED,
        "numbers": made("numbers", lambda: numbers.numbers_of_run(runs[0]), nothing()) if alone else [],
        "charts": [chart for draw in charts.charts(runs, names) for chart in made("a picture", draw, nothing())],
        "cards": found,
        "shown": sum(len(card.shown) for card in found),
        "decoded": len([record for run in runs for record in run.records if record.done]),
        "troubles": wrong,
        "more_troubles": more_wrong,
        "origins": made("provenance", lambda: origin.origins(runs, names), nothing()),
        "commands": made("commands", lambda: origin.commands(runs, names), nothing()),
    }
    return _ENVIRONMENT.get_template("page.html.jinja").render(**parts, missing=missing)
