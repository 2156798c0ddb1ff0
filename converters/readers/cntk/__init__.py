"""CNTK's models of format 2: functions as a graph, in which the blocks of the layers library keep their names.

A block is a function of the operation 57: its name of class, its inputs, of which the parameters are its own, and the
function inside it. One that reads an output of its own past is recurrent, one that reads its future runs backwards.
"""

from __future__ import annotations

from converters.model.checkpoint import Checkpoint
from converters.readers.cntk.blocks import layers_of
from converters.readers.cntk.values import Reading
from converters.readers.message import Message
from converters.readers.opened import Opened, Request
from layouts.errors import UnreadableCheckpoint


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a model. Raises `UnreadableCheckpoint` for what is damaged."""
    request.refuse_statements("a model of CNTK")
    reading = Reading(opened.path)
    model = reading.dictionary(Message(opened.source.view))
    functions, variables = model.get("primitive_functions"), model.get("inputs")
    if not isinstance(functions, list) or not isinstance(variables, list):
        raise UnreadableCheckpoint("this model of CNTK has no functions", path=opened.path)
    layers = tuple(layers_of(reading, functions, variables))
    return Checkpoint(opened.path, "cntk", "", "model (format 2)", layers)
