"""Speed of `converters.nn` beside `torch.nn`: the same weights and inputs, in turns, as a ratio.

    python benchmarks/recurrent.py [--rounds 31] [--cpu] [--compiled] [--compiling]

torch.nn's layers are one kernel of C++ for a whole sequence. Those of converters.nn run the same kernel where it is
exact, and else a loop over steps, with one matrix product for the inputs of all steps. `--compiled` adds torch.compile,
`--compiling` the seconds it takes for sequences of several lengths. Only ratios carry over to other machines; `--cpu`
counts the processor time of one thread, for a machine that others use too.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from converters.torch import nn as drop_in

STEPS, INPUTS, UNITS, BATCHES, LENGTHS = 100, 128, 256, (1, 32), (10, 100, 1000)

VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "LSTM": (nn.LSTM, {}),
    "LSTM hard_sigmoid": (nn.LSTM, {"recurrent_activation": "hard_sigmoid_0.2"}),
    "LSTM relu": (nn.LSTM, {"activation": "relu"}),
    "LSTM peepholes": (nn.LSTM, {"peepholes": True}),
    "LSTM clip": (nn.LSTM, {"clip": 5.0}),
    "GRU": (nn.GRU, {}),
    "GRU hard_sigmoid": (nn.GRU, {"recurrent_activation": "hard_sigmoid_0.2"}),
    "GRU reset before": (nn.GRU, {"reset_after": False}),
    "RNN": (nn.RNN, {}),
    "RNN elu": (nn.RNN, {"activation": "elu"}),
}

Run = Callable[[nn.Module, torch.Tensor], None]


def forward(module: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        module(x)


def training(module: nn.Module, x: torch.Tensor) -> None:
    module.zero_grad(set_to_none=True)
    module(x)[0].sum().backward()


def medians(
    run: Run, modules: list[nn.Module], x: torch.Tensor, rounds: int, clock: Callable[[], float]
) -> list[float]:
    """The median seconds of each module, run in turns after three warm-ups."""

    def seconds(module: nn.Module) -> float:
        start = clock()
        run(module, x)
        return clock() - start

    for module in modules * 3:
        run(module, x)
    times = [[seconds(module) for module in modules] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """torch.nn's layer and ours with its weights, in the order of their dimensions."""
    kind, options = VARIANTS[name]
    theirs = kind(INPUTS, UNITS)
    ours = getattr(drop_in, kind.__name__)(INPUTS, UNITS, **options)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    return theirs, ours


def speeds(rounds: int, clock: Callable[[], float], compiled: bool) -> Iterator[str]:
    """A row for every layer, batch and pass: medians of torch.nn and of ours, and their ratio."""
    for name in VARIANTS:
        for batch in BATCHES:
            x = torch.randn(STEPS, batch, INPUTS)
            for run in (forward, training):
                for way in ("eager", "compiled") if compiled else ("eager",):
                    theirs, ours = pair(name)
                    if way == "compiled":
                        torch.compiler.reset()
                        ours.compile(fullgraph=True)
                    base, found = medians(run, [theirs, ours], x, rounds, clock)
                    figures = f"{1e3 * base:.2f} ms | {1e3 * found:.2f} ms | {found / base:.2f}"
                    yield f"| {name} | {batch} | {run.__name__} | {way} | {figures} |"


def compiling() -> Iterator[str]:
    """A row for every layer and pass: the seconds until the first result of torch.compile, by the number of steps."""
    for name in VARIANTS:
        for run in (forward, training):
            cells = []
            for steps in LENGTHS:
                torch.compiler.reset()
                module, x = pair(name)[1], torch.randn(steps, BATCHES[-1], INPUTS)
                module.compile(fullgraph=True)
                start = time.perf_counter()
                run(module, x)
                cells.append(f"{time.perf_counter() - start:.1f} s")
            yield f"| {name} | {run.__name__} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    for name in ("cpu", "compiled", "compiling"):
        parser.add_argument(f"--{name}", action="store_true")
    told = parser.parse_args()
    if told.cpu:
        torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {told.rounds} rounds in turns")
    print(f"{STEPS} steps, {INPUTS} inputs, {UNITS} units\n")
    print("| layer | batch | pass | way | torch.nn, eager | converters.nn | ratio |\n|---|--:|---|---|--:|--:|--:|")
    for row in speeds(told.rounds, time.process_time if told.cpu else time.perf_counter, told.compiled):
        print(row, flush=True)
    if told.compiling:
        print("\n| layer | pass |" + "".join(f" {steps} steps |" for steps in LENGTHS))
        print("|---|---|" + "--:|" * len(LENGTHS))
        for row in compiling():
            print(row, flush=True)


if __name__ == "__main__":
    main()
