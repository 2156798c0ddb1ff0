"""A model of 2019 in PyTorch: convert what Keras 2.2.5 wrote, load it, and compare with the outputs Keras gave.

The file, the inputs and the outputs were recorded with Keras 2.2.5 on TensorFlow 1.15; neither is needed here.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from converters import convert_file

RECORDED = Path(__file__).resolve().parents[1] / "fixtures/keras2/lstm_sigmoid"
OUTPUT = Path("demo/model.safetensors")
TOLERANCE = 1e-6


class Model(nn.Module):
    """What the report below says: one module a layer, under the layer's name."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm_1 = nn.LSTM(3, 5, batch_first=True)
        self.lstm_2 = nn.LSTM(5, 11, bias=False, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sequence, _ = self.lstm_1(x)
        _, (h_n, _) = self.lstm_2(sequence)
        return h_n[-1]


def main() -> int:
    OUTPUT.parent.mkdir(exist_ok=True)
    print(convert_file(RECORDED / "model.h5", OUTPUT))

    model = Model().eval()
    model.load_state_dict(load_file(OUTPUT), strict=True)

    recorded = np.load(RECORDED / "io.npz")
    with torch.no_grad():
        output = model(torch.from_numpy(recorded["model/in/0"])).numpy()
    error = float(np.abs(output - recorded["model/out/0"]).max())
    print(f"\nlargest difference from what Keras 2.2.5 computed: {error:.1e} (allowed: {TOLERANCE:.0e})")
    return 0 if error <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
