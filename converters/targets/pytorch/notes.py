"""What the forward code has to do that the source did by itself, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.model.stacking import bidirectional
from converters.targets.pytorch import padding

_STATES = {"initial_h": "h_0", "initial_c": "c_0"}
_MERGED = {
    "concat": "torch.cat([forward, backward], dim=-1)",
    "sum": "forward + backward",
    "mul": "forward * backward",
    "ave": "(forward + backward) / 2",
    "pair": "the pair (forward, backward)",
}


def notes(layer: Layer, apart: str) -> Iterator[str]:
    """Forward code that the source did by itself and PyTorch does not; `apart`: why the layer is several modules."""
    if layer.recurrent:
        yield from _recurrent_notes(layer, bool(apart))
    if layer.call.activation not in ("", "linear"):
        yield f"apply {layer.call.activation} to the output: it is fused into the layer"
    yield from _feature_map_notes(layer)
    yield from _axis_notes(layer)
    if layer.call.each_step:
        yield "TimeDistributed: runs on every time step; merge batch and time before it where the module needs that"
    if layer.call.padding_index:
        yield "mask_zero: index 0 is padding; build the mask from the indices (padding_idx would only block gradients)"


def _recurrent_notes(layer: Layer, apart: bool) -> Iterator[str]:
    call, both = layer.call, bidirectional(layer.parts)
    yield from _direction_notes(call, both, apart)
    if both:
        yield from _merge_notes(call, apart)
    elif call.sequences is False:
        yield "the last output alone: use h_n[-1]"
    yield from _mask_notes(call)
    yield from _state_notes(layer)
    yield from _step_notes(call)


def _direction_notes(call: Call, both: bool, apart: bool) -> Iterator[str]:
    """Which sequences are turned round before and after a module."""
    ragged = call.lengths or call.masked
    if both and apart:
        whole = f"x.flip({call.time_axis}), and their outputs are flipped back"
        each = "each sequence reversed within its own length, and their outputs are reversed back"
        yield f"the backward modules read {each if ragged else whole}"
    if call.direction == "backward":
        yield f"go_backwards: feed x.flip({call.time_axis}); the outputs stay in that reversed order"
    elif call.direction == "reverse":
        whole = f"feed x.flip({call.time_axis}) and flip the outputs back along that axis"
        each = "reverse each sequence within its own length, and its outputs too"
        yield f"direction 'reverse': {each if call.lengths else whole}; h_n is the state after the first step of x"


def _merge_notes(call: Call, apart: bool) -> Iterator[str]:
    """How the outputs of two directions become those of the source."""
    time_first = call.time_axis == 0
    if call.merge == "stacked":
        axes = f"Y is ({'time' if time_first else 'batch, time'}, directions, {'batch, ' if time_first else ''}units)"
        split = f"forward, backward = y.chunk(2, dim=-1), stacked on axis {1 + call.time_axis}"
        yield f"{axes}: {'stack the outputs of the two modules' if apart else split}"
        return
    merged = _MERGED.get(call.merge or "concat", _MERGED["pair"])
    if apart and call.sequences is None and call.merge == "concat":
        yield f"forward and backward are the outputs of the two modules: the output is {merged}"
    mode = call.merge or "concat"
    if call.sequences:
        if mode != "concat":
            yield f"directions merged by {mode!r}: forward, backward = y.chunk(2, dim=-1); the output is {merged}"
    elif call.sequences is False:
        last = "y[-1]" if time_first else "y[:, -1]"
        yield (
            f"the last output alone, directions merged by {mode!r}: forward, backward = h_n[-2], h_n[-1]; the output "
            f"is {merged} ({last} is not it: there the backward half has seen one step)"
        )


def _mask_notes(call: Call) -> Iterator[str]:
    packed = f"{'batch_first=True, ' * call.time_axis}enforce_sorted=False"
    if call.masked:
        agrees = (
            "outputs and h_n agree"
            if call.zeros_where_masked
            else "h_n agrees; after the end of a sequence the source repeats the last output, where PyTorch gives zeros"
        )
        yield (
            f"a mask reaches this layer: pass pack_padded_sequence(x, lengths, {packed}); {agrees} "
            "(a mask with gaps cannot be packed: run the valid steps alone)"
        )
    if call.masked and call.zeros_where_masked and call.sequences is False:
        yield "the output is 0 where the last step that is read is masked, and h_n is not"
    if call.lengths:
        yield (
            f"sequence_lens: pass pack_padded_sequence(x, sequence_lens, {packed}); outputs, 0 after the end of a "
            "sequence, and h_n agree"
        )


def _state_notes(layer: Layer) -> Iterator[str]:
    call = layer.call
    if call.stateful:
        yield "stateful: pass the h_n (and c_n) of one batch as the initial state of the next"
    if call.states:
        yield "returns its states: they are h_n (and c_n), with an axis for layer and direction in front"
    by_batch = call.time_axis == 1 and layer.parts[0].layout.framework == "onnx" and not layer.wiring.transposed
    axes = "(batch, directions, units): transpose it to " if by_batch else ""
    wanted = "(batch, units)" if call.cell else f"{axes}(layers × directions, batch, units)"
    for name, where in call.initial.items():
        source = "is an input" if where == "input" else "is stored in the graph and not zero"
        yield f"{name} {source}: pass it as {_STATES[name]}, {wanted}"


def _step_notes(call: Call) -> Iterator[str]:
    if call.recurrent_dropout:
        yield "recurrent_dropout acts in training only and has no counterpart in torch.nn"
    if call.cell:
        yield "its weights carry the names of a cell, which computes one step: call it for each step"
    elif call.single_step:
        yield "computes one step: give it a sequence of one, and its states of the step before"
    elif call.time_axis == 0:
        yield "reads (time, batch, input), as the module does with batch_first=False"


def _feature_map_notes(layer: Layer) -> Iterator[str]:
    if layer.wiring.flattened and layer.parts[0].flattened:
        *spatial, channels = layer.wiring.flattened
        yield (
            "reads a flattened feature map: input columns are permuted from channels last to channels first, so "
            f"flatten the PyTorch map ({', '.join(map(str, (channels, *spatial)))}) as it is"
        )
    if layer.wiring.reshaped:
        yield "reads a reshaped channels-last feature map: move the channels last before the reshape, as in the source"
    part = layer.parts[0]
    if part.cell.name.startswith("conv_lstm"):
        yield from _map_sequence_notes(layer)
        return
    if "conv" in part.cell.name:
        sizes = part.solved()
        kernel = [sizes[word] for word in ("depth", "height", "width") if word in sizes]
        yield from padding.notes(part.convolution, kernel, transposed="transpose" in part.cell.name)
    if part.convolution.channels_last:
        yield "channels last in the source: move the channels to axis 1 for PyTorch"


def _map_sequence_notes(layer: Layer) -> Iterator[str]:
    """What stands around a ConvLSTM, whose inputs are (batch, time, channels, …)."""
    call = layer.call
    if layer.parts[0].convolution.channels_last:
        yield "channels last in the source: move the channels to axis 2 for it, and back after it"
    if call.direction == "backward":
        yield "go_backwards: feed x.flip(1); the outputs stay in that reversed order"
    if call.sequences is False:
        yield "the last output alone: use h_n"
    if call.masked:
        yield "a mask reaches this layer: masked steps keep its state, and there is no packing for it"
    yield from _state_notes(layer)


def _axis_notes(layer: Layer) -> Iterator[str]:
    """Where a layer works along other axes in its source than its module does in PyTorch."""
    part, rank = layer.parts[0], layer.wiring.rank
    name, axes = part.cell.name, part.normalization.axes
    if name == "prelu":
        yield from _slope_notes(part, rank)
    counted = sorted(n + (rank or 2) if n < 0 else n for n in axes)
    if name in ("batch_norm", "group_norm") and counted and counted != [1]:
        yield f"the channels are axis {counted[0]} of the source's input: move them to axis 1, where PyTorch has them"
    elif name.startswith("layer_norm") and rank is not None and counted != list(range(rank - len(counted), rank)):
        yield f"normalises axes {counted} of its input: move them to the end before the module, and back after it"
    elif name.startswith("layer_norm") and rank is None and any(n >= 0 for n in axes):
        yield f"normalises axes {list(axes)} of its input: unless these are the last, move them to the end and back"


def _slope_notes(part: Part, rank: int | None) -> Iterator[str]:
    """Slopes that are aligned with the last axes of the input, as ONNX has them; those of nn.PReLU are of axis 1."""
    (shape,) = part.shapes.values()
    if part.layout.framework != "onnx" or part.solved()["channel"] == 1:
        return
    if rank is None:
        yield f"a slope for each element of axis -{len(shape)}: unless that is axis 1, move it there for PyTorch"
    elif rank - len(shape) != 1:
        yield f"a slope for each element of axis {rank - len(shape)}: move it to axis 1, where PyTorch has the channels"
