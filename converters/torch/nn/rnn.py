"""RNN with any activation."""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional

from converters.torch.nn.activations import activate, overwrite
from converters.torch.nn.loops import Writer
from converters.torch.nn.recurrent import OneState


class RNN(OneState):
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

    def _plain(self) -> bool:
        return (self.activation == "tanh" or self.activation == "relu") and not self.clip > 0.0

    def _kernel(self, x: Tensor, sizes: Optional[Tensor], initial: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        h, layers, p, both = initial[0], self.num_layers, self.dropout, self.bidirectional
        if self.activation == "relu":
            if sizes is None:
                y, h = torch.rnn_relu(x, h, w, self.bias, layers, p, self.training, both, False)
            else:
                y, h = torch.rnn_relu(x, sizes, h, w, self.bias, layers, p, self.training, both)
        elif sizes is None:
            y, h = torch.rnn_tanh(x, h, w, self.bias, layers, p, self.training, both, False)
        else:
            y, h = torch.rnn_tanh(x, sizes, h, w, self.bias, layers, p, self.training, both)
        return [y, h]

    def _project(self, x: Tensor, w: List[Tensor]) -> Tensor:
        return functional.linear(x, w[0], w[2] + w[3] if self.bias else None)

    def _constants(self, w: List[Tensor]) -> List[Tensor]:
        """The recurrent weight (units, units), its columns the new ones."""
        return [w[1].t()]

    def _step(self, x: Tensor, states: List[Tensor], w: List[Tensor]) -> List[Tensor]:
        return [activate(self._clipped(torch.addmm(x, states[0], w[0])), self.activation)]

    @torch.jit.unused
    def _writer(self, x: Tensor, w: List[Tensor]) -> Tuple[List[Tensor], Writer]:
        recurrent, inner = w[0], overwrite(self.activation, self.clip, x)

        def step(rows: Sequence[Tensor], states: List[Tensor]) -> List[Tensor]:
            return [inner(rows[0].addmm_(states[0], recurrent))]

        return [x], step
