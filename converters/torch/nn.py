"""Drop-in recurrent layers for what torch.nn cannot compute: hard_sigmoid gates, reset-before GRU, peepholes.

`LSTM`, `GRU` and `RNN` take the arguments of their namesakes in torch.nn, have the same parameter names, shapes, states
and outputs, accept packed sequences, and add keywords for what differs. With the defaults they compute what torch.nn
computes. They are plain PyTorch: trainable, and they work under torch.jit.script, torch.compile and torch.export.

Equations: `layouts.cells`, with the activations of `layouts.reference` by the same names.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.jit import is_scripting
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from layouts import reference

__all__ = ["ACTIVATIONS", "GRU", "LSTM", "RNN"]

# TorchScript reads annotations of the forms List, Optional, Tuple, and not as strings.

ACTIVATIONS = tuple(sorted(reference.ACTIVATIONS))
"""Every activation by name; the two functions that Keras calls hard_sigmoid are two names."""


def _activate(x: Tensor, kind: str) -> Tensor:
    if kind == "tanh":
        return torch.tanh(x)
    if kind == "sigmoid":
        return torch.sigmoid(x)
    if kind == "hard_sigmoid_0.2":
        return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)
    if kind == "hard_sigmoid_1/6":
        return functional.hardsigmoid(x)
    if kind == "relu":
        return torch.relu(x)
    if kind == "leaky_relu_0.01":
        return functional.leaky_relu(x, 0.01)
    if kind == "elu":
        return functional.elu(x)
    if kind == "selu":
        return torch.selu(x)
    if kind == "gelu":
        return functional.gelu(x)
    if kind == "silu":
        return functional.silu(x)
    if kind == "softplus":
        return functional.softplus(x, threshold=50.0)
    if kind == "softsign":
        return functional.softsign(x)
    if kind == "exponential":
        return torch.exp(x)
    return x


def _check_activation(name: str, value: str) -> str:
    if value not in ACTIVATIONS:
        raise ValueError(f"{name}={value!r} is not known; there are: {', '.join(ACTIVATIONS)}")
    return value


class _Recurrent(nn.RNNBase):
    """What the three layers share: parameters as in torch.nn, and the walk over steps, directions and layers."""

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
        self.activation = _check_activation("activation", activation)
        self.recurrent_activation = _check_activation("recurrent_activation", recurrent_activation)
        if clip is not None and not clip > 0.0:
            raise ValueError(f"clip={clip!r}: expected a positive number, or None for no clipping")
        self.clip = 0.0 if clip is None else float(clip)
        self.states = 2 if mode == "LSTM" else 1
        self._weights_each = len(self._all_weights[0])

    def extra_repr(self) -> str:
        """The arguments of torch.nn's layer, and those that differ from its equation."""
        extras = [f"activation={self.activation!r}", f"recurrent_activation={self.recurrent_activation!r}"]
        extras += [f"clip={self.clip!r}"] if self.clip > 0.0 else []
        return ", ".join([super().extra_repr(), *extras])

    def _clipped(self, gates: Tensor) -> Tensor:
        return torch.clamp(gates, -self.clip, self.clip) if self.clip > 0.0 else gates

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        """The input's part of every gate, for all steps in one matrix product."""
        return functional.linear(x, w[0], w[2] if self.bias else None)

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        """The new states from the projected input of one step; defined by each layer."""
        raise NotImplementedError

    def _run(
        self, x: Tensor, sizes: List[int], initial: List[Tensor], w: List[Tensor], reverse: bool
    ) -> Tuple[Tensor, List[Tensor]]:
        """One layer in one direction over packed steps: x (sum of sizes, features), longest sequence first."""
        projected = self._project(x, w).split(sizes)
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
            states = self._step(projected[step], states, w)
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

    def _all(self, x: Tensor, sizes: List[int], initial: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Every layer and direction; `initial` and the result hold (layers × directions, batch, …)."""
        self._update_flat_weights()  # a parametrised weight is another tensor at every call
        directions = 2 if self.bidirectional else 1
        finals: List[List[Tensor]] = [[] for _ in initial]
        for layer in range(self.num_layers):
            outputs: List[Tensor] = []
            for direction in range(directions):
                number = layer * directions + direction
                w = self._weights_of(number)
                y, final = self._run(x, sizes, [state[number] for state in initial], w, direction == 1)
                outputs.append(y)
                for k in range(len(final)):
                    finals[k].append(final[k])
            x = torch.cat(outputs, dim=-1)
            if layer < self.num_layers - 1 and self.dropout > 0.0:
                x = functional.dropout(x, self.dropout, self.training)
        return x, [torch.stack(final) for final in finals]

    def _weights_of(self, number: int) -> List[Tensor]:
        each = self._weights_each
        found: List[Tensor] = []
        for k in range(each):
            weight = self._flat_weights[number * each + k]
            assert weight is not None
            found.append(weight)
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

    def _dense(self, x: Tensor, initial: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Outputs and states for a tensor of (batch, time, …) or (time, batch, …), or without batch."""
        if x.dim() not in (2, 3) or x.size(-1) != self.input_size:
            raise ValueError(f"input of shape {list(x.shape)}: expected 2 or 3 axes, the last of {self.input_size}")
        batched = x.dim() == 3
        if not batched:
            x, initial = x.unsqueeze(1), [state.unsqueeze(-2) for state in initial]
        elif self.batch_first:
            x = x.transpose(0, 1)
        steps, batch = x.size(0), x.size(1)
        if steps == 0:
            raise ValueError("input of no steps: expected one at least")
        states = self._initial(initial, x, batch)
        y, final = self._all(x.reshape(steps * batch, x.size(2)), [batch] * steps, states)
        y = y.reshape(steps, batch, y.size(1))
        if not batched:
            return y.squeeze(1), [state.squeeze(1) for state in final]
        return (y.transpose(0, 1) if self.batch_first else y), final

    def _packed(self, x: PackedSequence, initial: List[Tensor]) -> Tuple[PackedSequence, List[Tensor]]:
        order, back = x.sorted_indices, x.unsorted_indices
        sizes = [int(size) for size in x.batch_sizes]
        states = self._initial(initial, x.data, sizes[0])
        if initial and order is not None:
            states = [state.index_select(1, order) for state in states]
        y, final = self._all(x.data, sizes, states)
        if back is not None:
            final = [state.index_select(1, back) for state in final]
        return PackedSequence(y, x.batch_sizes, order, back), final


class LSTM(_Recurrent):
    """`torch.nn.LSTM` with a choice of activations, peepholes, clipped gates and a coupled forget gate.

    Arguments of `torch.nn.LSTM`, then: `activation` of the candidate, `recurrent_activation` of the gates and
    `output_activation` of the cell's output, None for that of the candidate (names in `ACTIVATIONS`); `peepholes=True`
    adds `weight_p_l{k}` (3 × hidden_size: i, f, o); `clip` limits gates and candidate before their activations to
    [-clip, clip]; `input_forget=True` makes f = 1 - i.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        peepholes: bool = False,
        clip: Optional[float] = None,
        input_forget: bool = False,
        output_activation: Optional[str] = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            device=device,
            dtype=dtype,
        )
        self.peepholes, self.input_forget = peepholes, input_forget
        self.output_activation = _check_activation("output_activation", output_activation or activation)
        if peepholes:
            self._add_peepholes(device, dtype)

    def extra_repr(self) -> str:
        """The arguments of torch.nn's layer, and those that differ from its equation."""
        extras = [f"output_activation={self.output_activation!r}"] if self.output_activation != self.activation else []
        extras += [f"{name}=True" for name in ("peepholes", "input_forget") if getattr(self, name)]
        return ", ".join([super().extra_repr(), *extras])

    def _add_peepholes(self, device: Any, dtype: Any) -> None:
        """One more parameter for every layer and direction, after those of torch.nn."""
        for names in self._all_weights:
            name = names[0].replace("weight_ih", "weight_p")
            names.append(name)
            self.register_parameter(name, nn.Parameter(torch.zeros(3 * self.hidden_size, device=device, dtype=dtype)))
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self._init_flat_weights()
        self._weights_each = len(self._all_weights[0])
        self.reset_parameters()

    def flatten_parameters(self) -> None:
        """Nothing to flatten: no cuDNN kernel computes these layers."""

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        return functional.linear(x, w[0], w[2] + w[3] if self.bias else None)

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, c, units, gate = states[0], states[1], self.hidden_size, self.recurrent_activation
        i, f, g, o = (x + functional.linear(h, w[1])).chunk(4, dim=1)
        if self.peepholes:
            i, f = i + w[-1][:units] * c, f + w[-1][units : 2 * units] * c
        i = _activate(self._clipped(i), gate)
        f = 1.0 - i if self.input_forget else _activate(self._clipped(f), gate)
        c = f * c + i * _activate(self._clipped(g), self.activation)
        if self.peepholes:
            o = o + w[-1][2 * units :] * c
        h = _activate(self._clipped(o), gate) * _activate(c, self.output_activation)
        if self.proj_size > 0:
            h = functional.linear(h, w[4 if self.bias else 2])
        return [h, c]

    def forward(
        self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        """As `torch.nn.LSTM`: (outputs, (h_n, c_n)); `input` may be a PackedSequence, and then the outputs are."""
        initial: List[Tensor] = []
        if hx is not None:
            initial = [hx[0], hx[1]]
        if not is_scripting() and isinstance(input, PackedSequence):
            packed, final = self._packed(input, initial)
            return packed, (final[0], final[1])
        y, final = self._dense(input, initial)
        return y, (final[0], final[1])


class _OneState(_Recurrent):
    """GRU and RNN: one state, h."""

    def forward(self, input: Tensor, hx: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """As the namesake in torch.nn: (outputs, h_n); `input` may be a PackedSequence, and then the outputs are."""
        initial: List[Tensor] = []
        if hx is not None:
            initial = [hx]
        if not is_scripting() and isinstance(input, PackedSequence):
            packed, final = self._packed(input, initial)
            return packed, final[0]
        y, final = self._dense(input, initial)
        return y, final[0]


class GRU(_OneState):
    """`torch.nn.GRU` with a choice of activations, and the reset gate before or after the matrix product.

    Arguments of `torch.nn.GRU`, then `activation`, `recurrent_activation`, `clip` as for `LSTM`; `reset_after=False` is
    the GRU of Keras before version 2 of TensorFlow, and of ONNX by default: n = tanh(W x + U (r h) + b).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        reset_after: bool = True,
        clip: Optional[float] = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            device=device,
            dtype=dtype,
        )
        self.reset_after = reset_after

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, units = states[0], self.hidden_size
        gate, bias = self.recurrent_activation, w[3] if self.bias else None
        if self.reset_after:
            hidden = functional.linear(h, w[1], bias)
            r = _activate(self._clipped(x[:, :units] + hidden[:, :units]), gate)
            z = _activate(self._clipped(x[:, units : 2 * units] + hidden[:, units : 2 * units]), gate)
            inner = r * hidden[:, 2 * units :]
        else:
            hidden = functional.linear(h, w[1][: 2 * units], None if bias is None else bias[: 2 * units])
            r = _activate(self._clipped(x[:, :units] + hidden[:, :units]), gate)
            z = _activate(self._clipped(x[:, units : 2 * units] + hidden[:, units:]), gate)
            inner = functional.linear(r * h, w[1][2 * units :], None if bias is None else bias[2 * units :])
        n = _activate(self._clipped(x[:, 2 * units :] + inner), self.activation)
        return [(1.0 - z) * n + z * h]


class RNN(_OneState):
    """`torch.nn.RNN` with any activation: h' = activation(W x + U h + b)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: Optional[str] = None,
        clip: Optional[float] = None,
    ) -> None:
        super().__init__(
            "RNN_TANH",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            activation=activation or nonlinearity,
            recurrent_activation="linear",
            clip=clip,
            device=device,
            dtype=dtype,
        )

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        return functional.linear(x, w[0], w[2] + w[3] if self.bias else None)

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        return [_activate(self._clipped(x + functional.linear(states[0], w[1])), self.activation)]
