"""The graph of every Keras model at hand, and every rule of wiring and of masks on small configurations by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from keras_files import dense, other, write
from keras_graphs import checkpoint, functional, graph_of, layer, modern, sequential, tensor

import converters
from converters.model import operations as op
from converters.model.graph import Graph, Node
from converters.readers.keras.config import read_model
from converters.readers.keras.operations import operation
from converters.readers.keras.orderings import with_orderings
from converters.readers.keras.semantics import parse_version

REAL = ROOT.parent / "shared" / "real"
FILES = [
    path
    for root in (*sorted((ROOT / "fixtures").glob("*keras*")), REAL)
    for path in sorted(root.rglob("*"))
    if path.suffix in (".h5", ".keras", ".hdf5")
    and "onnx" not in path.parts[-3]
    and "_inputs_and_outputs" not in path.name
]
OWN = ("Lambda", "fixtures>")
"""Classes of somebody's own, in whose place a graph says that it does not know."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_model_is_a_graph_of_all_its_layers(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = converters.read(path)
    maps = [layer.path for layer in found.layers if any("conv_lstm" in part.cell.name for part in layer.parts)]
    unsaved = maps if found.version.startswith("1") and found.graph is not None else []
    told = [remark.partition(": Keras 1 saves no strides")[0] for remark in found.remarks]
    assert told == unsaved
    if found.graph is None:
        assert "weights" in found.container or "no configuration" in found.container
        return
    sound(found.graph)
    called = {node.layer.path for node in found.graph.nodes if node.layer is not None}
    assert called == {each.path for each in found.layers}
    unknown = {node.name for node in found.graph.unknown if not node.class_name.startswith(OWN)}
    assert unknown <= {each.path for each in found.layers if each.unknown is not None}


def sound(graph: Graph) -> None:
    """Raise unless every value that is read was made before, once, and is described."""
    made = [value.name for value in graph.inputs]
    for node in graph.nodes:
        read = {*node.inputs, *([node.mask] if node.mask else [])}
        assert read <= set(made), node.name
        made += node.outputs
    assert set(graph.outputs) <= set(made)
    assert len(set(made)) == len(made)
    assert set(graph.values) == set(made)


def made_by(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph.nodes if node.name == name and node.class_name != "mask"]


def one(graph: Graph, name: str) -> Node:
    (node,) = made_by(graph, name)
    return node


def shape(graph: Graph, name: str) -> Any:
    return graph.values[name].shape


# what single layers compute


OPERATIONS = [
    (layer("Dropout", rate=0.5), op.Identity(), (None, 6, 4)),
    (layer("SpatialDropout1D", rate=0.5), op.Identity(), (None, 6, 4)),
    (layer("ActivityRegularization", l2=0.5), op.Identity(), (None, 6, 4)),
    (layer("Activation", activation="softmax"), op.Activation("softmax"), (None, 6, 4)),
    (layer("Activation", activation="linear"), op.Identity(), (None, 6, 4)),
    (layer("Softmax", axis=1), op.Activation("softmax", axis=1), (None, 6, 4)),
    (layer("LeakyReLU"), op.Activation("leaky_relu", alpha=0.3), (None, 6, 4)),
    (layer("LeakyReLU", alpha=0.1), op.Activation("leaky_relu", alpha=0.1), (None, 6, 4)),
    (layer("LeakyReLU", negative_slope=0.2), op.Activation("leaky_relu", alpha=0.2), (None, 6, 4)),
    (layer("ELU", alpha=0.5), op.Activation("elu", alpha=0.5), (None, 6, 4)),
    (layer("ThresholdedReLU", theta=2.0), op.Activation("thresholded_relu", alpha=2.0), (None, 6, 4)),
    (layer("ReLU", max_value=None, negative_slope=0.0, threshold=0.0), op.Activation("relu"), (None, 6, 4)),
    (
        layer("ReLU", max_value=6.0, negative_slope=0.1, threshold=1.0),
        op.Activation("relu", alpha=0.1, ceiling=6.0, threshold=1.0),
        (None, 6, 4),
    ),
    (layer("Flatten"), op.Flatten(), (None, 24)),
    (layer("Reshape", target_shape=[-1, 2]), op.Reshape((-1, 2)), (None, 12, 2)),
    (layer("Permute", dims=[2, 1]), op.Permute((0, 2, 1)), (None, 4, 6)),
    (layer("Rescaling", scale=2.0, offset=1.0), op.Scale(2.0, 1.0), (None, 6, 4)),
    (layer("UnitNormalization", axis=-1), op.UnitLength(-1), (None, 6, 4)),
    (layer("MaxPooling1D", pool_size=[2], strides=[2], padding="valid"), op.Pool("max", (2,), (2,)), (None, 3, 4)),
    (
        layer("MaxPooling1D", pool_length=2, stride=1, border_mode="same"),
        op.Pool("max", (2,), (1,), "same"),
        (None, 6, 4),
    ),
    (layer("AveragePooling1D", pool_size=3, strides=None), op.Pool("average", (3,), (3,)), (None, 2, 4)),
    (layer("GlobalMaxPooling1D"), op.GlobalPool("max"), (None, 4)),
    (layer("GlobalAveragePooling1D", keepdims=True), op.GlobalPool("average", True), (None, 1, 4)),
    (layer("ZeroPadding1D", padding=[1, 2]), op.Pad(((1, 2),)), (None, 9, 4)),
    (layer("ZeroPadding1D", padding=1), op.Pad(((1, 1),)), (None, 8, 4)),
    (layer("Cropping1D", cropping=[1, 2]), op.Crop(((1, 2),)), (None, 3, 4)),
    (layer("UpSampling1D", size=2), op.UpSample((2,)), (None, 12, 4)),
    (layer("UpSampling1D", length=3), op.UpSample((3,)), (None, 18, 4)),
]


@pytest.mark.parametrize(("config", "wanted", "out"), OPERATIONS, ids=lambda value: str(value)[:60])
def test_a_layer_without_weights_is_its_operation(config: Any, wanted: op.Operation, out: Any) -> None:
    graph = graph_of(sequential(config, shape=[None, 6, 4]))
    (node,) = graph.nodes
    assert node.operation == wanted
    assert shape(graph, graph.outputs[0]) == out


IMAGES = [
    (layer("ZeroPadding2D", padding=[[1, 0], [2, 1]]), op.Pad(((1, 0), (2, 1))), (None, 10, 11, 3)),
    (layer("ZeroPadding2D", padding=[1, 2]), op.Pad(((1, 1), (2, 2))), (None, 11, 12, 3)),
    (layer("Cropping2D", cropping=[[1, 0], [2, 1]]), op.Crop(((1, 0), (2, 1))), (None, 8, 5, 3)),
    (layer("MaxPooling2D", pool_size=[2, 3]), op.Pool("max", (2, 3), (2, 3)), (None, 4, 2, 3)),
    (layer("UpSampling2D", size=[2, 3], interpolation="bilinear"), op.UpSample((2, 3), "bilinear"), (None, 18, 24, 3)),
    (layer("GlobalAveragePooling2D", data_format="channels_first"), op.GlobalPool("average", False, False), (None, 9)),
]


@pytest.mark.parametrize(("config", "wanted", "out"), IMAGES, ids=lambda value: str(value)[:60])
def test_a_layer_of_images_is_its_operation(config: Any, wanted: op.Operation, out: Any) -> None:
    graph = graph_of(sequential(config, shape=[None, 9, 8, 3]))
    assert one(graph, config["config"]["name"]).operation == wanted
    assert shape(graph, graph.outputs[0]) == out


def test_several_values_are_merged_as_the_class_says() -> None:
    for class_name, wanted in (
        ("Add", op.Combine("add")),
        ("Subtract", op.Combine("subtract")),
        ("Average", op.Combine("average")),
        ("Minimum", op.Combine("minimum")),
        ("Concatenate", op.Concatenate()),
    ):
        graph = graph_of(
            functional([layer(class_name, "m", inbound=[["a", 0, 0, {}], ["b", 0, 0, {}]])], "a", "b", out="m")
        )
        assert (one(graph, "m").operation, one(graph, "m").inputs) == (wanted, ("a", "b"))


@pytest.mark.parametrize(
    ("config", "wanted", "out"),
    [
        ({"axes": -1, "normalize": True}, op.Dot((-1, -1), True), (None, 6, 6)),
        ({"axes": [1, 1]}, op.Dot((1, 1)), (None, 4, 4)),
    ],
)
def test_dot_sums_over_one_axis_of_each(config: Any, wanted: op.Operation, out: Any) -> None:
    dot = layer("Dot", "m", inbound=[["a", 0, 0, {}], ["b", 0, 0, {}]], **config)
    graph = graph_of(functional([dot], "a", "b", out="m"))
    assert one(graph, "m").operation == wanted
    assert shape(graph, "m") == out


def test_what_is_code_or_not_known_says_so() -> None:
    for class_name in ("Lambda", "mine>Layer", "Nothing"):
        graph = graph_of(sequential(layer(class_name)))
        (node,) = graph.unknown
        assert class_name in getattr(node.operation, "why", "")


# masks


def embedded(name: str, reads: str) -> dict[str, Any]:
    return layer("Embedding", name, inbound=[[reads, 0, 0, {}]], input_dim=9, output_dim=4, mask_zero=True)


def masked(*layers: dict[str, Any], version: str = "2.4.0", out: str = "end") -> Graph:
    """A graph of two masked embeddings `x` and `y` of 6 steps, and a plain value `z`."""
    return graph_of(
        functional(
            [embedded("x", "a"), embedded("y", "b"), *layers], "a", "b", z=[None, 6, 4], out=out, steps=[None, 6]
        ),
        version,
    )


def reader(reads: str, name: str = "end", **config: Any) -> dict[str, Any]:
    return layer("LSTM", name, inbound=[[reads, 0, 0, {}]], units=4, **config)


def mask_of(graph: Graph, name: str = "end") -> Any:
    """The mask that a layer reads, as nested tuples of what makes it."""
    makers = {output: node for node in graph.nodes for output in node.outputs}

    def told(value: str) -> Any:
        node = makers.get(value)
        return (
            value
            if node is None or node.class_name != "mask"
            else (type(node.operation).__name__, *map(told, node.inputs))
        )

    return told(one(graph, name).mask)


X, Y = ("MaskOf", "a"), ("MaskOf", "b")


def test_an_embedding_makes_a_mask_of_its_indices() -> None:
    graph = masked(reader("x"))
    assert mask_of(graph) == X
    assert graph.values["a"].dtype == "int32"
    (mask,) = (node for node in graph.nodes if node.class_name == "mask")
    assert mask.operation == op.MaskOf(indices=True)


def test_masking_makes_zeros_too() -> None:
    graph = masked(layer("Masking", "m", inbound=[["z", 0, 0, {}]], mask_value=1.5), reader("m"))
    assert mask_of(graph) == ("MaskOf", "z")
    assert one(graph, "m").operation == op.Masked()
    assert one(graph, "m").inputs == ("z", "m:mask")


@pytest.mark.parametrize(
    ("version", "known", "reads"),
    [
        ("2.2.5", True, False),
        ("2.3.0-tf", True, False),
        ("2.4.0", False, True),
        ("2.5.0", False, True),
        ("", False, True),
    ],
)
def test_a_softmax_reads_masks_since_tensorflow_2_4(version: str, known: bool, reads: bool) -> None:
    """A mask of steps fits no value of features, so a softmax that reads it is not known; 2.4.0 may be either."""
    graph = masked(layer("Softmax", "m", inbound=[["x", 0, 0, {}]]), reader("m"), version=version)
    (made,) = (node for node in graph.nodes if node.name == "m")
    assert (made.operation == op.Activation("softmax")) is known
    assert ("behind a mask" in getattr(made.operation, "why", "")) is reads
    assert (mask_of(graph) == X) is known


@pytest.mark.parametrize(
    ("between", "passes"),
    [
        (layer("Dropout", "m"), True),
        (layer("Activation", "m", activation="relu"), True),
        (layer("LSTM", "m", units=4, return_sequences=True), True),
        (layer("Permute", "m", dims=[1, 2]), False),
        (layer("Reshape", "m", target_shape=[6, 4]), False),
        (layer("MaxPooling1D", "m", pool_size=2), False),
        (layer("UpSampling1D", "m", size=2), False),
        (layer("ZeroPadding1D", "m", padding=1), False),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else str(value),
)
def test_a_layer_that_knows_masks_hands_them_on(between: dict[str, Any], passes: bool) -> None:
    graph = masked({**between, "inbound_nodes": [[["x", 0, 0, {}]]]}, reader("m"))
    assert mask_of(graph) == (X if passes else "")


@pytest.mark.parametrize(
    ("version", "class_name", "reads", "wanted"),
    [
        ("2.4.0", "Add", "xy", ("BothMasks", X, Y)),
        ("2.4.0", "Add", "xz", X),
        ("3.3.3", "Add", "xy", ("BothMasks", X, Y)),
        ("3.4.1", "Add", "xy", ("EitherMask", X, Y)),
        ("3.4.1", "Add", "xz", ""),
        ("3.4.1", "Add", "xx", X),
        ("2.4.0", "Concatenate", "xy", ("BothMasks", X, Y)),
        ("2.4.0", "Concatenate", "xz", X),
        ("3.4.1", "Concatenate", "xy", ("EitherMask", X, Y)),
        ("3.4.1", "Concatenate", "xz", ""),
        ("2.4.0", "Dot", "xy", ""),
    ],
)
def test_masks_are_merged_as_that_version_does(version: str, class_name: str, reads: str, wanted: Any) -> None:
    config = {"axes": 1} if class_name == "Dot" else {}
    merge = layer(class_name, "m", inbound=[[name, 0, 0, {}] for name in reads], **config)
    assert mask_of(masked(merge, reader("m"), version=version)) == wanted


def test_masks_of_steps_side_by_side_follow_one_another() -> None:
    merge = layer("Concatenate", "m", inbound=[["x", 0, 0, {}], ["y", 0, 0, {}]], axis=1)
    assert mask_of(masked(merge, reader("m"))) == ("Concatenate", X, Y)


def test_a_product_counts_masked_steps_as_one_since_keras_3_4() -> None:
    merge = layer("Multiply", "m", inbound=[["x", 0, 0, {}], ["y", 0, 0, {}]])
    kinds = [node.operation for node in made_by(masked(merge, reader("m"), version="3.5.0"), "m")]
    assert kinds == [op.Masked(1.0), op.Masked(1.0), op.Combine("multiply"), op.Masked()]
    assert [node.operation for node in made_by(masked(merge, reader("m")), "m")] == [op.Combine("multiply")]


def test_what_reads_a_mask_ends_it() -> None:
    pool = layer("GlobalAveragePooling1D", "m", inbound=[["x", 0, 0, {}]])
    again = layer("RepeatVector", "r", inbound=[["m", 0, 0, {}]], n=6)
    graph = masked(pool, again, reader("r"))
    assert (mask_of(graph, "m"), mask_of(graph)) == (X, "")
    assert one(graph, "r").operation == op.Repeat(6)


def test_attention_reads_the_mask_of_its_values_and_leaves_masked_queries_out() -> None:
    graph = masked(layer("Attention", "m", inbound=[["x", 0, 0, {}], ["y", 0, 0, {}]], use_scale=False), reader("m"))
    attention, left = made_by(graph, "m")
    assert (attention.operation, attention.inputs, attention.mask) == (op.DotAttention(), ("x", "y"), "y:mask")
    assert (left.operation, left.inputs) == (op.Masked(), ("m:all", "x:mask"))
    assert mask_of(graph) == X


def test_a_mask_that_the_call_names_counts_before_that_of_the_input() -> None:
    named = layer("LSTM", "end", inbound=[["x", 0, 0, {"mask": ["c", 0, 0]}]], units=4)
    graph = graph_of(functional([embedded("x", "a"), named], "a", "c", out="end", steps=[None, 6]))
    assert one(graph, "end").mask == "c"


def test_keras_3_hands_no_mask_to_a_call_with_initial_states() -> None:
    first = layer("GRU", "first", inbound=[["x", 0, 0, {}]], units=4)
    second = layer("GRU", "end", inbound=[["y", 0, 0, {}], ["first", 0, 0, {}]], units=4)
    assert mask_of(masked(first, second)) == Y
    modern_second = layer("GRU", "end", nodes=[modern(tensor("y"), initial_state=tensor("first"))], units=4)
    assert mask_of(masked(first, modern_second, version="3.9.0")) == ""


def test_the_masks_that_keras_3_writes_as_functions_are_masks() -> None:
    graph = graph_of(
        functional(
            [
                layer("NotEqual", "not_equal", nodes=[modern(tensor("z"), 1.5)], bare=True),
                layer("Any", "any", nodes=[modern(tensor("not_equal"))], bare=True, axis=-1, keepdims=False),
                layer("Masking", "m", nodes=[modern(tensor("z"))], mask_value=1.5),
                layer("LSTM", "end", nodes=[modern(tensor("m"), mask=tensor("any"))], units=4),
            ],
            z=[None, 6, 4],
            out="end",
        ),
        "3.9.0",
    )
    assert graph.unknown == ()
    assert [node.operation for node in graph.nodes if node.class_name == "mask"] == [op.MaskOf(1.5)]
    assert mask_of(graph) == ("MaskOf", "z")


# wiring


def test_a_shared_layer_is_one_layer_and_several_nodes() -> None:
    shared = layer("Dense", "d", nodes=[[["a", 0, 0, {}]], [["b", 0, 0, {}]]], units=3)
    merge = layer("Add", "m", inbound=[["d", 1, 0, {}], ["d", 0, 0, {}]])
    graph = graph_of(functional([shared, merge], "a", "b", out="m"))
    first, second = made_by(graph, "d")
    assert first.layer is second.layer
    assert (first.outputs, second.outputs) == (("d",), ("d (2)",))
    assert one(graph, "m").inputs == ("d (2)", "d")


def test_a_layer_is_made_after_what_it_reads_wherever_it_stands_in_the_file() -> None:
    end = layer("Dense", "end", inbound=[["d", 0, 0, {}]], units=2)
    graph = graph_of(functional([end, layer("Dense", "d", inbound=[["a", 0, 0, {}]], units=3)], "a", out="end"))
    assert [node.name for node in graph.nodes] == ["d", "end"]


def inner(name: str = "inner", class_name: str = "Model") -> dict[str, Any]:
    found = functional([layer("Dense", "d", inbound=[["i", 0, 0, {}]], units=4)], "i", out="d")
    return {"class_name": class_name, "name": name, "config": {**found["config"], "name": name}}


@pytest.mark.parametrize("first", [0, 1])
def test_a_nested_model_is_taken_apart_at_every_call(first: int) -> None:
    nested = {**inner(), "inbound_nodes": [[["a", 0, 0, {}]], [["b", 0, 0, {}]]]}
    merge = layer("Add", "m", inbound=[["inner", first, 0, {}], ["inner", first + 1, 0, {}]])
    graph = graph_of(functional([nested, merge], "a", "b", out="m"))
    assert [(node.name, node.inputs) for node in graph.nodes][:2] == [("inner/d", ("a",)), ("inner/d", ("b",))]
    assert one(graph, "m").inputs == ("inner/d", "inner/d (2)")


def test_keras_3_counts_outputs_of_a_nested_model_from_one_and_inputs_from_zero() -> None:
    nested = {**inner(class_name="Functional"), "inbound_nodes": [modern(tensor("a")), modern(tensor("b"))]}
    last = layer("Activation", "end", nodes=[modern(tensor("inner", 1))], activation="relu")
    model = functional([nested, last], "a", "b", out="end")
    model["config"]["output_layers"] = [["end", 0, 0], ["inner", 1, 0]]
    graph = graph_of(model, "3.9.0")
    assert graph.outputs == ("end", "inner/d")
    assert one(graph, "end").inputs == ("inner/d (2)",)


def test_states_go_in_and_out_in_order() -> None:
    encoder = layer("LSTM", "e", inbound=[["a", 0, 0, {}]], units=4, return_state=True)
    decoder = layer("LSTM", "d", inbound=[[n, 0, k, {}] for n, k in (("b", 0), ("e", 1), ("e", 2))], units=4)
    graph = graph_of(functional([encoder, decoder], "a", "b", out="d"))
    assert one(graph, "e").outputs == ("e", "e:1", "e:2")
    assert one(graph, "d").inputs == ("b", "e:1", "e:2")


def test_both_directions_give_and_take_their_states() -> None:
    gru = {"class_name": "GRU", "config": {"name": "g", "units": 4, "return_state": True, "return_sequences": True}}
    first = layer("Bidirectional", "x", inbound=[["a", 0, 0, {}]], layer=gru, merge_mode=None)
    graph = graph_of(functional([first], "a", out="x"))
    assert [shape(graph, name) for name in one(graph, "x").outputs] == [
        (None, 6, 4),
        (None, 6, 4),
        (None, 4),
        (None, 4),
    ]


def test_a_layer_on_every_step_stands_between_two_reshapes() -> None:
    timed = layer("TimeDistributed", "t", layer={"class_name": "Dense", "config": {"name": "d", "units": 3}})
    graph = graph_of(sequential(timed, shape=[None, 6, 4]))
    kinds = [(type(node.operation).__name__, shape(graph, node.outputs[0])) for node in graph.nodes]
    assert kinds == [("MergeTime", (None, 4)), ("Apply", (None, 3)), ("SplitTime", (None, 6, 3))]
    assert graph.outputs == ("t",)


def test_a_model_on_every_step_keeps_its_own_mask() -> None:
    words = functional([embedded("x", "i"), reader("x", "g")], "i", out="g", steps=[None, 6])
    model = {"class_name": "Model", "config": {**words["config"], "name": "words"}}
    timed = layer("TimeDistributed", "t", layer=model)
    graph = graph_of(sequential(timed, layer("LSTM", "end", units=4), shape=[None, 5, 6]))
    assert one(graph, "t/g").mask == "t/x:mask"
    assert shape(graph, "t/x:mask") == (None, 6)
    assert one(graph, "end").mask == ""


def test_a_mask_of_words_becomes_one_of_sentences_behind_a_layer_on_every_step() -> None:
    words = {"class_name": "Embedding", "config": {"name": "w", "input_dim": 9, "output_dim": 4, "mask_zero": True}}
    first = layer("TimeDistributed", "x", layer=words)
    second = layer("TimeDistributed", "y", layer={"class_name": "GRU", "config": {"name": "g", "units": 4}})
    graph = graph_of(sequential(first, second, layer("LSTM", "end", units=4), shape=[None, 5, 6]))
    (inside,) = (node for node in made_by(graph, "y") if isinstance(node.operation, op.Apply))
    assert shape(graph, inside.mask) == (None, 6)
    assert shape(graph, one(graph, "end").mask) == (None, 5)


def test_branches_of_a_merge_in_a_sequential_have_inputs_of_their_own() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {
            "class_name": "Sequential",
            "config": [layer("Activation", name, batch_input_shape=[None, 4], activation="tanh")],
        }

    merge = layer("Merge", "m", layers=[branch("left"), branch("right")], mode="concat", concat_axis=-1, dot_axes=-1)
    model = {"class_name": "Sequential", "config": [merge, layer("Activation", "end", activation="relu")]}
    graph = graph_of(model, "1.2.2")
    assert [value.name for value in graph.inputs] == ["left_input", "right_input"]
    assert (one(graph, "m").operation, one(graph, "m").inputs) == (op.Concatenate(), ("left", "right"))
    assert shape(graph, "end") == (None, 8)


@pytest.mark.parametrize(
    ("function", "named", "wanted", "out"),
    [
        ("math.add", {"y": 2.0}, op.Scale(1.0, 2.0), (None, 6, 4)),
        ("math.multiply", {"y": ["b", 0, 0]}, op.Combine("multiply"), (None, 6, 4)),
        ("math.reduce_mean", {"axis": 1, "keepdims": False}, op.Reduce("mean", (1,)), (None, 4)),
        ("nn.relu", {"name": None}, op.Activation("relu"), (None, 6, 4)),
        ("transpose", {"perm": [0, 2, 1]}, op.Permute((0, 2, 1)), (None, 4, 6)),
        ("expand_dims", {"axis": 1}, op.AddAxis(1), (None, 1, 6, 4)),
    ],
)
def test_a_tensorflow_function_is_its_operation(function: str, named: Any, wanted: op.Operation, out: Any) -> None:
    called = layer("TFOpLambda", "f", nodes=[["a", 0, 0, named]], function=function)
    graph = graph_of(functional([called], "a", "b", out="f"))
    assert one(graph, "f").operation == wanted
    assert shape(graph, "f") == out


def test_what_makes_no_value_is_unknown_where_it_is_read_as_one() -> None:
    sizes = layer("TFOpLambda", "s", nodes=[["a", 0, 0, {}]], function="compat.v1.shape")
    graph = graph_of(
        functional([sizes, layer("Activation", "end", inbound=[["s", 0, 0, {}]], activation="relu")], "a", out="end")
    )
    assert [node.name for node in graph.unknown] == ["s"]
    sound(graph)


def test_a_size_of_the_batch_may_stand_in_a_reshape() -> None:
    sizes = layer("TFOpLambda", "s", nodes=[["a", 0, 0, {}]], function="compat.v1.shape")
    batch = layer("SlicingOpLambda", "b", nodes=[["s", 0, 0, {"slice_spec": 0}]], function="__operators__.getitem")
    last = layer("TFOpLambda", "end", nodes=[["a", 0, 0, {"shape": [["b", 0, 0], 24]}]], function="reshape")
    graph = graph_of(functional([sizes, batch, last], "a", out="end"))
    assert [node.operation for node in graph.nodes] == [op.Reshape((24,))]
    assert shape(graph, "end") == (None, 24)


def test_settings_are_words_and_finite_numbers() -> None:
    for config in (layer("MaxPooling1D", padding="__import__('os')"), layer("Rescaling", scale="nan")):
        found = checkpoint(sequential(config))
        assert found.graph is None or found.graph.unknown


def test_an_index_is_one_step_an_axis() -> None:
    spec = [{"start": None, "stop": None, "step": None}, -1, {"start": 1, "stop": 3, "step": None}]
    called = layer("SlicingOpLambda", "f", nodes=[["a", 0, 0, {"slice_spec": spec}]], function="__operators__.getitem")
    graph = graph_of(functional([called], "a", out="f"))
    assert [node.operation for node in graph.nodes] == [op.Take(1, index=-1), op.Take(1, 1, 3)]
    assert shape(graph, "f") == (None, 2)


# what cannot be


BROKEN = {
    "a missing layer": ([layer("Dense", "d", inbound=[["nobody", 0, 0, {}]], units=3)], "no such layer"),
    "a missing call": ([layer("Dense", "d", inbound=[["a", 3, 0, {}]], units=3)], "call 3 of a"),
    "a missing tensor": ([layer("Dense", "d", inbound=[["a", 0, 7, {}]], units=3)], "output 7 of a"),
    "a circle": ([layer("Dense", "d", inbound=[["d", 0, 0, {}]], units=3)], "cyclic structure"),
    "a number": ([layer("Dense", "d", nodes=[7], units=3)], "inbound_nodes"),
    "no list": ([{**layer("Dense", "d", units=3), "inbound_nodes": "a"}], "inbound_nodes"),
    "an index of text": ([layer("Dense", "d", nodes=[[["a", "0", 0, {}]]], units=3)], "no reference"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_graph_that_cannot_be_is_told_and_weights_are_read(what: str) -> None:
    layers, words = BROKEN[what]
    found = checkpoint(functional(layers, "a", out="d"))
    assert found.graph is None
    assert [each.path for each in found.layers] == ["d"]
    assert len(found.remarks) == 1
    assert words in found.remarks[0]
    assert "\n" not in found.remarks[0]


def test_nested_models_that_call_one_another_many_times_are_bounded() -> None:
    model = functional([layer("Activation", "x", inbound=[["i", 0, 0, {}]], activation="relu")], "i", out="x")
    for level in range(18):
        nested = {"class_name": "Model", "name": f"n{level}", "config": {**model["config"], "name": f"n{level}"}}
        nested["inbound_nodes"] = [[["i", 0, 0, {}]], [[f"n{level}", 1, 0, {}]]]
        model = functional([nested], "i", out=f"n{level}")
        model["config"]["output_layers"] = [[f"n{level}", 2, 0]]
    found = checkpoint(model)
    assert found.graph is None
    assert "more than" in found.remarks[0]


def test_the_table_shows_inputs_layers_in_order_and_outputs() -> None:
    found = checkpoint(functional([embedded("x", "a"), reader("x")], "a", out="end", steps=[None, 6]))
    rows = [row.cells[:3] for row in found.table().rows]
    assert rows == [
        ("a", "input", ""),
        ("x", "Embedding", "← a"),
        ("x:mask", "mask", "← a"),
        ("end", "LSTM", "← x"),
        ("", "output", "← end"),
    ]
    assert found.data()["graph"]["outputs"] == ["end"]


@pytest.mark.parametrize(("said", "known"), [((), False), (("th",), True), (("tf", "th"), False)])
def test_maps_whose_order_keras_1_left_out_follow_the_rest_of_the_model(said: tuple[str, ...], known: bool) -> None:
    """Padding does not say whether channels come first, poolings do; where they differ, or none is, it is open."""
    pools = [layer("MaxPooling2D", f"pool{k}", pool_size=[1, 1], dim_ordering=order) for k, order in enumerate(said)]
    model = sequential(layer("ZeroPadding2D", "pad", padding=[1, 2]), *pools, shape=(None, 3, 5, 7))
    container = with_orderings(read_model(model, "model"))
    (found,) = (leaf for leaf in container.leaves() if leaf.name == "pad")
    padded = operation("ZeroPadding2D", found.config, parse_version("1.2.2"), (None, 3, 5, 7))
    if known:
        assert padded == op.Pad(((1, 1), (2, 2)), channels_last=False)
    else:
        assert isinstance(padded, op.Unknown)


@pytest.mark.parametrize(("kind", "options"), [("Dot", {"axes": [1, 1]}), ("Subtract", {})])
def test_a_layer_of_two_values_that_is_called_with_one_is_named(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """A Sequential that somebody saved with it, which Keras itself cannot run."""
    path = write(tmp_path / "model.h5", dense("dense", 3, 5), other(kind, "two", {}, **options))
    with pytest.raises(
        converters.NotRepresentable, match=rf"two \({kind}\): it is called with 1 values, and takes two"
    ):
        converters.build(path)
    assert set(converters.convert(path)) == {"dense.weight", "dense.bias"}


@pytest.mark.parametrize("way", ["inputs", "outputs"])
def test_a_model_without_ends_has_no_graph(way: str) -> None:
    config = functional([layer("Activation", "last", inbound=[["x", 0, 0]], activation="tanh")], "x", out="last")
    config["config"][f"{way.removesuffix('s')}_layers"] = []
    assert f"it lists no {way}" in "".join(checkpoint(config).remarks)
