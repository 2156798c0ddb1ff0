"""A neutral graph as the configuration of a functional model of Keras 3, and the place of every array in its files."""

from converters.targets.keras.network.write import Network, write

__all__ = ["Network", "write"]
