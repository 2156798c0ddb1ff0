"""One hot vectors: the rows of a table, as an Embedding has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx

from converters.model import operations as op
from converters.model.arrays import in_memory
from converters.model.layers import Layer, Part
from converters.torch.trace.sketch import Sketch
from converters.torch.trace.words import Arguments, Named, argument
from layouts import catalogue


def _one_hot(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    count = argument(a, named, 1, "num_classes", -1)
    if not isinstance(count, int) or count < 1:
        raise d.refuse(node, "the number of classes hangs on the numbers: state num_classes=")
    kind = next((str(p.dtype).removeprefix("torch.") for p in d.walked.parameters()), "float32")
    table = in_memory("weight", np.eye(count, dtype=kind))
    (layout,) = catalogue.layers("pytorch")["Embedding"][:1]
    layer = Layer(node.name, "Embedding", (Part(layout, {"weight": table}),))
    d.layers[node.name] = layer
    return d.add(node, op.Apply(), a[0], layer=layer, dtype=kind)


WRITTEN = {"one_hot": _one_hot}
