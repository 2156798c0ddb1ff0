"""Single recurrent nodes in every variation that ONNX has: what varies, and along which axis.

A variation changes some fields of the plain node (opset 22, float32, weights in initializers, B, no states, no
lengths); those of different axes can be combined. `onnx_nodes` makes the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import onnx
from onnx_single import UNITS

DIRECTIONS = ("forward", "reverse", "bidirectional")
OPERATORS = ("LSTM", "GRU linear_before_reset=1", "GRU linear_before_reset=0", "RNN")
OPSET, NEWEST = 22, onnx.defs.onnx_opset_version()
TYPES = ("float32", "float64", "float16", "bfloat16")

_PLAIN = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_STORED = "starts from stored states"


class Node(NamedTuple):
    """One node, and how its graph gives it what it reads."""

    op: str
    direction: str
    bias: bool = True
    states: str = ""  # "", zeros, stored, input, h
    lengths: str = ""  # "", stored, input
    layout: int = 0
    activations: tuple[str, ...] = ()  # of one direction, or of both
    alpha: tuple[float, ...] = ()
    clip: float = 0.0
    peepholes: bool = False
    input_forget: int = 0
    weights: str = "initializers"  # or constants, inputs, transposed, sliced
    dtype: str = "float32"
    opset: int = OPSET

    @property
    def kind(self) -> str:
        """The operator."""
        return self.op.split()[0]

    @property
    def ways(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("Y", "Y_h", "Y_c")[: 3 if self.kind == "LSTM" else 2]

    @property
    def valid(self) -> bool:
        """Whether this version of the operator has these attributes and this type."""
        type_since, attribute_since = 22 * (self.dtype == "bfloat16"), 3 * ("=1" in self.op)
        return self.opset >= max(14 * self.layout, type_since, attribute_since)

    @property
    def attributes(self) -> dict[str, Any]:
        """As the operator has them; those with their default value are left out."""
        named = self.activations * (self.ways if len(self.activations) <= len(_PLAIN[self.kind]) else 1)
        times = len(named) // max(len(self.activations), 1)
        told: dict[str, Any] = {
            "direction": self.direction if self.direction != "forward" else None,
            "activations": list(named),
            "activation_alpha": list(self.alpha * times),
            "clip": self.clip,
            "input_forget": self.input_forget,
            "layout": self.layout,
            "linear_before_reset": int("=1" in self.op),
            "output_sequence": int(self.opset < 7),
        }
        return {"hidden_size": UNITS} | {key: value for key, value in told.items() if value}


class Variation(NamedTuple):
    """What differs from the plain node, along an axis; `reason`: words of the error where PyTorch cannot compute it."""

    axis: str
    label: str
    change: Mapping[str, Any]
    reason: str = ""


@cache
def variations(op: str, direction: str) -> list[Variation]:
    """Every variation of the plain node of an operator and a direction."""
    kind = op.split()[0]
    found = [
        Variation("bias", "no B", {"bias": False}),
        Variation("states", "initial states: constant zeros", {"states": "zeros"}),
        Variation("states", "initial states: constants, not zero", {"states": "stored"}, _STORED),
        Variation("states", "initial states: inputs", {"states": "input"}),
        Variation("lengths", "sequence_lens: a constant", {"lengths": "stored"}),
        Variation("lengths", "sequence_lens: an input", {"lengths": "input"}),
        Variation("layout", "layout 1", {"layout": 1}),
        Variation("clip", "clip 0.25", {"clip": 0.25}, "it clips"),
        Variation("weights", "weights in Constant nodes", {"weights": "constants"}),
        Variation("weights", "weights are inputs, given with weights=", {"weights": "inputs"}),
        Variation("weights", "weights behind Transpose", {"weights": "transposed"}),
        Variation("weights", "weights behind Slice, Concat and Unsqueeze", {"weights": "sliced"}),
    ]
    if kind == "LSTM":
        found += [
            Variation("states", "initial_h alone: an input", {"states": "h"}),
            Variation("peepholes", "peepholes", {"peepholes": True}, "peepholes"),
            Variation("input_forget", "input_forget 1", {"input_forget": 1}, "(input_forget)"),
        ]
    found += (_activated(kind, names, alpha, reason) for names, alpha, reason in _activations(kind, direction))
    found += (Variation("type", name, {"dtype": name}) for name in TYPES[1:])
    versions = [version for version in (1, 3, 7, 12, 14) if version != 3 or kind == "GRU"]
    found += (Variation("opset", f"opset {version}", {"opset": version}) for version in versions)
    found.append(Variation("opset", "the newest opset", {"opset": NEWEST}))
    plain = Node(op, direction)
    return [one for one in found if plain._replace(**one.change).valid]


def _activations(kind: str, direction: str) -> Iterator[tuple[tuple[str, ...], tuple[float, ...], str]]:
    """Functions of one direction or of both, alphas of one direction, and words of the refusal."""
    plain = _PLAIN[kind]
    relu = ("Sigmoid", "Relu", "Relu")[: len(plain)] if kind != "RNN" else ("Relu",)
    odd = ("HardSigmoid", *plain[1:])
    yield plain, (), ""
    yield odd, (), "is hard_sigmoid (clip(0.2 x + 0.5, 0, 1))"
    yield relu, (), "activation is relu" if kind != "RNN" else ""
    yield odd, (0.3,), "HardSigmoid(alpha=0.3, beta=0.5)"
    if kind == "LSTM":
        yield ("Sigmoid", "Tanh", "Softsign"), (), "its output_activation is softsign"
    if kind == "RNN" and direction != "bidirectional":
        yield ("Tanh", "Tanh"), (), ""  # the default of the schema, whatever the direction
    if direction == "bidirectional":
        yield (*plain, *relu), (), "activation is relu" if kind != "RNN" else ""
        yield (*odd, *plain), (), "is hard_sigmoid (clip(0.2 x + 0.5, 0, 1))"


def _activated(kind: str, names: tuple[str, ...], alpha: tuple[float, ...], reason: str) -> Variation:
    each = len(_PLAIN[kind])
    told = ", ".join(names[:each]) + (f", alpha {alpha[0]}" if alpha else "")
    if names in (_PLAIN[kind], ("Tanh", "Tanh")):
        told = f"{', '.join(names)}: the default, told" if kind != "RNN" or len(names) == 1 else f"{told} twice"
    elif len(names) > each:
        told += f"; backward {', '.join(names[each:])}"
    return Variation("activations", f"activations {told}", {"activations": names, "alpha": alpha}, reason)


@cache
def pairs(op: str, direction: str) -> dict[tuple[str, str], list[tuple[Variation, Variation]]]:
    """Every two variations of different axes that one node can have, by the names of the axes."""
    found: dict[tuple[str, str], list[tuple[Variation, Variation]]] = {}
    for one, other in combinations(variations(op, direction), 2):
        if one.axis != other.axis and varied(op, direction, one, other).valid:
            found.setdefault((min(one.axis, other.axis), max(one.axis, other.axis)), []).append((one, other))
    return found


def varied(op: str, direction: str, *variations: Variation) -> Node:
    """The plain node with these variations."""
    return Node(op, direction)._replace(**{key: value for one in variations for key, value in one.change.items()})
