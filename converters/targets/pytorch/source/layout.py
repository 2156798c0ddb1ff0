"""Statements as lines of a file, none longer than 120 characters."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST = 120


def wrapped(text: str, remark: str, indent: int) -> Iterator[str]:
    """A statement and its comment; arguments get lines of their own where one line is too short."""
    space = " " * indent
    whole = f"{space}{text}"
    said = f"  # {remark}" if remark else ""
    if len(whole) + len(said) <= LONGEST:
        yield whole + said
    elif len(whole) <= LONGEST:
        if remark:
            yield from (f"{space}# {remark}",) if len(remark) + indent + 2 <= LONGEST else ()
        yield whole
    else:
        yield from _broken(text, indent)


def _broken(text: str, indent: int, behind: str = "") -> Iterator[str]:
    """A call with each argument on its line, a long string as several."""
    space, start = " " * indent, _call(text)
    if start is None:
        *rows, last = _literals(text)
        yield from (f"{space}{row}" for row in rows)
        yield f"{space}{last}{behind}"
        return
    end = _closing(text, start)
    yield f"{space}{text[: start + 1]}"
    for argument in _arguments(text[start + 1 : end]):
        if indent + 4 + len(argument) + 1 > LONGEST:
            yield from _broken(argument, indent + 4, ",")
        else:
            yield f"{' ' * (indent + 4)}{argument},"
    yield f"{space}{text[end:]}{behind}"


def _literals(text: str) -> list[str]:
    """String literals that stand side by side, one by one."""
    found, begin = [], 0
    for k, character in _outside_strings(text):
        if character == " " and k and text[k - 1] in "'\"" and text[k + 1 : k + 2] in ("'", '"'):
            found.append(text[begin:k])
            begin = k + 1
    return [*found, text[begin:]]


def _call(text: str) -> int | None:
    """Where the longest bracket opens that holds something; None where there is none."""
    best, found = 0, None
    for k, character in _outside_strings(text):
        if character in "([":
            length = _closing(text, k) - k
            if length > best + 1:
                best, found = length, k
            if found is not None:
                break
    return found


def _closing(text: str, start: int) -> int:
    depth = 0
    for k, character in _outside_strings(text, start):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return k
    return len(text) - 1


def _arguments(text: str) -> list[str]:
    """What stands between the commas of one level."""
    found, depth, begin = [], 0, 0
    for k, character in _outside_strings(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append(text[begin:k].strip())
            begin = k + 1
    return [*found, text[begin:].strip()] if text[begin:].strip() else found


def _outside_strings(text: str, start: int = 0) -> Iterator[tuple[int, str]]:
    """The characters from a place on that stand in no string literal."""
    quote, k = "", start
    while k < len(text):
        character = text[k]
        if quote:
            if character == "\\":
                k += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        else:
            yield k, character
        k += 1
