"""What passes through the layers: every figure against autograd and NumPy, and the cases that it is there to show."""

import doctest

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch

import lamina
from lamina.analysis import flow
from lamina.losses import LOSSES
from lamina.model import as_tensors

SIZES = {"hidden_units": (8, 6, 4)}


def untrained(data="iris", target=None, **options) -> lamina.Model:
    return lamina.prepare(data, target, **{"dtype": "float64", **SIZES, **options}).current()


def by_autograd(model: lamina.Model, data, weights: np.ndarray | None = None) -> list[dict[str, float]]:
    """The figures of every layer from one backward pass of autograd; a row's gradient is that of its own loss."""
    table = model.read(data)
    features = model.schema.check(table)[0]
    y = model.schema.target.encode(table)
    target = torch.from_numpy(y if model.scaler is None else model.scaler.forward(y))
    target = target if model.task == "classification" else target.double()
    loss = LOSSES[model.config.loss].bound(model.config.as_dict())
    w = torch.ones(len(y), dtype=torch.float64) if weights is None else torch.from_numpy(weights)
    h = model.network.inputs(as_tensors(model.encoder.transform(features, "float64"), "cpu"))
    outputs = []
    for block in model.network.hidden:
        h = block(h)
        h.retain_grad()
        outputs.append(h)
    per_row = loss.per_row(model.network.output(h), target)
    model.network.zero_grad()  # a trained one still has the gradient of its last step
    torch.autograd.backward((per_row * w).sum())
    found = []
    for block, output in zip(model.network.hidden, outputs, strict=True):
        h = output.detach().numpy()
        by_output = output.grad.numpy() / w.numpy()[:, None]  # each row's own loss is the only one that has it
        share = w.numpy() / w.numpy().sum()
        mean = share @ h.mean(axis=1)
        found.append(
            {
                "mean": mean,
                "std": np.sqrt(share @ ((h - mean) ** 2).mean(axis=1)),
                "norm": share @ np.linalg.norm(h, axis=1),
                "output_gradient": share @ np.linalg.norm(by_output, axis=1),
                "weight_gradient": float(block.affine.weight.grad.norm() / w.sum()),
            }
        )
    model.network.zero_grad()
    return found


def figures(layer: flow.LayerFlow) -> dict[str, float]:
    """The numbers of a layer; what has none counts as -1."""
    values = {name: value for name, value in vars(layer).items() if name != "activation"}
    return {name: -1.0 if value is None else value for name, value in values.items()}


def assert_agrees(layers: list, expected: list[dict[str, float]], rel: float = 1e-9) -> None:
    assert [layer.layer for layer in layers] == list(range(1, len(expected) + 1))
    for layer, wanted in zip(layers, expected, strict=True):
        assert {name: getattr(layer, name) for name in wanted} == pytest.approx(wanted, rel=rel, abs=1e-14)


@pytest.mark.parametrize(
    "activation", ["relu", "prelu", "sigmoid", "tanh", "gelu", "swish", "softsign", ("tanh", "relu", "selu")]
)
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_figures_agree_with_autograd(activation, normalization):
    model = untrained(activation=activation, normalization=normalization)
    assert_agrees(lamina.gradient_flow(model, "iris"), by_autograd(model, "iris"))


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("diabetes", {"loss": "squared_error"}),
        ("diabetes", {"loss": "huber", "huber_delta": 0.5}),
        ("diabetes", {"loss": "quantile", "quantile": 0.8}),
        ("diabetes", {"loss": "poisson"}),
        ("iris", {"label_smoothing": 0.2}),
        ("digits", {"normalization": "batch", "activation_parameters": "unit", "activation": "prelu"}),
    ],
)
def test_every_loss_as_it_is_trained_on(data, options):
    model = untrained(data, **options)
    assert_agrees(lamina.gradient_flow(model, data), by_autograd(model, data))


def test_several_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5))
    data = (X, (X[:, :2] > 0).astype(int))
    model = untrained(data, task="multilabel")
    assert model.task == "multilabel"
    assert_agrees(lamina.gradient_flow(model, data), by_autograd(model, data))


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, about its own state
def test_sparse_rows():
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((90, 15), density=0.3, rng=rng, format="csr")
    data = (X, np.arange(90) % 3)
    model = untrained(data)
    assert_agrees(lamina.gradient_flow(model, data), by_autograd(model, data))


def test_a_trained_model_in_evaluation_mode():
    model = lamina.fit("iris", **SIZES, dropout=0.5, normalization="batch", epochs=10, dtype="float64", seed=0)
    layers = lamina.gradient_flow(model, "iris")
    assert_agrees(layers, by_autograd(model, "iris"))
    assert layers[-1].mean == pytest.approx(float(model.hidden_outputs("iris").mean()), rel=1e-12)
    assert [(layer.activation, layer.units) for layer in layers] == [("relu", 8), ("relu", 6), ("relu", 4)]


def weighted_frame(weights: np.ndarray) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    y = np.where(x.sum(axis=1) > 0, "yes", "no")
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y, "w": weights})


def test_a_row_of_weight_2_is_the_row_twice_and_of_weight_0_absent():
    weights = np.array([0.0, 1.0, 2.0] * 20)
    frame = weighted_frame(weights)
    model = untrained(frame, "y", weight="w", activation="sigmoid")
    copies = pl.concat([frame.filter(pl.col("w") >= n) for n in (1, 2)]).with_columns(w=pl.lit(1.0))
    weighted, repeated = lamina.gradient_flow(model, frame), lamina.gradient_flow(model, copies)
    for one, other in zip(weighted, repeated, strict=True):
        assert figures(one) == pytest.approx(figures(other), rel=1e-10)


def test_class_weights_are_those_of_the_loss():
    frame = weighted_frame(np.ones(60))
    model = untrained(frame, "y", class_weight={"yes": 5.0, "no": 0.5}, drop="w")
    weights = np.where(frame["y"].to_numpy() == "yes", 5.0, 0.5)
    assert_agrees(lamina.gradient_flow(model, frame.drop("w")), by_autograd(model, frame.drop("w"), weights))


def test_slices_of_rows_add_up(monkeypatch):
    model = untrained(activation="tanh")
    whole = lamina.gradient_flow(model, "iris")
    monkeypatch.setattr(flow, "_SLICE_ROWS", 37)
    for one, other in zip(lamina.gradient_flow(model, "iris"), whole, strict=True):
        assert figures(one) == pytest.approx(figures(other), rel=1e-10)


@pytest.mark.parametrize("kind", ["phm", "low_rank"])
def test_the_weight_gradient_of_a_saving_layer_is_that_of_its_composed_matrix(kind):
    saving = untrained(layer=kind, phm_n=2, rank=3)
    dense = untrained()
    weights = {name: value for name, value in saving.network.state_dict().items() if name in dense.network.state_dict()}
    for i, block in enumerate(saving.network.hidden):
        weights[f"hidden.{i}.affine.weight"] = block.affine.weight.detach()
    dense.network.load_state_dict(weights)
    for one, other in zip(lamina.gradient_flow(saving, "iris"), lamina.gradient_flow(dense, "iris"), strict=True):
        assert figures(one) == pytest.approx(figures(other), rel=1e-10)
    assert_agrees(lamina.gradient_flow(dense, "iris"), by_autograd(dense, "iris"))


def test_gradients_vanish_on_their_way_through_sigmoids_and_not_through_relus():
    def first_over_last(activation: str) -> float:
        layers = lamina.gradient_flow(untrained(hidden_units=(32,) * 8, activation=activation), "iris")
        return layers[0].weight_gradient / layers[-1].weight_gradient

    assert first_over_last("sigmoid") < 1e-4
    assert first_over_last("relu") > 0.05


def test_dead_units_are_those_without_a_gradient_for_any_row():
    model = untrained(activation="relu", numeric="standard")
    bias = model.network.hidden[0].affine.bias
    bias.data[:3] = -1e4  # three units of eight that no row wakes
    bias.data[3:] = 1e4
    first = lamina.gradient_flow(model, "iris")[0]
    assert (first.dead, first.saturated) == (pytest.approx(3 / 8, rel=1e-15), None)
    bias.data[:] = 1e4
    assert lamina.gradient_flow(model, "iris")[0].dead == 0.0


def test_saturated_is_the_share_of_entries_where_a_bounded_function_is_flat():
    model = untrained(activation=("sigmoid", "tanh", "hard_tanh"), numeric="standard")
    for block, limit in zip(model.network.hidden, (8.0, 4.2, 1.0), strict=True):
        block.affine.weight.data.zero_()
        units = len(block.affine.bias)
        # Every other unit is just beyond the point where the derivative falls below a thousandth, the others before.
        signs = torch.tensor([1.0, -1.0] * (units // 2), dtype=torch.float64)
        block.affine.bias.data.copy_(signs * limit * torch.where(torch.arange(units) < units // 2, 0.95, 1.05))
    sigmoid, tanh, hard_tanh = lamina.gradient_flow(model, "iris")
    s = 1 / (1 + np.exp(-np.array([7.6, 8.4])))
    assert (s * (1 - s) > 0.25e-3).tolist() == [True, False]
    t = 1 - np.tanh([3.99, 4.41]) ** 2
    assert (t > 1e-3).tolist() == [True, False]
    assert [layer.saturated for layer in (sigmoid, tanh, hard_tanh)] == [0.5, 0.5, 0.5]
    assert [layer.dead for layer in (sigmoid, tanh, hard_tanh)] == [0.0, 0.0, 0.5]
    assert sigmoid.weight_gradient == tanh.weight_gradient == 0.0, "no weight lets anything through"


def test_an_activation_of_bounded_range_only_has_a_share_that_saturates():
    saturated = {
        name: lamina.gradient_flow(untrained(activation=name), "iris")[0].saturated for name in ("relu", "gelu", "tanh")
    }
    assert saturated == {"relu": None, "gelu": None, "tanh": pytest.approx(0.0, abs=0.05)}


def test_the_model_is_left_as_it_is_and_has_no_layers_to_tell_of_without_hidden_ones():
    model = untrained(normalization="batch")
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    lamina.gradient_flow(model, "iris")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert lamina.gradient_flow(untrained(hidden_units=()), "iris") == []


def test_rows_without_a_target_or_without_weight_are_refused():
    frame = weighted_frame(np.ones(60))
    model = untrained(frame, "y", weight="w")
    with pytest.raises(lamina.DataError, match="has no rows to compute a gradient on"):
        lamina.gradient_flow(model, frame.head(0))
    with pytest.raises(lamina.DataError, match="every row has the weight 0; there is no loss to take the gradient of"):
        lamina.gradient_flow(model, frame.with_columns(w=pl.lit(0.0)))
    with pytest.raises(lamina.DataError, match="'y'"):
        lamina.gradient_flow(model, frame.drop("y"))


def test_the_example_runs():
    assert doctest.testmod(flow) == (0, 3)
