"""The graph of an ONNX file: who makes and reads each value, what is constant, what computes constants, names."""
