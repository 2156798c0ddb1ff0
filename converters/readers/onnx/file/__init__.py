"""The bytes of an ONNX file: structure parsed within bounds, tensors located and left where they are."""
