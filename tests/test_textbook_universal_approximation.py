"""Universal approximation: the verdicts, the sum of ReLUs by hand, and the slope on log axes."""

import numpy as np
import pytest

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.universal_approximation import (
    EXPERIMENT,
    FUNCTIONS,
    best_parabola,
    by_hand,
    error,
    largest_error_at_the_step,
    ramp,
    slope,
    squares,
    step,
)
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_has_its_verdict():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "sine": "held",
        "bump": "held",
        "root": "held",
        "representing": "held",
        "any-function": "refuted",
        "not-a-step": "held",
        "step-in-the-mean": "held",
        "no-polynomial": "held",
        "learning": "held",
        "learning-root": "refuted",
        "learning-default": "held",
    }
    # The root is the function that is learned best, by either recipe.
    assert max(outcome.figures["ratio_root"].values) < min(outcome.figures["ratio_smooth"].values)
    assert outcome.figures["default_least"].values == outcome.figures["default_ratio_root"].values


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", [1, 4, 37])
def test_by_hand_is_the_piecewise_linear_interpolation(name, n):
    function, x, knots = FUNCTIONS[name], np.linspace(0, 1, 501), np.linspace(0, 1, n + 1)
    expected = np.interp(x, knots, function(knots))
    assert np.allclose(by_hand(function, n)(x), expected, rtol=0, atol=1e-12)


def test_error_is_the_root_mean_square():
    assert error(lambda x: x + 0.5, lambda x: x) == pytest.approx(0.5, rel=1e-12)


def test_error_of_a_parabola_by_hand_is_the_known_one():
    # On an interval of length h the interpolation of x² is off by (x - a)(b - x), whose mean square is h⁴ / 30.
    assert error(by_hand(np.square, 10), np.square) == pytest.approx(0.1**2 / 30**0.5, rel=1e-3)


def test_slope_is_the_exponent():
    assert slope([4, 8, 16], [3 * n**-1.5 for n in (4, 8, 16)]) == pytest.approx(-1.5, rel=1e-12)


@pytest.mark.parametrize("n", [4, 37, 1024])
def test_a_ramp_comes_closer_to_the_step_in_the_mean_and_never_at_the_jump(n):
    x = np.array([0.0, 0.5 - 0.5 / n, 0.5, 0.5 + 0.5 / n, 1.0])
    np.testing.assert_allclose(ramp(n)(x), [0, 0, 0.5, 1, 1], rtol=0, atol=1e-12)
    assert largest_error_at_the_step(ramp(n)) == pytest.approx(0.5, abs=1e-12)
    # On either side the difference goes from 0 to 1/2 over 1/(2n): its mean square is 1 / (12 n).
    assert np.mean((ramp(n)(FINE) - step(FINE)) ** 2) == pytest.approx(1 / (12 * n), rel=0.02)


FINE = (np.arange(200_000) + 0.5) / 200_000


def test_a_constant_is_as_far_from_the_step_as_its_larger_side():
    assert largest_error_at_the_step(lambda x: np.full(len(x), 0.3)) == pytest.approx(0.7)


@pytest.mark.parametrize("n", [3, 200])
def test_units_of_squares_are_a_parabola_however_many(n):
    found = squares(np.square, n, np.random.default_rng(0))
    assert error(found, np.square) < 1e-9
    assert error(squares(FUNCTIONS["sine"], n, np.random.default_rng(1)), FUNCTIONS["sine"]) == pytest.approx(
        best_parabola(FUNCTIONS["sine"]), rel=1e-9
    )
