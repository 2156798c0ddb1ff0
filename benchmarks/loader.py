"""The conversion by Keras itself: load the model, and write the arrays of its layers.

    KERAS_BACKEND=torch python benchmarks/loader.py model.h5 model.safetensors

The result has the layout and the names of Keras: turning it into what `nn.LSTM` loads is still to be done.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras


def main(source, output):
    model = keras.models.load_model(source, compile=False)
    weights = {variable.path: variable for variable in model.weights}
    if keras.backend.backend() == "torch":
        from safetensors.torch import save_file

        save_file({path: variable.value.detach() for path, variable in weights.items()}, output)
    else:
        from safetensors.numpy import save_file

        save_file({path: variable.numpy() for path, variable in weights.items()}, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
