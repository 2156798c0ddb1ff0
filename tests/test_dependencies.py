"""What the code imports is what an installation brings; only what an extra brings may be missing."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"layouts", "converters", "gateport"}
BROUGHT_BY = {"google": "onnx"}
"""Packages that come with a dependency of another name."""


def required(lines: list[str]) -> set[str]:
    """The import names of requirements: their distributions', with underscores."""
    return {re.match(r"[\w-]+", line).group().replace("-", "_") for line in lines}


DEPENDENCIES = required(PROJECT["dependencies"])
EXTRAS = {
    name
    for extra, lines in PROJECT["optional-dependencies"].items()
    if extra not in ("test", "dev")
    for name in required(lines)
}


def foreign(tree: ast.AST, guarded: bool = False) -> Iterator[tuple[str, bool]]:
    """Every package of others that is imported, and whether a handler of ImportError stands around it."""
    for node in ast.iter_child_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            package = name.partition(".")[0]
            if package not in sys.stdlib_module_names | OURS:
                yield BROUGHT_BY.get(package, package), guarded
        yield from foreign(node, guarded or (isinstance(node, ast.Try) and _takes_its_absence(node)))


def _takes_its_absence(node: ast.Try) -> bool:
    named = {name.id for handler in node.handlers if handler.type for name in ast.walk(handler.type) if _is_name(name)}
    return bool(named & {"ImportError", "ModuleNotFoundError", "Exception"})


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def missing(path: Path) -> Iterator[str]:
    for package, guarded in foreign(ast.parse(path.read_text(encoding="utf-8"))):
        if package not in DEPENDENCIES and not (guarded and package in EXTRAS):
            yield f"{path.name}: {package}"


def test_every_import_is_a_dependency_or_an_extra_that_may_be_missing() -> None:
    files = [path for package in sorted(OURS) for path in sorted((ROOT / package).rglob("*.py"))]
    assert [line for path in files for line in missing(path)] == []


def test_an_import_of_what_is_not_installed_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import scipy\nimport numpy\ntry:\n    import zstandard\nexcept ImportError: ...\n")
    (tmp_path / "b.py").write_text("def f():\n    import zstandard\n    try:\n        import scipy\n    finally: ...\n")
    assert [*missing(tmp_path / "a.py"), *missing(tmp_path / "b.py")] == [
        "a.py: scipy",
        "b.py: zstandard",
        "b.py: scipy",
    ]
