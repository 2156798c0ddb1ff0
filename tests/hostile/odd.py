"""Files that look strange and are sound: each holds the weights of `cases.values` and has to be read."""

from __future__ import annotations

import base64
import json
import marshal
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from .cases import (
    KERNEL,
    LAYER,
    NAMES,
    SCOPE,
    SHAPES,
    WEIGHTS,
    Builder,
    archive,
    h5_kernel,
    h5_model,
    keras3_config,
    keras3_layer,
    keras3_members,
    keras3_weights,
    lstm_config,
    model_config,
    names,
    sound_h5,
    sound_keras,
    values,
)
from .others import sound_shards
from .patching import put
from .pickled_models import sound_pickled_archive, sound_pickled_stream
from .tfjs import sound_tfjs, sound_tfjs_in_shards

SHAPE = SHAPES["kernel"]


def _attribute(folder: Path, where: str, name: str, value: Any, **options: Any) -> Path:
    return h5_model(folder / "model.h5", lambda file: file[where].attrs.__setitem__(name, value), **options)


def _bfloat16(folder: Path, write: Any) -> Path:
    """A model whose kernel is cut to bfloat16 and written by `write`."""

    def change(file: h5py.File) -> None:
        del file[KERNEL]
        write(file, values("kernel").astype(ml_dtypes.bfloat16).view("u2"))

    return h5_model(folder / "bfloat16.h5", change)


def superblock_2(folder: Path) -> Path:
    """As HDF5 1.8 writes: checksummed headers."""
    return h5_model(folder / "model.h5", libver=("v108", "v108"))


def superblock_3(folder: Path) -> Path:
    """As the newest HDF5 writes, arrays contiguous."""
    return h5_model(folder / "model.h5", libver="latest")


def user_block(folder: Path) -> Path:
    """512 bytes stand before the HDF5 signature, here the first of a zip."""
    return put(h5_model(folder / "model.h5", userblock_size=512), 0, "4s", b"PK\3\4")


def large_user_block(folder: Path) -> Path:
    """A user block of 8 kB."""
    return h5_model(folder / "model.h5", userblock_size=8192)


def in_creation_order(folder: Path) -> Path:
    """Groups that track the order in which members came."""
    return h5_model(folder / "model.h5", track_order=True)


def chunks_with_every_filter(folder: Path) -> Path:
    """Chunks that hang over the edge, with shuffle, gzip and fletcher32."""
    return h5_kernel(
        folder / "model.h5", data=values("kernel"), chunks=(2, 7), shuffle=True, compression="gzip", fletcher32=True
    )


def chunks_without_a_filter(folder: Path) -> Path:
    """A kernel in chunks that could grow."""
    return h5_kernel(folder / "model.h5", data=values("kernel"), chunks=(1, 3), maxshape=(None, None))


def chunk_that_skips_its_filter(folder: Path) -> Path:
    """A gzip chunk that is stored plain, as its filter mask says."""

    def change(file: h5py.File) -> None:
        del file[KERNEL]
        kernel = file.create_dataset(KERNEL, SHAPE, "<f4", chunks=SHAPE, compression="gzip")
        kernel.id.write_direct_chunk((0, 0), values("kernel").tobytes(), filter_mask=1)

    return h5_model(folder / "model.h5", change)


def compact(folder: Path) -> Path:
    """A kernel within its own header."""

    def change(file: h5py.File) -> None:
        del file[KERNEL]
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(SHAPE)
        kernel = h5py.h5d.create(file.id, KERNEL.encode(), h5py.h5t.IEEE_F32LE, space, create)
        kernel.write(h5py.h5s.ALL, h5py.h5s.ALL, values("kernel"))

    return h5_model(folder / "model.h5", change)


def big_endian(folder: Path) -> Path:
    """A kernel whose bytes stand the other way round."""
    return h5_kernel(folder / "model.h5", data=values("kernel").astype(">f4"))


def float64(folder: Path) -> Path:
    """A kernel of doubles among floats."""
    return h5_kernel(folder / "model.h5", data=values("kernel").astype("<f8"))


def bfloat16_opaque(folder: Path) -> Path:
    """bfloat16 as h5py stores it: opaque pairs of bytes."""
    return _bfloat16(folder, lambda file, bits: file.create_dataset(KERNEL, data=bits.view("V2")))


def bfloat16_opaque_with_its_name(folder: Path) -> Path:
    """The same with the attribute of Keras 3 that says so."""
    return _bfloat16(
        folder,
        lambda file, bits: file.create_dataset(KERNEL, data=bits.view("V2")).attrs.__setitem__("dtype", "bfloat16"),
    )


def bfloat16_as_a_float(folder: Path) -> Path:
    """bfloat16 as a floating point type of its own."""

    def write(file: h5py.File, bits: Any) -> None:
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_size(2)
        kind.set_ebias(127)
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(file.id, KERNEL.encode(), kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=kind)

    return _bfloat16(folder, write)


def crowded_group(folder: Path) -> Path:
    """A group of 300 empty groups beside the layer, none of which is listed."""
    return h5_model(folder / "model.h5", _crowd)


def crowded_group_of_the_newest(folder: Path) -> Path:
    """The same by the newest HDF5, which indexes it otherwise."""
    return h5_model(folder / "model.h5", _crowd, libver="latest")


def _crowd(file: h5py.File) -> None:
    for number in range(300):
        file.create_group(f"{WEIGHTS}/dropout_{number}")


def long_config(folder: Path) -> Path:
    """A configuration of 200 kB."""
    return _attribute(folder, "/", "model_config", json.dumps(model_config() | {"note": "x" * 200_000}))


def long_config_of_the_newest(folder: Path) -> Path:
    """The same by the newest HDF5."""
    text = json.dumps(model_config() | {"note": "x" * 200_000})
    return _attribute(folder, "/", "model_config", text, libver="latest")


def many_attributes(folder: Path) -> Path:
    """Twenty attributes of other people's on the group of the layer."""
    return h5_model(folder / "model.h5", _remarks)


def many_attributes_of_the_newest(folder: Path) -> Path:
    """The same in dense storage."""
    return h5_model(folder / "model.h5", _remarks, libver="latest")


def _remarks(file: h5py.File) -> None:
    for number in range(20):
        file[LAYER].attrs[f"remark_{number}"] = np.arange(number + 1)


def names_of_variable_length(folder: Path) -> Path:
    """Lists of names as strings of variable length."""

    def change(file: h5py.File) -> None:
        file[LAYER].attrs["weight_names"] = NAMES
        file[WEIGHTS].attrs["layer_names"] = ["lstm"]

    return h5_model(folder / "model.h5", change)


def names_in_parts(folder: Path) -> Path:
    """The list of weights in parts, as Keras cuts one that is too long."""

    def change(file: h5py.File) -> None:
        del file[LAYER].attrs["weight_names"]
        for number, name in enumerate(NAMES):
            file[LAYER].attrs[f"weight_names{number}"] = names(name)

    return h5_model(folder / "model.h5", change)


def weights_alone(folder: Path) -> Path:
    """What `save_weights` writes: no configuration, the list of layers at the root."""
    path = folder / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = names("dropout", "lstm")
        file.create_group("dropout").attrs["weight_names"] = np.zeros(0)
        file.create_group("lstm").attrs["weight_names"] = names(*NAMES)
        for name in SHAPES:
            file[f"lstm/lstm/{name}:0"] = values(name)
    return path


def numbered_weights_alone(folder: Path) -> Path:
    """What `save_weights` of Keras 3 writes."""
    path = folder / "lstm.weights.h5"
    path.write_bytes(keras3_weights())
    return path


def deflated_archive(folder: Path) -> Path:
    """A `.keras` archive that was zipped again by somebody, deflated."""
    return archive(folder / "model.keras", keras3_members(), zipfile.ZIP_DEFLATED)


def streamed_archive(folder: Path) -> Path:
    """A `.keras` archive written to a pipe: sizes stand behind each member."""

    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("a pipe does not seek")

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in keras3_members().items():
            file.writestr(name, content)
    (folder / "model.keras").write_bytes(pipe.getvalue())
    return folder / "model.keras"


def archive_with_zip64_headers(folder: Path) -> Path:
    """A `.keras` archive whose headers have room for sizes beyond 4 GiB, as Keras writes large ones."""
    with zipfile.ZipFile(folder / "model.keras", "w") as file:
        for name, content in keras3_members().items():
            with file.open(name, "w", force_zip64=True) as member:
                member.write(content)
    return folder / "model.keras"


def unzipped_archive(folder: Path) -> Path:
    """The members of a `.keras` archive in a folder."""
    inside = folder / "model.keras"
    inside.mkdir()
    for name, content in keras3_members().items():
        (inside / name).write_bytes(content)
    return inside


def config_lambda(folder: Path) -> Path:
    """A Lambda layer with marshalled code that would end the process, never to be loaded (rule 1)."""
    code = marshal.dumps(compile("__import__('os').abort()", "<lambda>", "eval"))
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode(), "defaults": None}}
    config = keras3_config()
    config["config"]["layers"] = [
        keras3_layer("LSTM", **lstm_config()),
        keras3_layer("Lambda", name="lambda", function=function),
    ]
    return archive(folder / "model.keras", keras3_members() | {"config.json": json.dumps(config).encode()})


def scope_of_another_name(folder: Path) -> Path:
    """Arrays in folders of TensorFlow's own making."""

    def change(file: h5py.File) -> None:
        file.move(SCOPE, f"{LAYER}/while/lstm_cell_3")
        file[LAYER].attrs["weight_names"] = names(*(f"while/lstm_cell_3/{name}:0" for name in SHAPES))

    return h5_model(folder / "model.h5", change)


SOUND: tuple[Builder, ...] = (
    sound_h5,
    sound_keras,
    sound_shards,
    superblock_2,
    superblock_3,
    user_block,
    large_user_block,
    in_creation_order,
    chunks_with_every_filter,
    chunks_without_a_filter,
    chunk_that_skips_its_filter,
    compact,
    big_endian,
    float64,
    bfloat16_opaque,
    bfloat16_opaque_with_its_name,
    bfloat16_as_a_float,
    crowded_group,
    crowded_group_of_the_newest,
    long_config,
    long_config_of_the_newest,
    many_attributes,
    many_attributes_of_the_newest,
    names_of_variable_length,
    names_in_parts,
    weights_alone,
    numbered_weights_alone,
    deflated_archive,
    streamed_archive,
    archive_with_zip64_headers,
    unzipped_archive,
    config_lambda,
    scope_of_another_name,
    sound_tfjs,
    sound_tfjs_in_shards,
    sound_pickled_archive,
    sound_pickled_stream,
)
