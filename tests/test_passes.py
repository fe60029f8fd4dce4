"""The passes in closed form: after 100 steps the weights are those that autograd alone gives."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import lamina
from lamina.activations import ACTIVATIONS
from lamina.losses import LOSSES
from lamina.network.layers import Dropout, xorshift_
from lamina.training.passes import ActivationStage, BatchNormStage, DropoutStage, passes_of
from lamina.training.step import make_step

pytestmark = pytest.mark.usefixtures("loops")

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
    module = Dropout(0.3)
    x = torch.randn(4, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # members, rows, units
    module.train().generator = torch.Generator().manual_seed(3)
    first, second = (module(x.transpose(0, 1).reshape(5, 28)).view(5, 4, 7).transpose(0, 1) for _ in range(2))
    assert not torch.equal(first == 0, second == 0)
    module.train().generator = torch.Generator().manual_seed(3)
    stage = DropoutStage(module, x)
    for expected in (first, second):
        found = stage.forward(x.clone())
        torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
        assert 20 < int((found == 0).sum()) < 60
    gradient = stage.backward(torch.ones_like(x))
    torch.testing.assert_close(gradient * x, found, rtol=1e-12, atol=0)


def test_random_bits_are_even_and_have_nothing_to_do_with_those_before():
    module = Dropout(0.1).train()
    module.generator = torch.Generator().manual_seed(0)
    n, dropped = 100_000, []
    for _ in range(20):
        values = module.draw(n, torch.device("cpu"))
        assert values.shape == (n,)
        dropped.append((values < module.threshold).double())
    shares = torch.stack(dropped)
    within = 5 * math.sqrt(0.09 / n)  # five standard errors
    assert float((shares.mean(1) - 0.1).abs().max()) < within
    assert float((shares.mean(0).mean() - 0.1).abs()) < within / math.sqrt(20)
    # A unit that was dropped is dropped again, one step and two steps later, as often as any other.
    for later in (1, 2):
        both = (shares[later:] * shares[:-later]).mean()
        assert float(both) == pytest.approx(0.01, abs=5 * math.sqrt(0.0099 / (n * (20 - later))))


def test_xorshift_is_marsaglias():
    wanted, x = [], 88172645463325252  # his seed
    for _ in range(3):
        x ^= x << 13 & 2**64 - 1
        x ^= x >> 7
        x ^= x << 17 & 2**64 - 1
        wanted.append(x)
    assert wanted[0] == 8748534153485358512  # as the paper's own program prints it
    bits = torch.tensor([88172645463325252, -1])
    found = [xorshift_(bits, torch.empty_like(bits)).tolist() for _ in range(3)]
    assert [first % 2**64 for first, _ in found] == wanted
    assert found[0][1] % 2**64 != 2**64 - 1


def test_an_epoch_of_dropout_depends_on_the_generator_alone():
    module = Dropout(0.5).train()
    module.generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        module.draw(64, torch.device("cpu"))
    state = module.generator.get_state()
    module.train()
    first = [module.draw(n, torch.device("cpu")).tolist() for n in (64, 48, 80)]
    assert len(first[1]) == 48
    resumed = Dropout(0.5).train()
    resumed.generator = torch.Generator()
    resumed.generator.set_state(state)
    assert [resumed.draw(n, torch.device("cpu")).tolist() for n in (64, 48, 80)] == first


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
