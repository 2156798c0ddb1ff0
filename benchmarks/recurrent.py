"""Speed of `converters.nn` beside `torch.nn`: the same weights and inputs, in turns, as a ratio.

    python benchmarks/recurrent.py [--rounds 15]

torch.nn's layers are one kernel of C++ for a whole sequence; those of converters.nn are a loop in Python over steps,
with one matrix product for the inputs of all steps. Only ratios carry over to other machines.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from converters.torch import nn as drop_in

SIZES = {"small": (8, 20, 16, 32), "middle": (32, 50, 64, 128), "large": (64, 50, 128, 256)}
"""Name -> (batch, steps, inputs, units)."""

VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "LSTM": (nn.LSTM, {}),
    "LSTM hard_sigmoid": (nn.LSTM, {"recurrent_activation": "hard_sigmoid_0.2"}),
    "LSTM peepholes": (nn.LSTM, {"peepholes": True}),
    "GRU": (nn.GRU, {}),
    "GRU reset before": (nn.GRU, {"reset_after": False}),
    "RNN": (nn.RNN, {}),
    "RNN elu": (nn.RNN, {"activation": "elu"}),
}


def forward(module: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        module(x)


def training(module: nn.Module, x: torch.Tensor) -> None:
    module.zero_grad(set_to_none=True)
    module(x)[0].sum().backward()


def seconds(run: Callable[[nn.Module, torch.Tensor], None], module: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    run(module, x)
    return time.perf_counter() - start


def medians(
    run: Callable[[nn.Module, torch.Tensor], None], modules: list[nn.Module], x: torch.Tensor, rounds: int
) -> list[float]:
    """The median time of each module, run in turns after one warm-up."""
    for module in modules:
        run(module, x)
    times = [[seconds(run, module, x) for module in modules] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {rounds} rounds in turns\n")
    print("| batch, steps, inputs, units | layer | pass | torch.nn | converters.nn | ratio |")
    print("|---|---|---|--:|--:|--:|")
    for size, (batch, steps, inputs, units) in SIZES.items():
        x = torch.randn(batch, steps, inputs)
        for name, (kind, options) in VARIANTS.items():
            theirs = kind(inputs, units, batch_first=True)
            ours = getattr(drop_in, kind.__name__)(inputs, units, batch_first=True, **options)
            ours.load_state_dict(theirs.state_dict(), strict=False)
            for run in (forward, training):
                base, found = medians(run, [theirs, ours], x, rounds)
                print(
                    f"| {size} {batch, steps, inputs, units} | {name} | {run.__name__} "
                    f"| {1e3 * base:.2f} ms | {1e3 * found:.2f} ms | {found / base:.2f} |"
                )


if __name__ == "__main__":
    main()
