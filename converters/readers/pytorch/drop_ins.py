"""The drop-ins of `converters.nn` as layers: parameters have the names of torch.nn's, and settings differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from layouts import catalogue
from layouts.errors import NotRepresentable, printable
from layouts.layout import DIRECTIONS
from layouts.options import Recurrence

HOME = "converters.torch.nn."
_FRAMEWORKS = {"LSTM": "gateport", "GRU": "gateport", "RNN": "pytorch"}
_SETTINGS = ("activation", "recurrent_activation", "output_activation", "clip", "input_forget")


def drop_in(path: str, module: Any, arrays: Mapping[str, LazyArray]) -> Layer:
    """A drop-in with its own settings; one that is not recurrent is an unknown layer, which says so."""
    name = next(kind.__name__ for kind in type(module).__mro__ if kind.__module__.startswith(HOME))
    if name not in _FRAMEWORKS:
        why = f"{name} of converters.nn is not read from a module: export_arrays gives its arrays"
        unknown = NotRepresentable(f"{printable(path)}: {why}", layer=path)
        return Layer(path, name, unknown=unknown, arrays=dict(arrays))
    after = bool(getattr(module, "reset_after", True))
    framework = "pytorch" if name == "GRU" and after else _FRAMEWORKS[name]
    ways = DIRECTIONS if module.bidirectional else DIRECTIONS[:1]
    shapes = {key: array.shape for key, array in arrays.items()}
    layout = catalogue.choose(framework, name, {"reset_after": after}, shapes, directions=ways, depth=module.num_layers)
    own = {key: getattr(module, key) for key in _SETTINGS if key in layout.cell.chooses and hasattr(module, key)}
    own |= {"clip": module.clip or None} if "clip" in own else {}
    assert isinstance(layout.options, Recurrence), layout.name
    options = replace(layout.options, **own)
    part = Part(layout, arrays, options, directions=ways if module.bidirectional else (), layers=int(module.num_layers))
    return Layer(path, name, (part,), Call(time_axis=int(bool(module.batch_first))))
