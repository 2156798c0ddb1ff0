"""How PyTorch's files are told apart, from the names of an archive's members and the first bytes alone."""

from __future__ import annotations

from pathlib import Path

from converters.readers.opened import Opened

PICKLE = "data.pkl"
LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
"""A pickle of protocol 2 that holds PyTorch's magic number."""
PROGRAMS = ("models/model.json", "serialized_exported_program.json")
"""What tells an exported program, since PyTorch 2.8 and before."""


WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What the files of a model on Hugging Face's hub are called, in the order in which its library looks for them."""


def stem_of(opened: Opened, ending: str = PICKLE) -> str | None:
    """The folder of an archive in which this member stands, with its slash; None where there is none, or several."""
    found = [name.removesuffix(ending) for name in opened.members if name.endswith(f"/{ending}")]
    return found[0] if len(found) == 1 and found[0].count("/") == 1 else None


def is_zip(opened: Opened) -> bool:
    """An archive of `torch.save`, which holds no code."""
    stem = stem_of(opened)
    return stem is not None and f"{stem}constants.pkl" not in opened.members


def is_script(opened: Opened) -> bool:
    """TorchScript: the same, with code."""
    stem = stem_of(opened)
    return stem is not None and f"{stem}constants.pkl" in opened.members


def is_program(opened: Opened) -> bool:
    """An archive of `torch.export.save`."""
    return any(name == end or name.endswith(f"/{end}") for name in opened.members for end in PROGRAMS)


def is_legacy(opened: Opened) -> bool:
    """The pickles of PyTorch before 1.6."""
    return opened.head.startswith(LEGACY)


def is_pickle(opened: Opened) -> bool:
    """A pickle of protocol 2 or later."""
    return opened.head[:1] == b"\x80" and opened.head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def is_hub(folder: Path) -> bool:
    """A folder as Hugging Face's hub has models."""
    return any((folder / name).is_file() for name in WEIGHTS)
