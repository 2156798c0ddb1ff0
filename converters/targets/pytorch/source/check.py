"""What the file does as a script: it loads its weights and runs the recorded inputs."""

from __future__ import annotations


def text(inputs: int, outputs: int) -> str:
    """Functions that load the module and check it, and the call of the check."""
    found = "(found,)" if outputs == 1 else "found"
    return f'''
def load() -> Model:
    """The model with the weights that stand beside this file, in eval mode."""
    from safetensors.torch import load_file

    model = Model()
    model.load_state_dict(load_file(Path(__file__).with_name("model.safetensors")))
    return model.eval()


def check() -> int:
    """Run the inputs of check.npz and print how far the outputs are from its own; 1 where that is too far."""
    import numpy as np

    with np.load(Path(__file__).with_name("check.npz")) as recorded:
        inputs = [torch.from_numpy(recorded[f"in/{{k}}"]) for k in range({inputs})]
        expected = [torch.from_numpy(recorded[f"out/{{k}}"]) for k in range({outputs})]
        tolerance = float(recorded["tolerance"])
    with torch.no_grad():
        found = load()(*inputs)
    worst = 0.0
    for y, wanted in zip({found}, expected, strict=True):
        difference = (y.double() - wanted.double()).abs().max() / wanted.abs().max().clamp(min=1.0)
        worst = max(worst, float(difference.nan_to_num(nan=float("inf"))))
    print(f"largest difference {{worst:.2e}}, tolerance {{tolerance:.0e}}")
    if worst > tolerance:
        print("TOO LARGE: these are not the outputs of the model that was ported")
    return int(worst > tolerance)


if __name__ == "__main__":
    raise SystemExit(check())
'''.strip("\n")
