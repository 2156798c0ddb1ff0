"""URLs, and the file systems of fsspec behind them; whatever those raise becomes an error of ours."""

from __future__ import annotations

import os
import posixpath
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layouts.errors import ConversionError, MissingDependency, UnreadableCheckpoint, printable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")


def is_url(name: object) -> bool:
    """Whether this is a URL: the name of a file in this system has no scheme."""
    return isinstance(name, str) and _URL.match(name) is not None and not os.path.exists(name)


def local_path(url: str) -> str | None:
    """The path of a `file://` URL; None for any other."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme in ("file", "local") and "::" not in url else None


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it. Raises `MissingDependency` for a package that it needs."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingDependency(
            "a URL is read and written by fsspec, which is not installed: pip install 'gateport[remote]'", path=url
        ) from None
    try:
        with answering(url):
            found: tuple[Any, str] = url_to_fs(url)
            return found
    except ImportError as error:
        if isinstance(error, MissingDependency):
            raise
        raise MissingDependency(
            f"{printable(url)} needs another package: {printable(error)} (for http: pip install 'gateport[remote]')"
        ) from None


def beside(url: str, relative: str) -> str:
    """The URL of another file in the folder of one, or below it; what asks for this one goes with it (`?…`)."""
    head, mark, query = url.partition("?")
    return f"{posixpath.dirname(head)}/{relative}{mark}{query}"


def name_of(url: str) -> str:
    """The last part of a URL's path: the name of the file."""
    return posixpath.basename(url.partition("?")[0].partition("#")[0])


@contextmanager
def answering(url: str, kind: type[ConversionError] = UnreadableCheckpoint) -> Iterator[None]:
    """Turn what a file system or its network says into an error of ours about a URL."""
    clients = (("aiohttp", "ClientError"), ("asyncio", "TimeoutError"))  # there, where they can have raised anything
    of_network = tuple(getattr(sys.modules[name], kind) for name, kind in clients if name in sys.modules)
    try:
        yield
    except ConversionError:
        raise
    except FileNotFoundError:
        raise kind("there is no such file, or nothing answers there", path=url) from None
    except (OSError, ValueError, NotImplementedError, *of_network) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise kind(f"the place does not answer as it should: {printable(text)}", path=url) from None
