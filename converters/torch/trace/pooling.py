"""Windows, as modules of torch.nn and as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from torch import fx

from converters.model import operations as op
from converters.torch.trace.sketch import Sketch
from converters.torch.trace.words import Arguments, Named, Write, argument


def each(value: Any, count: int) -> tuple[int, ...]:
    """A setting of every axis."""
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * count


def pool(how: str) -> Callable[[Sketch, fx.Node, Any], op.Operation]:
    """A module of pooling."""

    def found(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
        count = len(d.runs.shape(node)) - 2
        size, padding = each(module.kernel_size, count), each(module.padding, count)
        strides = each(module.stride or module.kernel_size, count)
        if module.ceil_mode or any(n != 1 for n in each(getattr(module, "dilation", 1), count)):
            raise d.refuse(node, "pooling with ceil_mode or dilation is not known here")
        if how == "average" and any(padding) and module.count_include_pad:
            raise d.refuse(node, "a mean that counts what is padded is not known here")
        told = ("explicit", (*padding, *padding)) if any(padding) else ("valid", ())
        return op.Pool(how, size, strides, *told, channels_last=False)

    return found


def whole(how: str) -> Callable[[Sketch, fx.Node, Any], op.Operation]:
    """A module that pools to one place."""

    def found(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
        if any(size != 1 for size in each(module.output_size, 1)):
            raise d.refuse(node, "adaptive pooling to more than one place is not known here")
        return op.GlobalPool(how, keep_axes=True, channels_last=False)

    return found


def _pooled(how: str) -> Write:
    """A function of pooling; one whose window is all of an open axis takes the most, or the mean, of that axis."""

    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        size, stride = argument(a, named, 1, "kernel_size"), argument(a, named, 2, "stride")
        rank = len(d.shape(a[0]))
        axes = tuple(range(2, rank))
        if all(sizes == (1,) * len(sizes) for sizes in d.runs.sizes(node)[2:]) and _is_whole(d, node, size):
            return d.add(node, op.Reduce("mean" if how == "average" else how, axes, True), a[0])
        if any(d.shape(a[0])[axis] is None for axis in axes) and _varies(d, node):
            raise d.refuse(node, "windows as large as an open size are not known here")
        told = SimpleNamespace(
            kernel_size=size,
            stride=stride,
            padding=argument(a, named, 3, "padding", 0),
            dilation=argument(a, named, 4, "dilation", 1) if how == "max" else 1,
            ceil_mode=named.get("ceil_mode", False) or len(a) > 4,
            count_include_pad=named.get("count_include_pad", True),
        )
        return d.add(node, pool(how)(d, node, told), a[0])

    return write


def _is_whole(d: Sketch, node: fx.Node, size: Any) -> bool:
    """Whether the window is as large as the picture in every run, and nothing is padded."""
    own = d.runs.value(node.all_input_nodes[0]).shape[2:]
    padded = node.args[3:4] != () or node.kwargs.get("padding", 0) or node.kwargs.get("ceil_mode", False)
    return each(size, len(own)) == tuple(own) and not padded


def _varies(d: Sketch, node: fx.Node) -> bool:
    """Whether the size of the window hangs on that of an input."""
    return any(len({str(value) for value in d.runs.each(other)}) > 1 for other in node.all_input_nodes[1:])


def _adaptive(how: str) -> Write:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        told = SimpleNamespace(output_size=argument(a, named, 1, "output_size"))
        return d.add(node, whole(how)(d, node, told), a[0])

    return write


WRITTEN: Mapping[str, Write] = {
    **{f"max_pool{n}d": _pooled("max") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pooled("average") for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive("max") for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive("average") for n in (1, 2, 3)},
}
"""Functions by name."""
