"""A page taken apart: its elements, with their attributes and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})


@dataclass
class Element:
    """An element, and what is in it in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, on one line."""
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        """All text in it as it stands."""
        return "".join(each if isinstance(each, str) else each.raw for each in self.inside)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def all(self, tag: str = "", of_class: str = "") -> list[Element]:
        """The elements below of this tag and class, in order."""
        found = list[Element]()
        for each in self.inside:
            if isinstance(each, Element):
                if tag in ("", each.tag) and (not of_class or of_class in each.classes):
                    found.append(each)
                found += each.all(tag, of_class)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read(text: str) -> Element:
    """The page; every element in it is closed by its own tag."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.open[0]


def rows(table: Element) -> list[list[str]]:
    """The cells of a table's rows, heads included."""
    return [[cell.text for cell in [*row.all("th"), *row.all("td")]] for row in table.all("tr")]
