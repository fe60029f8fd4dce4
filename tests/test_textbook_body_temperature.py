"""Body temperature: the verdicts, the risk, and the area under the ROC curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.body_temperature import EXPERIMENT, auc, patients, risk
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "monotonic": "held",
        "linear": "held",
        "one-sided": "held",
        "distance": "held",
        "mlp": "held",
        "turning-point": "held",
    }


def test_risk_is_least_at_37_and_the_same_on_both_sides():
    assert risk(37.0) == pytest.approx(1 / (1 + np.exp(4)))
    assert risk(35.0) == pytest.approx(risk(39.0)) == pytest.approx(1 / (1 + np.exp(1.6)))


def test_patients_die_as_often_as_their_risk_says():
    temperature, died = patients(200_000, np.random.default_rng(0))
    cold = temperature < 33.5
    assert np.mean(died[cold]) == pytest.approx(np.mean(risk(temperature[cold])), abs=0.01)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_is_that_of_scikit_learn_with_ties(rows):
    score, y = np.array([*rows, (0, True), (1, False)]).T
    assert auc(score, y) == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_the_area_sees_only_the_order():
    temperature, died = patients(2_000, np.random.default_rng(1))
    assert auc(risk(temperature), died) == auc(np.abs(temperature - 37), died)


def test_patients_begin_at_the_lowest_temperature():
    temperature, _ = patients(10_000, np.random.default_rng(2), lowest=35)
    assert (temperature.min(), temperature.max()) == (pytest.approx(35, abs=0.01), pytest.approx(41, abs=0.01))
