"""The text of a module: names of a stranger stay names, strings stay strings, and ruff has nothing to say."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from sampling import sampled
from test_build import FILES, drafted, read
from torch import nn

import converters
from converters.model.graph import Graph, Node, as_drawn
from converters.model.names import module_name
from converters.targets.pytorch.source import helpers
from converters.targets.pytorch.source.words import RESERVED, identifier, is_plain, quoted
from converters.targets.pytorch.source.writing import OWN
from converters.torch.build import Draft, draft, realize

FIXTURES = ROOT / "fixtures"
RUFF = Path(sys.executable).with_name("ruff")
RULES = ("--isolated", "--select", "E,F,I,UP,B", "--line-length", "120", "--target-version", "py310")

HOSTILE = [
    "a'); import os; os.abort() #",
    'a"); import os; os.abort(); ("',
    '"""\nimport os\nos.abort()\n"""',
    "new\nline",
    "carriage\rreturn",
    "line\u2028separator",
    "tab\tand  spaces ",
    "back\\slash",
    "trailing\\",
    "nul\x00",
    "\u202egnp.evil",
    "ünïcode",
    "ａ",
    "ﬁt",
    "a\u0301",
    "日本語",
    "{x}",
    "%s",
    "class",
    "None",
    "match",
    "print",
    "forward",
    "type",
    "reset_states",
    "__init__",
    "__class__",
    "_modules",
    "_parameters",
    "T_destination",
    "self",
    "torch",
    "nn",
    "functional",
    "Tensor",
    "Model",
    "load",
    "check",
    "cells",
    "pack_valid",
    "x",
    "h",
    "mask",
    "1x1",
    "dense-1",
    "0",
    "a b",
    "a.b",
    "-",
    "x" * 300,
    "dense-" + "y" * 300,
]


def renamed(file: Path, names: dict[str, str]) -> Draft:
    """The draft of a file whose layers have other names."""
    checkpoint = read(file)
    assert checkpoint.graph is not None
    layers = {id(layer): replace(layer, path=names.get(layer.path, layer.path)) for layer in checkpoint.layers}
    graph = checkpoint.graph
    nodes = [_renamed_node(node, names, layers) for node in graph.nodes]
    inputs = tuple(replace(value, name=names.get(value.name, value.name)) for value in graph.inputs)
    values = {names.get(name, name): replace(value, name=names.get(name, name)) for name, value in graph.values.items()}
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    other = Graph(inputs, tuple(nodes), outputs, values)
    return draft(replace(checkpoint, layers=tuple(layers.values()), network=as_drawn(other)), {})


def _renamed_node(node: Node, names: dict[str, str], layers: dict[int, Any]) -> Node:
    return replace(
        node,
        name=names.get(node.name, node.name),
        inputs=tuple(names.get(name, name) for name in node.inputs),
        outputs=tuple(names.get(name, name) for name in node.outputs),
        mask=names.get(node.mask, node.mask),
        layer=layers.get(id(node.layer), node.layer),
    )


def structure(text: str) -> list[str]:
    """What a text does: its statements without the names of variables, attributes and strings."""
    allowed = {"super", "getattr", "float", "range", "zip", "max", "min", "len", "print", "SystemExit", "int"}
    tree = ast.parse(text)
    made = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called <= allowed | made | imported, called
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules <= {"torch", "cells", "numpy"}
    return sorted(type(node).__name__ for node in tree.body)


CASES = ("keras2/masking/model.h5", "keras3/return_state/model.keras", "keras3/stateful/model.keras")


@pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name)[:40] for name in HOSTILE])
@pytest.mark.parametrize("case", sampled(CASES, 3))
def test_hostile_name_is_a_name(case: str, name: str) -> None:
    file = FIXTURES / case
    plain = drafted(file)
    first = next(node for node in plain.graph.nodes if node.layer)
    found = renamed(file, {first.name: name, plain.graph.inputs[-1].name: f"{name}_input"})
    assert structure(found.source.text) == structure(plain.source.text)
    module, expected = realize(found), realize(plain)
    keys = {tensor.key for tensor in found.plan.tensors}
    assert set(module.state_dict()) == keys and any(module_name(name) in key for key in keys)
    inputs = [torch.rand(tuple(n or 3 for n in value.shape or ())) for value in plain.graph.inputs]
    with torch.no_grad():
        for one, other in zip(_all(module(*inputs)), _all(expected(*inputs)), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["training", "inner/training"])
def test_a_layer_may_be_called_as_the_flag_of_every_module(name: str) -> None:
    file = FIXTURES / CASES[0]
    plain = drafted(file)
    found = renamed(file, {next(node for node in plain.graph.nodes if node.layer).name: name})
    module, expected = realize(found), realize(plain)
    assert {tensor.key for tensor in found.plan.tensors} == set(module.state_dict())
    assert any(key.startswith(f"{module_name(name)}.") for key in module.state_dict())
    whole = torch.nn.Sequential(module).train()
    assert all(each.__dict__["training"] for each in whole.modules())
    assert not any(each.__dict__["training"] for each in whole.eval().modules())
    x = torch.rand(tuple(n or 3 for n in plain.graph.inputs[0].shape or ()))
    with torch.no_grad():
        assert torch.equal(whole(x), expected(x))


def _all(found: Any) -> tuple[torch.Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


def test_hostile_names_pass_ruff(tmp_path: Path) -> None:
    _needs_ruff()
    for number, name in enumerate(HOSTILE):
        for case in CASES:
            first = next(node for node in drafted(FIXTURES / case).graph.nodes if node.layer)
            text = renamed(FIXTURES / case, {first.name: name}).source.text
            (tmp_path / f"{case.split('/')[1]}_{number}.py").write_text(text, encoding="utf-8")
    _ruff(tmp_path)


def test_every_text_passes_ruff(tmp_path: Path) -> None:
    _needs_ruff()
    for param in FILES:
        (file,) = param.values
        if read(file).graph is not None:
            try:
                text = drafted(file).source.text
            except converters.NotRepresentable:
                continue
            (tmp_path / f"{param.id.replace('/', '_').replace('.', '_')}.py").write_text(text, encoding="utf-8")
    assert len(list(tmp_path.iterdir())) > 100
    _ruff(tmp_path)


def _needs_ruff() -> None:
    if not RUFF.exists():
        pytest.skip("ruff is not installed")


def _ruff(folder: Path) -> None:
    ran = subprocess.run([RUFF, "check", *RULES, folder], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    usual = subprocess.run([RUFF, "check", "--isolated", folder], capture_output=True, text=True)
    assert usual.returncode == 0, usual.stdout


def test_names_that_every_module_has_are_not_attributes() -> None:
    own = nn.Module()
    assert [name for name in dir(own) if is_plain(name)] == []


def test_helpers_are_not_hidden_by_variables() -> None:
    assert helpers.NAMES <= RESERVED


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_is_the_text(text: str) -> None:
    assert ast.literal_eval(quoted(text)) == text
    name = identifier(text, ())
    assert name.isidentifier() and name.isascii() and not hasattr(__builtins__, name)


def test_the_text_is_found_by_inspect_and_tracebacks() -> None:
    module = converters.build(FIXTURES / "keras3/lstm/model.keras")
    assert "self.lstm(x)" in inspect.getsource(type(module))
    with pytest.raises(RuntimeError) as caught:
        module(torch.zeros(2, 7, 4))
    assert "self.lstm(x)" in "".join(traceback.format_exception(caught.value))


def test_an_unknown_activation_is_refused_by_name() -> None:
    found = drafted(FIXTURES / "keras3/lstm/model.keras")
    graph = found.graph
    layers = tuple(
        replace(layer, call=replace(layer.call, activation="a'); import os; ('")) if layer.path == "dense" else layer
        for layer in found.plan.checkpoint.layers
    )
    by_path = {layer.path: layer for layer in layers}
    nodes = tuple(replace(node, layer=node.layer and by_path[node.layer.path]) for node in graph.nodes)
    checkpoint = replace(found.plan.checkpoint, layers=layers, network=as_drawn(replace(graph, nodes=nodes)))
    with pytest.raises(converters.NotRepresentable, match=r"dense.*import os.*is not known"):
        draft(checkpoint, {})


class Residual(nn.Module):
    """Each input is read again behind a recurrent layer, whose outputs and states take their variables by rule."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 5, batch_first=True, bidirectional=True)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> Any:
        y, (h, _) = self.lstm(first + second)
        return y[..., :5] + first * second, h[-1] + second[:, 0], self.lstm(second)[0][:, -1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(name for name in OWN if not name[-1].isdigit()))
def test_an_input_may_be_called_like_a_variable_of_the_way(name: str, tmp_path: Path) -> None:
    module, inputs = Residual().eval(), (torch.randn(2, 7, 5), torch.randn(2, 7, 5))
    for names in ([name, "other"], ["other", name]):
        torch.onnx.export(module, inputs, tmp_path / "model.onnx", dynamo=False, input_names=names)
        with torch.no_grad():
            pairs = zip(converters.build(tmp_path / "model.onnx")(*inputs), module(*inputs), strict=True)
        assert all(float((found - wanted).abs().max()) <= 1e-6 for found, wanted in pairs)
