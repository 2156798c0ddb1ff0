"""What goes wrong with what a layer with weights gives: its activation, steps, states, directions, mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.verification.evaluate import run
from converters.verification.functions import activate
from converters.verification.mistakes.operations import FUNCTIONS, Row
from layouts.errors import printable

Array = np.ndarray[Any, Any]


def of_layer(node: Node, layer: Layer, x: Sequence[Array], y: Array, mask: Array | None) -> Iterator[Row]:
    """Every known mistake at a node with weights, whose inputs and output are x and y."""
    name = printable(node.name)
    function = layer.call.activation or "linear"
    bare = replace(layer, call=replace(layer.call, activation="linear"))
    if function != "linear":
        yield (
            f"the activation {function} of {name} is missing",
            f"apply {function} to its output",
            lambda: _again(node, bare, x, mask),
        )
    if not layer.recurrent:
        for other in FUNCTIONS:
            if other != function:
                yield (
                    f"the activation of {name} is {other}, and the source has {function}",
                    f"apply {function} to its output",
                    lambda other=other: activate(_again(node, bare, x, mask), op.Activation(other)),  # type: ignore[misc]
                )
        return
    yield from _of_recurrent(node, layer, x, y, mask)


def _again(node: Node, layer: Layer, x: Sequence[Array], mask: Array | None, output: int = 0) -> Array:
    return run(replace(node, layer=layer), x, mask)[output]


def _of_recurrent(node: Node, layer: Layer, x: Sequence[Array], y: Array, mask: Array | None) -> Iterator[Row]:
    name, call = printable(node.name), layer.call

    def other(x: Sequence[Array] = x, mask: Array | None = mask, output: int = 0, **settings: Any) -> Array:
        return _again(node, replace(layer, call=replace(call, **settings)), x, mask, output)

    if call.merge and call.sequences is False:
        yield (
            f"the last step y[:, -1] of {name} is taken for the last output of its backward half, which is y[:, 0]",
            f"torch.cat([h_n[-2], h_n[-1]], dim=-1): h_n of {name}, and not y[:, -1]",
            lambda: other(sequences=True)[:, -1],
        )
        yield (
            f"the first step y[:, 0] of {name} is taken for the last output of its forward half",
            f"torch.cat([h_n[-2], h_n[-1]], dim=-1): h_n of {name}",
            lambda: other(sequences=True)[:, 0],
        )
    if call.sequences is False:
        yield f"all steps of {name} go on, and not the last one", "y[:, -1]", lambda: other(sequences=True)
        yield f"the first step of {name} goes on", "y[:, -1]", lambda: other(sequences=True)[:, 0]
        yield f"the mean of the steps of {name} goes on", "y[:, -1]", lambda: other(sequences=True).mean(axis=1)
        yield f"the largest of the steps of {name} goes on", "y[:, -1]", lambda: other(sequences=True).max(axis=1)
        if layer.parts[0].cell.name == "lstm":
            yield (
                f"the cell state c_n of {name} goes on, and not its output h_n",
                "y, (h_n, c_n) = lstm(x): h_n[-1]",
                lambda: _states(node, layer, x, mask)[1],
            )
    for merge in ("concat", "sum", "mul", "ave"):
        if call.merge and merge != call.merge:
            yield (
                f"the directions of {name} are merged by {merge}, and in the source by {call.merge}",
                _MERGED.get(call.merge, "merge as the source does"),
                lambda merge=merge: other(merge=merge),  # type: ignore[misc]
            )
    if call.merge == "concat":
        yield (
            f"the halves of {name} are exchanged",
            "torch.cat([forward, backward], dim=-1)",
            lambda: np.concatenate(np.split(y, 2, axis=-1)[::-1], axis=-1),
        )
    for way in ("forward", "backward", "reverse"):
        if way != call.direction:
            yield (
                f"{name} runs {way}, and in the source {call.direction}",
                _DIRECTIONS[call.direction],
                lambda way=way: other(direction=way),  # type: ignore[misc]
            )
    if mask is not None:
        yield from _of_mask(name, call, other, mask)
    if len(x) > 1:
        yield (
            f"the initial states of {name} are not handed on: it starts from zeros",
            "pass them: module(x, (h_0, c_0))",
            lambda: other(x=x[:1]),
        )
        yield (
            f"h and c of the initial states of {name} are exchanged",
            "nn.LSTM takes (h_0, c_0)",
            lambda: other(x=[x[0], *(x[1:][k ^ 1] for k in range(len(x) - 1))]),
        )


def _of_mask(name: str, call: Call, other: Callable[..., Array], mask: Array) -> Iterator[Row]:
    yield (
        f"the mask of {name} is ignored: masked steps are read like the others",
        "pack the steps of the mask before it: pack_padded_sequence, or take them out where they have gaps",
        lambda: other(mask=None),
    )
    yield (
        f"masked steps of {name} give {'the last output' if call.zeros_where_masked else 'zeros'}, and in the source "
        f"{'zeros' if call.zeros_where_masked else 'the last output again'}",
        "fill the masked steps as the source does",
        lambda: other(zeros_where_masked=not call.zeros_where_masked),
    )
    if call.sequences is False:
        yield (
            f"the last step of {name} is taken, though it is masked and padded with zeros",
            "take h_n, or the last step that is not masked",
            lambda: other(zeros_where_masked=True, sequences=True)[:, -1],
        )
    ends = np.arange(mask.shape[1]) < mask.sum(axis=1)[:, None]
    yield (
        f"the first steps of {name} are read, as many as the mask has, though it has gaps or starts later",
        "take the steps of the mask, and not the first ones",
        lambda: other(mask=ends),
    )


_MERGED = {
    "concat": "torch.cat([forward, backward], dim=-1)",
    "sum": "forward + backward",
    "mul": "forward * backward",
    "ave": "(forward + backward) / 2",
}
_DIRECTIONS = {
    "forward": "give it the sequence as it is",
    "backward": "module(x.flip(1)), and leave its outputs in the order in which it makes them",
    "reverse": "module(x.flip(1)), and flip its outputs back",
}


def _states(node: Node, layer: Layer, x: Sequence[Array], mask: Array | None) -> list[Array]:
    """The final states of a recurrent layer of one direction: h, and c."""
    found = run(replace(node, layer=replace(layer, call=replace(layer.call, states=True, merge=""))), x, mask)
    return found[1:]
