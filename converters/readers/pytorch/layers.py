"""The layers of a state_dict: without prefixes of wrappers, with computed weights, and classes where they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.arrays.mapping import layers_of
from converters.readers.pytorch.computed import compute
from converters.readers.pytorch.settings import Module
from converters.readers.pytorch.states import OPTION, State
from layouts import catalogue
from layouts.errors import CheckpointError, UnknownLayer, UnsafeCheckpoint, printable

FRAMEWORK = "pytorch"
_WRAPPERS = {
    "module.": "DataParallel",
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel",
}
_AVERAGED = "n_averaged"
_MOST_TIMES = 16


def checkpoint(
    path: str,
    container: str,
    state: State,
    assume: Mapping[str, Any],
    *,
    stored: int = 0,
    modules: Mapping[str, Module] | None = None,
    version: str = "",
) -> Checkpoint:
    """A state_dict as a checkpoint. `modules` tells what a module is, by its path, where the source does.

    `stored` bytes may not become many times as many: arrays that share them are few. Raises `UnsafeCheckpoint`.
    """
    _bound(state, stored, path)
    arrays, averaged = _averaged(state.arrays)
    arrays, wrappers = _unwrapped(arrays)
    made = compute(arrays)
    others = {key: value for key, value in assume.items() if key != OPTION}
    known = _known(modules or {}, made.arrays)
    told = {
        f"{where}.{option}" if where else option: text
        for where, module in known.items()
        for option, text in module.statements().items()
    }
    layers = [_timed(layer, known.get(layer.path)) for layer in layers_of(made.arrays, FRAMEWORK, others, told)]
    layers = [_own(layer, known.get(layer.path)) for layer in layers]
    found = tuple(_refused(layer, made.refused) for layer in layers)
    if not found:
        raise CheckpointError("the file holds no weights", path=path)
    remarks = (*state.remarks, *wrappers, *made.remarks)
    return Checkpoint(path, FRAMEWORK, version, container, found, unused=(*state.unused, *averaged), remarks=remarks)


def _bound(state: State, stored: int, path: str) -> None:
    wanted = sum(array.size * array.dtype.itemsize for array in state.arrays.values())
    if stored and wanted > _MOST_TIMES * stored + (1 << 20):
        raise UnsafeCheckpoint(f"{stored} stored bytes are described as {wanted}: too many views of them", path=path)


def _averaged(arrays: Mapping[str, LazyArray]) -> tuple[dict[str, LazyArray], tuple[str, ...]]:
    """The arrays without the counter of torch.optim.swa_utils.AveragedModel, which stands beside its module."""
    found = dict(arrays)
    counter = found.get(_AVERAGED)
    others = [name for name in found if name != _AVERAGED]
    if counter is None or counter.shape or not others or not all(name.startswith("module.") for name in others):
        return found, ()
    del found[_AVERAGED]
    return found, (_AVERAGED,)


def _unwrapped(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arrays without a prefix of wrappers that all of them have, and a sentence for each."""
    found, remarks = dict(arrays), []
    for _ in range(4):
        prefix = next((one for one in _WRAPPERS if found and all(name.startswith(one) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): array for name, array in found.items()}
        remarks.append(f"every name began with {prefix!r}, as {_WRAPPERS[prefix]} makes them: it is left off")
    return found, tuple(remarks)


def _known(modules: Mapping[str, Module], arrays: Mapping[str, Any]) -> dict[str, Module]:
    """Of the modules that are told those whose class has layouts, and that have arrays and are no part of another."""
    table = catalogue.layers(FRAMEWORK)
    owners = {name.rpartition(".")[0] for name in arrays}
    own = {path: one for path, one in modules.items() if one.class_name in table and path in owners}
    return {path: one for path, one in own.items() if not any(outer in own for outer in _above(path))}


def _above(path: str) -> Iterator[str]:
    """The paths of the modules in which this one stands; that of the whole is ''."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def _timed(layer: Layer, module: Module | None) -> Layer:
    """The layer, with its time where the module has it."""
    if module is None or module.time_axis is None:
        return layer
    return replace(layer, call=replace(layer.call, time_axis=module.time_axis))


def _own(layer: Layer, module: Module | None) -> Layer:
    """The layer; not recognised where the module computes something that no layout describes."""
    if module is None or not module.differs or not layer.parts:
        return layer
    why = UnknownLayer(f"{module.class_name} with {module.differs}: no layer here computes that", layer=layer.path)
    arrays = {name: array for part in layer.parts for name, array in part.arrays.items()}
    return replace(layer, parts=(), arrays=arrays, unknown=why, assumed={})


def _refused(layer: Layer, refused: Mapping[str, Any]) -> Layer:
    """The layer; one whose weights are computed in a way that is not known here is not recognised."""
    why = next((error for path, error in refused.items() if path == layer.path or _inside(layer.path, path)), None)
    if why is None:
        return layer
    why.layer = printable(layer.path)
    arrays = layer.arrays or {name: array for part in layer.parts for name, array in part.arrays.items()}
    return replace(layer, class_name="unknown", parts=(), arrays=arrays, unknown=why, assumed={})


def _inside(path: str, module: str) -> bool:
    return path.startswith(f"{module}.parametrizations.") if module else path.startswith("parametrizations.")
