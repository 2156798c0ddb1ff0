"""Start values: per slot, gate and layer as asked; and Keras's distributions, against the installed Keras."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from converters import ConversionError, NotRepresentable, export_arrays, gates, initialize
from converters.torch import nn as drop_in


class Model(nn.Module):
    """Something of everything, nested."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 7)
        self.encoder = nn.Sequential(nn.LSTM(7, 5, 2, bidirectional=True), nn.ReLU())
        self.cell = nn.GRUCell(7, 5)
        self.rnn = nn.RNN(7, 5)
        self.conv = nn.Conv2d(3, 7, (2, 3))
        self.norm = nn.LayerNorm(7)
        self.head = nn.Linear(10, 2)
        self.own = nn.Parameter(torch.zeros(3))


def filled(module: nn.Module, value: float = 9.0) -> nn.Module:
    """The module with one number everywhere, so that what is set shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def expect_orthogonal(matrix: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Raise unless the rows, or the columns where there are fewer, are orthonormal."""
    matrix = matrix.double() if len(matrix) <= matrix.shape[1] else matrix.double().t()
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(len(matrix)).double(), rtol=0.0, atol=tolerance)


def test_a_slot_is_set_gate_by_gate_in_every_layer() -> None:
    model = Model()
    report = initialize(model, recurrent_weight=nn.init.orthogonal_)
    for module in (model.encoder[0], model.cell):
        for layer in gates(module).values():
            for gate in layer.recurrent_weight.values():
                expect_orthogonal(gate)
    expect_orthogonal(model.rnn.weight_hh_l0.detach())
    assert "encoder.0: recurrent_weight by orthogonal_" in report.done
    assert "head (Linear): left alone" in report.left_alone
    assert {line.split(":")[0] for line in report.done} == {"encoder.0", "cell", "rnn"}
    assert "· encoder.0: recurrent_weight" in str(report) and "– Model (Model): left alone" in str(report)


def test_nothing_else_is_touched() -> None:
    model = filled(Model())
    initialize(model, recurrent_weight=nn.init.zeros_, bias=nn.init.ones_)
    for name, parameter in model.named_parameters():
        expected = 0.0 if "weight_hh" in name else 1.0 if name in ("head.bias", "conv.bias") else 9.0
        assert (parameter == expected).all(), name
        assert parameter.requires_grad and parameter.is_leaf


def test_linear_and_convolutions_and_embedding() -> None:
    model = filled(Model())
    initialize(model, weight=nn.init.zeros_, bias=nn.init.ones_)
    assert not model.head.weight.any() and not model.conv.weight.any() and not model.embedding.weight.any()
    assert (model.norm.weight == 9.0).all() and (model.norm.bias == 9.0).all()


def test_one_gate() -> None:
    lstm = filled(nn.LSTM(3, 5, 2))
    initialize(lstm, recurrent_weight={"f": nn.init.zeros_})
    for layer in gates(lstm).values():
        assert {gate: float(view.mean()) for gate, view in layer.recurrent_weight.items()} == {
            "i": 9.0,
            "f": 0.0,
            "g": 9.0,
            "o": 9.0,
        }


def test_one_layer_and_one_gate_of_another() -> None:
    lstm = filled(nn.LSTM(3, 5, 2, bidirectional=True))
    report = initialize(lstm, input_weight={"l0": nn.init.zeros_, "l1_reverse": {"g": nn.init.ones_}})
    found = gates(lstm)
    assert not any(view.any() for view in found["l0"].input_weight.values())
    assert (found["l0_reverse"].input_weight["g"] == 9.0).all()
    assert (found["l1_reverse"].input_weight["g"] == 1.0).all() and (found["l1_reverse"].input_weight["i"] == 9.0).all()
    assert any("l1_reverse[g]" in line for line in report.done)


@pytest.mark.parametrize(
    "make", [lambda: nn.LSTM(3, 5, 2, bidirectional=True), lambda: nn.LSTMCell(3, 5), lambda: drop_in.LSTM(3, 5)]
)
def test_the_forget_bias_counts_once(make: Callable[[], nn.Module]) -> None:
    module = filled(make())
    report = initialize(module, forget_bias=1.0)
    for layer in gates(module).values():
        assert (layer.input_bias["f"] == 1.0).all() and (layer.recurrent_bias["f"] == 0.0).all()
        assert (layer.input_bias["i"] == 9.0).all() and (layer.recurrent_bias["o"] == 9.0).all()
    assert "input_bias[f] 1, recurrent_bias[f] 0, for the two add up" in str(report)


def test_the_forget_bias_is_what_the_gate_sees() -> None:
    lstm = filled(nn.LSTM(3, 5).double(), 0.0)
    initialize(lstm, forget_bias=1.0)
    c = torch.ones(1, 2, 5, dtype=torch.float64)
    _, (_, after) = lstm(torch.zeros(1, 2, 3, dtype=torch.float64), (torch.zeros_like(c), c))
    torch.testing.assert_close(after, torch.full_like(c, 1.0 / (1.0 + math.exp(-1.0))), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_any_dtype(dtype: torch.dtype) -> None:
    lstm = nn.LSTM(3, 16).to(dtype)
    initialize(lstm, recurrent_weight=nn.init.orthogonal_, forget_bias=1.0)
    assert lstm.weight_hh_l0.dtype == dtype
    for gate in gates(lstm)["l0"].recurrent_weight.values():
        expect_orthogonal(gate, 1e-5 if dtype is torch.float64 else 3e-2)
    initialize(lstm, scheme="keras")
    assert (gates(lstm)["l0"].input_bias["f"] == 1.0).all()


def test_the_seed_repeats_it() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        model = Model()
        torch.manual_seed(6)
        initialize(model, scheme="keras", recurrent_weight=nn.init.orthogonal_)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_scheme_of_torch_is_reset_parameters() -> None:
    one, two = filled(Model()), Model()
    torch.manual_seed(7)
    initialize(one, scheme="torch")
    torch.manual_seed(7)
    for module in (two.embedding, two.encoder[0], two.cell, two.rnn, two.conv, two.norm, two.head):
        module.reset_parameters()
    expected = {key: value for key, value in two.state_dict().items() if key != "own"}
    assert all(torch.equal(one.state_dict()[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"scheme": "kears"}, "'kears' is not known; there are: keras, torch", id="scheme"),
        pytest.param({"recurent_weight": nn.init.zeros_}, "recurent_weight: no layer here has this slot", id="slot"),
        pytest.param({"recurrent_weight": {"q": nn.init.zeros_}}, "nothing here has a gate or layer 'q'", id="gate"),
        pytest.param({"recurrent_weight": {"l7": nn.init.zeros_}}, "gate or layer 'l7'", id="layer"),
        pytest.param({"recurrent_weight": "orthogonal"}, "expected a function such as nn.init.zeros_", id="text"),
        pytest.param({"recurrent_weight": torch.zeros_like}, "gives a new tensor", id="not-in-place"),
    ],
)
def test_what_nothing_answers_to_is_an_error(options: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        initialize(Model(), **options)


@pytest.mark.parametrize("module", [nn.Linear(3, 5), nn.GRU(3, 5), nn.LSTM(3, 5, bias=False)], ids=repr)
def test_a_forget_bias_without_a_forget_gate_is_an_error(module: nn.Module) -> None:
    with pytest.raises(ConversionError, match="no layer here has a forget gate with a bias"):
        initialize(module, forget_bias=1.0)


def test_keras_has_no_projection() -> None:
    with pytest.raises(NotRepresentable, match="keras has no layer that computes lstm with projection"):
        initialize(nn.LSTM(3, 5, proj_size=2), scheme="keras")


def test_a_parametrized_layer_is_no_matter_where_nothing_of_it_is_set() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 5)), nn.GRU(5, 7))
    initialize(model, recurrent_weight=nn.init.orthogonal_)
    with pytest.raises(NotRepresentable, match=r"0 .*weight is parametrized"):
        initialize(model, weight=nn.init.zeros_)


# --- Keras's distributions, in Keras's own arrays


KERAS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any], tuple[int | None, ...]]] = {
    "LSTM": (lambda: nn.LSTM(30, 50), lambda k: k.LSTM(50), (None, 30)),
    "GRU": (lambda: nn.GRU(30, 50), lambda k: k.GRU(50), (None, 30)),
    "GRU-before": (
        lambda: drop_in.GRU(30, 50, reset_after=False),
        lambda k: k.GRU(50, reset_after=False),
        (None, 30),
    ),
    "SimpleRNN": (lambda: nn.RNN(30, 50), lambda k: k.SimpleRNN(50), (None, 30)),
    "LSTM-wide": (lambda: nn.LSTM(90, 20), lambda k: k.LSTM(20), (None, 90)),
    "Dense": (lambda: nn.Linear(70, 50), lambda k: k.Dense(50), (70,)),
    "Embedding": (lambda: nn.Embedding(90, 40), lambda k: k.Embedding(90, 40), ()),
    "Conv1D": (lambda: nn.Conv1d(20, 30, 5), lambda k: k.Conv1D(30, 5), (9, 20)),
    "Conv2D": (lambda: nn.Conv2d(20, 30, (3, 2)), lambda k: k.Conv2D(30, (3, 2)), (9, 9, 20)),
    "Conv3D": (lambda: nn.Conv3d(8, 9, 3), lambda k: k.Conv3D(9, 3), (9, 9, 9, 8)),
    "Conv2DTranspose": (
        lambda: nn.ConvTranspose2d(20, 30, 3),
        lambda k: k.Conv2DTranspose(30, 3),
        (9, 9, 20),
    ),
    "DepthwiseConv2D": (
        lambda: nn.Conv2d(40, 80, 5, groups=40),
        lambda k: k.DepthwiseConv2D(5, depth_multiplier=2),
        (9, 9, 40),
    ),
    "BatchNormalization": (lambda: nn.BatchNorm2d(20), lambda k: k.BatchNormalization(), (9, 9, 20)),
    "LayerNormalization": (lambda: nn.LayerNorm(20), lambda k: k.LayerNormalization(), (20,)),
    "MultiHeadAttention": (
        lambda: nn.MultiheadAttention(40, 4),
        lambda k: k.MultiHeadAttention(4, 10),
        (9, 40),
    ),
}
DRAWS = 8


def kernels(name: str, framework: Any) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    """Every array of several layers started by Keras, and of as many modules started by us, in Keras's layout."""
    make, layer, shape = KERAS[name]
    theirs, ours = [], []
    torch.manual_seed(8)
    framework.utils.set_random_seed(8)
    for _ in range(DRAWS):
        built = layer(framework.layers)
        built.build(*[(None, *shape)] * (2 if "Attention" in name else 1))
        theirs.append([np.asarray(weight) for weight in built.get_weights()])
        module = filled(make())
        initialize(module, scheme="keras")
        ours.append(list(export_arrays(module).values()))
    assert [[a.shape for a in arrays] for arrays in ours] == [[a.shape for a in arrays] for arrays in theirs]
    stacked = [[np.stack(arrays) for arrays in zip(*draws, strict=True)] for draws in (ours, theirs)]
    return stacked[0], stacked[1]


@pytest.mark.parametrize("name", KERAS)
def test_the_scheme_draws_from_the_distributions_of_keras(name: str) -> None:
    """Constants to the bit; of random arrays the mean, the variance, the bounds, and a two-sample Kolmogorov test."""
    keras = pytest.importorskip("keras")
    ours, theirs = kernels(name, keras)
    for found, expected in zip(ours, theirs, strict=True):
        if expected.std() == 0.0 or set(np.unique(expected)) <= {0.0, 1.0}:
            np.testing.assert_array_equal(found, expected)
            continue
        count = expected.size
        scale = expected.std()
        assert abs(found.mean() - expected.mean()) < 6.0 * scale * math.sqrt(2.0 / count)
        assert abs(found.std() / scale - 1.0) < 6.0 / math.sqrt(count)
        assert abs(np.abs(found).max() / np.abs(expected).max() - 1.0) < (0.35 if is_orthogonal(expected) else 0.02)
        assert kolmogorov(found, expected) < 2.3 * math.sqrt(2.0 / count)


def is_orthogonal(arrays: np.ndarray) -> bool:
    first = arrays[0]
    return first.ndim == 2 and np.allclose(first @ first.T, np.eye(len(first)), atol=1e-4)


def kolmogorov(one: np.ndarray, two: np.ndarray) -> float:
    """The largest distance between two empirical distributions."""
    one, two = np.sort(one.ravel()), np.sort(two.ravel())
    at = np.concatenate([one, two])
    shares = [np.searchsorted(sample, at, side="right") / sample.size for sample in (one, two)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.parametrize("name", ["LSTM", "GRU", "GRU-before", "SimpleRNN", "LSTM-wide"])
def test_the_recurrent_kernel_is_orthogonal_as_a_whole(name: str) -> None:
    """Its rows are orthonormal over all gates together; one gate alone is not, where there are several."""
    module = KERAS[name][0]()
    initialize(module, scheme="keras")
    arrays = export_arrays(module)
    expect_orthogonal(torch.from_numpy(arrays["recurrent_kernel"]))
    views = gates(module)["l0"].recurrent_weight
    if name != "SimpleRNN":
        alone = next(iter(views.values())).double()
        assert (alone @ alone.t() - torch.eye(len(alone))).abs().max() > 0.1


def test_the_test_of_distributions_tells_gates_apart_from_the_whole() -> None:
    """Glorot over one gate has another width than over the whole kernel: the tests above would see it."""
    module = nn.LSTM(30, 50)
    initialize(module, scheme="keras", input_weight=nn.init.xavier_uniform_)
    whole = math.sqrt(6.0 / (30 + 200))
    assert module.weight_ih_l0.abs().max() > 1.5 * whole
    initialize(module, scheme="keras")
    assert 0.98 * whole < float(module.weight_ih_l0.detach().abs().max()) <= whole


def test_every_layer_and_direction_has_its_own_draw() -> None:
    lstm = nn.LSTM(5, 5, 2, bidirectional=True)
    initialize(lstm, scheme="keras")
    kernels_ = [lstm.weight_hh_l0, lstm.weight_hh_l0_reverse, lstm.weight_hh_l1, lstm.weight_hh_l1_reverse]
    assert all(not torch.equal(one, two) for k, one in enumerate(kernels_) for two in kernels_[:k])


def test_running_statistics_start_again() -> None:
    norm = nn.BatchNorm1d(3)
    norm(torch.randn(8, 3))
    initialize(norm, scheme="keras")
    assert not norm.running_mean.any() and (norm.running_var == 1.0).all() and norm.num_batches_tracked == 0
