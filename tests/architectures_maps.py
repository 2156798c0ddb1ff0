"""Drawn architectures with convolutions: maps that are pooled, flattened and read by dense or recurrent layers."""

from __future__ import annotations

from typing import Any

from architectures import PRIMES, Design, Draw, Flow, Step, between, design, pick, recurrent
from hypothesis import strategies as st

Drawn = tuple[Step, Flow]


def _convolution(draw: Draw, flow: Flow) -> Drawn:
    rank = len(flow.shape) - 1
    paddings = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
    options = pick(draw, filters=PRIMES, use_bias=(True, False), activation=(None, "relu"), padding=paddings)
    kernel = tuple(draw(st.sampled_from((1, 2, 3))) for _ in range(rank))
    if draw(st.integers(0, 3)) == 3:
        options["dilation_rate"], steps = 2, 1
    else:
        steps = options["strides"] = draw(st.sampled_from((1, 1, 2)))
    reach = [(k - 1) * options.get("dilation_rate", 1) + 1 for k in kernel]
    if options["padding"] == "valid" and any(n < r for n, r in zip(flow.shape, reach, strict=False)):
        options["padding"] = "same"
    sizes = [_length(n, r, steps, options["padding"]) for n, r in zip(flow.shape, reach, strict=False)]
    return Step(f"Conv{rank}D", options | {"kernel_size": kernel}), Flow((*sizes, options["filters"]))


def _length(size: int, reach: int, step: int, padding: str) -> int:
    return (size - reach) // step + 1 if padding == "valid" else -(-size // step)


def _pooling(draw: Draw, flow: Flow) -> Drawn:
    rank = len(flow.shape) - 1
    kind = draw(st.sampled_from(("MaxPooling", "AveragePooling")))
    options = pick(draw, padding=("valid", "same"), strides=(None, 1, 2))
    if min(flow.shape[:-1]) < 2:
        options["padding"] = "same"
    sizes = [_length(n, 2, options["strides"] or 2, options["padding"]) for n in flow.shape[:-1]]
    return Step(f"{kind}{rank}D", {"pool_size": 2, **options}), Flow((*sizes, flow.shape[-1]))


def _maps(draw: Draw, flow: Flow) -> tuple[list[Step], Flow]:
    """One or two convolutions with pooling, normalisation or dropout behind them."""
    steps = []
    for _ in range(draw(st.integers(1, 2))):
        step, flow = _convolution(draw, flow)
        steps.append(step)
        extra = draw(st.sampled_from((None, _pooling, _normal, _dropout)))
        if extra:
            step, flow = extra(draw, flow)
            steps.append(step)
    return steps, flow


def _normal(draw: Draw, flow: Flow) -> Drawn:
    return Step("BatchNormalization", pick(draw, center=(True, False), scale=(True, False))), flow


def _dropout(draw: Draw, flow: Flow) -> Drawn:
    return Step("Dropout", {"rate": 0.5}), flow


def _flat(flow: Flow) -> Flow:
    total = 1
    for size in flow.shape:
        total *= size
    return Flow((total,))


def _end(draw: Draw, flow: Flow, functional: bool) -> list[Step]:
    """Flatten and Dense, a recurrent layer over the rows, or a pooling over everything and Dense."""
    kinds = (
        ("Flatten", "GlobalAveragePooling", "recurrent") if len(flow.shape) == 2 else ("Flatten", "GlobalMaxPooling")
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "recurrent":
        return [recurrent(draw, flow, True, functional)[0]]
    rank = len(flow.shape) - 1
    first = Step("Flatten") if kind == "Flatten" else Step(f"{kind}{rank}D")
    after, flow = [], _flat(flow) if kind == "Flatten" else Flow(flow.shape[-1:])
    if draw(st.integers(0, 2)) == 2:
        after.append(Step("Dropout", {"rate": 0.5}))
    if draw(st.integers(0, 2)) == 2:
        after.append(_normal(draw, flow)[0])
    return [first, *after, Step("Dense", {"units": draw(PRIMES)})]


def _frames(draw: Draw, time: int, flow: Flow, functional: bool) -> list[Step]:
    """The layers on every frame, flattened, and a recurrent layer over the frames."""
    steps, flow = _maps(draw, flow)
    inner = [*steps, Step("Flatten")]
    wrapped = [step if step.kind == "Dropout" else Step("TimeDistributed", {}, (step,)) for step in inner]
    wide = Flow((time, _flat(flow).shape[0]))
    tail = [recurrent(draw, wide, True, functional)[0]] if draw(st.booleans()) else [between(draw, wide)[0]]
    return [*wrapped, *tail]


@st.composite
def map_designs(draw: Any) -> Design:
    """Conv1D or Conv2D on a map, or on every frame of a sequence of maps."""
    functional = draw(st.booleans())
    rank = draw(st.integers(1, 2))
    shape = (*draw(st.permutations((7, 5, 3)))[:rank], draw(st.sampled_from((2, 3))))
    if draw(st.integers(0, 3)) == 3:
        return design(draw, (5, *shape), _frames(draw, 5, Flow(shape), functional), functional)
    steps, flow = _maps(draw, Flow(shape))
    return design(draw, shape, [*steps, *_end(draw, flow, functional)], functional)
