"""Names of layers: PyTorch's own where the graph still carries them, else those of its nodes, unique and stable.

PyTorch's exporters keep the names of parameters that they do not change (`lstm.weight_ih_l0`, `fc.bias`); the dynamo
exporter notes the module of every node; other exporters name nodes after their layers, with the operator at the end.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from converters.readers.onnx.graph.scope import Node, Scope

_RECURRENT = re.compile(r"(?:(.*)\.)?(?:weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(\d{1,3})(?:_reverse)?)?")
_PLAIN = re.compile(r"(.*)\.(?:weight|bias|running_mean|running_var)")
_SCOPES = "pkg.torch.onnx.name_scopes"
_KERAS_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_\d+)?")
_WRAPPERS = ("StatefulPartitionedCall", "PartitionedCall", "Tensordot")
_OPERATIONS = (
    *("BiasAdd", "Conv1D", "Conv2D", "Conv3D", "convolution", "embedding_lookup", "FusedBatchNormV3", "GatherV2"),
    *("MatMul_add", "while", "while_loop"),
)
"""TensorFlow's names of operations that ONNX calls otherwise, and of functions around layers: no names of layers."""

_MOVES = ("Transpose", "Squeeze", "Slice", "Concat", "ReverseSequence", "Identity")
_NEAR = 20
"""Nodes after a recurrent one among which its layer's name is looked for."""


class Origin(NamedTuple):
    """The module of PyTorch that a parameter belonged to, and its number in a stack, None for a cell."""

    module: str
    depth: int | None


def origin(leaves: Iterable[str]) -> Origin | None:
    """Where recurrent weights come from, if all names that are PyTorch's say the same."""
    matches = [match for match in map(_RECURRENT.fullmatch, leaves) if match]
    found = {Origin(match[1] or "", int(match[2]) if match[2] else None) for match in matches}
    return found.pop() if len(found) == 1 else None


def candidates(node: Node, leaves: Sequence[str], *, recurrent: bool) -> Iterator[str]:
    """Names for the layer of a node, the best first, as paths with '/'."""
    modules = {match[1] or "" for match in map(_RECURRENT.fullmatch, leaves) if match}
    if len(modules) == 1 and recurrent:
        yield modules.pop().replace(".", "/")
    yield from filter(None, (_module(node), _scope(node.name, node.op), _around(node)))
    yield from (match[1].replace(".", "/") for match in map(_PLAIN.fullmatch, leaves) if match)
    yield from filter(None, (_own(node.name), _scope(node.output(0).removesuffix("_output_0"), node.op)))
    yield node.op.lower()


def unique(names: Iterable[str], taken: dict[str, int]) -> str:
    """The best name, with a number where it is taken. `taken`: every name so far, with the last number tried for it."""
    best = found = next(iter(names))
    while found in taken:
        taken[best] += 1
        found = f"{best}_{taken[best]}" if best else str(taken[best])
    taken[found] = 0
    return found


def common(nodes: Sequence[Node]) -> str:
    """The path that the names of all these nodes begin with: that of the layer whose arithmetic they are."""
    named = [_parts(node.name)[:-1] for node in nodes if "/" in node.name]
    levels = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*named, strict=False))
    parts = [level[0] for level in levels]
    return "/".join(parts[:-1] if parts and _KERAS_CELL.fullmatch(parts[-1]) else parts)


def by_dynamo(scope: Scope) -> bool:
    """Whether PyTorch's dynamo exporter wrote a graph: it notes the module of every node."""
    return any(entry.key == _SCOPES for node in scope.nodes for entry in node.proto.metadata_props)


def _module(node: Node) -> str:
    """The module that PyTorch's dynamo exporter notes: the list of names around the operator's own, which is last."""
    noted = next((entry.value for entry in node.proto.metadata_props if entry.key == _SCOPES), "")
    names = [part.strip().strip("'\"") for part in noted.strip("[]").split(",")]
    return "/".join(filter(None, names[:-1])).replace(".", "/")


def _around(node: Node) -> str:
    """The layer's name for a node that tf2onnx made and numbered: that of the transposition or slice of its outputs."""
    if not re.fullmatch(rf"{re.escape(node.op)}__\d+", node.name):
        return ""
    waiting = [reader for name in node.outputs if name for reader in node.scope.readers(name)]
    for reader in waiting:
        if reader.op in _MOVES and re.search(r"__\d+$", reader.name) and len(waiting) < _NEAR:
            waiting += node.scope.readers(reader.output(0))
        elif reader.op in _MOVES and "/" in reader.name:
            parts = _parts(reader.name)[:-1]
            half = parts and parts[-1].startswith(("forward_", "backward_"))
            both = node.attributes.get("direction") == "bidirectional"
            return "/".join(parts[:-1] if half and both else parts)
    return ""


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part and part not in _WRAPPERS]


def _scope(name: str, op: str) -> str:
    """`encoder/lstm` of `/encoder/lstm/LSTM_1`: what stands before the operator; '' where the operator is not last."""
    parts = _parts(name)
    last = re.fullmatch(r"(.*?)(_\d+)?", parts[-1]) if parts else None
    return "/".join(parts[:-1]) if last and last[1] in (op, *_OPERATIONS) else ""


def _own(name: str) -> str:
    return "/".join(_parts(name))
