"""What a pickle of PyTorch may name and call, and what each call stands for: tensors, never objects.

Source: torch/_utils.py, `_rebuild_from_type_v2` in torch/_tensor.py, and the persistent ids of torch/serialization.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.readers.dtypes import DTYPES
from converters.readers.pickled.known import PLAIN, inert
from converters.readers.pickled.numpy_arrays import NUMPY
from converters.readers.pickled.records import Arguments, Global, sizes
from converters.readers.pytorch.tensors import Opaque, Storage, Tensor
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}
_QUANTIZED = ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage")


_DAMAGED = "the pickle is damaged: what it builds is no tensor of PyTorch"


def _tensor(arguments: Arguments, dtype: str = "") -> Tensor | Opaque:
    """`_rebuild_tensor(storage, offset, shape, strides)` and what newer ones add behind."""
    if len(arguments) < 4:
        raise UnreadableCheckpoint(_DAMAGED)
    storage, offset, shape, strides = arguments[:4]
    own, steps = sizes(shape), sizes(strides)
    if isinstance(storage, Opaque):
        return storage
    plain = isinstance(storage, Storage) and type(offset) is int and 0 <= offset < 1 << 62
    if not plain or own is None or steps is None or len(own) != len(steps):
        raise UnreadableCheckpoint(f"{_DAMAGED}: its offset, shape or strides are not possible")
    kind = DTYPES[dtype]() if dtype else storage.dtype
    if kind is None:
        raise UnreadableCheckpoint(_DAMAGED)
    return Tensor(storage, kind, offset, own, steps)


def _typed_tensor(arguments: Arguments) -> Tensor | Opaque:
    """`_rebuild_tensor_v3(storage, offset, shape, strides, requires_grad, hooks, dtype, …)`."""
    kind = arguments[6] if len(arguments) > 6 else None
    if not isinstance(kind, Global) or kind.name not in DTYPES:
        raise UnreadableCheckpoint(_DAMAGED)
    return _tensor(arguments, kind.name)


def _parameter(arguments: Arguments) -> Tensor | Opaque:
    """`_rebuild_parameter(tensor, …)`."""
    if not arguments or not isinstance(arguments[0], Tensor | Opaque):
        raise UnreadableCheckpoint(_DAMAGED)
    return arguments[0]


_TENSORS = ("Tensor", "Parameter", "Buffer")


def _from_type(arguments: Arguments) -> Any:
    """`_rebuild_from_type_v2(function, class, arguments, state)`: a plain tensor with attributes of its own."""
    match arguments:
        case (Global(call=call), Global(name=name), tuple() as own, *_) if call is not None and name in _TENSORS:
            return call(own)
    raise UnsafeCheckpoint("the pickle builds a tensor of a class of its own, which is not read")


def _opaque(what: str) -> Callable[[Arguments], Opaque]:
    return lambda _: Opaque(what)


def _size(arguments: Arguments) -> tuple[int, ...]:
    """`torch.Size(sizes)`."""
    found = sizes(tuple(arguments[0][:64])) if arguments and isinstance(arguments[0], list | tuple) else None
    if found is None:
        raise UnreadableCheckpoint(_DAMAGED)
    return found


_UTILS = "torch._utils"
TORCH = (
    Global(_UTILS, "_rebuild_tensor", _tensor),
    Global(_UTILS, "_rebuild_tensor_v2", _tensor),
    Global(_UTILS, "_rebuild_tensor_v3", _typed_tensor),
    Global(_UTILS, "_rebuild_parameter", _parameter),
    Global(_UTILS, "_rebuild_parameter_with_state", _parameter),
    Global("torch._tensor", "_rebuild_from_type_v2", _from_type),
    Global(_UTILS, "_rebuild_qtensor", _opaque("quantized")),
    Global(_UTILS, "_rebuild_sparse_tensor", _opaque("sparse")),
    Global(_UTILS, "_rebuild_sparse_csr_tensor", _opaque("sparse")),
    Global(_UTILS, "_rebuild_nested_tensor", _opaque("nested")),
    Global(_UTILS, "_rebuild_meta_tensor_no_storage", _opaque("on the device 'meta', without numbers")),
    Global("torch.nn.parameter", "Parameter", _parameter),
    Global("torch.nn.parameter", "Buffer"),
    Global("torch", "Tensor"),
    Global("torch", "ScriptObject", _opaque("packed, as a quantized module keeps its weights")),
    Global("torch", "Size", _size),
    *inert("torch", "device", "Generator"),
    *inert("torch.torch_version", "TorchVersion"),
    *(Global("torch", name) for name in (*DTYPES, "qint8", "quint8", "qint32")),
    *(Global("torch", name) for name in (*_STORAGES, *_QUANTIZED)),
    *(Global("torch.storage", name) for name in ("UntypedStorage", "TypedStorage")),
    *(Global("torch", name) for name in ("per_tensor_affine", "per_channel_affine", "strided", "sparse_coo")),
    Global("torch.serialization", "_get_layout", lambda _: None),
    Global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    Global("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
)
"""What a pickle of PyTorch may name, beside arrays of NumPy and plain data."""

GROUPS = (TORCH, NUMPY, PLAIN)


class Persistent:
    """Storages by the persistent ids of a pickle; `bytes` gives what a key stands for."""

    def __init__(self, stored: Callable[[str, int], Source], big: bool = False) -> None:
        self._stored, self._big = stored, big
        self.storages: dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Storage | Opaque:
        """('storage', class, key, location, elements[, view of another])."""
        match identity:
            case ("storage" | memoryview(), Global(name=kind), str() as key, str(), int() as count, *rest):
                return self._storage(kind, key, count, rest[0] if rest else None)
        raise UnsafeCheckpoint("the pickle refers to something outside itself that is no storage")

    def _storage(self, kind: str, key: str, count: int, view: Any) -> Storage | Opaque:
        if kind in _QUANTIZED:
            return Opaque("quantized")
        if kind not in _STORAGES or not 0 <= count < 1 << 62:
            raise UnreadableCheckpoint(f"the pickle is damaged: {printable(kind)} of {count} is no storage")
        dtype = DTYPES[_STORAGES[kind]]()
        before = self.storages.setdefault(key, Storage(key, dtype, count, self._stored, big=self._big))
        if (before.dtype, before.count) != (dtype, count):
            raise UnsafeCheckpoint(f"the pickle describes storage {printable(repr(key))} in two ways")
        return before if view is None else self._part(before, view)

    def _part(self, storage: Storage, view: Any) -> Storage:
        """A storage that is a part of another: (key of the view, offset, elements)."""
        match view:
            case (str(), int() as start, int() as count) if (
                start >= 0 and count >= 0 and start + count <= storage.count
            ):
                return Storage(storage.key, storage.dtype, count, self._stored, start, self._big)
        raise UnsafeCheckpoint("the pickle describes a part of a storage that lies beyond it")
