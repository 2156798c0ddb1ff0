"""What a state_dict cannot say: the constructor call of each module, and the forward code that Keras did by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.checkpoint import Layer, Part

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


def recurrent_constructor(package: str, parts: Sequence[Part]) -> str:
    """`nn.LSTM(3, 5, batch_first=True)`, or of `converters.nn` with the keywords that torch.nn does not have."""
    first, sizes = parts[0], parts[0].solved()
    cell, options = first.cell.name, first.options
    pieces = [piece for part in parts for piece in part.pieces()]
    activation = options.get("activation", "tanh")
    gate = options.get("recurrent_activation", "sigmoid")
    usual, usual_gate = _CUSTOM[cell]
    relu = cell == "rnn" and activation == "relu"
    state = sizes.get("state", sizes["unit"])
    return call(
        f"{package}.{_CELLS[cell]}",
        sizes["input"],
        sizes["unit"],
        num_layers=_positive(1 + max(piece.layer for piece in pieces)),
        nonlinearity="relu" if relu else None,
        activation=activation if activation != usual and not relu else None,
        recurrent_activation=gate if usual_gate and gate != usual_gate else None,
        reset_after=False if cell == "gru_reset_before" else None,
        peepholes=True if any(piece.slot == "peephole" for piece in pieces) else None,
        bias=None if any("bias" in piece.slot for piece in pieces) else False,
        batch_first=True,
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
    words = [word for word in ("depth", "height", "width") if word in sizes]
    kernel = tuple(sizes[word] for word in words)
    stride, dilation = (_per_axis(facts.get(key, 1), len(words)) for key in ("strides", "dilation_rate"))
    shape = {
        "kernel_size": kernel if len(kernel) > 1 else kernel[0],
        "stride": _unless_one(stride),
        "padding": "same"
        if facts.get("padding") == "same" and set(stride) == {1} and "transpose" not in name
        else None,
        "dilation": _unless_one(dilation),
    }
    kind = f"nn.Conv{'Transpose' if 'transpose' in name else ''}{len(words)}d"
    if name.startswith("separable"):
        depthwise = call(kind, sizes["in"], sizes["in"] * sizes["multiplier"], **shape, groups=sizes["in"], bias=False)
        pointwise = call(kind, sizes["in"] * sizes["multiplier"], sizes["out"], kernel_size=1, bias=bias)
        return f"depthwise={depthwise}, pointwise={pointwise}"
    if name.startswith("depthwise"):
        outputs = sizes["in"] * sizes["multiplier"]
        return call(kind, sizes["in"], outputs, **shape, groups=sizes["in"], bias=bias)
    groups = facts.get("groups") or 1
    return call(kind, sizes["in"] * groups, sizes["out"], **shape, groups=groups if groups != 1 else None, bias=bias)


def _per_axis(value: Any, count: int) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value] * count
    return tuple(n if isinstance(n, int) else 1 for n in values)


def _unless_one(values: tuple[int, ...]) -> int | tuple[int, ...] | None:
    if set(values) == {1}:
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
        return call("nn.GroupNorm", facts.get("groups", 32), sizes["channel"], eps=epsilon, affine=plain)
    if name == "prelu":
        return call("nn.PReLU", sizes["channel"])
    shape = tuple(sizes[word] for word in ("plane", "row", "feature") if word in sizes)
    kind = "nn.RMSNorm" if name == "rms_norm" else "nn.LayerNorm"
    return call(kind, shape if len(shape) > 1 else shape[0], eps=epsilon)


def notes(layer: Layer) -> Iterator[str]:
    """Forward code that the source did by itself and PyTorch leaves to the caller, one sentence each."""
    facts = layer.facts
    if layer.recurrent:
        yield from _recurrent_notes(layer, facts)
    activation = facts.get("activation")
    if activation not in (None, "linear"):
        yield f"apply {activation} to the output: it is fused into the Keras layer"
    yield from _map_notes(layer, facts)
    yield from _axis_notes(layer, facts)
    if "TimeDistributed" in facts.get("wrappers", ()):
        yield "TimeDistributed: runs on every time step; merge batch and time before it where the module needs that"
    if facts.get("mask_zero"):
        yield "mask_zero: index 0 is padding; build the mask from the indices (padding_idx would only block gradients)"


def _axis_notes(layer: Layer, facts: Facts) -> Iterator[str]:
    """Where a norm works along other axes in Keras than its module does in PyTorch."""
    name, rank = layer.parts[0].cell.name, facts.get("rank", 2)
    axis = facts.get("axis", -1)
    axes = [axis] if isinstance(axis, int) else list(axis) if isinstance(axis, list | tuple) else []
    counted = sorted(n + rank if n < 0 else n for n in axes if isinstance(n, int))
    if name in ("batch_norm", "group_norm") and counted and counted != [1]:
        yield f"the channels are axis {counted[0]} of the Keras input: move them to axis 1, where PyTorch has them"
    elif name.startswith("layer_norm") and "rank" in facts and counted != list(range(rank - len(counted), rank)):
        yield f"normalises axes {counted} of the Keras input: move them to the end before the module, and back after it"
    elif name.startswith("layer_norm") and "rank" not in facts and any(n >= 0 for n in axes):
        yield f"normalises axes {axes} of the Keras input: unless these are the last, move them to the end and back"


def _recurrent_notes(layer: Layer, facts: Facts) -> Iterator[str]:
    both = any(part.direction == "backward" for part in layer.parts)
    if both:
        yield from _merge_notes(facts)
    elif facts.get("return_sequences") is False:
        yield "return_sequences=False: use h_n[-1], the last output"
    if facts.get("go_backwards") and not both:
        yield "go_backwards: feed x.flip(1); the outputs stay in that reversed order"
    if facts.get("masked"):
        yield (
            "a mask reaches this layer: pass pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False); "
            + (
                "outputs and h_n agree"
                if facts.get("zero_output_for_mask")
                else "h_n agrees; after the end of a sequence Keras repeats the last output, where PyTorch gives zeros"
            )
            + " (a mask with gaps cannot be packed: run the valid steps alone)"
        )
    if facts.get("masked") and facts.get("zero_output_for_mask") and facts.get("return_sequences") is False:
        yield "zero_output_for_mask: the output is 0 where the last step that is read is masked, and h_n is not"
    if facts.get("stateful"):
        yield "stateful: pass the h_n (and c_n) of one batch as the initial state of the next"
    if facts.get("return_state"):
        yield "return_state: the states are h_n (and c_n), with an axis for layer and direction in front"
    if facts.get("recurrent_dropout"):
        yield "recurrent_dropout acts in training only and has no counterpart in torch.nn"
    if facts.get("time_major"):
        yield "time_major: construct the module with batch_first=False"


def _merge_notes(facts: Facts) -> Iterator[str]:
    mode = facts.get("merge_mode", "concat")
    merged = {
        "concat": "torch.cat([forward, backward], dim=-1)",
        "sum": "forward + backward",
        "mul": "forward * backward",
        "ave": "(forward + backward) / 2",
    }.get(str(mode), "the pair (forward, backward)")
    if facts.get("return_sequences"):
        if mode != "concat":
            yield f"merge_mode={mode!r}: forward, backward = y.chunk(2, dim=-1); the output is {merged}"
    else:
        yield (
            f"last output, merge_mode={mode!r}: forward, backward = h_n[-2], h_n[-1]; the output is {merged} "
            "(y[:, -1] is not it: there the backward half has seen one step)"
        )


def _map_notes(layer: Layer, facts: Facts) -> Iterator[str]:
    if "flattened" in facts:
        *spatial, channels = facts["flattened"]
        yield (
            f"reads a flattened map: input columns are permuted from channels last to channels first, so flatten the "
            f"PyTorch map ({', '.join(map(str, (channels, *spatial)))}) as it is"
        )
    if facts.get("reshaped"):
        yield "reads a reshaped channels-last map: move the channels last before the reshape, as Keras has them"
    padding, stride = facts.get("padding"), facts.get("strides", 1)
    if padding == "causal":
        yield "causal padding: F.pad(x, ((kernel_size - 1) * dilation, 0)) before the convolution"
    strided = set(_per_axis(stride, 1)) != {1}
    transposed = any("transpose" in part.cell.name for part in layer.parts)
    if padding == "same" and strided and not transposed:
        yield (
            "padding 'same' with a stride: F.pad with max((ceil(n / stride) - 1) * stride + kernel - n, 0) in all, "
            "the odd one at the end"
        )
    if padding == "same" and transposed:
        yield "padding 'same': crop (kernel - stride) // 2 at the start, to n * stride in all"
    if facts.get("data_format") == "channels_last" and any(part.cell.name.startswith("conv") for part in layer.parts):
        yield "channels last in Keras: move the channels to axis 1 for PyTorch"
