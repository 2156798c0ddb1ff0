"""A model of 2019 in PyTorch: convert what Keras 2.2.5 wrote, load it, and compare with the outputs Keras gave.

The files, the inputs and the outputs were recorded with the real frameworks; none of them is needed here. The folder
`demo/` keeps copies of the files for the commands of the README.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from converters import convert_file

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FILES = {
    "model.h5": "keras2/lstm_sigmoid/model.h5",
    "weights.h5": "keras2/lstm_sigmoid/weights.h5",
    "old.h5": "keras2/lstm_hard_sigmoid/model.h5",
    "model.keras": "keras3/bidirectional/model.keras",
    "model.onnx": "onnx_torch/lstm_stacked/model.onnx",
    "rnnlm.ckpt.index": "tensorflow1/formats/parts.ckpt.index",
    "rnnlm.ckpt.data-00000-of-00001": "tensorflow1/formats/parts.ckpt.data-00000-of-00001",
    "gluon.params": "mxnet/stacked/saved.params",
}
"""Name in the folder `demo/` -> the recorded file."""
DEMO = Path("demo")
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
    DEMO.mkdir(exist_ok=True)
    for name, source in FILES.items():
        shutil.copy(FIXTURES / source, DEMO / name)
    print(convert_file(DEMO / "model.h5", DEMO / "model.pt"))

    model = Model().eval()
    model.load_state_dict(torch.load(DEMO / "model.pt", weights_only=True), strict=True)

    recorded = np.load(FIXTURES / "keras2/lstm_sigmoid/io.npz")
    with torch.no_grad():
        output = model(torch.from_numpy(recorded["model/in/0"])).numpy()
    error = float(np.abs(output - recorded["model/out/0"]).max())
    print(f"\nlargest difference from what Keras 2.2.5 computed: {error:.1e} (allowed: {TOLERANCE:.0e})")
    return 0 if error <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
