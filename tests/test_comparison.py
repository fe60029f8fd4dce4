"""Would a simpler model do? Losses of rows, the paired bootstrap interval, and what a fit reports."""

import numpy as np
import pytest

import lamina
from lamina.cli.train import _comparison
from lamina.comparison import bootstrap_interval, row_losses
from lamina.metrics import score


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_row_losses_add_up_to_the_metrics(rng):
    p = rng.dirichlet(np.ones(3), 50)
    p[0] = [1, 0, 0]  # a probability of 0 is as in the metric
    y, w = rng.integers(0, 3, 50), rng.uniform(0.5, 2, 50)
    y[0] = 1
    expected = score("classification", y, p, w)["log_loss"]
    assert np.average(row_losses("classification", y, p), weights=w) == pytest.approx(expected, rel=1e-12)
    labels, q = rng.integers(0, 2, (50, 2)), rng.uniform(size=(50, 2))
    expected = score("multilabel", labels, q, w)["log_loss"]
    assert np.average(row_losses("multilabel", labels, q), weights=w) == pytest.approx(expected, rel=1e-12)
    values, predicted = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    expected = score("regression", values, predicted, w)["rmse"] ** 2
    assert np.average(row_losses("regression", values, predicted), weights=w) == pytest.approx(expected, rel=1e-12)


def test_the_interval_is_that_of_a_direct_bootstrap(rng):
    values = rng.exponential(size=80)
    found = bootstrap_interval(values, rng=np.random.default_rng(1))
    samples = values[np.random.default_rng(2).integers(0, 80, (20_000, 80))].mean(axis=1)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), abs=0.02)


def test_the_weighted_interval_is_that_of_a_direct_bootstrap(rng):
    values, weights = rng.normal(size=60), rng.uniform(0.1, 3, 60)
    found = bootstrap_interval(values, weights, rng=np.random.default_rng(1))
    index = np.random.default_rng(2).integers(0, 60, (20_000, 60))
    samples = (values * weights)[index].sum(axis=1) / weights[index].sum(axis=1)
    assert found.mean == pytest.approx(np.average(values, weights=weights), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), abs=0.02)


def test_the_interval_repeats_with_the_seed():
    values = np.arange(10.0)
    first, second = (bootstrap_interval(values, rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials = 300
    covered = 0
    for _ in range(trials):
        found = bootstrap_interval(rng.normal(0.3, 1, 100), rng=rng, resamples=200)
        covered += found.low <= 0.3 <= found.high
    # 95 % less a little for 100 rows; the standard error of the share over 300 trials is 1.3 %.
    assert 0.90 <= covered / trials <= 0.985


def test_a_fit_compares_the_mlp_with_its_baselines():
    model = lamina.fit("iris", members=1, epochs=10, test=0.3)
    record = model.report.comparison
    assert (record["loss"], record["rows"], record["scored_on"]) == ("log_loss", 45, "test")
    assert record["losses"]["mlp"] == pytest.approx(model.report.scores["test"]["log_loss"])
    assert record["losses"]["linear"] == pytest.approx(model.report.baselines["linear"]["log_loss"])
    by_constant = record["improvement"]["constant"]
    assert by_constant["low"] < by_constant["mean"] < by_constant["high"]
    assert by_constant["mean"] == pytest.approx(record["losses"]["constant"] - record["losses"]["mlp"])
    assert set(record["training_losses"]) == {"mlp", "linear", "constant"}
    assert record["training_losses"]["constant"] == pytest.approx(np.log(3), abs=0.01)


def test_a_straight_line_needs_no_mlp(rng):
    x = rng.normal(size=(300, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=300)
    record = lamina.fit((x, y), members=1, epochs=10, test=0.3).report.comparison
    assert not record["worth_it"]
    assert record["improvement"]["linear"]["low"] <= 0 < record["improvement"]["constant"]["low"]
    assert "the MLP is not worth it: a linear model" in _comparison(record)


def test_a_curve_needs_one(rng):
    x = rng.uniform(-2, 2, size=(400, 1))
    record = lamina.fit((x, (x[:, 0] ** 2)), members=1, epochs=20, test=0.3).report.comparison
    assert record["worth_it"]
    assert record["improvement"]["linear"]["low"] > 0
    assert _comparison(record).startswith("the MLP is better than a linear model: squared error ")


def test_nothing_is_compared_without_held_out_rows_baselines_or_a_mean():
    quick = {"members": 1, "epochs": 2}
    assert lamina.fit("iris", validation=0.0, **quick).report.comparison == {}
    assert lamina.fit("iris", baselines=False, **quick).report.comparison == {}
    assert lamina.fit("diabetes", loss="quantile", quantile=0.9, **quick).report.comparison == {}


def test_a_comparison_is_saved(tmp_path):
    model = lamina.fit("iris", members=4, epochs=2)
    assert lamina.load(model.save(tmp_path / "m")).report.comparison == model.report.comparison
