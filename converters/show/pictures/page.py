"""The page around pictures: one file that asks for nothing else, runs nothing, and says so to the browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converters.show.pictures.elements import Element, element, html
from converters.show.pictures.style import DRAWING, PAGE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, content: Iterable[Element | None]) -> str:
    """A whole page as text. Its policy lets no browser load or run anything, whatever the names in it are."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", DRAWING + PAGE),
    )
    return html(element("html", head, element("body", element("main", *content)), lang="en"))


def scrolling(drawing: Element) -> Element:
    """A drawing that may be wider than the page."""
    return element("div", drawing, class_="scroll")


def beside(drawing: Element, *words: Element | None) -> Element:
    """A drawing, and words at its right where there is room, else below."""
    return element("div", scrolling(drawing), element("div", *words, class_="words"), class_="beside")


def listed(items: Sequence[str], kind: str = "") -> Element | None:
    """A list of sentences; nothing where there are none."""
    return element("ul", *(element("li", item) for item in items), class_=kind or None) if items else None


def table(columns: Sequence[str], rows: Iterable[Sequence[Element | str]]) -> Element:
    """A table; a cell is text or an element."""
    head = element("tr", *(element("th", column) for column in columns))
    body = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    return element("table", element("thead", head), element("tbody", *body))
