"""A file of TensorFlow Lite in the words of ONNX, for those who recognise recurrences by what a graph computes.

told ─ single      every operation as one or several nodes; what has no words here is a node of another domain
     └ loops ─ lists   a WHILE as a Loop; the outputs that its body gathers as values of all steps
"""
