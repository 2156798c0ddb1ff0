"""Loads a file that was written for a framework by that framework itself, and runs what it holds.

    python other_frameworks.py FRAMEWORK FILE INPUT.npy OUTPUT.npy

It runs in the framework's own Python, which may be an old one and has nothing of this repository. The network is one of
those of `test_written_others`: `lstm`, and where a framework has it `gru`, then `head`.
"""

import os
import shutil
import sys

import numpy as np

INPUT, UNIT, DEEP, OUT = 3, 5, 7, 2


def paddle(path, x):
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUT, UNIT, num_layers=2, direction="bidirect")
            self.gru = nn.GRU(2 * UNIT, DEEP)
            self.head = nn.Linear(DEEP, OUT)

        def forward(self, x):
            return self.head(self.gru(self.lstm(x)[0])[0])

    net = Net()
    missing, unexpected = net.set_state_dict(paddle.load(path))
    assert not missing and not unexpected, (missing, unexpected)
    return net(paddle.to_tensor(x)).numpy()


def mxnet(path, x):
    np.bool = bool  # which MXNet names, and NumPy has not any more
    import mxnet as mx
    from mxnet.gluon import nn, rnn

    class Net(nn.Block):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.lstm = rnn.LSTM(UNIT, 2, layout="NTC", bidirectional=True)
                self.gru = rnn.GRU(DEEP, layout="NTC")
                self.head = nn.Dense(OUT, flatten=False)

        def forward(self, x):
            return self.head(self.gru(self.lstm(x)))

    assert len(mx.nd.load(path)) == 22
    net = Net()
    net.load_parameters(path)
    return net(mx.nd.array(x)).asnumpy()


def chainer(path, x):
    import chainer
    from chainer import links

    class Net(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.lstm = links.NStepBiLSTM(2, INPUT, UNIT, 0.0)
                self.gru = links.NStepGRU(1, 2 * UNIT, DEEP, 0.0)
                self.head = links.Linear(DEEP, OUT)

    net = Net()
    chainer.serializers.load_npz(path, net)
    _, _, y = net.lstm(None, None, [*x])
    _, y = net.gru(None, y)
    return np.stack([net.head(each).array for each in y])


def mlx(path, x):
    import mlx.core as mx
    from mlx import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUT, UNIT)
            self.gru = nn.GRU(UNIT, DEEP)
            self.head = nn.Linear(DEEP, OUT)

    net = Net()
    net.load_weights(path, strict=True)
    return np.array(net.head(net.gru(net.lstm(mx.array(x))[0])))


def equinox(path, x):
    import equinox as eqx
    import jax

    class Net(eqx.Module):
        lstm: eqx.nn.LSTMCell
        gru: eqx.nn.GRUCell
        head: eqx.nn.Linear

    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    net = Net(
        eqx.nn.LSTMCell(INPUT, UNIT, key=keys[0]),
        eqx.nn.GRUCell(UNIT, DEEP, key=keys[1]),
        eqx.nn.Linear(DEEP, OUT, key=keys[2]),
    )
    net = eqx.tree_deserialise_leaves(path, net)
    found = []
    for sequence in x:
        h, c, g, out = np.zeros(UNIT, "f4"), np.zeros(UNIT, "f4"), np.zeros(DEEP, "f4"), []
        for step in sequence:
            h, c = net.lstm(step, (h, c))
            g = net.gru(h, g)
            out.append(net.head(g))
        found.append(np.stack(out))
    return np.stack(found)


def flax(path, x):
    import jax
    from flax import linen as nn
    from flax import serialization

    class Net(nn.Module):
        def setup(self):
            self.lstm = nn.LSTMCell(UNIT)
            self.gru = nn.GRUCell(DEEP)
            self.head = nn.Dense(OUT)

        def __call__(self, x):
            key = jax.random.PRNGKey(0)
            state = self.lstm.initialize_carry(key, x[:, 0].shape)
            deep, found = np.zeros((len(x), DEEP), "f4"), []
            for step in range(x.shape[1]):
                state, y = self.lstm(state, x[:, step])
                deep, y = self.gru(deep, y)
                found.append(self.head(y))
            return jax.numpy.stack(found, 1)

    net = Net()
    fresh = net.init(jax.random.PRNGKey(1), x)
    with open(path, "rb") as file:
        return np.asarray(net.apply(serialization.from_bytes(fresh, file.read()), x))


def haiku(path, x):
    import haiku as hk
    import jax

    def run(x):
        lstm = hk.LSTM(UNIT, name="lstm")
        y, _ = hk.dynamic_unroll(lstm, x, lstm.initial_state(len(x)), time_major=False)
        return hk.Linear(OUT, name="head")(y)

    params = {}
    for name, array in np.load(path).items():
        module, _, own = name.rpartition("/")
        params.setdefault(module, {})[own] = array
    net = hk.without_apply_rng(hk.transform(run))
    fresh = net.init(jax.random.PRNGKey(0), x)
    assert jax.tree_util.tree_map(np.shape, dict(fresh)) == jax.tree_util.tree_map(np.shape, params)
    return np.asarray(net.apply(params, x))


def sonnet(path, x):
    import sonnet as snt
    import tensorflow as tf

    lstm, head = snt.LSTM(UNIT, name="lstm"), snt.BatchApply(snt.Linear(OUT, name="head"))
    run = lambda: head(snt.dynamic_unroll(lstm, tf.transpose(x, (1, 0, 2)), lstm.initial_state(len(x)))[0])  # noqa: E731
    run()
    arrays = dict(np.load(path))
    for variable in (*lstm.variables, *head.variables):
        variable.assign(arrays.pop(variable.name.replace("batch_apply/", "").partition(":")[0]))
    assert not arrays
    return np.transpose(run().numpy(), (1, 0, 2))


def tinygrad(path, x):
    if shutil.which("clang") is None:
        os.environ["DEV"] = "PYTHON"  # which needs no compiler
    from tinygrad import Tensor, nn
    from tinygrad.nn.state import load_state_dict, safe_load

    class Net:
        def __init__(self):
            self.lstm = nn.LSTMCell(INPUT, UNIT)
            self.head = nn.Linear(UNIT, OUT)

    net = Net()
    load_state_dict(net, safe_load(path), strict=True)
    state, found = None, []
    for step in range(x.shape[1]):
        state = net.lstm(Tensor(x[:, step]), state)
        found.append(net.head(state[0]).numpy())
    return np.stack(found, 1)


def tensorflow(path, x):
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    reader = tf.train.load_checkpoint(path)
    shapes = reader.get_variable_to_shape_map()
    arrays = {name: reader.get_tensor(name) for name in shapes}
    assert {name: list(array.shape) for name, array in arrays.items()} == shapes
    variables = {
        name: v1.get_variable(name, shape, "float32", v1.zeros_initializer()) for name, shape in shapes.items()
    }

    def product(y, name):
        return tf.matmul(y, variables[f"{name}/kernel"]) + variables[f"{name}/bias"]

    def step_by_hand(y, state):
        c, h = state
        i, j, f, o = tf.split(product(tf.concat([y, h], 1), "lstm"), 4, 1)
        c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, (c, h)

    step = step_by_hand  # BasicLSTMCell, which the version of today has not any more
    if tf.__version__.startswith("1."):
        step = v1.nn.rnn_cell.BasicLSTMCell(UNIT, name="lstm")
    state, found = (tf.zeros((len(x), UNIT)), tf.zeros((len(x), UNIT))), []
    with v1.variable_scope("", reuse=True):
        for time in range(x.shape[1]):
            y, state = step(x[:, time], state)
            found.append(product(y, "head"))
    assert len(v1.global_variables()) == 4
    with v1.Session() as session:
        v1.train.Saver().restore(session, path)
        return session.run(tf.stack(found, 1))


if __name__ == "__main__":
    framework, path, source, target = sys.argv[1:]
    np.save(target, globals()[framework](path, np.load(source)))
