"""Statements as lines of a file, none longer than 120 characters."""

from __future__ import annotations

import re
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
    """The longest bracket of a statement with each argument on its line, a long string as several."""
    space, group = " " * indent, _longest_group(text)
    if group is None:
        *rows, last = _literals(text)
        yield from (f"{space}{row}" for row in rows)
        yield f"{space}{last}{behind}"
        return
    start, end = group
    yield f"{space}{text[: start + 1]}"
    arguments = _arguments(text[start + 1 : end])
    if len(arguments) > _MANY and all(map(_NUMBER.fullmatch, arguments)):
        arguments = _filled(arguments, LONGEST - indent - 5)
    for argument in arguments:
        comma = "" if not _takes_comma(text, start) and argument is arguments[-1] else ","
        if indent + 4 + len(argument) + len(comma) > LONGEST:
            yield from _broken(argument, indent + 4, comma)
        else:
            yield f"{' ' * (indent + 4)}{argument}{comma}"
    rest = text[end + 1 :]
    if indent + 1 + len(rest) + len(behind) > LONGEST:
        first, *rows = _broken(rest, indent, behind)
        yield from (f"{space}{text[end]}{first.lstrip()}", *rows)
    else:
        yield f"{space}{text[end]}{rest}{behind}"


_MANY = 16
_NUMBER = re.compile(r"-?[\d.]+(e[+-]?\d+)?")


def _filled(numbers: list[str], width: int) -> list[str]:
    """Numbers, as many to a line as it takes."""
    rows = [numbers[0]]
    for number in numbers[1:]:
        if len(rows[-1]) + 2 + len(number) > width:
            rows.append(number)
        else:
            rows[-1] += f", {number}"
    return rows


def _takes_comma(text: str, start: int) -> bool:
    """Whether a comma at the end changes nothing: not where a bracket picks an item, or puts terms together."""
    behind_a_name = start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_)]")
    return (text[start] == "(") == behind_a_name


def _literals(text: str) -> list[str]:
    """String literals that stand side by side, one by one."""
    found, begin = [], 0
    for k, character in _outside_strings(text):
        if character == " " and k and text[k - 1] in "'\"" and text[k + 1 : k + 2] in ("'", '"'):
            found.append(text[begin:k])
            begin = k + 1
    return [*found, text[begin:]]


def _longest_group(text: str) -> tuple[int, int] | None:
    """Where the longest of the outermost brackets opens and closes; None where none holds anything."""
    found, behind = [], -1
    for k, character in _outside_strings(text):
        if character in "([" and k > behind:
            behind = _closing(text, k)
            found.append((k, behind))
    longest = max(found, key=lambda group: group[1] - group[0], default=(0, 0))
    return longest if longest[1] - longest[0] > 1 else None


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
