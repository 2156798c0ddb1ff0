"""HDF5 files whose weights are of a type that is no array of numbers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from .cases import KERNEL, SCOPE, SHAPES, h5_kernel, h5_model, table, values, without_kernel
from .patching import DATATYPE, header, message, put

SHAPE = SHAPES["kernel"]


def integers(folder: Path) -> Path:
    """An int32 kernel (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=np.ones(SHAPE, "<i4"))


def halves_of_two_kinds(folder: Path) -> Path:
    """A bfloat16 kernel beside a float16 bias, which have no common type (rule 7)."""

    def change(file: h5py.File) -> None:
        del file[f"{SCOPE}/bias:0"]
        file[f"{SCOPE}/bias:0"] = values("bias").astype("<f2")
        file[KERNEL] = np.ones(SHAPE, "<u2").view("V2")

    return h5_model(folder / "model.h5", without_kernel(change))


def strings(folder: Path) -> Path:
    """A kernel of byte strings that look like numbers (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=np.full(SHAPE, b"0.5"))


def variable_strings(folder: Path) -> Path:
    """A kernel of variable-length strings (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=np.full(SHAPE, "0.5", object))


def variable_arrays(folder: Path) -> Path:
    """A kernel whose elements are arrays of any length (bad input: non-float dtypes)."""

    def change(file: h5py.File) -> None:
        kernel = file.create_dataset(KERNEL, shape=SHAPE, dtype=h5py.vlen_dtype("<f4"))
        kernel[0, 0] = np.ones(7, "<f4")

    return h5_model(folder / "model.h5", without_kernel(change))


def compound(folder: Path) -> Path:
    """A kernel of records (bad input: non-float dtypes)."""
    record = np.dtype([("value", "<f4"), ("code", "<i4")])
    return h5_kernel(folder / "model.h5", data=np.zeros(SHAPE, record))


def complex_numbers(folder: Path) -> Path:
    """A complex kernel, whose imaginary part a cast would drop (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=np.ones(SHAPE, "<c8"))


def object_references(folder: Path) -> Path:
    """A kernel of pointers to objects of the file (bad input: non-float dtypes)."""

    def change(file: h5py.File) -> None:
        file.create_dataset(KERNEL, data=np.full(SHAPE, file.ref), dtype=h5py.ref_dtype)

    return h5_model(folder / "model.h5", without_kernel(change))


def region_references(folder: Path) -> Path:
    """A kernel of pointers to regions of datasets (bad input: non-float dtypes)."""

    def change(file: h5py.File) -> None:
        region = file[f"{SCOPE}/bias:0"].regionref[:3]
        file.create_dataset(KERNEL, data=np.full(SHAPE, region), dtype=h5py.regionref_dtype)

    return h5_model(folder / "model.h5", without_kernel(change))


def enumeration(folder: Path) -> Path:
    """A boolean kernel, stored as an enumeration (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=np.ones(SHAPE, bool))


def array_elements(folder: Path) -> Path:
    """A kernel whose elements are arrays of four floats (bad input: non-float dtypes)."""

    def change(file: h5py.File) -> None:
        kernel = file.create_dataset(KERNEL, shape=(3, 5), dtype=np.dtype(("<f4", (4,))))
        kernel[...] = values("kernel").reshape(3, 5, 4)

    return h5_model(folder / "model.h5", without_kernel(change))


def opaque(folder: Path) -> Path:
    """A kernel of tagged bytes without a meaning (bad input: non-float dtypes)."""
    return _of_type(folder / "model.h5", _opaque(4, b"secret"), 4)


def opaque_of_python_objects(folder: Path) -> Path:
    """Bytes tagged NUMPY:O, which a careless reader takes for pointers to objects (rule 3)."""
    return _of_type(folder / "model.h5", _opaque(8, b"NUMPY:O"), 8)


def _opaque(size: int, tag: bytes) -> h5py.h5t.TypeID:
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, size)
    kind.set_tag(tag)
    return kind


def bits(folder: Path) -> Path:
    """A kernel of bit fields (bad input: non-float dtypes)."""
    return _of_type(folder / "model.h5", h5py.h5t.STD_B32LE, 4)


def _of_type(path: Path, kind: h5py.h5t.TypeID, size: int) -> Path:
    """A kernel of any type, its bytes all 0x41."""

    def change(file: h5py.File) -> None:
        space = h5py.h5s.create_simple(SHAPE)
        kernel = h5py.h5d.create(file.id, KERNEL.encode(), kind, space)
        data = np.full((*SHAPE, size), 0x41, "u1").view(f"V{size}")[..., 0].copy()
        kernel.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=kind)

    return h5_model(path, without_kernel(change))


def long_double(folder: Path) -> Path:
    """A kernel of 16-byte floats of one machine's own format (bad input: non-float dtypes)."""
    return h5_kernel(folder / "model.h5", data=values("kernel").astype(np.longdouble))


def float_of_another_format(folder: Path) -> Path:
    """Four bytes that call themselves float with an exponent bias of 3: wrong values (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, KERNEL, DATATYPE) + 16, "I", 3)


def type_of_no_bytes(folder: Path) -> Path:
    """A float of zero bytes (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, KERNEL, DATATYPE) + 4, "I", 0)


def type_of_two_gigabytes(folder: Path) -> Path:
    """Each element is a string of two gigabytes (row 3, rule 5)."""
    path = h5_kernel(folder / "model.h5", data=np.full(SHAPE, b"0.5"))
    return put(path, message(path, KERNEL, DATATYPE) + 4, "I", 2**31 - 1)


def type_of_no_class(folder: Path) -> Path:
    """A datatype of a class that does not exist (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, KERNEL, DATATYPE), "B", 0x1F)


def type_nested_deep(folder: Path) -> Path:
    """Lists of lists of lists, 4,000 deep, in one datatype: a stack overflows (rule 3)."""
    path = h5_model(folder / "model.h5", without_kernel(_room_for_types))
    body = message(path, KERNEL, DATATYPE)
    for level in range(4000):
        put(path, body + 8 * level, "BBBBI", 0x19, 0, 0, 0, 16)
    return path


def _room_for_types(file: h5py.File) -> None:
    """A kernel of a compound type whose message is large enough for thousands of others."""
    record = np.dtype([(f"{index:031}", "<f4") for index in range(500)])
    file.create_dataset(KERNEL, shape=(1, 1), dtype=record)


def type_shared_with_itself(folder: Path) -> Path:
    """The datatype is said to stand in another object, which is this one (rule 3)."""
    path = h5_model(folder / "model.h5")
    body, itself = message(path, KERNEL, DATATYPE), header(path, KERNEL)
    put(path, body - 4, "B", 2)
    return put(path, body, "BBQ", 2, 0, itself)


CASES = table(
    "hdf5",
    dict.fromkeys(
        (
            strings,
            variable_strings,
            variable_arrays,
            compound,
            complex_numbers,
            object_references,
            region_references,
            enumeration,
            array_elements,
            opaque,
            opaque_of_python_objects,
            bits,
            long_double,
            float_of_another_format,
            type_of_no_bytes,
            type_of_two_gigabytes,
            type_of_no_class,
            type_nested_deep,
            type_shared_with_itself,
        ),
        "dtype",
    )
    | {integers: "int32", halves_of_two_kinds: "mix"},
)
