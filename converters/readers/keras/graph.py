"""What the graph of a Keras model tells about a layer beyond its own configuration: masks, and flattened maps.

A mask flows from Embedding(mask_zero) or Masking through layers that pass it on. What reads a flattened map needs its
input axis permuted (see `feature_maps`). What feeds a recurrent layer decides whether it can be stacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.readers.keras.config import Config, Container, Leaf
from converters.readers.keras.feature_maps import RECURRENT_LAYERS, Shape, Value, after, returns_sequences
from layouts.records import dataclass, field

_PASS_MASK = {
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Multiply",
    "PReLU",
    "RepeatVector",
    "SpatialDropout1D",
    "Subtract",
    "ThresholdedReLU",
    "ReLU",
    "Lambda",
    "RMSNormalization",
}


@dataclass
class Node:
    """One call site of the graph: a leaf and the leaves that feed it."""

    leaf: Leaf
    item: Config
    feeds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class GraphFacts:
    """For one layer: whether its input is masked, the map that was flattened before it, or that one was lost.

    `fed_by`: the layers it reads from, past those that do nothing at inference, such as Dropout. `rank`: the number of
    axes of its input, batch included, where that is certain; `shape`: its sizes, as far as they are.
    """

    masked: bool = False
    flattened: tuple[int, ...] | None = None
    reshaped: bool = False
    fed_by: tuple[str, ...] = ()
    rank: int | None = None
    shape: Shape | None = None


_TRANSPARENT = {"Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout"}
"""Layers that do nothing to their input at inference."""


def graph_facts(model: Container) -> dict[str, GraphFacts]:
    """The facts of every leaf, by path."""
    nodes: dict[str, Node] = {}
    _connect(model, [], nodes)
    values: dict[str, Value] = {}
    found: dict[str, GraphFacts] = {}
    sources: dict[str, tuple[str, ...]] = {}
    for path in _in_order(nodes):
        node = nodes[path]
        inputs = [values[feed] for feed in node.feeds if feed in values]
        first = inputs[0] if inputs else Value()
        masked = any(value.mask for value in inputs) or _explicit_mask(node.item.get("inbound_nodes"))
        fed_by = tuple(dict.fromkeys(source for feed in node.feeds for source in sources.get(feed, (feed,))))
        sources[path] = fed_by if node.leaf.class_name in _TRANSPARENT else (path,)
        lost = any(value.lost for value in inputs)
        shape = _seen(node, first.shape or _declared(node))
        found[path] = GraphFacts(masked, first.flattened, lost, fed_by, len(shape) if shape else None, shape)
        values[path] = _output(node, inputs, masked)
    return found


def _seen(node: Node, shape: Shape | None) -> Shape | None:
    """The shape of the input as the layer inside a TimeDistributed sees it."""
    return (shape[0], *shape[2:]) if shape and "TimeDistributed" in node.leaf.wrappers else shape


def _connect(container: Container, inputs: Sequence[str], nodes: dict[str, Node]) -> list[str]:
    """Add a container's leaves to the graph, fed by `inputs`; returns the leaves whose values leave it."""
    outputs: dict[str, list[str]] = {}
    previous = list(inputs)
    entries = iter(inputs)
    for item, member in container.members:
        feeds = previous if container.sequential else [p for n in _inbound(item) for p in outputs.get(n, [])]
        if isinstance(member, Leaf):
            if member.class_name == "InputLayer" and inputs and not container.sequential:
                feeds = [entry for entry in [next(entries, "")] if entry]
            node = nodes.setdefault(member.path, Node(member, item))
            node.feeds += [feed for feed in feeds if feed not in node.feeds]
            previous = [member.path]
        else:
            previous = _connect(member, feeds, nodes)
        outputs[str(item.get("name") or (item["config"].get("name") if isinstance(item["config"], dict) else ""))] = (
            previous
        )
    listed = [name for name in _names(container.config.get("output_layers")) if name in outputs]
    return [path for name in listed for path in outputs[name]] or previous


def _names(value: Any) -> Iterator[str]:
    """Layer names in the nested lists by which every version of Keras refers to a tensor: [name, node, index, …]."""
    if isinstance(value, dict):
        history = value.get("keras_history")
        if isinstance(history, list) and history and isinstance(history[0], str):
            yield history[0]
        else:
            for item in value.values():
                yield from _names(item)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(n, int) for n in value[1:3]):
            yield value[0]
            value = value[3:]
        for item in value:
            yield from _names(item)


def _explicit_mask(value: Any) -> bool:
    """Whether Keras 3 passes the layer a mask by name: `kwargs: {"mask": <tensor>}`."""
    if isinstance(value, dict):
        return isinstance(value.get("mask"), dict | list) or any(map(_explicit_mask, value.values()))
    return isinstance(value, list) and any(map(_explicit_mask, value))


def _inbound(item: Config) -> list[str]:
    return list(dict.fromkeys(_names(item.get("inbound_nodes") or [])))


def _in_order(nodes: Mapping[str, Node]) -> list[str]:
    """Leaves with every feed before what it feeds; what stands in a circle comes last, in file order."""
    done: dict[str, None] = {}
    waiting = list(nodes)
    while waiting:
        before = len(done)
        for path in waiting:
            if all(feed in done for feed in nodes[path].feeds):
                done[path] = None
        if len(done) == before:
            done |= dict.fromkeys(waiting)
        waiting = [path for path in waiting if path not in done]
    return list(done)


def _output(node: Node, inputs: Sequence[Value], masked: bool) -> Value:
    leaf, config = node.leaf, node.leaf.config
    mask = (
        leaf.class_name == "Masking"
        or (leaf.class_name == "Embedding" and config.get("mask_zero") is True)
        or (
            masked
            and (leaf.class_name in _PASS_MASK or (leaf.class_name in RECURRENT_LAYERS and returns_sequences(leaf)))
        )
    )
    first = inputs[0] if inputs else Value()
    shape = first.shape or _declared(node)
    if "TimeDistributed" in leaf.wrappers and shape and len(shape) > 2:
        inner = after(leaf, Value((shape[0], *shape[2:]), False, first.spatial, first.flattened), inputs)
        outer = (shape[0], shape[1], *inner.shape[1:]) if inner.shape else None
        return Value(outer, mask, inner.spatial, inner.flattened, inner.lost)
    value = after(leaf, Value(shape, False, first.spatial, first.flattened, first.lost), inputs)
    return Value(value.shape, mask, value.spatial, value.flattened, value.lost)


_SHAPES = ("batch_shape", "batch_input_shape")


def _declared(node: Node) -> Shape | None:
    """The input shape that the configuration writes down: of an input, or by `build_config` of Keras 3."""
    inner, outer = node.leaf.config, node.item["config"]
    config = {**inner, **{key: outer[key] for key in _SHAPES if isinstance(outer, dict) and key in outer}}
    built = node.item.get("build_config")
    places = (
        *(config.get(key) for key in _SHAPES),
        built.get("input_shape") if isinstance(built, dict) else None,
    )
    for shape in places:
        if isinstance(shape, list) and all(size is None or (isinstance(size, int) and size >= 0) for size in shape):
            return tuple(shape)
    return None
