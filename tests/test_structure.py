"""The house: no import leads in a circle, late ones and those of types included, and every arrow points down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("layouts", "converters", "gateport")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
ROOMS = (
    ("layouts",),
    ("converters.show", "converters.version"),
    ("converters.model",),
    ("converters.readers", "converters.targets"),
    ("converters.planning",),
    ("converters.writers",),
    ("converters.verification",),
    ("converters.torch",),
    ("converters.destination",),
    ("converters.nn", "converters.api", "converters.formats"),
    ("converters.fleet",),
    ("converters",),
    ("converters.cli",),
    ("converters.command",),
    ("gateport",),
)
"""Rooms from the ground up: each may import from those below it, and from itself."""


def imported(name: str, path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            assert node.level == 0, f"{name}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


IMPORTS = {name: frozenset(imported(name, path)) - {name} for name, path in FILES.items()}


def circle(imports: dict[str, frozenset[str]]) -> list[str]:
    """The modules of one circle of imports; nothing where there is none."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return trail[trail.index(name) :]
        if name not in done:
            for other in sorted(imports.get(name, ())):
                found = visit(other, [*trail, name])
                if found:
                    return found
            done.add(name)
        return []

    return next((found for name in imports if (found := visit(name, []))), [])


def test_no_import_leads_in_a_circle() -> None:
    assert circle(IMPORTS) == []


def test_a_circle_would_be_seen() -> None:
    assert circle({"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"})}) == ["b", "c"]


def floor(name: str) -> int:
    """The number of a module's room, counted from the ground; the longest name that fits tells it."""
    fitting = [(len(room), number) for number, rooms in enumerate(ROOMS) for room in rooms if _within(name, room)]
    return max(fitting)[1]


def _within(name: str, room: str) -> bool:
    return name == room or (name.startswith(f"{room}.") and room != "converters")


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_arrow_points_down(name: str) -> None:
    upwards = [other for other in IMPORTS[name] if floor(other) > floor(name)]
    assert upwards == []
    beside = [other for other in IMPORTS[name] if floor(other) == floor(name) and room_of(other) != room_of(name)]
    assert beside == []


def room_of(name: str) -> str:
    return max((room for rooms in ROOMS for room in rooms if _within(name, room)), key=len)


WORDS = {
    "converters/model": ("keras", "pytorch", "torch.", "onnx"),
    "converters/planning": ("keras", "torch.nn", "nn.lstm", "onnx"),
    "converters/show": ("keras", "pytorch", "torch", "onnx"),
}
"""Rooms in which no framework is known, and the words that would say otherwise."""


@pytest.mark.parametrize("room", WORDS)
def test_a_neutral_room_names_no_framework_in_its_code(room: str) -> None:
    for path in sorted((ROOT / room).glob("*.py")):
        constants = (node for node in ast.walk(_without_docstrings(path)) if isinstance(node, ast.Constant))
        texts = [node.value for node in constants if isinstance(node.value, str)]
        found = [text for text in texts for word in WORDS[room] if word in text.lower()]
        assert found == [], path.name


def _without_docstrings(path: Path) -> ast.Module:
    """The tree of a file without strings that stand alone, which are for people."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ] or [ast.Pass()]
    return tree
