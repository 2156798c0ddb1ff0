"""The proof: what a source computes, evaluated in NumPy float64 from its own graph, and compared step by step.

`evaluate` shares no code with the modules that are built for PyTorch: a second, independent opinion is the point.
"""
