"""Walks the forward code of a module by torch.fx, on the inputs that the caller gives.

Code asks tensors for their sizes, to branch, to count, and to make tensors as large. A size stays a node of the graph
as long as it is only computed with; where Python needs a number or a yes or no, the inputs tell it, and `taken` says
of what. What hangs on the numbers in a tensor is refused: it may be another one for the next input.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import fx, nn
from torch.nn.utils import rnn

_SIZES = ("size", "dim", "numel", "ndimension", "nelement", "is_floating_point", "get_device")
_ATTRIBUTES = ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")
_FACTORIES = ("zeros", "ones", "full", "empty", "rand", "randn", "arange", "eye", "linspace")
"""Functions of torch that make a tensor of sizes, which torch.fx does not see."""
_PACKING = (rnn.pack_padded_sequence, rnn.pad_packed_sequence)
_METHODS = ("new_zeros", "new_ones", "new_full", "new_empty")


class _Proxy(fx.Proxy):
    """A value that becomes a number where Python asks for one."""

    tracer: Follower

    def __index__(self) -> int:
        return int(self.tracer.told(self.node))

    def __int__(self) -> int:
        return int(self.tracer.told(self.node))

    def __float__(self) -> float:
        return float(self.tracer.told(self.node))


class Follower(fx.Tracer):
    """Goes into every module but those of torch.nn and converters.nn."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]
        self.proxy_buffer_attributes = True
        self.taken: dict[str, None] = {}
        self._inputs = [x.clone() for x in inputs]
        self._values: dict[fx.Node, Any] = {}
        self._runs = False

    def follow(self, module: nn.Module) -> fx.Graph:
        """The graph of the forward code."""
        with _recorded(module):
            return self.trace(module)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = type(m).__module__.startswith("converters.torch.nn")
        return own or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """A placeholder for each input; what follows in `forward` keeps its default."""
        names = list(inspect.signature(inspect.unwrap(root_fn)).parameters.values())[1:]
        if names and names[-1].kind is inspect.Parameter.VAR_POSITIONAL:
            names += [names.pop().replace(name=f"x{k}") for k in range(len(self._inputs))]
        own = [name.name for name in names][: len(self._inputs)]
        return root_fn, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in own)]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        return bool(self.told(obj.node))

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """The parts of a tuple, or of a tensor along its first axis."""
        value = self._value(obj.node)
        if not isinstance(value, torch.Tensor | tuple | list):
            raise fx.proxy.TraceError(f"{obj.node.name} is walked through, and is no sequence")
        self.taken[f"len({obj.node.name})"] = None
        return (obj[k] for k in range(len(value)))  # type: ignore[index]

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._runs else super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return forward(*args, **kwargs) if self._runs else super().call_module(m, forward, args, kwargs)

    def told(self, node: fx.Node) -> Any:
        """The number of a size. Raises `TraceError` for what hangs on the numbers of a tensor."""
        if not _is_of_sizes(node):
            raise fx.proxy.TraceError(f"{node.name} is a number out of a tensor, which decides what is done")
        self.taken[node.name] = None
        return self._value(node)

    def _value(self, node: fx.Node) -> Any:
        """What a node gives for the inputs; all before it run too, once."""
        self._runs = True
        try:
            for each in self.graph.nodes:
                if each not in self._values:
                    self._values[each] = self._run(each)
        finally:
            self._runs = False
        return self._values[node]

    def _run(self, node: fx.Node) -> Any:
        args, named = fx.node.map_arg((node.args, node.kwargs), self._values.__getitem__)
        if node.op == "placeholder":
            return self._inputs[sum(each.op == "placeholder" for each in self._values)]
        if node.op == "call_function":
            return node.target(*args, **named)  # type: ignore[operator]
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **named)
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target)).forward(*args, **named)
        found: Any = self.root
        for word in str(node.target).split("."):
            found = getattr(found, word)
        return found


def _is_of_sizes(node: fx.Node) -> bool:
    """Whether a value hangs on sizes alone."""
    if node.op == "call_method" and node.target in _SIZES:
        return True
    if node.target in (getattr, len):
        return node.target is len or node.args[1] in _ATTRIBUTES
    plain = node.op in ("call_function", "call_method") and bool(node.all_input_nodes)
    return plain and all(map(_is_of_sizes, node.all_input_nodes))


@contextmanager
def _recorded(module: nn.Module) -> Iterator[None]:
    """While code is walked, what makes tensors of sizes, and `len`, become nodes where they are given any."""
    own = {id(g): g for m in module.modules() if not type(m).__module__.startswith("torch.") for g in [_globals(m)]}
    patches: list[Any] = [mock.patch.object(torch, name, _noticed(getattr(torch, name))) for name in _FACTORIES]
    patches += [mock.patch.object(torch.Tensor, name, _method(name)) for name in _METHODS]
    patches += [mock.patch.object(rnn, each.__name__, _noticed(each)) for each in _PACKING]
    patches += [mock.patch.dict(each, _names(each)) for each in own.values()]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _globals(module: nn.Module) -> dict[str, Any]:
    return getattr(inspect.unwrap(type(module).forward), "__globals__", {})


def _names(space: dict[str, Any]) -> dict[str, Any]:
    """What takes the place of names in the module that holds some forward code."""
    packing = {name: _noticed(each) for name, each in space.items() if any(each is own for own in _PACKING)}
    return packing if "len" in space else {"len": _noticed(len), **packing}


def _noticed(function: Callable[..., Any]) -> Callable[..., Any]:
    def noticed(*args: Any, **named: Any) -> Any:
        found = _first_proxy((args, named))
        return (
            function(*args, **named)
            if found is None
            else found.tracer.create_proxy("call_function", function, args, named)
        )

    return noticed


def _method(name: str) -> Callable[..., Any]:
    own = getattr(torch.Tensor, name)

    def noticed(*args: Any, **named: Any) -> Any:
        found = _first_proxy((args, named))
        return own(*args, **named) if found is None else found.tracer.create_proxy("call_method", name, args, named)

    return noticed


def _first_proxy(value: Any) -> fx.Proxy | None:
    """A value of the graph in some arguments."""
    found: list[fx.Proxy] = []
    fx.node.map_aggregate(value, lambda each: found.append(each) if isinstance(each, fx.Proxy) else None)
    return found[0] if found else None
