"""How calls of functions are read: by place or by name, as Python takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

Arguments = list[Any]
Named = dict[str, Any]
Write = Callable[[Any, fx.Node, Arguments, Named], Any]
"""What a function with these arguments gives: `(Sketch, fx.Node, Arguments, Named) -> Made`."""


def argument(arguments: Arguments, named: Named, place: int, name: str, otherwise: Any = None) -> Any:
    """An argument, given by place or by name."""
    return arguments[place] if len(arguments) > place else named.get(name, otherwise)


def listed(arguments: Arguments, named: Named, name: str) -> tuple[Any, ...]:
    """Numbers behind the first argument, one by one or as one tuple."""
    told = named.get(name, arguments[1:])
    inner = told[0] if len(told) == 1 and isinstance(told[0], tuple | list) else told
    return tuple(inner) if isinstance(inner, tuple | list) else (inner,)
