"""Baselines against scikit-learn on a design made by hand, with weights as rows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from lamina.baselines import fit_baselines
from lamina.data.encoder import Encoder
from lamina.data.schema import Schema
from lamina.data.table import Column, Table, text_column

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2))
COLOUR = ["red" if v > 0 else "blue" for v in RNG.normal(size=80)]
BIT = np.array([c == "red" for c in COLOUR])


def encoded(y: np.ndarray, weights: np.ndarray | None = None):
    columns = {"a": Column("number", X[:, 0]), "b": Column("number", X[:, 1]), "c": text_column(COLOUR)}
    table = Table({**columns, "y": Column("number", y)}, 80)
    schema = Schema.infer(table, "y")
    checked, _ = schema.check(table)
    encoder = Encoder.fit(schema, checked, weights)
    return encoder, encoder.transform(checked, "float64")


def design() -> np.ndarray:
    standard = (X - X.mean(0)) / X.std(0)
    return np.column_stack([standard, ~BIT, BIT]).astype(float)


def test_linear_classification_is_logistic_regression_on_standardised_columns():
    y = (X[:, 0] + BIT + RNG.normal(size=80) > 0).astype(int)
    encoder, arrays = encoded(y)
    predictors = fit_baselines(encoder, arrays, y, None, 2, RNG)
    reference = LogisticRegression().fit(design(), y).predict_proba(design())
    np.testing.assert_allclose(predictors["linear"](arrays), reference, atol=1e-3)
    np.testing.assert_allclose(predictors["constant"](arrays), np.tile([1 - y.mean(), y.mean()], (80, 1)))


def test_linear_regression_is_ridge_on_standardised_columns():
    y = 3 * X[:, 0] - BIT + RNG.normal(size=80)
    encoder, arrays = encoded(y)
    predictors = fit_baselines(encoder, arrays, y, None, 0, RNG)
    reference = Ridge().fit(design(), y).predict(design())
    np.testing.assert_allclose(predictors["linear"](arrays)[:, 0], reference, rtol=1e-6)
    assert predictors["constant"](arrays)[0, 0] == pytest.approx(y.mean())


def test_weights_are_rows():
    y = 3 * X[:, 0] - BIT + RNG.normal(size=80)
    counts = RNG.integers(1, 4, 80)
    encoder, arrays = encoded(y)
    weighted = fit_baselines(encoder, arrays, y, counts.astype(float), 0, RNG)
    repeated_arrays = {name: np.repeat(values, counts, axis=0) for name, values in arrays.items()}
    repeated = fit_baselines(encoder, repeated_arrays, np.repeat(y, counts), None, 0, RNG)
    for name in ("linear", "constant"):
        np.testing.assert_allclose(weighted[name](arrays), repeated[name](arrays), rtol=1e-5)


def test_a_class_without_training_rows_keeps_its_column():
    y = np.where(X[:, 0] > 0, 2, 0)
    encoder, arrays = encoded(y)
    probabilities = fit_baselines(encoder, arrays, y, None, 3, RNG)["linear"](arrays)
    assert probabilities.shape == (80, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
