"""Pickles without unpickling: a machine of our own that knows a fixed list of opcodes, and builds data and nothing else.

What a pickle names is looked up in a table (`known`); nothing is imported, nothing is called, no class is made. What is
not in the table ends the reading.
"""
