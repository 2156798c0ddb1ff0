"""Every variation of a single LSTM, GRU or RNN node, and every pair of them: equal, computed otherwise, or refused.

`python tests/test_onnx_matrix.py` writes the table, docs/onnx-nodes.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx_nodes import model_of, values_of
from onnx_variations import DIRECTIONS, NEWEST, OPERATORS, Node, Variation, pairs, variations, varied
from onnx_verdicts import MARKS, Verdict, alone, verdict, worst
from sampling import sampled

import converters
from layouts.errors import CoverageError, UnreadableCheckpoint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "onnx-nodes.md"
MEASURED = f"Measured with onnx {onnx.__version__} (newest opset: {NEWEST}) and onnxruntime {onnxruntime.__version__}."


def fault(op: str, direction: str, *both: Variation) -> str:
    """What is wrong with a case; '' if it is equal or refused for good reasons."""
    told = f"{op} {direction}, {' + '.join(one.label for one in both) or 'plain'}"
    try:
        found = verdict(varied(op, direction, *both))
        wanted = worst(op, direction, *both) if len(both) > 1 else found.mark
    except Exception as error:
        return f"{told}: {type(error).__name__}: {error}"
    unsaid = [one.reason for one in both if one.reason not in found.reason]
    groundless = found.reason and "=0" not in op and not any(one.reason for one in both)
    if found.mark != wanted or unsaid or groundless:
        return f"{told}: {found}, expected {wanted} and the reasons {[one.reason for one in both if one.reason]}"
    return ""


CASES = [
    pytest.param(op, direction, axes, id=f"{op.replace(' ', '-')}-{direction}-{'-'.join(axes)}")
    for op in OPERATORS
    for direction in DIRECTIONS
    for axes in pairs(op, direction)
]


@pytest.mark.parametrize(("op", "direction", "axes"), sampled(CASES, 5))
def test_pairs_of_variations_are_equal_or_refused(op: str, direction: str, axes: tuple[str, str]) -> None:
    wrong = [fault(op, direction, *both) for both in pairs(op, direction)[axes]]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("op", OPERATORS)
def test_single_variations_are_equal_or_refused(op: str, direction: str) -> None:
    wrong = [fault(op, direction), *(fault(op, direction, one) for one in variations(op, direction))]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("op", OPERATORS)
def test_weights_that_are_inputs_are_asked_for(op: str) -> None:
    node = Node(op, "forward", weights="inputs")
    with pytest.raises(CoverageError, match=r"inputs of the graph.*: give the arrays, weights="):
        converters.convert(model_of(node, values_of(node)))


def test_an_rnn_of_one_direction_and_two_different_functions_is_refused() -> None:
    """onnxruntime takes the first; two that are alike are the schema's own default."""
    node = Node("RNN", "forward", activations=("Tanh", "Relu"))
    with pytest.raises(UnreadableCheckpoint, match="2 activations; RNN with 1 directions has 1"):
        converters.convert(model_of(node, values_of(node)))


def test_the_page_is_up_to_date() -> None:
    """But for the line of versions."""
    texts = page(), PAGE.read_text(encoding="utf-8")
    found, expected = ([line for line in text.splitlines() if line[:8] != MEASURED[:8]] for text in texts)
    assert found == expected, "python tests/test_onnx_matrix.py writes it"


def page() -> str:
    """The page of the table, as markdown."""
    return "\n".join([*INTRODUCTION, "", MEASURED, *(line for op in OPERATORS for line in _table(op)), *_counts(), ""])


INTRODUCTION = """# Single ONNX nodes, one by one

What becomes of an LSTM, GRU or RNN node, whatever its options. Every row is one change to the plain node: weights and B
in initializers, float32, opset 22, no initial states, no lengths, and all attributes at their defaults.

- **equal**: the module of torch.nn, loaded strictly and called as the notes of the plan say, gives Y, Y_h and Y_c.
- **strict=False**: so does the module of torch.nn, but initial states are stored in the graph, and no state_dict has a
  place for them. `convert` refuses; with `strict=False` it gives the weights, and the states go into the call.
- **converters.nn**: no module of torch.nn computes it. `convert` refuses and names the module of `converters.nn` that
  gives Y, Y_h and Y_c, from the weights that `strict=False` gives.
- **refused**: neither computes it. `convert` refuses; `strict=False` gives the weights alone.
- **–**: the node has no such variation.

Equal means a difference of 1e-6 at most, or that part of numbers above 1. onnxruntime runs the same file where it can:
float32, layout 0, opset 7 to 22. The others are compared with what it gives for the same weights in float32 and with
the time first, and, where it knows all their options, with the reference evaluator of onnx too. Before opset 9
initializers are inputs of the graph as well, as files of that time have them.

Not in the table, because nothing is computed: a node whose weights are inputs of the graph and are not given with
`weights=` is refused, with the names of the inputs.""".splitlines()


def _table(op: str) -> Iterator[str]:
    kind, _, attribute = op.partition(" ")
    yield from ("", f"## {kind}{f', {attribute}' if attribute else ''}", "")
    if alone(op, "forward").reason:
        yield from ("What keeps the plain node from being equal holds for all; below it stands what comes on top.", "")
    yield from ("| variation | forward | reverse | bidirectional | reason |", "|---|---|---|---|---|")
    for label in ("", *_labels(op, *DIRECTIONS)):
        found = [alone(op, way, label) if not label or label in _labels(op, way) else None for way in DIRECTIONS]
        marks = (one.mark if one else "–" for one in found)
        yield f"| {label or 'none'} | {' | '.join(marks)} | {_reason(op, label, found)} |"


def _labels(op: str, *directions: str) -> list[str]:
    """The variations of a node, axis by axis."""
    found = {one.label: one.axis for direction in directions for one in variations(op, direction)}
    return [label for axis in dict.fromkeys(found.values()) for label, own in found.items() if own == axis]


def _reason(op: str, label: str, found: list[Verdict | None]) -> str:
    """What keeps the node from being equal, beyond what keeps the plain one."""
    plain = alone(op, "forward").reason.split("; ")
    said = dict.fromkeys(text for one in found if one for text in one.reason.split("; "))
    return "; ".join(text for text in said if not label or text not in plain)


def _counts() -> Iterator[str]:
    yield from ("", "## Pairs", "")
    yield "Every two of these variations that one node can have were tried together, in every direction. Each pair"
    yield "turned out as the worse of its two variations does alone, and its error names the reasons of both."
    yield from ("", f"| operator | pairs | {' | '.join(MARKS)} |", f"|---|{'---:|' * (len(MARKS) + 1)}")
    total: Counter[str] = Counter()
    for op in OPERATORS:
        counted = Counter(
            worst(op, way, *both) for way in DIRECTIONS for some in pairs(op, way).values() for both in some
        )
        total += counted
        yield _row(op, counted)
    yield _row("together", total)


def _row(name: str, counted: Counter[str]) -> str:
    return f"| {name} | {counted.total()} | {' | '.join(str(counted[mark]) for mark in MARKS)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
