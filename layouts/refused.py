"""Layers of a framework that no cell here computes, by the names of their arrays: refused by name, and not unknown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """One class, the arrays it may store, and what it computes that nothing here does."""

    class_name: str
    arrays: tuple[str, ...]
    why: str
