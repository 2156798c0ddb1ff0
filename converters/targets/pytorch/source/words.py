"""Words of a file as Python: identifiers for variables, attributes for modules, literals for everything else.

A file is a stranger's: what it says becomes a name only when it is one, and otherwise a string that `repr` quotes.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
import unicodedata
from collections.abc import Collection

_LONGEST = 40
_MODULE_NAMES = frozenset(
    {
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "device",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "reset_states",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    }
)
"""What every nn.Module has already: a child of this name is reached through `_modules`."""

RESERVED = frozenset(
    {
        "cells",
        "check",
        "functional",
        "last_valid",
        "load",
        "nn",
        "np",
        "pad_same",
        "pad_same_lower",
        "path",
        "model",
        "same_amounts",
        "self",
        "spread_repeated",
        "spread_zeros",
        "tensor",
        "torch",
        "valid_first",
    }
)
"""Names that the text uses for itself."""


_PIECE = 80
"""The longest string literal; a longer text is several, side by side."""


def quoted(text: str) -> str:
    """A string literal, in double quotes where that takes no escape; several in a row where it is long."""
    pieces = [text[k : k + _PIECE] for k in range(0, len(text), _PIECE)] or [""]
    return " ".join(map(_literal, pieces))


def _literal(text: str) -> str:
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal and "\\'" not in literal else literal


def number(value: float) -> str:
    """A number as a literal; what has none is made of its name."""
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def numbers(values: Collection[int]) -> str:
    """Several numbers as a tuple, one alone as it is."""
    listed = tuple(values)
    return repr(listed) if len(listed) != 1 else repr(listed[0])


def is_plain(name: str) -> bool:
    """Whether a module of this name can be written as an attribute: `self.name`."""
    words = name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and len(name) <= _PIECE
    return words and not name.startswith("_") and name not in _MODULE_NAMES


def is_taken(name: str) -> bool:
    """Whether every module has an attribute of this name, or may have."""
    return name in _MODULE_NAMES or name.startswith("_")


def identifier(text: str, taken: Collection[str], otherwise: str = "value") -> str:
    """A variable's name made of what a file calls something, unlike those that are taken."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    word = re.sub(r"\W+|_+", "_", plain).strip("_").lower()[:_LONGEST].strip("_")
    if not word or not word[0].isalpha():
        word = f"{otherwise}_{word}".strip("_")
    name, count = word, 1
    while name in taken or name in RESERVED or keyword.iskeyword(name) or hasattr(builtins, name):
        count += 1
        name = f"{word}_{count}"
    return name


def class_name(text: str, taken: Collection[str]) -> str:
    """The name of a class made of what a file calls a layer."""
    return identifier(text, {name.lower() for name in taken}, "layer").title().replace("_", "")


def comment(text: str, longest: int = 2 * _LONGEST) -> str:
    """What a file says, within a comment or a docstring: one line of plain characters that closes nothing."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '\\"' else "?" for c in text)[:longest]
