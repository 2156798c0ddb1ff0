"""What a caller states where a source does not tell: `[layer.]option`, and a value parsed by the kind of the option.

Keys are the caller's: `"lstm.recurrent_activation"` is of one layer, `"recurrent_activation"` of every layer that has
it. Values are text, as a command line gives them, or what the text would mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from converters.model.names import module_name
from layouts.errors import ConversionError, UnknownLayer, printable
from layouts.reference import ACTIVATIONS


class Kind(NamedTuple):
    """How the text of a value becomes one, and what a person is told where it does not."""

    parse: Callable[[str], Any]
    expected: str


def _whole(least: int, most: int = 1 << 31) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError
        return value

    return parse


def _number(least: float, most: float = math.inf) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not least <= value <= most:
            raise ValueError
        return value

    return parse


def _sizes(least: int, nothing: tuple[str, ...] = ()) -> Callable[[str], tuple[int, ...]]:
    def parse(text: str) -> tuple[int, ...]:
        words = text.strip("()[] ").rstrip(",").split(",")
        return () if text.lower() in nothing else tuple(_whole(least)(word) for word in words)

    return parse


def _equation(text: str) -> str:
    if not re.fullmatch(r"(\.\.\.)?[A-Za-z]{1,26},[A-Za-z]{1,26}->(\.\.\.)?[A-Za-z]{0,26}", text):
        raise ValueError
    return text


def _truth(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]


def _maybe(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.lower() == "none" else parse(text)


def _one_of(*words: str) -> Kind:
    return Kind({word: word for word in words}.__getitem__, f"one of {', '.join(words)}")


_ALIASES = {"swish": "silu"}
_TWO_FUNCTIONS = (
    "hard_sigmoid is two functions: hard_sigmoid_0.2, clip(0.2 x + 0.5), or hard_sigmoid_1/6, clip(x/6 + 0.5)"
)


def _activation(text: str) -> str:
    return {name: name for name in ACTIVATIONS}[_ALIASES.get(text, text)]


_ACTIVATION = Kind(_activation, f"one of {', '.join(ACTIVATIONS)}")
TRUTH = Kind(_truth, "true or false")
_FACTOR = Kind(_sizes(1), "a number above 0, or one for each axis such as 2,1")
_PADS = Kind(_sizes(0), "numbers such as 0,1, one for each axis")
NUMBER = Kind(_number(-math.inf), "a number")
COUNT = Kind(_whole(1), "a number above 0")

KINDS: Mapping[str, Kind] = {
    "activation": _ACTIVATION,
    "recurrent_activation": _ACTIVATION,
    "output_activation": Kind(_maybe(_activation), _ACTIVATION.expected),
    "clip": Kind(_maybe(_number(1e-30)), "a number above 0, or none"),
    "input_forget": TRUTH,
    "cell_clip": Kind(_maybe(_number(1e-30)), "a number above 0, or none"),
    "projection_clip": Kind(_maybe(_number(1e-30)), "a number above 0, or none"),
    "strides": _FACTOR,
    "dilation": _FACTOR,
    "groups": Kind(_whole(-1), "a number, or -1 for one group a channel"),
    "padding": _one_of("valid", "same", "same_lower", "causal", "explicit"),
    "pads": _PADS,
    "recurrent_padding": _one_of("same", "same_lower"),
    "output_padding": _PADS,
    "output_shape": _FACTOR,
    "channels_last": TRUTH,
    "epsilon": Kind(_maybe(_number(0.0)), "a number, 0 or above"),
    "momentum": Kind(_maybe(_number(0.0, 1.0)), "a number from 0 to 1: the share of the old statistics that is kept"),
    "axes": Kind(_sizes(-64), "numbers of axes such as -1 or 1,2"),
    "rms_scaling": TRUTH,
    "invert": TRUTH,
    "equation": Kind(_equation, "an equation of einsum such as abc,cd->abd"),
    "rank": Kind(_whole(2, 5), "the number of axes of the input, batch included: 2 to 5"),
    "flattened": Kind(_sizes(1, ("no", "none", "")), "the sizes of the map, channels last, such as 7,7,64; or no"),
}
"""The options of cells, and what else may be stated of a layer, by name."""

FUSED = Kind(lambda text: _ALIASES.get(text, text), "the name of an activation")
"""The activation behind a Dense or a convolution, which the code around the module applies: any."""


def kind_of(example: object) -> Kind:
    """The kind of a value like this one: a condition of a layout."""
    if isinstance(example, bool):
        return TRUTH
    return Kind(int, "a whole number") if isinstance(example, int) else Kind(str, "a word")


def as_text(value: object) -> str:
    """A value as a person states it: the inverse of parsing."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "no"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


class Statement(NamedTuple):
    """One thing that is stated: of which layer ('' for all), of which option, and what."""

    key: str
    owner: str
    option: str
    value: Any
    told: bool = False
    """Whether the source tells it beside its arrays: where nothing takes it, that is no error."""

    @property
    def said(self) -> str:
        """As the caller wrote it."""
        return f"assume={{'{printable(self.key)}': '{printable(as_text(self.value))}'}}"

    def parsed(self, kind: Kind) -> Any:
        """The value. Raises `ConversionError` where it is none of its kind."""
        text = as_text(self.value).strip()
        if text == "hard_sigmoid" and kind.parse is _ACTIVATION.parse:
            raise ConversionError(f"{self.said}: {_TWO_FUNCTIONS}")
        try:
            return kind.parse(text)
        except (ValueError, KeyError, OverflowError):
            raise ConversionError(f"{self.said}: expected {kind.expected}") from None


class Assumptions:
    """Everything that is stated, and whether each of it was of use.

    `wholes` gives the paths of what a layer is part of, such as a stack: what is stated of one is stated of its parts.
    `told` is what the source tells beside its arrays, such as by a graph: as if stated, and nobody may contradict it.
    """

    def __init__(
        self,
        assume: Mapping[str, Any],
        wholes: Callable[[str], Iterable[str]] = lambda path: (),
        told: Mapping[str, Any] | None = None,
    ) -> None:
        self._wholes = wholes
        self._all = [_statement(key, value) for key, value in assume.items()]
        self._told: dict[str, dict[str, Statement]] = {}
        for key, value in (told or {}).items():
            statement = _statement(key, value)._replace(told=True)
            self._told.setdefault(statement.owner, {})[statement.option] = statement
        self._used: set[str] = set()

    def of(self, path: str) -> dict[str, Statement]:
        """What is stated of a layer, by option; what is stated of it alone before what is stated of all."""
        own = module_name(path)
        wholes = {module_name(whole) for whole in self._wholes(path)} - {own}
        found = {s.option: s for s in self._all if not s.owner}
        found |= {s.option: s for s in self._all if s.owner and s.owner in wholes}
        found |= {s.option: s for s in self._all if s.owner and s.owner == own}
        told = self._told.get(own, {})
        for option in found.keys() & told.keys():
            self._compare(found[option], told[option], path)
        return told | found

    def _compare(self, stated: Statement, told: Statement, path: str) -> None:
        """Raise where a caller states another thing than the source tells. One more statement of it is of use."""
        if not _alike(stated.value, told.value):
            raise ConversionError(
                f"{stated.said}: the source tells {told.option}={as_text(told.value)} of {printable(path)}", layer=path
            )
        self.use(stated)

    def use(self, statement: Statement) -> None:
        """Note that a statement is of use."""
        self._used.add(statement.key)

    def names(self, path: str) -> bool:
        """Whether something is stated of this very layer."""
        return any(s.owner and s.owner == module_name(path) for s in self._all)

    def check(self, paths: Iterable[str], open_: Callable[[str], str], idle: Collection[str] = ()) -> None:
        """Raise for a statement of no layer, or of nothing that is open; `open_` says what is, of a layer or of all.

        `idle` are options that none of these layers has: stated of every layer that has them, they harm nobody.
        """
        known = {module_name(path): path for path in paths}
        for statement in self._all:
            if statement.owner and statement.owner not in known:
                listed = ", ".join(map(printable, known.values())) or "none"
                raise UnknownLayer(
                    f"{statement.said}: no layer {printable(repr(statement.owner))}; there are: {listed}"
                )
            vacuous = not statement.owner and statement.option in idle
            if statement.key not in self._used and not vacuous:
                raise not_open(statement, open_(known.get(statement.owner, "")))


def _statement(key: str, value: Any) -> Statement:
    owner, _, option = key.rpartition(".")
    return Statement(key, module_name(owner), option, value)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values mean the same; numbers as far as float32 tells them apart."""
    texts = as_text(one).strip(), as_text(other).strip()
    try:
        return math.isclose(float(texts[0]), float(texts[1]), rel_tol=1e-6)
    except ValueError:
        return texts[0] == texts[1]


def not_open(statement: Statement, stateable: str) -> ConversionError:
    """The error for a statement of something that is told, or that the layer does not have."""
    return ConversionError(f"{statement.said}: this is told by the source, or no such option. {stateable}")
