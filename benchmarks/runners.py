"""One way to run a model, for `running.py`: reads "task batch" lines, answers "@seconds" or "@why not".

python benchmarks/runners.py make MODEL FOLDER      (writes model.keras and model.onnx by Keras itself)
python benchmarks/runners.py WAY MODEL FOLDER
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

STEPS, INPUTS, UNITS, OUTPUTS = 100, 128, 256, 10
RNG = np.random.default_rng(7)

Run = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], object]
"""One inference, or one step of training, on inputs and wished-for outputs."""


def make(model: str, folder: Path) -> None:
    """The model as Keras saves it and as Keras exports it to ONNX, every weight random."""
    import keras

    layers = {
        "lstm": lambda: keras.layers.LSTM(UNITS),
        "bigru": lambda: keras.layers.Bidirectional(keras.layers.GRU(UNITS)),
        "hard": lambda: keras.layers.LSTM(UNITS, recurrent_activation="hard_sigmoid"),
        "before": lambda: keras.layers.GRU(UNITS, reset_after=False),
    }
    built = keras.Sequential([keras.Input((STEPS, INPUTS)), layers[model](), keras.layers.Dense(OUTPUTS)])
    built.set_weights([RNG.normal(size=w.shape, scale=0.05).astype("f4") for w in built.get_weights()])
    built(np.zeros((1, STEPS, INPUTS), "f4"))
    built.save(folder / "model.keras")
    built.export(folder / "model.onnx", format="onnx", verbose=False)


def torch_runs(module: Any) -> dict[str, Run]:
    """A module of PyTorch: what everybody writes around it."""
    import torch
    from torch import nn

    optimizer, loss = torch.optim.SGD(module.parameters(), lr=0.01), nn.MSELoss()

    def inference(x: Any, _: Any) -> None:
        module.eval()
        with torch.inference_mode():
            module(torch.from_numpy(x))

    def training(x: Any, y: Any) -> None:
        module.train()
        optimizer.zero_grad(set_to_none=True)
        loss(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()

    return {"inference": inference, "training": training}


def by_hand(model: str, folder: Path) -> dict[str, Run]:
    """The module that one writes for this model, with the weights that `convert` gives."""
    import torch
    from torch import nn

    from converters import convert
    from converters import nn as drop_in

    recurrent: dict[str, Callable[[], nn.Module]] = {
        "lstm": lambda: nn.LSTM(INPUTS, UNITS, batch_first=True),
        "bigru": lambda: nn.GRU(INPUTS, UNITS, bidirectional=True, batch_first=True),
        "hard": lambda: drop_in.LSTM(INPUTS, UNITS, batch_first=True, recurrent_activation="hard_sigmoid_1/6"),
        "before": lambda: drop_in.GRU(INPUTS, UNITS, batch_first=True, reset_after=False),
    }

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = recurrent[model]()
            self.dense = nn.Linear(UNITS * (2 if model == "bigru" else 1), OUTPUTS)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, state = self.rnn(x)
            hidden = state[0] if isinstance(state, tuple) else state
            last = torch.cat((hidden[0], hidden[1]), dim=-1) if model == "bigru" else hidden[0]
            return self.dense(last)  # type: ignore[no-any-return]

    module, weights = ByHand(), convert(folder / "model.keras", dropins=True)
    own = list(module.state_dict())
    module.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    return torch_runs(module)


def built(_: str, folder: Path) -> dict[str, Run]:
    from converters import build

    return torch_runs(build(folder / "model.keras"))


def keras_tensorflow(_: str, folder: Path) -> dict[str, Run]:
    import keras
    import tensorflow as tf

    model = keras.models.load_model(folder / "model.keras")
    model.compile("sgd", "mse")
    graph = tf.function(lambda x: model(x, training=False))
    return {"inference": lambda x, _: graph(x).numpy(), "training": lambda x, y: model.train_on_batch(x, y)}


def keras_torch(_: str, folder: Path) -> dict[str, Run]:
    import keras
    import torch

    model = keras.models.load_model(folder / "model.keras")
    model.compile("sgd", "mse")

    def inference(x: Any, _: Any) -> None:
        with torch.inference_mode():
            model(x, training=False)

    return {"inference": inference, "training": lambda x, y: model.train_on_batch(x, y)}


def onnxruntime(_: str, folder: Path) -> dict[str, Run]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return {"inference": lambda x, _: session.run(None, {name: x})}


def onnx2torch(_: str, folder: Path) -> dict[str, Run]:
    from onnx2torch import convert

    return torch_runs(convert(str(folder / "model.onnx")))


def onnx2pytorch(_: str, folder: Path) -> dict[str, Run]:
    import onnx
    from onnx2pytorch import ConvertModel

    return torch_runs(ConvertModel(onnx.load(folder / "model.onnx"), experimental=True))


WAYS: dict[str, Callable[[str, Path], dict[str, Run]]] = {
    "hand": by_hand,
    "build": built,
    "keras-tensorflow": keras_tensorflow,
    "keras-torch": keras_torch,
    "onnxruntime": onnxruntime,
    "onnx2torch": onnx2torch,
    "onnx2pytorch": onnx2pytorch,
}


def pair(model: str, folder: Path, rounds: int = 61) -> Iterator[tuple[str, int, float]]:
    """The built module's time over that of the one by hand, in turns: task, batch, the ratio of the medians."""
    import torch

    torch.set_num_threads(2)
    ways = (by_hand(model, folder), built(model, folder))
    for task in ("inference", "training"):
        for batch in (1, 32):
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(rounds):
                x, y = drawn(batch)
                for way, found in list(zip(ways, times, strict=True))[:: 1 if number % 2 else -1]:
                    start = time.perf_counter()
                    way[task](x, y)
                    found.append(time.perf_counter() - start)
            yield task, batch, statistics.median(times[1][5:]) / statistics.median(times[0][5:])


def drawn(batch: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs and wished-for outputs."""
    return RNG.normal(size=(batch, STEPS, INPUTS)).astype("f4"), RNG.normal(size=(batch, OUTPUTS)).astype("f4")


def answer(text: str) -> None:
    print(f"@{' '.join(text.split())[:90]}", flush=True)


def serve(runs: dict[str, Run]) -> None:
    """Answer requests until there are no more."""
    for request in sys.stdin:
        task, batch = request.split()
        x, y = drawn(int(batch))
        if task not in runs:
            answer("does not train")
            continue
        try:
            start = time.perf_counter()
            runs[task](x, y)
            answer(str(time.perf_counter() - start))
        except Exception as error:  # another library's: whatever it raises is its answer
            answer(f"{type(error).__name__}: {error}")


def main() -> None:
    way, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if way == "make":
        make(model, folder)
        return
    if way == "pair":
        for task, batch, ratio in pair(model, folder):
            answer(f"{task} {batch} {ratio:.3f}")
        return
    try:
        runs = WAYS[way](model, folder)
    except ImportError as error:
        answer(f"not installed: {error.name}")
        return
    except Exception as error:  # another library's: whatever it raises is its answer
        answer(f"refuses: {type(error).__name__}: {error}")
        return
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(2)
    answer("ready")
    serve(runs)


if __name__ == "__main__":
    main()
