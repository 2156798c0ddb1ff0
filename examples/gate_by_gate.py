"""Gate by gate: look at, set and initialise the gates inside PyTorch's packed parameters.

A notebook as a script: the cells begin with `# %%`.
"""

# %% nn.LSTM keeps four matrices in one parameter. `gates` names them; what is written into a view is in the parameter.
import torch
from torch import nn

from converters import gates, initialize

torch.manual_seed(0)
lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
print(gates(lstm))

forget = gates(lstm)["l0"].recurrent_weight["f"]
forget.copy_(torch.eye(5))
assert torch.equal(lstm.weight_hh_l0[5:10], torch.eye(5))  # the second block of rows: i, f, g, o


# %% Orthogonal, one gate at a time. Over the packed (4 × units, units) matrix it would be another thing.
def largest_deviation(matrix: torch.Tensor) -> float:
    return float((matrix @ matrix.T - torch.eye(len(matrix))).abs().max())


print(initialize(lstm, recurrent_weight=nn.init.orthogonal_, input_weight=nn.init.xavier_uniform_))
assert all(largest_deviation(g) < 1e-5 for layer in gates(lstm).values() for g in layer.recurrent_weight.values())

# %% A forget bias of 1 counts once. PyTorch adds two biases: 1 in both would be 2.
print(initialize(lstm, forget_bias=1.0))
for layer in gates(lstm).values():
    assert torch.equal(layer.input_bias["f"] + layer.recurrent_bias["f"], torch.ones(5))

# %% Other gates otherwise, in one layer only.
initialize(lstm, recurrent_weight={"l1": {"o": nn.init.zeros_}})
assert not gates(lstm)["l1"].recurrent_weight["o"].any()

# %% A whole model from the distributions Keras starts from, so that a port trains as the original did.
model = nn.ModuleDict({"embedding": nn.Embedding(11, 3), "gru": nn.GRU(3, 5), "head": nn.Linear(5, 2)})
print(initialize(model, scheme="keras"))
assert not model["head"].bias.any()
