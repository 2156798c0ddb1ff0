"""Pickled models of Keras, and arrays of joblib, that claim, call and hold what they may not."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from .cases import Case, sound_keras, table

LOADER = b"ckeras.src.saving.pickle_utils\ndeserialize_model_from_bytecode\n"
SEQUENTIAL = b"ckeras.src.models.sequential\nSequential\n"
GETATTR = b"cbuiltins\ngetattr\n"
STREAM = b"c_io\nBytesIO\n)\x81"
PROTO = b"\x80\x04"


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(data)
    return path


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _bytes(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def _loads(data: bytes) -> bytes:
    """The pickle of a model of these bytes."""
    return PROTO + LOADER + _bytes(data) + b"\x85R."


def _array_of(data: bytes) -> bytes:
    """The same of an array of bytes, as NumPy pickles one."""
    return PROTO + LOADER + pickle.dumps(np.frombuffer(data, "u1"), 4)[2:-1] + b"\x85R."


def _tar(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return written.getvalue()


def sound_pickled_archive(folder: Path) -> Path:
    """Not hostile: the bytes of a `.keras` archive."""
    return _file(folder, _loads(sound_keras(folder).read_bytes()))


def sound_pickled_stream(folder: Path) -> Path:
    """Not hostile: a stream of them, as Keras 3 pickles a model."""
    stream = STREAM + _bytes(sound_keras(folder).read_bytes()) + b"K\x00N\x87b"
    return _file(folder, PROTO + GETATTR + SEQUENTIAL + _text("_unpickle_model") + b"\x86R" + stream + b"\x85R.")


def pickled_model_of_nothing(folder: Path) -> Path:
    """A model of no bytes (bad input)."""
    return _file(folder, _loads(b""))


def pickled_model_of_another_pickle(folder: Path) -> Path:
    """A pickle in the pickle, which runs a command (rule 1)."""
    return _file(folder, _loads(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."))


def pickled_model_of_a_number(folder: Path) -> Path:
    """A model of a number, where bytes are due (bad input)."""
    return _file(folder, PROTO + LOADER + b"K\x01\x85R.")


def pickled_model_of_an_archive_cut(folder: Path) -> Path:
    """An archive without its end (bad input)."""
    return _file(folder, _loads(sound_keras(folder).read_bytes()[:-40]))


def pickled_model_named_and_not_called(folder: Path) -> Path:
    """The function that loads a model, and no model (bad input)."""
    return _file(folder, PROTO + LOADER + b".")


def pickled_model_with_a_tail(folder: Path) -> Path:
    """Bytes behind the pickle (rule 6)."""
    return _file(folder, _loads(sound_keras(folder).read_bytes()) + b"more")


def pickled_model_beside_a_command(folder: Path) -> Path:
    """A model, and a command to run (rule 1)."""
    command = b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R"
    return _file(folder, _loads(sound_keras(folder).read_bytes())[:-1] + command + b"\x86.")


def pickled_model_of_another_attribute(folder: Path) -> Path:
    """Another attribute of a model's class (rule 1)."""
    return _file(folder, PROTO + SEQUENTIAL + b"0" + GETATTR + SEQUENTIAL + _text("__subclasses__") + b"\x86R.")


def pickled_model_of_another_class(folder: Path) -> Path:
    """The attribute of a class that is none of Keras (rule 1)."""
    return _file(
        folder, PROTO + SEQUENTIAL + b"0" + GETATTR + b"cnumpy\nndarray\n" + _text("_unpickle_model") + b"\x86R."
    )


def pickled_stream_of_no_bytes(folder: Path) -> Path:
    """A stream whose state is a list (bad input)."""
    made = GETATTR + SEQUENTIAL + _text("_unpickle_model") + b"\x86R" + STREAM + b"]K\x00N\x87b\x85R."
    return _file(folder, PROTO + made)


def pickled_tar_without_variables(folder: Path) -> Path:
    """A SavedModel that was packed without its weights (bad input)."""
    return _file(folder, _array_of(_tar({"saved_model.pb": b"\x08\x01", "keras_metadata.pb": b""})))


def pickled_tar_out_of_its_folder(folder: Path) -> Path:
    """Members that would lie outside a folder; of them none is written (rule 4)."""
    members = {
        "variables/../../variables.index": b"out",
        "/variables/variables.index": b"out",
        "../saved_model.pb": b"out",
    }
    return _file(folder, _array_of(_tar(members)))


def pickled_tar_with_a_name_twice(folder: Path) -> Path:
    """One member twice (rule 4)."""
    one = _tar({"variables/variables.index": b"a"})[:1024]
    return _file(folder, _array_of(one + one + bytes(1024)))


def pickled_tar_cut(folder: Path) -> Path:
    """A member that is longer than the archive (bad input)."""
    return _file(folder, _array_of(_tar({"variables/variables.index": bytes(4096)})[:2048]))


def pickled_tar_damaged(folder: Path) -> Path:
    """A second header that does not agree with its sum (bad input)."""
    return _file(folder, _array_of(_tar({"variables/variables.index": b"a"})[:1024] + b"\x01" * 512))


def pickled_tar_of_a_link(folder: Path) -> Path:
    """The variables as a link to a file of the system, which is no plain file (rule 4)."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        entry = tarfile.TarInfo("variables/variables.index")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(entry)
    return _file(folder, _array_of(written.getvalue()))


JOBLIB = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81"


def _joblib(shape: bytes, kind: bytes = b"f4", data: bytes = bytes(8), **more: bytes) -> bytes:
    """A dictionary with an array as joblib writes it."""
    dtype = (
        b"cnumpy\ndtype\n"
        + _text(kind.decode())
        + b"\x89\x88\x87R(K\x03"
        + _text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    state = {"subclass": b"cnumpy\nndarray\n", "shape": shape, "order": _text("C"), "dtype": dtype} | more
    items = b"".join(_text(name) + value for name, value in state.items())
    return PROTO + b"}" + _text("dense/kernel") + JOBLIB + b"}(" + items + b"ub" + data + b"s."


def joblib_array_larger_than_its_file(folder: Path) -> Path:
    """An array of 2^40 numbers, of which two follow (rule 5)."""
    return _file(folder, _joblib(b"\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85"))


def joblib_array_below_zero(folder: Path) -> Path:
    """An array of minus one numbers (rule 5)."""
    return _file(folder, _joblib(b"J\xff\xff\xff\xff\x85"))


def joblib_array_of_objects(folder: Path) -> Path:
    """An array of objects, whose pickle follows (rule 1)."""
    return _file(folder, _joblib(b"K\x02\x85", b"O8"))


def joblib_array_of_its_own_class(folder: Path) -> Path:
    """An array of a subclass (rule 1)."""
    return _file(folder, _joblib(b"K\x02\x85", subclass=b"cnumpy\nmatrix\n"))


def joblib_array_of_no_order(folder: Path) -> Path:
    """An order of axes that there is not (bad input)."""
    return _file(folder, _joblib(b"K\x02\x85", order=_text("K")))


def joblib_array_aligned_beyond_the_end(folder: Path) -> Path:
    """More bytes of alignment than follow (rule 5)."""
    return _file(folder, _joblib(b"K\x02\x85", data=b"\xff", numpy_array_alignment_bytes=b"K\x10"))


def joblib_compressed(folder: Path) -> Path:
    """A dump that zlib compressed, which may be a bomb (row 4)."""
    return _file(folder, b"x^" + bytes(64))


CASES: dict[str, Case] = table(
    "pickle",
    {
        pickled_model_of_nothing: "no archive",
        pickled_model_of_another_pickle: "no archive",
        pickled_model_of_a_number: "no model",
        pickled_model_of_an_archive_cut: "archive is damaged",
        pickled_model_named_and_not_called: "no model",
        pickled_model_with_a_tail: "follow the pickle",
        pickled_model_beside_a_command: "posix.system",
        pickled_model_of_another_attribute: "attribute",
        pickled_model_of_another_class: "attribute",
        pickled_stream_of_no_bytes: "no model",
        pickled_tar_without_variables: "without its weights",
        pickled_tar_out_of_its_folder: "without its weights",
        pickled_tar_with_a_name_twice: "twice",
        pickled_tar_cut: "truncated",
        pickled_tar_damaged: "damaged at byte 1024",
        pickled_tar_of_a_link: "without its weights",
        joblib_array_larger_than_its_file: "truncated",
        joblib_array_below_zero: "no array",
        joblib_array_of_objects: "objects",
        joblib_array_of_its_own_class: "names",
        joblib_array_of_no_order: "no array",
        joblib_array_aligned_beyond_the_end: "truncated",
        joblib_compressed: "zlib",
    },
)
