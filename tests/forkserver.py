"""A clean process that forks a child for every job, so that each is measured alone and may hang, crash or grow.

A started interpreter with the library imported is forked in milliseconds; a new one takes a fifth of a second. The
child runs under limits of time that kill it even inside C code, and `wait4` tells its own time and memory. Jobs and
results are JSON, one a line. `ForkServer` is the side of the tests; the file run as a program is the other.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

SECONDS = 10
"""Of processor time, which is the same however many tests run beside."""
LONGEST_WAIT = 60
"""Seconds after which a child that waits for something is ended."""
MEGABYTES = 500
_DATA_LIMIT = 2 << 30


@dataclass(frozen=True)
class Outcome:
    """What a child did: exit code (negative: a signal), texts, processor seconds, peak megabytes, result."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float
    result: Any = None


class ForkServer:
    """Start it once; every call of `run` is one forked child.

    modules: what to import in the place of this library, of which the process then knows nothing.
    """

    def __init__(self, *modules: str) -> None:
        here = Path(__file__).resolve()
        folders = [] if modules else [str(here.parent.parent), str(here.parent), os.environ.get("PYTHONPATH", "")]
        alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **alone, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
        command = [sys.executable, str(here), *modules]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, job: str, *arguments: Any, limits: Mapping[str, int] | None = None) -> Outcome:
        """Run a job of `JOBS` with arguments that JSON can say; `limits`: dotted name of a limit -> its divisor."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([job, arguments, limits or {}]) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the server."""
        self._process.communicate()


def command(*arguments: str) -> None:
    """The command `gateport`, as a shell runs it."""
    from converters.cli import main

    main(list(arguments))


def command_on_a_small_disk(limit: int, *arguments: str) -> None:
    """The command, where no file may grow beyond `limit` bytes."""
    sys.dont_write_bytecode = True  # or what is imported here would be kept cut off
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    command(*arguments)


def public_api(source: str, output: str) -> dict[str, Any]:
    """`read`, `plan` and `convert_file`; the one error it raises, if it is one of ours."""
    import converters

    try:
        checkpoint = converters.read(source)
        str(converters.plan(checkpoint))
        converters.convert_file(checkpoint, output)
    except converters.ConversionError as error:
        return {"kind": type(error).__name__, "line": " ".join(str(error).split()), "path": error.path}
    return {"kind": None, "code": list(checkpoint.custom_layers), "layers": [layer.path for layer in checkpoint.layers]}


def files_written(source: str, output: str) -> list[str]:
    """Every path that a conversion opens in a way that could change it."""
    import converters

    written: list[str] = []
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & changing:
            written.append(os.path.abspath(os.fspath(arguments[0])) if not isinstance(arguments[0], int) else "")

    sys.addaudithook(watch)
    converters.convert_file(source, output)
    return list(filter(None, written))


def command_with_a_fault(step: str, fault: str, *arguments: str) -> None:
    """The command, in which the function named by `step` finds the disk full, or is where the process is killed."""
    owner, _, name = step.rpartition(".")

    def broken(*_: Any, **__: Any) -> None:
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    setattr(pkgutil.resolve_name(owner), name, broken)
    command(*arguments)


def greedy(megabytes: int) -> int:
    """Take so much memory, as no conversion may."""
    return len(bytes(megabytes << 20).replace(b"\0", b"\1"))


def mutants(source: str, folder: str, seeds: list[int], places: list[list[int]] | None) -> list[dict[str, Any]]:
    """Damage a file anew with each seed and convert it; what was raised, and whether the plan was kept."""
    import fuzzing

    return [fuzzing.outcome(Path(source), Path(folder), seed, places) for seed in seeds]


def script(path: str, folder: str) -> None:
    """Run a file in a folder, as `python file` does."""
    os.chdir(folder)
    sys.argv[:] = [path]
    sys.path[0] = os.path.dirname(path)
    runpy.run_path(path, run_name="__main__")


def imported(module: str, folder: str) -> list[str]:
    """Import a module from a folder and call its `load`; the modules of this library that are there then."""
    sys.path[0] = folder
    importlib.import_module(module).load()
    return [name for name in sys.modules if name.split(".")[0] in ("converters", "layouts", "gateport")]


_ALL = (command, command_on_a_small_disk, command_with_a_fault, public_api, files_written, greedy, mutants)
JOBS: dict[str, Callable[..., Any]] = {job.__name__: job for job in (*_ALL, script, imported)}


def divide(limits: Mapping[str, int]) -> None:
    """Make limits of the library smaller: constants of its modules, which it reads when it needs them."""
    for limit, divisor in limits.items():
        owner, _, name = limit.rpartition(".")
        module = pkgutil.resolve_name(owner)
        setattr(module, name, getattr(module, name) // divisor)


def _child(job: str, arguments: list[Any], limits: Mapping[str, int], files: list[Any]) -> None:
    """Never returns."""
    for number, file in enumerate(files[:2], 1):
        os.dup2(file.fileno(), number)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_WAIT)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (_DATA_LIMIT, _DATA_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = 0
    try:
        divide(limits)
        json.dump(JOBS[job](*arguments), files[2])
        files[2].flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _outcome(job: str, arguments: list[Any], limits: Mapping[str, int]) -> Outcome:
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryFile("w+") as result,
    ):
        child = os.fork()
        if not child:
            _child(job, arguments, limits, [out, err, result])
        _, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime
        for file in (out, err, result):
            file.seek(0)
        told = result.read()
        code = os.waitstatus_to_exitcode(status)
        found = json.loads(told) if told and not code else None
        return Outcome(code, out.read(), err.read(), seconds, used.ru_maxrss / 1024, found)


WARMING = ("keras3/lstm/model.keras", "keras2/stacked_cells/model.h5", "keras3/sharded/model.weights.json")
WARMING_ONNX = ("onnx_torch/lstm/model.onnx", "onnx_keras/masked_lstm/model.onnx", "onnx_dynamo/lstm_cell/model.onnx")
"""Sound fixtures of every container: to convert them once imports all that a child would import late."""


def _serve(modules: list[str]) -> None:
    if modules:
        for name in modules:
            importlib.import_module(name)
    else:
        _warm()
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy all of this
    for line in sys.stdin:
        print(json.dumps(vars(_outcome(*json.loads(line)))), flush=True)


def _warm() -> None:
    fixtures = Path(__file__).resolve().parents[1] / "fixtures"
    with tempfile.TemporaryDirectory() as folder:
        for name in (*WARMING, *WARMING_ONNX):
            public_api(str(fixtures / name), f"{folder}/model.safetensors")
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), suppress(SystemExit):
            command("convert", str(fixtures / "nowhere.h5"), f"{folder}/model.safetensors")


if __name__ == "__main__":
    _serve(sys.argv[1:])
