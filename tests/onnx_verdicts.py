"""What becomes of one recurrent node: converted, run as the plan says, and compared with what runs ONNX.

onnxruntime runs the very model where it can: float32, layout 0, opset 7 to 22. Of the others it runs a twin, with the
same numbers in float32 and time first; and the reference evaluator of onnx runs them as they are, where it knows their
options (`test_onnx_rules` tells which it leaves out).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_nodes import inputs_of, model_of, values_of
from onnx_notes import outputs
from onnx_single import run
from onnx_variations import OPSET, Node, Variation, variations, varied

import converters
from converters.planning.plan import Plan
from layouts.axes import Array
from layouts.errors import NotRepresentable

MARKS = ("equal", "strict=False", "converters.nn", "refused")
"""From the best to the worst: a pair is as good as the worse of its two variations."""


class Verdict(NamedTuple):
    """What becomes of a node, and why it is not equal."""

    mark: str
    reason: str = ""


def expected(node: Node, model: onnx.ModelProto, values: Mapping[str, Array]) -> list[Array]:
    """Y, Y_h and Y_c by onnxruntime: of the very model where it has a kernel, else of its twin."""
    given = {name: values[name] for name in values if name in inputs_of(node)}
    if node.dtype == "float32" and not node.layout and 7 <= node.opset <= OPSET:
        return run(model, given)
    plain = node._replace(dtype="float32", layout=0, opset=OPSET, weights="initializers")
    inputs = {name: array if array.dtype == np.int32 else array.astype("f4") for name, array in values.items()}
    if node.layout:
        inputs |= {name: inputs[name].swapaxes(0, 1).copy() for name in inputs if name == "X" or "initial" in name}
    y, *states = run(model_of(plain, inputs), {name: inputs[name] for name in given if name in inputs_of(plain)})
    found = [np.moveaxis(y, 2, 0), *(state.swapaxes(0, 1) for state in states)] if node.layout else [y, *states]
    if evaluated(node):
        compare(ReferenceEvaluator(model).run(None, given), found, "the two judges differ")
    return found


def evaluated(node: Node) -> bool:
    """Whether the reference evaluator of onnx knows all that the node does."""
    left_out = node.clip or node.input_forget or node.lengths or node.activations or node.states == "h"
    return node.dtype in ("float32", "float64") and not left_out and node.opset >= 7


def compare(found: Sequence[Array], wanted: Sequence[Array], what: str) -> None:
    """Raise unless every element agrees to 1e-6, or that part of it where it is larger than 1."""
    for name, one, two in zip(("Y", "Y_h", "Y_c")[: len(wanted)], found, wanted, strict=True):
        if one.shape != two.shape:
            raise AssertionError(f"{what}: {name} is {one.shape}, expected {two.shape}")
        errors = np.abs(one.astype("f8") - two) / np.maximum(1.0, np.abs(two))
        if not errors.max() <= 1e-6:
            raise AssertionError(f"{what}: {name} differs by {errors.max():.3g}")


def verdict(node: Node) -> Verdict:
    """Convert the node and run what comes out. Raises for a wrong output, and for what should not be raised."""
    values = values_of(node)
    model = model_of(node, values)
    onnx.checker.check_model(model)
    given = {name: values[name] for name in ("W", "R", "B", "P") if name in values and node.weights == "inputs"}
    checkpoint = converters.read(model, weights=given)
    plan = converters.plan(checkpoint)
    if not plan.problems:
        check(node, plan, converters.convert(checkpoint), model, values)
        return Verdict("equal")
    with pytest.raises(NotRepresentable):
        plan.check()
    assert all(isinstance(one, NotRepresentable) for one in plan.problems), plan.problems
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tensors = converters.convert(checkpoint, strict=False)
    assert len(caught) >= len({*map(str, plan.problems)}), "weights that are not enough were given without a warning"
    reason = shortened(plan)
    calls = [module.constructor for module in plan.modules]
    if not all(calls):
        return Verdict("refused", reason)
    check(node, plan, tensors, model, values)
    return Verdict("converters.nn" if any(one.startswith("converters.") for one in calls) else "strict=False", reason)


def check(
    node: Node, plan: Plan, tensors: Mapping[str, Any], model: onnx.ModelProto, values: Mapping[str, Array]
) -> None:
    """The tensors have the type that is stored, and the modules of the plan give what the node gives."""
    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    assert kinds == {node.dtype}, f"{node.dtype} became {kinds}"
    compare(outputs(plan.modules, tensors, values), expected(node, model, values), "silently wrong")


def shortened(plan: Plan) -> str:
    """Why, without the layer's name and the way out."""
    lines = [line for problem in plan.problems for line in str(problem).splitlines()]
    said = [line.strip().partition(": ")[2].partition(". ")[0].partition(": strict=False")[0] for line in lines]
    return "; ".join(dict.fromkeys(reason for line in said for reason in filter(None, line.split("; "))))


@cache
def alone(op: str, direction: str, *variation: str) -> Verdict:
    """The verdict of the plain node, or of one variation of it by its label."""
    return verdict(varied(op, direction, *(one for one in variations(op, direction) if one.label in variation)))


def worst(op: str, direction: str, *both: Variation) -> str:
    """The mark that a pair should have, by those of its variations alone."""
    return max((alone(op, direction, one.label).mark for one in both), key=MARKS.index)
