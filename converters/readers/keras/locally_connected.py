"""LocallyConnected1D and LocallyConnected2D: what shapes do not tell of them, and the forms of their kernel.

`implementation` decides what tf.keras stores. 1: the window of every place, (places, window, out), as all versions do.
2: a matrix of all pairs of an input and an output, of which those within a window count. 3: what counts of that matrix,
sorted by output and then by input. The last two may pad "same": k // 2 zeros before an axis, however long it is.

Sources: `locally_connected*.py` and `conv_connected_inputs` of Keras 2.15; LocallyConnected1D of Keras 2.2.5, which has
its channels last whatever `data_format` says. Outputs compared in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.keras.config import CellConfig, Config, Container, Leaf
from converters.readers.keras.feature_maps import Shape
from converters.readers.keras.graph import graph_facts
from converters.readers.keras.semantics import LOCALLY_CONNECTED, Version, is_channels_last
from layouts.errors import NotRepresentable, ShapeError, printable
from layouts.options import Convolution

_INPUT = "batch_input_shape"
_WORDS = {
    "LocallyConnected1D": (("column",), ("width",)),
    "LocallyConnected2D": (("row", "column"), ("height", "width")),
}
"""What the layouts call the places of the output and the sizes of a kernel."""


class Settled(NamedTuple):
    """The arrays with their kernel in its usual form, the sizes that no shape tells, and the zeros around the input."""

    arrays: Mapping[str, LazyArray]
    sizes: Mapping[str, int]
    pads: tuple[int, ...] = ()

    def options(self, usual: Convolution) -> Convolution:
        """The options of the layer, with the zeros as numbers."""
        padded = any(self.pads)
        return replace(usual, padding="explicit" if padded else "valid", pads=self.pads if padded else ())


class _Axis(NamedTuple):
    """One axis of the map: its size (None where it is not known), its windows, and the zeros before it."""

    size: int | None
    places: int
    kernel: int
    stride: int
    before: int

    @property
    def after(self) -> int:
        """The zeros that the last window needs behind the axis."""
        reach = (self.places - 1) * self.stride + self.kernel - self.before
        return 0 if self.size is None else max(reach - self.size, 0)

    def windows(self) -> Array:
        """The input at each element of each window, (places, kernel); -1 outside of the map."""
        seen = np.arange(self.places)[:, None] * self.stride - self.before + np.arange(self.kernel)
        return seen if self.size is None else np.where(seen < self.size, np.maximum(seen, -1), -1)


def with_inputs(model: Container, version: Version) -> Container:
    """The model, these layers with the shape of their input as its graph tells it."""
    blind = version.major == 2 and not version.tensorflow and version.number < (2, 4)
    model = _each(model, lambda leaf: _channels_last(leaf) if blind else leaf)
    facts = graph_facts(model)
    return _each(model, lambda leaf: _reading(leaf, facts[leaf.path].shape if leaf.path in facts else None))


def _each(model: Container, change: Callable[[Leaf], Leaf]) -> Container:
    def changed(member: Leaf | Container) -> Leaf | Container:
        if isinstance(member, Container):
            return _each(member, change)
        return change(member) if member.class_name in LOCALLY_CONNECTED else member

    return replace(model, members=[(item, changed(member)) for item, member in model.members])


def _channels_last(leaf: Leaf) -> Leaf:
    """As a version computes it whose LocallyConnected1D knows no channels first."""
    plain = {key: value for key, value in leaf.config.items() if key != "data_format"}
    return _configured(leaf, plain) if leaf.class_name == "LocallyConnected1D" else leaf


def _reading(leaf: Leaf, shape: Shape | None) -> Leaf:
    return _configured(leaf, {**leaf.config, _INPUT: list(shape)}) if shape else leaf


def _configured(leaf: Leaf, config: Config) -> Leaf:
    return replace(leaf, config=config, cells=(replace(leaf.cells[0], config=config),))


def settled(cell: CellConfig, arrays: Mapping[str, LazyArray]) -> Settled:
    """What is to be known of a layer beside its arrays.

    Raises `ShapeError` where nothing tells it or it contradicts, `NotRepresentable` for what no Keras computes.
    """
    config, (places, space) = cell.config, _WORDS[cell.class_name]
    how, same = _form(config)
    kernel, strides = _kernel(config, len(space)), _strides(config, len(space))
    sizes = _of_pairs(arrays, config, len(space)) if how == 2 else _sizes(config, len(space))
    counts = _counts(sizes, kernel, strides, same=same) if sizes else _biased(arrays, len(space), same=same)
    given = dict(zip(space, kernel, strict=True))
    if not counts and how == 1 and len(space) == 1:
        return Settled(arrays, given)
    if not counts:
        raise ShapeError(
            "nothing tells how many places its output has on each axis: not a bias, and not the shape of its input"
        )
    known: Sequence[int | None] = sizes or [None] * len(space)
    axes = [
        _Axis(size, count, width, step, width // 2 if same else 0)
        for size, count, width, step in zip(known, counts, kernel, strides, strict=True)
    ]
    stored = arrays if how == 1 else {**arrays, "kernel": _usual(arrays, config, axes, how)}
    pads = (*(axis.before for axis in axes), *(axis.after for axis in axes))
    return Settled(stored, {**given, **dict(zip(places, counts, strict=True))}, pads)


def _form(config: Config) -> tuple[int, bool]:
    """The implementation, and whether it pads "same"."""
    how, padding = config.get("implementation", 1), config.get("padding", config.get("border_mode", "valid"))
    if isinstance(how, bool) or how not in (1, 2, 3):
        raise NotRepresentable(f"its implementation={printable(repr(how))} is none of 1, 2 and 3")
    if padding not in (("valid",) if how == 1 else ("valid", "same")):
        raise NotRepresentable(f"no Keras computes padding={printable(repr(padding))} with implementation={how}")
    return how, padding == "same"


def _kernel(config: Config, count: int) -> list[int]:
    rows = [config["nb_row"], config.get("nb_col")] if "nb_row" in config else None
    value = rows or config.get("kernel_size", config.get("filter_length"))
    if value is None:
        raise ShapeError("no shape tells its kernel_size: state it with assume={'LAYER.kernel_size': '3,2'}")
    return _positive("kernel_size", value, count)


def _strides(config: Config, count: int) -> list[int]:
    told = (config.get(key) for key in ("strides", "subsample", "subsample_length"))
    return _positive("strides", next((value for value in told if value is not None), 1), count)


def _positive(key: str, value: Any, count: int) -> list[int]:
    """One positive number an axis."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    numbers = numbers * count if len(numbers) == 1 else numbers
    if len(numbers) != count or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers):
        raise ShapeError(f"its configuration says {key}={printable(repr(value))}: expected {count} positive numbers")
    return numbers


def _sizes(config: Config, count: int) -> list[int]:
    """The sizes of the map that it reads, where its configuration or the graph tells them."""
    shape = config.get(_INPUT)
    if not isinstance(shape, list | tuple) or len(shape) != count + 2:
        return []
    inner = shape[1:-1] if is_channels_last(config) else shape[2:]
    return list(inner) if all(isinstance(n, int) and n > 0 for n in inner) else []


def _of_pairs(arrays: Mapping[str, LazyArray], config: Config, count: int) -> list[int]:
    """The sizes of the map, as a kernel of all pairs has them."""
    shape, axes = arrays["kernel"].shape if "kernel" in arrays else (), 2 * (count + 1)
    if len(shape) != axes:
        raise ShapeError(f"kernel: shape {shape} has {len(shape)} axes; implementation=2 makes {axes}", array="kernel")
    return list(shape[:count] if is_channels_last(config) else shape[1 : count + 1])


def _counts(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], *, same: bool) -> list[int]:
    """The places of the output on each axis; a window is no wider than the map, or with zeros than twice the map."""
    found = []
    for size, width, step in zip(sizes, kernel, strides, strict=True):
        if width > size * (2 if same else 1):
            raise ShapeError(f"its configuration says a kernel of {width}, and its input is {size} wide")
        found.append(-(-size // step) if same else (size - width) // step + 1)
    return found


def _biased(arrays: Mapping[str, LazyArray], count: int, *, same: bool) -> list[int]:
    """The same as a bias tells them, whose axes they are; nothing where zeros depend on the size of the input."""
    bias = arrays.get("bias", arrays.get("b"))
    return list(bias.shape[:-1]) if bias is not None and len(bias.shape) == count + 1 and not same else []


def _usual(arrays: Mapping[str, LazyArray], config: Config, axes: Sequence[_Axis], how: int) -> LazyArray:
    """The kernel of implementation 2 or 3 in the form of 1, zero where a window reaches beyond the map."""
    kernel, last, count = arrays["kernel"], is_channels_last(config), len(axes)
    inputs, outputs = _pairs(kernel, axes, last) if how == 2 else _listed(kernel, axes, _outputs(arrays, config))
    places, window = (math.prod(sizes) for sizes in zip(*((axis.places, axis.kernel) for axis in axes), strict=True))
    shape = (places, window * inputs, outputs)
    take = _from_pairs if how == 2 else _from_list

    def read() -> Array:
        found = take(kernel.read(), axes, inputs, outputs, last)
        return (found if last else np.moveaxis(found, 2 * count, count)).reshape(shape)

    return LazyArray(kernel.name, shape, kernel.dtype, read, kernel.release)


def _pairs(kernel: LazyArray, axes: Sequence[_Axis], last: bool) -> tuple[int, int]:
    """Inputs and outputs of a kernel of all pairs."""
    shape, count = kernel.shape, len(axes)
    inputs, outputs = (shape[count], shape[-1]) if last else (shape[0], shape[count + 1])
    space, places = [axis.size for axis in axes], [axis.places for axis in axes]
    wanted = (*space, inputs, *places, outputs) if last else (inputs, *space, outputs, *places)
    if shape != wanted:
        raise ShapeError(f"kernel: shape {shape}, and its configuration makes it {wanted}", array="kernel")
    return inputs, outputs


def _outputs(arrays: Mapping[str, LazyArray], config: Config) -> int:
    """The outputs of a place."""
    bias = arrays.get("bias")
    return _positive("filters", config.get("filters") if bias is None else list(bias.shape[-1:]), 1)[0]


def _listed(kernel: LazyArray, axes: Sequence[_Axis], outputs: int) -> tuple[int, int]:
    """Inputs and outputs of a kernel whose pairs are listed.

    Half of any window at least is within the map: what cannot be listed in the kernel is not counted at all.
    """
    (length,) = kernel.shape if len(kernel.shape) == 1 else (0,)
    most = math.prod(axis.places * axis.kernel for axis in axes)
    inside = int(_inside(axes).sum()) if most <= length << len(axes) else most
    inputs, rest = divmod(length, inside * outputs)
    if rest or not inputs:
        raise ShapeError(
            f"kernel: shape {kernel.shape}, and its configuration makes it a list of {inside * outputs} × inputs",
            array="kernel",
        )
    return inputs, outputs


def _spread(windows: Array, number: int, count: int) -> Array:
    """(places, kernel) of one axis among those of all, (*places, *kernel)."""
    shape = [1] * 2 * count
    shape[number], shape[count + number] = windows.shape
    return windows.reshape(shape)


def _inside(axes: Sequence[_Axis]) -> Array:
    """Whether each element of a window is one of the map, (*places, *kernel)."""
    found: Array = np.ones((1,) * 2 * len(axes), bool)
    for number, axis in enumerate(axes):
        found = found & (_spread(axis.windows(), number, len(axes)) >= 0)
    return found


def _from_pairs(kernel: Array, axes: Sequence[_Axis], inputs: int, outputs: int, last: bool) -> Array:
    """The pairs within the windows: (*places, *kernel, inputs, outputs)."""
    count, whole = len(axes), slice(None)
    read = [_spread(axis.windows(), number, count) for number, axis in enumerate(axes)]
    made = [_spread(np.arange(axis.places)[:, None], number, count) for number, axis in enumerate(axes)]
    index: tuple[Any, ...] = (*read, whole, *made, whole) if last else (whole, *read, whole, *made)
    found: Array = kernel[index]
    found[~_inside(axes)] = 0
    return found


def _from_list(kernel: Array, axes: Sequence[_Axis], inputs: int, outputs: int, last: bool) -> Array:
    """The listed pairs at their places: (*places, *kernel, inputs, outputs)."""
    count, inside = len(axes), _inside(axes)[..., None, None]
    places, window = range(count), range(count, 2 * count)
    order = (*places, 2 * count + 1, *window, 2 * count) if last else (2 * count + 1, *places, 2 * count, *window)
    found = np.zeros((*inside.shape[:-2], inputs, outputs), kernel.dtype)
    found.transpose(order)[np.broadcast_to(inside, found.shape).transpose(order)] = kernel
    return found
