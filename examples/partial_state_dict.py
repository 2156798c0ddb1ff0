"""Part of a state_dict: pretrained recurrent layers under a new head, with strict=False, and what to watch for.

A notebook as a script: the cells begin with `# %%`.
"""

# %% A pretrained network, here of Keras 2.2.5, and a new one that shares its first two layers.
from pathlib import Path

import torch
from torch import nn

from converters import convert, read

PRETRAINED = Path(__file__).resolve().parents[1] / "fixtures/keras2/lstm_sigmoid/model.h5"
print(read(PRETRAINED))


class Model(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.lstm_1 = nn.LSTM(3, 5, batch_first=True)
        self.lstm_2 = nn.LSTM(5, 11, bias=False, batch_first=True)
        self.head = nn.Linear(11, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm_2(self.lstm_1(x)[0])[1][0][-1])


# %% strict=False loads what has a name in both. Read what it returns: nothing else tells a slip from an intention.
model, state = Model(classes=2), convert(PRETRAINED)
result = model.load_state_dict(state, strict=False)
print(result)
assert set(result.missing_keys) == {"head.weight", "head.bias"} and not result.unexpected_keys
assert torch.equal(model.lstm_1.weight_hh_l0, state["lstm_1.weight_hh_l0"])

# %% A slip: the names have another prefix, so nothing is loaded, and no error says so.
slip = {f"module.{key}": value for key, value in state.items()}
result = Model(classes=2).load_state_dict(slip, strict=False)
assert len(result.missing_keys) == len(Model(2).state_dict()) and len(result.unexpected_keys) == len(slip)

# %% Shapes are checked even so: a layer of another width is an error.
narrow = Model(classes=2)
narrow.lstm_1 = nn.LSTM(3, 4, batch_first=True)
try:
    narrow.load_state_dict(state, strict=False)
except RuntimeError as error:
    print(str(error).splitlines()[1].strip())

# %% One layer into one module needs no prefix, and then strict=True is right.
nn.LSTM(3, 5, batch_first=True).load_state_dict(convert(PRETRAINED, layer="lstm_1"), strict=True)

# %% A GRU's state_dict into a GRU, but for its biases: those stay as they were.
pretrained, gru = nn.GRU(3, 5), nn.GRU(3, 5)
before = gru.bias_hh_l0.clone()
weights = {key: value for key, value in pretrained.state_dict().items() if key.startswith("weight")}
result = gru.load_state_dict(weights, strict=False)
assert result.missing_keys == ["bias_ih_l0", "bias_hh_l0"] and torch.equal(gru.bias_hh_l0, before)

# %% Keep what was loaded as it is while the head learns.
for layer in (model.lstm_1, model.lstm_2):
    layer.requires_grad_(False)
model(torch.randn(4, 7, 3)).sum().backward()
assert model.lstm_1.weight_hh_l0.grad is None and model.head.weight.grad is not None
