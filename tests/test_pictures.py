"""Pages with pictures: everything is on them, names from files are harmless, and drawings say where blocks stand."""

from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise, product
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import browsing, installed
from click.testing import CliRunner, Result
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_files import bidirectional, dense, numbers, other, recurrent, write
from layout_samples import every_layout, numbered
from markup import Markup, expect_harmless

import converters
from converters.cli import main
from converters.model.cards import cards
from converters.model.checkpoint import Checkpoint
from converters.model.flow import shown
from converters.model.graph import Graph
from converters.plan.pictured import plan_page
from converters.plan.plan import make_plan
from converters.show.layout_page import layout_page, layout_picture
from converters.show.pictures.arrays import Box, draw
from converters.show.pictures.colours import BLUE, GREEN, GREY, ORANGE, colours, ink
from converters.show.pictures.elements import element, html
from converters.show.pictures.flow import Card, flowchart
from converters.show.pictures.ranks import MOST, Line, Point, place
from converters.targets import PYTORCH
from layouts import Layout, Piece, catalogue, cells
from layouts.errors import UnknownLayer
from layouts.frameworks import chainer, flax, gateport, haiku, keras, pytorch
from layouts.frameworks import tensorflow as tf1
from layouts.moves import Stored, moves
from layouts.regions import Region, schematic

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
    return replace(checkpoint, layers=tuple(layers.values()), graph=named, **words)


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


# --- arrays


def arrays_of(layout: Layout) -> Iterator[tuple[list[Piece], list[Region]]]:
    found: dict[str, list[Piece]] = {}
    regions = schematic(layout, 7)
    for piece, region in regions.items():
        found.setdefault(region.array, []).append(piece)
    return (([*pieces], [regions[piece] for piece in pieces]) for pieces in found.values())


def meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("layout", numbered(every_layout()))
def test_blocks_are_drawn_apart_in_their_frame_and_in_their_order(layout: Layout) -> None:
    for pieces, regions in arrays_of(layout):
        drawn = draw(regions, layout.cell.slots[pieces[0].slot].dims, lambda k: "panel")
        assert sorted(drawn.boxes) == [*range(len(regions))]
        every = [box for boxes in drawn.boxes.values() for box in boxes]
        assert not any(meet(one, another) for one, another in combinations(every, 2))
        assert all(0 <= b[0] < b[2] <= drawn.width and 0 <= b[1] < b[3] <= drawn.height for b in every)
        for one, another in product(range(len(regions)), repeat=2):
            first, second = regions[one].spans, regions[another].spans
            differ = [axis for axis in range(len(first)) if first[axis] != second[axis]]
            if len(differ) == 1 and first[differ[0]].start < second[differ[0]].start:
                (left, top, *_), (right, lower, *_) = drawn.boxes[one][0], drawn.boxes[another][0]
                assert (left, top) < (right, lower) and left <= right and top <= lower


def test_interleaved_gates_are_drawn_row_by_row_with_a_gap() -> None:
    pieces, regions = next(arrays_of(chainer.LSTM))
    drawn = draw(regions, ("unit", "input"), lambda k: "")
    tops = sorted((box[1], pieces[k].gate) for k, boxes in drawn.boxes.items() for box in boxes)
    assert "".join(gate for _, gate in tops) == "gifo" * 3
    steps = [second - first for (first, _), (second, _) in pairwise(tops)]
    assert steps[7] > steps[0] and {*steps[:7]} == {steps[0]}


def test_matrices_that_are_stacked_stand_apart_under_their_words() -> None:
    pieces, regions = next(arrays_of(tf1.BASIC_LSTM))
    drawn = draw(regions, ("unit", "input"), lambda k: "")
    upper = next(drawn.boxes[k][0] for k, piece in enumerate(pieces) if piece == Piece("input_weight", "i"))
    lower = next(drawn.boxes[k][0] for k, piece in enumerate(pieces) if piece == Piece("recurrent_weight", "i"))
    assert lower[1] - upper[3] > 10 and lower[0] == upper[0]
    assert {note.words for note in drawn.notes} == {"input", "state"}


THEANO = next(layout for layout in catalogue.of("keras") if layout.class_name == "Conv2D (Theano)")


def drawn_words(source: Layout, target: Layout) -> tuple[str, list[str]]:
    drawing, told = layout_picture(source, target)
    return ElementTree.tostring(drawing, encoding="unicode"), told


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        pytest.param(keras.GRU, pytorch.GRU, "kernel → weight_ih_l0: transposed, gates z r n → r z n", id="order"),
        pytest.param(
            chainer.LSTM, pytorch.LSTM, "upward/W → weight_ih_l0: interleaved, gates g i f o → i f g o", id="rows"
        ),
        pytest.param(haiku.LSTM, pytorch.LSTM, "bias_ih_l0 f: +1, added when the layer runs", id="constant"),
        pytest.param(tf1.BASIC_LSTM, pytorch.LSTM, "bias_ih_l0 f: +forget_bias, added", id="named-constant"),
        pytest.param(pytorch.LSTM_CELL, keras.LSTM, "bias: bias_ih + bias_hh, which the equation adds", id="sum"),
        pytest.param(keras.LSTM, pytorch.LSTM, "bias_hh_l0: 0 where the source has no array", id="fill"),
        pytest.param(pytorch.GRU, flax.GRU_JOINED, "bias_hh_l0: recurrent_bias[n] has no place", id="must-be-zero"),
        pytest.param(keras.LSTM_APART, pytorch.LSTM, "W_i, W_f, W_c, W_o → weight_ih_l0: transposed", id="apart"),
        pytest.param(THEANO, pytorch.CONV2D, "backwards along height and width", id="flipped"),
        pytest.param(keras.GRU_CUDNN, pytorch.GRU, "reshaped, not transposed", id="buffers"),
    ],
)
def test_what_is_more_than_a_copy_is_said(source: Layout, target: Layout, wanted: str) -> None:
    _, told = drawn_words(source, target)
    assert any(wanted in sentence for sentence in told), told


def test_badges_and_made_blocks_stand_in_the_drawing() -> None:
    assert ">+1<" in drawn_words(haiku.LSTM, pytorch.LSTM)[0]
    assert drawn_words(haiku.GRU, gateport.GRU_RESET_BEFORE)[0].count(">×−1<") == 3
    assert ">×−1<" not in drawn_words(haiku.GRU, chainer.GRU)[0]
    assert drawn_words(pytorch.LSTM_CELL, keras.LSTM)[0].count(">Σ<") == 4
    assert drawn_words(keras.LSTM, pytorch.LSTM)[0].count(">0<") == 4


@pytest.mark.parametrize("layout", numbered(every_layout(cells.LSTM, cells.GRU, cells.CONV2D, cells.ATTENTION)))
def test_there_is_a_ribbon_for_every_run_that_moves(layout: Layout) -> None:
    target = catalogue.target(("pytorch", "gateport"), [layout.cell], layout.slots & {*layout.cell.slots})
    stored = {piece: Stored(layout, region) for piece, region in schematic(layout).items()}
    words = {word: 5 for slot in layout.cell.slots.values() for word in slot.dims}
    drawing, _ = layout_picture(layout, target)
    links = [own.region for move in moves(stored, target, words).moves for own in move.sources]
    runs = sum(prod(len(span.runs(3)) for span in region.spans) for region in links)
    assert len(drawing.findall("path[@class='ribbon']")) == runs > 0
    assert len(drawing.findall("rect[@data-block]")) > len(links)


RECURRENT = numbered(layout for layout in every_layout() if layout.cell.recurrent)


def coloured(drawing: ElementTree.Element) -> list[tuple[Box, str, str]]:
    """Every filled block of a drawing: its box, its colour, its letter, which stands behind it."""
    found, parts = [], list(drawing)
    for part, behind in pairwise([*parts, ElementTree.Element("end")]):
        style = part.get("style") or ""
        if part.get("data-block") and style.startswith("fill:"):
            x, y, width, height = (float(part.get(name) or "") for name in ("x", "y", "width", "height"))
            letter = (behind.text or "") if behind.get("class") == "letter" else ""
            found.append(((x, y, x + width, y + height), style.removeprefix("fill:"), letter))
    return found


@pytest.mark.parametrize("layout", RECURRENT)
def test_every_block_has_the_letter_and_the_colour_of_its_gate(layout: Layout) -> None:
    blocks = coloured(layout_picture(layout, None)[0])
    wanted: Counter[str] = Counter()
    for piece, region in schematic(layout).items():
        wanted[piece.gate] += prod(len(span.runs(3)) for span in region.spans)
    assert Counter(letter for _, _, letter in blocks) == wanted
    own = {**colours(layout.cell.gates, layout.cell.spoken), "": GREY}
    assert [letter for _, colour, letter in blocks if colour != own[letter]] == []


def on_the_rim(point: tuple[float, float], box: Box) -> bool:
    (x, y), (left, top, right, bottom) = point, box
    inside = left - 0.1 <= x <= right + 0.1 and top - 0.1 <= y <= bottom + 0.1
    return inside and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) < 0.1


@pytest.mark.parametrize("layout", RECURRENT)
def test_a_ribbon_joins_two_blocks_of_its_colour(layout: Layout) -> None:
    target = catalogue.target(("pytorch", "gateport"), [layout.cell], layout.slots & {*layout.cell.slots})
    drawing, _ = layout_picture(layout, target)
    blocks = coloured(drawing)
    reached: set[Box] = set()
    for ribbon in drawing.findall("path[@class='ribbon']"):
        first, _, _, far = re.findall(r"([-\d.]+),([-\d.]+)", ribbon.get("d") or "")[:4]
        ends = [
            [box for box, colour, _ in blocks if colour == ribbon.get("fill") and on_the_rim((float(x), float(y)), box)]
            for x, y in (first, far)
        ]
        assert ends[0] and ends[1] and ends[0] != ends[1]
        reached |= {box for boxes in ends for box in boxes}
    assert [letter for box, _, letter in blocks if box not in reached and letter.isalpha()] == []


# --- colours


def test_a_gate_has_the_colour_of_its_word_everywhere() -> None:
    found = colours("gofi", {"i": "input", "f": "forget", "g": "candidate"})
    assert (found["i"], found["f"], found["g"]) == (BLUE, ORANGE, GREEN)
    for layout in every_layout():
        found = colours(layout.cell.gates, layout.cell.spoken)
        assert len({*found.values()}) == len(found)


def test_letters_are_read_on_their_colour() -> None:
    assert (ink(BLUE), ink(ORANGE), ink("#f0e442")) == ("#fff", "#000", "#000")


# --- graphs

GRAPHS = st.integers(1, 24).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40).map(
            lambda pairs: [Line(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
        ),
    )
)


@settings(deadline=None, max_examples=80)
@given(GRAPHS)
def test_boxes_stand_apart_and_below_what_they_read(graph: tuple[int, list[Line]]) -> None:
    count, lines = graph
    found = place([10.0] * count, lines, 4.0)
    assert found.left_out == [] and {*found.ways} == {*lines}
    for line, way in found.ways.items():
        assert found.ranks[line.start] < found.ranks[line.end]
        assert (way[0], way[-1]) == (Point(line.start), Point(line.end))
        assert [point.passing for point in way[1:-1]] == [*range(found.ranks[line.start] + 1, found.ranks[line.end])]
        assert all(point in found.middles for point in way)
    for one, another in combinations(range(count), 2):
        if found.ranks[one] == found.ranks[another]:
            assert abs(found.middles[Point(one)] - found.middles[Point(another)]) >= 14.0 - 1e-9


def test_a_chain_is_straight_and_branches_are_even() -> None:
    chain = place([10.0] * 5, [Line(k, k + 1) for k in range(4)], 4.0)
    assert len({*chain.middles.values()}) == 1
    fork = place([10.0] * 4, [Line(0, 1), Line(0, 2), Line(1, 3), Line(2, 3)], 4.0)
    left, right = sorted((fork.middles[Point(1)], fork.middles[Point(2)]))
    assert right - left == 14.0 and abs(fork.middles[Point(3)] - (left + right) / 2) < 1e-9


def test_three_hundred_layers_with_shortcuts_are_drawn_whole() -> None:
    lines = [Line(k, k + 1) for k in range(299)] + [Line(k, k + 3) for k in range(0, 296, 2)]
    drawing, left_out = flowchart([Card(f"layer_{k}", "LSTM", ("5 → 5",)) for k in range(300)], lines)
    assert left_out == 0 and len(drawing.findall(".//rect")) == 300
    assert float(drawing.get("width", "0")) < 900


def test_lines_that_are_too_many_and_too_long_are_counted_not_drawn() -> None:
    count = 400
    lines = [Line(k, k + 1) for k in range(count - 1)] + [Line(k, count - 1) for k in range(count - 2)]
    drawing, left_out = flowchart([Card(f"layer_{k}") for k in range(count)], lines)
    assert 0 < left_out < count and count * count / 2 > MOST
    assert len(drawing.findall(".//path[@class='edge']")) == len(lines) - left_out


def test_what_belongs_together_is_framed_where_nothing_else_stands_between() -> None:
    cards = [Card("a"), Card("m/b", groups=("m",)), Card("m/c", groups=("m",)), Card("d")]
    chain = [Line(0, 1), Line(1, 2), Line(2, 3)]
    drawing, _ = flowchart(cards, chain)
    assert len(drawing.findall(".//rect[@class='group']")) == 1
    between = [cards[1], cards[0], cards[2], cards[3]]
    drawing, _ = flowchart(between, chain)
    assert drawing.findall(".//rect[@class='group']") == []


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
            for look in ({"dark": False}, {"dark": True}, {"media": "print"}):
                tab.open(file, **look)
                assert tab.evaluate(SEEN) == [], (name, look)
                assert (tab.requests, tab.complaints) == ([file.as_uri()], []), (name, look)
                paper.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert tab.evaluate("document.querySelectorAll('[data-block]').length") > 0
    assert len(paper) == 2
