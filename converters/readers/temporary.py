"""Folders of this system for what comes as one but is none: fetched from a distance, or packed in another file.

They are there until the process ends, since their files are opened late.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def folder() -> Path:
    """A new, empty one."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="gateport-"))
    return Path(_FOLDERS[-1].name)
