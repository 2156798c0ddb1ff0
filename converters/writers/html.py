"""A page as a file: complete or not at all, and never in the place of anything that is no page."""

from __future__ import annotations

import os
from pathlib import Path

from converters.writers import check_name
from converters.writers.atomic import replacing

SUFFIXES = (".html", ".htm")


def write_page(output: str | os.PathLike[str], page: str, source: str | None = None) -> None:
    """Write a page in UTF-8. Raises `ConversionError` for another suffix, and as `replacing` does."""
    target = Path(output)
    check_name(target, SUFFIXES)
    with replacing(target, source) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
