"""Nodes that work on the space of feature maps: pooling, padding, enlarging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from converters.model import operations as op
from converters.readers.onnx.network.drawing import Drawing, Unfit

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

Draw = Callable[[Drawing, "Node"], None]
_RULES = {"NOTSET": "explicit", "VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


def _pool(d: Drawing, node: Node) -> None:
    stated, how = node.attributes, "max" if node.op == "MaxPool" else "average"
    size = tuple(stated["kernel_shape"])
    pads, rule = tuple(stated.get("pads", ())), _RULES.get(str(stated.get("auto_pad", "NOTSET")), "")
    if not rule or any(step != 1 for step in stated.get("dilations", ())):
        raise Unfit("its windows have gaps, or an unknown padding")
    if any(node.outputs[1:]):
        raise Unfit("it gives the places of what it takes")
    strides = tuple(stated.get("strides", ())) or (1,) * len(size)
    pads = pads if rule == "explicit" and any(pads) else ()
    if stated.get("ceil_mode", 0):
        pads = _over_the_edge(d, node, size, strides, pads)
    rule = "valid" if rule == "explicit" and not any(pads) else rule
    x = d.own(node.input(0))
    if how == "average" and pads and stated.get("count_include_pad", 0):
        x, pads, rule = _padded(d, node, x, pads), (), "valid"
    d.emit(node, op.Pool(how, size, strides, rule, pads, channels_last=False), x)


def _over_the_edge(
    d: Drawing, node: Node, size: Sequence[int], strides: Sequence[int], pads: tuple[int, ...]
) -> tuple[int, ...]:
    """The padding of a pool that rounds the number of its windows up: so much more at the end that they all fit.

    A window that starts behind the last element is left out by some runtimes, and refused here.
    """
    count, stated = len(size), node.attributes
    sizes = [low for low, high in (d.sizes(node.input(0)) or ())[2:] if low == high]
    before, after = pads[:count] or (0,) * count, pads[count:] or (0,) * count
    if len(sizes) != count:
        raise Unfit("with ceil_mode its windows depend on sizes that are not known")
    each = zip(sizes, before, after, size, strides, strict=True)
    more = [-(b + n + a - k) % s if b + n + a > k else max(k - b - n - a, 0) for n, b, a, k, s in each]
    if not any(more):
        return pads
    explicit = stated.get("auto_pad", "NOTSET") == "NOTSET"
    starts = zip(sizes, before, after, more, size, strict=True)
    if not explicit or any(b + n + a + m - k >= b + n for n, b, a, m, k in starts):
        raise Unfit("with ceil_mode its last windows start behind the edge")
    if node.op == "AveragePool" and stated.get("count_include_pad", 0):
        raise Unfit("with ceil_mode and count_include_pad runtimes differ in what its last windows count")
    return (*before, *(a + m for a, m in zip(after, more, strict=True)))


def _padded(d: Drawing, node: Node, x: str, pads: Sequence[int]) -> str:
    half, sizes = len(pads) // 2, d.sizes(node.input(0))
    amounts = tuple(zip(pads[:half], pads[half:], strict=True))
    name = d.fresh(f"{node.output(0)}_padded")
    grown = None
    if sizes is not None:
        more = [(0, 0), (0, 0), *amounts]
        grown = tuple((n[0] + sum(pair), n[1] + sum(pair)) for n, pair in zip(sizes, more, strict=True))
    d.put(node.output(0), "Pad", op.Pad(amounts, channels_last=False), (x,), {name: grown})
    return name


def _global_pool(d: Drawing, node: Node) -> None:
    how = "max" if node.op == "GlobalMaxPool" else "average"
    d.emit(node, op.GlobalPool(how, keep_axes=True, channels_last=False), d.own(node.input(0)))


def _pad(d: Drawing, node: Node) -> None:
    mode = node.attributes.get("mode", "constant")
    told = d.constant(node.input(1)) if node.input(1) else node.attributes.get("pads", node.attributes.get("paddings"))
    value = d.constant(node.input(2)) if node.input(2) else node.attributes.get("value", 0.0)
    rank = d.rank(node.input(0))
    if mode not in _AROUND or told is None or value is None or len(told) != 2 * rank or node.input(3):
        raise Unfit(f"padding by {mode}, or by computed amounts, is not known here")
    pairs = [(int(told[k]), int(told[rank + k])) for k in range(rank)]
    if min(min(pair) for pair in pairs) < 0:
        raise Unfit("it crops by negative amounts")
    number = float(value if isinstance(value, float) else value.reshape(-1)[0])
    if rank == 2 and pairs[0] == (0, 0):
        return _pad_row(d, node, op.Pad((pairs[1],), number, channels_last=False, how=mode))
    if pairs[0] == (0, 0) and pairs[1] == (0, 0):
        operation = op.Pad(tuple(pairs[2:]), number, channels_last=False, how=mode)
    elif pairs[0] == (0, 0) and pairs[-1] == (0, 0):
        operation = op.Pad(tuple(pairs[1:-1]), number, how=mode)
    else:
        raise Unfit("it pads the batch, or all axes")
    d.emit(node, operation, d.own(node.input(0)))


_AROUND = ("constant", "reflect", "edge")


def _pad_row(d: Drawing, node: Node, operation: op.Pad) -> None:
    """The one axis behind the batch, which gets one for channels while it is padded."""
    sizes, after = d.sizes(node.input(0)), d.inferred(node)[node.output(0)][1]
    names = [d.fresh(f"{node.output(0)}_{word}") for word in ("channel", "padded")]
    shapes = [None if one is None else (one[0], (1, 1), one[1]) for one in (sizes, after)]
    d.put(names[0], node.op, op.AddAxis(1), (d.own(node.input(0)),), {names[0]: shapes[0]})
    d.put(names[1], node.op, operation, names[:1], {names[1]: shapes[1]})
    d.emit(node, op.DropAxis(1), names[1])


def _enlarge(d: Drawing, node: Node) -> None:
    """Every element repeated a whole number of times."""
    stated, made = node.attributes, node.output(0)
    before, after = d.sizes(node.input(0)), d.inferred(node)[made][1]
    rounding = stated.get("coordinate_transformation_mode", "half_pixel"), stated.get("nearest_mode", "")
    floored = rounding in (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", ""))
    if before is None or after is None or stated.get("mode", "nearest") != "nearest":
        raise Unfit("only repeating elements is known here")
    whole = all(b[t] and a[t] % b[t] == 0 for b, a in zip(before, after, strict=True) for t in (0, 1))
    factors = [a[0] // b[0] for b, a in zip(before, after, strict=True)] if whole else []
    same = factors == [a[1] // b[1] for b, a in zip(before, after, strict=True)] if whole else False
    if not same or factors[:2] != [1, 1] or not (floored or node.op == "Upsample" or node.scope.opset < 11):
        raise Unfit("only repeating elements a whole number of times is known here")
    d.emit(node, op.UpSample(tuple(factors[2:]), channels_last=False), d.own(node.input(0)))


DRAW: Mapping[str, Draw] = {
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("Resize", "Upsample"), _enlarge),
    "Pad": _pad,
}
