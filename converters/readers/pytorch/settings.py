"""What a module of torch.nn computes, out of its own attributes: as statements of the kind that a caller makes.

A module in memory has its attributes; the code of TorchScript declares them as constants. Source: the constructors of
torch.nn; `momentum` there is the share of the new statistics, and here that of the old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class Module(NamedTuple):
    """A module of torch.nn: its class, and its attributes as far as they are told."""

    class_name: str
    attributes: Mapping[str, Any]

    @property
    def time_axis(self) -> int | None:
        """Where a recurrent layer has the time; None where it is not told."""
        first = self.attributes.get("batch_first")
        return None if first is None else int(bool(first))

    @property
    def differs(self) -> str:
        """What of it no layout describes; '' where its weights and the options of its class tell all."""
        found = [(name, self.attributes.get(name, usual)) for name, usual in _USUAL.items()]
        return ", ".join(f"{name}={value!r}" for name, value in found if value != _USUAL[name])

    def statements(self) -> dict[str, str]:
        """What can be stated of the module, by option."""
        found: dict[str, str] = {"class": self.class_name}
        for option, attribute, text in _OPTIONS.get(self.class_name, ()):
            value = self.attributes.get(attribute)
            if value is not None:
                found[option] = text(value)
        if self.class_name in _CONVOLUTIONS:
            found |= dict(self._padding())
        rank = _RANKS.get(self.class_name)
        return found | ({"rank": rank} if rank else {})

    def _padding(self) -> Iterator[tuple[str, str]]:
        """The padding of a convolution: a word, or zeros at both ends of each axis."""
        padding = self.attributes.get("padding")
        if isinstance(padding, str):
            yield "padding", padding
        elif isinstance(padding, tuple | list):
            yield "padding", "explicit" if any(padding) else "valid"
            yield from ([("pads", _sizes([*padding, *padding]))] if any(padding) else ())
        if self.class_name.startswith("ConvTranspose") and self.attributes.get("groups", 1) > 1:
            yield "grouped", "true"


def _sizes(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


_USUAL: Mapping[str, Any] = {"padding_mode": "zeros", "add_zero_attn": False, "max_norm": None}
"""Attributes that change what a module computes, and that no option of a cell describes, as they are by default."""

Option = tuple[str, str, Callable[[Any], str]]
"""An option as it is stated, the attribute that tells it, and its text."""

_WINDOWS: tuple[Option, ...] = (
    ("strides", "stride", _sizes),
    ("dilation", "dilation", _sizes),
    ("groups", "groups", str),
)
_TRANSPOSED: tuple[Option, ...] = (*_WINDOWS, ("output_padding", "output_padding", _sizes))
_EPSILON: Option = ("epsilon", "eps", str)
_BATCH: tuple[Option, ...] = (_EPSILON, ("momentum", "momentum", lambda share: str(1 - share)))
_RANKS = {"BatchNorm2d": "4", "BatchNorm3d": "5"}
_MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}
_CONVOLUTIONS = tuple(f"Conv{kind}{rank}d" for kind in ("", "Transpose") for rank in (1, 2, 3))

_OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "RNN": (("activation", "mode", lambda mode: _MODES.get(mode, str(mode))),),
    "RNNCell": (("activation", "nonlinearity", str),),
    **{name: _TRANSPOSED if "Transpose" in name else _WINDOWS for name in _CONVOLUTIONS},
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"), _BATCH),
    "LayerNorm": (_EPSILON,),
    "RMSNorm": (_EPSILON,),
    "GroupNorm": (_EPSILON, ("groups", "num_groups", str)),
    "MultiheadAttention": (("head", "num_heads", str),),
}
