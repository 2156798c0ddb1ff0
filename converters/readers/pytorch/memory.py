"""PyTorch in memory: a module, which tells its classes and settings, or a dictionary of tensors. Torch is not imported.

Whoever gives a tensor has imported torch; what is asked of tensors and modules here are their own methods.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import flat
from converters.readers.pytorch.layers import FRAMEWORK, checkpoint
from converters.readers.pytorch.settings import Module
from converters.readers.pytorch.states import State
from converters.readers.pytorch.tensors import DTYPES
from layouts.errors import NotRepresentable, printable

__all__ = ["FRAMEWORK", "holds_tensors", "is_module", "read_mapping", "read_module"]

_HOME = "torch.nn.modules."
_QUANTIZED = ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.sparse")
_DROP_INS = "converters.torch.nn"
_PLAIN = "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"


def is_module(source: Any) -> bool:
    """Whether this is a module of PyTorch; a model of Keras on PyTorch is one too, and has its own reader."""
    return all(hasattr(source, name) for name in ("named_modules", "state_dict")) and not hasattr(source, "to_json")


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of PyTorch."""
    return all(hasattr(value, name) for name in ("detach", "cpu", "is_quantized"))


def holds_tensors(source: Mapping[str, Any]) -> bool:
    """Whether a mapping holds tensors of PyTorch, which tell whose they are."""
    return any(is_tensor(value) for value in source.values())


def read_mapping(source: Mapping[str, Any], assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a state_dict in memory, of tensors or of NumPy arrays. Raises `ConversionError` and its kinds."""
    arrays = {name.replace("/", "."): array for name, array in flat(dict(_arrays(source)))}
    return checkpoint("arrays in memory", "mapping of arrays", State(arrays), assume)


def _arrays(source: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same with arrays for tensors; what nothing is made of stays as it is."""
    for name, value in source.items():
        if isinstance(value, Mapping):
            yield name, dict(_arrays(value))
        else:
            yield name, _array(str(name), value) if is_tensor(value) else value


def read_module(module: Any, assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a module, with its classes and settings.

    Raises `NotRepresentable` for quantized modules, and tensors that are no plain memory.
    """
    name = f"{type(module).__name__} in memory"
    modules = dict(_modules(module))
    arrays = {key: _array(key, tensor) for key, tensor in module.state_dict().items() if is_tensor(tensor)}
    others = tuple(key for key in module.state_dict() if key not in arrays)
    return checkpoint(name, "module", State(arrays, others), assume, modules=modules)


def _modules(root: Any) -> Iterator[tuple[str, Module]]:
    """Every module of a class of torch.nn, or of one that derives from it, by path."""
    for path, module in root.named_modules(remove_duplicate=False):
        if type(module).__module__.startswith(_QUANTIZED):
            raise NotRepresentable(
                f"{printable(path)} ({type(module).__name__}) is quantized: its weights are packed integers. Give the "
                "float module",
                layer=path,
            )
        if type(module).__module__.startswith(_DROP_INS):
            raise NotRepresentable(
                f"{printable(path) or 'the module'} ({type(module).__name__}) is a drop-in, which computes what "
                "no layer of torch.nn does: converters.export_arrays gives its arrays",
                layer=path,
            )
        for kind in type(module).__mro__:
            if kind.__module__.startswith(_HOME):
                yield path, Module(kind.__name__, vars(module))
                break


def _array(name: str, tensor: Any) -> LazyArray:
    """A tensor as an array: its own memory where it is on the CPU."""
    what = f"{type(tensor).__module__}.{type(tensor).__name__}"
    if what not in _PLAIN or tensor.is_quantized or tensor.layout is not sys.modules["torch"].strided:
        raise NotRepresentable(f"{printable(name)} is a {what}, which is no plain memory", array=name)
    if tensor.is_meta:
        raise NotRepresentable(f"{printable(name)} is on the device 'meta' and has no numbers", array=name)
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in DTYPES:
        raise NotRepresentable(f"{printable(name)} is of dtype {printable(kind)}, which is not read", array=name)
    dtype = DTYPES[kind]()
    return LazyArray(name, tuple(tensor.shape), dtype, lambda: _numpy(tensor, dtype))


_WORDS = {1: "uint8", 2: "int16"}


def _numpy(tensor: Any, dtype: np.dtype[Any]) -> Array:
    """The numbers of a tensor; those that NumPy has no type for cross as words."""
    plain = tensor.detach().cpu()
    if dtype.kind != "V" and dtype.isbuiltin == 1:
        found: Array = plain.numpy()
        return found
    words = getattr(sys.modules["torch"], _WORDS[dtype.itemsize])
    crossed: Array = plain.contiguous().view(words).numpy().view(dtype)
    return crossed
