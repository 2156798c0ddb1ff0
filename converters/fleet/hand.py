"""A hand: a process that converts one file after the other, and that may die or hang without taking anything along.

Whoever runs a task, a thread of this process or a worker on another machine, borrows a hand of its own process for
it. What is imported once in a hand serves all the files that it converts. A file that ends the process (no memory, a
fault in a library) or that takes too long costs that process, and the next file gets a new one.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from converters.fleet.outcome import FAILED, KILLED, TIMEOUT
from layouts.errors import printable

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from converters.fleet.work import main
main()
"""
"""The process sees the modules that this one sees, and none of the folder in which it happens to stand."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""There is a hand for every core."""
_START_UP = 300.0
"""Seconds that a process has to import what it needs."""
_PATIENCE = 10.0
"""Seconds that a process that was killed has to end."""
_TAIL = 4096


class Lost(Exception):
    """The process ended or was ended; `outcome` and the message say how."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Hand:
    """One such process. `ask` gives it a file."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps([*map(str, sys.path)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_ONE_THREAD | os.environ,
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._begun = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers, suppress(ValueError):
            for answer in answers:
                self._answers.put(answer)
        self._answers.put(b"")

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], limit: float | None) -> dict[str, Any]:
        """The answer to a request. Raises `Lost` where the process ends before it gives one, or takes too long."""
        assert self._process.stdin is not None
        self._begin()
        with suppress(OSError):  # it is gone: so says the answer
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=limit)
        except queue.Empty:
            self.end()
            raise Lost(TIMEOUT, f"took longer than the limit of {limit:g} seconds, and was ended") from None
        if not answer.endswith(b"\n"):
            raise self._lost()
        found: dict[str, Any] = json.loads(answer)
        return found

    def _begin(self) -> None:
        """Wait until it has imported what it needs, which is not counted to the first file."""
        if self._begun:
            return
        try:
            ready = self._answers.get(timeout=_START_UP)
        except queue.Empty:
            self.end()
            raise Lost(FAILED, f"the process that converts was not ready after {_START_UP:g} seconds") from None
        if not ready:
            raise self._lost()
        self._begun = True

    def _lost(self) -> Lost:
        """How the process ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        code = self._process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
            memory = ": the system does so when memory runs out" if -code == getattr(signal, "SIGKILL", 0) else ""
            return Lost(KILLED, f"the process that converted it was ended by {name}{memory}")
        return Lost(FAILED, f"the process that converted it ended with exit code {code}: {self._last_words()}")

    def _last_words(self) -> str:
        """The last line that it wrote on stderr."""
        self._errors.seek(max(0, os.fstat(self._errors.fileno()).st_size - _TAIL))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return printable(next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing"))

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()


class Crew:
    """The hands of this process: those that have nothing to do, and all."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._lock, self._idle, self._all = threading.Lock(), list[Hand](), set[Hand]()
        self._runs, self._dismissed = 0, False

    @contextmanager
    def working(self) -> Iterator[None]:
        """A run for which this process answers: when the last one ends, however it does, so do all hands."""
        with self._lock:
            self._runs, self._dismissed = self._runs + 1, False
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                self._dismissed = not self._runs
            if self._dismissed:
                self._dismiss()

    @contextmanager
    def borrowed(self) -> Iterator[Hand]:
        """A hand that lives, for as long as this takes; one that has died or was given up is not taken back."""
        with self._lock:
            if self._dismissed:
                raise Lost(FAILED, "the run was ended before this file's turn")
            hand = self._idle.pop() if self._idle else None
        if hand is None or not hand.lives:
            hand = self._new(hand)
        try:
            yield hand
        except BaseException:
            hand.end()
            with self._lock:
                self._all.discard(hand)
            raise
        with self._lock:
            self._idle.append(hand)

    def _new(self, dead: Hand | None) -> Hand:
        hand = Hand()
        with self._lock:
            self._all.add(hand)
            if dead is not None:
                self._all.discard(dead)
        return hand

    def _dismiss(self) -> None:
        """End all hands: those at work too."""
        with self._lock:
            hands = list(self._all)
            self._idle.clear()
            self._all.clear()
        for hand in hands:
            hand.end()

    def forked(self) -> None:
        """In a copy of the process: the hands belong to the original."""
        self._forget()


CREW = Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CREW.forked)
