"""The attributes of one node as values, each of the type that its operator gives it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from layouts.errors import UnreadableCheckpoint, printable

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

_GRAPHS = (5, 10)
"""The types GRAPH and GRAPHS: a node has its graphs as scopes, and not among its values."""

_SETTLED = 6
"""The version of operators from which on `Cast` has its type as a number."""
_USUAL = {
    1: """alpha beta bias clip cubic_coeff_a epsilon extrapolation_value gamma height_scale high lambd low max mean
        min momentum ratio scale softcap spatial_scale value_float width_scale""",
    2: """align_corners allowzero antialias axis batch_axis batch_dims block_size blocksize broadcast ceil_mode
        center_point_box chunk_size count_include_pad detect_negative detect_positive dtype end exclude_outside
        exclusive fmod group hidden_size ignore_index input_forget interleaved inverse is_case_sensitive is_causal
        is_test k keepdims kv_num_heads largest layout left_window_size linear_before_reset max_gram_length
        max_skip_count maxsplit min_gram_length new_axis noop_with_empty_axes num_groups num_heads num_outputs
        num_scan_inputs offset_group onesided output_datatype output_dtype output_height output_sequence
        output_width periodic precision q_num_heads qk_matmul_output_mode reverse right_window_size
        rotary_embedding_dim sample_size sampling_ratio saturate select_last_index size softmax_precision sorted
        spatial start stash_type storage_order time_axis training_mode transA transB upper value_int Cast.to""",
    3: """activation approximate auto_pad case_change_action coordinate_transformation_mode delimiter direction
        equation keep_aspect_ratio_policy locale mode nearest_mode padding_mode pattern pixel_format reduction
        round_mode update_rule value_string""",
    4: "Constant.value ConstantOfShape.value",
    5: "body else_branch then_branch",
    6: "activation_alpha activation_beta scales value_floats weights",
    7: """axes consumed_inputs dilations directions ends kernel_shape ngram_counts ngram_indexes output_padding
        output_shape paddings pads perm pool_int64s pooled_shape scan_input_axes scan_input_directions
        scan_output_axes scan_output_directions shape split starts strides value_ints""",
    8: "activations pool_strings stopwords value_strings",
}
"""The names of attributes that have one type in every operator of ONNX, or in the operator before the dot, by type.

A test holds them against every schema of the onnx package, whose own table takes longer to load than to be asked.
"""


def values(node: NodeProto, opset: int, domain: str) -> Mapping[str, Any]:
    """Integers, floats, strings, lists of them, and tensors as messages; no graphs.

    Raises `UnreadableCheckpoint` for an attribute that stands twice or is not of its operator's type. Unknown
    operators may have any.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        name = attribute.name
        if name in found:
            raise UnreadableCheckpoint(f"the attribute {printable(name)} stands twice")
        asked = not domain and not _is_usual(attribute.type, node.op_type, name, opset)
        types = _types(node.op_type, opset) if asked else {}
        kind = attribute.type or types.get(name, 0)
        if attribute.ref_attr_name or kind != types.get(name, kind):
            raise UnreadableCheckpoint(f"the attribute {printable(name)} is {_described(attribute)}")
        found[name] = None if kind in _GRAPHS else _value(attribute, kind)
    return {name: value for name, value in found.items() if value is not None}


def _is_usual(kind: int, op: str, name: str, opset: int) -> bool:
    """Whether an attribute is of the one type that ONNX has for this name, so that its operator need not be asked."""
    usual = _usual()
    return opset >= _SETTLED and kind == usual.get(name, usual.get(f"{op}.{name}", 0)) != 0


@cache
def _usual() -> Mapping[str, int]:
    return {name: kind for kind, names in _USUAL.items() for name in names.split()}


@lru_cache(256)
def _types(op: str, opset: int) -> Mapping[str, int]:
    """The type of each attribute of an operator of ONNX itself."""
    from onnx import defs

    try:
        schema = defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return {}
    return {name: _number(attribute.type) for name, attribute in schema.attributes.items()}


def _number(kind: Any) -> int:
    return int(kind.value)


def _described(attribute: AttributeProto) -> str:
    from onnx import AttributeProto

    if attribute.ref_attr_name:
        return "that of a function, and there is none around it"
    known = AttributeProto.AttributeType.values()
    kind = AttributeProto.AttributeType.Name(attribute.type) if attribute.type in known else attribute.type
    return f"of the type {kind}, which its operator does not take there"


def _value(attribute: AttributeProto, kind: int) -> Any:
    """The value of an attribute of this type; None for types that hold no numbers and no text."""
    field = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings", 9: "tensors"}.get(kind)
    if field is None:
        return None
    value = getattr(attribute, field)
    if field == "s":
        return value.decode("utf-8", "replace")
    if field == "strings":
        return [one.decode("utf-8", "replace") for one in value]
    return list(value) if field in ("floats", "ints", "tensors") else value
