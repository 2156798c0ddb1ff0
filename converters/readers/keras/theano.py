"""What convolutions of Keras's Theano backend pad: k // 2 zeros before every axis and (k - 1) // 2 behind.

TensorFlow's 'same' depends on the input's size and the stride; Theano's does not. The reach of a dilated kernel counts.
A transposed convolution is cropped by k // 2 at the start, to n × stride. Source: `theano_backend.py` of Keras 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from converters.model import operations as op
from converters.model.checkpoint import Checkpoint
from converters.model.graph import as_drawn
from converters.model.layers import Layer, Part
from layouts.options import Convolution, ConvolutionalRecurrence


def with_padding(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers of a file that was written on Theano, the zeros of 'same' as numbers."""
    for layer in layers:
        yield replace(layer, parts=tuple(map(_padded, layer.parts)))


def with_same_pooling(found: Checkpoint) -> Checkpoint:
    """The graph with the windows of pooling where Theano lays them; the numbers of padding count for nothing."""
    if found.graph is None:
        return found
    nodes = (
        replace(node, operation=_windows(node.operation)) if isinstance(node.operation, op.Pool) else node
        for node in found.graph.nodes
    )
    return replace(found, network=as_drawn(replace(found.graph, nodes=tuple(nodes))))


def _windows(pool: op.Pool) -> op.Operation:
    """Windows of 'same' begin size - 1 before the map, of odd sizes above 1 size - 2; ⌈n / stride⌉ are kept."""
    if pool.padding != "same":
        return pool
    if len(pool.size) == 3 and 1 in pool.size:
        return op.Unknown("pooling with padding 'same' over one element of an axis of three, which Theano refuses")
    begins = tuple(size - 2 if size > 2 and size % 2 else size - 1 for size in pool.size)
    ends = tuple(size - 1 - begin for size, begin in zip(pool.size, begins, strict=True))
    return replace(pool, padding="explicit", pads=(*begins, *ends))


def _padded(part: Part) -> Part:
    options = part.options
    if isinstance(options, ConvolutionalRecurrence):
        return _padded_maps(part, options)
    if not isinstance(options, Convolution) or options.padding != "same":
        return part
    sizes = part.solved()
    kernel = [sizes[word] for word in ("depth", "height", "width") if word in sizes]
    strides, dilation = (_each(values, len(kernel)) for values in (options.strides, options.dilation))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    begins = tuple(size // 2 for size in reach)
    if "transpose" not in part.cell.name:
        return replace(part, options=_explicit(options, begins, [(size - 1) // 2 for size in reach]))
    ends = [size - stride - size // 2 for size, stride in zip(reach, strides, strict=True)]
    longer = tuple(max(-end, 0) for end in ends)
    found = _explicit(options, begins, [max(end, 0) for end in ends])
    return replace(part, options=replace(found, output_padding=longer if any(longer) else ()))


def _padded_maps(part: Part, options: ConvolutionalRecurrence) -> Part:
    """The convolution of the state is always 'same', of stride 1: the odd zero of an even kernel is at the start."""
    sizes = part.solved()
    kernel = [sizes[word] for word in ("depth", "height", "width") if word in sizes]
    if any(size % 2 == 0 for size in kernel):
        options = replace(options, recurrent_padding="same_lower")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, _each(options.dilation, len(kernel)), strict=True)]
    centred = all(size % 2 for size in reach) and set(options.strides) <= {1}
    if options.padding == "same" and not centred:
        pads = (*(size // 2 for size in reach), *((size - 1) // 2 for size in reach))
        options = replace(options, padding="explicit", pads=pads)
    return replace(part, options=options)


def _explicit(options: Convolution, begins: tuple[int, ...], ends: Iterable[int]) -> Convolution:
    return replace(options, padding="explicit", pads=(*begins, *ends))


def _each(values: tuple[int, ...], count: int) -> tuple[int, ...]:
    return values if len(values) == count else (values or (1,))[:1] * count
