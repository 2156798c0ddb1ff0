"""Pictures: HTML and SVG from plain rows, without a script, a font or a line of another's making.

`elements` makes markup and escapes what stands in it; `arrays` and `ribbons` draw arrays, their blocks and where each
goes; `ranks` and `flow` draw a graph; `page` is the page around them.
"""
