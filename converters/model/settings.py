"""How a model calls a layer, and where it stands; typed and neutral. What it computes is told by `layouts.options`.

A reader fills these from whatever its framework says; planning, notes and tables read them and no framework's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layouts.records import dataclass, fields


@dataclass(frozen=True)
class Call:
    """How a model calls a layer.

    sequences: True gives the output of every step, False the last one; None where the source gives all there is.
    states: the final states are outputs too.
    direction: "forward"; "backward" reads from the end and gives outputs in the order in which it makes them; "reverse"
        reads from the end and gives outputs in the order of its input.
    merge: how two directions become one output: "concat", "sum", "mul", "ave", "pair", or "stacked" on an axis of its
        own; "" for one direction.
    time_axis: 1 after the batch, 0 before it.
    masked: a mask reaches the layer; zeros_where_masked: masked steps give zeros, and do not repeat the last output.
    lengths: the length of every sequence is an input.
    initial_h, initial_c: where an initial state comes from: "", "input", or "stored" with the model.
    stateful: the states of one batch are those from which the next one starts.
    cell: the weights carry the names of a cell, called step by step; single_step: it is called for one step alone.
    steps: how many steps are written out, 0 where it runs as long as its input.
    recurrent_dropout: its rate, which acts in training alone.
    each_step: a layer that knows no time runs on every step.
    padding_index: index 0 means that there is no step, and makes the mask.
    activation: what is applied to the output.
    """

    sequences: bool | None = None
    states: bool = False
    direction: str = "forward"
    merge: str = ""
    time_axis: int = 1
    masked: bool = False
    zeros_where_masked: bool = False
    lengths: bool = False
    initial_h: str = ""
    initial_c: str = ""
    stateful: bool = False
    cell: bool = False
    single_step: bool = False
    steps: int = 0
    recurrent_dropout: float = 0.0
    each_step: bool = False
    padding_index: bool = False
    activation: str = "linear"

    @property
    def initial(self) -> dict[str, str]:
        """The initial states that are not zero, by name, and where each comes from."""
        told = {"initial_h": self.initial_h, "initial_c": self.initial_c}
        return {name: where for name, where in told.items() if where}


@dataclass(frozen=True)
class Wiring:
    """Where a layer stands in its model.

    fed_by: the layers it reads from, past those that do nothing at inference; None where the model does not tell.
    rank: the number of axes of its input, batch included, where that is certain.
    flattened: the sizes (…, channel) of the channels-last feature map that was flattened into its input.
    reshaped: a feature map reaches it in a way that was not followed.
    stacks_on: the layer whose outputs it reads exactly as a stack of the two would.
    reads, gives: the values of a graph that go in and come out; empty where the model is no graph of values.
    transposed: they have the time first, between transpositions of the graph that belong to the layer.
    """

    fed_by: tuple[str, ...] | None = None
    rank: int | None = None
    flattened: tuple[int, ...] = ()
    reshaped: bool = False
    stacks_on: str = ""
    reads: str = ""
    gives: tuple[str, ...] = ()
    transposed: bool = False

    @property
    def is_node(self) -> bool:
        """Whether the layer is a node of a graph of values, and what is around it is the caller's."""
        return bool(self.gives)


def told(settings: Any, *, but: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The fields of a dataclass of settings that are not as usual: name and value."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value != field.default and field.name not in but:
            yield field.name, value
