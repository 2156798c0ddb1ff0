"""`export_arrays`: a PyTorch module's weights as the arrays of another framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.arrays import Array, bfloat16
from converters.show.report import announce
from converters.torch.gate_views import place
from converters.torch.module_layout import Described, describe_module, layout_of, refuse_opaque
from layouts import catalogue
from layouts.cells import Cell, Piece
from layouts.errors import CoverageError, NotRepresentable, UnknownLayer, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.repack import pack, unpack

Arrays = dict[str, Array]


def export_arrays(
    module: nn.Module, framework: str = "keras", *, kind: str | None = None, **options: Any
) -> Arrays | dict[str, Arrays]:
    """One module's weights as another framework keeps them, by name, in the order in which it lists them.

    For Keras, ``layer.set_weights(list(export_arrays(linear).values()))``. A recurrent module of one layer and one
    direction gives the arrays of one layer; any other gives ``{"l0": arrays, "l0_reverse": arrays, …}``: a Keras
    Bidirectional takes the forward arrays and then the backward ones.

    kind: the framework's class, where a layer can be kept in several ways: "CuDNNLSTM", "OptimizedLSTMCell", "Conv2D"
        for a depthwise convolution.
    options: what the framework adds when it runs: ``forget_bias=1.0`` for the LSTM cells of TensorFlow 1.

    The arrays are copies, of the parameters' dtype (bfloat16 by ml_dtypes). Activations, epsilon and strides are no
    weights: build the other layer with the module's own.

    Warns (`ConversionWarning`) of every number that will not come back bit for bit: two biases that became one, or a
    constant taken off. Raises `NotRepresentable` where the framework has no place for a weight, `UnknownLayer` for a
    module that no layout describes or a kind that the framework does not have.
    """
    refuse_opaque(module)
    own = layout_of(module)
    if own is None:
        raise UnknownLayer(f"{type(module).__name__} has no layout: export its parts, one by one")
    sources = _sources(module, own, kind)
    target = layout_for(framework, [layout.cell for layout in sources], set(describe_module(module, own).slots), kind)
    found = describe_module(module, next(layout for layout in sources if layout.cell is target.cell))
    if found.extra:
        raise CoverageError(f"{type(module).__name__}: {', '.join(found.extra)} has no place in {target.name}")
    _check_implied(module, target)
    pieces = _by_place(found.unpack({name: _numpy(tensor) for name, tensor in found.tensors.items()}))
    packed = {name: _pack_one(target, own_pieces, found, options) for name, own_pieces in pieces.items()}
    changes = (_changed(target, pieces[name], packed[name], found, options) for name in packed)
    announce(tuple(dict.fromkeys(text for texts in changes for text in texts)))
    return packed if len(packed) > 1 else next(iter(packed.values()), {})


def alone(piece: Piece) -> Piece:
    """The address of a piece as that of a layer by itself."""
    return piece._replace(layer=0, direction=DIRECTIONS[0])


def layout_for(framework: str, cells: Sequence[Cell], slots: set[str], kind: str | None = None) -> Layout:
    """The framework's first layout of one of these cells with a place for all slots, of the class `kind` if stated.

    A second bias needs no place of its own. Raises `UnknownLayer` for a kind that the framework does not have,
    `NotRepresentable` where no layout holds these weights.
    """
    table = catalogue.layers(framework)
    if kind is not None and kind not in table:
        raise UnknownLayer(f"{framework} has no layout for {printable(kind)}; there are: {', '.join(table)}")
    candidates = [layout for name, found in table.items() if kind in (None, name) for layout in found]
    fitting = [layout for cell in cells for layout in candidates if layout.cell is cell]
    whole = [layout for layout in fitting if slots <= layout.slots | {"recurrent_bias"}]
    if not whole:
        lacking = sorted(slots - fitting[0].slots - {"recurrent_bias"}) if fitting else []
        what = " with ".join([cells[0].name.replace("_", " "), *lacking])
        raise NotRepresentable(f"{framework} has no {kind or 'layer'} that computes {what}", layout=framework)
    return whole[0]


def _sources(module: nn.Module, own: Layout, kind: str | None) -> list[Layout]:
    """The layouts by which the module may be read: a depthwise convolution, if asked for, as one with groups."""
    if kind is None:
        return [own]
    others = catalogue.layers("pytorch").get(own.spells, ())
    return [
        own,
        *(
            layout
            for layout in others
            if layout is not own and set(layout.arrays) == set(own.arrays) and not layout.when
        ),
    ]


def _check_implied(module: nn.Module, target: Layout) -> None:
    for option, value in target.implies.items():
        present = getattr(module, option, value)
        if present != value:
            raise NotRepresentable(f"{target.name} computes {option}={value}, and the module {present}")


def _by_place(pieces: Mapping[Piece, Array]) -> dict[str, dict[Piece, Array]]:
    """The pieces of each layer and direction by themselves, in PyTorch's order."""
    found: dict[str, dict[Piece, Array]] = {}
    for piece in sorted(pieces, key=lambda piece: (piece.layer, DIRECTIONS.index(piece.direction))):
        found.setdefault(place(piece), {})[alone(piece)] = pieces[piece]
    return found


def _pack_one(target: Layout, pieces: Mapping[Piece, Array], found: Described, options: Mapping[str, Any]) -> Arrays:
    arrays = pack(target, pieces, options=options, sizes=found.sizes)
    owners = list(dict.fromkeys(name.rpartition("/")[0] for name in arrays))
    return {name: arrays[name] for name in sorted(arrays, key=lambda name: owners.index(name.rpartition("/")[0]))}


def _changed(
    target: Layout, pieces: Mapping[Piece, Array], arrays: Arrays, found: Described, options: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence for each slot of which some number does not come back bit for bit."""
    back = unpack(target, arrays, options=options, sizes=found.sizes)
    lost = [piece for piece, value in pieces.items() if not _same(value, back.get(piece))]
    if any(piece.slot == "recurrent_bias" for piece in lost):
        yield (
            f"{type(found.module).__name__}: input_bias and recurrent_bias became one, their sum, for {target.name} "
            "keeps one bias where the equation adds them. The outputs are the same; coming back, input_bias is the sum "
            "and recurrent_bias 0"
        )
    elif lost:
        listed = ", ".join(map(str, lost))
        yield f"{type(found.module).__name__}: {listed} rounded, for {target.name} adds a constant when it runs"


def _same(value: Array, back: Array | None) -> bool:
    if back is None:
        return not np.any(value)
    return value.shape == back.shape and value.tobytes() == back.tobytes()


def _numpy(tensor: torch.Tensor) -> Array:
    """The numbers of a tensor as an array, on the CPU; bfloat16 crosses as words."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(bfloat16())
    return tensor.numpy()
