"""Prediction intervals: the right error is taken, and they cover what they say."""

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.errors import ConfigError
from lamina.intervals import ConformalScores


def test_the_half_width_is_the_error_that_the_theorem_names():
    # 9 errors, coverage 0.8: the ceil(10 * 0.8) = 8th smallest; 0.9: the 9th.
    scores = ConformalScores.of(np.array([[3.0], [-1.0], [2.0], [-9.0], [8.0], [7.0], [-4.0], [5.0], [6.0]]))
    assert scores.quantiles == ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),)
    assert [scores.half_widths(coverage).tolist() for coverage in (0.1, 0.5, 0.8, 0.9)] == [[1.0], [5.0], [8.0], [9.0]]


def test_each_target_has_its_own():
    scores = ConformalScores.of(np.column_stack([np.arange(1, 20), 10 * np.arange(1, 20)]).astype(float))
    assert scores.half_widths(0.9).tolist() == [18.0, 180.0]


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, float("nan")])
def test_a_coverage_out_of_bounds_is_refused(coverage):
    with pytest.raises(ConfigError, match=r"but it must be above 0 and below 1, such as 0\.9"):
        ConformalScores.of(np.ones((9, 1))).half_widths(coverage)


def test_few_rows_vouch_for_little():
    with pytest.raises(ConfigError, match=r"needs more held-out rows than the 9 there were; ask for at most 0\.9"):
        ConformalScores.of(np.ones((9, 1))).half_widths(0.95)


def test_many_errors_are_thinned_without_narrowing_an_interval():
    errors = np.random.default_rng(0).normal(size=(50_000, 1))
    thinned, exact = ConformalScores.of(errors), np.sort(np.abs(errors[:, 0]))
    assert len(thinned.quantiles[0]) == 2001
    for coverage in (0.5, 0.9, 0.99):
        wanted = exact[int(np.ceil(50_001 * coverage)) - 1]
        assert wanted <= thinned.half_widths(coverage)[0] < 1.01 * wanted


def test_scores_come_back_from_json():
    scores = ConformalScores.of(np.random.default_rng(0).normal(size=(30, 2)))
    assert ConformalScores.from_json(scores.as_json()) == scores


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 2))
    return x, np.exp(0.5 * x[:, 0] + 0.2 * rng.normal(size=1200))


@pytest.mark.parametrize("members", [1, 4])
def test_nine_of_ten_new_values_lie_within(lines, members, tmp_path):
    x, y = lines
    model = lamina.fit((x[:600], y[:600]), members=members, epochs=12, seed=0, baselines=False)
    low, high = model.predict_interval(x[600:]).T
    share = ((low <= y[600:]) & (y[600:] <= high)).mean()
    assert abs(share - 0.9) < 3 * np.sqrt(0.09 / 600) + 0.02
    narrow = model.predict_interval(x[600:], 0.5)
    assert ((narrow[:, 0] > low) & (narrow[:, 1] < high)).all()
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(lamina.load(tmp_path / "m").predict_interval(x), model.predict_interval(x))


def test_a_transformed_target_has_intervals_in_its_own_unit(lines):
    x, y = lines
    model = lamina.fit((x, y), target_transform="log", epochs=5, seed=0, baselines=False, members=4)
    low, high = model.predict_interval(x).T
    predicted = model.predict(x)
    np.testing.assert_allclose(high / predicted, predicted / low, rtol=1e-9)
    assert (low > 0).all()


def test_several_values_have_bounds_each(lines):
    x, y = lines
    model = lamina.fit((x, np.column_stack([y, 100 * y])), epochs=2, seed=0, baselines=False)
    assert model.predict_interval(x[:7]).shape == (7, 2, 2)


def test_who_has_none_is_told_why(lines):
    x, y = lines
    with pytest.raises(ConfigError, match="trained without validation rows, which intervals need"):
        lamina.fit((x, y), epochs=1, early_stopping=False, baselines=False).predict_interval(x)
    with pytest.raises(ConfigError, match="predict_interval is for numbers; this model predicts classes"):
        lamina.fit("iris", epochs=1, baselines=False).predict_interval("iris")


# -- weights


def test_weighted_quantiles_are_those_of_the_rows_that_the_weights_stand_for():
    rng = np.random.default_rng(0)
    errors, counts = rng.exponential(size=(400, 1)), rng.integers(1, 6, 400)
    found = ConformalScores.of(errors, counts.astype(float))
    n_equal = counts.sum() ** 2 / (counts**2).sum()
    assert found.n == int(n_equal)
    for coverage in (0.5, 0.8, 0.9):
        level = (found.n + 1) * coverage / found.n
        rows = np.sort(np.repeat(errors[:, 0], counts))
        expected = rows[int(np.ceil(level * len(rows))) - 1]
        assert expected <= found.half_widths(coverage)[0] <= rows[int(np.ceil((level + 1 / found.n) * len(rows))) - 1]


def test_equal_weights_are_no_weights():
    errors = np.random.default_rng(0).normal(size=(300, 2))
    plain = ConformalScores.of(errors)
    for weights in (np.ones(300), np.full(300, 0.01)):
        assert ConformalScores.of(errors, weights) == plain
    many = np.random.default_rng(0).normal(size=(9000, 1))
    weighted, unweighted = ConformalScores.of(many, np.ones(9000)), ConformalScores.of(many)
    assert weighted.n == unweighted.n
    np.testing.assert_allclose(weighted.quantiles, unweighted.quantiles, atol=2e-3)


def test_copies_vouch_for_no_more_than_the_rows():
    errors = np.random.default_rng(0).normal(size=(50, 1))
    plain = ConformalScores.of(errors)
    copied = ConformalScores.of(np.repeat(errors, 4, axis=0), units=np.repeat(np.arange(50), 4))
    assert copied == plain


@pytest.mark.parametrize("weights", ["broken", "whole"])
def test_intervals_cover_what_the_weights_stand_for(weights):
    rng = np.random.default_rng(0)

    def rows(n, share):
        x, noisy = rng.normal(size=(n, 2)), rng.random(n) < share
        y = x[:, 0] + np.where(noisy, 3.0, 0.2) * rng.normal(size=n)
        return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y}), noisy

    data, noisy = rows(2000, 0.5)
    of_noisy, of_others = (1.7, 0.0213) if weights == "broken" else (3, 1)
    data = data.with_columns(w=pl.Series(np.where(noisy, of_noisy, of_others)))
    model = lamina.fit(data, "y", weight="w", members=4, hidden_units=(16,), epochs=10, seed=0)
    new, _ = rows(4000, of_noisy / (of_noisy + of_others))
    low, high = model.predict_interval(new, 0.9).T
    truth = new["y"].to_numpy()
    assert ((truth > low) & (truth < high)).mean() == pytest.approx(0.9, abs=0.025)  # it was 0.805 with broken ones
