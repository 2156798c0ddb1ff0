"""Layers out of the nodes of an ONNX graph, each stored array accounted for."""
