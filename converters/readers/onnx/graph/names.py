"""Names of layers: PyTorch's own where the graph still carries them, else those of its nodes, unique and stable.

`origins` tells which parameters of PyTorch weights were; the dynamo exporter notes the module of every node; other
exporters name nodes after their layers, with the operator at the end. A name of an unrelated node is never taken.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from converters.readers.onnx.graph import origins
from converters.readers.onnx.graph.scope import Node

_SCOPES = "pkg.torch.onnx.name_scopes"
_KERAS_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_\d+)?")
_WRAPPERS = ("StatefulPartitionedCall", "PartitionedCall", "Tensordot")
_OPERATIONS = (
    *("BiasAdd", "Conv1D", "Conv2D", "Conv3D", "convolution", "embedding_lookup", "FusedBatchNormV3", "GatherV2"),
    *("MatMul_add", "while", "while_loop"),
)
"""TensorFlow's names of operations that ONNX calls otherwise, and of functions around layers: no names of layers."""

_MOVES = ("Transpose", "Squeeze", "Slice", "Concat", "ReverseSequence", "Identity")
_NUMBERED = re.compile(r".*__\d+")
_SWAPPED = [1, 0]
_NEAR = 20
"""Nodes around a recurrent one among which its layer's name is looked for."""


def candidates(node: Node, stored: Sequence[str], shared: Sequence[str], *, recurrent: bool) -> Iterator[str]:
    """Names for the layer of a node, the best first, as paths with '/'.

    `stored`: what its weights were called; `shared`: the same of those that other layers have too, and that may carry
    the name of another's parameter.
    """
    if recurrent and len(modules := origins.recurrent_modules((*stored, *shared))) == 1:
        yield modules.pop().replace(".", "/")
    own = [name for name in (_module(node), _scope(node.name, node.op)) if name]
    root = origins.by_pytorch(node.scope)
    by_weights, by_shared = ([*origins.plain_modules(names, root=root)] for names in (stored, shared))
    yield from sorted(by_weights, key=lambda name: name not in own)
    yield from (name for name in by_shared if name in own)
    yield from (*own, *filter(None, [_around(node)]), *by_shared)
    if not re.fullmatch(rf"{re.escape(node.op)}__\d+", node.name):
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
    return origins.joined(parts[:-1] if parts and _KERAS_CELL.fullmatch(parts[-1]) else parts)


def _module(node: Node) -> str:
    """The module that PyTorch's dynamo exporter notes."""
    noted = next((entry.value for entry in node.proto.metadata_props if entry.key == _SCOPES), "")
    return origins.module_of(noted)


def _around(node: Node) -> str:
    """The layer's name for a node that tf2onnx made and numbered: that of the nodes of TensorFlow around it.

    What reads the outputs names the layer only if what feeds the node is called the same, or if it stands within a
    recurrent layer: the next layer may be one that slices or transposes.
    """
    if not re.fullmatch(rf"{re.escape(node.op)}__\d+", node.name):
        return ""
    before, exclusive = _before(node)
    after = list(_after(node))
    agreed = [name for name, _ in after if name in before]
    inside = [name for name, reader in after if _inside(reader)]
    return next(iter((*agreed, *inside, *exclusive)), "")


def _after(node: Node) -> Iterator[tuple[str, Node]]:
    """The first named nodes that move the outputs, with the layers that they are named after."""
    waiting = [reader for name in node.outputs if name for reader in node.scope.readers(name)]
    for reader in waiting:
        if reader.op in _MOVES and _NUMBERED.fullmatch(reader.name) and len(waiting) < _NEAR:
            waiting += node.scope.readers(reader.output(0))
        elif reader.op in _MOVES and "/" in reader.name:
            yield _layer(node, reader.name), reader


def _before(node: Node) -> tuple[set[str], list[str]]:
    """The layers that a node's transposed input and initial states are named after; and those of it alone."""
    found, exclusive = set[str](), list[str]()
    waiting = [name for name in (node.input(0), *node.inputs[5:7]) if name]
    for name in waiting:
        made_by = node.scope.producer(name)
        if made_by is None:
            found |= {_layer(node, name.removesuffix(":0"))} if name not in node.inputs[:1] else set()
        elif name in node.inputs[:1] and not (_swaps(made_by) or made_by.op == "ReverseSequence"):
            continue
        elif "/" in made_by.name and not _NUMBERED.fullmatch(made_by.name):
            found.add(_layer(node, made_by.name))
            exclusive += [_layer(node, made_by.name)] * (_swaps(made_by) and len(node.scope.readers(name)) == 1)
        if made_by is not None and len(waiting) < _NEAR and name not in node.inputs[:1]:
            waiting += [one for one in made_by.inputs if one and one not in waiting]
    return found, exclusive


def _swaps(node: Node) -> bool:
    return node.op == "Transpose" and list(node.attributes.get("perm", ()))[:2] == _SWAPPED


def _inside(reader: Node) -> bool:
    """Whether an operation stands in the function of a recurrent layer, or is the second transposition of its layer."""
    second = _swaps(reader) and re.search(r"transpose_\d+$", reader.name)
    return bool(second) or reader.name.split("/")[-2] == "PartitionedCall"


def _layer(node: Node, name: str) -> str:
    """The layer that TensorFlow names an operation after; both halves of a bidirectional one are named after it."""
    parts = _parts(name)[:-1]
    half = parts and parts[-1].startswith(("forward_", "backward_"))
    both = node.attributes.get("direction") == "bidirectional"
    return "/".join(parts[:-1] if half and both else parts)


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part and part not in _WRAPPERS]


def _scope(name: str, op: str) -> str:
    """`encoder/lstm` of `/encoder/lstm/LSTM_1`: what stands before the operator; '' where the operator is not last."""
    parts = _parts(name)
    last = re.fullmatch(r"(.*?)(_\d+)?", parts[-1]) if parts else None
    return origins.joined(parts[:-1]) if last and last[1] in (op, *_OPERATIONS) else ""


def _own(name: str) -> str:
    return "/".join(_parts(name))
