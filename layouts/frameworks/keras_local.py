"""Keras: convolutions without shared kernels. How they differ from PyTorch is told in `layouts.frameworks.keras`.

`channels_last` decides in which order a window is flattened: (height, width, in), or (in, height, width). The bias has
the places first either way; with channels first its buffer is read as if the outputs were. Kernels are applied as they
are stored on every backend. tf.keras stores two other forms of the kernel (`implementation`), which the reader brings
into this one. Sources: `local.py` of Keras 1.2.2 and 2.2.5, `locally_connected*.py` of Keras 2.15, outputs compared in
the tests.
"""

from layouts import cells
from layouts.custom import ReshapedMap
from layouts.layout import Layout

_ACTIVATED = {"activation": "linear"}
_CHANNELS_LAST = {"channels_last": True}
_CHANNELS_FIRST = {"channels_last": False}
_RESHAPED_1D = ReshapedMap("out column -> bias", "column out -> bias")
_RESHAPED_2D = ReshapedMap("out column row -> bias", "row column out -> bias")

LOCALLY_CONNECTED1D = (
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED1D,
        {"kernel": "column (width in) out -> weight", "bias": "column out -> bias"},
        when=_CHANNELS_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="LocallyConnected1D",
    ),
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED1D,
        {"kernel": "column (in width) out -> weight", "bias": _RESHAPED_1D},
        when=_CHANNELS_FIRST,
        beside=_ACTIVATED,
        class_name="LocallyConnected1D (channels first)",
    ),
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED1D,
        {"W": "column (width in) out -> weight", "b": "column out -> bias"},
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="LocallyConnected1D (Keras 1)",
    ),
)
LOCALLY_CONNECTED2D = (
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED2D,
        {"kernel": "(row column) (height width in) out -> weight", "bias": "row column out -> bias"},
        when=_CHANNELS_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="LocallyConnected2D",
    ),
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED2D,
        {"kernel": "(row column) (in height width) out -> weight", "bias": _RESHAPED_2D},
        when=_CHANNELS_FIRST,
        beside=_ACTIVATED,
        class_name="LocallyConnected2D (channels first)",
    ),
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED2D,
        {"W": "(row column) (height width in) out -> weight", "b": "row column out -> bias"},
        when=_CHANNELS_LAST,
        defaults=_CHANNELS_LAST,
        beside=_ACTIVATED,
        class_name="LocallyConnected2D (Keras 1, tf)",
    ),
    Layout(
        "keras",
        cells.LOCALLY_CONNECTED2D,
        {"W": "(row column) (in height width) out -> weight", "b": _RESHAPED_2D},
        when=_CHANNELS_FIRST,
        beside=_ACTIVATED,
        class_name="LocallyConnected2D (Keras 1, th)",
    ),
)

LAYERS = {"LocallyConnected1D": LOCALLY_CONNECTED1D, "LocallyConnected2D": LOCALLY_CONNECTED2D}
USUAL = _CHANNELS_LAST
"""What is so unless somebody states otherwise."""
