"""A headless browser for tests, over its debugging pipe: no package of Python's is needed, only the browser itself."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
    "--hide-scrollbars",
)

CONNECT = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in enumerate(ends, start=3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""A browser listens on descriptor 3 and answers on 4: puts the two there and becomes the browser."""


def installed() -> str | None:
    """The path of a browser that speaks this protocol; None where there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Page:
    """One tab: what it asked the network for, what it complained of, and what its document says."""

    def __init__(self, sending: int, receiving: int) -> None:
        self._sending, self._receiving = os.fdopen(sending, "wb", buffering=0), os.fdopen(receiving, "rb")
        self._number, self._session = 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile is noted."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._sending.write(json.dumps({"id": self._number, "method": method, "params": parameters} | session).encode())
        self._sending.write(b"\0")
        return self._until(lambda message: message.get("id") == self._number)

    def _until(self, wanted: Any) -> dict[str, Any]:
        while True:
            message = self._next()
            if wanted(message):
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message.get("result", {})
                return result

    def _next(self) -> dict[str, Any]:
        data = bytearray()
        while not data.endswith(b"\0"):
            byte = self._receiving.read(1)
            assert byte, "the browser is gone"
            data += byte
        message: dict[str, Any] = json.loads(data[:-1])
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(told))

    def open(self, path: Path, width: int = 1100, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Show a file and wait until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.requests, self.complaints = [], []
        self.call("Page.navigate", url=path.as_uri())
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression within the page; the page itself holds no script."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path, top: float = 0, width: float = 1100, height: float = 900) -> None:
        """A PNG of a part of the page."""
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A tab of a browser that has a profile of its own in this folder, and is ended afterwards."""
    here, sending = os.pipe()
    receiving, there = os.pipe()
    arguments = [str(installed()), *FLAGS, f"--user-data-dir={folder}"]
    connected = [sys.executable, "-c", CONNECT, str(here), str(there), *arguments]
    with subprocess.Popen(connected, pass_fds=(here, there), stderr=subprocess.DEVNULL) as process:
        os.close(here)
        os.close(there)
        try:
            yield Page(sending, receiving)
        finally:
            process.terminate()
            process.wait(30)
