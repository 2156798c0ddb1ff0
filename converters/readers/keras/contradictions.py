"""What a configuration states of a layer against the arrays that are stored: a layer where they contradict is refused.

A configuration may leave an option out: absence states nothing. Sources: the `build` methods of the layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from converters.model.layers import Part
from converters.readers.keras.config import CellConfig, Config, Leaf
from layouts.errors import CoverageError, ShapeError, printable
from layouts.layout import Layout

_FLAGS = {"bias": ("use_bias", "bias"), "b": ("bias", "use_bias"), "gamma": ("scale",), "beta": ("center",)} | {
    "scale": ("use_scale",)
}
"""Array -> the configuration keys that switch it off."""
_DECLARED = {
    "units": ("unit", "out"),
    "output_dim": ("unit", "out", "feature"),
    "input_dim": ("index", "in", "input"),
    "filters": ("out", "unit"),
    "nb_filter": ("out",),
    "depth_multiplier": ("multiplier",),
    "num_heads": ("head",),
    "key_dim": ("key",),
    "value_dim": ("value", "key"),
    "filter_length": ("width",),
    "nb_row": ("height",),
    "nb_col": ("width",),
    "kernel_dim1": ("depth",),
    "kernel_dim2": ("height",),
    "kernel_dim3": ("width",),
}
"""What a configuration says of a size -> the words of the layouts for it; the first that a layer has."""
_KERNEL, _NORMALIZED = ("depth", "height", "width"), ("plane", "row", "feature")


def switched_on(array: str, config: Config) -> bool:
    """Whether a layer of this configuration has an array of this name, if its class may have one."""
    name = array.rpartition("/")[2]
    if name == "beta" and config.get("rms_scaling"):
        return False
    if name == "bias" and "equation" in config:
        return config.get("bias_axes") is not None
    if name == "concat_score_weight" and config.get("score_mode") != "concat":
        return False
    return all(config.get(key, True) is not False for key in _FLAGS.get(name, ()))


def check_reset(cell: CellConfig, shapes: Mapping[str, tuple[int, ...]]) -> bool | None:
    """Whether the bias of a GRU is that of reset_after; None where there is no bias to tell it."""
    bias = shapes.get("bias")
    if bias is None:
        return None
    after, stated = len(bias) == 2, cell.config.get("reset_after")
    if stated is not None and bool(stated) is not after:
        wanted = "two rows (2, 3 × units)" if stated else "one axis (3 × units)"
        raise ShapeError(
            f"its configuration says reset_after={bool(stated)}, which makes a bias of {wanted}; stored is {bias}",
            array="bias",
        )
    return after


def check_names(cell: CellConfig, layout: Layout, stored: Iterable[str]) -> None:
    """Raise `CoverageError` unless exactly the arrays are stored that the configuration switches on."""
    entries = [entry.name for entry in layout.entries()]
    wanted = {name for name in entries if switched_on(name, cell.config)}
    found = set(stored) - set(layout.passed_over)
    for name in sorted(found - wanted):
        raise CoverageError(f"its configuration says {_switch(name, cell.config)}, and {name} is stored", array=name)
    for name in entries:
        if name in wanted - found:
            flag = next(iter(_FLAGS.get(name.rpartition("/")[2], ())), "")
            why = f" ({flag}={cell.config.get(flag, True)})" if flag else ""
            raise CoverageError(f"its configuration makes an array {name}{why}, and none is stored", array=name)


def _switch(array: str, config: Config) -> str:
    keys = (key for key in _FLAGS.get(array.rpartition("/")[2], ()) if config.get(key, True) is False)
    return f"{next(keys, 'rms_scaling')}={config.get('rms_scaling') or False}"


def check_sizes(cell: CellConfig, part: Part) -> None:
    """Raise `ShapeError` where a size is zero, or is not what the configuration says."""
    config, sizes = cell.config, part.solved()
    empty = [word for word, size in sizes.items() if not size]
    if empty:
        raise ShapeError(f"its shape makes {empty[0]} 0: the layer is empty")
    for key, words in _DECLARED.items():
        _agree(key, config.get(key), next((sizes[word] for word in words if word in sizes), None))
    kernel = [sizes[word] for word in _KERNEL if word in sizes]
    _agree("kernel_size", _each(config.get("kernel_size"), len(kernel)), kernel or None)
    if part.cell.name.startswith("attention"):
        _agree("output_shape", _each(config.get("output_shape"), 1), [sizes["out"]])
    if part.cell.name.startswith("layer_norm") and isinstance(config.get("axis"), list | tuple):
        count = sum(word in sizes for word in _NORMALIZED)
        _agree(
            "axis", list(config["axis"]), list(config["axis"]) if len(config["axis"]) == count else [f"{count} axes"]
        )
    _check_groups(config, sizes)
    _check_shared_axes(config, part)


def _each(value: Any, count: int) -> Any:
    """One value an axis, where a configuration may write one for all."""
    return list(value) if isinstance(value, list | tuple) else None if value is None else [value] * count


def _agree(key: str, stated: Any, found: Any) -> None:
    if stated is None or found is None:
        return
    values = stated if isinstance(stated, list) else [stated]
    if stated != found or any(isinstance(value, bool) for value in values):
        text = ", ".join(map(str, found)) if isinstance(found, list) else found
        raise ShapeError(f"its configuration says {key}={printable(repr(stated))}, and its arrays make it {text}")


def _check_groups(config: Config, sizes: Mapping[str, int]) -> None:
    """The outputs of a grouped convolution, or the channels of a GroupNormalization, come in equal groups."""
    groups, whole = config.get("groups"), sizes.get("out", sizes.get("channel"))
    if groups is None or whole is None or groups == -1:
        return
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or whole % groups:
        raise ShapeError(
            f"its configuration says groups={printable(repr(groups))}, and its arrays have {whole} channels"
        )


def _check_shared_axes(config: Config, part: Part) -> None:
    """A PReLU has one slope along every shared axis."""
    axes = config.get("shared_axes")
    if not part.cell.name.startswith("prelu") or not isinstance(axes, list | tuple):
        return
    (shape,) = part.shapes.values()
    for axis in axes:
        if not isinstance(axis, int) or not 0 < axis <= len(shape) or shape[axis - 1] != 1:
            raise ShapeError(f"its configuration says shared_axes={printable(repr(axes))}, and its slopes are {shape}")


def check_input(leaf: Leaf, parts: Sequence[Part]) -> None:
    """Raise `ShapeError` where the input shape that a layer states has other features than its arrays read."""
    shape = leaf.config.get("batch_input_shape")
    if leaf.wrappers or not isinstance(shape, list | tuple) or len(shape) < 2:
        return
    first = leaf.config.get("data_format") == "channels_first" or leaf.config.get("dim_ordering") == "th"
    stated = shape[1] if first else shape[-1]
    for found in _inputs(leaf, parts):
        if isinstance(stated, int) and stated != found:
            raise ShapeError(
                f"its configuration says batch_input_shape={printable(repr(list(shape)))}, and its arrays read {found} "
                "features"
            )


def _inputs(leaf: Leaf, parts: Sequence[Part]) -> Iterator[int]:
    for part in parts:
        sizes = part.solved()
        grouped = part.cell.name.startswith("conv") and isinstance(leaf.config.get("groups"), int)
        if not part.layer and part.cell.slots.keys() & {"weight", "input_weight", "depthwise_weight"}:
            found = [sizes[word] for word in ("input", "in") if word in sizes]
            yield from (math.prod((size, leaf.config["groups"] if grouped else 1)) for size in found)
