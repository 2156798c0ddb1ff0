"""Markup as a tree of the standard library's: every name and every text is escaped, wherever it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import east_asian_width
from xml.etree import ElementTree

from layouts.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

Element = ElementTree.Element
NAMESPACE = "http://www.w3.org/2000/svg"


def element(tag: str, *content: Element | str | None, **attributes: str | float | None) -> Element:
    """An element; underscores in the names of attributes are hyphens, and `class_` is class. None is left out.

    Texts are made safe to show: control characters and what turns the direction of writing are spelled out.
    """
    told = {_name(key): _text(value) for key, value in attributes.items() if value is not None}
    made = ElementTree.Element(tag, told)
    for each in content:
        if isinstance(each, str):
            _append(made, safe(each))
        elif each is not None:
            made.append(each)
    return made


def _append(made: Element, text: str) -> None:
    """Text behind what the element holds already."""
    if len(made):
        made[-1].tail = (made[-1].tail or "") + text
    else:
        made.text = (made.text or "") + text


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-") if key != "viewBox" else key


def _text(value: str | float) -> str:
    return safe(value) if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def safe(text: str) -> str:
    """A text without characters that no markup may hold or that hide others; lines and blanks stay."""
    return "".join(c if c.isprintable() or c == "\n" else printable(c) for c in text)


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide a text is at most in a common font of this size, bold or not; no font is asked."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if east_asian_width(character) in "WF":
        return 1.1
    if character in "ijlrtfI.,:;'|!()[] ":
        return 0.45
    if character in "mwMW@%&…—":
        return 1.1
    return 0.74 if character in '_-="' or (character.isalnum() and not character.isupper()) else 0.88


def short(text: str, room: float, size: float = 12.0) -> str:
    """A text that is about as wide as there is room for, its end cut off where it must be."""
    if text_width(text, size) <= room:
        return text
    room -= text_width("…", size)
    for kept, character in enumerate(text):
        room -= text_width(character, size)
        if room < 0:
            return f"{text[:kept]}…"
    return text


def html(root: Element) -> str:
    """A whole page as text."""
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"


def svg(width: float, height: float, content: Iterable[Element], title: str = "", **attributes: str) -> Element:
    """A drawing of this size in pixels; `title` is what a reader of the page aloud says."""
    label = {"role": "img", "aria-label": title} if title else {}
    size = {"width": number(width), "height": number(height), "viewBox": f"0 0 {number(width)} {number(height)}"}
    made = ElementTree.Element("svg", size | label | {key.rstrip("_"): value for key, value in attributes.items()})
    made.extend(content)
    return made


def alone(drawing: Element, style: str) -> str:
    """A drawing as the text of a file of its own, on its own paper, with its style inside."""
    drawing.set("xmlns", NAMESPACE)
    paper = element("rect", width=drawing.get("width"), height=drawing.get("height"), class_="paper")
    drawing[:0] = [element("style", style), paper]
    return ElementTree.tostring(drawing, encoding="unicode") + "\n"
