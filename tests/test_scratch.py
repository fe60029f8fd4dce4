"""Softmax regression and the MLP in plain NumPy: the same gradients as the library's, and they learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from lamina.data.encoder import Encoder, NumberCode
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.textbook import scratch


def core(parameters, x, y):
    """Loss and gradients of the library's network with the same weights, in the order of ``parameters``."""
    d, q = x.shape[1], len(parameters[-1])
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(d)), (), ())
    hidden = () if len(parameters) == 2 else (len(parameters[1]),)
    network = MLP(encoder, q, hidden_units=hidden, generator=torch.Generator(), dtype=torch.float64)
    learned = list(network.parameters())
    assert [tuple(each.shape) for each in learned] == [each.shape for each in parameters]
    with torch.no_grad():
        for mine, given_ in zip(learned, parameters, strict=True):
            mine.copy_(torch.as_tensor(given_))
    outputs = network({"numbers": torch.as_tensor(x)})
    loss = LOSSES["cross_entropy"].bound({"label_smoothing": 0.0}).per_row(outputs, torch.as_tensor(y)).mean()
    return float(loss.detach()), [each.numpy() for each in torch.autograd.grad(loss, learned)]


def random_case(n, d, h, q, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.integers(0, q, n)
    linear = [each + rng.normal(size=each.shape) for each in scratch.softmax_regression(d, q)]
    network = [each + rng.normal(size=each.shape) for each in scratch.mlp(d, h, q, rng)]
    return x, y, linear, network


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 7), st.integers(2, 5), st.integers(0, 2**16))
def test_gradients_are_those_of_the_library(n, d, h, q, seed):
    x, y, linear, network = random_case(n, d, h, q, seed)
    for parameters, forward, backward in (
        (linear, scratch.softmax_regression_forward, scratch.softmax_regression_backward),
        (network, scratch.mlp_forward, scratch.mlp_backward),
    ):
        loss, gradients = core(parameters, x, y)
        assert scratch.cross_entropy(forward(parameters, x), y) == pytest.approx(loss, abs=1e-10)
        for mine, theirs in zip(backward(parameters, x, y), gradients, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


def test_softmax_of_large_logits_is_finite_and_sums_to_1():
    logits = np.array([[1000.0, 1000.0, 0.0], [-1000.0, 0.0, -np.inf]])
    np.testing.assert_array_equal(scratch.softmax(logits), [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert scratch.cross_entropy(np.array([[1000.0, 0.0]]), np.array([1])) == 1000.0


def test_minibatches_hold_every_row_once():
    batches = list(scratch.minibatches(10, 4, np.random.default_rng(3)))
    assert [len(rows) for rows in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(10))


def test_one_step_by_hand():
    # One row x = (1, 2) of class 0; at W = 0 softmax is (1/2, 1/2), so G = (-1/2, 1/2) and W ← -0.1 xᵀ G.
    parameters = scratch.softmax_regression(2, 2)
    (loss,) = scratch.train(
        parameters,
        np.array([[1.0, 2.0]]),
        np.array([0]),
        epochs=1,
        learning_rate=0.1,
        batch_size=1,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(parameters[0], [[0.05, -0.05], [0.1, -0.1]], rtol=1e-15)
    np.testing.assert_allclose(parameters[1], [0.05, -0.05], rtol=1e-15)
    assert loss == pytest.approx(np.log1p(np.exp(-0.6)), abs=1e-15)  # logits ±(0.05 + 0.2 + 0.05)


@pytest.mark.parametrize(("kind", "least"), [("linear", 0.93), ("mlp", 0.96)])
def test_digits_are_learned(kind, least):
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order] / 16, y[order]
    rng = np.random.default_rng(1)
    parameters = scratch.softmax_regression(64, 10) if kind == "linear" else scratch.mlp(64, 64, 10, rng)
    losses = scratch.train(parameters, x[:1400], y[:1400], epochs=40, learning_rate=0.2, batch_size=32, rng=rng)
    assert len(losses) == 40
    assert losses[-1] < losses[0] / 3
    assert np.mean(scratch.predict(parameters, x[1400:]) == y[1400:]) >= least


def test_it_is_short_and_needs_numpy_alone():
    text = Path(scratch.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    modules = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert modules == {"collections", "numpy"}
