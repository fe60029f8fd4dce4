"""Baselines against scikit-learn on a design made by hand, with weights as rows."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.metrics import r2_score

import lamina
from lamina.baselines import STRAIGHT, fit_baselines
from lamina.data.encoder import Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.table import Column, Table, text_column
from lamina.losses import LOSSES, Loss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2))
COLOUR = ["red" if v > 0 else "blue" for v in RNG.normal(size=80)]
BIT = np.array([c == "red" for c in COLOUR])


def encoded(weights: np.ndarray | None = None):
    columns = {"a": Column("number", X[:, 0]), "b": Column("number", X[:, 1]), "c": text_column(COLOUR)}
    return encoded_table(Table({**columns, "y": Column("number", X[:, 0])}, 80, targets=("y",)), weights)


def encoded_table(table: Table, weights: np.ndarray | None = None):
    schema = Schema.infer(table)
    checked, _ = schema.check(table)
    encoder = Encoder.fit(schema, checked, weights)
    return encoder, encoder.transform(checked, "float64")


def design() -> np.ndarray:
    standard = (X - X.mean(0)) / X.std(0)
    return np.column_stack([standard, ~BIT, BIT]).astype(float)


def test_linear_classification_is_logistic_regression_on_standardised_columns():
    y = (X[:, 0] + BIT + RNG.normal(size=80) > 0).astype(int)
    encoder, arrays = encoded()
    predictors = fit_baselines(encoder, arrays, y, None, 2, RNG)
    reference = LogisticRegression().fit(design(), y).predict_proba(design())
    np.testing.assert_allclose(predictors["linear"](arrays), reference, atol=1e-3)
    np.testing.assert_allclose(predictors["constant"](arrays), np.tile([1 - y.mean(), y.mean()], (80, 1)))


def test_linear_regression_is_ridge_on_standardised_columns():
    y = (3 * X[:, 0] - BIT + RNG.normal(size=80))[:, None]
    encoder, arrays = encoded()
    predictors = fit_baselines(encoder, arrays, y, None, 0, RNG)
    reference = Ridge().fit(design(), y[:, 0]).predict(design())
    assert predictors["linear"](arrays).shape == predictors["constant"](arrays).shape == (80, 1)
    np.testing.assert_allclose(predictors["linear"](arrays)[:, 0], reference, rtol=1e-6)
    assert predictors["constant"](arrays)[0, 0] == pytest.approx(y.mean())


@pytest.mark.parametrize(("mean", "size"), [(0.0, 1e200), (1e9, 1e-2), (0.0, 1e-200)])
def test_linear_regression_in_float32_takes_targets_of_any_size(mean, size):
    y = (3 * X[:, 0] - BIT + np.random.default_rng(1).normal(size=80))[:, None]
    encoder, arrays = encoded()
    arrays = {name: values.astype(np.float32) if name == "numbers" else values for name, values in arrays.items()}
    reference = fit_baselines(encoder, arrays, y, None, 0, RNG)["linear"](arrays)
    found = fit_baselines(encoder, arrays, mean + size * y, None, 0, RNG)["linear"](arrays)
    np.testing.assert_allclose((found - mean) / size, reference, atol=2e-5)


def test_several_numbers_are_as_many_regressions():
    y = np.column_stack([3 * X[:, 0] - BIT, 5 - X[:, 1], BIT]) + RNG.normal(size=(80, 3))
    encoder, arrays = encoded()
    together = fit_baselines(encoder, arrays, y, None, 0, RNG)
    for i in range(3):
        alone = fit_baselines(encoder, arrays, y[:, [i]], None, 0, RNG)
        for name in ("linear", "constant"):
            np.testing.assert_allclose(together[name](arrays)[:, [i]], alone[name](arrays), rtol=1e-6)
    np.testing.assert_allclose(together["constant"](arrays), np.tile(y.mean(axis=0), (80, 1)))


def test_labels_are_as_many_logistic_regressions_and_one_value_is_a_constant():
    label = (X[:, 0] + BIT + RNG.normal(size=80) > 0).astype(float)
    y = np.column_stack([label, np.zeros(80), 1 - label, np.ones(80)])
    encoder, arrays = encoded()
    predictors = fit_baselines(encoder, arrays, y, None, 0, RNG, labels=True)
    probabilities = predictors["linear"](arrays)
    reference = LogisticRegression().fit(design(), label).predict_proba(design())
    np.testing.assert_allclose(probabilities[:, [2, 0]], reference, atol=1e-3)
    assert (probabilities[:, [1, 3]] == [0, 1]).all()
    np.testing.assert_allclose(predictors["constant"](arrays), np.tile([label.mean(), 0, 1 - label.mean(), 1], (80, 1)))


def test_sparse_columns_are_taken_as_the_network_takes_them():
    block = sparse.random_array((80, 6), density=0.4, rng=RNG).tocsr() * 7
    label = (block.toarray()[:, 0] + RNG.normal(size=80) > 1).astype(int)
    encoder, arrays = encoded_table(read_table((block, label)))
    scaled = block.toarray() / block.toarray().max(axis=0)
    reference = LogisticRegression().fit(scaled, label).predict_proba(scaled)
    predictors = fit_baselines(encoder, arrays, label, None, 2, RNG)
    np.testing.assert_allclose(predictors["linear"](arrays), reference, atol=1e-3)
    np.testing.assert_allclose(predictors["constant"](arrays), np.tile([1 - label.mean(), label.mean()], (80, 1)))
    y = block.toarray()[:, :2] + RNG.normal(size=(80, 2))
    numbers = fit_baselines(encoder, arrays, y, None, 0, RNG)
    np.testing.assert_allclose(numbers["linear"](arrays), Ridge().fit(scaled, y).predict(scaled), rtol=1e-3, atol=1e-4)
    labels = fit_baselines(encoder, arrays, np.column_stack([label, 0 * label]), None, 0, RNG, labels=True)
    np.testing.assert_allclose(labels["linear"](arrays)[:, 0], reference[:, 1], atol=1e-3)
    assert (labels["linear"](arrays)[:, 1] == 0).all()


def test_a_hundred_thousand_rows_are_chosen_of_more(monkeypatch):
    monkeypatch.setattr("lamina.baselines._MAX_ROWS", 50)
    y = np.arange(80.0)[:, None]
    encoder, arrays = encoded()
    predictors = fit_baselines(encoder, arrays, y, np.arange(1.0, 81), 0, np.random.default_rng(5))
    chosen = np.sort(np.random.default_rng(5).choice(80, 50, replace=False))
    weights = (chosen + 1.0) / (chosen + 1.0).mean()
    reference = Ridge().fit(design()[chosen], y[chosen, 0], sample_weight=weights).predict(design())
    np.testing.assert_allclose(predictors["linear"](arrays)[:, 0], reference, rtol=1e-6)
    assert predictors["constant"](arrays)[0, 0] == pytest.approx(np.average(y[:, 0], weights=np.arange(1.0, 81)))


def test_of_weights_only_their_ratios_count():
    numbers = np.column_stack([3 * X[:, 0] - BIT, X[:, 1]]) + RNG.normal(size=(80, 2))
    counts = RNG.integers(1, 4, 80).astype(float)
    encoder, arrays = encoded()
    for y, labels in ((numbers, False), ((numbers > 0).astype(float), True)):
        found = [fit_baselines(encoder, arrays, y, c * counts, 0, RNG, labels) for c in (1.0, 1e-3, 1e6)]
        for name in ("linear", "constant"):
            for each in found[1:]:
                np.testing.assert_allclose(each[name](arrays), found[0][name](arrays), rtol=1e-4 if labels else 1e-7)
        np.testing.assert_allclose(found[0]["constant"](arrays)[0], np.average(y, axis=0, weights=counts), rtol=1e-12)
    weights = counts / counts.mean()  # so that the penalty is that of as many rows as there are
    reference = Ridge().fit(design(), numbers, sample_weight=weights).predict(design())
    linear = fit_baselines(encoder, arrays, numbers, counts, 0, RNG)["linear"](arrays)
    np.testing.assert_allclose(linear, reference, rtol=1e-5, atol=1e-6)
    label = (numbers[:, 0] > 0).astype(int)
    reference = LogisticRegression().fit(design(), label, sample_weight=weights).predict_proba(design())
    linear = fit_baselines(encoder, arrays, label, counts, 2, RNG)["linear"](arrays)
    np.testing.assert_allclose(linear, reference, atol=1e-3)


def test_a_class_without_training_rows_keeps_its_column():
    y = np.where(X[:, 0] > 0, 2, 0)
    encoder, arrays = encoded()
    probabilities = fit_baselines(encoder, arrays, y, None, 3, RNG)["linear"](arrays)
    assert probabilities.shape == (80, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)


def heavy(n: int = 2000):
    """A total of three columns with heavy tails, which the network sees bent."""
    rng = np.random.default_rng(3)
    x = np.minimum(rng.lognormal(-2, [1.9, 1.2, 1.2], (n, 3)), 40)
    table = Table({name: Column("number", x[:, i]) for i, name in enumerate("abc")}, n)
    table = table.with_target("y", Column("number", x.sum(axis=1)))
    schema = Schema.infer(table)
    checked, _ = schema.check(table)
    encoder = Encoder.fit(schema, checked, numeric="mixed")
    assert any(code.bent for code in encoder.numbers)
    return encoder, encoder.transform(checked, "float32"), x


def test_bent_columns_have_a_linear_model_as_they_are_too():
    encoder, arrays, x = heavy()
    y = x.sum(axis=1, keepdims=True)
    found = fit_baselines(encoder, arrays, y, None, 0, RNG)
    assert set(found) == {"linear", "constant", STRAIGHT}
    standard = (x - x.mean(0)) / x.std(0)
    reference = Ridge().fit(standard, y[:, 0]).predict(standard)
    np.testing.assert_allclose(found[STRAIGHT](arrays)[:, 0], reference, rtol=1e-4, atol=1e-4)
    assert r2_score(y, found[STRAIGHT](arrays)) > 0.99999
    assert r2_score(y, found["linear"](arrays)) < 0.99
    assert STRAIGHT not in fit_baselines(*encoded(), X[:, :1], None, 0, RNG)


@pytest.mark.parametrize("bent", [False, True])
def test_the_better_of_the_two_is_the_baseline(bent):
    rng = np.random.default_rng(0)
    x = np.minimum(rng.lognormal(-2, [1.9, 1.2], (800, 2)), 40)
    low, middle, high = np.quantile(x[:, 0], [0.25, 0.5, 0.75])
    first = np.arcsinh(1.349 * (x[:, 0] - middle) / (high - low)) if bent else x[:, 0]
    y = first + x[:, 1] + 0.01 * rng.normal(size=800)
    model = lamina.fit((x, y), members=4, hidden_units=(8,), epochs=2, seed=0, test=0.25)
    assert model.report.baselines["linear"]["r2"] > 0.97


def scored(loss: Loss, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    """The weighted mean loss in standard deviations of y, or in its mean."""
    mean = np.average(y[:, 0], weights=w)
    scale = mean if loss.target_scaling == "mean" else np.sqrt(np.average((y[:, 0] - mean) ** 2, weights=w))
    z = loss.link(torch.from_numpy(prediction / scale))
    return float(np.average(loss.per_row(z, torch.from_numpy(y / scale)).numpy(), weights=w))


LOSSES_OF_NUMBERS = [loss for loss in LOSSES if loss.task == "regression"]


@pytest.mark.parametrize("loss", LOSSES_OF_NUMBERS, ids=lambda loss: loss.name)
def test_the_constant_is_the_one_of_least_loss(loss):
    loss = loss.bound({"quantile": 0.8, "huber_delta": 0.5})
    rng = np.random.default_rng(1)
    y, w = rng.gamma(2, 3, (80, 1)), rng.uniform(0.2, 2, 80)
    encoder, arrays = encoded()
    constant = fit_baselines(encoder, arrays, y, w, 0, RNG, loss=loss)["constant"](arrays)
    assert np.ptp(constant) == 0
    others = [scored(loss, y, np.full_like(y, c), w) for c in np.linspace(y.min(), y.max(), 2001)]
    assert scored(loss, y, constant, w) <= min(others) + 1e-9


@pytest.mark.parametrize("loss", LOSSES_OF_NUMBERS, ids=lambda loss: loss.name)
def test_the_linear_model_minimises_the_loss(loss):
    """Against scikit-learn's own for that loss, where there is one; else against small steps in all directions."""
    loss = loss.bound({"quantile": 0.8, "huber_delta": 0.5})
    rng = np.random.default_rng(2)
    y = np.exp(0.3 * X[:, :1] - 0.5 * BIT[:, None]) * rng.gamma(3, 1, (80, 1))
    w = rng.uniform(0.2, 2, 80)
    encoder, arrays = encoded()
    found = scored(loss, y, fit_baselines(encoder, arrays, y, w, 0, RNG, loss=loss)["linear"](arrays), w)
    references = {
        "squared_error": lambda: Ridge(alpha=1e-6),
        "absolute_error": lambda: QuantileRegressor(quantile=0.5, alpha=0),
        "quantile": lambda: QuantileRegressor(quantile=0.8, alpha=0),
        "poisson": lambda: PoissonRegressor(alpha=0, max_iter=1000),
    }
    if loss.name in references:
        reference = references[loss.name]().fit(design(), y[:, 0], sample_weight=w).predict(design())
    else:  # of huber: iterated least squares, whose weights are min(1, delta / |error|)
        reference, robust = Ridge(alpha=1e-6).fit(design(), y[:, 0], sample_weight=w).predict(design()), w
        for _ in range(300):
            deviation = np.sqrt(np.average((y[:, 0] - np.average(y[:, 0], weights=w)) ** 2, weights=w))
            missed = np.abs(y[:, 0] - reference) / deviation
            robust = w * np.minimum(1, 0.5 / np.maximum(missed, 1e-12))
            reference = Ridge(alpha=1e-6).fit(design(), y[:, 0], sample_weight=robust).predict(design())
    best = scored(loss, y, reference[:, None], w)
    assert best - 1e-6 <= found <= 1.02 * best  # a little above, since it is penalised as ridge regression is
