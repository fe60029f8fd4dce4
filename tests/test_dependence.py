"""Partial dependence: scikit-learn's numbers on a table of numbers, levels, dates, weights."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.inspection import partial_dependence as of_scikit_learn

import lamina
from random_models import by_hand, frame, random_model


@pytest.mark.parametrize("members", [1, 4])
def test_regression_agrees_with_scikit_learn(members):
    X, y = load_diabetes(return_X_y=True)
    model = lamina.fit((X, y), epochs=3, hidden_units=(16,), seed=0, members=members)
    found = lamina.partial_dependence(model, X, "x2", 12)
    estimator = lamina.MLPRegressor((16,), max_iter=2, random_state=0).fit(X, y)
    estimator.model_ = model
    expected = of_scikit_learn(
        estimator, X, [2], kind="both", method="brute", custom_values={2: np.array(found.values)}
    )
    assert len(found.values) == 12
    np.testing.assert_allclose(found.mean[:, 0], expected["average"][0], rtol=1e-9)
    lines = expected["individual"][0]
    for probability in (0.1, 0.5, 0.9):
        quantile = np.quantile(lines, probability, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(found.quantiles[probability][:, 0], quantile, rtol=1e-9)
    assert np.ptp(found.mean) > 1


def test_classes_agree_with_scikit_learn():
    X, y = load_iris(return_X_y=True)
    classifier = lamina.MLPClassifier((16,), max_iter=10, random_state=0).fit(X, y)
    found = lamina.partial_dependence(classifier.model_, X, "x3", 50)
    grid = np.unique(X[:, 3])
    assert found.values == tuple(grid)  # fewer values than points: all of them
    assert found.outputs == ("0", "1", "2")
    expected = of_scikit_learn(
        classifier, X, [3], method="brute", custom_values={3: grid}, response_method="predict_proba"
    )
    np.testing.assert_allclose(found.mean.T, expected["average"], rtol=1e-9)
    np.testing.assert_allclose(found.mean.sum(axis=1), 1, rtol=1e-12)


def test_the_grid_is_quantiles():
    model = by_hand([[[2.0], [1.0]]], [[0.5]])
    X = np.column_stack([np.arange(101.0), np.full(101, 3.0)])
    found = lamina.partial_dependence(model, X, "x0", 5)
    assert found.values == (0.0, 25.0, 50.0, 75.0, 100.0)
    np.testing.assert_allclose(found.mean[:, 0], [3.5, 53.5, 103.5, 153.5, 203.5], rtol=1e-12)
    assert (found.column, found.kind, found.n_rows, found.outputs) == ("x0", "number", 101, ("y",))
    assert lamina.partial_dependence(model, X, "x0", 1).values == (50.0,)
    assert lamina.partial_dependence(model, X, "x0", 5, max_rows=20).n_rows == 20


def test_a_category_takes_each_level_a_missing_one_too():
    rng = np.random.default_rng(0)
    kind = rng.choice(["red", "green", "blue"], 80).tolist()
    data = frame(80).with_columns(kind=pl.Series([None if i % 9 == 0 else each for i, each in enumerate(kind)]))
    model = random_model(data, hidden_units=(6,))
    found = lamina.partial_dependence(model, data, "kind")
    assert (found.kind, found.values) == ("category", ("blue", "green", "red", None))
    for level, mean in zip(found.values, found.mean[:, 0], strict=True):
        changed = data.with_columns(kind=pl.lit(level, dtype=pl.String))
        assert mean == pytest.approx(model.predict(changed).mean(), rel=1e-12)


def test_a_date_moves_all_its_parts():
    data = frame(60, mixed=True)
    model = random_model(data, hidden_units=(6,))
    found = lamina.partial_dependence(model, data, "day", 4)
    assert found.kind == "datetime"
    assert found.values[0] == np.datetime64(data["day"].min(), "us")
    assert found.values[-1] == np.datetime64(data["day"].max(), "us")
    for day, mean in zip(found.values, found.mean[:, 0], strict=True):
        moment: datetime = day.astype(object)
        assert mean == pytest.approx(model.predict(data.with_columns(day=pl.lit(moment))).mean(), rel=1e-12)


def test_weights_count_and_the_target_need_not_be_there():
    data = frame(40).with_columns(weight=pl.Series([0.5, 1.2] * 20))
    model = random_model(data, weight="weight", hidden_units=(4,))
    found = lamina.partial_dependence(model, data.drop("y"), "age", 3)
    for value, mean in zip(found.values, found.mean[:, 0], strict=True):
        outputs = model.predict(data.with_columns(age=pl.lit(value)))
        assert mean == pytest.approx(np.average(outputs, weights=data["weight"].to_numpy()), rel=1e-12)
    without = lamina.partial_dependence(model, data.drop("weight", "y"), "age", 3)
    assert np.abs(without.mean - found.mean).max() > 1e-3


def test_refusals():
    model = random_model(frame(), hidden_units=(2,))
    with pytest.raises(lamina.ConfigError) as error:
        lamina.partial_dependence(model, frame(), "aeg")
    assert str(error.value) == ("the model sees no column 'aeg'. Did you mean 'age'? Its columns: age, size, year.")
    with pytest.raises(lamina.ConfigError, match="points = 0 is no whole number above 0; give one"):
        lamina.partial_dependence(model, frame(), "age", 0)
    empty = frame().with_columns(age=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(lamina.DataError, match="every value of 'age' is missing; give rows that have one"):
        lamina.partial_dependence(model, empty, "age")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 2, 2), dtype=np.uint8)
    with pytest.raises(lamina.ConfigError, match="holds image data, which no single value stands for"):
        lamina.partial_dependence(random_model((images, rng.integers(0, 2, 30)), hidden_units=()), images, "image")
