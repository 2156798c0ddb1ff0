"""Operations without weights that move elements about: reshapes, permutations, slices, and batch and time as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from converters.model.graph import Node
from converters.model.operations import (
    Activation,
    AddAxis,
    Apply,
    Axis,
    Concatenate,
    Constant,
    Crop,
    DropAxis,
    Expand,
    Flatten,
    Identity,
    MergeTime,
    Pad,
    Permute,
    Pick,
    Regroup,
    Repeat,
    Reshape,
    Reverse,
    Scale,
    SplitTime,
    Take,
)
from converters.targets.pytorch.source.activations import is_elementwise
from converters.targets.pytorch.source.held import Held, together
from converters.targets.pytorch.source.words import number, quoted
from converters.targets.pytorch.source.writing import Writing


def identity(w: Writing, node: Node, op: Identity, values: list[Held]) -> Held:
    return values[0]


def concatenate(w: Writing, node: Node, op: Concatenate, values: list[Held]) -> Held:
    values = together(values)
    if any(value.flat for value in values):
        values = [value.as_source() for value in values]
    listed = ", ".join(value.text for value in values)
    return replace(
        values[0], text=f"torch.cat([{listed}], dim={values[0].axis(op.axis)})", shape=w.shape(node.outputs[0])
    )


def flatten(w: Writing, node: Node, op: Flatten, values: list[Held]) -> Held:
    """As it is held where all who read it take the channels first; in the source's order otherwise."""
    x, shape = values[0].joined(), w.shape(node.outputs[0])
    wanted = wanted_map(w, node.outputs[0])
    if x.rank == 2:
        return replace(x, shape=shape)
    if wanted:
        x = x.channels_at(1)
        return Held(f"{x.text}.flatten(1)", shape, flat=wanted)
    return Held(f"{x.as_source().text}.flatten(1)", shape)


def wanted_map(w: Writing, value: str) -> tuple[int, ...]:
    """The sizes (…, channel) of the map that the layers behind a flattened value take with its channels in front."""
    for node in w.graph.nodes:
        if value not in node.inputs:
            continue
        if isinstance(node.operation, Apply) and node.layer and node.layer.parts:
            found = node.layer.parts[0].flattened
        elif _keeps(node) and node.outputs:
            found = wanted_map(w, node.outputs[0])
        else:
            found = ()
        if found:
            return found
    return ()


def _keeps(node: Node) -> bool:
    """Whether an operation leaves the order of its input's elements alone."""
    op = node.operation
    return isinstance(op, Identity | Scale | SplitTime) or (isinstance(op, Activation) and is_elementwise(op.function))


def reshape(w: Writing, node: Node, op: Reshape, values: list[Held]) -> Held:
    x = values[0].as_source()
    batch = f"{x.text}.size(0)" if -1 in op.shape else "-1"
    sizes = ", ".join([batch, *map(str, op.shape)])
    text = f"{x.text}.reshape({sizes})" if op.shape else f"{x.text}.reshape(-1)"
    return Held(text, w.shape(node.outputs[0]))


def regroup(w: Writing, node: Node, op: Regroup, values: list[Held]) -> Held:
    x = values[0].as_source()
    sizes = [f"{x.text}.size({size.number})" if isinstance(size, Axis) else str(size) for size in op.sizes]
    return Held(f"{x.text}.reshape({', '.join(sizes)})", w.shape(node.outputs[0]))


def expand(w: Writing, node: Node, op: Expand, values: list[Held]) -> Held:
    x, like = values[0].as_source(), values[-1].as_source().text
    sizes = [f"{like}.size({size.number})" if isinstance(size, Axis) else str(size) for size in op.sizes]
    return Held(f"{x.text}.expand({', '.join(sizes)})", w.shape(node.outputs[0]))


_MOST_IN_LINE = 32
"""Numbers that `forward` makes anew in every call; more are a buffer."""


def constant(w: Writing, node: Node, op: Constant, values: list[Held]) -> Held:
    """Numbers of the program, where the model is."""
    listed = ", ".join(number(n) if "float" in op.dtype else repr(n) for n in op.numbers)
    listed = f"[{listed}]" if op.shape else listed
    shaped = f".reshape({', '.join(map(str, op.shape))})" if len(op.shape) > 1 else ""
    if len(op.numbers) > _MOST_IN_LINE:
        text = f"torch.tensor({listed}, dtype=torch.{op.dtype}){shaped}"
        return Held(w.table(f"{node.name.rpartition('/')[2]}_numbers", text), op.shape)
    first = w.held[w.graph.inputs[0].name].text
    return Held(f"torch.tensor({listed}, dtype=torch.{op.dtype}, device={first}.device){shaped}", op.shape)


def permute(w: Writing, node: Node, op: Permute, values: list[Held]) -> Held:
    x, shape = values[0].joined(), w.shape(node.outputs[0])
    if x.flat or (x.channel and len(x.order()) != len(op.order)):
        x = x.as_source()
    order = [x.order().index(axis) for axis in op.order] if x.channel else list(op.order)
    if order == sorted(order):
        return Held(x.text, shape)
    return Held(f"{x.text}.permute({', '.join(map(str, order))})", shape)


def repeat(w: Writing, node: Node, op: Repeat, values: list[Held]) -> Held:
    x = values[0]
    count = w.shape(node.outputs[0])
    return replace(x, text=f"{x.text}.unsqueeze(1).repeat(1, {op.count}, 1)", shape=count)


def _around(x: Held, amounts: tuple[tuple[int, int], ...], channels_last: bool) -> list[tuple[int, int]]:
    """(before, after) of every axis behind the batch, as it is held."""
    source = [*amounts, (0, 0)] if channels_last else [(0, 0), *amounts]
    return [source[axis - 1] for axis in x.order() if axis]


def pad(w: Writing, node: Node, op: Pad, values: list[Held]) -> Held:
    if op.how != "constant":
        return _mirrored(w, node, op, values[0])
    x = _of_rank(values[0].joined(), len(op.amounts) + 2)
    pairs = _around(x, op.amounts, op.channels_last)
    while pairs and pairs[0] == (0, 0):
        del pairs[0]
    value = f", value={number(op.value)}" if op.value else ""
    flat = tuple(n for pair in reversed(pairs) for n in pair)
    return replace(x, text=f"functional.pad({x.text}, {flat}{value})", shape=w.shape(node.outputs[0]))


def _mirrored(w: Writing, node: Node, op: Pad, value: Held) -> Held:
    """Elements of the map around it: PyTorch reads it with its channels in front, and all amounts of its axes."""
    x = value.channels_at(1) if op.channels_last else value.as_source()
    flat = tuple(n for pair in reversed(op.amounts) for n in pair)
    mode = {"reflect": "reflect", "edge": "replicate"}[op.how]
    if len(op.amounts) > 3:
        w.refuse(node, f"padding of {len(op.amounts)} axes by {op.how}")
    return replace(x, text=f"functional.pad({x.text}, {flat}, mode={quoted(mode)})", shape=w.shape(node.outputs[0]))


def crop(w: Writing, node: Node, op: Crop, values: list[Held]) -> Held:
    x = _of_rank(values[0].joined(), len(op.amounts) + 2)
    slices = [_slice(before, -after if after else None) for before, after in _around(x, op.amounts, op.channels_last)]
    return replace(x, text=_sliced(x.text, slices), shape=w.shape(node.outputs[0]))


def _of_rank(x: Held, rank: int) -> Held:
    """A value whose number of axes an operation tells."""
    return x if x.shape is not None else replace(x, shape=(None,) * rank)


def _slice(start: int | None, stop: int | None, step: int = 1) -> str:
    text = f"{start or ''}:{'' if stop is None else stop}"
    return text if step == 1 else f"{text}:{step}"


def _sliced(text: str, slices: list[str]) -> str:
    while slices and slices[-1] == ":":
        del slices[-1]
    return f"{text}[{', '.join([':', *slices])}]" if slices else text


def take(w: Writing, node: Node, op: Take, values: list[Held]) -> Held:
    x, shape = values[0].joined(), w.shape(node.outputs[0])
    x = x.as_source() if op.index is not None or x.flat else x
    axis = x.axis(op.axis)
    if op.index is not None:
        return Held(f"{x.text}.select({axis}, {op.index})", shape)
    if op.step < 0:
        x, op = replace(x, text=f"{x.text}.flip({axis})"), _turned(op)
    wanted = _slice(op.start, op.stop, op.step)
    if axis == 0:
        return replace(x, text=f"{x.text}[{wanted}]" if wanted != ":" else x.text, shape=shape)
    if axis < 0:
        return replace(x, text=f"{x.text}[..., {', '.join([wanted, *[':'] * (-1 - axis)])}]", shape=shape)
    return replace(x, text=_sliced(x.text, [*[":"] * (axis - 1), wanted]), shape=shape)


def _turned(op: Take) -> Take:
    """What is taken of an axis that was turned round, for a step backwards."""
    start = 0 if op.start == -1 else -1 - op.start
    stop = None if op.stop is None else -1 - op.stop
    return replace(op, start=start, stop=stop, step=-op.step)


def pick(w: Writing, node: Node, op: Pick, values: list[Held]) -> Held:
    x, indices = (value.as_source() for value in values)
    places = f"{indices.text}.long()"
    if op.from_end:
        w.put(f"places = {places}")
        places = f"places + {x.text}.size({op.axis}) * (places < 0)"
    return Held(f"torch.gather({x.text}, {op.axis}, {places})", w.shape(node.outputs[0]))


def add_axis(w: Writing, node: Node, op: AddAxis, values: list[Held]) -> Held:
    x = values[0].as_source()
    return Held(f"{x.text}.unsqueeze({op.axis})", w.shape(node.outputs[0]))


def drop_axis(w: Writing, node: Node, op: DropAxis, values: list[Held]) -> Held:
    x = values[0].as_source()
    return Held(f"{x.text}.squeeze({op.axis})", w.shape(node.outputs[0]))


def reverse(w: Writing, node: Node, op: Reverse, values: list[Held]) -> Held:
    x = values[0].joined()
    x = x.as_source() if x.flat else x
    return replace(x, text=f"{x.text}.flip({x.axis(op.axis)})")


def merge_time(w: Writing, node: Node, op: MergeTime, values: list[Held]) -> Held:
    """Put off until somebody needs it: many layers take batch and time as they are."""
    x, shape = values[0], w.shape(node.outputs[0])
    if x.channel == 1:
        x = x.channels_at(2) if x.rank and x.rank > 3 else x.as_source()
    channel = max(x.channel - 1, 0)
    if x.steps:
        return replace(x, shape=shape, channel=channel, steps="")
    return replace(x.joined(), shape=shape, channel=channel, apart=True)


def split_time(w: Writing, node: Node, op: SplitTime, values: list[Held]) -> Held:
    """Put off where the steps are known: the next layer may run on every one of them too."""
    x, like, shape = values[0], values[1], w.shape(node.outputs[0])
    channel = x.channel + 1 if x.channel else 0
    if x.apart:
        return replace(x, shape=shape, channel=channel, apart=False)
    steps = like.shape[1] if like.shape else None
    if steps:
        return replace(x.joined(), shape=shape, channel=channel, steps=f"(-1, {steps})")
    like = like.joined()
    sizes = f"[{like.text}.size({like.axis(0)}), {like.text}.size({like.axis(1)})]"
    return replace(x.joined(), text=f"{x.joined().text}.unflatten(0, {sizes})", shape=shape, channel=channel)


LOWER: Mapping[type, Callable[..., Held]] = {
    AddAxis: add_axis,
    Concatenate: concatenate,
    Constant: constant,
    Crop: crop,
    DropAxis: drop_axis,
    Expand: expand,
    Flatten: flatten,
    Identity: identity,
    MergeTime: merge_time,
    Pad: pad,
    Permute: permute,
    Regroup: regroup,
    Repeat: repeat,
    Reshape: reshape,
    Reverse: reverse,
    SplitTime: split_time,
    Pick: pick,
    Take: take,
}
