"""`.keras` archives whose zip directory, members or sizes are lies or bombs."""

from __future__ import annotations

import bz2
import lzma
import struct
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .cases import archive, full, h5_model, keras3_members, keras3_weights, table
from .patching import deflated_zeros

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LINK_MODE = 0o120777 << 16


@dataclass(frozen=True)
class Member:
    """One member as the directory and, where it differs, as its local header describes it."""

    name: str
    stored: bytes
    size: int
    checksum: int
    method: int = STORED
    flags: int = 0
    mode: int = 0
    stored_size: int | None = None
    local: Member | None = None
    same_place: bool = False

    def header(self) -> bytes:
        """The fields that the directory and the local header have in common, and the name."""
        count = len(self.stored) if self.stored_size is None else self.stored_size
        return struct.pack(
            "<HHHIIIIHH", 20, self.flags, self.method, 0, self.checksum, count, self.size, len(self.name.encode()), 0
        )


def member(name: str, content: bytes) -> Member:
    """A sound stored member."""
    return Member(name, content, len(content), zlib.crc32(content))


def sound_members() -> dict[str, Member]:
    """The members of a sound archive, by name."""
    return {name: member(name, content) for name, content in keras3_members().items()}


def raw_archive(path: Path, members: Iterable[Member]) -> Path:
    """A zip file exactly as its members say, sound or not."""
    body, directory, count, at = b"", b"", 0, 0
    for one in members:
        name, local = one.name.encode(), one.local or one
        if not one.same_place:
            at = len(body)
            body += b"PK\3\4" + local.header() + local.name.encode() + one.stored
        directory += b"PK\1\2" + struct.pack("<H", 0x0314) + one.header()
        directory += struct.pack("<HHHII", 0, 0, 0, one.mode, at) + name
        count += 1
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)
    return path


def _changed(folder: Path, name: str, **changes: object) -> Path:
    """A sound archive with one member's fields changed."""
    members = sound_members()
    members[name] = replace(members[name], **changes)  # type: ignore[arg-type]
    return raw_archive(folder / "model.keras", members.values())


def _with(folder: Path, *more: Member) -> Path:
    """A sound archive and more members after it."""
    return raw_archive(folder / "model.keras", [*sound_members().values(), *more])


def _weights(folder: Path, content: bytes) -> Path:
    """An archive whose weights file is this."""
    return archive(folder / "model.keras", keras3_members() | {WEIGHTS: content})


def member_absolute(folder: Path) -> Path:
    """A member is named from the root of the file system (rule 4)."""
    return _with(folder, member("/absolute/escaped.txt", b"x"))


def member_in_parent(folder: Path) -> Path:
    """A member is named outside the archive's folder (rule 4)."""
    return _with(folder, member("assets/../../escaped.txt", b"x"))


def member_of_windows(folder: Path) -> Path:
    """A member climbs by backslashes from a drive (rule 4)."""
    return _with(folder, member("C:\\..\\..\\escaped.txt", b"x"))


def member_with_control_characters(folder: Path) -> Path:
    """A member's name clears the terminal and forges a line (rules 4 and 8)."""
    return _with(folder, member("assets/\x1b[2J\nOK: converted", b"x"))


def member_is_a_link(folder: Path) -> Path:
    """The weights are a symbolic link to a file of the machine (rule 4)."""
    target = b"/etc/passwd"
    return _changed(folder, WEIGHTS, stored=target, size=len(target), checksum=zlib.crc32(target), mode=LINK_MODE)


def member_twice(folder: Path) -> Path:
    """Two configs: readers take the first or the last (rule 4)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _with(folder, member(CONFIG, b"{}"))


def members_share_bytes(folder: Path) -> Path:
    """The directory names one stored region 2,000 times (row 6, rule 4)."""
    content = keras3_weights()
    shared = [replace(member(f"assets/{index}", content), same_place=True) for index in range(2000)]
    return _with(folder, replace(shared[0], same_place=False), *shared[1:])


def members_by_the_ten_thousand(folder: Path) -> Path:
    """60,000 empty members (rule 5: bounded counts)."""
    return archive(folder / "model.keras", keras3_members() | {f"assets/{index}": b"" for index in range(full(60_000))})


def member_encrypted(folder: Path) -> Path:
    """The weights are marked as encrypted (rule 4)."""
    return _changed(folder, WEIGHTS, flags=1)


def member_by_bzip2(folder: Path) -> Path:
    """The weights are compressed by bzip2 (rule 4)."""
    return _changed(folder, WEIGHTS, stored=bz2.compress(keras3_weights()), method=BZIP2)


def member_by_lzma(folder: Path) -> Path:
    """The weights are compressed by LZMA (rule 4)."""
    packed = lzma.compress(keras3_weights(), lzma.FORMAT_ALONE)  # properties, a size, the stream
    return _changed(folder, WEIGHTS, stored=b"\x09\x04\x05\0" + packed[:5] + packed[13:], method=LZMA, flags=2)


def config_bomb(folder: Path) -> Path:
    """A config of one deflated gigabyte (rules 1 and 5)."""
    return _bomb(folder, CONFIG)


def weights_bomb(folder: Path) -> Path:
    """A weights file of one deflated gigabyte (rule 5)."""
    return _bomb(folder, WEIGHTS)


def _bomb(folder: Path, name: str, **changes: object) -> Path:
    checksum = 0
    for _ in range(1024):
        checksum = zlib.crc32(bytes(2**20), checksum)
    return _changed(
        folder, name, stored=deflated_zeros(2**30)[2:-4], size=2**30, checksum=checksum, method=DEFLATED, **changes
    )


def config_bomb_undeclared(folder: Path) -> Path:
    """The directory says ten bytes; the stream inflates to a gigabyte (rules 4 and 5)."""
    return _changed(folder, CONFIG, stored=deflated_zeros(2**30)[2:-4], size=10, method=DEFLATED)


def size_larger_than_the_archive(folder: Path) -> Path:
    """The weights are stored in 3 GiB of an archive of some kilobytes (rule 4)."""
    return _changed(folder, WEIGHTS, size=3 * 2**30, stored_size=3 * 2**30)


def size_not_as_stored(folder: Path) -> Path:
    """An uncompressed member has two sizes (rule 4)."""
    return _changed(folder, WEIGHTS, size=len(keras3_weights()) - 8)


def local_name_differs(folder: Path) -> Path:
    """The local header gives the weights another name than the directory (rule 4)."""
    return _changed(folder, WEIGHTS, local=member("evil.weights.h5", keras3_weights()))


def local_size_differs(folder: Path) -> Path:
    """The local header gives the weights another size than the directory (rule 4)."""
    sound = member(WEIGHTS, keras3_weights())
    return _changed(folder, WEIGHTS, local=replace(sound, size=64, stored_size=64))


def local_method_differs(folder: Path) -> Path:
    """The local header calls the weights deflated, the directory stored (rule 4)."""
    sound = member(WEIGHTS, keras3_weights())
    return _changed(folder, WEIGHTS, local=replace(sound, method=DEFLATED))


def checksum_wrong(folder: Path) -> Path:
    """The weights are not those of their CRC (row 9, rule 4)."""
    return _changed(folder, WEIGHTS, checksum=0x12345678)


def archive_truncated(folder: Path) -> Path:
    """An archive that ends in its weights, without a directory (bad input: truncated)."""
    path = archive(folder / "model.keras", keras3_members())
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def archive_after_other_bytes(folder: Path) -> Path:
    """A program stands before the archive: two formats in one file (rule 4)."""
    path = archive(folder / "model.keras", keras3_members())
    path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())
    return path


def archive_empty(folder: Path) -> Path:
    """A zip file of no members."""
    return archive(folder / "model.keras", {})


def config_missing(folder: Path) -> Path:
    """An archive without a config."""
    return _without(folder, CONFIG)


def weights_missing(folder: Path) -> Path:
    """An archive without weights."""
    return _without(folder, WEIGHTS)


def _without(folder: Path, name: str) -> Path:
    members = keras3_members()
    del members[name]
    return archive(folder / "model.keras", members)


def weights_empty(folder: Path) -> Path:
    """The weights file in the archive has no bytes."""
    return _weights(folder, b"")


def weights_truncated(folder: Path) -> Path:
    """The weights file in the archive has lost its second half (bad input: truncated)."""
    content = keras3_weights()
    return _weights(folder, content[: len(content) // 2])


def weights_of_another_format(folder: Path) -> Path:
    """The weights file in the archive is a pickle, never to be loaded."""
    return _weights(folder, b"\x80\x04cos\nsystem\nX\4\0\0\0true\x85R.")


def weights_of_keras2(folder: Path) -> Path:
    """The weights file in the archive is a Keras 2 file: other names for the weights (rule 6)."""
    return _weights(folder, h5_model(folder / "inner.h5").read_bytes())


CASES = table(
    "zip",
    {
        member_absolute: "member",
        member_in_parent: "member",
        member_of_windows: "member",
        member_with_control_characters: "member",
        member_is_a_link: "link",
        member_twice: "twice",
        members_share_bytes: "assets/1",
        members_by_the_ten_thousand: "members",
        member_encrypted: "encrypted",
        member_by_bzip2: "compression",
        member_by_lzma: "compression",
        config_bomb: "too large",
        weights_bomb: "too large",
        config_bomb_undeclared: CONFIG,
        size_larger_than_the_archive: WEIGHTS,
        size_not_as_stored: WEIGHTS,
        local_name_differs: "local header",
        local_size_differs: "local header",
        local_method_differs: "local header",
        checksum_wrong: "CRC",
        archive_truncated: "zip",
        archive_after_other_bytes: "unrecognised format",
        archive_empty: "empty",
        config_missing: CONFIG,
        weights_missing: WEIGHTS,
        weights_empty: WEIGHTS,
        weights_truncated: "truncated",
        weights_of_another_format: WEIGHTS,
        weights_of_keras2: "numbered variable",
    },
)
