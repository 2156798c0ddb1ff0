"""What goes wrong with operations that have no weights: another one, other numbers, another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Node
from converters.verification.evaluate import run
from converters.verification.functions import activate
from layouts.errors import printable

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

Row = tuple[str, str, Callable[[], Array]]
"""What the mistake is, the fix, and what the node gives with it."""


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


RULES: Mapping[type, Sequence[Callable[[Node, Sequence[Array], Array], Iterator[Row]]]] = {
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
