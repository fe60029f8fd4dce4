"""Universal approximation: the verdicts, the sum of ReLUs by hand, and the slope on log axes."""

import numpy as np
import pytest

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.universal_approximation import EXPERIMENT, FUNCTIONS, by_hand, error, slope
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "sine": "held",
        "bump": "held",
        "root": "held",
        "representing": "held",
        "learning": "held",
    }


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
