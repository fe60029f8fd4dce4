"""Would a simpler model do? Losses of rows, the paired bootstrap interval, and what a fit reports."""

import numpy as np
import polars as pl
import pytest
from scipy.special import xlogy
from sklearn.metrics import log_loss

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


def test_nothing_is_compared_without_held_out_rows_or_baselines():
    quick = {"members": 1, "epochs": 2}
    assert lamina.fit("iris", validation=0.0, **quick).report.comparison == {}
    assert lamina.fit("iris", baselines=False, **quick).report.comparison == {}


def test_a_comparison_is_saved(tmp_path):
    model = lamina.fit("iris", members=4, epochs=2)
    assert lamina.load(model.save(tmp_path / "m")).report.comparison == model.report.comparison


def pinball(y, p, q):
    return np.where(y >= p, q * (y - p), (q - 1) * (y - p))


@pytest.mark.parametrize(
    ("loss", "options", "by_hand"),
    [
        ("squared_error", {}, lambda y, p: (y - p) ** 2),
        ("absolute_error", {}, lambda y, p: abs(y - p)),
        ("quantile", {"quantile": 0.8}, lambda y, p: pinball(y, p, 0.8)),
        ("poisson", {}, lambda y, p: xlogy(y, y / p) - y + p),
    ],
)
def test_the_three_are_compared_by_the_loss_that_was_minimised(rng, loss, options, by_hand):
    x, w = rng.normal(size=(400, 2)), rng.uniform(0.3, 2, 400)
    y = rng.poisson(np.exp(1 + 0.5 * x[:, 0])).astype(float)
    data = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y, "w": w})
    settings = {"task": "regression", "weight": "w", "members": 1, "epochs": 8, "numeric": "standard"}
    model = lamina.fit(data, "y", loss=loss, test=data[300:], **options, **settings)
    record, held = model.report.comparison, slice(300, 400)
    assert record["loss"] == loss
    expected = np.average(by_hand(y[held], model.predict(data[300:])), weights=w[held])
    assert record["losses"]["mlp"] == pytest.approx(expected, rel=1e-5)
    train = lamina.prepare(data, "y", loss=loss, test=data[300:], **options, **settings).parts["train"]
    known, known_w = train.y[:, 0], train.weights
    q = options.get("quantile", 0.5)
    means = ("squared_error", "poisson")
    constant = np.average(known, weights=known_w)
    if loss not in means:
        constant = np.quantile(known, q, weights=known_w, method="inverted_cdf")
    expected = np.average(by_hand(y[held], constant), weights=w[held])
    assert record["losses"]["constant"] == pytest.approx(expected, rel=1e-9)
    assert record["losses"]["linear"] < record["losses"]["constant"]


def test_huber_is_compared_in_the_unit_of_the_target(rng):
    x = rng.normal(size=(300, 1))
    y = 100 * x[:, 0] + 100 * rng.standard_t(2, size=300)
    model = lamina.fit((x, y), loss="huber", huber_delta=0.5, members=1, epochs=5, test=(x[200:], y[200:]), seed=0)
    train = lamina.prepare((x, y), loss="huber", members=1, epochs=5, test=(x[200:], y[200:]), seed=0).parts["train"]
    delta, missed = 0.5 * train.y.std(), abs(y[200:] - model.predict(x[200:]))
    expected = np.where(missed <= delta, missed**2 / 2, delta * (missed - delta / 2)).mean()
    assert model.report.comparison["losses"]["mlp"] == pytest.approx(expected, rel=1e-6)


def test_several_numbers_count_by_their_deviations(rng):
    x = rng.normal(size=(300, 2))
    y = np.column_stack([x[:, 0] + 0.1 * rng.normal(size=300), 1e6 * rng.normal(size=300)])
    model = lamina.fit((x, y), members=1, epochs=5, test=(x[200:], y[200:]), seed=0)
    train = lamina.prepare((x, y), members=1, epochs=5, test=(x[200:], y[200:]), seed=0).parts["train"]
    missed = (y[200:] - model.predict(x[200:])) / train.y.std(axis=0)
    assert model.report.comparison["losses"]["mlp"] == pytest.approx((missed**2).mean(), rel=1e-6)


def rare(n: int = 3000, seed: int = 0):
    """Linear in x, about 4 % of the rare class: there is nothing to underfit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = rng.random(n) < 1 / (1 + np.exp(4 - 1.5 * x[:, 0]))
    return pl.DataFrame(x, schema=list("abc")).with_columns(y=pl.Series(y))


@pytest.fixture(scope="module")
def weighted_classes():
    data = rare()
    options = {"members": 4, "hidden_units": (16,), "epochs": 15, "seed": 0, "test": data[2000:]}
    return data, lamina.fit(data[:2000], "y", class_weight="balanced", **options)


def test_weighted_classes_are_compared_with_weighted_baselines(weighted_classes):
    data, model = weighted_classes
    record, held = model.report.comparison, data[2000:]
    assert record["class_weight"] is True
    assert record["improvement"]["constant"]["low"] > 0
    assert [finding["name"] for finding in model.report.diagnosis] == []
    y, p = held["y"].to_numpy().astype(int), model.predict_proba(held)
    w = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    assert record["losses"]["mlp"] == pytest.approx(log_loss(y, p, sample_weight=w), rel=1e-6)
    assert record["losses"]["constant"] == pytest.approx(np.log(2), rel=1e-6)  # half and half, weighted
    assert "log loss with the weights of the classes" in _comparison(record)
    assert "log loss with the weights of the classes" in model.page()


def test_the_probabilities_of_weighted_classes_are_called_so(weighted_classes):
    data, model = weighted_classes
    y, p = data[2000:]["y"].to_numpy(), model.predict_proba(data[2000:])[:, 1]
    (note,) = [note for note in model.report.notes if note.startswith("class_weight")]
    assert f"the mean probability of True is {p.mean():.3g}, and its share of the rows is {y.mean():.3g}" in note
    assert p.mean() > 5 * y.mean()
    curve = model.report.curves["calibration"]["after"]
    w = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    right = np.average((p > 0.5) == y, weights=w)
    rows, accuracy = np.array(curve["rows"]), np.array(curve["accuracy"])
    assert np.average(accuracy, weights=rows) == pytest.approx(right, rel=1e-9)
    assert "The classes have weights: the probabilities are those of the weighted classes" in model.page()


def test_a_blend_is_called_one(rng):
    x = rng.normal(size=(300, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=300)
    model = lamina.fit((x, y), members=4, hidden_units=(16,), epochs=10, test=0.3, seed=0)
    share = model.linear.share
    record = model.report.comparison
    assert record["linear_share"] == pytest.approx(share)
    said = f"the blend of the MLP with a linear model, which counts for {share:.0%}, is "
    assert _comparison(record).startswith(said)
    assert f"This model is a blend: a linear model counts for {share:.0%} of it." in model.page()
    assert f"MLP with {share:.0%} linear" in model.page()
    alone = lamina.fit((x, y), members=1, epochs=3, test=0.3, seed=0)
    assert "linear_share" not in alone.report.comparison
    assert "% linear" not in alone.page()
