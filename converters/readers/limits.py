"""A bound on parsers of other people's formats: they see a file that knows how long it is and how often it was read."""

from __future__ import annotations

import io
from typing import Any

from layouts.errors import UnsafeCheckpoint

_MOST_BYTES = 256 << 20


class Bounded(io.RawIOBase):
    """A read-only file over mapped bytes, in which no lie about sizes or places goes far.

    Every read costs its length and 64 bytes of a budget of 8 times the file and 1 MB, at most 256 MB: a structure that
    is cyclic or multiplies itself runs dry. Beside that `limit` bounds what is read from one place to the next.
    With `exact`, seeking beyond the end, or asking for more bytes than follow, is an error at once; `regions` then
    records what was read.
    """

    def __init__(self, view: memoryview, most: int, *, exact: bool = False) -> None:
        super().__init__()
        self._view = view
        self._position = 0
        self._exact = exact
        self._left = self._most = most
        self._budget = min(8 * len(view) + (1 << 20), _MOST_BYTES)
        self.regions: list[tuple[int, int]] = []
        self.kept: dict[int, Any] = {}
        """What was parsed at a place of the file and is asked for again, so that it is read once."""

    def limit(self, most: int) -> None:
        """From here on, at most so many bytes in all, until this is called again."""
        self._left = self._most = most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if self._exact and not 0 <= origin + offset <= len(self._view):
            raise UnsafeCheckpoint(
                f"damaged or truncated: its structure points to byte {origin + offset} of {len(self._view)}"
            )
        self._position = max(0, origin + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        start = self._position
        wanted = len(self._view) - start if size is None or size < 0 else size
        piece = self._view[start : start + wanted]
        if self._exact and len(piece) < wanted:
            raise UnsafeCheckpoint(
                f"damaged or truncated: its structure claims {wanted} bytes, and {len(piece)} follow"
            )
        self._left -= len(piece)
        if self._left < 0:
            raise UnsafeCheckpoint(f"a part of its structure claims more than {self._most} bytes: too large")
        self._position += len(piece)
        self._budget -= len(piece) + 64
        if self._budget < 0:
            raise UnsafeCheckpoint("its structure is damaged: cyclic structure")
        if self._exact and piece:
            self.regions.append((start, self._position))
        return bytes(piece)
