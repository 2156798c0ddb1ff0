"""Pickles without unpickling: a machine of our own that knows a fixed list of opcodes and builds data alone.

What a pickle names is looked up in a table (`known`); nothing is imported, nothing is called, no class is made. What is
not in the table ends the reading.
"""
