"""What the forward code has to do that the source did by itself, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converters.model.checkpoint import Layer, Part
from converters.plan.refusal import bidirectional, difference
from converters.targets.pytorch import padding

Facts = Mapping[str, Any]


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
    """Where a layer works along other axes in its source than its module does in PyTorch."""
    name, rank = layer.parts[0].cell.name, facts.get("rank", 2)
    if layer.parts[0].layout.framework == "onnx":
        yield from _slope_notes(layer.parts[0], facts) if name == "prelu" else ()
        return
    axis = facts.get("axis", -1)
    axes = [axis] if isinstance(axis, int) else list(axis) if isinstance(axis, list | tuple) else []
    counted = sorted(n + rank if n < 0 else n for n in axes if isinstance(n, int))
    if name in ("batch_norm", "group_norm") and counted and counted != [1]:
        yield f"the channels are axis {counted[0]} of the Keras input: move them to axis 1, where PyTorch has them"
    elif name.startswith("layer_norm") and "rank" in facts and counted != list(range(rank - len(counted), rank)):
        yield f"normalises axes {counted} of the Keras input: move them to the end before the module, and back after it"
    elif name.startswith("layer_norm") and "rank" not in facts and any(n >= 0 for n in axes):
        yield f"normalises axes {axes} of the Keras input: unless these are the last, move them to the end and back"


def _slope_notes(part: Part, facts: Facts) -> Iterator[str]:
    """Slopes of ONNX's PRelu are aligned with the last axes of the input; those of nn.PReLU are of axis 1."""
    (shape,) = part.shapes.values()
    if part.solved()["channel"] == 1:
        return
    rank = facts.get("rank")
    if isinstance(rank, int) and rank - len(shape) != 1:
        yield f"a slope for each element of axis {rank - len(shape)}: move it to axis 1, where PyTorch has the channels"
    elif rank is None:
        yield f"a slope for each element of axis -{len(shape)}: unless that is axis 1, move it there for PyTorch"


def _recurrent_notes(layer: Layer, facts: Facts) -> Iterator[str]:
    both, time = bidirectional(layer.parts), 0 if facts.get("time_major") else 1
    if "gives" in facts:
        yield from _node_notes(layer, facts, both)
    elif any(part.direction == "backward" for part in layer.parts):
        yield from _merge_notes(facts)
    elif facts.get("return_sequences") is False:
        yield "return_sequences=False: use h_n[-1], the last output"
    if facts.get("go_backwards") and not both:
        yield f"go_backwards: feed x.flip({time}); the outputs stay in that reversed order"
    if facts.get("masked"):
        yield (
            f"a mask reaches this layer: pass pack_padded_sequence(x, lengths, {'batch_first=True, ' * time}"
            "enforce_sorted=False); "
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
    if facts.get("cell"):
        yield "its weights carry the names of a cell, which computes one step: call it for each step"
    elif facts.get("single_step"):
        yield "computes one step: give it a sequence of one, and its states of the step before"
    elif facts.get("time_major"):
        yield "time_major: reads (time, batch, input), as the module does with batch_first=False"


def _node_notes(layer: Layer, facts: Facts, both: bool) -> Iterator[str]:
    """What a recurrent node of ONNX does around the cell: direction, lengths, initial states, the axes of Y."""
    time = 0 if facts.get("time_major") else 1
    lengths = facts.get("sequence_lens")
    if facts.get("direction") == "reverse":
        whole = f"feed x.flip({time}) and flip the outputs back along that axis"
        each = "reverse each sequence within its own length, and its outputs too"
        yield f"direction 'reverse': {each if lengths else whole}; h_n is the state after the first step of x"
    if both:
        axes = f"Y is ({'batch, time' if time else 'time'}, directions, {'' if time else 'batch, '}units)"
        if difference(layer.parts):
            yield f"{axes}: stack the outputs of the two modules"
        else:
            yield f"{axes}: forward, backward = y.chunk(2, dim=-1), stacked on axis {1 + time}"
    if lengths:
        yield (
            f"sequence_lens: pass pack_padded_sequence(x, sequence_lens, {'batch_first=True, ' * time}"
            "enforce_sorted=False); outputs, 0 after the end of a sequence, and h_n agree"
        )
    by_batch = time and layer.parts[0].layout.framework == "onnx"
    axes = "(batch, directions, units): transpose it to " if by_batch else ""
    wanted = "(batch, units)" if facts.get("cell") else f"{axes}(layers × directions, batch, units)"
    for name, short in (("initial_h", "h_0"), ("initial_c", "c_0")):
        if name in facts:
            where = "is an input" if facts[name] == "input" else "is stored in the graph and not zero"
            yield f"{name} {where}: pass it as {short}, {wanted}"


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
        last = "y[-1]" if facts.get("time_major") else "y[:, -1]"
        yield (
            f"last output, merge_mode={mode!r}: forward, backward = h_n[-2], h_n[-1]; the output is {merged} "
            f"({last} is not it: there the backward half has seen one step)"
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
    name = layer.parts[0].cell.name
    if "conv" in name:
        sizes = layer.parts[0].solved()
        kernel = [sizes[word] for word in ("depth", "height", "width") if word in sizes]
        yield from padding.notes(facts, kernel, transposed="transpose" in name)
    if facts.get("data_format") == "channels_last" and any(part.cell.name.startswith("conv") for part in layer.parts):
        yield "channels last in Keras: move the channels to axis 1 for PyTorch"
