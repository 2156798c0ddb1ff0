"""What goes wrong between layers: each as the values that a node would have given, for the rest to be worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Graph, Node
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.verification.evaluate import Values, run
from converters.verification.functions import activate
from layouts.errors import ConversionError, printable

Array = np.ndarray[Any, Any]
FUNCTIONS = (
    "relu",
    "tanh",
    "sigmoid",
    "softmax",
    "hard_sigmoid_0.2",
    "hard_sigmoid_1/6",
    "elu",
    "gelu",
    "gelu_tanh",
    "silu",
    "softplus",
    "selu",
    "leaky_relu",
    "log_softmax",
    "softsign",
    "exponential",
)


@dataclass(frozen=True, eq=False)
class Slip:
    """A mistake at one node: what it gives instead. what, fix: as of a `Mistake`."""

    what: str
    fix: str
    node: Node
    made: Array


Make = Callable[[], Array]


def slips(graph: Graph, values: Values, nodes: Sequence[Node]) -> Iterator[Slip]:
    """Every known mistake at these nodes, the last of them first."""
    for node in reversed(nodes):
        for what, fix, make in _of(graph, values, node):
            try:
                with np.errstate(all="ignore"):
                    made = np.asarray(make())
            except (ValueError, IndexError, ConversionError):
                continue
            yield Slip(what, fix, node, made)


def carried(graph: Graph, values: Values, slip: Slip, wanted: str) -> Array | None:
    """The value of a name where one node gives something else; None where that cannot be carried on to it."""
    changed: Values = {slip.node.outputs[0]: slip.made}
    for node in graph.nodes:
        if wanted in changed:
            break
        reads = {*node.inputs, node.mask}
        if node is slip.node or not reads & changed.keys():
            continue
        mask = np.asarray(changed.get(node.mask, values.get(node.mask)), bool) if node.mask else None
        try:
            with np.errstate(all="ignore"):
                made = run(node, [changed.get(name, values[name]) for name in node.inputs], mask)
        except (ValueError, IndexError, ConversionError):
            return None
        changed.update(zip(node.outputs, made, strict=False))
    return changed.get(wanted)


Row = tuple[str, str, Make]


def _of(graph: Graph, values: Values, node: Node) -> Iterator[Row]:
    x = [values[name] for name in node.inputs]
    y = values[node.outputs[0]]
    name = printable(node.name)
    mask = np.asarray(values[node.mask], bool) if node.mask else None
    if node.layer is not None and isinstance(node.operation, op.Apply):
        yield from _of_layer(node, node.layer, x, y, mask)
    elif x:
        yield f"{name} ({printable(node.class_name)}) is missing", f"apply it: {_told(node.operation)}", lambda: x[0]
    for rule in _RULES.get(type(node.operation), ()):
        yield from rule(node, x, y)
    if node.mask and not isinstance(node.operation, op.Apply):
        yield f"the mask of {name} is ignored", "hand the mask on to it", lambda: run(node, x, None)[0]
    yield from _of_axes(name, y)
    yield from _of_others(graph, values, node, y)


def _told(operation: Any) -> str:
    return str(operation)


def _of_axes(name: str, y: Array) -> Iterator[Row]:
    """What is done to any value by mistake."""
    for function in FUNCTIONS:
        yield (
            f"{function} is applied to what {name} gives, and the source does not",
            f"leave {function} out",
            lambda function=function: activate(np.asarray(y, np.float64), op.Activation(function)),  # type: ignore[misc]
        )
    if y.ndim == 3:
        turned = (len(y), y.shape[2], y.shape[1])
        yield f"what {name} gives is reversed in time", "leave the flip out", lambda: y[:, ::-1]
        yield (
            f"steps and features of what {name} gives are exchanged",
            "permute(0, 2, 1) where channels go first, and back",
            lambda: y.swapaxes(1, 2),
        )
        yield (
            f"what {name} gives is reshaped where its axes have to be permuted",
            "permute(0, 2, 1), and not view or reshape",
            lambda: y.reshape(turned),
        )
        yield f"batch and time of what {name} gives are exchanged", "batch_first=True", lambda: y.swapaxes(0, 1)
        yield (
            f"batch and time of what {name} gives are reshaped into one another",
            "batch_first=True; transpose(0, 1), and not view or reshape",
            lambda: y.swapaxes(0, 1).reshape(y.shape),
        )
        yield f"only the last step of what {name} gives goes on", "hand on every step", lambda: y[:, -1]


def _of_others(graph: Graph, values: Values, node: Node, y: Array) -> Iterator[Row]:
    """Another value of the same shape in its place."""
    for other in graph.nodes:
        for output in other.outputs:
            if output not in node.outputs and values[output].shape == y.shape and values[output].dtype == y.dtype:
                yield (
                    f"what {printable(other.name)} gives stands where {printable(node.name)} belongs",
                    f"read the output of {printable(node.name)}",
                    lambda output=output: values[output],  # type: ignore[misc]
                )


def _of_layer(node: Node, layer: Layer, x: Sequence[Array], y: Array, mask: Array | None) -> Iterator[Row]:
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


def _pools(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    settings: Any = node.operation
    other = "average" if settings.how == "max" else "max"
    name = printable(node.name)
    yield (
        f"{name} takes the {other}, and in the source the {settings.how}",
        f"{settings.how} pooling",
        lambda: run(replace(node, operation=replace(settings, how=other)), x, None)[0],
    )


def _flat(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    name = printable(node.name)
    yield (
        f"{name} flattens a map with its channels first, and the source with its channels last",
        "y.movedim(1, -1).flatten(1), or permute the weights behind it",
        lambda: np.moveaxis(x[0], -1, 1).reshape(y.shape),
    )
    yield (
        f"{name} flattens a map with its channels last, and the source with its channels first",
        "y.movedim(-1, 1).flatten(1), or permute the weights behind it",
        lambda: np.moveaxis(x[0], 1, -1).reshape(y.shape),
    )


def _sides(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    yield (
        f"{printable(node.name)} takes its inputs in the other order",
        f"the order of the source: {', '.join(map(printable, node.inputs))}",
        lambda: run(node, x[::-1], None)[0],
    )


def _combined(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    settings: Any = node.operation
    for how in ("add", "subtract", "multiply", "average", "maximum", "minimum"):
        if how != settings.how:
            yield (
                f"{printable(node.name)} combines by {how}, and in the source by {settings.how}",
                f"{settings.how} the inputs",
                lambda how=how: run(replace(node, operation=op.Combine(how)), x, None)[0],  # type: ignore[misc]
            )


def _activated(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    settings: Any = node.operation
    for function in FUNCTIONS:
        if function != settings.function:
            yield (
                f"{printable(node.name)} is {function}, and in the source {settings.function}",
                f"apply {settings.function}",
                lambda function=function: activate(x[0], op.Activation(function)),  # type: ignore[misc]
            )
    for alpha in (0.01, 0.1, 0.2, 0.3, 1.0):
        if alpha != settings.alpha:
            yield (
                f"the number of {printable(node.name)} is {alpha}, and in the source {settings.alpha}",
                f"{settings.function} with {settings.alpha}",
                lambda alpha=alpha: activate(x[0], replace(settings, alpha=alpha)),  # type: ignore[misc]
            )


def _permuted(node: Node, x: Sequence[Array], y: Array) -> Iterator[Row]:
    yield (
        f"{printable(node.name)} reshapes where the axes have to be permuted",
        "permute, and not view or reshape",
        lambda: x[0].reshape(y.shape),
    )


_RULES: Mapping[type, Sequence[Callable[[Node, Sequence[Array], Array], Iterator[Row]]]] = {
    op.Pool: (_pools,),
    op.GlobalPool: (_pools,),
    op.Flatten: (_flat,),
    op.Concatenate: (_sides,),
    op.Combine: (_sides, _combined),
    op.Dot: (_sides,),
    op.Activation: (_activated,),
    op.Permute: (_permuted,),
    op.Reshape: (_permuted, _flat),
}
