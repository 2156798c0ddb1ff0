"""The command as it is started: what a process does once, before `cli` is imported and after it has run."""

from __future__ import annotations

import gc

_GARBAGE = 200_000
"""Objects made before garbage is looked for: to walk what was imported is a tenth of a small conversion."""


def main() -> None:
    """Run `gateport` and end the process."""
    gc.set_threshold(_GARBAGE)
    from converters.cli import main as gateport

    try:
        gateport(prog_name="gateport")
    finally:
        gc.freeze()  # else all of it is walked once more at the end
