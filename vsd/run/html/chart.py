"""A matplotlib figure inside a page: it takes the page's colour of text, light or dark, and reads on a phone."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

_INK = "#010203"  # stands for the page's own colour of text
GREY = "#7f8c8d"
COLOURS = ("#3d85c6", "#e08214", "#1b9e77", "#d6496b", "#9467bd", "#5ab4d6", "#a6761d", GREY, "#c9b458")
"""Of lines and bars: each can be told from a white and from a black page, and from its neighbours."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawn figure, with what stands above and below it."""

    title: str
    svg: Markup
    note: str = ""


@contextmanager
def page_style() -> Iterator[None]:
    """Within, figures are made for a page: draw and `inline` them here."""
    from cycler import cycler
    from matplotlib import rc_context

    with rc_context(
        {
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "grid.color": _INK,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.axisbelow": True,
            "axes.facecolor": "none",
            "font.size": 11,
            "xtick.labelsize": "small",
            "ytick.labelsize": "small",
            "figure.facecolor": "none",
            "svg.fonttype": "none",  # text stays text: smaller, and it can be found and read out
            "svg.hashsalt": "vsd",  # the same figure is the same text
            "text.parse_math": False,  # a $ in the name of a file is a $
        }
    ):
        yield


def inline(figure: Any, label: str) -> Markup:
    """The figure as an SVG element that is as wide as what it stands in. `label` is read out in its place."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', text)
    body = text[text.index(">") + 1 :].replace(_INK, "currentColor")
    head = Markup('<svg role="img" aria-label="{}" xmlns:xlink="http://www.w3.org/1999/xlink" ').format(label)
    return head + Markup(f"{view[0] if view else ''}>{body}")
