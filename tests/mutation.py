"""A mutation round: damage one place of the library at a time, run the tests that should notice, list what survives.

    python tests/mutation.py layouts/frameworks [converters/show …] [--count 200] [--seed 0] [--jobs 2] [--tests FILE …]

Works on copies of the repository. Everything outside it is imported once; each mutant is a forked child that runs
pytest until the first failure, tests whose names speak of the damaged file first. A child that takes too long counts as
noticed. Exit code 1 when a mutant survives. A survivor is a test that is missing, or a change that means the same.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ("numpy", "torch", "torch.nn.utils.rnn", "onnx", "onnx.reference", "onnxruntime", "h5py", "hypothesis")
TESTS = {
    "layouts": (
        "test_defaults.py test_reference.py test_onnx_other.py test_equations.py test_sensitivity.py "
        "test_equivalence.py test_layout_contract.py test_onnx_semantics.py test_repack.py test_export.py"
    ),
    "converters": (
        "test_equivalence.py test_planning.py test_advice.py test_api.py test_cli.py test_assume.py test_files.py "
        "test_onnx_equivalence.py test_onnx_advice.py test_onnx_rules.py test_export.py test_gates.py test_load_into.py"
    ),
}
"""By the package that is damaged, the files that should notice, the quickest first; those that are there."""
COPIED, LINKED = ("layouts", "converters", "gateport", "tests"), ("fixtures", "docs", "examples", "benchmarks")


class Mutant(NamedTuple):
    """One damaged file: where it is, what stood there and what stands there now, and the whole text."""

    file: str
    line: int
    before: str
    after: str
    text: str


Edit = tuple[ast.AST, str]
"""A node, and the source in its place."""

_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.In: "not in",
    ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.FloorDiv: "*"}


def texts(value: str) -> Iterator[str]:
    """A damaged layout pattern: axes, gates or slots exchanged, an axis reversed. Any other text: gates, a letter."""
    left, arrow, right = value.partition("->")
    words = re.findall(r"\([^)]*\)|\S+", left)
    if arrow:
        for k in (k for k in range(len(words) - 1) if words[k] != words[k + 1]):
            yield f"{' '.join([*words[:k], words[k + 1], words[k], *words[k + 2 :]])} -> {right.strip()}"
        for one in re.finditer(r"\w+ \+ \w+|\w+ gate|gate \w+", value):
            first, plus, last = re.split(r"( \+ | )", one.group())
            yield value[: one.start()] + last + plus + first + value[one.end() :]
        if not left.startswith("~"):
            yield f"~{value}"
    for one in re.finditer(r"(?<=gate:)\w\w+" if arrow else r"^[a-z]{2,4}$", value):
        gates = one.group()
        yield value[: one.start()] + gates[1] + gates[0] + gates[2:] + value[one.end() :]
    if not arrow and value:
        yield f"{value}_"


def edits(node: ast.AST, said: Callable[[ast.AST], str]) -> Iterator[Edit]:
    """Every way to damage one node, whose source `said` tells."""
    match node:
        case ast.Constant(value=bool() | None as value):
            yield node, {True: "False", False: "True", None: "0"}[value]
        case ast.Constant(value=int() | float() as value):
            yield node, repr(value + 1)
        case ast.Constant(value=str() as value) if said(node)[:1] in "\"'":
            yield from ((node, repr(other)) for other in texts(value))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield node, f"({said(left)} {_COMPARED[type(op)]} {said(right)})"
        case ast.BoolOp(op=op, values=values):
            yield node, f"({(' and ' if isinstance(op, ast.Or) else ' or ').join(map(said, values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({said(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTED:
            yield node, f"({said(left)} {_COMPUTED[type(op)]} {said(right)})"
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield test, f"(not ({said(test)}))"
        case ast.Call(args=[first, second, *_]) if not isinstance(first, ast.Starred) | isinstance(second, ast.Starred):
            both = ast.Constant(None)
            both.lineno, both.col_offset = first.lineno, first.col_offset
            both.end_lineno, both.end_col_offset = second.end_lineno, second.end_col_offset
            yield both, f"{said(second)}, {said(first)}"
        case ast.Dict(keys=[_, *_] as keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if key is not None:
                    whole = ast.Constant(None)
                    whole.lineno, whole.col_offset = key.lineno, key.col_offset
                    whole.end_lineno, whole.end_col_offset = value.end_lineno, value.end_col_offset
                    yield whole, "**{}"
        case ast.Return(value=ast.expr() as value):
            yield value, "None"
        case ast.Raise() | ast.Delete() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Expr(value=ast.Call()):
            yield node, "pass"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every damage of one file; not of docstrings, annotations, imports and messages with values."""
    source = path.read_text(encoding="utf-8")
    raw, starts = source.encode(), [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(part: Any) -> tuple[int, int]:
        return starts[part.lineno - 1] + part.col_offset, starts[part.end_lineno - 1] + part.end_col_offset

    def said(part: ast.AST) -> str:
        return raw[slice(*span(part))].decode()

    for node in _walk(ast.parse(source)):
        for place, after in edits(node, said):
            begin, end = span(place)
            before, text = said(place), (raw[:begin] + after.encode() + raw[end:]).decode()
            if text != source:
                yield Mutant(str(path.relative_to(ROOT)), place.lineno, " ".join(before.split()), after, text)  # type: ignore[attr-defined]


def parses(mutant: Mutant) -> bool:
    """Whether Python takes the damaged file."""
    try:
        compile(mutant.text, mutant.file, "exec")
    except SyntaxError:
        return False
    return True


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        documented = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        annotation = child in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if not (documented or annotation or isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr)):
            yield child
            yield from _walk(child)


class First:
    """A plugin of pytest: tests that name the damaged file's framework or room stand first."""

    def __init__(self, word: str) -> None:
        self.word = word

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self.word not in item.nodeid)


def run(folder: Path, tests: Sequence[str], word: str, seconds: float) -> str:
    """How the tests end in a forked child: "passed", "failed" or "too long"."""
    child = os.fork()
    if not child:
        _child(folder, tests, word)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "failed" if status else "passed"
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too long"


def _child(folder: Path, tests: Sequence[str], word: str) -> None:
    """Never returns."""
    code = 70
    try:
        os.chdir(folder)
        silent = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(silent, 1), os.dup2(silent, 2)
        os.environ["PYTHONPATH"] = str(folder)
        here = str(ROOT / "tests")
        sys.path[:] = [str(folder), str(folder / "tests"), *(path for path in sys.path if path not in ("", here))]
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--tb=short"]
        runs = (int(pytest.main([*options, f"tests/{name}"], plugins=[First(word)])) for name in tests)
        code = next(filter(None, runs), 0)  # file by file: most mutants die before the later ones are collected
    finally:
        os._exit(code)


def copied(folder: Path) -> Path:
    """A copy of the repository whose code may be damaged."""
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for path in ROOT.iterdir():
        if path.is_file() and path.name != "conftest.py":
            shutil.copy(path, folder / path.name)
    return folder


def survives(mutant: Mutant, folder: Path, tests: Sequence[str], seconds: float) -> str:
    """How the tests end with a mutant in the place of its file; the file is as before when this returns."""
    place = folder / mutant.file
    sound = place.read_bytes()
    cached = Path(importlib.util.cache_from_source(str(place)))
    try:
        place.write_text(mutant.text, encoding="utf-8")
        cached.unlink(missing_ok=True)
        return run(folder, tests, place.stem, seconds)
    finally:
        place.write_bytes(sound)
        cached.unlink(missing_ok=True)


def say(line: str) -> None:
    """At once, for a round takes minutes."""
    print(line, flush=True)


def main(arguments: argparse.Namespace) -> int:
    """One round."""
    files = [path for given in arguments.paths for path in _files(ROOT / given)]
    every = [mutant for file in files for mutant in mutants(file)]
    random.Random(arguments.seed).shuffle(every)
    chosen = list(islice(filter(parses, every), arguments.count))
    package = arguments.paths[0].split("/")[0]
    tests = arguments.tests or [name for name in TESTS[package].split() if (ROOT / "tests" / name).exists()]
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as place:
        folders: Queue[Path] = Queue()
        for job in range(arguments.jobs):
            folders.put(copied(Path(place) / str(job)))
        first = folders.get()
        began = time.monotonic()
        if run(first, tests, "", 3600) != "passed":
            raise SystemExit((first / "output.txt").read_text() + "the tests fail before anything is damaged")
        folders.put(first)
        seconds = 60 + 3 * (time.monotonic() - began)
        say(f"{len(chosen)} of {len(every)} mutants of {len(files)} files; the tests take {seconds / 3 - 20:.0f} s")

        def judged(mutant: Mutant) -> tuple[Mutant, str]:
            folder = folders.get()
            try:
                return mutant, survives(mutant, folder, tests, seconds)
            finally:
                folders.put(folder)

        left = 0
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for number, (mutant, end) in enumerate(pool.map(judged, chosen), 1):
                if number % 20 == 0:
                    say(f"{number} tried, {left} survived")
                if end == "passed":
                    left += 1
                    say(f"survived  {mutant.file}:{mutant.line}: {mutant.before}  ->  {mutant.after}")
        say(f"{len(chosen)} mutants, {left} survived")
    return int(left > 0)


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tests", nargs="*", help="names of files in tests/, the quickest first")
    raise SystemExit(main(parser.parse_args()))
