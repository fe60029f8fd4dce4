"""Metrics: worked by hand, weights as rows, and undefined ones left out."""

import math

import numpy as np
import pytest

from lamina.metrics import METRICS, score

Y = np.array([0, 1, 1, 0])
P = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])


def test_classification_by_hand():
    scores = score("classification", Y, P)
    assert scores["accuracy"] == 0.75
    assert scores["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4)
    assert scores["roc_auc"] == 0.75  # of the four pairs, (0.3, 0.4) is in the wrong order
    assert list(scores) == ["accuracy", "log_loss", "roc_auc"]


def test_regression_by_hand():
    scores = score("regression", np.array([1.0, 2.0, 4.0]), np.array([[1.0], [3.0], [2.0]]))
    assert scores["rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert scores["mae"] == 1.0
    assert scores["r2"] == pytest.approx(1 - 5 / (14 / 3))


def test_three_classes_average_one_against_the_rest():
    y = np.array([0, 1, 2, 2])
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
    # Class 0: 1; class 1: its 0.5 is above 0.1, 0.1 and below 0.6: 2/3; class 2: 0.3 ties with 0.3 once in four: 7/8.
    assert score("classification", y, p)["roc_auc"] == pytest.approx((1 + 2 / 3 + 7 / 8) / 3)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_weights_are_rows(task):
    counts = np.array([2, 0, 1, 3])
    y, p = (Y, P) if task == "classification" else (np.array([1.0, 2.0, 4.0, 8.0]), np.array([[1.0], [3], [2], [9]]))
    weighted = score(task, y, p, counts.astype(float))
    repeated = score(task, np.repeat(y, counts), np.repeat(p, counts, axis=0))
    assert weighted == pytest.approx(repeated)


def test_what_is_not_defined_is_left_out():
    assert "roc_auc" not in score("classification", np.array([1, 1]), P[:2])
    assert "r2" not in score("regression", np.array([1.0]), np.array([[2.0]]))


def test_float32_probabilities_do_not_warn(recwarn):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 500).astype(np.float32) * np.float32(1 + 1e-6)
    assert score("classification", rng.integers(0, 5, 500), p)["log_loss"] > 1
    assert not recwarn.list


def test_directions():
    assert {m.name: m.greater_is_better for m in METRICS} == {
        "accuracy": True, "log_loss": False, "roc_auc": True, "rmse": False, "mae": False, "r2": True,
    }  # fmt: skip
