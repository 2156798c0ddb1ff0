"""Named views of packed weights: `gates(lstm)["l0"].recurrent_weight["f"]`, writable, one for each gate.

Where a gate stands inside a packed array is told by the layouts and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from converters.model.layers import Layer
from converters.show import text
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer, printable
from layouts.frameworks import pytorch
from layouts.layout import Layout
from layouts.records import dataclass, replace

if TYPE_CHECKING:
    from torch import nn

View = Any
"""A torch tensor or a NumPy array that shares the memory of a packed weight."""


class SlotGates(Mapping[str, View]):
    """One slot of one layer: gate letter -> view. To write, assign into a view: ``slot["f"][...] = 1.0``."""

    def __init__(self, slot: str, views: Mapping[str, View]) -> None:
        self._slot, self._views = slot, views

    def __getitem__(self, gate: str) -> View:
        if gate not in self._views:
            raise KeyError(f"{self._slot} has no gate {gate!r}; there are: {', '.join(self._views)}")
        return self._views[gate]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{gate} {tuple(view.shape)}" for gate, view in self._views.items())
        return f"{self._slot}[{shapes}]"


class LayerGates:
    """One layer in one direction: a slot is an attribute, of `SlotGates`, or a view where the slot has no gates.

    Slots: input_weight, recurrent_weight, input_bias, recurrent_bias; projection and peephole where stored. Those of a
    simple RNN, and every projection, have no gates: ``gates(rnn)["l0"].recurrent_weight`` is the view itself.
    """

    def __init__(self, views: Mapping[Piece, View], cell: Cell) -> None:
        self._slots: dict[str, View] = {}
        for slot in dict.fromkeys(piece.slot for piece in views):
            own = {piece.gate: view for piece, view in views.items() if piece.slot == slot}
            self._slots[slot] = SlotGates(slot, own) if cell.slots[slot].labels else own[""]

    def __getattr__(self, slot: str) -> View:
        if slot.startswith("_") or slot not in self._slots:
            raise AttributeError(f"this layer has no {slot}; it has: {', '.join(self.__dict__.get('_slots', ()))}")
        return self._slots[slot]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._slots]

    def __repr__(self) -> str:
        return f"gates of {', '.join(self._slots)}"


@dataclass(frozen=True, eq=False)
class Gates(Mapping[str, LayerGates]):
    """Layer and direction ("l0", "l0_reverse", "l1", …; "" for a cell module) -> its gates. Print it for a table.

    `views` has every view under its neutral address; `notes` say what a stored number is not: an offset that the
    framework adds when it runs, a gate stored in the opposite sense.
    """

    title: str
    cell: Cell
    views: Mapping[Piece, View]
    stacked: bool = True
    notes: tuple[str, ...] = ()

    def name(self, piece: Piece) -> str:
        """The layer and direction of a piece, as in PyTorch's parameter names."""
        return place(piece) if self.stacked else ""

    def __getitem__(self, name: str) -> LayerGates:
        own = {piece: view for piece, view in self.views.items() if self.name(piece) == name}
        if not own:
            raise KeyError(f"no layer {name!r}; there are: {', '.join(map(repr, self))}")
        return LayerGates(own, self.cell)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self.name(piece) for piece in self.views))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"gates of {self.title}: {', '.join(map(repr, self))}"

    def table(self) -> text.Table:
        """One row a view: where it stands, its slot and gate, its shape."""
        rows = []
        for piece, view in sorted(self.views.items(), key=lambda item: self.name(item[0])):
            word = self.cell.spoken.get(piece.gate, "")
            gate = f"{piece.gate} {word}" if piece.gate else "–"
            rows.append(text.Row((self.name(piece) or "–", piece.slot, gate, "×".join(map(str, view.shape)))))
        lines = tuple(text.Line("!", note) for note in self.notes)
        return text.Table(f"{self.title}: gates", ("layer", "slot", "gate", "shape"), tuple(rows), lines)

    def __str__(self) -> str:
        return text.render(self.table())

    def _repr_html_(self) -> str:
        return text.html(self.table())


def gates(
    source: nn.Module | Layer | Mapping[str, Any],
    *,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
) -> Gates:
    """Named views of a recurrent layer's packed weights, for every layer and direction. Nothing is copied.

    source: one of three.
        nn.LSTM, GRU, RNN, their cells, or a layer of converters.nn: views of the parameters, on any device, detached
        from autograd, so that ``gates(lstm)["l0"].input_bias["f"].fill_(1.0)`` writes the parameter.
        With `framework=` (and `assume=`, as in `read`), a mapping of NumPy arrays in that framework's layout: views of
        the arrays as stored.
        A layer of `read(path)`: read-only and neutral (a gate that the framework stores negated has the usual sense).

    A view is (unit, input), (unit, state) or (unit,). It holds until the module gets other parameters (`.to(dtype)`).

    Raises `UnknownLayer` for what has no gates, `NotRepresentable` where no view exists: a parametrized, pruned or
    quantized module, or an array whose blocks are reshaped buffers.
    """
    if isinstance(source, Layer):
        return _of_layer(source)
    if isinstance(source, Mapping):
        return _of_arrays(source, framework, assume or {})
    return _of_module(source)


def place(piece: Piece) -> str:
    """'l0', 'l0_reverse', …: the layer and direction of a piece, spelled as PyTorch's parameters are."""
    return f"l{piece.layer}{pytorch.LSTM.spelling['direction'][piece.direction]}"


def _of_module(module: nn.Module) -> Gates:
    from torch import nn

    from converters.torch.module_layout import part_of, views

    if not isinstance(module, nn.Module):
        raise ConversionError(
            f"a {printable(type(module).__name__)} has no gates: expected a module, a layer of read(…), or a mapping "
            "of arrays with framework="
        )
    part = part_of(module)
    return Gates(type(module).__name__, _recurrent(part.layout), views(module, part), part.layout.holds("layer"))


def _of_layer(layer: Layer) -> Gates:
    if layer.unknown is not None:
        raise layer.unknown
    cell = _recurrent(layer.parts[0].layout)
    views = {piece: _read_only(view) for part in layer.parts for piece, view in part.unpack().items()}
    return Gates(f"{printable(layer.path)} ({printable(layer.class_name)})", cell, views)


def _read_only(view: View) -> View:
    view = view[...]
    view.flags.writeable = False
    return view


def _of_arrays(arrays: Mapping[str, Any], framework: str | None, assume: Mapping[str, str]) -> Gates:
    from converters.readers.arrays.mapping import read_mapping

    _check_arrays(arrays)
    layers = read_mapping(arrays, framework, assume).layers
    if len(layers) != 1:
        raise UnknownLayer(f"these arrays are {len(layers)} layers: give those of one")
    if layers[0].unknown is not None:
        raise layers[0].unknown
    (part,) = layers[0].parts
    customs = [entry.name for entry in part.layout.entries() if entry.custom]
    if customs:
        raise NotRepresentable(f"{part.layout.name} keeps {customs[0]} as reshaped buffers: no view of it is one gate")
    stored = replace(part, layout=replace(part.layout, added={}, negated=""))
    return Gates(part.layout.name, _recurrent(part.layout), stored.unpack(), notes=tuple(_notes(part.layout)))


def _check_arrays(arrays: Mapping[str, Any]) -> None:
    """Only NumPy arrays have views that write through; a list would be copied, and the copy written."""
    import numpy as np

    for name, array in arrays.items():
        if isinstance(array, Mapping):
            _check_arrays(array)
        elif not isinstance(array, np.ndarray):
            raise ConversionError(
                f"{printable(name)} is a {type(array).__name__}: views are made of NumPy arrays; for tensors, give the "
                "module",
                array=str(name),
            )


def _notes(layout: Layout) -> Iterator[str]:
    for gate, what in layout.added.items():
        yield f"{layout.name} adds {what} to gate {gate} when it runs: the number here is the stored one"
    if layout.negated:
        yield f"{layout.name} stores {', '.join(layout.negated)} in the opposite sense: σ(-a) = 1 - σ(a)"


def _recurrent(layout: Layout) -> Cell:
    if not layout.cell.recurrent:
        raise UnknownLayer(f"{layout.name} is not recurrent: it has no gates")
    return layout.cell
