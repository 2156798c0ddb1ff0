"""Layers that a model calls with training=True: they compute otherwise than at inference, whenever the model runs."""

from __future__ import annotations

from converters.model import operations as op
from converters.readers.keras.config import Leaf

_BY_CHANCE = {
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), ("rate", "p")),
    **dict.fromkeys(("AlphaDropout", "GaussianDropout"), ("rate", "p")),
    "GaussianNoise": ("stddev", "sigma"),
    **dict.fromkeys(("Attention", "AdditiveAttention", "MultiHeadAttention"), ("dropout",)),
}
"""Layers that draw numbers, and the settings that say how much."""
_OF_CELLS = ("dropout", "recurrent_dropout", "dropout_W", "dropout_U")
_BY_BATCH = ("BatchNormalization", "SyncBatchNormalization")


def otherwise(leaf: Leaf) -> str:
    """What a layer does in training that it does not do at inference; '' where it does the same."""
    settings = [leaf.config.get(word) for word in _BY_CHANCE.get(leaf.class_name, ())]
    settings += [cell.config.get(word) for cell in leaf.cells for word in _OF_CELLS]
    if any(settings):
        return f"it is called with training=True, and draws numbers whenever it runs: {op.BY_HAND}"
    if leaf.class_name in _BY_BATCH:
        return f"it is called with training=True, and norms by the statistics of each batch: {op.BY_HAND}"
    return ""
