"""What a hand does: reads requests, a line each, converts, and answers with a line each.

Nothing else reaches the stream of answers: whatever a library prints goes where its errors go.
"""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from converters import api
from converters.fleet.outcome import DONE, FAILED, REFUSED, UNCHANGED
from converters.readers.alike import Alike
from converters.readers.remote.urls import answering, filesystem, is_url, local_path
from converters.readers.source import noting
from layouts.errors import ConversionError

_PIECE = 1 << 20
_GRACE = 60.0


def main() -> None:
    """Serve until there are no more requests. Ctrl-C is for the process that asks, which then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    gc.freeze()
    answers.write(b"{}\n")  # ready
    for line in sys.stdin.buffer:
        request = json.loads(line)
        with _ended_late(request["limit"]):
            answer = served(request)
        answers.write(json.dumps(answer).encode() + b"\n")


@contextmanager
def _ended_late(limit: float | None) -> Iterator[None]:
    """End this process long after its limit: it is ended by the one that asks, unless that has died before."""
    if limit is None:
        yield
        return
    faulthandler.dump_traceback_later(limit + _GRACE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def served(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an outcome but source and output."""
    begin = time.perf_counter()
    try:
        found = _unchanged(request) or _converted(request)
    except ConversionError as error:
        message = " ".join(str(error).split())
        found = {"outcome": REFUSED, "error": type(error).__name__, "message": message, "reason": _reason(error)}
    except (MemoryError, RecursionError) as error:
        found = {"outcome": FAILED, "message": f"out of memory: {type(error).__name__}"}
    return found | {"seconds": round(time.perf_counter() - begin, 6)}


def _converted(request: Mapping[str, Any]) -> dict[str, Any]:
    output: str = request["output"]
    _make_folder(output)
    with noting() as opened:
        report = api.convert_file(_source(request), output, synced=False, **request["options"])
    size, digest = digested(output)
    return {
        "outcome": DONE,
        "bytes": size,
        "sha256": digest,
        "read": digests(opened),
        "warnings": list(report.warnings),
    }


_ALIKE = Alike()


def _source(request: Mapping[str, Any]) -> Any:
    """The source as `convert_file` takes it: read already, but for a proof, which reads it once more."""
    path, options = request["source"], request["options"]
    if options["verify"] or is_url(request["output"]):
        return path
    return _ALIKE.read(path, options["framework"], options["assume"])


def _make_folder(output: str) -> None:
    """The folder of an output in this system; the places behind URLs get theirs when something comes."""
    path = local_path(output) if is_url(output) else output
    if path is None:
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConversionError(f"cannot make its folder: {error.strerror}", path=output) from None


def _unchanged(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier run found, where every file that it read and the file that it wrote are the same to the byte."""
    earlier = request["earlier"]
    if not earlier or digests([request["output"]]) != {request["output"]: earlier["sha256"]}:
        return None
    if not earlier["read"] or digests(earlier["read"]) != earlier["read"]:
        return None
    return {key: earlier[key] for key in ("bytes", "sha256", "read")} | {"outcome": UNCHANGED}


def digests(paths: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each of these files that can be read."""
    found = {}
    for path in dict.fromkeys(paths):
        try:
            found[path] = digested(path)[1]
        except OSError:  # `UnreadableCheckpoint` is one too
            continue
    return found


def digested(path: str) -> tuple[int, str]:
    """The size of a file, or of what a URL names, and its SHA-256 in hexadecimal digits."""
    found, size = hashlib.sha256(), 0
    with _opened(path) as file:
        while piece := file.read(_PIECE):
            found.update(piece)
            size += len(piece)
    return size, found.hexdigest()


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if not is_url(path):
        with open(path, "rb", buffering=0) as file:
            yield file
        return
    system, place = filesystem(path)
    with answering(path), system.open(place, "rb") as file:
        yield file


def _reason(error: ConversionError) -> str:
    """The first sentence of an error, without the file and the layer that it leads with."""
    text = " ".join(str(error).split())
    for name in (error.path, error.layer):
        text = text.removeprefix(f"{name}: ") if name else text
    return text.split(". ")[0]
