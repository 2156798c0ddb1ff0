"""What the user states of a file without a configuration in place of what is assumed: `{"lstm.activation": "relu"}`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from converters.model.layers import Layer
from converters.model.names import module_name
from converters.readers.keras.assumable import VALUES
from converters.readers.keras.semantics import Version
from layouts.errors import ConversionError, UnknownLayer, printable

_BY_ARRAYS = {
    "units",
    "use_bias",
    "filters",
    "kernel_size",
    "input_dim",
    "output_dim",
    "reset_after",
    "scale",
    "center",
}
_ARRAYS_TOO = {"num_heads", "key_dim", "value_dim", "depth_multiplier", "shared_axes", "dtype", "trainable"}
CLASS = "class"


class Statements:
    """The statements of the user by layer and option, and what was open to be stated.

    `told` is what the source tells beside its arrays, by layer and option: nobody may state another thing.
    """

    def __init__(self, assume: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._texts = {key: _text(value) for key, value in assume.items()}
        self._told = {path: {name: _text(value) for name, value in own.items()} for path, own in (told or {}).items()}
        self._open: dict[str, list[str]] = {}

    def class_of(self, path: str) -> str:
        """The class that is stated of a layer, or ''."""
        return self._own(path).get(CLASS, "")

    def settle(
        self, path: str, options: Mapping[str, Any], version: Version, *, recurrent: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of these options, each stated or assumed, and those of them that are assumed.

        `options` gives what is assumed of each; one of None is left out unless it is stated. Raises `ConversionError`
        for a text that is no value of its option.
        """
        self._open.setdefault(path, []).extend(options)
        stated = self._for_all(recurrent=recurrent) | self._own(path)
        told = self._told.get(path, {})
        read = {option: self._read(path, option, told[option], version) for option in options if option in told}
        for option in options:
            if option in stated:
                value = self._read(path, option, stated[option], version)
                if read.setdefault(option, value) != value:
                    raise ConversionError(
                        f"assume {printable(path)}.{option}={printable(stated[option])}: the source tells "
                        f"{printable(told[option])}",
                        layer=path,
                    )
        assumed = {option: value for option, value in options.items() if value is not None and option not in read}
        return assumed | read, assumed

    def _for_all(self, *, recurrent: bool) -> dict[str, str]:
        """What is stated of no layer by name; an activation is meant of recurrent layers, the others' differ."""
        return {key: text for key, text in self._texts.items() if "." not in key and (recurrent or key != "activation")}

    def _own(self, path: str) -> dict[str, str]:
        split = ((key.rpartition("."), text) for key, text in self._texts.items() if "." in key)
        return {option: text for (owner, _, option), text in split if owner in (path, module_name(path))}

    def _read(self, path: str, option: str, text: str, version: Version) -> Any:
        try:
            return VALUES[option].read(text, version)
        except ConversionError as error:
            raise ConversionError(f"assume {printable(path)}.{option}: {error}", layer=path) from None
        except (ValueError, KeyError):
            raise ConversionError(
                f"assume {printable(path)}.{option}={printable(text)}: expected {VALUES[option].words}", layer=path
            ) from None

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise for a statement about no layer, about what the file tells, or about nothing that there is."""
        for key in self._texts:
            owner, _, option = key.rpartition(".")
            owners = [layer for layer in layers if owner in ("", layer.path, module_name(layer.path))]
            if not owners:
                listed = ", ".join(printable(layer.path) for layer in layers)
                raise UnknownLayer(f"assume {printable(key)}: no layer {printable(owner)!r}; there are: {listed}")
            if not any(option in self._stated_of(layer, named=bool(owner)) for layer in owners):
                raise ConversionError(self._not_open(key, option, owners))

    def _stated_of(self, layer: Layer, *, named: bool) -> Iterator[str]:
        """What can be stated of a layer, under its own name or of all layers at once."""
        if named and (layer.inferred or layer.unknown):
            yield CLASS
        yield from (name for name in self._open.get(layer.path, ()) if named or name != "activation" or layer.recurrent)

    def _not_open(self, key: str, option: str, owners: Iterable[Layer]) -> str:
        options = dict.fromkeys(name for layer in owners for name in self._stated_of(layer, named="." in key))
        if not options:
            return f"assume {printable(key)}: the file itself tells this: it stores the configuration of its layers"
        told = option in _BY_ARRAYS | _ARRAYS_TOO
        why = "the file itself tells this, by its arrays" if told else f"no option {printable(option)!r} here"
        return f"assume {printable(key)}: {why}. What can be stated: {', '.join(options)}"


def _text(value: Any) -> str:
    """A value as it is written on a command line: `True` is 'true', `(4, 3, 5)` is '4,3,5'."""
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else "no" if value is None else str(value)
