"""From every framework to every other whose cells agree, and back, by the public function; made of the catalogue."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from layout_samples import OPTIONS, every_layout, given, normal, shapes_of, sizes_of
from sampling import sampled

import converters
from converters import Checkpoint, ConversionWarning, Layer, NotRepresentable, Part
from converters.model.arrays import in_memory
from converters.targets import find
from layouts import Layout, catalogue
from layouts.repack import unpack

NO_CONSTANT = ("projection", "peephole")
HOMES = [
    list({layout.framework: layout for layout in reversed(every_layout(cell))}.values())
    for cell in dict.fromkeys(layout.cell for layout in every_layout())
]
"""For every cell the first layout of each framework."""
PAIRS = [
    pytest.param(one, other, id=f"{one.name}-to-{other.name}".replace(" ", "-"))
    for homes in HOMES
    for one, other in permutations(homes, 2)
]


def checkpoint(layout: Layout, arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> Checkpoint:
    """A source of one layer in this layout."""
    held = {name: in_memory(name, array) for name, array in arrays.items()}
    layer = Layer("rnn", layout.class_name or "layer", (Part(layout, held, constants=OPTIONS, given=sizes),))
    return Checkpoint("arrays", layout.framework, "", "in memory", (layer,))


def moved(source: Checkpoint, framework: str) -> tuple[dict[str, np.ndarray], Layout, list[str]]:
    """The arrays of another framework without the layer's name, their layout, and what was said on the way."""
    asked = {name for layout in catalogue.of(framework) for name in layout.asked}
    options: dict[str, Any] = {"to": framework, "strict": False}
    options["constants"] = {name: value for name, value in OPTIONS.items() if name in asked}
    (module,) = converters.plan(source, **options).modules
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConversionWarning)
        found = converters.convert(source, **options)
    prefix = find(framework).key(module.name, "")
    arrays = {key.removeprefix(prefix): np.asarray(value) for key, value in found.items()}
    assert module.layout is not None
    constants = {name for name in arrays if name in module.layout.constants}
    said = [str(warning.message) for warning in caught]
    return {name: array for name, array in arrays.items() if name not in constants}, module.layout, said


@pytest.mark.parametrize(("one", "other"), sampled(PAIRS, 12))
def test_there_and_back(one: Layout, other: Layout) -> None:
    """Every bit comes back, or a sentence names the convention that changed some."""
    lacking = [slot for slot in NO_CONSTANT if slot not in one.slots & other.slots]
    sizes = given(sizes_of(one, lacking))
    arrays = normal(shapes_of(one, without=lacking))
    try:
        there, layout, said = moved(checkpoint(one, arrays, sizes), other.framework)
    except NotRepresentable as error:
        assert "no place for recurrent_bias" in str(error), "the second bias of a candidate alone is refused"
        return
    back, home, _ = moved(checkpoint(layout, there, sizes), one.framework)
    constants = {"options": OPTIONS, "sizes": sizes}
    before, after = unpack(one, arrays, **constants), unpack(home, back, **constants)
    changed = [piece for piece in before if not _equal(before[piece], after.get(piece))]
    assert all("bias" in piece.slot for piece in changed)
    if changed and not (one.added or home.added):
        assert any("became one, their sum" in text or "rounded" in text for text in said), changed
    for piece in changed:
        total, again = (_sum(pieces, piece) for pieces in (before, after))
        np.testing.assert_allclose(again, total, rtol=0.0, atol=1e-12)


def _equal(one: Any, other: Any) -> bool:
    return not np.any(one) if other is None else bool(np.array_equal(one, other))


def _sum(pieces: Any, piece: Any) -> Any:
    """The biases of one gate, added up."""
    return sum(np.asarray(pieces.get(piece._replace(slot=slot), 0.0)) for slot in ("input_bias", "recurrent_bias"))


def test_every_framework_takes_part() -> None:
    taking = {layout.framework for param in PAIRS for layout in param.values}
    assert taking == set(catalogue.frameworks())


def test_what_has_no_place_is_refused_by_name() -> None:
    layout = catalogue.layers("pytorch")["LSTM"][0]
    source = checkpoint(layout, normal(shapes_of(layout)), {})
    with pytest.raises(NotRepresentable, match=r"Keras 3 has no module for lstm with projection"):
        converters.convert(source, to="keras")


RNN_OF_PYTORCH = catalogue.layers("pytorch")["RNN"][0]


def with_options(layout: Layout, **options: Any) -> Checkpoint:
    """A source of one layer whose cell has these options."""
    arrays = normal(shapes_of(layout, without=NO_CONSTANT))
    held = {name: in_memory(name, array) for name, array in arrays.items()}
    part = Part(layout, held, replace(layout.options, **options), constants=OPTIONS)
    return Checkpoint("arrays", layout.framework, "", "in memory", (Layer("rnn", layout.class_name, (part,)),))


UNUSUAL = [
    {"cell_clip": 0.5},
    {"clip": 3.0},
    {"input_forget": True},
    {"output_activation": "relu"},
]


@pytest.mark.parametrize("options", UNUSUAL, ids=lambda options: next(iter(options)))
@pytest.mark.parametrize(
    "framework", ["chainer", "equinox", "flax", "haiku", "keras", "mlx", "mxnet", "paddle", "sonnet"]
)
def test_what_few_frameworks_compute_is_refused_by_the_others(framework: str, options: dict[str, Any]) -> None:
    source = with_options(catalogue.layers("onnx")["LSTM"][0], **options)
    with pytest.raises(NotRepresentable, match=r"rnn: its? .*(clip|input_forget|output_activation)"):
        converters.convert(source, to=framework)
    assert converters.convert(source, to=framework, strict=False)


def test_onnx_and_a_source_of_its_own_keep_what_they_have() -> None:
    plain = with_options(catalogue.layers("pytorch")["LSTM"][0], clip=3.0, input_forget=True)
    assert converters.convert(plain, to="onnx")
    clipped = with_options(catalogue.layers("tensorflow")["LSTMCell"][0], cell_clip=0.5)
    (module,) = converters.plan(clipped, to="tensorflow", constants={"forget_bias": 1.0}).modules
    assert module.layout is not None and module.layout.class_name == "LSTMCell" and not module.problems


def test_another_class_that_computes_the_function_is_taken() -> None:
    (module,) = converters.plan(with_options(RNN_OF_PYTORCH, activation="relu"), to="chainer").modules
    assert module.layout is not None and module.layout.class_name == "NStepRNNReLU" and not module.problems
    with pytest.raises(NotRepresentable, match="its activation is softsign"):
        converters.convert(with_options(RNN_OF_PYTORCH, activation="softsign"), to="paddle")


def test_the_other_gru_is_named() -> None:
    source = with_options(catalogue.layers("pytorch")["GRU"][0])
    with pytest.raises(NotRepresentable, match="its GRU resets the state before the matrix product"):
        converters.convert(source, to="haiku")


def test_biases_of_half_a_word_are_added_in_the_dtype_that_is_asked() -> None:
    layout = catalogue.layers("pytorch")["LSTM"][0]
    arrays = {name: array.astype(np.float16) for name, array in normal(shapes_of(layout, without=NO_CONSTANT)).items()}
    found = converters.convert(
        {f"rnn.{k}": v for k, v in arrays.items()}, framework="pytorch", to="keras", dtype="float32"
    )
    total = arrays["bias_ih_l0"].astype(np.float32) + arrays["bias_hh_l0"].astype(np.float32)
    np.testing.assert_array_equal(found["rnn/bias"], total)
