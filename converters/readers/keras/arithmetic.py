"""Arithmetic in the place of layers: of values, and of a value and the numbers of the program on either side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.readers.keras.draft import Flow
from converters.readers.keras.site import Site, flows_in

Arithmetic = Callable[[Site, Sequence[Any], Mapping[str, Any]], list[Flow] | None]
"""The values that a call gives; None where these arguments have no neutral operation."""

_HOW = {
    "add": "add",
    "subtract": "subtract",
    "sub": "subtract",
    "multiply": "multiply",
    "mul": "multiply",
    "true_divide": "divide",
    "truediv": "divide",
    "divide": "divide",
    "maximum": "maximum",
    "minimum": "minimum",
    "power": "power",
    "pow": "power",
}
_SECOND = ("y", "x2")
"""What the second operand is called where it is given by name."""
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal"}


def _combined(how: str) -> Arithmetic:
    def call(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
        operands = [*arguments, *(options[key] for key in _SECOND if key in options)]
        return _of_two(site, how, operands) if len(operands) == 2 else None

    return call


def _of_two(site: Site, how: str, operands: Sequence[Any]) -> list[Flow] | None:
    """Two values, or a value and a number, or numbers, on either side."""
    left, right = operands
    plain = right if isinstance(left, Flow) else left
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        step = _by_number(how, float(plain), isinstance(left, Flow))
        if step is not None:
            (flow,) = flows_in(list(operands))
            return [Flow(site.compute(step, [flow.value]))]
    values = [value_of(site, each) for each in operands]
    if None in values:
        return None
    return [Flow(site.compute(op.Combine(how), [value for value in values if value is not None]))]


def _by_number(how: str, number: float, behind: bool) -> op.Operation | None:
    """The one operation that takes a number itself; None where it has to be a value."""
    if how == "add":
        return op.Scale(1.0, number)
    if how == "subtract":
        return op.Scale(1.0, -number) if behind else op.Scale(-1.0, number)
    if how == "multiply":
        return op.Scale(number)
    if how == "divide" and number and behind:
        return op.Scale(1.0 / number)
    if how == "maximum" and number == 0:
        return op.Activation("relu")
    if how == "power" and behind:
        return op.Activation(_POWERS[number]) if number in _POWERS else op.Activation("power", alpha=number)
    return None


def value_of(site: Site, operand: Any) -> str | None:
    """The name of a value; numbers of the program become one. None for anything else."""
    if isinstance(operand, Flow):
        return operand.value
    found = numbers_of(operand)
    return None if found is None else site.compute(found, [], name=f"{site.name}:numbers")


def numbers_of(operand: Any) -> op.Constant | None:
    """Numbers, or even lists of them within lists, as a value; None for anything else."""
    shape = _shape(operand)
    if shape is None:
        return None
    numbers = tuple(_numbers(operand))
    if len(numbers) != math.prod(shape) or not all(type(number) in (int, float) for number in numbers):
        return None
    return op.Constant(tuple(map(float, numbers)), shape)


_DEEPEST = 8


def _shape(operand: Any) -> tuple[int, ...] | None:
    """The sizes of lists within lists; None for what is not even."""
    shape: list[int] = []
    while isinstance(operand, list):
        if not operand or len(shape) == _DEEPEST:
            return None
        shape.append(len(operand))
        operand = operand[0]
    return tuple(shape) if type(operand) in (int, float) else None


def _numbers(operand: Any) -> Iterator[Any]:
    if isinstance(operand, list):
        for each in operand:
            yield from _numbers(each)
    else:
        yield operand


def _clipped(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Between two numbers: a relu with a ceiling where the first is 0."""
    given = [each for each in arguments if not isinstance(each, Flow)]
    lowest = options.get("x_min", options.get("clip_value_min", given[0] if given else None))
    highest = options.get("x_max", options.get("clip_value_max", given[1] if len(given) > 1 else None))
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (lowest, highest)):
        return None
    if lowest == 0:
        return [Flow(site.compute(op.Activation("relu", alpha=0.0, ceiling=float(highest)), [site.flows[0].value]))]
    bounds = [site.compute(op.Constant((float(each),)), [], name=f"{site.name}:bound") for each in (lowest, highest)]
    raised = site.compute(op.Combine("maximum"), [site.flows[0].value, bounds[0]], name=f"{site.name}:raised")
    return [Flow(site.compute(op.Combine("minimum"), [raised, bounds[1]]))]


_TURNED = (("transpose_a", "adjoint_a"), ("transpose_b", "adjoint_b"))


def _product(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """A matrix product, of which either matrix may be turned first."""
    operands = [*arguments, *(options[key] for key in (*_SECOND, "b") if key in options)]
    if len(operands) != 2:
        return None
    turned = [any(options.get(word) is True for word in words) for words in _TURNED]
    values = [_operand(site, each, turn) for each, turn in zip(operands, turned, strict=True)]
    known = [value for value in values if value is not None]
    return [Flow(site.compute(op.MatrixProduct(), known))] if len(known) == 2 else None


def _operand(site: Site, operand: Any, turned: bool) -> str | None:
    value = value_of(site, operand)
    return _turned(site, value) if turned and value is not None else value


def _turned(site: Site, value: str) -> str | None:
    """The last two axes of a value the other way round; None where it is not known how many it has."""
    shape = site.draft.shape(value)
    if shape is None:
        return None
    order = list(range(len(shape)))
    return site.compute(op.Permute((*order[:-2], order[-1], order[-2])), [value], name=f"{site.name}:turned")


def _einsum(site: Site, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Flow] | None:
    """Products summed over letters; the equation stands before the values, or in the configuration."""
    equation = next((each for each in (*arguments, options.get("subscripts")) if isinstance(each, str)), "")
    flows = list(flows_in(list(arguments)))
    text = equation.replace(" ", "")
    read, arrow, made = text.partition("->")
    told = read.split(",")
    plain = arrow and all(part.isascii() and part.isalpha() for part in (*told, made or "a"))
    if not plain or len(told) != len(flows):
        return None
    return [Flow(site.compute(op.Einsum(text), [flow.value for flow in flows]))]


SITES: dict[str, Arithmetic] = {
    **{name: _combined(how) for name, how in _HOW.items()},
    "clip": _clipped,
    "clip_by_value": _clipped,
    "matmul": _product,
    "einsum": _einsum,
}
