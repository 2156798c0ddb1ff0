"""Pages: everything of a plan and every layout is on them, names from files are harmless, and a browser is content."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import browsing, installed
from click.testing import CliRunner, Result
from conftest import ROOT
from keras_files import bidirectional, dense, numbers, other, recurrent, write
from layout_samples import every_layout
from markup import Markup, expect_harmless

import converters
from converters.cli import main
from converters.model.cards import cards
from converters.model.checkpoint import Checkpoint
from converters.model.flow import shown
from converters.model.graph import Graph, as_drawn
from converters.planning.pictured import plan_page
from converters.planning.plan import make_plan
from converters.show.layout_page import layout_page
from converters.show.pictures.elements import element, html
from converters.targets import PYTORCH
from layouts import catalogue
from layouts.errors import UnknownLayer

FIXTURES = ROOT / "fixtures"
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "&lt;b&gt;&amp;&#60;",
    "a\x00b\x1b[31m\r\n\x7f",
    "\u202egnp.exe\u2066",
    "--><!--",
    "x" * 10_000,
    "ж" * 300,
]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))


# --- a page of a plan

CASES = [
    "keras2/encoder_decoder/model.h5",
    "keras2/shared_layer/model.h5",
    "keras2/nested_frozen/model.h5",
    "keras2/cudnn/model.h5",
    "keras2/theano_conv/model.h5",
    "keras3/attention/model.keras",
    "keras3/stacked_cells/model.keras",
    "keras3/flatten_dense/model.keras",
    "keras1/lstm/model.h5",
    "onnx_torch/gru_stacked_bidirectional/model.onnx",
    "tf_keras/conv_lstm/model.h5",
]


@pytest.mark.parametrize("case", CASES)
def test_a_page_shows_every_layer_every_array_and_every_block(case: str) -> None:
    plan = converters.plan(FIXTURES / case)
    markup = Markup(plan_page(plan))
    expect_harmless(markup)
    text = "\n".join(markup.texts)
    assert [layer.path for layer in plan.checkpoint.layers if layer.path not in text] == []
    assert [tensor.key for tensor in plan.tensors if tensor.key not in text] == []
    stored = [array.name for layer in plan.checkpoint.layers for array in layer.stored()]
    assert [name for name in stored if name not in text] == []
    drawn = [module for module in plan.modules if module.layout is not None]
    assert markup.count("section") == len(plan.modules) and len(drawn) > 0
    blocks = sum(len(part.pieces()) for module in drawn for part in module.parts)
    assert len(markup.with_attribute("data-block")) >= blocks
    assert markup.count("g", class_="card") >= len(plan.checkpoint.layers)


def test_every_layer_of_the_graph_leads_to_its_section(model: Path) -> None:
    markup = Markup(plan_page(converters.plan(model)))
    assert markup.with_attribute("href") == ["#m0", "#m1"]
    assert markup.count("path", class_="edge") == 3


def test_a_shared_layer_says_which_call_it_is_and_masks_are_dashed() -> None:
    text = plan_page(converters.plan(FIXTURES / "keras2/shared_layer/model.h5"))
    assert "shared: call 1 of 2" in text and "shared: call 2 of 2" in text
    masked = Markup(plan_page(converters.plan(FIXTURES / "keras2/masking/model.h5")))
    edges = [found["class"] for tag, found in masked.tags if tag == "path" and "edge" in (found.get("class") or "")]
    assert "edge mask" in edges and "edge" in edges


def test_what_brings_a_layer_to_every_step_is_passed_through_by_lines() -> None:
    graph = converters.read(FIXTURES / "keras3/time_distributed/model.keras").graph
    assert graph is not None
    boxes, lines = cards(graph, lambda layer: "")
    assert any(node not in shown(graph) for node in graph.nodes)
    names = [box.name for box in boxes]
    assert {(names[line.start], names[line.end]) for line in lines} == {
        ("input_layer", "each_dense"),
        ("each_dense", "output"),
        ("input_layer", "each_both"),
        ("each_both", "output"),
        ("input_layer", "each_model"),
        ("each_model", "each_model/reader"),
        ("each_model/reader", "each_model/head"),
        ("each_model/head", "each_model"),
        ("each_model", "output"),
    }


def test_weights_alone_are_a_table_and_no_graph(tmp_path: Path) -> None:
    file = write(tmp_path / "w.h5", recurrent("GRU", "rnn", 3, 5), dense("head", 5, 2), whole=False)
    markup = Markup(plan_page(converters.plan(file)))
    text = "\n".join(markup.texts)
    assert "stores weights alone" in text and markup.count("g", class_="card") == 0
    assert markup.count("section") == 2 and "assumed" in text


def test_refusals_and_notes_stand_on_the_page(tmp_path: Path) -> None:
    hard = recurrent("LSTM", "rnn", 3, 5, recurrent_activation="hard_sigmoid", return_sequences=False)
    file = write(tmp_path / "m.h5", hard, other("Strange", "odd", {"w": numbers(5, 2)}))
    plan = converters.plan(file)
    markup = Markup(plan_page(plan))
    text = "\n".join(markup.texts)
    assert len(plan.problems) == 2 and "Refused: 2 of its problems" in text
    assert all(" ".join(str(problem).split()) in text for problem in plan.problems)
    assert "use h_n[-1]" in text and markup.count("section", class_="bad") == 2


def test_directions_that_go_by_one_name_are_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", bidirectional("GRU", "both", 3, 5))
    text = plan_page(converters.plan(file))
    assert "kernel (forward)" in text and "kernel (backward)" in text and "weight_ih_l0_reverse" in text


def called(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The same source where a file, layers, classes, arrays, values and reasons go by this name: no reader stands
    between it and the page."""
    unknown = UnknownLayer(name)
    layers = {
        id(layer): replace(layer, path=f"{name}/{k}", class_name=name, inferred=name, unknown=unknown if k else None)
        for k, layer in enumerate(checkpoint.layers)
    }
    for layer in layers.values():
        for part in layer.parts:
            object.__setattr__(part, "arrays", {key: replace(a, name=name) for key, a in part.arrays.items()})
    graph = checkpoint.graph
    assert graph is not None
    values = {value: f"{name}{k}" for k, value in enumerate(graph.values)}
    nodes = tuple(
        replace(
            node,
            name=f"{name}/{k}",
            class_name=name,
            inputs=tuple(values[each] for each in node.inputs),
            outputs=tuple(values[each] for each in node.outputs),
            layer=layers.get(id(node.layer)),
        )
        for k, node in enumerate(graph.nodes)
    )
    named = Graph(
        tuple(replace(value, name=values[value.name]) for value in graph.inputs),
        nodes,
        tuple(values[each] for each in graph.outputs),
        {values[key]: replace(value, name=values[key]) for key, value in graph.values.items()},
    )
    words = {"path": name, "framework": name, "version": name, "custom_layers": (name,), "unused": (name,)}
    return replace(checkpoint, layers=tuple(layers.values()), network=as_drawn(named), **words)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_from_a_file_are_harmless(name: str, model: Path) -> None:
    plan = make_plan(called(converters.read(model), name), PYTORCH, strict=False)
    page = plan_page(plan)
    markup = Markup(page)
    expect_harmless(markup)
    assert [c for c in set(page) if not c.isprintable() and c != "\n"] == []
    assert markup.count("section") == 2 and markup.count("g", class_="card") == 4
    assert len(page) < 100_000
    if name.isprintable() and len(name) < 60:
        assert "".join(markup.texts).count(name) > 10


def test_a_page_forbids_the_browser_to_load_or_run_anything(model: Path) -> None:
    policies = Markup(plan_page(converters.plan(model))).with_attribute("content")
    assert any(policy.startswith("default-src 'none'; style-src 'unsafe-inline';") for policy in policies)


def test_text_is_text_wherever_it_stands() -> None:
    for name in HOSTILE:
        markup = Markup(html(element("p", name, element("b", name, title=name), name)))
        assert [tag for tag, _ in markup.tags] == ["p", "b"]
        shown = "".join(markup.texts).strip()
        assert shown == markup.with_attribute("title")[0] * 3
        if name.isprintable():
            assert shown == name * 3


# --- the command


def test_plan_writes_a_page_and_one_line(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run("plan", model, "--html", page)
    assert (result.exit_code, result.stderr, result.stdout) == (0, "", f"{page}: 2 modules\n")
    assert page.read_text("utf-8") == plan_page(converters.plan(model))


def test_a_refused_plan_is_a_page_too_with_the_flags_of_the_command(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5, recurrent_activation="hard_sigmoid"))
    page = tmp_path / "report.html"
    result = run("plan", file, "--html", page)
    assert (result.exit_code, result.stdout) == (1, f"{page}: 1 modules, refused: 1 problems\n")
    text = page.read_text("utf-8")
    assert "--dropins" in text and "dropins=True" not in text


def test_json_names_the_page(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    found = json.loads(run("plan", model, "--html", page, "--json").stdout)
    assert found["html"] == str(page) and len(found["modules"]) == 2 and page.exists()


@pytest.mark.parametrize("command", [["plan", "{model}"], ["layouts", "keras", "gru"]], ids=["plan", "layouts"])
def test_nothing_but_a_page_is_overwritten(command: list[str], model: Path, tmp_path: Path) -> None:
    arguments = [each.format(model=model) for each in command]
    before = model.read_bytes()
    for wrong in (model, tmp_path / "report", tmp_path, tmp_path / "nowhere" / "report.html"):
        result = run(*arguments, "--html", wrong)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert model.read_bytes() == before and [*tmp_path.iterdir()] == [model]


def test_layouts_writes_a_page_and_says_where(tmp_path: Path) -> None:
    page = tmp_path / "table.html"
    result = run("layouts", "keras", "gru", "--html", page)
    assert (result.exit_code, result.stderr, result.stdout) == (0, "", f"{page}\n")
    assert "keras GRU (reset after) → pytorch GRU" in page.read_text("utf-8")


def test_layouts_of_an_unknown_framework_write_nothing(tmp_path: Path) -> None:
    assert run("layouts", "nonsense", "--html", tmp_path / "t.html").exit_code == 1
    assert [*tmp_path.iterdir()] == []


# --- the table of gate orders


def test_the_table_holds_every_recurrent_layout_in_its_order() -> None:
    markup = Markup(layout_page(None, None, ("pytorch", "gateport")))
    expect_harmless(markup)
    wanted = [layout for layout in every_layout() if layout.cell.recurrent]
    orders = [label for label in markup.with_attribute("aria-label") if len(label) > 1 and label[1] == " "]
    by_cell = [own for cell in dict.fromkeys(layout.cell for layout in wanted) for own in wanted if own.cell is cell]
    assert orders == [" ".join(layout.gates) for layout in by_cell if layout.gates]
    assert markup.count("section") == len(wanted)


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_every_framework_has_its_page(framework: str) -> None:
    markup = Markup(layout_page(framework, None, ("pytorch", "gateport")))
    expect_harmless(markup)
    assert markup.count("section") == len(catalogue.of(framework))


def test_the_picture_of_the_readme_is_what_the_code_draws() -> None:
    folder = ROOT / "docs" / "images"
    for name, text in runpy.run_path(str(folder / "make.py"))["drawn"]().items():
        assert (folder / name).read_text("utf-8") == text, f"{name}: run docs/images/make.py"
        ElementTree.fromstring(text)
        assert len(text) < 30_000


# --- in a browser

SEEN = """(() => {
  const problems = [];
  for (const block of document.querySelectorAll('[data-block]')) {
    const box = block.getBoundingClientRect(), sheet = block.ownerSVGElement.getBoundingClientRect();
    const inside = box.left >= sheet.left - 1 && box.right <= sheet.right + 1
      && box.top >= sheet.top - 1 && box.bottom <= sheet.bottom + 1;
    if (!(box.width > 3 && box.height > 3 && inside)) problems.push('block ' + block.dataset.block);
  }
  for (const card of document.querySelectorAll('.card')) {
    const room = card.querySelector('rect').getBBox().width;
    for (const text of card.querySelectorAll('text'))
      if (text.getBBox().width > room) problems.push('text ' + text.textContent);
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) problems.push('the page is too wide');
  return problems;
})()"""


LOOKS: tuple[dict[str, Any], ...] = ({"dark": False}, {"dark": True}, {"media": "print"})


@pytest.mark.skipif(installed() is None, reason="no headless browser is installed")
def test_a_browser_asks_for_nothing_complains_of_nothing_and_shows_every_block(tmp_path: Path) -> None:
    hostile = called(converters.read(write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5))), "".join(HOSTILE[:6]))
    pages = {
        "hostile": plan_page(make_plan(hostile, PYTORCH, strict=False)),
        "branches": plan_page(converters.plan(FIXTURES / "keras2/encoder_decoder/model.h5")),
        "image": plan_page(converters.plan(FIXTURES / "onnx_torch/conv2d_crnn/model.onnx")),
        "table": layout_page(None, None, ("pytorch", "gateport")),
        "chainer": layout_page("chainer", None, ("pytorch", "gateport")),
    }
    paper: set[str] = set()
    with browsing(tmp_path / "profile") as tab:
        for name, text in pages.items():
            file = tmp_path / f"{name}.html"
            file.write_text(text, encoding="utf-8")
            for look in LOOKS if name in ("hostile", "branches") else LOOKS[:1]:
                tab.open(file, **look)
                assert tab.evaluate(SEEN) == [], (name, look)
                assert (tab.requests, tab.complaints) == ([file.as_uri()], []), (name, look)
                paper.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert tab.evaluate("document.querySelectorAll('[data-block]').length") > 0
    assert len(paper) == 2
