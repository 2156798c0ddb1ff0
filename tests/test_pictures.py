"""Drawings say where blocks stand and where they go: arrays, ribbons, colours, sentences; and graphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise, product
from math import prod
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_samples import every_layout, numbered, shapes_of

from converters.show.blocks import Names, blocks_picture
from converters.show.layout_page import layout_picture
from converters.show.pictures.arrays import Box, draw
from converters.show.pictures.colours import BLUE, GREEN, GREY, ORANGE, colours, ink
from converters.show.pictures.flow import Card, flowchart
from converters.show.pictures.ranks import MOST, Line, Point, place
from layouts import Layout, Piece, catalogue, cells
from layouts.frameworks import chainer, flax, gateport, haiku, keras, onnx, pytorch
from layouts.frameworks import tensorflow as tf1
from layouts.moves import Moves, Stored, moves
from layouts.regions import Region, of_layout, schematic

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


def test_panels_are_named_by_layer_direction_or_slot() -> None:
    scanned = next(
        layout for layout in catalogue.of("flax") if "scanned" in layout.class_name and layout.cell.recurrent
    )
    for layout, extent, wanted in (
        (scanned, {"layers": 2}, {"layer 0", "layer 1"}),
        (onnx.LSTM, {"directions": ("forward", "backward")}, {"forward", "backward"}),
        (keras.GRU, {}, {"input bias", "recurrent bias"}),
    ):
        shapes = shapes_of(layout, **extent)
        if "layers" in extent:
            shapes = {name: shape[:1] + tuple(5 for _ in shape[1:]) for name, shape in shapes.items()}
        found = of_layout(layout, shapes, **extent)
        stored = {piece: Stored(layout, region) for piece, region in found.items()}
        words = {text.text for text in blocks_picture(stored, Moves((), ()), Names()).iter("text")}
        assert wanted <= words


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
