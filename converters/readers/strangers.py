"""What a file is that is none of ours: told by its first bytes, so that the message helps."""

from __future__ import annotations

from converters.readers.opened import Opened

_ZLIB = "data that zlib compressed, as joblib.dump(…, compress=…) does: dump it without compress"
_STRANGERS = {
    b"version https://git-lfs": "a git-lfs pointer and not the file itself: run `git lfs pull`",
    b"<": "an HTML or XML page, not a model: the download went wrong",
    b"\x93NUMPY": "a NumPy array: load it and pass the arrays with framework=",
    b"\x80\x02": "a pickle, which is never loaded here",
    b"\x80\x04": "a pickle, which is never loaded here",
    b"\x80\x05": "a pickle, which is never loaded here",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    **dict.fromkeys((b"x\x01", b"x^", b"x\x9c", b"x\xda"), _ZLIB),
    b"PK\x05\x06": "an empty zip archive",
    b"\x89HDF": "an HDF5 file with a damaged signature: was it transferred as text?",
}


def is_stranger(opened: Opened) -> bool:
    """Whether a file begins as one that is known and not read."""
    return opened.head.lstrip().startswith(tuple(_STRANGERS))


def described(opened: Opened) -> str:
    """What an unreadable file is, as far as its first bytes tell."""
    head = opened.head.lstrip()
    what = next((text for start, text in _STRANGERS.items() if head.startswith(start)), None)
    if what:
        return f"this is {what}"
    return f"unrecognised format ({len(opened.source)} bytes, beginning {opened.head[:8].hex(' ')})"
