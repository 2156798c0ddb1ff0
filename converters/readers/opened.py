"""A file that has been opened and not yet been told apart, and what its caller states beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from converters.readers.hdf5.signature import base_address, beginning
from converters.readers.json_data import parse_json
from converters.readers.source import Source
from layouts.errors import ConversionError, printable
from layouts.records import dataclass, field

if TYPE_CHECKING:
    from converters.readers.archives import Archive

_HEAD = 64
_ARCHIVE = b"PK\x03\x04"


@dataclass(frozen=True)
class Request:
    """What a caller states: whose arrays these are, what no file tells, and arrays for inputs of a graph."""

    framework: str | None = None
    assume: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)

    def refuse_statements(self, whose: str) -> None:
        """Raise `ConversionError` where something is stated of a source that tells its layers itself."""
        if self.assume:
            key, value = next(iter(self.assume.items()))
            raise ConversionError(
                f"assume={{'{printable(key)}': '{printable(value)}'}}: {whose} tells its layers itself, and nothing of "
                "them can be stated"
            )


@dataclass(frozen=True, eq=False)
class Opened:
    """The bytes of a file, and what the first look at them gives; each look is taken once, when somebody asks."""

    source: Source

    @property
    def path(self) -> str:
        return self.source.path

    @cached_property
    def head(self) -> bytes:
        """The first 64 bytes."""
        return bytes(self.source.view[:_HEAD])

    @cached_property
    def is_hdf5(self) -> bool:
        """Whether HDF5 begins here, maybe behind a block of bytes of its user's own, whatever those look like.

        An archive may store a file of HDF5 at just such a place. That one says that it begins at its own start.
        """
        start = beginning(self.source.view)
        if start is None:
            return False
        return not self.head.startswith(_ARCHIVE) or base_address(self.source.view, start) == start

    @cached_property
    def archive(self) -> Archive | None:
        """The zip archive, checked; None where this is none. Raises `CheckpointError` for a damaged one."""
        if not self.head.startswith(_ARCHIVE) or self.is_hdf5:
            return None
        from converters.readers.archives import Archive

        return Archive(self.source)

    @cached_property
    def members(self) -> tuple[str, ...]:
        """The names of an archive's members; none where this is no archive."""
        return tuple(self.archive.members) if self.archive else ()

    @cached_property
    def json(self) -> Any:
        """The value of a JSON text, which begins with a brace or a bracket; None where this is none."""
        text = self.head.lstrip()[:1] in (b"{", b"[")
        return parse_json(self.source.view[:], "the file", self.path) if text else None
