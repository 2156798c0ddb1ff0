"""PyTorch in memory: a module, which tells its classes and settings, or a dictionary of tensors. Torch is not imported.

Whoever gives a tensor has imported torch; what is asked of tensors and modules here are their own methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.arrays.nested import given
from converters.readers.pytorch.drop_ins import HOME, drop_in
from converters.readers.pytorch.held import as_array, is_tensor
from converters.readers.pytorch.layers import FRAMEWORK, checkpoint
from converters.readers.pytorch.settings import Module
from converters.readers.pytorch.states import Held, State, choose
from converters.readers.source import Source
from layouts import catalogue
from layouts.errors import NotRepresentable, UnknownLayer, printable

__all__ = ["FRAMEWORK", "holds_tensors", "is_module", "read_mapping", "read_module"]

PLACE = "arrays in memory"
_NAMED = {"state_dict", "model_state_dict"}
_HOME = "torch.nn.modules."
_QUANTIZED = ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.sparse")


def is_module(source: Any) -> bool:
    """Whether this is a module of PyTorch; a model of Keras on PyTorch is one too, and has its own reader."""
    return all(hasattr(source, name) for name in ("named_modules", "state_dict")) and not hasattr(source, "to_json")


def holds_tensors(source: Mapping[str, Any]) -> bool:
    """Whether a mapping holds tensors of PyTorch, which tell whose they are."""
    return any(is_tensor(value) for value in source.values())


def read_mapping(source: Mapping[str, Any], assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a state_dict in memory, of tensors or of NumPy arrays, or of the one in a checkpoint.

    Raises `ConversionError` and its kinds.
    """
    if _is_checkpoint(source):
        state = choose(_held(source), Source(PLACE, memoryview(b"")), assume)
    else:
        found = given(source)
        arrays = {name.replace("/", "."): array for name, array in found.arrays.items()}
        state = State(arrays, tuple(found.settings))
    return checkpoint(PLACE, "mapping of arrays", state, assume)


def _is_checkpoint(source: Mapping[str, Any]) -> bool:
    """Whether a mapping is what people save beside a state_dict, and it: no array, and more than modules by name."""
    mappings = {name: value for name, value in source.items() if isinstance(value, Mapping)}
    if any(getattr(value, "shape", ()) for value in source.values()):
        return False
    optimized = any("param_groups" in value for value in mappings.values())
    return bool(mappings) and (optimized or len(mappings) < len(source) or bool(_NAMED & {*mappings}))


def _held(source: Mapping[str, Any]) -> dict[str, Any]:
    """The same with arrays as files have them; what is neither array nor mapping stays as it is."""
    found: dict[str, Any] = {}
    for name, value in source.items():
        if isinstance(value, Mapping):
            found[name] = _held(value)
        else:
            found[name] = Held(given({name: value}).arrays[name]) if hasattr(value, "shape") else value
    return found


def read_module(module: Any, assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a module, with its classes and settings.

    Raises `NotRepresentable` for quantized modules, and tensors that are no plain memory.
    """
    name = f"{type(module).__name__} in memory"
    modules = dict(_modules(module))
    arrays = {key: as_array(key, tensor) for key, tensor in module.state_dict().items() if is_tensor(tensor)}
    others = tuple(key for key in module.state_dict() if key not in arrays)
    owned = {path: _below(path, arrays) for path, each in module.named_modules() if _is_drop_in(each)}
    layers = {path: drop_in(path, module.get_submodule(path), own) for path, own in owned.items()}
    plain = {key: array for key, array in arrays.items() if not any(_within(key, path) for path in owned)}
    found = checkpoint(name, "module", State(plain or arrays, others), assume, modules=modules)
    known = [_known(layer, module, modules) for layer in found.layers] if plain else []
    return replace(found, layers=_in_order((*layers.values(), *known), arrays))


def _known(layer: Layer, root: Any, modules: Mapping[str, Module]) -> Layer:
    """The layer; not known where the module that holds its arrays is of a class of its owner, whatever their names."""
    told = modules.get(layer.path)
    if layer.unknown is not None or (told is not None and told.class_name in catalogue.layers(FRAMEWORK)):
        return layer
    what = type(root.get_submodule(layer.path)).__name__
    whose = printable(layer.path) or "the module"
    why = f"{whose} is a {printable(what)}, no layer of torch.nn: what it computes is not known"
    arrays = {name: array for part in layer.parts for name, array in part.arrays.items()}
    return Layer(layer.path, what, unknown=UnknownLayer(why, layer=layer.path), arrays=arrays)


def _is_drop_in(module: Any) -> bool:
    return any(kind.__module__.startswith(HOME) for kind in type(module).__mro__)


def _within(key: str, path: str) -> bool:
    return not path or key.startswith(f"{path}.")


def _below(path: str, arrays: Mapping[str, LazyArray]) -> dict[str, LazyArray]:
    """The arrays of one module by their own names."""
    return {key[len(path) + 1 :] if path else key: array for key, array in arrays.items() if _within(key, path)}


def _in_order(layers: Iterable[Layer], arrays: Mapping[str, LazyArray]) -> tuple[Layer, ...]:
    """The layers as their arrays stand in the state_dict."""
    order = {array.name: number for number, array in enumerate(arrays.values())}
    return tuple(sorted(layers, key=lambda layer: min((order[a.name] for a in layer.stored()), default=0)))


def _modules(root: Any) -> Iterator[tuple[str, Module]]:
    """Every module of a class of torch.nn, or of one that derives from it, by path."""
    for path, module in root.named_modules(remove_duplicate=False):
        if type(module).__module__.startswith(_QUANTIZED):
            raise NotRepresentable(
                f"{printable(path)} ({type(module).__name__}) is quantized: its weights are packed integers. Give the "
                "float module",
                layer=path,
            )
        for kind in type(module).__mro__:
            if kind.__module__.startswith(_HOME):
                yield path, Module(kind.__name__, vars(module))
                break
