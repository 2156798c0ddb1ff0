"""LSTM with a choice of activations, peepholes, clips and a coupled forget gate."""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.jit import is_scripting
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from converters.torch.nn.activations import activate, checked, overwrite
from converters.torch.nn.loops import Writer
from converters.torch.nn.recurrent import Recurrent, limit, limited


class LSTM(Recurrent):
    """`torch.nn.LSTM` with a choice of activations, peepholes, clips and a coupled forget gate.

    Arguments of `torch.nn.LSTM`, then: `activation` of the candidate, `recurrent_activation` of the gates and
    `output_activation` of the cell's output, None for that of the candidate (names in `ACTIVATIONS`); `peepholes=True`
    adds `weight_p_l{k}` (3 × hidden_size: i, f, o); `clip` limits gates and candidate before their activations to
    [-clip, clip]; `input_forget=True` makes f = 1 - i; `cell_clip` limits the new cell, and `projection_clip` what the
    projection gives.
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
        cell_clip: Optional[float] = None,
        projection_clip: Optional[float] = None,
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
        self.cell_clip, self.projection_clip = limit("cell_clip", cell_clip), limit("projection_clip", projection_clip)
        self.output_activation = checked("output_activation", output_activation or activation)
        if peepholes:
            self._add_peepholes(device, dtype)

    def extra_repr(self) -> str:
        """The arguments of torch.nn's layer, and those that differ from its equation."""
        extras = [f"output_activation={self.output_activation!r}"] if self.output_activation != self.activation else []
        extras += [f"{name}=True" for name in ("peepholes", "input_forget") if getattr(self, name)]
        extras += [f"{n}={getattr(self, n)!r}" for n in ("cell_clip", "projection_clip") if getattr(self, n) > 0.0]
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
        """As torch.nn, for its kernel; there is none for peepholes."""
        if not getattr(self, "peepholes", False):
            super().flatten_parameters()

    def _plain(self) -> bool:
        usual = self.activation == "tanh" and self.recurrent_activation == "sigmoid"
        usual = usual and self.output_activation == "tanh"
        limited = self.clip > 0.0 or self.cell_clip > 0.0 or self.projection_clip > 0.0
        return usual and not (limited or self.peepholes or self.input_forget)

    def _kernel(self, x: Tensor, sizes: Optional[Tensor], initial: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        layers, p, both = self.num_layers, self.dropout, self.bidirectional
        if sizes is None:
            y, h, c = torch.lstm(x, initial, w, self.bias, layers, p, self.training, both, False)
        else:
            y, h, c = torch.lstm(x, sizes, initial, w, self.bias, layers, p, self.training, both)
        return [y, h, c]

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        return functional.linear(x, w[0], w[2] + w[3] if self.bias else None)

    def _constants(self, w: List[Tensor]) -> List[Tensor]:
        """The recurrent weight (state, gates), the projection (units, state) or nothing, peepholes of i and f, of o."""
        units = self.hidden_size
        found = [w[1].t(), w[4 if self.bias else 2].t() if self.proj_size > 0 else w[1][:0]]
        if self.peepholes:
            found += list(w[-1].split([2 * units, units]))
        return found

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, c, units, gate = states[0], states[1], self.hidden_size, self.recurrent_activation
        pair, g, o = torch.addmm(x, h, w[0]).split([2 * units, units, units], dim=1)
        if self.peepholes:
            pair = torch.addcmul(pair, w[2], torch.cat([c, c], dim=1))
        i, f = activate(self._clipped(pair), gate).chunk(2, dim=1)
        if self.input_forget:
            f = 1.0 - i
        c = limited(torch.addcmul(i * activate(self._clipped(g), self.activation), f, c), self.cell_clip)
        if self.peepholes:
            o = torch.addcmul(o, w[3], c)
        h = activate(self._clipped(o), gate) * activate(c, self.output_activation)
        return [limited(torch.mm(h, w[1]), self.projection_clip) if self.proj_size > 0 else h, c]

    @torch.jit.unused
    def _writer(self, x: Tensor, w: List[Tensor]) -> Tuple[List[Tensor], Writer]:
        units, projected, coupled = self.hidden_size, self.proj_size, self.input_forget
        gate, inner = (overwrite(name, self.clip, x) for name in (self.recurrent_activation, self.activation))
        outer, recurrent, clips = self.output_activation, w[0], (self.cell_clip, self.projection_clip)
        peepholes = [w[2].view(2, units), w[3]] if self.peepholes else []

        def step(rows: Sequence[Tensor], states: List[Tensor]) -> List[Tensor]:
            (x, pair, i, f, g, o), (h, c) = rows, states
            x.addmm_(h, recurrent)
            if peepholes:
                pair.unflatten(1, (2, units)).addcmul_(peepholes[0], c.unsqueeze(1))
            gate(i if coupled else pair)
            if coupled:
                f.fill_(1.0).sub_(i)
            c.mul_(f).addcmul_(i, inner(g))
            if clips[0] > 0.0:
                c.clamp_(-clips[0], clips[0])
            if peepholes:
                o.addcmul_(peepholes[1], c)
            gate(o).mul_(activate(c, outer))
            return [o[:, :projected].copy_(limited(o @ w[1], clips[1])) if projected else o, c]

        return [x, x[:, : 2 * units], *x.split(units, dim=1)], step

    def forward(
        self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None, lengths: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        """As `torch.nn.LSTM`: (outputs, (h_n, c_n)); `input` may be a PackedSequence, and then the outputs are.

        lengths: (batch), how many steps of each sequence count, the first ones, one at least. Outputs behind them are
        zeros, final states those after the last of them, and what counts is read from there by the reverse direction.
        """
        initial: List[Tensor] = []
        if hx is not None:
            initial = [hx[0], hx[1]]
        if not is_scripting() and isinstance(input, PackedSequence):
            packed, final = self._packed(input, initial)
            return packed, (final[0], final[1])
        y, final = self._dense(input, initial, lengths)
        return y, (final[0], final[1])
