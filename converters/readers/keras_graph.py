"""What the graph of a Keras model tells about a layer beyond its own configuration: masks, and flattened maps.

A mask flows from Embedding(mask_zero) or Masking through layers that pass it on. A convolution's map is channels last
in Keras and channels first in PyTorch, so what reads it flattened needs its input axis permuted; the shapes are
propagated as far as they are certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converters.readers.keras_config import Config, Container, Leaf

Shape = tuple[int | None, ...]

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
_RECURRENT = {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "CuDNNLSTM", "CuDNNGRU"}
_SAME_SHAPE = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "LayerNormalization",
    "LeakyReLU",
    "PReLU",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ThresholdedReLU",
    "ReLU",
    "GroupNormalization",
    "RMSNormalization",
    "Softmax",
    "Masking",
    "InputLayer",
}
_ELEMENTWISE = {"Activation", "Dropout", "ReLU", "LeakyReLU", "ELU", "GaussianNoise", "GaussianDropout", "AlphaDropout"}
_CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "SeparableConv1D", "SeparableConv2D"}
_DEPTHWISE = {"DepthwiseConv1D", "DepthwiseConv2D"}
_POOLING = {f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)}


@dataclass
class Node:
    """One call site of the graph: a leaf and the leaves that feed it."""

    leaf: Leaf
    item: Config
    feeds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Value:
    """What leaves a layer: its shape where certain, whether a mask goes with it, and the map it was flattened from.

    `spatial`: a map of a convolution, channels last. `flattened`: the sizes (…, channel) of a map that was flattened.
    `lost`: a map was reshaped in a way that is not followed.
    """

    shape: Shape | None = None
    mask: bool = False
    spatial: bool = False
    flattened: tuple[int, ...] | None = None
    lost: bool = False


@dataclass(frozen=True)
class GraphFacts:
    """For one layer: whether its input is masked, the map that was flattened before it, or that one was lost.

    `fed_by`: the layers it reads from, past those that do nothing at inference, such as Dropout.
    """

    masked: bool = False
    flattened: tuple[int, ...] | None = None
    reshaped: bool = False
    fed_by: tuple[str, ...] = ()


_TRANSPARENT = {"Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout"}
"""Layers that do nothing to their input at inference."""


def graph_facts(model: Container) -> dict[str, GraphFacts]:
    """The facts of every leaf, by path."""
    nodes: dict[str, Node] = {}
    _connect(model, [], nodes)
    values: dict[str, Value] = {}
    found: dict[str, GraphFacts] = {}
    for path in _in_order(nodes):
        node = nodes[path]
        inputs = [values[feed] for feed in node.feeds if feed in values]
        first = inputs[0] if inputs else Value()
        masked = any(value.mask for value in inputs) or _explicit_mask(node.item.get("inbound_nodes"))
        fed_by = tuple(dict.fromkeys(source for feed in node.feeds for source in _sources(feed, nodes)))
        found[path] = GraphFacts(masked, first.flattened, any(value.lost for value in inputs), fed_by)
        values[path] = _output(node, inputs, masked)
    return found


def _sources(path: str, nodes: Mapping[str, Node]) -> list[str]:
    """The layer itself, or what feeds it where it does nothing."""
    found: list[str] = []
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in nodes and nodes[current].leaf.class_name in _TRANSPARENT:
            waiting += nodes[current].feeds
        else:
            found.append(current)
    return found


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
        ready = [path for path in waiting if all(feed in done for feed in nodes[path].feeds)]
        for path in ready or waiting:
            done[path] = None
        waiting = [path for path in waiting if path not in done]
    return list(done)


def _output(node: Node, inputs: Sequence[Value], masked: bool) -> Value:
    leaf, config = node.leaf, node.leaf.config
    mask = (
        leaf.class_name == "Masking"
        or (leaf.class_name == "Embedding" and config.get("mask_zero") is True)
        or (masked and (leaf.class_name in _PASS_MASK or (leaf.class_name in _RECURRENT and _sequences(leaf))))
    )
    first = inputs[0] if inputs else Value()
    shape = first.shape or _declared(node)
    if "TimeDistributed" in leaf.wrappers and shape and len(shape) > 2:
        inner = _value(leaf, Value((shape[0], *shape[2:]), False, first.spatial, first.flattened), inputs)
        outer = (shape[0], shape[1], *inner.shape[1:]) if inner.shape else None
        return Value(outer, mask, inner.spatial, inner.flattened, inner.lost)
    value = _value(leaf, Value(shape, False, first.spatial, first.flattened, first.lost), inputs)
    return Value(value.shape, mask, value.spatial, value.flattened, value.lost)


def _sequences(leaf: Leaf) -> bool:
    return any(cell.config.get("return_sequences") for cell in leaf.cells) or bool(leaf.config.get("return_sequences"))


def _declared(node: Node) -> Shape | None:
    """The input shape that the configuration writes down: of an input, or by `build_config` of Keras 3."""
    config = node.leaf.config
    built = node.item.get("build_config")
    places = (
        config.get("batch_shape"),
        config.get("batch_input_shape"),
        built.get("input_shape") if isinstance(built, dict) else None,
    )
    for shape in places:
        if isinstance(shape, list) and all(size is None or (isinstance(size, int) and size >= 0) for size in shape):
            return tuple(shape)
    return None


def _value(leaf: Leaf, value: Value, inputs: Sequence[Value]) -> Value:
    """What a layer makes of its (first) input."""
    kind, config, shape = leaf.class_name, leaf.config, value.shape
    if config.get("data_format") == "channels_first" or config.get("dim_ordering") == "th":
        return Value()
    if kind == "Flatten":
        return _flatten(value)
    if kind in _ELEMENTWISE or (kind in _SAME_SHAPE and value.flattened is None):
        return value
    if kind in _CONVOLUTIONS | _DEPTHWISE | _POOLING:
        return Value(_window(kind, config, shape), spatial=True)
    if kind in ("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D") and value.spatial:
        sign = 1 if kind.startswith("Zero") else -1
        return Value(_padded(config.get("padding", config.get("cropping")), shape, sign), spatial=True)
    if kind in ("UpSampling1D", "UpSampling2D") and value.spatial and shape:
        factors = _tuple(config.get("size", config.get("length")), len(shape) - 2)
        sizes = [n * f if n else None for n, f in zip(shape[1:-1], factors, strict=False)]
        return Value((shape[0], *sizes, shape[-1]), spatial=True)
    if kind in ("Add", "Multiply", "Average", "Maximum") and all(v.spatial for v in inputs):
        return value
    return Value(lost=(value.spatial or value.flattened is not None or value.lost) and kind in _REORDERS)


_REORDERS = {"Reshape", "Concatenate", "Merge", "BatchNormalization", "LayerNormalization", "Permute"}
"""Layers behind which a map that was not followed makes the order of features doubtful."""


def _flatten(value: Value) -> Value:
    sizes = value.shape[1:] if value.shape else ()
    if not value.spatial:
        return Value(lost=value.lost)
    if len(sizes) not in (2, 3, 4) or any(size is None for size in sizes):
        return Value(lost=True)
    whole = tuple(int(size) for size in sizes if size is not None)
    total = 1
    for size in whole:
        total *= size
    return Value((value.shape[0] if value.shape else None, total), flattened=whole)


def _tuple(value: Any, count: int) -> list[int]:
    sizes = value if isinstance(value, list | tuple) else [value] * count
    return [n if isinstance(n, int) and n > 0 else 1 for n in sizes]


def _window(kind: str, config: Config, shape: Shape | None) -> Shape | None:
    """The output shape of a convolution or a pooling; None where the configuration does not tell."""
    if not shape or len(shape) < 3:
        return None
    count = len(shape) - 2
    size = config.get("kernel_size", config.get("pool_size", config.get("pool_length", config.get("filter_length"))))
    if size is None and "nb_row" in config:
        size = [config["nb_row"], config["nb_col"]]
    strides = config.get("strides", config.get("subsample", config.get("subsample_length", config.get("stride"))))
    padding = config.get("padding", config.get("border_mode", "valid"))
    if size is None or not isinstance(padding, str):
        return None
    steps = _tuple(strides if strides is not None else size if kind in _POOLING else 1, count)
    dilation = _tuple(config.get("dilation_rate", config.get("atrous_rate", 1)), count)
    widths = [(k - 1) * d + 1 for k, d in zip(_tuple(size, count), dilation, strict=False)]
    spatial = [_length(n, k, s, padding) for n, k, s in zip(shape[1:-1], widths, steps, strict=False)]
    return (shape[0], *spatial, _channels(kind, config, shape[-1]))


def _channels(kind: str, config: Config, channels: int | None) -> int | None:
    if kind in _POOLING:
        return channels
    if kind in _DEPTHWISE:
        return channels * int(config.get("depth_multiplier", 1)) if channels else None
    filters = config.get("filters", config.get("nb_filter"))
    return filters if isinstance(filters, int) else None


def _length(size: int | None, width: int, step: int, padding: str) -> int | None:
    if size is None:
        return None
    return -(-size // step) if padding in ("same", "causal") else (size - width) // step + 1


def _padded(value: Any, shape: Shape | None, sign: int) -> Shape | None:
    if not shape or not isinstance(value, list | int):
        return None
    pairs = value if isinstance(value, list) else [value] * (len(shape) - 2)
    if len(shape) == 3 and len(pairs) == 2 and all(isinstance(n, int) for n in pairs):
        pairs = [pairs]
    totals = [sum(p) if isinstance(p, list) else 2 * p for p in pairs]
    if len(totals) != len(shape) - 2:
        return None
    return (
        shape[0],
        *(n + sign * t if n is not None else None for n, t in zip(shape[1:-1], totals, strict=True)),
        shape[-1],
    )
