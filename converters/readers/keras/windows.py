"""What pooling, padding, cropping and upsampling compute, by class and configuration, in any version of Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.readers.keras import orderings
from converters.readers.keras.config import Config
from converters.readers.keras.semantics import Version
from layouts.errors import printable

Row = Callable[[Config, Version, Shape | None], op.Operation]


def _first(config: Config, *keys: str) -> Any:
    """The value under the first of these names: later versions renamed them."""
    return next((config[key] for key in keys if config.get(key) is not None), None)


def _last(config: Config) -> bool:
    return config.get("data_format") != "channels_first" and config.get("dim_ordering") != "th"


def _numbers(value: Any, count: int) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value] * count
    if len(listed) != count or not all(isinstance(n, int) and n > 0 for n in listed):
        raise ValueError(f"{printable(value)} is no size of {count} axes")
    return tuple(listed)


def _pool(how: str, count: int) -> Row:
    def row(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        size = _numbers(_first(config, "pool_size", "pool_length") or 2, count)
        steps = _first(config, "strides", "stride")
        padding = _first(config, "padding", "border_mode") or "valid"
        if padding not in ("valid", "same"):
            return op.Unknown(f"pooling with padding {printable(repr(padding))}")
        return op.Pool(how, size, size if steps is None else _numbers(steps, count), padding, (), _last(config))

    return row


def _global(how: str) -> Row:
    def row(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        return op.GlobalPool(how, config.get("keepdims") is True, _last(config))

    return row


_SIDES = (("left_pad", "right_pad"), ("top_pad", "bottom_pad"))


def _pairs(value: Any, count: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of every axis, out of one number, a number an axis, pairs, or the words of Keras 1."""
    if isinstance(value, dict):
        words = _SIDES[:1] if count == 1 else _SIDES[::-1]
        value = [[value.get(word, 0) for word in pair] for pair in words]
    if isinstance(value, int):
        value = [value] * count
    if count == 1 and len(value) == 2:
        value = [value]
    if count == 2 and len(value) == 4:
        value = [value[:2], value[2:]]
    pairs = tuple((each, each) if isinstance(each, int) else (int(each[0]), int(each[1])) for each in value)
    if len(pairs) != count or any(n < 0 for pair in pairs for n in pair):
        raise ValueError(f"{printable(value)} does not pad {count} axes")
    return pairs


_ORDER = op.Unknown("channels first or last? Keras 1 did not write it for this class, and no layer beside it tells")


def _pad(kind: Callable[..., op.Operation], count: int) -> Row:
    def row(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        if config.get(orderings.KEY) == orderings.NOT_TOLD:
            return _ORDER
        value = _first(config, "padding", "cropping")
        return kind(_pairs(1 if value is None else value, count), channels_last=_last(config))

    return row


def _up_sample(count: int) -> Row:
    def row(config: Config, version: Version, shape: Shape | None) -> op.Operation:
        if config.get(orderings.KEY) == orderings.NOT_TOLD:
            return _ORDER
        how = str(config.get("interpolation") or "nearest")
        if how not in ("nearest", "bilinear"):
            return op.Unknown(f"upsampling by {printable(how)} is not known here")
        size = _first(config, "size", "length")
        return op.UpSample(_numbers(2 if size is None else size, count), how, _last(config))

    return row


ROWS: dict[str, Row] = {
    f"{name}{count}D": row
    for count in (1, 2, 3)
    for name, row in (
        ("MaxPooling", _pool("max", count)),
        ("AveragePooling", _pool("average", count)),
        ("GlobalMaxPooling", _global("max")),
        ("GlobalAveragePooling", _global("average")),
        ("ZeroPadding", _pad(op.Pad, count)),
        ("Cropping", _pad(op.Crop, count)),
        ("UpSampling", _up_sample(count)),
    )
}
