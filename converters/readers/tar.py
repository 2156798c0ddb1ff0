"""Tar archives from a stranger: names and bytes of the plain files in them; nothing is unpacked here.

A header of 512 bytes stands before the bytes of each: a name of 100, the size in octal at 124, a sum of the header's
bytes at 148, a kind at 156. Names longer than that stand in members of their own, which are left out. Source: POSIX.1,
the ustar format of pax. Not by `tarfile`: in Python 3.10.13, 3.11.7, 3.12.1 and 3.13.0 it lists the members of an
archive with a size of -512 without end.
"""

from __future__ import annotations

from collections.abc import Iterator

from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_BLOCK = 512
_SIZE, _SUM = slice(124, 136), slice(148, 156)
_KIND = 156
_PLAIN = b"0\0"


def is_tar(view: memoryview) -> bool:
    """Whether a header that agrees with its sum stands first."""
    header = bytes(view[:_BLOCK])
    return len(header) == _BLOCK and _octal(header[_SUM]) == _sum(header)


def files(view: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Every plain file. Raises `UnreadableCheckpoint` for a damaged archive, `UnsafeCheckpoint` for a name twice."""
    position, names = 0, set()
    while any(header := bytes(view[position : position + _BLOCK])):
        size = _octal(header[_SIZE])
        if len(header) < _BLOCK or size is None or _octal(header[_SUM]) != _sum(header):
            raise UnreadableCheckpoint(f"the tar archive is damaged at byte {position}")
        start = position + _BLOCK
        if start + size > len(view):
            raise UnreadableCheckpoint("the tar archive is truncated")
        position = start + -(-size // _BLOCK) * _BLOCK
        if header[_KIND] in _PLAIN:
            name = header[:100].rstrip(b"\0").decode("utf-8", "replace")
            if name in names:
                raise UnsafeCheckpoint(f"the tar archive holds {printable(repr(name))} twice")
            names.add(name)
            yield name, view[start : start + size]


def _octal(text: bytes) -> int | None:
    digits = text.strip(b" \0")
    return int(digits, 8) if digits.isdigit() and not {*b"89"} & {*digits} else None


def _sum(header: bytes) -> int:
    """The sum of a header's bytes, with spaces in place of the sum."""
    return sum(header) - sum(header[_SUM]) + 8 * ord(" ")
