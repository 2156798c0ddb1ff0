"""Reads a page as a browser would, and complains of what is not well-formed or would ask for something."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta"}
LOADS = {"src", "srcset", "action", "data", "poster", "background", "formaction", "xlink:href"}
"""Attributes by which a page asks for something or sends something."""


class Markup(HTMLParser):
    """What a page is made of: its tags with their attributes, its texts in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str, **attributes: str) -> int:
        """How many elements have this tag and these attributes; class as one of several words."""
        return sum(name == tag and all(_has(found, *pair) for pair in attributes.items()) for name, found in self.tags)

    def with_attribute(self, name: str) -> list[str]:
        return [found[name] or "" for _, found in self.tags if name in found]


def _has(found: dict[str, str | None], name: str, value: str) -> bool:
    return value in (found.get(name.rstrip("_")) or "").split()


def expect_harmless(markup: Markup) -> None:
    """Raise where a page would run something, load something, or leave itself."""
    assert {"script", "iframe", "object", "embed", "link", "base", "form", "img", "image", "use", "foreignobject"} & {
        tag for tag, _ in markup.tags
    } == set()
    names = {name for _, found in markup.tags for name in found}
    assert names & LOADS == set() and [name for name in names if name.startswith("on")] == []
    assert [link for link in markup.with_attribute("href") if not link.startswith("#")] == []
    styles = [*markup.with_attribute("style"), *(text for text in markup.texts if "{" in text and "fill:" in text)]
    assert [style for style in styles if "url(" in style or "@import" in style] == []
    targets = set(markup.with_attribute("id"))
    assert {link[1:] for link in markup.with_attribute("href")} <= targets
