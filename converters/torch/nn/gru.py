"""GRU with a choice of activations, and the reset gate before or after the matrix product."""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional

from converters.torch.nn.activations import activate, overwrite
from converters.torch.nn.loops import Writer
from converters.torch.nn.recurrent import OneState


class GRU(OneState):
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

    def _plain(self) -> bool:
        usual = self.activation == "tanh" and self.recurrent_activation == "sigmoid"
        return usual and self.reset_after and not self.clip > 0.0

    def _kernel(self, x: Tensor, sizes: Optional[Tensor], initial: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, layers, p, both = initial[0], self.num_layers, self.dropout, self.bidirectional
        if sizes is None:
            y, h = torch.gru(x, h, w, self.bias, layers, p, self.training, both, False)
        else:
            y, h = torch.gru(x, sizes, h, w, self.bias, layers, p, self.training, both)
        return [y, h]

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        """With both biases where the equation sums them; that of a resetting n belongs to the steps."""
        if not self.bias:
            return functional.linear(x, w[0])
        added = w[3]
        if self.reset_after:
            added = functional.pad(w[3][: 2 * self.hidden_size], [0, self.hidden_size])
        return functional.linear(x, w[0], w[2] + added)

    def _constants(self, w: List[Tensor]) -> List[Tensor]:
        """Recurrent weights (units, gates) of r and z, of n, and the bias of n or nothing; or all in one product."""
        both = 2 * self.hidden_size
        if self.reset_after:
            bias = [functional.pad(w[3][both:], [both, 0])] if self.bias else [w[1][:0, 0]]
            return [w[1].t(), bias[0]]
        return [w[1][:both].t(), w[1][both:].t()]

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, gate, widths = states[0], self.recurrent_activation, [2 * self.hidden_size, self.hidden_size]
        pair, n = x.split(widths, dim=1)
        if self.reset_after:
            hidden = torch.addmm(w[1], h, w[0]) if self.bias else torch.mm(h, w[0])
            own, inner = hidden.split(widths, dim=1)
            r, z = activate(self._clipped(pair + own), gate).chunk(2, dim=1)
            n = torch.addcmul(n, r, inner)
        else:
            r, z = activate(self._clipped(torch.addmm(pair, h, w[0])), gate).chunk(2, dim=1)
            n = torch.addmm(n, r * h, w[1])
        n = activate(self._clipped(n), self.activation)
        return [torch.addcmul(n, z, h - n)]

    @torch.jit.unused
    def _writer(self, x: Tensor, w: List[Tensor]) -> Tuple[List[Tensor], Writer]:
        units, bias = self.hidden_size, w[-1] if self.bias else None
        gate, inner = (overwrite(name, self.clip, x) for name in (self.recurrent_activation, self.activation))

        def after(rows: Sequence[Tensor], states: List[Tensor]) -> List[Tensor]:
            (pair, r, z, n), (h,) = rows, states
            hidden = torch.mm(h, w[0]) if bias is None else torch.addmm(bias, h, w[0])
            own, candidate = hidden.split((2 * units, units), dim=1)
            gate(pair.add_(own))
            return [inner(n.addcmul_(r, candidate)).lerp_(h, z)]

        def before(rows: Sequence[Tensor], states: List[Tensor]) -> List[Tensor]:
            (pair, r, z, n), (h,) = rows, states
            gate(pair.addmm_(h, w[0]))
            return [inner(n.addmm_(r.mul_(h), w[1])).lerp_(h, z)]

        return [x[:, : 2 * units], *x.split(units, dim=1)], after if self.reset_after else before
