"""The passes in closed form: after 100 steps the weights are those that autograd alone gives."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import lamina
from lamina.activations import ACTIVATIONS
from lamina.losses import LOSSES
from lamina.network.layers import draw
from lamina.training.passes import ActivationStage, BatchNormStage, DropoutStage, passes_of
from lamina.training.step import make_step

TRAINABLE = [record.name for record in ACTIVATIONS if record.trainable]


def table(n: int = 90) -> pd.DataFrame:
    """Return numbers, a gap, a category of 4 levels, one of 12, and two targets."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    few, many = rng.integers(0, 4, n), rng.integers(0, 12, n)
    y = np.sin(2 * a) + b * (few == 1) + 0.3 * many + 0.1 * rng.normal(size=n)
    b[::7] = np.nan
    return pd.DataFrame({
        "a": a, "b": b, "few": np.array(list("pqrs"))[few], "many": np.array([f"level{i}" for i in many]), "y": y,
        "side": np.where(y > y.mean(), "up", "down"), "weight": rng.uniform(0.2, 2.0, n),
    })  # fmt: skip


def trained(autograd: bool, data, target, steps: int = 100, n: int = 40, **options) -> tuple[torch.Tensor, float]:
    """Return all weights after ``steps`` minibatches, and the last loss."""
    run = lamina.prepare(data, target, **{"dtype": "float64", "seed": 0, "validation": 0.0, **options})
    state, rows = run.state, run._rows(run.parts["train"])
    network = state.network.train()
    state.flat.attach()
    loss = LOSSES[run.config.loss].bound(run.config.as_dict())
    step = make_step(network, loss, state.optimizer, options.get("clip_norm"), autograd=autograd)
    order = torch.Generator().manual_seed(1)
    for i in range(steps):
        batch = rows.at(torch.randint(len(rows), (n - i % 2,), generator=order))
        value = step(batch.inputs, batch.target, batch.weights)
    assert (passes_of(network, n) is None) == (options.get("normalization") == "layer" or "layer" in options)
    return state.flat.weights.clone(), float(value)


def assert_same(data="iris", target=None, **options) -> None:
    found, value = trained(False, data, target, **options)
    expected, at_autograd = trained(True, data, target, **options)
    start, _ = trained(True, data, target, steps=1, **options)
    assert math.isfinite(value)
    assert float((expected - start).abs().max()) > 1e-3  # it has learned
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert value == pytest.approx(at_autograd, rel=1e-9)


@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear", "piecewise_embedding", "periodic", "mixed"])
@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("target", ["y", "side"])
def test_every_encoding(numeric, members, target):
    if numeric == "mixed" and members == 1:
        return
    data = table()[["a", "b", "few", "many", target]]
    changes = {"target_transform": "none"} if target == "y" else {}
    assert_same(
        data, target, numeric=numeric, members=members, hidden_units=(9, 6), bins=5, dropout=0.2, input_dropout=0.1,
        **changes,
    )  # fmt: skip


@pytest.mark.parametrize("activation", TRAINABLE)
@pytest.mark.parametrize("members", [1, 3])
def test_every_activation(activation, members):
    for sharing in ("layer", "unit") if ACTIVATIONS[activation].parameter else ("layer",):
        assert_same(
            activation=activation, activation_parameters=sharing, members=members, hidden_units=(7, 5), dropout=0.3,
            numeric="periodic",
        )  # fmt: skip


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "prelu"])
def test_batch_normalization(members, activation):
    # Momentum, not Adam: the gradient of a bias in front of the normalization is 0 but for rounding, which Adam would
    # blow up to whole steps. And no embedding that is exactly at its kink.
    assert_same(
        activation=activation, members=members, hidden_units=(7, 5), dropout=0.2, normalization="batch",
        optimizer="sgd", numeric="standard",
    )  # fmt: skip


@pytest.mark.parametrize("members", [1, 4])
def test_images(members):
    assert_same("digits", members=members, hidden_units=(20, 10), input_dropout=0.1, optimizer="sgd", n=50)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_units": ()},
        {"hidden_units": (), "members": 3, "numeric": "standard"},
        {"clip_norm": 0.05},
        {"label_smoothing": 0.1},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "adam", "members": 3},
        {"members": 4, "validation": 0.25},  # each member leaves out other rows: weights (n, members)
        {"normalization": "layer"},
        {"layer": "phm"},
    ],
)
def test_the_other_options(options):
    if options.get("hidden_units") != ():
        options = {"hidden_units": (8, 8), **options}
    assert_same(**options)


@pytest.mark.parametrize("loss", [record.name for record in LOSSES if record.task == "regression"])
@pytest.mark.parametrize("members", [1, 3])
def test_losses_with_weights(loss, members):
    data = table().drop(columns="side")
    data["y"] = data["y"].abs()
    assert_same(
        data, "y", loss=loss, members=members, weight="weight", hidden_units=(6,), target_transform="none"
    )  # fmt: skip


def test_several_targets_and_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    assert_same((X, X @ rng.normal(size=(3, 2))), members=3, hidden_units=(6,), target_transform="none")
    assert_same((X, (X > 0).astype(int)), members=3, hidden_units=(6,), task="multilabel")


# -- single stages


@pytest.mark.parametrize("name", [record.name for record in ACTIVATIONS if record.in_place])
def test_what_is_done_in_place_is_the_activation_and_its_derivative(name):
    record = ACTIVATIONS[name]
    z = torch.tensor([-800.0, -3.0, -1e-3, 0.0, 1e-3, 2.0, 800.0], dtype=torch.float64)
    y, gradient = z.clone(), torch.full_like(z, 2.0)
    assert record.in_place.function(y) is y
    torch.testing.assert_close(y, record.function(z), rtol=0, atol=0)
    assert record.in_place.backward(gradient, y) is gradient
    torch.testing.assert_close(gradient, 2 * record.derivative(z), rtol=1e-12, atol=1e-15)


def test_the_stage_of_dropout_drops_what_the_layer_drops():
    from lamina.network.layers import Dropout

    module = Dropout(0.3).train()
    x = torch.randn(4, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # members, rows, units
    module.generator = torch.Generator().manual_seed(3)
    expected = module(x.transpose(0, 1).reshape(5, 28)).view(5, 4, 7).transpose(0, 1)
    module.generator = torch.Generator().manual_seed(3)
    stage = DropoutStage(module, x)
    found = stage.forward(x.clone())
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
    assert 20 < int((found == 0).sum()) < 60
    gradient = stage.backward(torch.ones_like(x))
    torch.testing.assert_close(gradient * x, found, rtol=1e-12, atol=0)


def test_random_bits_are_even():
    bits = torch.empty(100_000, dtype=torch.int64)
    draw(bits, torch.Generator().manual_seed(0))
    values = bits.view(torch.int16)
    share = (values >= round(0.1 * 2**16) - 2**15).double().mean()
    assert float(share) == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 400_000))


def test_batch_normalization_counts_as_torch_does():
    torch.manual_seed(0)
    module, reference = torch.nn.BatchNorm1d(6).double().train(), torch.nn.BatchNorm1d(6).double().train()
    x = torch.randn(3, 10, 2, dtype=torch.float64)  # members, rows, units
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        found = BatchNormStage(module, x).forward(x.clone())
    expected = reference(x.transpose(0, 1).reshape(10, 6)).view(10, 3, 2).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=1e-13, atol=0)


def test_what_no_stage_knows_is_left_to_autograd():
    assert passes_of(torch.nn.Linear(2, 2), 4) is None
    run = lamina.prepare("iris", layer="low_rank", rank=2, hidden_units=(8,))
    assert passes_of(run.state.network, 4) is None
    assert isinstance(ActivationStage(run.state.network.hidden[0].activation).record, type(ACTIVATIONS["relu"]))
