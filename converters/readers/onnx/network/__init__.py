"""An ONNX graph as the neutral one: layers as calls, what is between them as operations, moves of axes put together.

`sizes` follows shapes with stand-ins for what is open; `views` follow moves; `drawing` holds what is known of every
value; `elementwise`, `moving`, `windows` and `masks` say what single nodes are; `calls` and `recurrent` put layers in
their places; `whole` walks from the outputs to the inputs.
"""
