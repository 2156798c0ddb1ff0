"""Functions in the place of layers: the operations of Keras 3, and the TensorFlow functions of tf.keras.

Both write a name, and arguments in their places or by name; here they are brought into one form, and what has a neutral
operation becomes one. The rest is unknown, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.readers.keras import function_sites, masking_functions, node_functions
from converters.readers.keras.config import Config, Leaf, snake_case
from converters.readers.keras.draft import Flow
from converters.readers.keras.function_rows import steps
from converters.readers.keras.operations import is_known
from converters.readers.keras.site import Site, flows_in
from layouts.errors import printable

_TENSORFLOW = {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"}


def is_function(item: Config, leaf: Leaf) -> bool:
    """Whether a member of a model is a function: its module says so, or else what it lacks of a layer."""
    if leaf.class_name in _TENSORFLOW:
        return True
    module = item.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    nodes = item.get("inbound_nodes")
    modern = isinstance(nodes, list) and nodes and isinstance(nodes[0], dict) and "args" in nodes[0]
    layer = "trainable" in leaf.config or ("dtype" in leaf.config and is_known(leaf.class_name))
    return bool(modern) and not layer


def called(site: Site) -> list[Flow]:
    """The values that a function gives."""
    name, arguments, options = _call(site)
    masks = masking_functions.called(site, name, arguments, options)
    if masks is not None:
        return masks
    special = function_sites.SITES.get(name)
    several = special(site, arguments, options) if special else None
    if several is not None:
        return several
    found = steps(name, arguments, options, _shape(site))
    if found is None:
        return site.unknown(f"the function {printable(name)} with these arguments has no neutral operation")
    return [Flow(_chain(site, found))]


def _call(site: Site) -> tuple[str, list[Any], Mapping[str, Any]]:
    if site.leaf.class_name == "TensorFlowOpLayer":
        return node_functions.call(site.leaf.config, site.flows)
    return _name(site.leaf), list(site.given.arguments), {**_options(site.leaf), **site.given.named}


def _name(leaf: Leaf) -> str:
    if leaf.class_name == "SlicingOpLambda":
        return "get_item"
    if leaf.class_name == "TFOpLambda":
        return str(leaf.config.get("function")).rpartition(".")[2]
    return snake_case(leaf.class_name)


def _options(leaf: Leaf) -> Mapping[str, Any]:
    return {} if leaf.class_name in _TENSORFLOW else {key: value for key, value in leaf.config.items() if key != "name"}


def _shape(site: Site) -> Shape | None:
    flows = list(flows_in([*site.given.arguments, *site.given.named.values()]))
    return site.draft.shape(flows[0].value) if flows else None


def _chain(site: Site, found: Sequence[op.Operation]) -> str:
    """One operation behind the other; the first reads every value of the call."""
    inputs = [flow.value for flow in flows_in([*site.given.arguments, *site.given.named.values()])]
    for number, step in enumerate(found or [op.Identity()], 1):
        name = site.name if number >= len(found) else f"{site.name}:{number}"
        inputs = [site.compute(step, inputs, name=name)]
    return inputs[0]
