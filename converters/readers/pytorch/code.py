"""The constants that a class of TorchScript declares in its code: read as text, line by line, and nothing else of it.

A class `__torch__.torch.nn.modules.conv.Conv2d` stands in `code/__torch__/torch/nn/modules/conv.py`, and declares its
settings first: `  stride : Final[Tuple[int, int]] = (1, 2)`. Source: torch/csrc/jit/serialization/python_print.cpp.
"""

from __future__ import annotations

import re
from typing import Any

from converters.readers.opened import Opened

_MOST_CODE = 1 << 22
_FIELD = re.compile(r"  ([A-Za-z_]\w{0,63}) : Final\[.{1,80}\] = (.{1,80})")
_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d{0,20}(\.\d{0,40})?(e-?\d{1,3})?")


class Code:
    """The code of an archive."""

    def __init__(self, opened: Opened, stem: str) -> None:
        assert opened.archive is not None, opened.path
        self._archive, self._stem = opened.archive, stem
        self._texts: dict[str, list[str]] = {}

    def constants(self, class_name: str) -> dict[str, Any]:
        """What a class declares as constants; nothing where its code is not told."""
        module, _, name = class_name.rpartition(".")
        lines = self._lines(module)
        start = next((k + 1 for k, line in enumerate(lines) if line == f"class {name}(Module):"), len(lines))
        found: dict[str, Any] = {}
        for line in lines[start:]:
            if line.startswith(("class ", "  def ")):
                break
            field = _FIELD.fullmatch(line)
            value = _value(field[2]) if field else None
            if field and value is not None:
                found[field[1]] = value
        return found

    def _lines(self, module: str) -> list[str]:
        if module not in self._texts:
            data = self._archive.read(f"{self._stem}code/{module.replace('.', '/')}.py", _MOST_CODE)
            self._texts[module] = str(data.view, "utf-8", "replace").splitlines() if data else []
        return self._texts[module]


def _value(text: str) -> Any:
    """A truth, a number, a word or a tuple of whole numbers; None for anything else."""
    if text in ("True", "False"):
        return text == "True"
    if _WHOLE.fullmatch(text):
        return int(text)
    if text.startswith("(") and text.endswith(")"):
        parts = [part.strip() for part in text[1:-1].rstrip(", ").split(",")]
        return tuple(map(int, parts)) if all(map(_WHOLE.fullmatch, parts)) else None
    if text[:1] in "\"'" and text[-1:] == text[:1]:
        return text[1:-1]
    return float(text) if _NUMBER.fullmatch(text) and any(map(str.isdigit, text)) else None
