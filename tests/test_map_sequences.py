"""ConvLSTM layers of whole models against live Keras: masks, states, both directions, states that are kept.

Each model is built, written as source, and evaluated without torch; all three are compared with Keras.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sampling import sampled

import converters
from converters.torch.own_file import module_from

keras = pytest.importorskip("keras", minversion="3")
K = keras.layers

Array = np.ndarray[Any, Any]
Case = tuple[Any, list[Array]]
TOLERANCE = 1e-6
STEPS, SPACE, CHANNELS = 5, (7, 3), 2


def over(number: int = 2, kernel: Any = (2, 3), **options: Any) -> Any:
    """A layer whose maps keep their size, so that masks of every place fit."""
    return getattr(K, f"ConvLSTM{number}D")(3, kernel if number == 2 else 2, **{"padding": "same"} | options)


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def by_steps(layer: Any, first: bool = False) -> Case:
    """Maps behind a mask of the steps: at the start, in between, at the end, all, none."""
    space = (CHANNELS, *SPACE) if first else (*SPACE, CHANNELS)
    size = int(np.prod(space))
    x = keras.Input((STEPS, size))
    maps = K.TimeDistributed(K.Reshape(space))(K.Masking()(x))
    given = numbers(5, STEPS, size)
    given[0, :2] = given[1, 2] = given[2, 3:] = given[3] = 0.0
    return keras.Model(x, layer(maps)), [given]


def by_places(layer: Any, framework: Any = keras, started: bool = False) -> Case:
    """Maps behind a mask of every place of them."""
    K = framework.layers
    x = framework.Input((STEPS, *SPACE, CHANNELS))
    states = [framework.Input((*SPACE, 3)) for _ in "hc"] if started else []
    seen = np.random.default_rng(3).random((4, STEPS, *SPACE, 1)) > 0.5
    seen[0] = False
    given = [numbers(4, STEPS, *SPACE, CHANNELS) * seen]
    given += [numbers(4, *SPACE, 3, seed=seed) for seed in range(len(states))]
    masked = K.Masking()(x)
    y = layer(masked, initial_state=states) if started else layer(masked)
    return framework.Model([x, *states], y), [value.astype("float32") for value in given]


def plainly(layer: Any, *shape: int) -> Case:
    x = keras.Input(shape)
    return keras.Model(x, layer(x)), [numbers(3, *shape)]


def decoding(first: bool) -> Case:
    """An encoder whose states start a decoder, in one direction and in both."""
    told = {"data_format": "channels_first" if first else "channels_last", "return_state": True}
    source, target = ((2, 7, 3), (5, 7, 3)) if first else ((7, 3, 2), (7, 3, 5))
    x, y = keras.Input((STEPS, *source)), keras.Input((4, *target))
    _, *states = over(**told)(x)
    _, *both = K.Bidirectional(over(kernel=3, **told))(x)
    decoded = over(return_sequences=True, **told)(y, initial_state=states)
    beside = K.Bidirectional(over(return_sequences=True, **told))(y, initial_state=both)
    return keras.Model([x, y], [*decoded, *beside]), [numbers(3, STEPS, *source), numbers(3, 4, *target)]


def both(merge: str | None, sequences: bool, first: bool) -> Case:
    told = "channels_first" if first else "channels_last"
    layer = over(return_sequences=sequences, data_format=told)
    return by_steps(K.Bidirectional(layer, merge_mode=merge), first)


CASES: dict[str, Callable[[], Case]] = {
    "steps": lambda: by_steps(over(return_sequences=True)),
    "steps, the last": lambda: by_steps(over()),
    "steps, channels first": lambda: by_steps(over(return_sequences=True, data_format="channels_first"), True),
    "steps backwards": lambda: by_steps(over(return_sequences=True, go_backwards=True)),
    "steps as zeros": lambda: by_steps(over(return_sequences=True, zero_output_for_mask=True)),
    "steps as zeros, the last backwards": lambda: by_steps(over(go_backwards=True, zero_output_for_mask=True)),
    "steps and states": lambda: by_steps(over(return_sequences=True, return_state=True)),
    "places": lambda: by_places(over(return_sequences=True)),
    "places in both": lambda: by_places(K.Bidirectional(over())),
    "places and states": lambda: by_places(over(return_sequences=True, return_state=True), started=True),
    "decoding": lambda: decoding(False),
    "decoding, channels first": lambda: decoding(True),
    "dilated line": lambda: plainly(over(1, dilation_rate=2, padding="valid", return_sequences=True), 4, 11, 2),
    "volume": lambda: plainly(K.ConvLSTM3D(3, 2, strides=2, padding="same", recurrent_dropout=0.5), 4, 5, 7, 3, 2),
    "flattened": lambda: plainly(keras.Sequential([over(), K.Flatten(), K.Dense(5)]), STEPS, *SPACE, CHANNELS),
    "flattened steps": lambda: plainly(
        keras.Sequential([over(return_sequences=True), K.TimeDistributed(K.Flatten()), K.LSTM(5)]), STEPS, *SPACE, 2
    ),
    **{
        f"both {merge}, {'all' if sequences else 'last'}, {'first' if first else 'last'}": (
            lambda merge=merge, sequences=sequences, first=first: both(merge, sequences, first)
        )
        for merge, sequences, first in [
            ("concat", True, True),
            ("concat", False, True),
            ("concat", True, False),
            ("sum", False, False),
            ("mul", True, False),
            ("ave", True, True),
            (None, True, False),
        ]
    },
}


def saved(model: Any, file: Path, seed: int = 0) -> Path:
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.4, tuple(weight.shape)))
    model.save(file)
    return file


def compared(model: Any, file: Path, inputs: Sequence[Array], folder: Path) -> Any:
    """The module that is built, after it, the source that is written and the evaluator gave what Keras gives."""
    expected = keras.tree.flatten(model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(file)
        converters.port(file, folder)
    for own in (module, module_from(str(folder / "model.py"), None)):
        with torch.no_grad():
            found = own(*map(torch.from_numpy, inputs))
        near(found if isinstance(found, tuple) else (found,), expected)
        getattr(own, "reset_states", lambda: None)()
    assert converters.verify(file, module, inputs=inputs, by="numpy").ok
    return module


def near(found: Sequence[Any], expected: Sequence[Any]) -> None:
    for one, other in zip(found, map(np.asarray, expected), strict=True):
        assert tuple(one.shape) == other.shape
        np.testing.assert_allclose(one.numpy(), other, rtol=0.0, atol=TOLERANCE * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("case", sampled(CASES, 8))
def test_whole_models(case: str, tmp_path: Path) -> None:
    model, inputs = CASES[case]()
    compared(model, saved(model, tmp_path / "model.keras"), inputs, tmp_path / "ported")


@pytest.mark.parametrize("both", [False, True], ids=["one", "both"])
def test_states_are_kept_between_calls(both: bool, tmp_path: Path) -> None:
    layer = over(stateful=True, strides=(2, 1))
    x = keras.Input(batch_shape=(3, STEPS, *SPACE, CHANNELS))
    model = keras.Model(x, K.Bidirectional(layer)(x) if both else layer(x))
    file, inputs = saved(model, tmp_path / "model.keras"), numbers(3, STEPS, *SPACE, CHANNELS)
    module = compared(model, file, [inputs], tmp_path / "ported")
    model.layers[-1].reset_state() if not both else [
        side.reset_state() for side in (model.layers[-1].forward_layer, model.layers[-1].backward_layer)
    ]
    with torch.no_grad():
        for _ in range(2):
            near([module(torch.from_numpy(inputs))], [model(inputs)])


def test_masked_outputs_repeat_in_both_directions_before_keras_3(tmp_path: Path) -> None:
    """The `call` of a layer over maps passes no zero_output_for_mask there."""
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    inner = layers.ConvLSTM2D(3, (2, 3), padding="same", return_sequences=True)
    model, inputs = by_places(layers.Bidirectional(inner), tf_keras)
    compared(model, saved(model, tmp_path / "model.h5"), inputs, tmp_path / "ported")


def test_states_that_are_kept_and_given_are_refused(tmp_path: Path) -> None:
    x, h, c = (keras.Input(batch_shape=(3, *shape)) for shape in ((STEPS, *SPACE, 2), (*SPACE, 3), (*SPACE, 3)))
    model = keras.Model([x, h, c], over(stateful=True)(x, initial_state=[h, c]))
    with pytest.raises(converters.ConversionError, match="which of them count is not known"):
        converters.build(saved(model, tmp_path / "model.keras"))


def test_a_map_that_is_flattened_behind_a_sequence_keeps_the_order_of_pytorch(tmp_path: Path) -> None:
    """The columns of the Dense layer are permuted, as behind a convolution: it reads what PyTorch flattens."""
    model, inputs = CASES["flattened"]()
    file = saved(model, tmp_path / "model.keras")
    state = converters.convert(file, dropins=True)
    name = next(layer.path for layer in converters.read(file).layers if layer.class_name == "Dense")
    maps = model.layers[-1].layers[0](inputs[0])
    flat = np.moveaxis(np.asarray(maps), -1, 1).reshape(len(inputs[0]), -1)
    expected = np.asarray(model(inputs[0]))
    prefix = name.replace("/", ".")
    found = flat @ state[f"{prefix}.weight"].numpy().T + state[f"{prefix}.bias"].numpy()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCE * np.abs(expected).max())
