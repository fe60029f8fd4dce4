"""Attributions add up to the difference that they explain, and are those that can be had by hand."""

import numpy as np
import polars as pl
import pytest
import torch

import lamina
from lamina.analysis.attributions import _float64, _input_layers, _owners, typical_row
from lamina.analysis.integrated_gradients import integrate
from lamina.model import as_tensors
from random_models import by_hand, frame, random_model


def logit(probabilities: np.ndarray) -> np.ndarray:
    return np.log(probabilities) - np.log1p(-probabilities)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear", "periodic"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_contributions_add_up(members, numeric, activation):
    data = frame(task="classification", mixed=True)
    model = random_model(
        data, hidden_units=(12, 9), numeric=numeric, activation=activation, members=members, seed=members
    )
    for i in (0, 1, 2):
        found = lamina.attributions(model, data[i], data)
        probabilities = model.predict_proba(data[i])[0]
        assert found.output == f"logit({model.predict(data[i])[0]})"
        assert found.value == pytest.approx(logit(probabilities.max()), rel=1e-9)
        difference = found.value - found.baseline_value
        assert abs(sum(found.contributions.values()) - difference) <= 1e-4 * abs(difference)
        assert found.gap == pytest.approx(difference - sum(found.contributions.values()), abs=1e-12)
        assert list(found.contributions) == ["age", "size", "year", "kind", "day"]
        assert found.ordered()[0][1] == max(found.contributions.values(), key=abs)


def test_the_default_network_of_eight_adds_up():
    model = lamina.fit("iris", epochs=3, seed=0)
    rows = lamina.read_table("iris")
    assert len(model.network.members()) == 8
    for i in (0, 75, 149):
        found = lamina.attributions(model, rows.rows([i]), rows)
        difference = found.value - found.baseline_value
        assert abs(found.gap) <= 1e-4 * abs(difference)
        assert found.value == pytest.approx(logit(model.predict_proba(rows.rows([i])).max()), rel=1e-9)


def test_a_linear_model_by_hand():
    model = by_hand([[[2.0], [-3.0], [0.0]]], [[0.5]])
    baseline = np.array([[0.0, 1.0, 9.0], [1.0, 2.0, 9.0], [5.0, 2.0, 8.0]])  # medians 1, 2, 9
    found = lamina.attributions(model, [[4.0, 1.0, 0.0]], baseline)
    assert found.contributions == pytest.approx({"x0": 6.0, "x1": 3.0, "x2": 0.0}, abs=1e-12)
    assert (found.output, found.value, found.baseline_value) == ("y", pytest.approx(5.5), pytest.approx(-3.5))
    assert found.row == {"x0": "4", "x1": "1", "x2": "0"}
    assert found.baseline == {"x0": "1", "x1": "2", "x2": "9"}
    assert str(found).splitlines() == ["y = 5.5, of the baseline -3.5", "x0  +6", "x1  +3", "x2  +0"]


def test_a_kink_by_hand():
    # y = relu(x0 + x1 - 1) from (0, 0) to (2, 2): affine with slope 1 in both from a quarter of the path on.
    model = by_hand([[[1.0], [1.0]], [[1.0]]], [[-1.0], [0.0]])
    found = lamina.attributions(model, [[2.0, 2.0]], [[0.0, 0.0]], tolerance=1e-9)
    assert found.contributions == pytest.approx({"x0": 1.5, "x1": 1.5}, rel=1e-8)


def test_an_integral_in_closed_form():
    # f = x0² x1 from 0 to (3, 2): ∂f/∂x0 = 2 x0 x1, so that x0 gets 2/3 of f(x) = 18 and x1 a third.
    start, end = [torch.zeros(1, 2, dtype=torch.float64)], [torch.tensor([[3.0, 2.0]], dtype=torch.float64)]
    path = integrate(lambda x: x[0][:, 0] ** 2 * x[0][:, 1], start, end, [torch.tensor([0, 1])], 2, 1e-12)
    np.testing.assert_allclose(path.contributions, [12.0, 6.0], rtol=1e-12)
    assert (path.start, path.end) == (0.0, 18.0)
    assert path.n_gradients == 64, "a polynomial is exact at the first attempt"


def test_equal_steps_come_to_the_same():
    data = frame(task="classification", mixed=True)
    model = random_model(data, hidden_units=(10,), activation="tanh", seed=3)
    found = lamina.attributions(model, data[4], data[5], output="yes", tolerance=1e-8)
    network = _float64(model)
    layer = network.inputs
    first, last = (
        layer(as_tensors(model.encoder.transform(model.schema.check(model.read(row))[0], "float64"), "cpu"))
        for row in (data[5], data[4])
    )
    t = (torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000
    points = (first + t * (last - first)).detach().requires_grad_()
    z = network.output(network.hidden(points))
    others = [i for i, name in enumerate(model.classes) if name != "yes"]
    value = z[:, model.classes.tolist().index("yes")] - z[:, others].logsumexp(1)
    (gradient,) = torch.autograd.grad(value.sum(), points)
    each = (gradient.mean(0) * (last - first)[0]).detach().numpy()
    for name, part in found.contributions.items():
        expected = sum(x for x, owner in zip(each, _owners(layer, model.encoder), strict=True) if owner == name)
        assert part == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear", "periodic", "mixed"])
def test_every_number_behind_the_input_layer_has_the_owner_that_moves_it(numeric):
    rng = np.random.default_rng(0)
    data = frame(200, mixed=True).with_columns(town=pl.Series(rng.choice(list("abcdefghijklmn"), 200)))
    model = random_model(data, hidden_units=(2,), numeric=numeric, members=2, bins=4)
    network = _float64(model)
    features = model.schema.check(model.read(data))[0]
    for layer in _input_layers(network):
        owners = np.array(_owners(layer, model.encoder))
        plain = layer(as_tensors(model.encoder.transform(features), "cpu"))
        assert len(owners) == plain.shape[1] == layer.width
        for name, column in features.columns.items():
            order = rng.permutation(200)
            columns = {**features.columns, name: column.rows(order)}
            changed = layer(as_tensors(model.encoder.transform(type(features)(columns, 200)), "cpu"))
            moved = (changed != plain).any(dim=0).numpy()
            assert set(owners[moved]) == {name}


def test_units_of_the_target():
    data = frame(80).with_columns(pl.col("y").abs() + 1)
    for options, output, inverse in (
        ({}, "y", lambda value: value),
        ({"target_transform": "log"}, "log(y)", np.exp),
        ({"loss": "poisson"}, "log(y)", np.exp),
        ({"target_transform": "log1p"}, "log1p(y)", np.expm1),
    ):
        model = random_model(data, hidden_units=(5,), **options)
        found = lamina.attributions(model, data[3], data)
        assert found.output == output
        assert inverse(found.value) == pytest.approx(model.predict(data[3])[0], rel=1e-9)


def test_labels_and_several_numbers_have_an_output_each():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    labels = random_model((X, rng.integers(0, 2, (60, 2))), hidden_units=(4,), task="multilabel")
    for i, name in enumerate(("y0", "y1")):
        found = lamina.attributions(labels, X[0], X, output=name)
        assert found.output == f"logit({name})"
        assert found.value == pytest.approx(logit(labels.predict_proba(X[:1])[0, i]), rel=1e-9)
    numbers = random_model((X, rng.normal(size=(60, 2))), hidden_units=(4,))
    found = lamina.attributions(numbers, X[0], X, output="y1")
    assert found.value == pytest.approx(numbers.predict(X[:1])[0, 1], rel=1e-9)
    assert lamina.attributions(numbers, X[0], X).output == "y0"


def test_the_typical_row():
    data = frame(9, mixed=True).with_columns(kind=pl.Series(["b", "a", None, "a", None, None, "b", "c", None]))
    model = random_model(data, hidden_units=(2,), min_level_rows=1)
    features = model.schema.check(model.read(data))[0]
    row = typical_row(features)
    assert row["size"].values[0] == np.sort(data["size"])[4]
    assert row["age"].values[0] == np.sort(data["age"].fill_nan(None).drop_nulls())[3]
    assert row["kind"].cell(0) == ""  # a missing one is the most frequent
    assert row["day"].values[0] == np.sort(features["day"].values)[4]
    weights = np.array([9.0, *[1.0] * 8])
    assert typical_row(features, weights)["kind"].cell(0) == "b"
    assert typical_row(features, weights)["size"].values[0] == data["size"][0]
    one = typical_row(features.rows(np.array([3])))
    assert {name: column.cell(0) for name, column in one.columns.items()} == {
        name: column.cell(3) for name, column in features.columns.items()
    }


def test_images_have_a_map_and_regions_that_add_up():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    model = random_model((images, rng.integers(0, 2, 40)), hidden_units=())
    found = lamina.attributions(model, images[:1], images, output=1)
    weight = (model.network.output.weight[:, 1] - model.network.output.weight[:, 0]).detach().numpy().reshape(8, 8)
    middle = np.quantile(images, 0.5, axis=0, method="inverted_cdf")
    expected = weight * (images[0] - middle.astype(float)) / model.encoder.images[0].scale
    np.testing.assert_allclose(found.maps["image"], expected, rtol=1e-9)
    assert len(found.contributions) == 16
    assert found.contributions["image[2:4,6:8]"] == pytest.approx(expected[2:4, 6:8].sum(), rel=1e-9)
    assert found.row["image[2:4,6:8]"] == f"{images[0, 2:4, 6:8].mean():.4g}"


def test_a_jump_is_said():
    model = by_hand([[[1.0]], [[1.0]]], [[-1.0], [0.0]])
    # Its derivative is 0 where it has one: no gradient tells of the jump, and it cannot be trained.
    model.config = model.config.replace(activation="threshold")
    with pytest.warns(lamina.LaminaWarning, match="1 of the difference of 1 is not attributed to any column"):
        found = lamina.attributions(model, [[3.0]], [[0.0]])
    assert (found.gap, found.contributions) == (1.0, {"x0": 0.0})


def test_a_row_that_is_the_baseline_has_nothing_to_explain():
    data = frame()
    model = random_model(data, hidden_units=(6,))
    found = lamina.attributions(model, data[0], data[0])
    assert set(found.contributions.values()) == {0.0}
    assert found.value == found.baseline_value


def test_refusals():
    data = frame(task="classification")
    model = random_model(data, hidden_units=(2,))
    with pytest.raises(lamina.ConfigError) as error:
        lamina.attributions(model, data[0], data, output="yess")
    assert str(error.value) == (
        "output = 'yess' is no output of the model. Did you mean 'yes'? Outputs: no, perhaps, yes."
    )
    with pytest.raises(lamina.ConfigError, match="tolerance = 0 is not above 0; give a share such as 1e-4"):
        lamina.attributions(model, data[0], data, tolerance=0)
    with pytest.raises(lamina.DataError, match="row holds 2 rows, expected one"):
        lamina.attributions(model, data[:2], data)
    from scipy import sparse

    X = sparse.csr_array(np.eye(20))
    with pytest.raises(lamina.ConfigError, match=r"train on X.toarray\(\) instead of X"):
        lamina.attributions(random_model((X, np.arange(20.0)), hidden_units=(2,)), X[:1], X)


@pytest.mark.parametrize("features", ["pixels", "gradients"])
def test_regions_of_digits_add_up(features):
    model = lamina.fit("digits", epochs=1, seed=0, features=features)
    rows = lamina.read_table("digits")
    found = lamina.attributions(model, rows.rows([0]), rows)
    difference = found.value - found.baseline_value
    assert abs(sum(found.contributions.values()) - difference) <= 1e-4 * abs(difference)
    names = ["image[0:4,0:4]", "image[0:4,4:8]", "image[4:8,0:4]", "image[4:8,4:8]"]
    assert list(found.contributions) == (names if features == "gradients" else list(found.row))
    assert found.maps["image"].shape == ((2, 2) if features == "gradients" else (8, 8))
    assert found.maps["image"].sum() == pytest.approx(sum(found.contributions.values()), rel=1e-9)
