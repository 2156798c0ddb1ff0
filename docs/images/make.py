"""The pictures of the README, drawn by the code from the layouts: `python docs/images/make.py` writes them anew."""

from __future__ import annotations

from pathlib import Path

from converters.show.layout_page import layout_picture
from converters.show.pictures.elements import alone
from converters.show.pictures.style import DRAWING
from layouts.frameworks import keras, pytorch

PICTURES = {"keras_gru.svg": (keras.GRU, pytorch.GRU)}
"""File -> from which layout into which."""


def drawn() -> dict[str, str]:
    """The text of every picture, by the name of its file."""
    return {name: alone(layout_picture(source, target)[0], DRAWING) for name, (source, target) in PICTURES.items()}


if __name__ == "__main__":
    for name, text in drawn().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
