"""What a state_dict cannot say: the constructor call of each module. What the forward code has to do is in `notes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converters.model.checkpoint import Part
from converters.targets.pytorch import padding
from converters.targets.pytorch.notes import notes

__all__ = ["call", "constructor", "notes", "recurrent_constructor"]

Sizes = Mapping[str, int]
Facts = Mapping[str, Any]

_CELLS = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn": "RNN"}
_CUSTOM = {
    "lstm": ("tanh", "sigmoid"),
    "gru": ("tanh", "sigmoid"),
    "gru_reset_before": ("tanh", "sigmoid"),
    "rnn": ("tanh", None),
}


def call(name: str, *positional: Any, **keywords: Any) -> str:
    """A constructor call as a person writes it, without the arguments that are None."""
    given = [repr(value) for value in positional]
    given += [f"{key}={value!r}" for key, value in keywords.items() if value is not None]
    return f"{name}({', '.join(given)})"


def recurrent_constructor(package: str, parts: Sequence[Part], facts: Facts) -> str:
    """`nn.LSTM(3, 5, batch_first=True)`, or of `converters.nn` with the keywords that torch.nn does not have."""
    first, sizes = parts[0], parts[0].solved()
    cell, options = first.cell.name, first.options
    pieces = [piece for part in parts for piece in part.pieces()]
    activation = options.get("activation", "tanh")
    gate = options.get("recurrent_activation", "sigmoid")
    usual, usual_gate = _CUSTOM[cell]
    relu = cell == "rnn" and activation == "relu"
    output = options.get("output_activation")
    state = sizes.get("state", sizes["unit"])
    if facts.get("cell") and package == "nn":
        bias = None if any("bias" in piece.slot for piece in pieces) else False
        kind = f"nn.{_CELLS[cell]}Cell"
        return call(kind, sizes["input"], sizes["unit"], bias=bias, nonlinearity="relu" if relu else None)
    return call(
        f"{package}.{_CELLS[cell]}",
        sizes["input"],
        sizes["unit"],
        num_layers=_positive(1 + max(piece.layer for piece in pieces)),
        nonlinearity="relu" if relu else None,
        activation=activation if activation != usual and not relu else None,
        recurrent_activation=gate if usual_gate and gate != usual_gate else None,
        output_activation=output if output != activation else None,
        reset_after=False if cell == "gru_reset_before" else None,
        peepholes=True if any(piece.slot == "peephole" for piece in pieces) else None,
        clip=options.get("clip"),
        input_forget=True if options.get("input_forget") else None,
        bias=None if any("bias" in piece.slot for piece in pieces) else False,
        batch_first=None if facts.get("time_major") else True,
        bidirectional=True if any(piece.direction == "backward" for piece in pieces) else None,
        proj_size=state if state != sizes["unit"] else None,
    )


def _positive(count: int) -> int | None:
    return count if count > 1 else None


def constructor(part: Part, facts: Facts) -> str:
    """The constructor call of a layer that is not recurrent."""
    sizes = part.solved()
    stored = {piece.slot for piece in part.pieces()}
    bias = None if "bias" in stored else False
    name = part.cell.name
    if name == "linear":
        return call("nn.Linear", sizes["in"], sizes["out"], bias=bias)
    if name == "embedding":
        return call("nn.Embedding", sizes["index"], sizes["feature"])
    if name.startswith(("conv", "depthwise", "separable")):
        return _convolution(name, sizes, facts, bias)
    if name.startswith("attention"):
        return _attention(sizes, stored)
    return _norm(name, sizes, facts, stored)


def _convolution(name: str, sizes: Sizes, facts: Facts, bias: bool | None) -> str:
    kernel = tuple(sizes[word] for word in ("depth", "height", "width") if word in sizes)
    stride, dilation = (padding.per_axis(facts.get(key, 1), len(kernel)) for key in ("strides", "dilation_rate"))
    transposed = "transpose" in name
    shape = {
        "kernel_size": kernel if len(kernel) > 1 else kernel[0],
        "stride": _unless(1, stride),
        "padding": padding.argument(facts, kernel, transposed=transposed),
        "output_padding": _unless(0, padding.per_axis(facts.get("output_padding", 0), len(kernel))),
        "dilation": _unless(1, dilation),
    }
    kind = f"nn.Conv{'Transpose' if transposed else ''}{len(kernel)}d"
    if name.startswith("separable"):
        depthwise = call(kind, sizes["in"], sizes["in"] * sizes["multiplier"], **shape, groups=sizes["in"], bias=False)
        pointwise = call(kind, sizes["in"] * sizes["multiplier"], sizes["out"], kernel_size=1, bias=bias)
        return f"depthwise={depthwise}, pointwise={pointwise}"
    if name.startswith("depthwise"):
        outputs = sizes["in"] * sizes["multiplier"]
        return call(kind, sizes["in"], outputs, **shape, groups=sizes["in"], bias=bias)
    groups = sizes.get("group") or facts.get("groups") or 1
    inputs, outputs = (1, groups) if transposed else (groups, 1)
    widths = sizes["in"] * inputs, sizes["out"] * outputs
    return call(kind, *widths, **shape, groups=groups if groups != 1 else None, bias=bias)


def _unless(usual: int, values: tuple[int, ...]) -> int | tuple[int, ...] | None:
    if set(values) == {usual}:
        return None
    return values if len(values) > 1 else values[0]


def _attention(sizes: Sizes, stored: set[str]) -> str:
    return call(
        "nn.MultiheadAttention",
        sizes["in"],
        sizes["head"],
        bias=None if "input_bias" in stored else False,
        kdim=sizes.get("key_in"),
        vdim=sizes.get("value_in"),
        batch_first=True,
    )


def _norm(name: str, sizes: Sizes, facts: Facts, stored: set[str]) -> str:
    epsilon = facts.get("epsilon")
    plain = None if stored & {"weight", "bias"} else False
    if name == "batch_norm":
        momentum = facts.get("momentum")
        kept = round(1 - momentum, 12) if isinstance(momentum, int | float) else None
        kind = {4: "nn.BatchNorm2d", 5: "nn.BatchNorm3d"}.get(facts.get("rank", 2), "nn.BatchNorm1d")
        return call(kind, sizes["channel"], eps=epsilon, momentum=kept, affine=plain)
    if name == "group_norm":
        channels, groups = sizes["channel"], facts.get("groups", 32)
        return call("nn.GroupNorm", channels if groups == -1 else groups, channels, eps=epsilon, affine=plain)
    if name == "prelu":
        return call("nn.PReLU", sizes["channel"])
    shape = tuple(sizes[word] for word in ("plane", "row", "feature") if word in sizes)
    kind = "nn.RMSNorm" if name == "rms_norm" else "nn.LayerNorm"
    return call(kind, shape if len(shape) > 1 else shape[0], eps=epsilon)
