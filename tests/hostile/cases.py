"""What a case is, and the sound models that every hostile file starts from."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

Kind = Literal[
    "hdf5",
    "zip",
    "json",
    "shards",
    "onnx",
    "pickle",
    "pytorch",
    "safetensors",
    "msgpack",
    "orbax",
    "leaves",
    "other",
    "not a model",
    "tensorflow",
]
Builder = Callable[[Path], Path]
Change = Callable[[h5py.File], object]

INPUT, UNIT = 3, 5
SHAPES = {"kernel": (INPUT, 4 * UNIT), "recurrent_kernel": (UNIT, 4 * UNIT), "bias": (4 * UNIT,)}
WEIGHTS = "model_weights"
LAYER = f"{WEIGHTS}/lstm"
SCOPE = f"{LAYER}/lstm"
KERNEL = f"{SCOPE}/kernel:0"
NAMES = [f"lstm/{name}:0" for name in SHAPES]


_divisor = 1


@contextmanager
def divided(divisor: int) -> Iterator[None]:
    """While open, builders make files of a part of their full size, for limits that are divided alike."""
    global _divisor
    _divisor = divisor
    try:
        yield
    finally:
        _divisor = 1


def full(count: int) -> int:
    """A count or size of the file at full scale: itself, or the part of it that `divided` says."""
    return max(1, count // _divisor)


@dataclass(frozen=True)
class Case:
    """One hostile file: who builds it, what it pretends to be, a phrase its error must contain."""

    build: Builder
    kind: Kind
    expects: str


def table(kind: Kind, rows: Mapping[Builder, str]) -> dict[str, Case]:
    """The cases of one kind, named after their builders."""
    return {build.__name__: Case(build, kind, expects) for build, expects in rows.items()}


def values(name: str) -> np.ndarray:
    """Distinct float32 values for one weight of the layer, the same on every run."""
    count = int(np.prod(SHAPES[name]))
    return (np.arange(1, count + 1, dtype="<f4") / count).reshape(SHAPES[name])


def lstm_config(**options: Any) -> dict[str, Any]:
    """A Keras LSTM layer's own options, with changes."""
    return {
        "name": "lstm",
        "units": UNIT,
        "activation": "tanh",
        "use_bias": True,
        "recurrent_activation": "sigmoid",
    } | options


def model_config(**options: Any) -> dict[str, Any]:
    """A Keras 2 Sequential model of one LSTM."""
    start = {"name": "lstm_input", "batch_input_shape": [None, 7, INPUT], "dtype": "float32"}
    layers = [{"class_name": "InputLayer", "config": start}, {"class_name": "LSTM", "config": lstm_config(**options)}]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def names(*items: str | bytes) -> np.ndarray:
    """Names as Keras stores them: an array of fixed-length bytes."""
    return np.array([item.encode() if isinstance(item, str) else item for item in items], "S")


def fill_model(file: h5py.File) -> None:
    """Write a sound Keras 2 model of one LSTM layer into an open file."""
    file.attrs["model_config"] = json.dumps(model_config())
    file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
    weights = file.create_group(WEIGHTS)
    weights.attrs["layer_names"] = names("lstm")
    weights.attrs["keras_version"], weights.attrs["backend"] = "2.15.0", "tensorflow"
    file.create_group(LAYER).attrs["weight_names"] = names(*NAMES)
    for name in SHAPES:
        file[f"{SCOPE}/{name}:0"] = values(name)


def h5_model(path: Path, change: Change | None = None, **options: Any) -> Path:
    """A whole Keras 2 model at `path`; `change` then alters the open file."""
    with h5py.File(path, "w", **options) as file:
        fill_model(file)
        if change is not None:
            change(file)
    return path


def without_kernel(change: Change) -> Change:
    """Remove the kernel before `change`, which writes another in its place."""

    def both(file: h5py.File) -> None:
        del file[KERNEL]
        change(file)

    return both


def h5_kernel(path: Path, **options: Any) -> Path:
    """A model whose kernel is created with these options of `create_dataset`."""
    return h5_model(path, without_kernel(lambda file: file.create_dataset(KERNEL, **options)))


def h5_chunk(
    path: Path, stored: bytes, *, shape: tuple[int, ...] = SHAPES["kernel"], mask: int = 0, **options: Any
) -> Path:
    """A model whose kernel is one chunk, stored as exactly these bytes."""

    def change(file: h5py.File) -> None:
        options.setdefault("chunks", shape)
        kernel = file.create_dataset(KERNEL, shape=shape, dtype="<f4", **options)
        kernel.id.write_direct_chunk((0,) * len(shape), stored, filter_mask=mask)

    return h5_model(path, without_kernel(change))


def keras3_weights() -> bytes:
    """The `model.weights.h5` of a Keras 3 model of one LSTM."""
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        variables = file.create_group("layers/lstm/cell/vars")
        variables.attrs["name"] = "lstm_cell"
        for index, name in enumerate(SHAPES):
            variables[str(index)] = values(name)
        for empty in ("layers/lstm/vars", "vars"):
            file.create_group(empty)
    return buffer.getvalue()


def keras3_config(**options: Any) -> dict[str, Any]:
    """The `config.json` of the same model."""
    layers = [
        keras3_layer("InputLayer", name="input", batch_shape=[None, 7, INPUT]),
        keras3_layer("LSTM", **lstm_config(**options)),
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {"name": "sequential", "layers": layers},
    }


def keras3_layer(kind: str, module: str = "keras.layers", **options: Any) -> dict[str, Any]:
    """One layer of a Keras 3 config."""
    return {"module": module, "class_name": kind, "config": options, "registered_name": None}


def keras3_members() -> dict[str, bytes]:
    """The members of a sound `.keras` archive, in order."""
    return {
        "metadata.json": b'{"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}',
        "config.json": json.dumps(keras3_config()).encode(),
        "model.weights.h5": keras3_weights(),
    }


def archive(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A zip file of these members."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def sound_h5(folder: Path) -> Path:
    """Not hostile: the whole-model HDF5 file that the attacks start from."""
    return h5_model(folder / "sound.h5")


def sound_keras(folder: Path) -> Path:
    """Not hostile: the `.keras` archive that the attacks start from."""
    return archive(folder / "sound.keras", keras3_members())
