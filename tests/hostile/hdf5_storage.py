"""HDF5 files that lie about where a weight is stored, how large it is, and in which file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from .cases import (
    KERNEL,
    LAYER,
    SCOPE,
    SHAPES,
    h5_kernel,
    h5_model,
    names,
    table,
    values,
    without_kernel,
)
from .patching import DATASPACE, NOWHERE, find, get, layout_address, message, put, set_dims

SHAPE = SHAPES["kernel"]
RAW = values("kernel").tobytes()


def never_written(folder: Path) -> Path:
    """A contiguous kernel without storage: zeros become weights (row 5, rule 3)."""
    return h5_kernel(folder / "model.h5", shape=SHAPE, dtype="<f4")


def never_written_filled(folder: Path) -> Path:
    """The same with a fill value: the file's number for every weight (row 5, rule 3)."""
    return h5_kernel(folder / "model.h5", shape=SHAPE, dtype="<f4", fillvalue=6.66)


def contiguous_beyond_the_file(folder: Path) -> Path:
    """A contiguous kernel begins eight bytes before the end of the file (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, layout_address(path, KERNEL), "Q", path.stat().st_size - 8)


def contiguous_far_beyond_the_file(folder: Path) -> Path:
    """A contiguous kernel lies a terabyte beyond the end of the file (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, layout_address(path, KERNEL), "Q", NOWHERE)


def contiguous_size_lies(folder: Path) -> Path:
    """The stored size of a contiguous kernel is not that of its shape (row 5, rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, layout_address(path, KERNEL) + 8, "Q", 8)


def contiguous_over_the_metadata(folder: Path) -> Path:
    """The kernel's data are the file's own first bytes, signature and headers (row 6)."""
    path = h5_model(folder / "model.h5")
    return put(path, layout_address(path, KERNEL), "Q", 0)


def datasets_share_bytes(folder: Path) -> Path:
    """Two datasets, one stored region: two weights from the same bytes (row 6, rule 5)."""
    path = h5_model(folder / "model.h5")
    (address,) = get(path, layout_address(path, f"{SCOPE}/recurrent_kernel:0"), "Q")
    return put(path, layout_address(path, KERNEL), "Q", address)


def datasets_share_bytes_by_the_thousand(folder: Path) -> Path:
    """A megabyte named by 1,000 datasets of 1,000 headers: a gigabyte of weights (row 6)."""

    def change(file: h5py.File) -> None:
        file[f"{SCOPE}/big:0"] = np.ones(2**18, "<f4")
        more = [f"lstm/{index}:0" for index in range(1000)]
        for name in more:
            file.create_dataset(f"{LAYER}/{name}", shape=(2**18,), dtype="<f4")
        file[LAYER].attrs["weight_names"] = names(*more)

    path = h5_model(folder / "model.h5", change)
    (address,) = get(path, layout_address(path, f"{SCOPE}/big:0"), "Q")
    with h5py.File(path) as file:
        headers = [h5py.h5o.get_info(file[f"{SCOPE}/{index}:0"].id).addr for index in range(1000)]
    for at in headers:
        put(path, find(path, b"\3\1" + b"\xff" * 8, at) + 2, "Q", address)
    return path


def shape_larger_than_the_file(folder: Path) -> Path:
    """Shape and stored size agree on 16 GiB in a file of some kilobytes (rule 5)."""
    path = h5_model(folder / "model.h5")
    put(path, layout_address(path, KERNEL) + 8, "Q", 2**34)
    return set_dims(path, KERNEL, 2**16, 2**16)


def shape_product_overflows(folder: Path) -> Path:
    """Dimensions whose product in bytes is 2**64, that is 0 in a careless integer (rule 5)."""
    path = h5_model(folder / "model.h5")
    return set_dims(path, KERNEL, 2**31, 2**31)


def shape_of_two_to_the_62(folder: Path) -> Path:
    """A dimension of 2**62 (rule 5)."""
    path = h5_model(folder / "model.h5")
    return set_dims(path, KERNEL, 2**62, 1)


def shape_all_ones(folder: Path) -> Path:
    """Dimensions of 2**64 - 1, the value that means unlimited (rule 5)."""
    path = h5_model(folder / "model.h5")
    return set_dims(path, KERNEL, 2**64 - 1, 2**64 - 1)


def shape_never_written_and_huge(folder: Path) -> Path:
    """A terabyte is declared and nothing stored: a file of any small size (rows 5 and 7)."""
    return h5_kernel(folder / "model.h5", shape=(2**19, 2**19), dtype="<f4")


def rank_32(folder: Path) -> Path:
    """A kernel of 32 dimensions (bad input: wrong ranks)."""
    data = values("kernel").reshape(SHAPE + (1,) * 30)
    return h5_kernel(folder / "model.h5", data=data)


def rank_255(folder: Path) -> Path:
    """The dataspace announces 255 dimensions and holds two (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, KERNEL, DATASPACE) + 1, "B", 255)


def rank_0(folder: Path) -> Path:
    """A kernel that is a scalar (bad input: wrong ranks)."""
    return h5_kernel(folder / "model.h5", data=np.float32(1))


def rank_1(folder: Path) -> Path:
    """A kernel flattened to one axis; no reader may reshape it (bad input: wrong ranks)."""
    return h5_kernel(folder / "model.h5", data=values("kernel").ravel())


def shape_zero(folder: Path) -> Path:
    """A kernel of no rows (bad input: wrong sizes)."""
    return h5_kernel(folder / "model.h5", data=np.zeros((0, SHAPE[1]), "<f4"))


def shape_null(folder: Path) -> Path:
    """A kernel with a null dataspace: a type and no values at all (bad input: wrong sizes)."""
    return h5_kernel(folder / "model.h5", data=h5py.Empty("<f4"))


def shape_of_three_gates(folder: Path) -> Path:
    """A kernel for three gates in an LSTM (bad input: wrong sizes)."""
    return h5_kernel(folder / "model.h5", data=values("kernel")[:, :15])


def compact_shorter_than_declared(folder: Path) -> Path:
    """A kernel in its own header, whose dimensions were enlarged (rule 3)."""

    def change(file: h5py.File) -> None:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(SHAPE)
        kernel = h5py.h5d.create(file.id, KERNEL.encode(), h5py.h5t.IEEE_F32LE, space, create)
        kernel.write(h5py.h5s.ALL, h5py.h5s.ALL, values("kernel"))

    path = h5_model(folder / "model.h5", without_kernel(change))
    return set_dims(path, KERNEL, 2 * SHAPE[0], SHAPE[1])


def external_storage(folder: Path) -> Path:
    """The kernel's bytes are those of another file beside the model (row 2, rule 3)."""
    (folder / "outside.bin").write_bytes(RAW)
    return h5_kernel(folder / "model.h5", shape=SHAPE, dtype="<f4", external=[("outside.bin", 0, len(RAW))])


def external_storage_absolute(folder: Path) -> Path:
    """The kernel's bytes are those of /etc/passwd (row 2, rule 3)."""
    return h5_kernel(folder / "model.h5", shape=SHAPE, dtype="<f4", external=[("/etc/passwd", 0, len(RAW))])


def virtual_of_itself(folder: Path) -> Path:
    """A virtual kernel that maps itself: the process dies on reading it (row 2, rule 3)."""
    return _virtual(folder / "model.h5", ".", KERNEL)


def virtual_of_another_file(folder: Path) -> Path:
    """A virtual kernel takes its values from another file (row 2, rule 3)."""
    h5_model(folder / "outside.h5")
    return _virtual(folder / "model.h5", str(folder / "outside.h5"), KERNEL)


def _virtual(path: Path, source: str, name: str) -> Path:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(SHAPE, "<f4")
        layout[:] = h5py.VirtualSource(source, name, SHAPE, "<f4")
        file.create_virtual_dataset(KERNEL, layout)

    return h5_model(path, without_kernel(change), libver="latest")


CASES = table(
    "hdf5",
    {
        never_written: "never written",
        never_written_filled: "never written",
        contiguous_beyond_the_file: "end of the file",
        contiguous_far_beyond_the_file: "end of the file",
        contiguous_size_lies: "stored",
        contiguous_over_the_metadata: "overlap",
        datasets_share_bytes: "overlap",
        datasets_share_bytes_by_the_thousand: "too large",
        shape_larger_than_the_file: "too large",
        shape_product_overflows: "shape",
        shape_of_two_to_the_62: "shape",
        shape_all_ones: "shape",
        shape_never_written_and_huge: "too large",
        rank_32: "shape",
        rank_255: "damaged",
        rank_0: "kernel ()",
        rank_1: "kernel (60,)",
        shape_zero: "shape",
        shape_null: "shape",
        shape_of_three_gates: "shape",
        compact_shorter_than_declared: "stored",
        external_storage: "external storage",
        external_storage_absolute: "external storage",
        virtual_of_itself: "virtual",
        virtual_of_another_file: "virtual",
    },
)
