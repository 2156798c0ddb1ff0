"""TensorFlow Lite: one flatbuffer, read in place within bounds."""
