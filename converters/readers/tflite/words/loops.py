"""A WHILE in the words of ONNX: a Loop whose body is followed by the condition for the next step.

What every step hands on as it came, and is stored outside, is read where it is; what every step only adds to is a
value of all steps, by `lists`. Source: while.cc in tensorflow/lite/kernels, and the operator Loop of ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import GraphProto, NodeProto, TensorProto, helper

from converters.readers.tflite.model import Model, Operation
from converters.readers.tflite.words.lists import List, lists
from converters.readers.tflite.words.single import say
from converters.readers.tflite.words.told import InWords, Told, Untold, Words, linked
from layouts.errors import UnreadableCheckpoint

_LAST = (1 << 63) - 1


def tell(words: Words) -> None:
    """Tell all operations of a graph."""
    for one in words.told.model.of_graph(words.graph):
        words.tell(one, _loop if one.kind == "WHILE" else say)


def _loop(w: Words, one: Operation) -> None:
    model, numbers = w.told.model, (one.option(0, "i"), one.option(1, "i"))
    if not all(0 < number < len(model.ends) for number in numbers):
        raise Untold
    condition, body = numbers
    inputs, outputs = model.ends[body]
    if not len(inputs) == len(outputs) == len(one.inputs) == len(one.outputs) == len(model.ends[condition][0]):
        raise Untold
    outside = [w.reads(tensor) for tensor in one.inputs]
    fixed = {k for k, name in enumerate(outside) if inputs[k] == outputs[k] and name in w.told.arrays}
    gathered = lists(model, condition, body, [w.told.arrays.get(name) for name in outside])
    carried = [k for k in range(len(inputs)) if k not in fixed and k not in gathered]
    inner = w.told.graph(body, {}, w.depth + 1)
    inner.given |= {tensor: outside[k] if k in fixed else f"{inner.prefix}{tensor}" for k, tensor in enumerate(inputs)}
    tell(inner)
    graph = _body(inner, condition, carried, gathered)
    going = _condition(w, condition, dict(enumerate(outside)))
    made = [w.makes(one.outputs[k]) for k in carried]
    made += [w.fresh(f"steps{k}_") for k in gathered]
    w.put_all("Loop", "", going, *(outside[k] for k in carried), gives=made, body=graph)
    w.given |= {one.outputs[k]: outside[k] for k in fixed}
    for name, (k, own) in zip(made[len(carried) :], gathered.items(), strict=True):
        if own.last:
            ends = (w.number(value) for value in (-1, _LAST, 0))
            w.put("Slice", name, *ends, gives=one.outputs[k])
        else:
            w.put("Identity", name, gives=one.outputs[k])


def _body(w: Words, condition: int, carried: Sequence[int], gathered: Mapping[int, List]) -> GraphProto:
    """The nodes of one step; the outputs of lists are what each step adds."""
    inputs, outputs = w.told.model.ends[w.graph]
    after = {k: w.reads(tensor) for k, tensor in enumerate(outputs) if k not in gathered}
    going = _condition(w, condition, after)
    added = [w.reads(own.item) for own in gathered.values()]
    number, running = w.fresh("step"), w.fresh("running")
    given = [
        helper.make_tensor_value_info(number, TensorProto.INT64, []),
        helper.make_tensor_value_info(running, TensorProto.BOOL, []),
        *(w.info(w.given[inputs[k]], inputs[k]) for k in carried),
    ]
    made = [going, *(after[k] for k in carried), *added]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made]
    return GraphProto(name="body", node=_needed(w.nodes, made), input=given, output=ends, value_info=w.infos.values())


def _needed(nodes: Sequence[NodeProto], names: Sequence[str]) -> list[NodeProto]:
    """The nodes that values depend on: not those that keep lists."""
    wanted, found = {*names}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def _condition(w: Words, condition: int, given: Mapping[int, str]) -> str:
    """Whether there is another step, by the nodes of the condition in the place where it is asked."""
    inputs, (answer,) = w.told.model.ends[condition]
    asked = w.told.graph(condition, {inputs[k]: name for k, name in given.items()}, w.depth + 1)
    tell(asked)
    w.nodes += asked.nodes
    w.infos |= asked.infos
    return asked.reads(answer)


def in_words(model: Model) -> InWords:
    """A file, beginning with its main graph."""
    if not model.ends:
        raise UnreadableCheckpoint("damaged: the file has no graph")
    words = Told(model).graph(0, {}, 0)
    words.names = model.own_names(0)
    words.given |= {tensor: words.names.get(tensor, f"input{tensor}") for tensor in model.ends[0][0]}
    tell(words)
    return linked(words)
