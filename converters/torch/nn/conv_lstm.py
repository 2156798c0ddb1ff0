"""ConvLSTM in one, two and three dimensions, as Keras computes it, channels first."""

import math
from typing import Any, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.jit import is_scripting
from torch.nn import functional

from converters.torch.nn import loops
from converters.torch.nn.activations import activate, checked

Sizes = Union[int, Tuple[int, ...]]
Padding = Union[str, Tuple[int, ...]]
_PADDINGS = ("same", "same_lower", "valid")


def _each(name: str, value: Sizes, rank: int) -> List[int]:
    found = [value] * rank if isinstance(value, int) else list(value)
    if len(found) != rank or min(found) < 1:
        raise ValueError(f"{name}={value!r}: expected a positive number, or {rank} of them")
    return found


def _pads(padding: Padding, rank: int) -> List[int]:
    """The numbers of `padding`, all beginnings and then all ends; zeros where it is a word."""
    if isinstance(padding, str):
        if padding not in _PADDINGS:
            raise ValueError(f"padding={padding!r}: expected 'same', 'same_lower', 'valid' or numbers")
        return [0] * 2 * rank
    if len(padding) != 2 * rank or min(padding) < 0:
        raise ValueError(f"padding={padding!r}: expected {rank} numbers for the beginnings and {rank} for the ends")
    return list(padding)


def _same(size: int, kernel: int, stride: int, dilation: int, lower: bool) -> List[int]:
    """Zeros before and after an axis, so that one output stands for every stride; the odd zero at the end, or lower."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    half = total - total // 2 if lower else total // 2
    return [half, total - half]


class _ConvLSTM(nn.Module):
    """The three of them: gates i, f, g, o are convolutions of the input and of the state."""

    def __init__(
        self,
        rank: int,
        in_channels: int,
        hidden_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        dilation: Sizes,
        bias: bool,
        activation: str,
        recurrent_activation: str,
        recurrent_padding: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        self.rank, self.in_channels, self.hidden_channels, self.bias = rank, in_channels, hidden_channels, bias
        self.kernel_size = _each("kernel_size", kernel_size, rank)
        self.stride, self.dilation = _each("stride", stride, rank), _each("dilation", dilation, rank)
        self.pads = _pads(padding, rank)
        self.padding = padding if isinstance(padding, str) else "explicit"
        if recurrent_padding not in ("same", "same_lower"):
            raise ValueError(f"recurrent_padding={recurrent_padding!r}: expected 'same' or 'same_lower'")
        self.recurrent_padding = recurrent_padding
        self.activation = checked("activation", activation)
        self.recurrent_activation = checked("recurrent_activation", recurrent_activation)
        gates, sizes, place = 4 * hidden_channels, self.kernel_size, {"device": device, "dtype": dtype}
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates, in_channels, *sizes, **place))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates, hidden_channels, *sizes, **place))
        empty = nn.Parameter(torch.empty(gates, **place)) if bias else None
        self.bias_ih_l0: Optional[Tensor] = empty
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within ±1/√n, n the number of values that a recurrent convolution sums."""
        bound = 1.0 / math.sqrt(self.weight_hh_l0[0].numel())
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments of the constructor."""
        names = ("kernel_size", "stride", "padding", "dilation", "bias", "activation", "recurrent_activation")
        said = [f"{name}={getattr(self, name)!r}" for name in (*names, "recurrent_padding")]
        said = [f"padding={tuple(self.pads)}" if one == "padding='explicit'" else one for one in said]
        return ", ".join([f"{self.in_channels}, {self.hidden_channels}", *said])

    def _conv(self, x: Tensor, weight: Tensor, stride: List[int], dilation: List[int]) -> Tensor:
        if self.rank == 1:
            return functional.conv1d(x, weight, None, stride, 0, dilation)
        if self.rank == 2:
            return functional.conv2d(x, weight, None, stride, 0, dilation)
        return functional.conv3d(x, weight, None, stride, 0, dilation)

    def _around(self, x: Tensor, stride: List[int], dilation: List[int], padding: str) -> List[int]:
        """The zeros around the space of x (batch, channels, *space), the last axis first."""
        zeros: List[int] = []
        for k in range(self.rank):
            axis = self.rank - 1 - k
            if padding == "explicit":
                zeros.extend([self.pads[axis], self.pads[axis + self.rank]])
            else:
                size, kernel, lower = x.size(2 + axis), self.kernel_size[axis], padding == "same_lower"
                zeros.extend(_same(size, kernel, stride[axis], dilation[axis], lower))
        return zeros

    def _project(self, x: Tensor) -> Tensor:
        """The input's part of the gates of all steps: (time, batch, channels, *space) -> (time, batch, gates, *out)."""
        rows = x.flatten(0, 1)
        if self.padding != "valid":
            rows = functional.pad(rows, self._around(rows, self.stride, self.dilation, self.padding))
        rows = self._conv(rows, self.weight_ih_l0, self.stride, self.dilation)
        if self.bias_ih_l0 is not None:
            rows = rows + self.bias_ih_l0.view([-1] + [1] * self.rank)
        return rows.view(list(x.shape[:2]) + list(rows.shape[1:]))

    def _step(self, x: Tensor, states: List[Tensor], weight: Tensor, around: List[int]) -> List[Tensor]:
        """New states (batch, hidden, *out) from the projected input of a step (batch, gates, *out).

        A channel behind the gates is the mask of the step: where it is 0, the states stay.
        """
        gates = 4 * self.hidden_channels
        if x.size(1) == gates:
            return self._computed(x, states, weight, around)
        keep, new = x[:, gates:] != 0, self._computed(x[:, :gates], states, weight, around)
        return [torch.where(keep, new[0], states[0]), torch.where(keep, new[1], states[1])]

    def _computed(self, x: Tensor, states: List[Tensor], weight: Tensor, around: List[int]) -> List[Tensor]:
        h, c, channels, ones = states[0], states[1], self.hidden_channels, [1] * self.rank
        gates = x + self._conv(functional.pad(h, around), weight, ones, ones)
        pair, g, o = gates.split([2 * channels, channels, channels], dim=1)
        i, f = activate(pair, self.recurrent_activation).chunk(2, dim=1)
        c = torch.addcmul(i * activate(g, self.activation), f, c)
        return [activate(o, self.recurrent_activation) * activate(c, self.activation), c]

    @torch.jit.unused
    def _scanned(self, x: Tensor, states: List[Tensor], around: List[int]) -> Tuple[Tensor, List[Tensor]]:
        def step(x_t: Tensor, held: List[Tensor], constants: List[Tensor]) -> List[Tensor]:
            return self._step(x_t, held, constants[0], around)

        return loops.scan(step, x, states, [self.weight_hh_l0], False)

    def _run(self, x: Tensor, states: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Outputs (time, batch, hidden, *out) and final states from the projected input."""
        ones = [1] * self.rank
        around = self._around(states[0], ones, ones, self.recurrent_padding)
        if not is_scripting() and loops.scans():
            return self._scanned(x, states, around)
        outputs: List[Tensor] = []
        for row in x.unbind(0):
            states = self._step(row, states, self.weight_hh_l0, around)
            outputs.append(states[0])
        return torch.stack(outputs), states

    def _initial(self, hx: Optional[Tuple[Tensor, Tensor]], x: Tensor) -> List[Tensor]:
        """(h, c) of (batch, hidden, *out): those given, checked against the projected input, or zeros."""
        shape = [x.size(1), self.hidden_channels]
        shape.extend(x.shape[3:])
        if hx is None:
            zeros = torch.zeros(shape, dtype=x.dtype, device=x.device)
            return [zeros, zeros]
        for state in hx:
            if list(state.shape) != shape:
                raise ValueError(f"initial state of shape {list(state.shape)}: expected {shape}")
        return [hx[0], hx[1]]

    def _masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """The projected input with the mask (batch, time) or (batch, time, *out) as one more channel."""
        own = [x.size(1), x.size(0)]
        if list(mask.shape) != own and list(mask.shape) != own + list(x.shape[3:]):
            raise ValueError(f"mask of shape {list(mask.shape)}: expected {own}, or {own + list(x.shape[3:])}")
        channel = mask.transpose(0, 1).unsqueeze(2)
        if mask.dim() == 2:
            channel = channel.view([x.size(0), x.size(1), 1] + [1] * self.rank)
        sizes = list(x.shape)
        sizes[2] = 1
        return torch.cat([x, channel.to(x.dtype).expand(sizes)], dim=2)

    def forward(
        self, input: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None, mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        """(outputs of all steps, (h_n, c_n)) from input (batch, time, in_channels, *space); hx as (h_n, c_n).

        Outputs are (batch, time, hidden_channels, *out), states (batch, hidden_channels, *out); out is space after the
        stride, the padding and the dilation of the input's convolution. Where mask, (batch, time) or (batch, time,
        *out), is false, the states stay as they are and the output is the one before.
        """
        if input.dim() != 3 + self.rank or input.size(2) != self.in_channels or input.size(1) == 0:
            axes = f"{3 + self.rank} axes (batch, time, {self.in_channels} channels, space), one step at least"
            raise ValueError(f"input of shape {list(input.shape)}: expected {axes}")
        x = self._project(input.transpose(0, 1))
        states = self._initial(hx, x)
        y, states = self._run(x if mask is None else self._masked(x, mask), states)
        return y.transpose(0, 1), (states[0], states[1])


class ConvLSTM1D(_ConvLSTM):
    """Keras's ConvLSTM1D, channels first; the recurrent convolution is of stride 1, undilated, and padded 'same'."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        recurrent_padding: str = "same",
    ) -> None:
        sizes = (kernel_size, stride, padding, dilation)
        words = (activation, recurrent_activation, recurrent_padding)
        super().__init__(1, in_channels, hidden_channels, *sizes, bias, *words, device, dtype)


class ConvLSTM2D(_ConvLSTM):
    """Keras's ConvLSTM2D, channels first; the recurrent convolution is of stride 1, undilated, and padded 'same'."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        recurrent_padding: str = "same",
    ) -> None:
        sizes = (kernel_size, stride, padding, dilation)
        words = (activation, recurrent_activation, recurrent_padding)
        super().__init__(2, in_channels, hidden_channels, *sizes, bias, *words, device, dtype)


class ConvLSTM3D(_ConvLSTM):
    """Keras's ConvLSTM3D, channels first; the recurrent convolution is of stride 1, undilated, and padded 'same'."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        recurrent_padding: str = "same",
    ) -> None:
        sizes = (kernel_size, stride, padding, dilation)
        words = (activation, recurrent_activation, recurrent_padding)
        super().__init__(3, in_channels, hidden_channels, *sizes, bias, *words, device, dtype)
