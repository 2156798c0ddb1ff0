"""Keras: attention of many heads, and the learned numbers of Attention and AdditiveAttention."""

from layouts import cells
from layouts.layout import Layout

ATTENTION = (
    Layout(
        "keras",
        cells.ATTENTION,
        {
            "{role}/kernel": "in head key -> input_weight",
            "{role}/bias": "head key -> input_bias",
            "attention_output/kernel": "head key out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
    Layout(
        "keras",
        cells.ATTENTION_OF_WIDTHS,
        {
            "query/kernel": "in head key -> query_weight",
            "key/kernel": "key_in head key -> key_weight",
            "value/kernel": "value_in head key -> value_weight",
            "{role}/bias": "head key -> input_bias",
            "attention_output/kernel": "head key out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
    Layout(
        "keras",
        cells.ATTENTION_OF_VALUE_WIDTH,
        {
            "query/kernel": "in head key -> query_weight",
            "query/bias": "head key -> query_bias",
            "key/kernel": "key_in head key -> key_weight",
            "key/bias": "head key -> key_bias",
            "value/kernel": "value_in head value -> value_weight",
            "value/bias": "head value -> value_bias",
            "attention_output/kernel": "head value out -> output_weight",
            "attention_output/bias": "out -> output_bias",
        },
        class_name="MultiHeadAttention",
    ),
)
DOT_ATTENTION = (
    Layout("keras", cells.DOT_ATTENTION, {"scale": "-> scale"}, class_name="Attention"),
    Layout(
        "keras",
        cells.CONCAT_ATTENTION,
        {"scale": "-> scale", "concat_score_weight": "-> score_weight"},
        class_name="Attention (concat)",
    ),
)
ADDITIVE_ATTENTION = (
    Layout("keras", cells.ADDITIVE_ATTENTION, {"scale": "feature -> scale"}, class_name="AdditiveAttention"),
)

LAYERS = {
    "MultiHeadAttention": ATTENTION,
    "Attention": DOT_ATTENTION,
    "AdditiveAttention": ADDITIVE_ATTENTION,
}
