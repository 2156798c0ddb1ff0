"""Builders of hostile files: one function a case, and `CASES`, the table of them all.

Every case gives one typed error, one line on stderr, exit code 1, and no output file. A case's
docstring says in one sentence what is wrong and names the row and rule that it breaks:

    1 a config is data   2 paths   3 HDF5   4 zip   5 memory   6 accounting   7 meaning   8 errors

`SOUND` are the files that the attacks start from, and strange ones that are nevertheless sound: a test
that refuses those proves nothing.
`LARGE` are those whose size is the attack: see `large`.
Nothing here imports the library under test. Not buildable as a case: storage that was allocated
but never written (early allocation), for a file cannot tell it from zeros.
"""

from . import (
    archives,
    configs,
    databases,
    frameworks,
    hdf5_chunks,
    hdf5_headers,
    hdf5_links,
    hdf5_names,
    hdf5_storage,
    hdf5_types,
    leaves,
    msgpack,
    onnx_bytes,
    onnx_data,
    onnx_graphs,
    onnx_odd,
    onnx_recurrent,
    others,
    pickled_models,
    pickles,
    pytorch,
    safetensors,
    tensorflow,
    tfjs,
    zarr,
)
from .cases import Case, Kind
from .large import FULL_SCALE, LARGE, Part
from .odd import SOUND

SOUND_ONNX = onnx_odd.SOUND
__all__ = ["CASES", "FULL_SCALE", "LARGE", "SOUND", "SOUND_ONNX", "Case", "Kind", "Part"]

HDF5 = (hdf5_chunks, hdf5_storage, hdf5_types, hdf5_links, hdf5_headers, hdf5_names)
TREES = (msgpack, zarr, databases, leaves)
ONNX = (onnx_bytes, onnx_data, onnx_graphs, onnx_recurrent)
PICKLES = (pickles, pickled_models, pytorch)
PARTS = (*HDF5, archives, configs, *ONNX, frameworks, others, *PICKLES, safetensors, tensorflow, tfjs, *TREES)
CASES: dict[str, Case] = {name: case for part in PARTS for name, case in part.CASES.items()}

if len(CASES) != sum(len(part.CASES) for part in PARTS):
    raise ValueError("two hostile cases have one name")
if LARGE.keys() - CASES:
    raise ValueError(f"large cases that are none: {LARGE.keys() - CASES}")
