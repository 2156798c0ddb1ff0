"""The initial values of Keras's own layers, in arrays of Keras's own shapes, moved into a module by the layouts.

Fans and orthogonality are Keras's by construction: glorot_uniform sees the whole kernel of all gates, and so does the
orthogonal matrix of the recurrent kernel. Source: the default initializers of each layer, distributions compared with
the installed Keras in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.layers import Part
from layouts import catalogue
from layouts.cells import Piece
from layouts.layout import DIRECTIONS, Layout
from layouts.repack import targets, unpack


def initialize_as_keras(module: nn.Module, part: Part, views: Mapping[Piece, torch.Tensor]) -> str:
    """Arrays of Keras's own shapes, filled as Keras fills them, and moved by the layouts."""
    layout = catalogue.target(("keras",), [part.cell], {piece.slot for piece in views})
    for where in dict.fromkeys((piece.layer, piece.direction) for piece in views):
        own = {_alone(piece): view for piece, view in views.items() if (piece.layer, piece.direction) == where}
        started = _started(layout, own, part.given)
        for piece, view in own.items():
            view.copy_(started[piece] if piece in started else torch.zeros(()))
    for name, value in part.layout.constants.items():
        if name in dict(module.named_buffers()):
            module.get_buffer(name).fill_(value)
    return "as Keras initializes it"


def _alone(piece: Piece) -> Piece:
    """The address of a piece as that of a layer by itself."""
    return piece._replace(layer=0, direction=DIRECTIONS[0])


def _started(
    layout: Layout, views: Mapping[Piece, torch.Tensor], sizes: Mapping[str, int]
) -> dict[Piece, torch.Tensor]:
    """The neutral pieces of one layer of Keras, as its constructor leaves them, in float32."""
    shapes = {piece: tuple(view.shape) for piece, view in views.items() if piece.slot in layout.slots}
    dummies = {piece: np.broadcast_to(np.float32(0), shape) for piece, shape in shapes.items()}
    arrays, known = {}, dict(sizes)
    for target in targets(layout, dummies, sizes):
        known |= {word: size.value for word, size in target.sizes.items()}
        tensor = torch.zeros(target.shape)
        short = target.name.rpartition("/")[2]
        _INITIALIZERS.get(target.name, _INITIALIZERS[short])(tensor)
        arrays[target.name] = tensor.numpy()
    pieces = unpack(layout, arrays, sizes=known)
    for piece, start in pieces.items():
        if piece.slot == "input_bias" and piece.gate and piece.gate == layout.cell.gate("forget"):
            start[...] = 1.0
    return {piece: torch.from_numpy(start) for piece, start in pieces.items()}


def glorot_uniform(tensor: torch.Tensor) -> None:
    """Uniform in ±√(6 / (fan_in + fan_out)), with Keras's fans: the last two axes, times all before them."""
    last = tensor.shape[-2:] if tensor.dim() > 1 else 2 * tensor.shape
    fans = sum(last) * math.prod(tensor.shape[:-2])
    limit = math.sqrt(6.0 / max(1, fans))
    tensor.uniform_(-limit, limit)


def _to_heads(tensor: torch.Tensor) -> None:
    glorot_uniform(tensor.view(len(tensor), -1))


def _from_heads(tensor: torch.Tensor) -> None:
    glorot_uniform(tensor.view(-1, tensor.shape[-1]))


def _embeddings(tensor: torch.Tensor) -> None:
    tensor.uniform_(-0.05, 0.05)


_INITIALIZERS: Mapping[str, Callable[[torch.Tensor], Any]] = {
    "kernel": glorot_uniform,
    "query/kernel": _to_heads,
    "key/kernel": _to_heads,
    "value/kernel": _to_heads,
    "attention_output/kernel": _from_heads,
    "depthwise_kernel": glorot_uniform,
    "recurrent_kernel": nn.init.orthogonal_,
    "bias": nn.init.zeros_,
    "input_gate_peephole_weights": glorot_uniform,
    "forget_gate_peephole_weights": glorot_uniform,
    "output_gate_peephole_weights": glorot_uniform,
    "embeddings": _embeddings,
    "gamma": nn.init.ones_,
    "beta": nn.init.zeros_,
    "scale": nn.init.ones_,
    "moving_mean": nn.init.zeros_,
    "moving_variance": nn.init.ones_,
    "alpha": nn.init.zeros_,
}
"""Array of a Keras layer -> how the layer of Keras 3.15 starts it by default."""
