"""Permutation importance: scikit-learn's numbers within the noise, exact zeros, weights, parts of columns."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.inspection import permutation_importance as of_scikit_learn
from sklearn.metrics import root_mean_squared_error

import lamina
from lamina.metrics import METRICS
from random_models import by_hand, frame, random_model


def test_it_agrees_with_scikit_learn():
    X, y = (each[:200] for each in load_diabetes(return_X_y=True))
    regressor = lamina.MLPRegressor((16,), max_iter=20, random_state=0).fit(X, y)
    repeats = 25
    expected = of_scikit_learn(
        regressor, X, y, scoring="neg_root_mean_squared_error", n_repeats=repeats, random_state=1
    )
    found = lamina.permutation_importance(regressor.model_, (X, y), repeats)
    assert (found.metric, found.n_rows, found.drops.shape) == ("rmse", 200, (10, repeats))
    assert found.score == pytest.approx(np.sqrt(np.mean((regressor.predict(X) - y) ** 2)), rel=1e-12)
    noise = np.sqrt((found.deviation**2 + expected.importances_std**2) / repeats)
    assert (np.abs(found.mean - expected.importances_mean) < 4 * noise).all()
    assert found.mean.max() > 20 * noise.max(), "the comparison would notice another quantity"
    assert np.mean(found.deviation / expected.importances_std) == pytest.approx(1, abs=0.3)


def test_every_permutation_of_two_rows_by_hand():
    # y = 3 x0: shuffled, two rows keep their values or swap them. x = 1, 2 and y = 3, 6: the error is 0 or 3.
    model = by_hand([[[3.0], [0.0]]], [[0.0]])
    found = lamina.permutation_importance(model, ([[1.0, 5.0], [2.0, 7.0]], [3.0, 6.0]), 40)
    assert found.score == pytest.approx(0, abs=1e-12)
    assert set(np.round(found.drops[0], 12)) == {0.0, 3.0}
    assert found.mean[0] == pytest.approx(found.drops[0].sum() / 40)
    assert found.drops[1].tolist() == [0.0] * 40


@pytest.mark.parametrize("members", [1, 4])
def test_a_column_that_the_network_does_not_use_is_exactly_0(members):
    model = random_model(frame(), hidden_units=(8,), numeric="standard", members=members)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if name in ("hidden.0.affine.weight", "hidden.0.affine.parts.0.weight"):
                weight[1] = 0
    found = lamina.permutation_importance(model, frame(seed=1))
    assert found.drops[1].tolist() == [0.0] * 5
    assert (np.abs(found.drops[[0, 2]]) > 0).all()


def test_greater_is_better_and_smaller_is_better_have_one_sign():
    model = lamina.fit("iris", epochs=20, members=1, hidden_units=(16,), seed=0)
    for metric in ("accuracy", "log_loss", "roc_auc"):
        found = lamina.permutation_importance(model, "iris", 3, metric=metric)
        assert found.score == model.evaluate("iris")[metric]
        assert found.ordered()[0][0].startswith("petal")
        assert found.ordered()[0][1] > 0
        assert [mean for _, mean, _ in found.ordered()] == sorted(found.mean, reverse=True)
    again = lamina.permutation_importance(model, "iris", 3, metric="roc_auc")
    assert np.array_equal(found.drops, again.drops)
    assert not np.array_equal(found.drops, lamina.permutation_importance(model, "iris", 3, 1, "roc_auc").drops)
    assert str(found).splitlines()[0] == f"roc_auc {found.score:.4f} on 150 rows; worse without"


def test_a_column_is_shuffled_whole():
    data = frame(mixed=True)
    model = random_model(data, hidden_units=(8,))
    found = lamina.permutation_importance(model, data, 2)
    assert found.columns == ("age", "size", "year", "kind", "day")  # a date has six numbers and is one column
    assert (found.drops != 0).all()


def test_whole_weights_are_copies_and_broken_ones_count():
    data = frame(40).with_columns(weight=pl.Series([1.0, 2.0] * 20))
    model = random_model(data, weight="weight", hidden_units=(4,))
    copies = pl.concat([data[i : i + 1] for i in range(40) for _ in range(1 + i % 2)])
    weighted = lamina.permutation_importance(model, data)
    plain = lamina.permutation_importance(model, copies.drop("weight"))
    assert weighted.n_rows == 60
    np.testing.assert_allclose(weighted.drops, plain.drops, rtol=0, atol=1e-12)
    tenths = lamina.permutation_importance(model, data.with_columns(pl.col("weight") * 0.3))
    np.testing.assert_array_equal(tenths.drops, weighted.drops)  # only the ratios count
    broken = data["weight"].to_numpy() * (1 + 1e-7 * np.arange(40))
    halves = lamina.permutation_importance(model, data.with_columns(weight=pl.Series(broken)), 100)
    assert halves.n_rows == 40
    target = model.schema.target.name
    by_hand = root_mean_squared_error(data[target], model.predict(data), sample_weight=broken)
    assert halves.score == pytest.approx(by_hand, rel=1e-12)
    noise = halves.deviation / 10
    # Drawn with replacement: the same but for the rows' chance to meet themselves.
    assert (np.abs(halves.mean - lamina.permutation_importance(model, data, 100).mean) < 5 * noise).all()


def test_rows_of_weight_0_are_not_there_and_others_are_bounded():
    data = frame(50).with_columns(weight=pl.Series([0.0] * 10 + [1.0] * 40))
    model = random_model(data, weight="weight", hidden_units=(4,))
    assert lamina.permutation_importance(model, data, 1).n_rows == 40
    few = lamina.permutation_importance(model, data, 1, max_rows=25)
    assert few.n_rows == 25
    assert few.score == lamina.permutation_importance(model, data, 1, max_rows=25).score
    assert few.score != lamina.permutation_importance(model, data, 1, 1, max_rows=25).score
    with pytest.raises(lamina.DataError, match="every row has the weight 0; give some that count"):
        lamina.permutation_importance(model, data.with_columns(weight=pl.lit(0.0)))


def test_images_count_by_regions():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 6, 4), dtype=np.uint8)
    model = random_model((images, rng.integers(0, 2, 60)), hidden_units=())
    with torch.no_grad():
        model.network.output.weight.zero_()
        model.network.output.weight[5 * 4 + 3, 1] = 4.0  # the last pixel decides
    y = (images[:, 5, 3] > 127).astype(int)
    found = lamina.permutation_importance(model, (images, y))
    assert len(found.columns) == 16  # six rows in stretches of 2, 2, 1, 1; four columns
    assert found.columns[:2] == ("image[0:2,0:1]", "image[0:2,1:2]")
    assert found.ordered()[0][0] == "image[5:6,3:4]"
    assert found.mean[-1] > 0.1
    assert not found.drops[:-1].any()


def test_a_sparse_matrix_counts_by_its_columns_as_a_dense_one_does():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((80, 5)) < 0.4, rng.normal(size=(80, 5)), 0.0)
    X[:, 3] = 0
    y = 2 * X[:, 0] - X[:, 4] + 0.1 * rng.normal(size=80)
    model = random_model((sparse.csr_array(X), y), hidden_units=(6,))
    found = lamina.permutation_importance(model, (sparse.csr_array(X), y), 3)
    assert found.columns == ("x0", "x1", "x2", "x3", "x4")
    assert found.drops[3].tolist() == [0.0] * 3
    # By hand: the same shuffles of dense columns.
    draw = np.random.default_rng(0)
    for j in range(5):
        for repeat in range(3):
            shuffled = X.copy()
            shuffled[:, j] = X[draw.permutation(80), j]
            error = np.sqrt(np.mean((model.predict(sparse.csr_array(shuffled)) - y) ** 2))
            assert found.drops[j, repeat] == pytest.approx(error - found.score, abs=1e-12)


def test_refusals():
    model = random_model(frame(), hidden_units=(2,))
    for name in ("repeats", "max_rows"):
        for value in (0, 2.5, True):
            with pytest.raises(lamina.ConfigError) as error:
                lamina.permutation_importance(model, frame(), **{name: value})
            assert str(error.value) == f"{name} = {value!r} is no whole number above 0; give one."
    with pytest.raises(lamina.ConfigError) as error:
        lamina.permutation_importance(model, frame(), metric="accuracy")
    known = ", ".join(metric.name for metric in METRICS if "regression" in metric.tasks)
    assert str(error.value) == f"metric = 'accuracy' is not for regression; the metrics of this model are {known}."
    for name, hint in (("rsme", " Did you mean 'rmse'?"), ("acuracy", "")):  # only what this model has is offered
        with pytest.raises(lamina.ConfigError) as error:
            lamina.permutation_importance(model, frame(), metric=name)
        assert str(error.value) == f"unknown metric {name!r}.{hint} The metrics of this model are {known}."
    with pytest.raises(lamina.DataError, match="the metric 'r2' is not defined on these rows; choose another"):
        lamina.permutation_importance(model, frame()[:1], metric="r2")
    with pytest.raises(lamina.DataError, match="has no column 'y'"):
        lamina.permutation_importance(model, frame().drop("y"))
    with pytest.raises(lamina.DataError, match="has no rows"):
        lamina.permutation_importance(model, frame()[:0])
    with pytest.raises(lamina.ConfigError, match=r"seed = -1 is out of bounds: it must be at least 0\."):
        lamina.permutation_importance(model, frame(), seed=-1)
