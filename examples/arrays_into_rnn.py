"""Arrays into an RNN: weights that exist as NumPy arrays, in a module of torch.nn that computes the same.

A notebook as a script: the cells begin with `# %%`.
"""

# %% A simple RNN as one writes it in NumPy: h' = tanh(x W + h U + b), weights (inputs, units).
import warnings

import numpy as np
import torch
from torch import nn

from converters import ConversionWarning, ShapeError, export_arrays, load_into

rng = np.random.default_rng(0)
INPUTS, UNITS = 3, 5
W, U, b = rng.normal(size=(INPUTS, UNITS)), rng.normal(size=(UNITS, UNITS)), rng.normal(size=UNITS)


def by_hand(x: np.ndarray) -> np.ndarray:
    h, steps = np.zeros(UNITS), []
    for step in x:
        h = np.tanh(step @ W + h @ U + b)
        steps.append(h)
    return np.stack(steps)


# %% PyTorch has outputs first, and two biases that it adds. Arrays under its own names are copied in place.
rnn = nn.RNN(INPUTS, UNITS).double()
arrays = {"weight_ih_l0": W.T, "weight_hh_l0": U.T, "bias_ih_l0": b, "bias_hh_l0": np.zeros(UNITS)}
print(load_into(rnn, arrays))

x = rng.normal(size=(7, INPUTS))
with torch.no_grad():
    found = rnn(torch.from_numpy(x))[0].numpy()
assert np.abs(found - by_hand(x)).max() < 1e-12

# %% Or let the layouts turn them: this is how Keras, too, keeps a SimpleRNN.
other = nn.RNN(INPUTS, UNITS, batch_first=True).double()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConversionWarning)  # arrays do not tell the activation: tanh is assumed
    print(load_into(other, {"kernel": W, "recurrent_kernel": U, "bias": b}, framework="keras"))
assert torch.equal(other.weight_hh_l0, rnn.weight_hh_l0)

# %% Layer 1 reads the outputs of layer 0, of both directions, not the input: a mistake of many tutorials.
lstm = nn.LSTM(INPUTS, UNITS, num_layers=2, bidirectional=True)
state = {name: rng.normal(size=tuple(value.shape)) for name, value in lstm.state_dict().items()}
try:
    load_into(lstm, state | {"weight_ih_l1": rng.normal(size=(4 * UNITS, INPUTS))})
except ShapeError as error:
    print(error)
print(load_into(lstm, state))

# %% And back: the arrays that a Keras layer's set_weights takes, in its order.
kernel, recurrent_kernel, bias = export_arrays(rnn).values()
assert np.array_equal(kernel, W) and np.array_equal(recurrent_kernel, U) and np.array_equal(bias, b)
