"""Layers that are known by name, and that nothing here computes: refused in words, and never called unknown."""

from __future__ import annotations

from converters.readers.arrays.recognition import plain
from layouts import catalogue
from layouts.catalogue import Shapes
from layouts.errors import NotRepresentable
from layouts.refused import Refused


class Refusals:
    """What a framework declares as `REFUSED`."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._rows = catalogue.refused(framework)
        self._names = {name for row in self._rows for name in row.arrays}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def check(self, path: str, shapes: Shapes) -> None:
        """Raise `NotRepresentable` for the arrays of such a layer: its path is named after it, or nothing else fits."""
        own = plain(path.replace(".", "/").rpartition("/")[2])
        having = [row for row in self._rows if {*shapes} <= {*row.arrays}]
        named = [row for row in having if plain(row.class_name) == own]
        if not named and having and catalogue.names(self._framework).of_all(shapes):
            return
        for row in named or having:
            raise NotRepresentable(f"{self._framework} {row.class_name}: {_reason(row)}", layer=path)


def _reason(row: Refused) -> str:
    return f"{row.why}, which no module of torch.nn or converters.nn computes"
