"""What the `-symbol.json` beside a `.params` file tells of its layers, in the words in which a caller states it.

A symbol is a list of nodes: an operation ("null" for a variable), its name, its attributes as text, and its inputs as
[number of a node, number of its output, …]. Source: nnvm/src/pass/saveload_json.cc.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from converters.readers.json_data import parse_json
from converters.readers.mxnet.fused import SETTINGS as BLOB
from converters.readers.source import open_beside
from layouts.errors import NotRepresentable, UnreadableCheckpoint, printable

Statements = dict[str, str]
Node = Mapping[str, Any]

_CHECKPOINT = re.compile(r"(?P<prefix>.+)-\d{4}\.params")
_WEIGHTS = ("_weight", "_gamma", "_parameters")
_ACTIVATIONS = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "softrelu": "softplus", "softsign": "softsign"}
_CLIPS = ("lstm_state_clip_min", "lstm_state_clip_max")
_SUMS = ("elemwise_add", "_Plus", "_plus", "broadcast_add")
_MODES = {"rnn_tanh": "tanh", "rnn_relu": "relu"}
_TRUE = ("True", "1", "true")


def told_beside(path: str, names: Collection[str]) -> Statements:
    """What the symbol that stands beside a checkpoint tells; nothing where there is none.

    Raises `UnreadableCheckpoint` for one that is damaged, `NotRepresentable` for a stack that clips its states.
    """
    match = _CHECKPOINT.fullmatch(Path(path).name)
    beside = f"{match['prefix']}-symbol.json" if match else ""
    if not match or not Path(path).with_name(beside).exists():
        return {}
    return told(parse_json(open_beside(path, beside).view, beside, path), names, beside)


def told(symbol: Any, names: Collection[str], what: str) -> Statements:
    """What a symbol tells of the layers of the arrays of these names."""
    nodes = symbol.get("nodes") if isinstance(symbol, dict) else None
    if not isinstance(nodes, list) or not all(_is_node(node, len(nodes)) for node in nodes):
        raise UnreadableCheckpoint(f"{printable(what)} is no symbol of MXNet")
    found: Statements = {}
    for node in nodes:
        for owner in _owners(nodes, node, names):
            told_of = dict(_of(node, owner, nodes, names))
            kept = told_of if f"{owner}_parameters" in names else {k: v for k, v in told_of.items() if k not in BLOB}
            found |= {f"{_path(owner)}.{option}": value for option, value in kept.items()}
    return found


def _path(owner: str) -> str:
    """The path of the layer whose weights begin so: a cell's are those of its input and its state."""
    return re.sub(r"(_[lr]\d{1,6})?_[ih]2h$", "", owner)


def _is_node(node: Any, count: int) -> bool:
    """Whether a node has what is read of it, and inputs that are nodes."""
    if not isinstance(node, dict) or not isinstance(node.get("op"), str) or not isinstance(node.get("name"), str):
        return False
    inputs, texts = node.get("inputs", ()), _attributes(node)
    whole = isinstance(inputs, list) and all(isinstance(one, list) and one for one in inputs)
    return whole and all(type(one[0]) is int and 0 <= one[0] < count for one in inputs) and isinstance(texts, dict)


def _attributes(node: Node) -> Any:
    """Attributes as text; releases before 1.0 call them `attr` or `param`."""
    return node.get("attrs", node.get("attr", node.get("param", {})))


def _owners(nodes: list[Node], node: Node, names: Collection[str]) -> Iterator[str]:
    """The paths of the layers whose weights an operation takes: the names of the weights without their own ends."""
    if node["op"] == "null" and node["name"].endswith("_parameters") and node["name"] in names:
        yield node["name"].removesuffix("_parameters")
    if node["op"] == "RNN" and len(node.get("inputs", ())) > 1:
        yield from dict.fromkeys(_stacks(nodes, nodes[node["inputs"][1][0]]))
        return
    for number, *_ in node.get("inputs", ())[1:]:
        name = nodes[number]["name"]
        end = next((end for end in _WEIGHTS if name.endswith(end)), "")
        if nodes[number]["op"] == "null" and end and name in names:
            yield name.removesuffix(end)


def _stacks(nodes: list[Node], start: Node) -> Iterator[str]:
    """The stacks whose arrays become one vector: the variables behind a concatenation, by the names of their own."""
    waiting, seen = [start], set()
    while waiting:
        node = waiting.pop()
        if node["name"] in seen:
            continue
        seen.add(node["name"])
        waiting += [nodes[one[0]] for one in node.get("inputs", ())]
        owner = re.fullmatch(r"(.+)_(?:parameters|[lr]\d{1,6}_[ih]2[hr]_(?:weight|bias))", node["name"])
        if node["op"] == "null" and owner:
            yield owner[1]


def _of(node: Node, owner: str, nodes: list[Node], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """What the attributes of one operation tell of its layer."""
    texts = {str(key): str(value) for key, value in _attributes(node).items()}
    if node["op"] == "null":
        yield from _initialised(texts)
    elif node["op"] == "RNN":
        yield from _stack(texts, owner)
    elif node["op"] in ("Convolution", "Deconvolution"):
        yield from _convolution(texts, "Transpose" if node["op"] == "Deconvolution" else "")
    elif node["op"] == "BatchNorm":
        yield from _batch_norm(texts, f"{owner}_moving_mean" in names)
    elif node["op"] in ("LayerNorm", "GroupNorm"):
        yield "class", node["op"]
        yield "epsilon", texts.get("eps", "1e-05")
    elif node["op"] == "Embedding":
        yield "class", "Embedding"
    elif node["op"] == "FullyConnected":
        yield from _activated(node, owner, nodes)


def _stack(texts: Mapping[str, str], owner: str) -> Iterator[tuple[str, str]]:
    """The settings of a fused stack; its one vector of weights needs all of them."""
    if any(texts.get(clip, "None") != "None" for clip in _CLIPS):
        raise NotRepresentable(f"{printable(owner)} clips its cell state (lstm_state_clip): no module computes that")
    yield "mode", texts.get("mode", "")
    yield "units", texts.get("state_size", "")
    yield "layers", texts.get("num_layers", "")
    yield "bidirectional", str(texts.get("bidirectional", "False") in _TRUE).lower()
    projection = texts.get("projection_size", "None")
    if projection != "None":
        yield "projection", projection
    if texts.get("mode") in _MODES:
        yield "activation", _MODES[texts["mode"]]


def _initialised(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The settings of a fused stack, as the initializer of its vector has them."""
    try:
        kind, own = json.loads(texts.get("__init__", ""))
    except (ValueError, RecursionError):
        return
    if kind == "fusedrnn" and isinstance(own, dict):
        texts = {key: str(value) for key, value in own.items()}
        yield from _stack(texts | {"state_size": texts.get("num_hidden", "")}, "")


def _batch_norm(texts: Mapping[str, str], symbolic: bool) -> Iterator[tuple[str, str]]:
    """A norm with gamma fixed computes as if it were 1: `scale=False` in Gluon."""
    fixed = texts.get("fix_gamma", "True") in _TRUE
    yield ("fix_gamma", str(fixed).lower()) if symbolic else ("scale", str(not fixed).lower())
    yield "epsilon", texts.get("eps", "0.001")
    yield "momentum", texts.get("momentum", "0.9")
    if texts.get("axis", "1") != "1":
        yield "axes", texts["axis"]


def _convolution(texts: Mapping[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """Strides, dilation, groups and padding, which is the same at both ends of an axis."""
    yield "class", f"Conv{texts.get('kernel', '').count(',') + 1 - (',)' in texts.get('kernel', ''))}D{kind}"
    for option, key in (("strides", "stride"), ("dilation", "dilate")):
        if texts.get(key, "()").strip("()[] "):
            yield option, texts[key]
    if texts.get("num_group", "1") != "1":
        yield "groups", texts["num_group"]
    pads = texts.get("pad", "()").strip("()[] ").rstrip(",")
    if pads.replace("0", "").strip(", "):
        yield "padding", "explicit"
        yield "pads", f"{pads},{pads}"


def _activated(node: Node, owner: str, nodes: list[Node]) -> Iterator[tuple[str, str]]:
    """Of a cell's product with its state: the activation of the sum that it goes into, where that is one at once."""
    if not owner.endswith("_h2h"):
        return
    own = nodes.index(node)
    sums = {k for k, n in enumerate(nodes) if n["op"] in _SUMS and own in _sources(n)}
    for after in nodes:
        kind = _attributes(after).get("act_type")
        if after["op"] == "Activation" and sums & {*_sources(after)} and kind in _ACTIVATIONS:
            yield "activation", _ACTIVATIONS[kind]


def _sources(node: Node) -> list[int]:
    return [one[0] for one in node.get("inputs", ())]
