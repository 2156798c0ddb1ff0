"""Recurrent layers that exporters wrote as plain arithmetic: recognised by what they compute, and proven by running.

`loops` takes a Loop and `steps` a graph without one (`unrolled` for nn.RNN); what each of them works on, tries and runs
stands in the modules below them. Shapes only propose what an array may be; names and the order of nodes count for
nothing.
"""
