"""Runs the modules of a plan by what the plan prints: constructors, and notes read as sentences.

Nothing else is known of the node, so that a note that is missing, or wrong, gives wrong outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from equivalence import load
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from converters.planning.modules import Module
from layouts.axes import Array

_STATES = {"initial_h": "h_0", "initial_c": "c_0"}
_KNOWN = {
    "flip": r"direction 'reverse': feed x\.flip\((\d)\) and flip the outputs back along that axis",
    "each": r"direction 'reverse': reverse each sequence within its own length, and its outputs too",
    "chunk": r"Y is \(.*\): forward, backward = y\.chunk\(2, dim=-1\), stacked on axis (\d)",
    "stack": r"Y is \(.*\): stack the outputs of the two modules",
    "pack": r"sequence_lens: pass pack_padded_sequence\(x, sequence_lens, (batch_first=True, )?enforce_sorted=False\)",
    "initial_h": r"initial_h is .*: pass it as h_0, (\(batch, directions, units\): transpose it to )?\(layers",
    "initial_c": r"initial_c is .*: pass it as c_0, (\(batch, directions, units\): transpose it to )?\(layers",
    "time_major": r"reads \(time, batch, input\), as the module does with batch_first=False",
    "apart": r"one module for each cell: ",
    "backward": r"the backward modules read x\.flip\((\d)\), and their outputs are flipped back",
    "backward_each": r"the backward modules read each sequence reversed within its own length, and their outputs are ",
}


class Told(NamedTuple):
    """The notes by their keys in `_KNOWN`, each with what it names."""

    notes: Mapping[str, str]

    def __contains__(self, key: object) -> bool:
        return key in self.notes

    def axis(self, key: str) -> int:
        return int(self.notes[key])


def read(notes: Sequence[str]) -> Told:
    """The notes understood; raises for a sentence that is not known."""
    found = {}
    for note in notes:
        matches = {key: match for key, pattern in _KNOWN.items() if (match := re.match(pattern, note))}
        if len(matches) != 1:
            raise AssertionError(f"a note that tells nothing to do: {note}")
        ((key, match),) = matches.items()
        found[key] = next(iter(match.groups()), None) or ""
    return Told(found)


def outputs(modules: Sequence[Module], tensors: Mapping[str, Tensor], values: Mapping[str, Array]) -> list[Array]:
    """Y, Y_h and, of an LSTM, Y_c, as ONNX has them: float64 where the weights are, else float32."""
    told = read(modules[0].notes)
    kind = torch.float64 if modules[0].tensors[0].dtype == "float64" else torch.float32
    given = {name: torch.from_numpy(array.astype("f8")).to(kind) for name, array in values.items()}
    lengths = torch.from_numpy(values["sequence_lens"].astype("i8")) if "pack" in told else None
    built = [load(module, tensors, kind) for module in modules]
    with _one_thread(), torch.no_grad():
        runs = [_run(one, told, given, lengths, number, len(built)) for number, one in enumerate(built)]
    time = 1 if built[0].batch_first else 0
    if len(runs) > 1:
        y = torch.stack([y for y, _ in runs], 1 + time)
        states = [torch.cat(both) for both in zip(*(states for _, states in runs), strict=True)]
    elif "chunk" in told:
        y, states = torch.stack(runs[0][0].chunk(2, dim=-1), told.axis("chunk")), runs[0][1]
    else:
        y, states = runs[0][0].unsqueeze(1 + time), runs[0][1]
    return [one.numpy() for one in (y, *(state.transpose(0, 1) if time else state for state in states))]


@contextmanager
def _one_thread() -> Iterator[None]:
    """A module of five units takes a hundred times as long on two threads, where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _run(
    built: nn.Module, told: Told, given: Mapping[str, Tensor], lengths: Tensor | None, number: int, count: int
) -> tuple[Tensor, list[Tensor]]:
    """Outputs and final states of one module, the backward one of two if `number` is 1."""
    x, time = given["X"], 1 if built.batch_first else 0
    flip = told.axis("backward") if number and "backward" in told else told.axis("flip") if "flip" in told else None
    each = "each" in told or (number > 0 and "backward_each" in told)
    states = {name: _state(told, given[name], name, number, count) for name in _STATES if name in told}
    x = _turned(x, flip, lengths if each else None, time)
    if lengths is None:
        y, final = built(x, _passed(built, states))
    else:
        packed = pack_padded_sequence(x, lengths, batch_first=bool(time), enforce_sorted=False)
        packed, final = built(packed, _passed(built, states))
        y, _ = pad_packed_sequence(packed, batch_first=bool(time), total_length=x.shape[time])
    return _turned(y, flip, lengths if each else None, time), list(final) if isinstance(final, tuple) else [final]


def _state(told: Told, state: Tensor, name: str, number: int, count: int) -> Tensor:
    state = state.transpose(0, 1) if told.notes[name] else state
    return state if count == 1 else state[number : number + 1]


def _passed(built: nn.Module, states: Mapping[str, Tensor]) -> Any:
    """The second argument of the call: one state, or a pair in which what is not told is zero."""
    if not states:
        return None
    if "LSTM" not in type(built).__name__:
        return states["initial_h"].contiguous()
    zeros = next(iter(states.values())) * 0
    return tuple(states.get(name, zeros).contiguous() for name in _STATES)


def _turned(x: Tensor, flip: int | None, lengths: Tensor | None, time: int) -> Tensor:
    """Reversed along an axis, or each sequence within its own length, or as it is."""
    if flip is not None:
        return x.flip(flip)
    if lengths is None:
        return x
    found = x.clone()
    rows, source = (found, x) if time else (found.transpose(0, 1), x.transpose(0, 1))
    for number, length in enumerate(lengths):
        rows[number, :length] = source[number, :length].flip(0)
    return found
