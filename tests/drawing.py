"""Hypothesis draws whole Keras models as Python: a failure prints the few lines that rebuild the smallest of them.

Every line makes a layer or calls one; layers are shared, nested models called, states handed on, masks made and read.
The lines run while they are drawn, so that each is chosen for the shapes that there are. Sizes are small primes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from drawing_layers import OTHERS, PRIMES, RECURRENT, SIMPLE, Draw, Kind, Shape, called, drawn
from hypothesis import strategies as st

TIME, BATCH, VOCABULARY = 7, 5, 11
_LARGEST = 2000
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


@dataclass(frozen=True)
class Drawing:
    """A model as text: the lines, what it reads and gives, in which form it is saved, and the seed of its numbers."""

    lines: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    suffix: str
    seed: int
    model: Any = field(compare=False)
    """The model itself, as it was made while it was drawn."""

    @property
    def text(self) -> str:
        listed = [", ".join(names) for names in (self.inputs, self.outputs)]
        return "\n".join([*self.lines, f"model = keras.Model([{listed[0]}], [{listed[1]}])"])

    def __repr__(self) -> str:
        return f"a model (seed {self.seed}, saved as {self.suffix}):\n{self.text}\n"


@dataclass
class Sketch:
    """A drawing while it is made: the symbolic values of its lines, and how each layer was called."""

    keras: Any
    lines: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, str, tuple[Shape, ...]]] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    _names: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, text: str) -> dict[str, Any]:
        """One more line that gives a name to something, or to each of several; returns them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras says where masks stop
            found = eval(text, {"keras": self.keras, "L": self.keras.layers, **self._names})
        made: dict[str, Any] = {}
        self.lines.append(f"{_target(found, name, made)} = {text}")
        self._names |= made
        return made

    def entry(self, shape: Shape, tokens: bool = False) -> str:
        name = f"in{len(self.inputs)}"
        told = f"keras.Input({shape!r}, dtype='int32')" if tokens else f"keras.Input({shape!r})"
        self.put(name, told)
        self.inputs.append(name)
        if not tokens:
            self.values[name] = self._names[name]
        return name

    def layer(self, text: str) -> str:
        """A layer under a name of its own."""
        name = f"layer{len(self.lines)}"
        self.put(name, text)
        return name

    def call(self, layer: str, how: str, *read: str) -> None:
        """A layer called: `how` is the call with places for the values that are read."""
        self.values |= self.put(f"x{len(self.lines)}", how.format(layer, *read))
        self.read |= set(read)
        if set(read) <= set(self.values):
            self.calls.append((layer, how, tuple(map(self.shape, read))))

    def shape(self, name: str) -> Shape:
        return tuple(self.values[name].shape[1:])

    def alike(self, shape: Shape) -> list[str]:
        """The values of a shape that is told; of open ones nobody knows whether they are as long."""
        return [name for name in self.values if self.shape(name) == shape and None not in shape]

    def model(self, outputs: tuple[str, ...]) -> Any:
        return self.keras.Model(*([self._names[name] for name in names] for names in (self.inputs, outputs)))

    def leaves(self) -> list[str]:
        return [name for name in self.values if name not in self.read]


def _target(found: Any, name: str, made: dict[str, Any]) -> str:
    """What stands left of an assignment: a name, or one for each of several values, however they are nested."""
    if not isinstance(found, list | tuple):
        made[name] = found
        return name
    return f"({', '.join(_target(one, f'{name}_{k}', made) for k, one in enumerate(found))})"


@st.composite
def drawings(draw: Any, keras: Any) -> Drawing:
    """A model of two to eight layers."""
    keras.backend.clear_session(free_memory=False)
    sketch = Sketch(keras)
    for _ in range(draw(st.sampled_from((1, 2)))):
        draw(st.sampled_from(ENTRIES))(draw, sketch)
    for _ in range(draw(st.sampled_from((1, 2, 3, 4, 5, 6)))):
        if not draw(st.sampled_from(STEPS))(draw, sketch):
            _simple(draw, sketch)
    made = [name for name in sketch.values if name not in sketch.inputs]
    leaves = [name for name in sketch.leaves() if name not in sketch.inputs]
    others = draw(st.lists(st.sampled_from(made), max_size=1)) if made else []
    outputs = tuple(dict.fromkeys([*leaves[-4:], *others])) or tuple(sketch.values)[-1:]
    suffix = draw(st.sampled_from((".keras", ".keras", ".h5")))
    return Drawing(
        tuple(sketch.lines), tuple(sketch.inputs), outputs, suffix, draw(st.integers(0, 99)), sketch.model(outputs)
    )


def _words(draw: Draw, sketch: Sketch) -> None:
    """Words as vectors, of which one stands for no word."""
    words = sketch.entry((draw(st.sampled_from((TIME, TIME, None))),), tokens=True)
    hidden = drawn(draw, {"mask_zero": (True, True, False)})
    text = called("Embedding", VOCABULARY, draw(st.sampled_from(PRIMES)), **{"mask_zero": True} | hidden)
    sketch.call(sketch.layer(text), "{}({})", words)


def _series(draw: Draw, sketch: Sketch) -> None:
    """Numbers in time, of which whole steps may be masked."""
    entry = sketch.entry((draw(st.sampled_from((TIME, TIME, None))), draw(st.sampled_from(PRIMES))))
    if draw(st.booleans()):
        sketch.call(sketch.layer("L.Masking()"), "{}({})", entry)


def _vector(draw: Draw, sketch: Sketch) -> None:
    sketch.entry((draw(st.sampled_from(PRIMES)),))


def _image(draw: Draw, sketch: Sketch) -> None:
    sketch.entry((TIME, 5, draw(st.sampled_from((2, 3)))))


def _film(draw: Draw, sketch: Sketch) -> None:
    sketch.entry((3, 7, 5, 2))


ENTRIES = (_series, _words, _image, _film, _series, _words, _vector, _image)


def _newest(draw: Draw, names: list[str]) -> str:
    """Most often the last one that was made."""
    return names[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(names[::-1]))


def _fitting(sketch: Sketch, kinds: tuple[Kind, ...]) -> list[str]:
    """The values that a kind of layer takes, of no more elements than is quick."""
    shapes = {name: sketch.shape(name) for name in sketch.values}
    return [
        name for name, shape in shapes.items() if _size(shape) < _LARGEST and any(kind.takes(shape) for kind in kinds)
    ]


def _of(kinds: tuple[Kind, ...], draw: Draw, sketch: Sketch) -> bool:
    names = _fitting(sketch, kinds)
    if not names:
        return False
    name = _newest(draw, names)
    shape = sketch.shape(name)
    kind = draw(st.sampled_from([kind for kind in kinds if kind.takes(shape)]))
    text = kind.text(draw, shape)
    if kind.name == "TimeDistributed" and "return_state" in text:
        return False
    if not _started(draw, sketch, name, text):
        sketch.call(sketch.layer(text), "{}({})", name)
    return True


def _started(draw: Draw, sketch: Sketch, name: str, text: str) -> bool:
    """Call a recurrent layer with initial states, where values are as wide as its units."""
    if not text.startswith(("L.LSTM(", "L.GRU(", "L.SimpleRNN(")):
        return False
    units = int(text.partition("(")[2].partition(",")[0].strip(")"))
    states = sketch.alike((units,))
    if not states or not draw(st.booleans()):
        return False
    count = 2 if text.startswith("L.LSTM") else 1
    given = [draw(st.sampled_from(states)) for _ in range(count)]
    places = ", ".join(["{}"] * count)
    sketch.call(sketch.layer(text), f"{{}}({{}}, initial_state=[{places}])", name, *given)
    return True


def _simple(draw: Draw, sketch: Sketch) -> bool:
    return _of(SIMPLE, draw, sketch)


def _recurrent(draw: Draw, sketch: Sketch) -> bool:
    return _of(RECURRENT, draw, sketch)


def _other(draw: Draw, sketch: Sketch) -> bool:
    return _of(OTHERS, draw, sketch)


def _pair(draw: Draw, sketch: Sketch, ranks: tuple[int, ...]) -> tuple[str, str] | None:
    """Two values of one shape, the same one twice where there is no other."""
    names = [name for name in sketch.values if len(sketch.shape(name)) in ranks]
    several = [name for name in names if len(sketch.alike(sketch.shape(name))) > 1]
    if not names:
        return None
    one = _newest(draw, several or names)
    return one, draw(st.sampled_from(sketch.alike(sketch.shape(one)) or [one]))


def _merge(draw: Draw, sketch: Sketch) -> bool:
    pair = _pair(draw, sketch, (1, 2, 3))
    if pair is None:
        return False
    kind, rank = draw(st.sampled_from(MERGES)), len(sketch.shape(pair[0]))
    axis = drawn(draw, {"axis": (-1, *range(1, rank + 1))}) if kind == "Concatenate" else {}
    sketch.call(sketch.layer(called(kind, **axis)), "{}([{}, {}])", *pair)
    return True


def _dot(draw: Draw, sketch: Sketch) -> bool:
    pair = _pair(draw, sketch, (1, 2))
    if pair is None:
        return False
    axis = draw(st.sampled_from(range(1, len(sketch.shape(pair[0])) + 1)))
    text = called("Dot", axes=axis, **drawn(draw, {"normalize": (False, True)}))
    sketch.call(sketch.layer(text), "{}([{}, {}])", *pair)
    return True


def _attention(draw: Draw, sketch: Sketch) -> bool:
    pair = _pair(draw, sketch, (2,))
    if pair is None or None in (sketch.shape(name)[-1] for name in pair):
        return False
    text = draw(st.sampled_from(ATTENTIONS))
    causal = draw(st.sampled_from(("", "", ", use_causal_mask=True", ", return_attention_scores=True")))
    many = text.startswith("L.MultiHead")
    sketch.call(sketch.layer(text), f"{{}}({{}}, {{}}{causal})" if many else f"{{}}([{{}}, {{}}]{causal})", *pair)
    return True


ATTENTIONS = (
    "L.Attention()",
    "L.Attention(use_scale=True)",
    "L.Attention(score_mode='concat')",
    "L.AdditiveAttention(use_scale=False)",
    "L.AdditiveAttention()",
    "L.MultiHeadAttention(2, 3)",
    "L.MultiHeadAttention(1, 5, use_bias=False, dropout=0.1)",
    "L.MultiHeadAttention(2, 2, value_dim=3)",
)


def _again(draw: Draw, sketch: Sketch) -> bool:
    """A layer that there is, called once more."""
    possible = [call for call in sketch.calls if call[2] and all(sketch.alike(shape) for shape in call[2])]
    if not possible:
        return False
    layer, how, shapes = draw(st.sampled_from(possible[::-1]))
    sketch.call(layer, how, *(draw(st.sampled_from(sketch.alike(shape)[::-1])) for shape in shapes))
    return True


def _nested(draw: Draw, sketch: Sketch) -> bool:
    """A model inside, of one to three layers."""
    names = _fitting(sketch, SIMPLE)
    if not names:
        return False
    name = _newest(draw, names)
    shape = sketch.shape(name)
    inner, value = [f"keras.Input({shape!r})"], sketch.keras.Input(shape)
    for _ in range(draw(st.sampled_from((1, 2, 3)))):
        shape = tuple(value.shape[1:])
        kinds = [kind for kind in SIMPLE if kind.takes(shape)]
        text = draw(st.sampled_from(kinds)).text(draw, shape) if kinds and _size(shape) < _LARGEST else "return_state"
        if "return_state" in text:
            break
        value = eval(text, {"L": sketch.keras.layers})(value)
        inner.append(text)
    if len(inner) > 1:
        sketch.call(sketch.layer(f"keras.Sequential([{', '.join(inner)}])"), "{}({})", name)
    return len(inner) > 1


def _size(shape: Shape) -> int:
    return int(np.prod([size or TIME for size in shape]))


STEPS = (
    *(_simple, _recurrent, _recurrent, _simple, _other, _merge),
    *(_attention, _simple, _again, _nested, _recurrent, _dot),
)


def inputs_for(model: Any, seed: int) -> list[np.ndarray[Any, Any]]:
    """Numbers, of which whole steps are zero, and words, of which some are none: at the start, within, at the end."""
    generator = np.random.default_rng(seed)
    found: list[np.ndarray[Any, Any]] = []
    for value in model.inputs:
        sizes = [BATCH if k == 0 else size or TIME for k, size in enumerate(value.shape)]
        kept = _masks(generator, sizes[1])
        if "int" in str(value.dtype):
            found.append((generator.integers(1, VOCABULARY, sizes) * kept).astype("int32"))
        else:
            numbers = generator.normal(size=sizes)
            found.append((numbers * kept[..., None] if len(sizes) == 3 else numbers).astype(str(value.dtype)))
    return found


def _masks(generator: np.random.Generator, time: int) -> np.ndarray[Any, Any]:
    """(batch, time): whole, masked at the end, at the start, with gaps, and with chance; seldom without a step."""
    masks = np.ones((BATCH, time), bool)
    masks[1, time - 2 :] = masks[2, :2] = masks[3, 1::2] = False
    masks[4] = generator.random(time) < 0.4
    masks[4, int(generator.integers(time))] = generator.random() < 0.8
    return masks
