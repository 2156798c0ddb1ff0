"""What LSTM, GRU and RNN share: parameters as in torch.nn, and the walk over steps, directions and layers."""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.jit import is_scripting
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from converters.torch.nn import loops
from converters.torch.nn.activations import checked

# TorchScript reads annotations of the forms List, Optional, Tuple, and not as strings.


def limit(name: str, value: Optional[float]) -> float:
    """A limit as layers keep it: 0 for none."""
    if value is not None and not value > 0.0:
        raise ValueError(f"{name}={value!r}: expected a positive number, or None for no clipping")
    return 0.0 if value is None else float(value)


def limited(values: Tensor, limit: float) -> Tensor:
    """Values within ±limit; as they are where there is none."""
    return torch.clamp(values, -limit, limit) if limit > 0.0 else values


class Recurrent(nn.RNNBase):
    """Layers and directions over steps; a layer defines the equations of a step twice: `_step` and `_writer`.

    Sizes in docstrings: `gates` is the width of the projected input (units times the number of gates), N the sum of the
    batch sizes of all steps.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int = 0,
        *,
        activation: str,
        recurrent_activation: str,
        clip: Optional[float],
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )
        self.activation = checked("activation", activation)
        self.recurrent_activation = checked("recurrent_activation", recurrent_activation)
        self.clip = limit("clip", clip)
        self.states = 2 if mode == "LSTM" else 1
        self._weights_each = len(self._all_weights[0])

    def extra_repr(self) -> str:
        """The arguments of torch.nn's layer, and those that differ from its equation."""
        extras = [f"activation={self.activation!r}", f"recurrent_activation={self.recurrent_activation!r}"]
        extras += [f"clip={self.clip!r}"] if self.clip > 0.0 else []
        return ", ".join([super().extra_repr(), *extras])

    def _clipped(self, gates: Tensor) -> Tensor:
        return torch.clamp(gates, -self.clip, self.clip) if self.clip > 0.0 else gates

    def _plain(self) -> bool:
        """Whether the options are those of the namesake in torch.nn; defined by each layer."""
        raise NotImplementedError

    def _kernel(self, x: Tensor, sizes: Optional[Tensor], initial: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        """Outputs and final states by torch.nn's kernel, of x (time, batch, …), or (N, …) with sizes."""
        raise NotImplementedError

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        """The input's part of every gate, for all steps in one matrix product: (…, input) -> (…, gates)."""
        raise NotImplementedError

    def _constants(self, w: List[Tensor]) -> List[Tensor]:
        """What the steps take of the weights, in their form."""
        raise NotImplementedError

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        """New states from the projected input of a step (batch, gates) and `_constants`; differentiable."""
        raise NotImplementedError

    def _writer(self, x: Tensor, w: List[Tensor]) -> Tuple[List[Tensor], loops.Writer]:
        """Blocks of the projected input (N, gates), and the step that writes over their rows: `loops.write`.

        The last block (N, units) begins with the outputs when all is done.
        """
        raise NotImplementedError

    def _run(
        self, x: Tensor, sizes: List[int], initial: List[Tensor], w: List[Tensor], reverse: bool
    ) -> Tuple[Tensor, List[Tensor]]:
        """One layer in one direction over packed steps: x (N, features), longest sequence first."""
        projected = self._project(x, w)
        constants = self._constants(w)
        if not is_scripting() and loops.writable(projected, initial, w):
            return self._written(projected, sizes, initial, constants, reverse)
        rows = projected.split(sizes)
        count = len(sizes)
        states = [state[: sizes[count - 1 if reverse else 0]] for state in initial]
        ended: List[List[Tensor]] = [[] for _ in initial]
        outputs: List[Tensor] = []
        for number in range(count):
            step = count - 1 - number if reverse else number
            size, held = sizes[step], states[0].size(0)
            if size > held:
                states = [torch.cat([s, first[held:size]]) for s, first in zip(states, initial)]
            elif size < held:
                for k in range(len(states)):
                    ended[k].append(states[k][size:])
                states = [state[:size] for state in states]
            states = self._step(rows[step], states, constants)
            outputs.append(states[0])
        if reverse:
            outputs.reverse()
        final: List[Tensor] = []
        for k in range(len(states)):
            parts = [states[k]]
            for number in range(len(ended[k])):
                parts.append(ended[k][len(ended[k]) - 1 - number])
            final.append(torch.cat(parts))
        return torch.cat(outputs), final

    @torch.jit.unused
    def _written(
        self, projected: Tensor, sizes: List[int], initial: List[Tensor], constants: List[Tensor], reverse: bool
    ) -> Tuple[Tensor, List[Tensor]]:
        """The same by steps that write over the projected input, which belongs to nobody else."""
        blocks, step = self._writer(projected, constants)
        final = loops.write(step, blocks, sizes, initial, reverse)
        return blocks[-1][:, : initial[0].size(-1)], final

    @torch.jit.unused
    def _scanned(
        self, x: Tensor, initial: List[Tensor], w: List[Tensor], reverse: bool, lengths: Optional[Tensor]
    ) -> Tuple[Tensor, List[Tensor]]:
        """One layer in one direction in a compiler's graph: x (time, batch, features), time of any length."""
        return loops.scan(self._step, self._project(x, w), initial, self._constants(w), reverse, lengths)

    def _all(
        self, x: Tensor, sizes: List[int], initial: List[Tensor], lengths: Optional[Tensor] = None
    ) -> Tuple[Tensor, List[Tensor]]:
        """Every layer and direction; `initial` and the result hold (layers × directions, batch, …).

        x is (N, features), or (time, batch, features) without sizes, for a compiler.
        """
        directions = 2 if self.bidirectional else 1
        finals: List[List[Tensor]] = [[] for _ in initial]
        for layer in range(self.num_layers):
            outputs: List[Tensor] = []
            for number in range(layer * directions, (layer + 1) * directions):
                w, reverse = self._weights_of(number), number % directions == 1
                first = [state[number] for state in initial]
                if len(sizes) == 0:
                    y, final = self._scanned(x, first, w, reverse, lengths)
                else:
                    y, final = self._run(x, sizes, first, w, reverse)
                outputs.append(y)
                for k in range(len(final)):
                    finals[k].append(final[k])
            x = torch.cat(outputs, dim=-1)
            if layer < self.num_layers - 1 and self.dropout > 0.0:
                x = functional.dropout(x, self.dropout, self.training)
        return x, [torch.stack(final) for final in finals]

    def _weights_of(self, number: int) -> List[Tensor]:
        """The parameters of one layer and direction in torch.nn's order; a parametrised one is new at every call."""
        found: List[Tensor] = []
        if not is_scripting():
            return [getattr(self, name) for name in self._all_weights[number]]
        for k in range(number * self._weights_each, (number + 1) * self._weights_each):
            weight = self._flat_weights[k]
            assert weight is not None
            found.append(weight)
        return found

    def _weights(self) -> List[Tensor]:
        found: List[Tensor] = []
        for number in range(self.num_layers * (2 if self.bidirectional else 1)):
            found.extend(self._weights_of(number))
        return found

    def _initial(self, given: List[Tensor], x: Tensor, batch: int) -> List[Tensor]:
        """The states to start from, (layers × directions, batch, …): those given, checked, or zeros."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = [self.proj_size if self.proj_size > 0 else self.hidden_size, self.hidden_size][: self.states]
        if len(given) == 0:
            return [torch.zeros(count, batch, width, dtype=x.dtype, device=x.device) for width in widths]
        for k in range(len(widths)):
            if list(given[k].shape) != [count, batch, widths[k]]:
                shape = list(given[k].shape)
                raise ValueError(f"initial state {k} of shape {shape}: expected {[count, batch, widths[k]]}")
        return given

    def _dense(self, x: Tensor, initial: List[Tensor], lengths: Optional[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Outputs and states for a tensor of (batch, time, …) or (time, batch, …), or without batch."""
        if x.dim() not in (2, 3) or x.size(-1) != self.input_size:
            raise ValueError(f"input of shape {list(x.shape)}: expected 2 or 3 axes, the last of {self.input_size}")
        batched = x.dim() == 3
        if not batched:
            x, initial = x.unsqueeze(1), [state.unsqueeze(-2) for state in initial]
        elif self.batch_first:
            x = x.transpose(0, 1)
        if x.size(0) == 0:
            raise ValueError("input of no steps: expected one at least")
        if lengths is not None and (not batched or list(lengths.shape) != [x.size(1)]):
            raise ValueError(f"lengths of shape {list(lengths.shape)}: expected one for each sequence of a batch")
        y, final = self._timed(x, self._initial(initial, x, x.size(1)), lengths)
        if not batched:
            return y.squeeze(1), [state.squeeze(1) for state in final]
        return (y.transpose(0, 1) if self.batch_first else y), final

    def _timed(self, x: Tensor, initial: List[Tensor], lengths: Optional[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Outputs and states for x (time, batch, …), the shortest way there is."""
        if not is_scripting() and (loops.scans() or (lengths is not None and loops.recorded())):
            return self._all(x, [], initial, lengths)
        if lengths is not None:
            found, final = self._packed(pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False), initial)
            return pad_packed_sequence(found, total_length=x.size(0))[0], final
        if self._plain():
            all_found = self._kernel(x, None, initial, self._weights())
            return all_found[0], all_found[1:]
        steps, batch = x.size(0), x.size(1)
        y, final = self._all(x.reshape(steps * batch, x.size(2)), [batch] * steps, initial)
        return y.reshape(steps, batch, y.size(1)), final

    def _packed(self, x: PackedSequence, initial: List[Tensor]) -> Tuple[PackedSequence, List[Tensor]]:
        order, back = x.sorted_indices, x.unsorted_indices
        sizes: List[int] = x.batch_sizes.tolist()
        states = self._initial(initial, x.data, sizes[0])
        if order is not None:
            states = _selected(states, order)
        if self._plain():
            found = self._kernel(x.data, x.batch_sizes, states, self._weights())
            y, final = found[0], found[1:]
        else:
            y, final = self._all(x.data, sizes, states)
        if back is not None:
            final = _selected(final, back)
        return PackedSequence(y, x.batch_sizes, order, back), final


def _selected(states: List[Tensor], order: Tensor) -> List[Tensor]:
    """States (layers × directions, batch, …) with the sequences of the batch in this order."""
    return [state.index_select(1, order) for state in states]


class OneState(Recurrent):
    """GRU and RNN: one state, h."""

    def forward(
        self, input: Tensor, hx: Optional[Tensor] = None, lengths: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """As the namesake in torch.nn: (outputs, h_n); `input` may be a PackedSequence, and then the outputs are.

        lengths: as for `LSTM`.
        """
        initial: List[Tensor] = []
        if hx is not None:
            initial = [hx]
        if not is_scripting() and isinstance(input, PackedSequence):
            packed, final = self._packed(input, initial)
            return packed, final[0]
        y, final = self._dense(input, initial, lengths)
        return y, final[0]
