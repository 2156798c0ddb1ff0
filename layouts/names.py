"""The names of arrays, indexed: which layouts of a framework have an array of this name, for which direction and layer.

So a layer's layouts, directions and depth follow from the names of its arrays, and nothing has to be tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from string import Formatter
from typing import NamedTuple

from layouts.layout import DIRECTIONS, Layout

_NUMBER = re.compile(r"\d{1,6}")
_ANY = "{layer}"
"""What stands in the index where a name has the number of a layer."""


class Role(NamedTuple):
    """What an array of this name is in one layout; `direction` and `layer` only where the name tells them."""

    layout: Layout
    direction: str | None = None
    layer: int | None = None


class Names:
    """The arrays of these layouts by name."""

    def __init__(self, layouts: Iterable[Layout], others: Iterable[str] = ()) -> None:
        """`others` are names that belong to layers without a layout."""
        self._roles: dict[str, list[Role]] = {}
        self._others = frozenset(others)
        for layout in layouts:
            for form, role in _forms(layout):
                self._roles.setdefault(form, []).append(role)

    def roles(self, name: str) -> Iterator[Role]:
        """Every role that an array of this name may have, in the order of the layouts."""
        yield from self._roles.get(name, ())
        for number in _NUMBER.finditer(name):
            form = f"{name[: number.start()]}{_ANY}{name[number.end() :]}"
            yield from (role._replace(layer=int(number[0])) for role in self._roles.get(form, ()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._others or next(self.roles(name), None) is not None)

    def of_all(self, names: Iterable[str]) -> Mapping[Layout, list[Role]]:
        """The layouts that have an array of each of these names, and what each is in them."""
        found: dict[Layout, list[Role]] = {}
        for number, name in enumerate(names):
            roles = {role.layout: role for role in self.roles(name)}
            known = found if number else dict.fromkeys(roles, ())
            found = {layout: [*known[layout], role] for layout, role in roles.items() if layout in known}
        return found


def _forms(layout: Layout) -> Iterator[tuple[str, Role]]:
    """Every name of a layout's arrays with its labels spelled, but for the number of a layer."""
    values = layout.labels(DIRECTIONS)
    for template in layout.arrays:
        words = [word for _, word, _, _ in Formatter().parse(template) if word]
        for choice in product(*((_ANY,) if word == "layer" else values[word] for word in words)):
            labels = dict(zip(words, choice, strict=True))
            spelled = {word: layout.spelling.get(word, {}).get(value, value) for word, value in labels.items()}
            yield template.format(**spelled), Role(layout, labels.get("direction"))
    yield from ((name, Role(layout)) for name in layout.passed_over)
