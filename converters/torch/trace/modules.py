"""Calls of modules: layers with weights, and those of torch.nn that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import fx, nn

from converters.model import operations as op
from converters.model.layers import Layer
from converters.torch.trace import pooling
from converters.torch.trace.arithmetic import clipped, gated
from converters.torch.trace.filling import as_value
from converters.torch.trace.packing import Packed
from converters.torch.trace.sketch import Filled, Name, Sketch


def drawn(d: Sketch, node: fx.Node) -> Any:
    """What a module gives. Raises `NotRepresentable` for one that is not known."""
    module: Any = d.walked.get_submodule(str(node.target))
    layer = d.layers.get(str(node.target))
    arguments, named = d.of(node.args), d.of(node.kwargs)
    if layer is not None and layer.unknown is not None:
        raise layer.unknown
    if layer is not None and layer.recurrent:
        return _recurrent(d, node, module, layer, [*arguments, *named.values()])
    arguments, named = as_value(d, arguments), as_value(d, named)
    if isinstance(module, nn.MultiheadAttention):
        return _attention(d, node, module, layer, arguments, named)
    if isinstance(module, nn.Hardtanh):
        return clipped(d, node, arguments[0], module.min_val, module.max_val)
    if isinstance(module, nn.GLU):
        return gated(d, node, arguments[0], module.dim)
    if named or len(arguments) != 1:
        raise d.refuse(node, "it is called with more than one tensor")
    if layer is not None:
        if getattr(module, "padding_mode", "zeros") != "zeros":
            raise d.refuse(node, f"it pads by {module.padding_mode}")
        return d.add(node, op.Apply(), arguments[0], layer=layer)
    for kind, operation in _PLAIN.items():
        if isinstance(module, kind):
            return d.add(node, operation(d, node, module), arguments[0])
    raise d.refuse(node, "this module is not known here")


def _recurrent(d: Sketch, node: fx.Node, module: Any, layer: Layer, arguments: list[Any]) -> Any:
    """Outputs and states as PyTorch has them: h_n, c_n (layers × directions, batch, units)."""
    x, given = as_value(d, arguments[0]), _states(d, arguments[1:])
    if layer.call.single_step:
        return _step(d, node, module, layer, x, given)
    packed = x if isinstance(x, Packed) else None
    x = packed.x if packed else x
    if packed and layer.call.time_axis != int(packed.batch_first):
        raise d.refuse(node, "it reads a packed sequence with the other order of batch and time")
    if len(d.shape(x)) != 3:
        raise d.refuse(node, "it runs on a sequence without a batch")
    ways, depth = (2 if module.bidirectional else 1), int(module.num_layers)
    order = [number * ways + way for way in range(ways) for number in range(depth)]
    kinds = 2 if module.mode == "LSTM" else 1
    states = [_taken(d, node, given[kind], place) for place in order for kind in range(kinds)] if given else []
    batch = d.shape(x)[1 - layer.call.time_axis]
    widths = [getattr(module, "proj_size", 0) or module.hidden_size, module.hidden_size][:kinds]
    y = d.value(node.name, (*d.shape(x)[:2], ways * widths[0]))
    made = [d.value(f"{node.name}_state", (batch, widths[kind])) for _ in order for kind in range(kinds)]
    d.put(node, op.Apply(), (x, *states), (y, *made), layer, packed.mask if packed else "")
    given_back = replace(packed, x=y) if packed else y
    stacked = [
        _stacked(d, node, [made[order.index(k) * kinds + kind] for k in range(len(order))]) for kind in range(kinds)
    ]
    return (given_back, tuple(stacked) if kinds == 2 else stacked[0])


def _states(d: Sketch, arguments: list[Any]) -> list[Any]:
    """Initial states: a tensor, or a pair of them; none where they are zeros, with which every layer begins."""
    given = arguments[0] if arguments else None
    found = [] if given is None else list(given) if isinstance(given, tuple | list) else [given]
    zeros = all(isinstance(state, Filled) and state.number == 0 for state in found)
    return [] if zeros else [as_value(d, state) for state in found]


def _taken(d: Sketch, node: fx.Node, state: Name, place: int) -> Name:
    return d.add(node, op.Take(0, index=place), state, shape=d.shape(state)[1:])


def _stacked(d: Sketch, node: fx.Node, states: list[Name]) -> Name:
    """(batch, units) each as (layers × directions, batch, units)."""
    inner = d.shape(states[0])
    whole = [d.add(node, op.AddAxis(0), state, shape=(1, *inner), dtype="float32") for state in states]
    if len(whole) == 1:
        return whole[0]
    return d.add(node, op.Concatenate(0), *whole, shape=(len(whole), *inner), dtype="float32")


def _step(d: Sketch, node: fx.Node, module: Any, layer: Layer, x: Name, given: list[Any]) -> Any:
    """A cell: one step, as a sequence of one."""
    if len(d.shape(x)) != 2:
        raise d.refuse(node, "it runs on a step without a batch")
    batch, features = d.shape(x)
    sequence = d.add(node, op.AddAxis(1), x, shape=(batch, 1, features), dtype="float32")
    kinds = 2 if isinstance(module, nn.LSTMCell) else 1
    y = d.value(node.name, (batch, 1, module.hidden_size))
    made = [d.value(f"{node.name}_state", (batch, module.hidden_size)) for _ in range(kinds)]
    d.put(node, op.Apply(), (sequence, *given), (y, *made), layer)
    return tuple(made) if kinds == 2 else made[0]


def _attention(
    d: Sketch, node: fx.Node, module: Any, layer: Layer | None, arguments: Any, named: Mapping[str, Any]
) -> Any:
    """Query, key and value; the scores that it may give beside are not known here."""
    plain = {name: value for name, value in named.items() if name not in ("need_weights", "average_attn_weights")}
    if layer is None or plain or len(arguments) != 3 or not module.batch_first:
        raise d.refuse(node, "heads with masks, or with the batch behind the time, are not known here")
    query, key, value = arguments
    name = d.value(node.name, d.runs.shape(node, (0,)))
    d.put(node, op.Apply(), (query, value, key), (name,), layer)
    return (name, None)


def _flatten(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise d.refuse(node, "flattening of some axes is known as torch.flatten alone")
    return op.Flatten()


def _function(name: str, **told: str) -> Callable[[Sketch, fx.Node, Any], op.Operation]:
    """An activation; `told` are its settings, and the attributes of the module that have them."""
    return lambda d, node, module: op.Activation(name, **{key: getattr(module, own) for key, own in told.items()})


def _gelu(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
    return op.Activation("gelu" if module.approximate == "none" else "gelu_tanh")


def _softmax(name: str) -> Callable[[Sketch, fx.Node, Any], op.Operation]:
    def found(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
        if module.dim is None:
            raise d.refuse(node, "its axis is not told: state dim=")
        return op.Activation(name, axis=module.dim)

    return found


def _softplus(d: Sketch, node: fx.Node, module: Any) -> op.Operation:
    if module.beta != 1:
        raise d.refuse(node, "softplus with beta is not known here")
    return op.Activation("softplus")


_MODULES: Mapping[type, Callable[[Sketch, fx.Node, Any], op.Operation]] = {
    nn.Identity: lambda d, n, m: op.Identity(),
    nn.modules.dropout._DropoutNd: lambda d, n, m: op.Identity(),
    nn.Flatten: _flatten,
    nn.ReLU6: _function("relu6"),
    nn.ReLU: _function("relu"),
    nn.Tanh: _function("tanh"),
    nn.Sigmoid: _function("sigmoid"),
    nn.LeakyReLU: _function("leaky_relu", alpha="negative_slope"),
    nn.ELU: _function("elu", alpha="alpha"),
    nn.CELU: _function("celu", alpha="alpha"),
    nn.SELU: _function("selu"),
    nn.SiLU: _function("silu"),
    nn.GELU: _gelu,
    nn.Mish: _function("mish"),
    nn.Hardsigmoid: _function("hard_sigmoid_1/6"),
    nn.Hardswish: _function("hard_silu"),
    nn.Softplus: _softplus,
    nn.Softsign: _function("softsign"),
    nn.LogSigmoid: _function("log_sigmoid"),
    nn.Softmax: _softmax("softmax"),
    nn.LogSoftmax: _softmax("log_softmax"),
    nn.Softmin: _softmax("softmin"),
    nn.modules.pooling._MaxPoolNd: pooling.pool("max"),
    nn.modules.pooling._AvgPoolNd: pooling.pool("average"),
    nn.modules.pooling._AdaptiveAvgPoolNd: pooling.whole("average"),
    nn.modules.pooling._AdaptiveMaxPoolNd: pooling.whole("max"),
}
_PLAIN: Mapping[Any, Callable[[Sketch, fx.Node, Any], op.Operation]] = _MODULES
"""Modules without weights, by the class from which they derive; a class before the ones that it derives from."""
