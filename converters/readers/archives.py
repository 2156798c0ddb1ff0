"""Zip archives from a stranger: nothing is extracted, and a member is only read where directory and header agree.

Rule 4 for untrusted files: unique names, relative paths, no encryption, stored or deflated only, checksum verified,
inflated size bounded by the bytes stored.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator

from converters.readers.limits import Bounded
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

SIGNATURE = b"PK\x03\x04"
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_MOST_MEMBERS = 10_000
_MOST_DIRECTORY = 4 << 20
_PANEL = 1 << 22
_DRIVE = re.compile("[A-Za-z]:/")


class Archive:
    """The members of a zip file, checked before any of them is used."""

    def __init__(self, source: Source) -> None:
        self._source = source
        try:
            members = zipfile.ZipFile(Bounded(source.view, _MOST_DIRECTORY)).infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise UnreadableCheckpoint(f"the zip archive is damaged: {printable(error)}", path=source.path) from None
        if len(members) > _MOST_MEMBERS:
            raise UnsafeCheckpoint(f"the archive lists {len(members)} members", path=source.path)
        self.members: dict[str, zipfile.ZipInfo] = {}
        end = 0
        for member in sorted(members, key=lambda member: member.header_offset):
            self._check(member)
            if member.header_offset < end:
                raise self._refuse(member, "shares its bytes with another member")
            end = member.header_offset + _LOCAL.size + member.compress_size
            self.members[member.filename] = member

    def _refuse(self, member: zipfile.ZipInfo, why: str) -> UnsafeCheckpoint:
        return UnsafeCheckpoint(f"archive member {printable(repr(member.orig_filename))} {why}", path=self._source.path)

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.orig_filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name) or "\0" in name:
            raise self._refuse(member, "has a path that leaves the archive")
        if not name.isprintable():
            raise self._refuse(member, "has control characters in its name")
        if member.filename in self.members:
            raise self._refuse(member, "appears twice")
        if member.flag_bits & 0x1:
            raise self._refuse(member, "is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._refuse(
                member, f"uses compression method {member.compress_type}; only stored and deflate are read"
            )
        if member.external_attr >> 16 & 0o170000 == 0o120000:
            raise self._refuse(member, "is a symbolic link")

    def read(self, name: str, limit: int) -> Source | None:
        """A member of at most `limit` bytes: mapped in place when stored, else inflated; None when absent."""
        member = self.members.get(name)
        if member is None:
            return None
        if member.file_size > limit:
            raise self._refuse(member, f"is too large: it has {member.file_size} bytes, and the limit is {limit}")
        data = self._stored(member)
        if member.compress_type == zipfile.ZIP_DEFLATED:
            data = Source(self._source.path, memoryview(self._inflated(member, data.view)))
        elif member.file_size != member.compress_size:
            raise self._refuse(member, "is stored, and its two sizes differ")
        if _checksum(data) != member.CRC:
            raise UnreadableCheckpoint(f"archive member {name}: the checksum (CRC) is wrong", path=self._source.path)
        return data

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of a member, of whose checksum nothing is known yet."""
        member = self.members[name]
        data = self._stored(member).view[: count if member.compress_type == zipfile.ZIP_STORED else 2 * count + 64]
        if member.compress_type == zipfile.ZIP_STORED:
            return bytes(data)
        try:
            return zlib.decompressobj(-15).decompress(data, count)
        except zlib.error:
            raise self._damaged(member) from None

    def _damaged(self, member: zipfile.ZipInfo) -> UnreadableCheckpoint:
        return UnreadableCheckpoint(f"archive member {printable(member.filename)} is damaged", path=self._source.path)

    def _stored(self, member: zipfile.ZipInfo) -> Source:
        start = member.header_offset
        if start + _LOCAL.size > len(self._source):
            raise self._refuse(member, "lies beyond the end of the file")
        fields = _LOCAL.unpack_from(self._source.view, start)
        signature, method, crc, packed, size, name_length, extra_length = fields[0], fields[3], *fields[6:]
        begin = start + _LOCAL.size + name_length + extra_length
        name = bytes(self._source.view[start + _LOCAL.size : start + _LOCAL.size + name_length])
        streamed, large = fields[2] & 0x8, 0xFFFFFFFF in (packed, size)
        same = streamed or large or (crc, packed, size) == (member.CRC, member.compress_size, member.file_size)
        encoded = member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")
        if signature != SIGNATURE or method != member.compress_type or not same or name != encoded:
            raise self._refuse(member, "has a local header that differs from the directory")
        if begin + member.compress_size > len(self._source):
            raise self._refuse(member, "is truncated")
        return self._source.part(begin, member.compress_size)

    def _inflated(self, member: zipfile.ZipInfo, data: memoryview) -> bytearray:
        inflater, result = zlib.decompressobj(-15), bytearray()
        try:
            for piece in _panels(data):
                result += inflater.decompress(piece, member.file_size + 1 - len(result))
                if len(result) > member.file_size or inflater.unconsumed_tail:
                    break
        except zlib.error:
            raise self._damaged(member) from None
        if len(result) != member.file_size or not inflater.eof:
            raise self._refuse(member, "does not inflate to the size it declares")
        return result


def _panels(data: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(data), _PANEL):
        yield data[start : start + _PANEL]


def _checksum(source: Source) -> int:
    crc = 0
    for piece in _panels(source.view):
        crc = zlib.crc32(piece, crc)
        source.release()
    return crc
