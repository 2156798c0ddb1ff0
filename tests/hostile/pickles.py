"""Pickles of arrays, as PaddlePaddle and users of NumPy write them: what they name, call and claim."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case, full, table

PROTO = b"\x80\x02"
STATE = {"lstm.weight_ih_l0": np.ones((20, 3), "f4"), "lstm.weight_hh_l0": np.ones((20, 5), "f4")}


def sound_pdparams(folder: Path) -> Path:
    """Not hostile: what Paddle saves of an LSTM."""
    return _file(folder, pickle.dumps(STATE | {"StructuredToParameterName@@": {"lstm.weight_ih_l0": "w_0"}}, 4))


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "model.pdparams"
    path.write_bytes(data)
    return path


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


class Calls:
    """Something that a pickle calls when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._made = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._made


def pickle_of_system(folder: Path) -> Path:
    """A pickle that runs a command (rule 1)."""
    return _file(folder, b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")


def pickle_of_eval(folder: Path) -> Path:
    """A pickle that evaluates an expression, beside sound arrays (rule 1)."""
    return _file(folder, pickle.dumps(STATE | {"epoch": Calls(eval, "1 + 1")}, 4))


def pickle_of_open(folder: Path) -> Path:
    """A pickle that opens a file, named by a path of modules (rule 1)."""
    return _file(folder, pickle.dumps(Calls(open, "/dev/null"), 4))


def pickle_of_attributes(folder: Path) -> Path:
    """A pickle that names an attribute of what it may name: numpy.ndarray.tofile (rule 1)."""
    return _file(folder, b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.")


def pickle_of_getattr(folder: Path) -> Path:
    """A pickle that takes an attribute of a module by name (rule 1)."""
    return _file(folder, b"\x80\x02cbuiltins\ngetattr\n.")


def pickle_of_load(folder: Path) -> Path:
    """A pickle that has NumPy load another file with its pickles (rule 1)."""
    return _file(folder, b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00a\x85R.")


def pickle_of_a_dict_called(folder: Path) -> Path:
    """A pickle that calls a dictionary (rule 1)."""
    return _file(folder, PROTO + b"})R.")


def pickle_calls_a_name_without_a_call(folder: Path) -> Path:
    """A pickle that calls numpy.ndarray itself, which would take a buffer and strides (rule 1)."""
    return _file(folder, PROTO + b"cnumpy\nndarray\n)R.")


def pickle_of_protocol_0(folder: Path) -> Path:
    """A pickle in text, whose numbers are evaluated (rule 1)."""
    return _file(folder, b"\x80\x02I1\n.")


def pickle_of_an_extension(folder: Path) -> Path:
    """A pickle that names things by a registry (rule 1)."""
    return _file(folder, PROTO + b"\x82\x01.")


def pickle_of_instances(folder: Path) -> Path:
    """A pickle that makes an instance by an opcode of protocol 1 (rule 1)."""
    return _file(folder, PROTO + b"(iposix\nsystem\n.")


def pickle_of_keywords(folder: Path) -> Path:
    """A pickle that makes an object by keywords (rule 1)."""
    return _file(folder, b"\x80\x04ccollections\nOrderedDict\n)}\x92.")


def pickle_with_a_buffer_outside(folder: Path) -> Path:
    """A pickle whose bytes come from outside it (row 5)."""
    return _file(folder, b"\x80\x05\x97.")


def pickle_with_a_persistent_id(folder: Path) -> Path:
    """A pickle that refers to data outside itself (rule 2)."""
    return _file(folder, PROTO + b"NQ.")


def pickle_of_protocol_9(folder: Path) -> Path:
    """A pickle that raises its protocol halfway (rule 1)."""
    return _file(folder, PROTO + b"\x80\x09N.")


def pickle_truncated(folder: Path) -> Path:
    """A pickle that ends within an array (bad input)."""
    whole = sound_pdparams(folder).read_bytes()
    return _file(folder, whole[: len(whole) // 2])


def pickle_with_a_tail(folder: Path) -> Path:
    """Bytes behind the pickle (rule 6)."""
    return _file(folder, sound_pdparams(folder).read_bytes() + b"more")


def pickle_claims_bytes(folder: Path) -> Path:
    """A run of bytes of 2^62 that is not there (rule 5)."""
    return _file(folder, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"a.")


def pickle_claims_text_below_zero(folder: Path) -> Path:
    """A text of a negative length (rule 5)."""
    return _file(folder, PROTO + b"T" + struct.pack("<i", -1) + b".")


def pickle_of_a_long_number(folder: Path) -> Path:
    """A whole number of a million bytes (rule 5)."""
    return _file(folder, PROTO + b"\x8b" + struct.pack("<i", 1 << 20) + bytes(1 << 20) + b".")


def pickle_with_a_large_memo(folder: Path) -> Path:
    """A place of the memo that is far beyond what is there: no list of it may be made (rule 5)."""
    return _file(folder, PROTO + b"Nr\xff\xff\xff\x7fj\xfe\xff\xff\x7f.")


def pickle_without_a_mark(folder: Path) -> Path:
    """A tuple of what stands above a mark that is not there (bad input)."""
    return _file(folder, PROTO + b"NNt.")


def pickle_takes_from_nothing(folder: Path) -> Path:
    """A value taken off an empty stack (bad input)."""
    return _file(folder, PROTO + b"0.")


def pickle_ends_with_two(folder: Path) -> Path:
    """Two values are left at the end (bad input)."""
    return _file(folder, PROTO + b"}}.")


def pickle_with_a_key_twice(folder: Path) -> Path:
    """One name set twice (rule 6)."""
    return _file(folder, PROTO + b"}" + 2 * (_text("a") + b"Ns") + b".")


def pickle_with_deep_keys(folder: Path) -> Path:
    """A tuple in a tuple in a tuple, as a key: to hash it would overflow the stack (rule 1)."""
    return _file(folder, PROTO + b"}" + b")" + b"\x85" * 100_000 + b"Ns.")


def pickle_100000_deep(folder: Path) -> Path:
    """Dictionaries 100,000 deep (rule 1)."""
    return _file(folder, PROTO + (b"}" + _text("a")) * 100_000 + b"}" + b"s" * 100_000 + b".")


def pickle_that_holds_itself(folder: Path) -> Path:
    """A dictionary in itself (rule 1)."""
    return _file(folder, PROTO + b"}q\x00" + _text("a") + b"h\x00s.")


def pickle_of_doubled_dictionaries(folder: Path) -> Path:
    """A dictionary twice in one that is twice in the next, 30 times: a billion arrays (row 6)."""
    inner = pickle.dumps(np.ones(1, "f4"), 2)[:-1]
    made = inner + b"q\xff0}q\x00" + _text("x") + b"h\xffs0"
    for level in range(30):
        own = bytes([ord("h"), level])
        made += b"}" + bytes([ord("q"), level + 1]) + _text("a") + own + b"s" + _text("b") + own + b"s0"
    return _file(folder, made + bytes([ord("h"), 30]) + b".")


def pickle_array_larger_than_its_bytes(folder: Path) -> Path:
    """An array of 2^40 elements over four bytes (rule 5)."""
    return _file(folder, _changed(b"K\x14K\x03\x86", b"\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"K\x03\x86"))


def pickle_array_below_zero(folder: Path) -> Path:
    """An array of minus one rows (rule 5)."""
    return _file(folder, _changed(b"K\x14K\x03\x86", b"J\xff\xff\xff\xffK\x03\x86"))


def _changed(old: bytes, new: bytes) -> bytes:
    """The sound dictionary, pickled by protocol 3 so that no frame tells lengths, with one thing changed."""
    whole = pickle.dumps(STATE | {"StructuredToParameterName@@": {}}, 3)
    if whole.count(old) != 1:
        raise ValueError(f"{old!r} stands {whole.count(old)} times in the pickle")
    return whole.replace(old, new)


def pickle_array_of_objects(folder: Path) -> Path:
    """An array of objects, alone (rule 1)."""
    return _file(folder, pickle.dumps({"a": np.array([{"b": 1}], object)}, 4))


def pickle_array_of_its_own_class(folder: Path) -> Path:
    """An array of a subclass of ndarray, which may do anything (rule 1)."""
    return _file(folder, pickle.dumps({"a": np.ma.masked_array([1.0], [False])}, 4))


def pickle_array_of_no_dtype(folder: Path) -> Path:
    """A dtype out of a text that NumPy would parse: a structure with a million fields (rule 5)."""
    return _file(folder, _changed(b"X\x02\x00\x00\x00f4", _text("f4," * 1000 + "f4")))


def pickle_encodes_by_a_codec(folder: Path) -> Path:
    """Text that is encoded by a codec which decompresses: a bomb (row 4)."""
    return _file(folder, PROTO + b"c_codecs\nencode\n" + _text("a") + _text("zlib_codec") + b"\x86R.")


def pickle_of_many_steps(folder: Path) -> Path:
    """A pickle that pushes and drops for ever (rule 5)."""
    return _file(folder, PROTO + b"N0" * full(2_000_000) + b"N.")


def pickle_of_many_objects(folder: Path) -> Path:
    """A million objects of a class that is kept unseen, three bytes each: their memory is what counts (rule 5)."""
    return _file(folder, PROTO + b"cargparse\nNamespace\nq\x000](" + b"h\x00)R" * full(2_000_000) + b"e.")


def pickle_hands_over_for_ever(folder: Path) -> Path:
    """One list of a thousand pairs, made into a dictionary again and again, each of them kept (row 6)."""
    pairs = b"".join(_text(f"{k}") + b"N\x86" for k in range(full(100_000)))
    return _file(
        folder, PROTO + b"ccollections\nOrderedDict\nq\x000](" + pairs + b"eq\x010(" + b"h\x00h\x01\x85R" * 50 + b"t."
    )


def pickle_of_a_long_tuple(folder: Path) -> Path:
    """A list made into a tuple, as Paddle makes two values into one, of a thousand (row 6)."""
    return _file(folder, PROTO + b"cbuiltins\ntuple\n](" + b"N" * 1000 + b"e\x85R.")


def pickle_of_nothing(folder: Path) -> Path:
    """A pickle of a dictionary without arrays (rule 6)."""
    return _file(folder, pickle.dumps({"weights": [1.0, 2.0]}, 2))


def pickle_of_a_list(folder: Path) -> Path:
    """A pickle of a list of arrays, which have no names (rule 6)."""
    return _file(folder, pickle.dumps([np.ones(3)], 4))


def pickle_of_slices_that_are_not_there(folder: Path) -> Path:
    """An array that is cut into slices of which one is missing (rule 6)."""
    slices = {"a": {"OriginShape": (7,), "slices": ["a@@.0", "a@@.1"]}}
    return _file(folder, pickle.dumps({"a@@.0": np.ones(5, "f4"), "UnpackBigParamInfor@@": slices}, 4))


def pickle_of_slices_that_do_not_fit(folder: Path) -> Path:
    """An array whose slices make another size (rule 6)."""
    slices = {"a": {"OriginShape": (1 << 40,), "slices": ["a@@.0"]}}
    return _file(folder, pickle.dumps({"a@@.0": np.ones(5, "f4"), "UnpackBigParamInfor@@": slices}, 4))


CASES: dict[str, Case] = table(
    "pickle",
    {
        pickle_of_system: "posix.system",
        pickle_of_eval: "builtins.eval",
        pickle_of_open: "open",
        pickle_of_attributes: "ndarray.tofile",
        pickle_of_getattr: "builtins.getattr",
        pickle_of_load: "numpy.load",
        pickle_of_a_dict_called: "called",
        pickle_calls_a_name_without_a_call: "numpy.ndarray",
        pickle_of_protocol_0: "opcode",
        pickle_of_an_extension: "opcode",
        pickle_of_instances: "opcode",
        pickle_of_keywords: "opcode",
        pickle_with_a_buffer_outside: "opcode",
        pickle_with_a_persistent_id: "outside itself",
        pickle_of_protocol_9: "protocol 9",
        pickle_truncated: "truncated",
        pickle_with_a_tail: "follow the pickle",
        pickle_claims_bytes: "truncated",
        pickle_claims_text_below_zero: "negative",
        pickle_of_a_long_number: "whole number",
        pickle_with_a_large_memo: "not built",
        pickle_without_a_mark: "no mark",
        pickle_takes_from_nothing: "where there is none",
        pickle_ends_with_two: "one value",
        pickle_with_a_key_twice: "twice",
        pickle_with_deep_keys: "key",
        pickle_100000_deep: "too deeply",
        pickle_that_holds_itself: "too deeply",
        pickle_of_doubled_dictionaries: "arrays",
        pickle_array_larger_than_its_bytes: "declared",
        pickle_array_below_zero: "no array",
        pickle_array_of_objects: "no arrays",
        pickle_array_of_its_own_class: "names",
        pickle_array_of_no_dtype: "",
        pickle_encodes_by_a_codec: "encodes",
        pickle_of_many_steps: "steps",
        pickle_of_many_objects: "steps",
        pickle_hands_over_for_ever: "hands over",
        pickle_of_a_long_tuple: "tuple",
        pickle_of_nothing: "no arrays",
        pickle_of_a_list: "no dictionary",
        pickle_of_slices_that_are_not_there: "slices",
        pickle_of_slices_that_do_not_fit: "slices",
    },
)
