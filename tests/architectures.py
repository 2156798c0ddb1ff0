"""Hypothesis draws Keras architectures: as plain data, so that a failing one prints as the few lines that rebuild it.

A `Step` is a layer, a wrapper, a nested model, or branches that are concatenated; a `Design` is a model.
`live_models.build` makes it with the `keras` module that it is given: Keras 3 or tf_keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

PRIMES = st.sampled_from((2, 3, 5, 7, 11))
BATCH, VOCABULARY = 2, 13
# fmt: off
ODD_NAMES = (
    "lstm_1",
    "lstm",
    "gru",
    "dense",
    "dense_1",
    "bidirectional",
    "functional",
    "sequential",
    "layers",
    "vars",
    "cell",
    "forward_layer",
    "lstm_cell",
    "two words",
    "gewürz λ",
    "a.b",
    "top",
    "model_weights",
    "rnn_2",
    "0",
    "optimizer",
    "metrics",
    "optimizer_weights",
)
# fmt: on
"""Names that belong to another layer, to a folder of the file, or to no identifier."""
SLASHED = ("x/y", "enc/rnn")
"""Names that only Keras 2 allows."""


@dataclass(frozen=True)
class Step:
    """One layer: its class, its arguments, and what it wraps: a layer, cells, members, or branches of layers."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inner: tuple[Any, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Design:
    """A model: what it reads, and its layers."""

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    functional: bool
    tokens: bool = False
    padding: str = ""
    """Where the input has masked steps: 'right', 'gaps' or nowhere."""
    floatx: str = "float32"


@dataclass(frozen=True)
class Flow:
    """What flows between layers: the shape without the batch, and whether a mask comes with it."""

    shape: tuple[int, ...]
    masked: bool = False


Drawn = tuple[Step, Flow]
Draw = Callable[[st.SearchStrategy[Any]], Any]


def pick(draw: Draw, **choices: Any) -> dict[str, Any]:
    """Arguments, each drawn from its strategy or its tuple of values; the usual value stands first."""
    return {
        key: draw(value if isinstance(value, st.SearchStrategy) else st.sampled_from(value))
        for key, value in choices.items()
    }


def _cell_options(draw: Draw, kind: str) -> dict[str, Any]:
    options = pick(draw, units=PRIMES, use_bias=(True, False), activation=("tanh", "tanh", "relu", "hard_sigmoid"))
    if kind != "SimpleRNN":
        options |= pick(draw, recurrent_activation=("sigmoid", "sigmoid", "hard_sigmoid"))
    if kind == "GRU":
        options |= pick(draw, reset_after=(True, False))
    return options


def _plain(draw: Draw, sequences: bool) -> Step:
    """LSTM, GRU, SimpleRNN, or RNN around one or several of their cells."""
    kind = draw(st.sampled_from(("LSTM", "GRU", "SimpleRNN", "RNN")))
    outer = {"return_sequences": sequences} | pick(draw, go_backwards=(False, False, True))
    if kind != "RNN":
        return Step(kind, _cell_options(draw, kind) | outer | pick(draw, recurrent_dropout=(0.0, 0.0, 0.3)))
    outer |= pick(draw, zero_output_for_mask=(False, True))
    kinds = draw(st.lists(st.sampled_from(("LSTM", "GRU", "SimpleRNN")), min_size=1, max_size=3))
    same = draw(st.booleans())
    cells = [Step(f"{kind}Cell", _cell_options(draw, kind)) for kind in kinds]
    return Step("RNN", outer, tuple([cells[0]] * len(cells) if same else cells))


def _units(step: Step) -> int:
    return int((step.inner[-1] if step.inner else step).options["units"])


def _bidirectional(draw: Draw, sequences: bool, alone: bool) -> tuple[Step, int]:
    """The layer and the width of what it gives; merge_mode=None, which gives two, only where a graph can take one."""
    layer = _plain(draw, sequences)
    mode = draw(st.sampled_from(("concat", "sum", "mul", "ave", None) if alone else ("concat", "sum", "mul", "ave")))
    inner, width = [layer], _units(layer)
    if layer.kind != "RNN" and draw(st.integers(0, 3)) == 3:
        turned = {"units": width, "go_backwards": not layer.options["go_backwards"]}
        inner.append(replace(layer, options={**layer.options, **_cell_options(draw, layer.kind), **turned}))
    total = 2 * width if mode == "concat" else width
    return Step("Bidirectional", {"merge_mode": mode}, tuple(inner)), total


def recurrent(draw: Draw, flow: Flow, last: bool, functional: bool) -> Drawn:
    """A recurrent layer of any kind on (time, features)."""
    sequences = not last or draw(st.booleans())
    if draw(st.integers(0, 2)) == 2:
        step, width = _bidirectional(draw, sequences, functional)
    else:
        step = _plain(draw, sequences)
        width = _units(step)
        if functional and step.kind != "RNN" and draw(st.integers(0, 3)) == 3:
            step = replace(step, options={**step.options, "return_state": True})
    step = _frozen(draw, step)
    return step, Flow((flow.shape[0], width) if sequences else (width,), flow.masked and sequences)


def _frozen(draw: Draw, step: Step) -> Step:
    return replace(step, options={**step.options, "trainable": False}) if draw(st.integers(0, 5)) == 5 else step


def between(draw: Draw, flow: Flow) -> Drawn:
    """A layer that keeps sequences sequences and vectors vectors, and passes a mask on."""
    kind = draw(st.sampled_from(("Dropout", "Dense", "BatchNormalization", "LayerNormalization", "TimeDistributed")))
    if kind == "TimeDistributed" and len(flow.shape) == 1:
        kind = "Dense"
    if kind == "Dropout":
        return Step(kind, {"rate": 0.5}), flow
    if kind == "TimeDistributed":
        inner = _dense(draw)
        return Step(kind, {}, (inner,)), replace(flow, shape=(*flow.shape[:-1], inner.options["units"]))
    if kind == "Dense":
        inner = _frozen(draw, _dense(draw))
        return inner, replace(flow, shape=(*flow.shape[:-1], inner.options["units"]))
    options = pick(draw, center=(True, False), scale=(True, False), epsilon=(1e-3, 1e-2))
    if kind == "BatchNormalization":
        options |= pick(draw, axis=tuple(range(-len(flow.shape), 0)), momentum=(0.99, 0.9))
    return _frozen(draw, Step(kind, options)), flow


def _dense(draw: Draw) -> Step:
    return Step("Dense", pick(draw, units=PRIMES, use_bias=(True, False), activation=(None, "relu", "tanh")))


def chain(draw: Draw, flow: Flow, functional: bool) -> tuple[list[Step], Flow]:
    """One to three recurrent layers with other layers around them."""
    steps: list[Step] = []
    count = draw(st.integers(1, 3))
    for number in range(count):
        for maker in [between] * draw(st.integers(0, 1)):
            step, flow = maker(draw, flow)
            steps.append(step)
        step, flow = recurrent(draw, flow, number == count - 1, functional)
        steps.append(step)
    if draw(st.booleans()):
        step, flow = between(draw, flow)
        steps.append(step)
    return steps, flow


def _branched(draw: Draw, flow: Flow) -> tuple[list[Step], Flow]:
    """Two chains over one sequence, each to a vector, concatenated."""
    branches, width = [], 0
    for _ in range(2):
        steps, out = chain(draw, flow, True)
        if len(out.shape) > 1:
            step, out = replace(_plain(draw, False), name=""), Flow((0,))
            steps, out = [*steps, step], Flow((_units(step),))
        branches.append(tuple(steps))
        width += out.shape[0]
    return [Step("Concatenate", {}, tuple(branches))], Flow((width,))


@st.composite
def recurrent_designs(draw: Any) -> Design:
    """Recurrent layers of every kind and option, in a row or in branches."""
    shape, functional = (draw(st.sampled_from((5, 7))), draw(PRIMES)), draw(st.booleans())
    branched = functional and draw(st.integers(0, 2)) == 2
    steps, _ = _branched(draw, Flow(shape)) if branched else chain(draw, Flow(shape), functional)
    return design(draw, shape, steps, functional)


@st.composite
def masked_designs(draw: Any) -> Design:
    """The same behind an Embedding or a Masking layer."""
    time, width, functional = draw(st.sampled_from((5, 7))), draw(PRIMES), draw(st.booleans())
    tokens, padding = draw(st.booleans()), draw(st.sampled_from(("right", "gaps")))
    if tokens:
        zero = draw(st.sampled_from((True, True, False)))
        first = _frozen(draw, Step("Embedding", {"input_dim": VOCABULARY, "output_dim": width, "mask_zero": zero}))
        shape: tuple[int, ...] = (time,)
    else:
        first, zero, shape = Step("Masking", {"mask_value": 0.0}), True, (time, width)
    steps, _ = chain(draw, Flow((time, width), zero), functional)
    return replace(design(draw, shape, [first, *steps], functional), tokens=tokens, padding=padding)


@st.composite
def nested_designs(draw: Any) -> Design:
    """Models inside models, with layers of the same names inside and outside, frozen or not."""
    time, functional = draw(st.sampled_from((5, 7))), draw(st.booleans())
    flow = Flow((time, draw(PRIMES)))
    shape, steps = flow.shape, []
    for number in range(draw(st.integers(1, 2))):
        step, flow = _nested(draw, flow, depth=draw(st.integers(1, 2)), last=number == 1)
        steps.append(step)
        if len(flow.shape) == 1:
            break
        more, flow = recurrent(draw, flow, False, functional)
        steps.append(more)
    return design(draw, shape, steps, functional)


def _nested(draw: Draw, flow: Flow, depth: int, last: bool) -> Drawn:
    kind = draw(st.sampled_from(("Sequential", "Functional")))
    shape = flow.shape
    inner: list[Step] = []
    for _ in range(draw(st.integers(0, 1))):
        step, flow = between(draw, flow)
        inner.append(step)
    step, flow = recurrent(draw, flow, last, False)
    inner.append(step)
    if depth > 1 and len(flow.shape) == 2:
        step, flow = _nested(draw, flow, depth - 1, last)
        inner.append(step)
    trainable = {"trainable": False} if draw(st.integers(0, 4)) == 4 else {}
    return Step(kind, {"shape": shape, **trainable}, tuple(inner)), flow


def design(draw: Draw, shape: tuple[int, ...], steps: Sequence[Step], functional: bool) -> Design:
    floatx = draw(st.sampled_from(("float32", "float32", "float64")))
    return Design(shape, tuple(_named(draw, steps)), functional, floatx=floatx)


def _named(draw: Draw, steps: Sequence[Step]) -> list[Step]:
    """Every layer of a model gets an odd name, or none does: a given name must not be one that Keras would count to."""
    steps = [
        replace(s, inner=tuple(_named(draw, s.inner))) if s.kind in ("Sequential", "Functional") else s for s in steps
    ]
    if not draw(st.booleans()):
        return steps
    names = iter(draw(st.permutations(ODD_NAMES + SLASHED)))

    def given(step: Step) -> Step:
        if step.kind != "Concatenate":
            return replace(step, name=next(names))
        return replace(step, name=next(names), inner=tuple(tuple(map(given, branch)) for branch in step.inner))

    return [given(step) for step in steps]
