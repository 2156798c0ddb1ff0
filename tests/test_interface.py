"""The public face: two switches, short representations, errors that name their file, the package by its own name."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from torch import nn

import converters
from converters.cli import in_flags, main
from layouts import repack
from layouts.errors import NotRepresentable
from layouts.frameworks import keras, tensorflow

OLD = ROOT / "fixtures" / "keras1" / "bidirectional_nested" / "model.h5"
"""Recurrent layers of Keras 1, of which several need drop-ins."""
PLAIN = ROOT / "fixtures" / "keras2" / "lstm_sigmoid" / "model.h5"
LAMBDA = ROOT / "fixtures" / "keras1" / "unknown_layers" / "model.h5"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_layers_that_need_drop_ins_are_refused_in_one_sentence() -> None:
    plan = converters.plan(OLD)
    needing = [module for module in plan.modules if module.drop_in]
    assert len(needing) > 1
    with pytest.raises(NotRepresentable) as caught:
        converters.convert(OLD)
    (line,) = str(caught.value).splitlines()
    assert f"{len(needing)} of " in line and "need converters.nn" in line and "dropins=True" in line
    assert all(module.path in line for module in needing)


def test_drop_ins_are_accepted_by_their_own_switch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = converters.convert(OLD, dropins=True)
    plan = converters.plan(OLD, dropins=True)
    assert plan.problems == () and any(module.constructor.startswith("converters.nn.") for module in plan.modules)
    loose = converters.plan(OLD, strict=False)
    assert loose.fatal == () and loose.problems
    assert tensors.keys() == {tensor.key for tensor in plan.tensors}


def test_drop_ins_do_not_let_unknown_layers_through() -> None:
    with pytest.raises(converters.ConversionError):
        converters.convert(LAMBDA, dropins=True)
    with pytest.warns(converters.ConversionWarning):
        assert converters.convert(LAMBDA, strict=False)


def test_load_into_uses_a_drop_in_that_is_there() -> None:
    (module, *_) = (one for one in converters.plan(OLD).modules if one.drop_in)
    built = eval(module.constructor, {"converters": converters, "nn": nn})
    report = converters.load_into(built, OLD, layer=module.path)
    assert report.loaded and not report.differences
    plain = nn.GRU if "GRU" in module.constructor else nn.LSTM
    sizes = module.parts[0].solved()
    both = any("backward" in part.ways for part in module.parts)
    with pytest.raises(NotRepresentable):
        converters.load_into(
            plain(sizes["input"], sizes["unit"], batch_first=True, bidirectional=both), OLD, layer=module.path
        )


def test_load_into_says_why_one_layer_does_not_go_into_the_one_module() -> None:
    with pytest.raises(converters.CoverageError, match="LSTM is not what GRU computes"):
        converters.load_into(nn.GRU(3, 5, batch_first=True), PLAIN, layer="lstm_1")


def test_the_command_speaks_of_flags() -> None:
    code, _, error = run("convert", OLD, "out.safetensors")
    assert code == 1 and "--dropins" in error and "dropins=True" not in error
    assert in_flags("say stack={'rnn': ['a', 'b']}") == "say --stack rnn=a,b"
    assert in_flags("assume={'lstm.activation': 'relu', 'x': '2'}") == "--assume lstm.activation=relu --assume x=2"
    assert in_flags("strict=False gives it") == "--no-strict gives it"


def test_a_plan_that_is_refused_says_so_once() -> None:
    code, shown, error = run("plan", OLD)
    assert (code, error) == (1, "")
    for problem in converters.plan(OLD).problems:
        sentence = in_flags(" ".join(str(problem).split()))
        assert "".join(shown.split()).count("".join(sentence.split())) == 1


def test_representations_are_short_and_html_is_a_table() -> None:
    plan = converters.plan(PLAIN)
    assert repr(plan) == f"<Plan {plan.checkpoint.path} → PyTorch: 2 modules, 6 tensors>"
    assert "refused" in repr(converters.plan(OLD)) and len(repr(converters.plan(OLD))) < 300
    assert len(repr(converters.read(PLAIN))) < 300
    for shown in (plan, converters.read(PLAIN), converters.gates(nn.LSTM(3, 5))):
        assert shown._repr_html_().startswith("<pre") and str(shown).splitlines()[0][:20] in shown._repr_html_()


def test_an_error_names_its_file_once(tmp_path: Path) -> None:
    with pytest.raises(converters.UnreadableCheckpoint, match=r"^nope\.h5: cannot open the file: No such file"):
        converters.convert("nope.h5")
    _, _, error = run("convert", "nope.h5", tmp_path / "out.safetensors")
    assert error.count("nope.h5") == 1


def test_an_unknown_option_is_an_error_of_the_function_that_was_called() -> None:
    with pytest.raises(TypeError, match=r"convert\(\) got an unexpected keyword argument 'layr'"):
        converters.convert(PLAIN, layr="x")  # type: ignore[call-arg]


def test_an_output_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(converters.ConversionError, match="there is no folder"):
        converters.convert_file(PLAIN, tmp_path / "missing" / "out.safetensors")


@pytest.mark.parametrize("name", ["dense-1", "a b", "1x", "a..b", "x'y", "ä b"])
def test_a_name_that_no_module_can_have_is_refused(name: str) -> None:
    with pytest.raises(converters.ConversionError, match="not a name for a module"):
        converters.convert(PLAIN, rename={"lstm_1": name})
    with pytest.raises(converters.ConversionError, match="not a name for a module"):
        converters.plan(PLAIN, stack={name: ["lstm_1"]})


@pytest.mark.parametrize("name", ["head.0", "encoder.rnn", "größe", "_x"])
def test_names_of_nested_and_sequential_modules_are_fine(name: str) -> None:
    assert f"{name}.weight_ih_l0" in converters.convert(PLAIN, rename={"lstm_1": name})


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(converters.CoverageError, match="would both be called lstm_2"):
        converters.convert(PLAIN, rename={"lstm_1": "lstm_2"})


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_package_has_its_own_name() -> None:
    code = (
        "import gateport, converters; assert gateport.convert is converters.convert; print(gateport.__version__); "
        "import sys; assert 'torch' not in sys.modules"
    )
    assert python(code).stdout.strip() == converters.__version__
    shown = subprocess.run(
        [sys.executable, "-m", "gateport", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert converters.__version__ in shown.stdout and shown.stdout.startswith("gateport")


def test_what_is_exported_is_there() -> None:
    assert [name for name in converters.__all__ if not hasattr(converters, name)] == []
    assert isinstance(converters.convert_file, object) and converters.LoadReport and converters.Gates


def test_without_torch_the_error_is_typed(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import converters
for call in (lambda: converters.load_into, lambda: converters.convert({str(PLAIN)!r}),
             lambda: converters.convert_file({str(PLAIN)!r}, {str(tmp_path / "o.pt")!r})):
    try:
        call()
    except converters.MissingDependency as error:
        print("typed" if "pip install torch" in str(error) else error)
converters.convert_file({str(PLAIN)!r}, {str(tmp_path / "o.safetensors")!r})
"""
    done = python(code)
    assert done.stdout.split() == ["typed"] * 3, done.stderr


def test_repack_takes_what_a_framework_adds_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    arrays = {"kernel": rng.standard_normal((3, 20)), "recurrent_kernel": rng.standard_normal((5, 20))}
    arrays["bias"] = rng.standard_normal(20)
    there = repack(keras.LSTM, tensorflow.BASIC_LSTM, arrays, options={"forget_bias": 1.0})
    back = repack(tensorflow.BASIC_LSTM, keras.LSTM, there, options={"forget_bias": 1.0})
    assert np.array_equal(back["kernel"], arrays["kernel"])
    np.testing.assert_allclose(back["bias"], arrays["bias"], rtol=0.0, atol=1e-15)
    assert not torch.equal(torch.from_numpy(there["bias"]), torch.from_numpy(arrays["bias"]))
