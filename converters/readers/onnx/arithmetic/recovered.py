"""A layer that was recovered from arithmetic, as it is handed on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converters.model.arrays import LazyArray
from converters.model.settings import Call, Wiring
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.layout import Layout
from layouts.options import Recurrence
from layouts.records import dataclass


@dataclass(frozen=True, eq=False)
class Recovered:
    """A recurrent layer that a file has as arithmetic: its arrays, how the graph calls it, the values that go in and
    out. `nodes` are those that it stands for; `stored` are the names of the arrays that it holds.

    `starts` are the values of its initial states, '' for zeros; `mask` is that of its steps; `between` are the values
    of h after each step that is written out.
    """

    layout: Layout
    arrays: Mapping[str, LazyArray]
    options: Recurrence
    call: Call
    wiring: Wiring
    nodes: tuple[Node, ...]
    stored: tuple[str, ...]
    starts: tuple[str, ...] = ()
    mask: str = ""
    between: tuple[str, ...] = ()


def initial_states(node: Node, starts: Iterable[str]) -> list[str]:
    """Where the initial states, h or h and c, come from: "" for zeros, "stored" for other constants, else "input"."""
    found = [
        "" if not start or is_zero(node, start) else "stored" if node.scope.is_constant(start) else "input"
        for start in starts
    ]
    return [*found, *[""] * (2 - len(found))]
