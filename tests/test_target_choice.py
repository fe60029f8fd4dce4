"""A skewed target is transformed where that helps, and only there."""

import numpy as np
import pytest

import lamina
from lamina import target_choice

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
NOISE = RNG.normal(size=600)
OPTIONS = {"seed": 0, "epochs": 2, "members": 4, "baselines": False}


def chosen(y, **options):
    return lamina.fit((X, y), **{**OPTIONS, **options}).config.target_transform


def test_a_product_of_effects_is_transformed():
    assert chosen(np.exp(2 * X[:, 0] + X[:, 1] + 0.1 * NOISE)) in ("log", "quantile")


def test_a_tail_on_the_left_is_a_reason_too():
    assert chosen(-np.exp(2 * X[:, 0])) == "quantile"


@pytest.mark.parametrize(
    ("errors", "name"),
    [
        ({"log": 0.979, "quantile": 0.98}, "log"), ({"log": 0.981, "quantile": 0.951}, "none"),
        ({"log": 0.97, "quantile": 0.93}, "log"), ({"log": 0.97, "quantile": 0.92}, "quantile"),
        ({"log": 1.1, "quantile": 0.949}, "quantile"),
    ],
)  # fmt: skip
def test_a_logarithm_must_be_better_by_2_percent_and_ranks_by_5(errors, name, monkeypatch):
    monkeypatch.setattr(target_choice, "_error", lambda run, held: errors.get(run.config.target_transform, 1.0))
    assert chosen(np.exp(2 * X[:, 0] + X[:, 1])) == name


def test_numbers_whose_squares_overflow_are_looked_at_like_others():
    assert chosen(1e200 * np.exp(2 * X[:, 0] + X[:, 1] + 0.1 * NOISE)) in ("log", "quantile")


def test_a_sum_of_effects_is_left_as_it_is():
    assert chosen(X[:, 0] + X[:, 1] + 0.1 * NOISE) == "none"


def test_a_skewed_target_with_a_value_of_zero_has_no_logarithm():
    y = np.exp(2 * X[:, 0])
    y[0] = 0.0
    assert chosen(y) in ("none", "quantile")


def test_skew_alone_is_no_reason():
    # Rare large errors that no column tells of: the mean is what is asked for, and a logarithm would miss it.
    assert chosen(1 + 0.1 * X[:, 0] + 20.0 * (RNG.random(600) < 0.05)) == "none"


@pytest.mark.parametrize(
    "options", [{"members": 1}, {"early_stopping": False}, {"loss": "absolute_error"}, {"target_transform": "none"}]
)
def test_it_is_tried_only_where_members_are_watched_for_squared_errors(options):
    assert chosen(np.exp(2 * X[:, 0] + X[:, 1]), **options) == "none"


def test_a_name_is_not_overruled():
    assert chosen(np.exp(2 * X[:, 0]), target_transform="quantile") == "quantile"


def test_choosing_leaves_the_training_as_it_would_be():
    y = np.exp(2 * X[:, 0] + X[:, 1] + 0.1 * NOISE)
    by_choice = lamina.fit((X, y), **OPTIONS)
    by_name = lamina.fit((X, y), **OPTIONS, target_transform=by_choice.config.target_transform)
    assert by_choice.config.target_transform != "none"
    np.testing.assert_array_equal(by_choice.predict(X), by_name.predict(X))
