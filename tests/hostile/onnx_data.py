"""ONNX files whose tensors lie about their data, or keep them where they must not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .cases import INPUT, UNIT, full, table
from .onnx_models import changed, model, node, weights, with_tensor, write

DATA = "weights.bin"
SIZE = 4 * UNIT * INPUT * 4


def external(tensor: TensorProto, **keys: str) -> None:
    """Let a tensor say that its data is in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in keys.items():
        tensor.external_data.add(key=key, value=value)


def data_beside(folder: Path, before: bytes = b"", name: str = DATA) -> Path:
    """A file with the data of W."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(before + weights()["W"].tobytes())
    return path


def with_external(folder: Path, **keys: str) -> Path:
    """A model whose W is in the file beside it, described so."""
    data_beside(folder)
    return with_tensor(folder, lambda tensor: external(tensor, **({"location": DATA} | keys)))


def _inside(folder: Path) -> Path:
    """A folder of its own for the model, the data one level above it."""
    data_beside(folder)
    (folder / "inside").mkdir()
    return folder / "inside"


def _located(folder: Path, location: str) -> Path:
    return with_tensor(folder, lambda tensor: external(tensor, location=location))


def _put(folder: Path, make: Callable[[Path], object]) -> Path:
    """A model whose external file `make` puts at its place."""
    make(folder / DATA)
    return _located(folder, DATA)


def onnx_external_in_parent(folder: Path) -> Path:
    """External data above the model's folder (rule 2)."""
    return _located(_inside(folder), f"../{DATA}")


def onnx_external_through_parent(folder: Path) -> Path:
    """External data that leaves the model's folder and comes back (rule 2)."""
    data_beside(folder)
    return _located(folder, f"../{folder.name}/{DATA}")


def onnx_external_absolute(folder: Path) -> Path:
    """External data from the root of the file system (rule 2)."""
    return _located(_inside(folder), str(folder / DATA))


def onnx_external_of_windows(folder: Path) -> Path:
    """External data that climbs by backslashes (rule 2)."""
    return _located(_inside(folder), f"..\\{DATA}")


def onnx_external_on_a_drive(folder: Path) -> Path:
    """External data on a drive of Windows (rule 2)."""
    return _located(folder, f"C:\\{DATA}")


def onnx_external_of_a_url(folder: Path) -> Path:
    """External data at an address of the network (rule 2)."""
    return _located(folder, f"https://example.org/{DATA}")


def onnx_external_with_nul(folder: Path) -> Path:
    """A location with a zero byte (rule 8)."""
    data_beside(folder)
    return _located(folder, f"{DATA}\0.txt")


def onnx_external_with_control_characters(folder: Path) -> Path:
    """A location that would write to the terminal (rule 8)."""
    return _located(folder, "\x1b[2J\r\nweights\u202e.bin")


def onnx_external_of_20_kilobytes(folder: Path) -> Path:
    """A location that is longer than any file's name (rule 8)."""
    return _located(folder, "w" * 20_000)


def onnx_external_without_location(folder: Path) -> Path:
    """External data in no file."""
    return with_tensor(folder, lambda tensor: external(tensor, offset="0"))


def onnx_external_without_keys(folder: Path) -> Path:
    """External data, and nothing else about it."""
    return with_tensor(folder, external)


def onnx_external_missing(folder: Path) -> Path:
    """External data that was not copied along (bad input: missing)."""
    return _located(folder, DATA)


def onnx_external_a_folder(folder: Path) -> Path:
    """External data is a folder (row 11)."""
    return _put(folder, Path.mkdir)


def onnx_external_a_fifo(folder: Path) -> Path:
    """External data is a FIFO, which blocks for ever on opening (row 11)."""
    return _put(folder, os.mkfifo)


def onnx_external_empty(folder: Path) -> Path:
    """External data is a file of no bytes."""
    return _put(folder, Path.touch)


def onnx_external_linked_out(folder: Path) -> Path:
    """External data is a symbolic link out of the model's folder (row 10, rule 2)."""
    return _put(_inside(folder), lambda path: path.symlink_to(folder / DATA))


def onnx_external_folder_linked_out(folder: Path) -> Path:
    """External data in a folder that is a symbolic link out of the model's (rule 2)."""
    inside = _inside(folder)
    (inside / "data").symlink_to(folder)
    return _located(inside, f"data/{DATA}")


def onnx_external_a_hard_link(folder: Path) -> Path:
    """External data is another name of a file elsewhere (rule 2)."""
    return _put(_inside(folder), lambda path: path.hardlink_to(folder / DATA))


def onnx_external_a_link_to_itself(folder: Path) -> Path:
    """External data is a symbolic link to itself (rule 2)."""
    return _put(folder, lambda path: path.symlink_to(path))


def onnx_external_is_the_model(folder: Path) -> Path:
    """External data in the model's own file."""
    return _located(folder, "model.onnx")


def onnx_external_is_a_link_to_the_model(folder: Path) -> Path:
    """External data in a link to the model's own file."""
    return _put(folder, lambda path: path.symlink_to(folder / "model.onnx"))


def onnx_external_offset_negative(folder: Path) -> Path:
    """External data from before the start of its file."""
    return with_external(folder, offset="-4")


def onnx_external_offset_huge(folder: Path) -> Path:
    """External data at an offset of more digits than a number has."""
    return with_external(folder, offset="9" * 5000)


def onnx_external_offset_no_number(folder: Path) -> Path:
    """External data at an offset that Python would take for a number."""
    return with_external(folder, offset="1_0")


def onnx_external_offset_beyond(folder: Path) -> Path:
    """External data at an offset beyond its file."""
    return with_external(folder, offset=str(2**62))


def onnx_external_offset_pushes_it_out(folder: Path) -> Path:
    """External data whose last number lies beyond its file."""
    return with_external(folder, offset="4")


def onnx_external_length_negative(folder: Path) -> Path:
    """External data of a negative length."""
    return with_external(folder, length="-1")


def onnx_external_length_beyond(folder: Path) -> Path:
    """External data that is longer than its file."""
    return with_external(folder, length=str(2**40))


def onnx_external_length_too_small(folder: Path) -> Path:
    """External data that is shorter than its shape."""
    return with_external(folder, length=str(SIZE - 4))


def onnx_external_length_in_hex(folder: Path) -> Path:
    """A length that is no decimal number."""
    return with_external(folder, length=hex(SIZE))


def onnx_external_key_twice(folder: Path) -> Path:
    """Two locations: which one is meant?"""

    def change(tensor: TensorProto) -> None:
        external(tensor, location=DATA)
        tensor.external_data.add(key="location", value="other.bin")

    data_beside(folder)
    return with_tensor(folder, change)


def onnx_external_and_inside(folder: Path) -> Path:
    """Data both in another file and in the model."""

    def change(tensor: TensorProto) -> None:
        raw = tensor.raw_data
        external(tensor, location=DATA)
        tensor.raw_data = raw

    data_beside(folder)
    return with_tensor(folder, change)


def _shape(folder: Path, *dims: int) -> Path:
    def change(tensor: TensorProto) -> None:
        tensor.dims[:] = dims

    return with_tensor(folder, change)


def onnx_dims_overflow(folder: Path) -> Path:
    """A shape whose product is 0 in 64 bits (rule 5)."""
    return _shape(folder, 2**62, 8, 3)


def onnx_dims_huge(folder: Path) -> Path:
    """A shape of more numbers than the file has bytes (rule 5)."""
    return _shape(folder, 1, 10**9, 1000)


def onnx_dims_negative(folder: Path) -> Path:
    """A shape of two negative sizes, whose product is right."""
    return _shape(folder, 1, -4 * UNIT, -INPUT)


def onnx_dims_zero_and_huge(folder: Path) -> Path:
    """A shape without numbers, which NumPy cannot have."""

    def change(tensor: TensorProto) -> None:
        tensor.dims[:] = [0, 2**62, 2**62]
        tensor.ClearField("raw_data")

    return with_tensor(folder, change)


def onnx_dims_larger_than_data(folder: Path) -> Path:
    """A shape of one row more than is stored."""
    return _shape(folder, 1, 4 * UNIT + 1, INPUT)


def onnx_dims_smaller_than_data(folder: Path) -> Path:
    """A shape of one row less than is stored (rule 6)."""
    return _shape(folder, 1, 4 * UNIT - 1, INPUT)


def onnx_dims_of_33_axes(folder: Path) -> Path:
    """A shape of more axes than arrays have."""
    return _shape(folder, *[1] * 31, 4 * UNIT, INPUT)


def onnx_data_missing(folder: Path) -> Path:
    """A tensor without data."""
    return with_tensor(folder, lambda tensor: tensor.ClearField("raw_data"))


def onnx_data_raw_and_typed(folder: Path) -> Path:
    """Data twice, in raw_data and in float_data."""
    return with_tensor(folder, lambda tensor: tensor.float_data.extend(weights()["W"].ravel().tolist()))


def onnx_data_raw_and_one_number(folder: Path) -> Path:
    """One number more beside the raw data."""
    return with_tensor(folder, lambda tensor: tensor.float_data.append(1.0))


def onnx_data_raw_and_text(folder: Path) -> Path:
    """A type of text with the bytes of numbers."""
    return _typed(folder, TensorProto.STRING)


def onnx_data_of_halves(folder: Path) -> Path:
    """Raw data that ends within a number."""
    return with_tensor(folder, lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-1]))


def _stored(folder: Path, tensor: TensorProto) -> Path:
    """A model whose W is this tensor."""
    tensor.name = "W"
    return with_tensor(folder, lambda found: found.CopyFrom(tensor))


def _typed(folder: Path, code: int) -> Path:
    return with_tensor(folder, lambda tensor: setattr(tensor, "data_type", code))


def onnx_type_unknown(folder: Path) -> Path:
    """A data type that does not exist."""
    return _typed(folder, 99)


def onnx_type_negative(folder: Path) -> Path:
    """A negative data type."""
    return _typed(folder, -1)


def onnx_type_undefined(folder: Path) -> Path:
    """No data type."""
    return with_tensor(folder, lambda tensor: tensor.ClearField("data_type"))


def onnx_type_complex(folder: Path) -> Path:
    """Complex weights."""
    return _stored(folder, numpy_helper.from_array(weights()["W"].astype(np.complex64)))


def onnx_type_text(folder: Path) -> Path:
    """Weights of words."""
    words = [b"word"] * (4 * UNIT * INPUT)
    return _stored(folder, helper.make_tensor("W", TensorProto.STRING, weights()["W"].shape, words))


def onnx_type_integers(folder: Path) -> Path:
    """Integers in place of weights: somebody's quantised model without its scales."""
    return _stored(folder, numpy_helper.from_array(np.ones(weights()["W"].shape, np.int8)))


def onnx_type_truth(folder: Path) -> Path:
    """Truth values in place of weights."""
    return _stored(folder, numpy_helper.from_array(np.ones(weights()["W"].shape, np.bool_)))


def _numbers(folder: Path, code: int, name: str, count: int, value: float) -> Path:
    """A W whose numbers stand in a typed field."""
    tensor = TensorProto(data_type=code, dims=weights()["W"].shape)
    getattr(tensor, name).extend([value] * count)
    return _stored(folder, tensor)


def onnx_float_data_too_short(folder: Path) -> Path:
    """One number less than the shape has, in float_data."""
    return _numbers(folder, TensorProto.FLOAT, "float_data", 4 * UNIT * INPUT - 1, 1.0)


def onnx_double_data_for_floats(folder: Path) -> Path:
    """Floats in the field of doubles."""
    return _numbers(folder, TensorProto.FLOAT, "double_data", 4 * UNIT * INPUT, 1.0)


def onnx_float16_of_17_bits(folder: Path) -> Path:
    """Bit patterns of float16 that have 17 bits."""
    return _numbers(folder, TensorProto.FLOAT16, "int32_data", 4 * UNIT * INPUT, 70_000)


def onnx_float16_negative(folder: Path) -> Path:
    """Bit patterns of float16 that are negative, ten bytes each."""
    return _numbers(folder, TensorProto.FLOAT16, "int32_data", 4 * UNIT * INPUT, -1)


def onnx_int32_data_too_long(folder: Path) -> Path:
    """More bit patterns than the shape has."""
    return _numbers(folder, TensorProto.BFLOAT16, "int32_data", 4 * UNIT * INPUT + 1, 1)


def onnx_in_segments(folder: Path) -> Path:
    """A tensor that says it is the first of many pieces."""
    return with_tensor(folder, lambda tensor: (setattr(tensor.segment, "begin", 0), setattr(tensor.segment, "end", 10)))


def onnx_sparse(folder: Path) -> Path:
    """Weights of which only those that are not zero are stored."""
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(2, np.float32), "W"),
        numpy_helper.from_array(np.arange(2), "places"),
        [1, 20, 3],
    )

    def change(found: object) -> None:
        graph = found.graph  # type: ignore[attr-defined]
        del graph.initializer[0]
        graph.sparse_initializer.append(sparse)

    return changed(folder, change)


def onnx_region_under_many_names(folder: Path) -> Path:
    """2,000 LSTM layers whose weights are all one region of 4 MB of the external file (row 6)."""
    (folder / DATA).write_bytes(b"\1" * (4 << 20))
    found = model(
        [node(name=f"lstm_{k}", inputs=("X", f"W_{k}", "R", "B"), outputs=(f"Y_{k}",)) for k in range(full(2000))]
    )
    columns = (4 << 20) // 4 // (4 * UNIT)
    for number in range(full(2000)):
        tensor = TensorProto(name=f"W_{number}", data_type=TensorProto.FLOAT, dims=[1, 4 * UNIT, columns])
        external(tensor, location=DATA, length=str(4 * UNIT * columns * 4))
        found.graph.initializer.append(tensor)
    return write(folder, found)


CASES = table(
    "onnx",
    {
        onnx_external_in_parent: "relative path",
        onnx_external_through_parent: "relative path",
        onnx_external_absolute: "relative path",
        onnx_external_of_windows: "relative path",
        onnx_external_on_a_drive: "relative path",
        onnx_external_of_a_url: "relative path",
        onnx_external_with_nul: "relative path",
        onnx_external_with_control_characters: "no such file",
        onnx_external_of_20_kilobytes: "not a file name",
        onnx_external_without_location: "location",
        onnx_external_without_keys: "location",
        onnx_external_missing: "no such file",
        onnx_external_a_folder: "regular file",
        onnx_external_a_fifo: "regular file",
        onnx_external_empty: "empty",
        onnx_external_linked_out: "link",
        onnx_external_folder_linked_out: "link",
        onnx_external_a_hard_link: "hard link",
        onnx_external_a_link_to_itself: "not a file name",
        onnx_external_is_the_model: "the model itself",
        onnx_external_is_a_link_to_the_model: "the model itself",
        onnx_external_offset_negative: "offset",
        onnx_external_offset_huge: "offset",
        onnx_external_offset_no_number: "offset",
        onnx_external_offset_beyond: "too short",
        onnx_external_offset_pushes_it_out: "too short",
        onnx_external_length_negative: "length",
        onnx_external_length_beyond: "too short",
        onnx_external_length_too_small: "takes 240 bytes, and 236",
        onnx_external_length_in_hex: "length",
        onnx_external_key_twice: "twice",
        onnx_external_and_inside: "both",
        onnx_dims_overflow: "too large",
        onnx_dims_huge: "takes 4000000000000 bytes",
        onnx_dims_negative: "negative",
        onnx_dims_zero_and_huge: "too large",
        onnx_dims_larger_than_data: "takes 252 bytes",
        onnx_dims_smaller_than_data: "takes 228 bytes",
        onnx_dims_of_33_axes: "33 axes",
        onnx_data_missing: "0 are there",
        onnx_data_raw_and_typed: "twice",
        onnx_data_raw_and_one_number: "twice",
        onnx_data_raw_and_text: "text",
        onnx_data_of_halves: "239",
        onnx_type_unknown: "99",
        onnx_type_negative: "-1",
        onnx_type_undefined: "no type",
        onnx_type_complex: "complex",
        onnx_type_text: "text",
        onnx_type_integers: "int8",
        onnx_type_truth: "bool",
        onnx_float_data_too_short: "59 are there",
        onnx_double_data_for_floats: "double_data",
        onnx_float16_of_17_bits: "does not fit",
        onnx_float16_negative: "does not fit",
        onnx_int32_data_too_long: "61 are there",
        onnx_in_segments: "segments",
        onnx_sparse: "W",
        onnx_region_under_many_names: "large",
    },
)
