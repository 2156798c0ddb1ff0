"""An LSTM over maps, for which ONNX has no operator: a convolution of all steps, and a Scan over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import helper

from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.operations import Activation
from converters.targets.onnx import windows
from converters.targets.onnx.emission import Emission, Held
from converters.targets.onnx.functions import activated
from converters.targets.onnx.windows import kernel_of
from layouts.options import ConvolutionalRecurrence


def computes(layer: Layer) -> bool:
    """Whether the states of a layer are maps."""
    return bool(layer.parts) and layer.parts[0].cell.name.startswith("conv_lstm")


def recurrent(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> tuple[list[str], list[str]]:
    """The outputs of each direction of a ConvLSTM, and its states (h, c of each); a Scan over the steps for each."""
    assert node.layer is not None, node.name
    call, held = node.layer.call, e.held(node)
    runs = [_Run(e, each) for each in held]
    x = runs[0].steps_first(inputs[0])
    given = [runs[0].channels_first(state) for state in inputs[1:]]
    keep = _beside(e, mask, e.rank(node.mask), len(kernel_of(held[0].parts[0]))) if mask else ""
    count = len(given) // len(runs)
    outputs, states = [], []
    for number, run in enumerate(runs):
        flip = (number == 1) != (call.direction in ("backward", "reverse"))
        turn = e.reversed if flip else lambda value, axis: value
        seen = turn(keep, 0) if keep else ""
        y, final = run.over(turn(x, 0), given[number * count :][:count], seen)
        y = _shown(e, y, seen, call.zeros_where_masked) if seen else y
        turned = call.sequences is not False and (number == 1 or call.direction == "reverse")
        y = e.reversed(y, 0) if turned else y
        outputs.append(run.back(y) if call.sequences is not False else run.channels_back(_last(e, y)))
        states += [run.channels_back(state) for state in final]
    return outputs, states


def _last(e: Emission, y: str) -> str:
    return e.op("Gather", y, e.constant(np.array(-1)), axis=0)


def _beside(e: Emission, mask: str, rank: int, count: int) -> str:
    """A mask (batch, time), or of every place, as it goes with (time, batch, channels, …)."""
    first = e.permuted(mask, (1, 0, *range(2, rank)))
    return e.op("Unsqueeze", first, e.ints(2, *(range(3, 3 + count) if rank == 2 else ())))


def _shown(e: Emission, y: str, keep: str, zeros: bool) -> str:
    """Outputs with zeros where a step is masked, or where none has counted yet."""
    if not zeros:
        counted = e.op("CumSum", e.cast(keep, np.int64), e.constant(np.array(0)))
        keep = e.op("Greater", counted, e.constant(np.array(0)))
    return e.op("Where", keep, y, e.number(0.0))


class _Run:
    """One direction. Sequences are (time, batch, channels, …) here, states (batch, channels, …)."""

    def __init__(self, e: Emission, held: Held) -> None:
        self.e, self.part, self.w = e, held.parts[0], held.arrays
        self.kernel, self.units = kernel_of(self.part), self.part.solved()["unit"]
        self.last = self.part.convolution.channels_last

    def _order(self, front: int, there: bool) -> list[int]:
        """The order of axes that brings the channels behind those in front, or back to the end."""
        rank = front + 1 + len(self.kernel)
        if not self.last:
            return list(range(rank))
        return (
            [*range(front), rank - 1, *range(front, rank - 1)]
            if there
            else [*range(front), *range(front + 1, rank), front]
        )

    def steps_first(self, x: str) -> str:
        order = self._order(2, there=True)
        return self.e.permuted(x, [order[1], order[0], *order[2:]])

    def back(self, y: str) -> str:
        """Outputs as the source has them: (batch, time, …)."""
        batches = self.e.permuted(y, (1, 0, *range(2, 3 + len(self.kernel))))
        return self.e.permuted(batches, self._order(2, there=False))

    def channels_first(self, state: str) -> str:
        return self.e.permuted(state, self._order(1, there=True))

    def channels_back(self, state: str) -> str:
        return self.e.permuted(state, self._order(1, there=False))

    def over(self, x: str, given: Sequence[str], keep: str) -> tuple[str, list[str]]:
        """The outputs of all steps, and the final h and c."""
        e, read = self.e, self._projected(x)
        first = e.sliced(e.op("Gather", read, e.constant(np.array(0)), axis=0), 1, 0, self.units)
        start = list(given) or [e.op("Expand", e.number(0.0), e.op("Shape", first))] * 2
        scanned = [read, keep] if keep else [read]
        h, c, y = e.ops("Scan", *start, *scanned, count=3, body=self._body(bool(keep)), num_scan_inputs=len(scanned))
        return y, [h, c]

    def _projected(self, x: str) -> str:
        """The input's part of the gates of all steps: all of them are one batch of a convolution."""
        e = self.e
        flat = e.op("Reshape", x, e.op("Concat", e.ints(-1), e.op("Shape", x, start=2), axis=0))
        read = windows.convolved(e, self.part, flat, self.w["W"], self.w.get("B", ""), self.kernel, 1)
        sizes = e.op("Concat", e.op("Shape", x, start=0, end=2), e.op("Shape", read, start=1), axis=0)
        return e.op("Reshape", read, sizes)

    def _body(self, masked: bool) -> Any:
        """One step: h and c, what is read, and whether it counts; the new ones, and the output."""
        e, options = self.e.within(), self.part.options
        assert isinstance(options, ConvolutionalRecurrence)
        h, c, read, *keep = (e.name(word) for word in ("h", "c", "read", "keep")[: 3 + masked])
        auto = windows.AUTO[options.recurrent_padding]
        gates = e.op("Add", read, e.op("Conv", h, self.w["R"], auto_pad=auto, kernel_shape=self.kernel))
        i, f, g, o = e.ops("Split", gates, count=4, axis=1)
        inner, gate = Activation(options.activation), Activation(options.recurrent_activation)
        i, f, o = (activated(e, each, gate) for each in (i, f, o))
        new_c = e.op("Add", e.op("Mul", f, c), e.op("Mul", i, activated(e, g, inner)))
        new_h = e.op("Mul", o, activated(e, new_c, inner))
        if keep:
            new_h, new_c = (e.op("Where", keep[0], new, old) for new, old in ((new_h, h), (new_c, c)))
        made = [e.op("Identity", each) for each in (new_h, new_c, new_h)]
        kinds = [*[e.kind] * 3, *[np.dtype(bool)] * masked]
        given = [_info(name, kind) for name, kind in zip((h, c, read, *keep), kinds, strict=True)]
        return helper.make_graph(e.nodes, "step", given, [_info(name, e.kind) for name in made])


def _info(name: str, kind: np.dtype[Any]) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), None)
