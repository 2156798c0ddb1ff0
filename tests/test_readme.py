"""Every block of the README runs, and prints what the README shows; `python tests/test_readme.py` renews what it shows.

They run on the files that `make demo` leaves. Two blocks of `make` commands are checked against the Makefile.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block, and for Python the text block under it that shows what it prints."""

    kind: str
    code: str
    shown: str


def blocks() -> list[Block]:
    found = (Block(kind, code, shown or "") for kind, code, shown in BLOCK.findall(README.read_text("utf-8")))
    return [block for block in found if block.kind != "text"]


def prepare(folder: Path) -> None:
    """Put the files that `make demo` leaves into a folder."""
    files = runpy.run_path(str(ROOT / "examples" / "demo.py"))["FILES"]
    for name, source in files.items():
        shutil.copy(ROOT / "fixtures" / source, folder / name)


def commands(code: str) -> list[tuple[str, str]]:
    """Each command line of a console block with the output shown below it."""
    parts = re.split(r"^\$ (.*)\n", code, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def run_command(line: str, folder: Path) -> str:
    """What a command prints, on both streams, without the blanks at the ends of lines."""
    name, *arguments = shlex.split(line)
    assert name == "gateport", f"{line}: only gateport is run"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", "converters.cli", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return tidy(done.stdout)


def run_python(code: str, namespace: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "README.md", "exec"), namespace)
    return tidy(printed.getvalue())


def tidy(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.rstrip().splitlines())


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_console_blocks(tmp_path: Path) -> None:
    prepare(tmp_path)
    console = [pair for block in blocks() if block.kind == "console" for pair in commands(block.code)]
    assert console
    for line, shown in console:
        assert run_command(line, tmp_path) == shown, f"{line}: run `python {Path(__file__).name}` to renew the README"


def test_python_blocks(tmp_path: Path) -> None:
    """They run one after the other, as a reader types them; the port gives the outputs that Keras recorded."""
    torch, np = pytest.importorskip("torch"), pytest.importorskip("numpy")
    prepare(tmp_path)
    namespace: dict[str, Any] = {}
    with inside(tmp_path):
        for block in blocks():
            if block.kind == "python":
                assert run_python(block.code, namespace) == block.shown
    recorded = np.load(ROOT / "fixtures/keras2/lstm_sigmoid/io.npz")
    with torch.no_grad():
        output = namespace["model"](torch.from_numpy(recorded["model/in/0"])).numpy()
    assert np.abs(output - recorded["model/out/0"]).max() < 1e-6


def test_every_block_is_run() -> None:
    assert {block.kind for block in blocks()} == {"console", "python"}


def test_make_targets_and_links_exist() -> None:
    text, makefile = README.read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make (demo|test|check|bench)\b", text):
        assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link
    for path in re.findall(r"`(?:python )?((?:benchmarks|converters|layouts|fixtures|tests)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def test_versions_named_are_those_of_the_fixtures() -> None:
    text = README.read_text("utf-8")
    versions = re.findall(r'"framework_version": "([\d.]+)"', "".join(p.read_text() for p in _cases()))
    assert versions
    for version in set(versions):
        assert version in text or version.removesuffix(".0") in text, version


def _cases() -> list[Path]:
    return sorted((ROOT / "fixtures").glob("*/*/case.json"))


def test_the_table_is_that_of_the_benchmark() -> None:
    shown = README.read_text("utf-8").split("<!-- benchmark -->\n")[1].split("<!-- /benchmark -->")[0]
    assert shown == _table()


def _table() -> str:
    results = (ROOT / "benchmarks/results.md").read_text("utf-8")
    return "".join(f"{line}\n" for line in results.splitlines() if line.startswith("|"))


def renew() -> None:
    """Write what the blocks print, and the table of the benchmark, into the README."""
    with tempfile.TemporaryDirectory() as name:
        folder, namespace = Path(name), dict[str, Any]()
        prepare(folder)

        def renewed(match: re.Match[str]) -> str:
            kind, code = match[1], match[2]
            if kind == "console":
                code = "".join(f"$ {line}\n{run_command(line, folder)}" for line, _ in commands(code))
                return f"```console\n{code}```\n"
            if kind != "python":
                return match[0]
            with inside(folder):
                printed = run_python(code, namespace)
            return f"```python\n{code}```\n" + (f"\n```text\n{printed}```\n" if printed else "")

        text = BLOCK.sub(renewed, README.read_text("utf-8"))
    start, stop = text.index("<!-- benchmark -->\n") + len("<!-- benchmark -->\n"), text.index("<!-- /benchmark -->")
    README.write_text(text[:start] + _table() + text[stop:], encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    renew()
