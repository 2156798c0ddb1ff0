"""gateport under the name by which it is installed: everything is in `converters`, and the facts are in `layouts`."""

from typing import Any

import converters
from converters import __all__, __version__  # noqa: F401

__all__ = [*__all__]


def __getattr__(name: str) -> Any:
    return getattr(converters, name)


def __dir__() -> list[str]:
    return dir(converters)
