"""Keras as a destination: the arrays that `set_weights` takes, layer by layer."""

from converters.targets.target import Target

TARGET = Target("keras", "Keras", package="keras.layers.{}")
