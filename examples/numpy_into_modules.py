"""NumPy into a Sequential, and into a module of one's own, by walking it.

A notebook as a script: the cells begin with `# %%`.
"""

# %% A list of arrays, one entry a layer with weights: what `pickle`d or hand-made networks come as.
import warnings

import numpy as np
import torch
from torch import nn

from converters import ConversionWarning, CoverageError, load_into

rng = np.random.default_rng(0)
layers = [(rng.normal(size=(7, 3)), rng.normal(size=7)), (rng.normal(size=(2, 7)), rng.normal(size=2))]

# %% A Sequential: walk the layers that have weights, in order. Shapes are checked; a mistake changes nothing.
model = nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 2)).double()
linear = [module for module in model if isinstance(module, nn.Linear)]
for module, (weight, bias) in zip(linear, layers, strict=True):
    load_into(module, {"weight": weight, "bias": bias})

x = rng.normal(size=(4, 3))
expected = np.tanh(x @ layers[0][0].T + layers[0][1]) @ layers[1][0].T + layers[1][1]
with torch.no_grad():
    assert np.abs(model(torch.from_numpy(x)).numpy() - expected).max() < 1e-12


# %% A module of one's own, by the names of its parts. Nesting in the mapping is nesting in the module.
class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 3)
        self.encoder = nn.GRU(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(tokens))[0])


tagger = Tagger()
arrays = {
    name: {key: rng.normal(size=tuple(value.shape)) for key, value in part.state_dict().items()}
    for name, part in tagger.named_children()
}
print(load_into(tagger, arrays))
assert np.array_equal(tagger.encoder.weight_hh_l0.detach().numpy(), arrays["encoder"]["weight_hh_l0"].astype("float32"))

# %% All or nothing: a name that is missing or unknown is an error, and the module stays as it was.
before = tagger.head.weight.clone()
try:
    load_into(tagger, {"head": {"weight": np.zeros((2, 5)), "bais": np.zeros(2)}})
except CoverageError as error:
    print(error)
assert torch.equal(tagger.head.weight, before)

# %% The same arrays as Keras keeps them. Layers are matched by name, or by type, shape and order.
keras_arrays = {
    "tokens": {"embeddings": rng.normal(size=(11, 3))},
    "gru": {
        "kernel": rng.normal(size=(3, 15)),
        "recurrent_kernel": rng.normal(size=(5, 15)),
        "bias": rng.normal(size=(2, 15)),
    },
    "dense": {"kernel": rng.normal(size=(5, 2)), "bias": rng.normal(size=2)},
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConversionWarning)  # arrays do not tell activations: Keras's defaults are assumed
    print(load_into(tagger, keras_arrays, framework="keras"))
assert np.array_equal(tagger.head.weight.detach().numpy(), keras_arrays["dense"]["kernel"].T.astype("float32"))
