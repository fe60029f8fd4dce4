"""Baselines against scikit-learn on a design made by hand, with weights as rows."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from lamina.baselines import fit_baselines
from lamina.data.encoder import Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.table import Column, Table, text_column

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
    reference = Ridge().fit(design()[chosen], y[chosen, 0], sample_weight=chosen + 1.0).predict(design())
    np.testing.assert_allclose(predictors["linear"](arrays)[:, 0], reference, rtol=1e-6)
    assert predictors["constant"](arrays)[0, 0] == pytest.approx(np.average(y[:, 0], weights=np.arange(1.0, 81)))


def test_weights_are_rows():
    numbers = np.column_stack([3 * X[:, 0] - BIT, X[:, 1]]) + RNG.normal(size=(80, 2))
    counts = RNG.integers(1, 4, 80)
    encoder, arrays = encoded()
    repeated_arrays = {name: np.repeat(values, counts, axis=0) for name, values in arrays.items()}
    for y, labels in ((numbers, False), ((numbers > 0).astype(float), True)):
        weighted = fit_baselines(encoder, arrays, y, counts.astype(float), 0, RNG, labels)
        repeated = fit_baselines(encoder, repeated_arrays, np.repeat(y, counts, axis=0), None, 0, RNG, labels)
        for name in ("linear", "constant"):
            np.testing.assert_allclose(weighted[name](arrays), repeated[name](arrays), rtol=1e-3 if labels else 1e-5)


def test_a_class_without_training_rows_keeps_its_column():
    y = np.where(X[:, 0] > 0, 2, 0)
    encoder, arrays = encoded()
    probabilities = fit_baselines(encoder, arrays, y, None, 3, RNG)["linear"](arrays)
    assert probabilities.shape == (80, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
