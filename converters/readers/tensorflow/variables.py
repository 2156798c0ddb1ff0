"""Variables by name, as TensorFlow 1 keeps them, with what a graph tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.message import Message
from converters.readers.opened import Request
from converters.readers.tensorflow import functions
from converters.readers.tensorflow.evidence import evidence
from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.gates import asked
from converters.readers.tensorflow.names import left_out
from converters.readers.tensorflow.stored import Stored
from layouts.errors import NotRepresentable

_FRAMEWORK = "tensorflow"
_GRAPH, _COLLECTIONS = 2, 4
"""The fields of a MetaGraphDef that hold its graph and its collections."""


def of_names(stored: Stored, request: Request, told: Evidence, problem: str = "") -> Checkpoint:
    """The layers of variables by name, with what a graph tells of them."""
    framework = request.framework or _framework(stored.arrays, told.names)
    slots = set(left_out(stored.arrays)) if framework in ("keras", _FRAMEWORK) else set()
    arrays: dict[str, LazyArray] = {}
    for name, array in stored.arrays.items():
        if name in told.untrained or name in slots:
            continue
        new = told.names.get(name, name)
        arrays[new if new not in stored.arrays or new == name else name] = array
    found = checkpoint_of(stored.path, stored.container, arrays, framework, request.assume, told=told.stated)
    layers = tuple(_refused(layer, told.refused) for layer in found.layers)
    layers = tuple(map(asked, layers)) if framework == "keras" else layers
    remarks = (*found.remarks, *filter(None, [problem]))
    unused = (
        *found.unused,
        *told.untrained,
        *sorted(slots - told.untrained),
        *(f"{name} ({what})" for name, what in stored.others.items()),
        *stored.texts,
    )
    return replace(found, layers=layers, unused=unused, remarks=remarks)


def _framework(arrays: Mapping[str, LazyArray], names: Mapping[str, str]) -> str:
    """Whose layers these are: Keras's layers have a kernel for the state, which only one cell of TensorFlow's has."""
    named = (names.get(name, name) for name in arrays)
    keras = any(name.endswith("/recurrent_kernel") and "nas_cell" not in name for name in named)
    return "keras" if keras else _FRAMEWORK


def _refused(layer: Layer, refused: Mapping[str, str]) -> Layer:
    """The layer, or where the graph says that nothing computes it, an unknown one that says why."""
    names = [array.name for array in layer.stored()]
    why = next((refused[name] for name in names if name in refused), None)
    if why is None:
        return layer
    error = NotRepresentable(f"{layer.class_name}: {why}", layer=layer.path)
    return Layer(layer.path, layer.class_name, unknown=error, arrays={array.name: array for array in layer.stored()})


def of_meta(message: Message, arrays: Mapping[str, LazyArray]) -> Evidence:
    """What the graph of a MetaGraphDef tells of variables, and which scalars are not trained."""
    graph = functions.whole(message.message(_GRAPH))
    found = evidence(graph, arrays, graph.variables())
    trained = _trained(message)
    found.untrained |= {n for n, array in arrays.items() if trained and not array.shape and n not in trained}
    return found


def _trained(meta: Message) -> set[str]:
    """The variables that are trained, by the collection of them; none where there is no such collection."""
    collections = {entry.text(1): entry.message(2) for entry in meta.messages(_COLLECTIONS)}
    lists = collections.get("trainable_variables")
    stored = lists.message(2).messages(1) if lists is not None else ()
    return {variable.text(1).partition(":")[0] for variable in stored}
