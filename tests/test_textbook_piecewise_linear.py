"""Piecewise linear networks: the verdicts, the data, and the two measurements on models whose answer is known."""

import numpy as np
import pytest

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.piecewise_linear import (
    EXPERIMENT,
    OPTIONS,
    formula_error,
    neighbour_error,
    regions_of,
    straight,
    two_moons,
)
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "learned": "held",
        "relu-regions": "held",
        "prelu-regions": "held",
        "whole-plane": "held",
        "within-distance": "held",
        "relu-straight": "held",
        "prelu-straight": "held",
        "sigmoid-curved": "held",
    }
    assert [drawing.name for drawing in outcome.drawn] == ["regions", "line"]
    assert all(each >= 0.95 for each in outcome.figures["sigmoid_accuracy"].values)


def test_the_moons_are_half_circles_with_noise():
    points, moon = two_moons(20_000, np.random.default_rng(0))
    upper, lower = points[moon == 0], points[moon == 1]
    assert len(upper) == len(lower) == 10_000
    # A half circle of radius 1 has its centre of mass 2/π from the centre.
    assert upper.mean(axis=0) == pytest.approx([0, 2 / np.pi], abs=0.02)
    assert lower.mean(axis=0) == pytest.approx([1, 0.5 - 2 / np.pi], abs=0.02)


def untrained(**options) -> lamina.Model:
    rows = two_moons(100, np.random.default_rng(0))
    return lamina.prepare(rows, **{**OPTIONS, **options}).current()


def test_a_linear_model_is_one_region_and_straight_everywhere():
    model = untrained(hidden_units=())
    assert regions_of(model).n_regions == 1
    assert straight(model, np.random.default_rng(0)) == 1.0


def test_a_sigmoid_network_is_straight_nowhere_and_has_no_regions():
    model = untrained(activation="sigmoid")
    assert straight(model, np.random.default_rng(0)) < 0.05
    with pytest.raises(lamina.ConfigError, match="the activation 'sigmoid' of hidden layer 1 is not piecewise linear"):
        regions_of(model)


def test_a_formula_of_another_network_is_found_out():
    model, other = untrained(activation="relu", seed=0), untrained(activation="relu", seed=1)
    rng = np.random.default_rng(0)
    assert formula_error(model, regions_of(model), rng) < 1e-12
    assert formula_error(model, regions_of(other), rng) > 0.1
    assert neighbour_error(model, rng) < 1e-12


def test_before_training_all_kinks_run_through_the_mean():
    # All biases are 0: the network is homogeneous about the mean, which standardising moves to the origin.
    model = untrained(activation="relu")
    points, _ = two_moons(100, np.random.default_rng(0))
    mean, direction = points.mean(axis=0), np.array([0.3, -0.8])
    logits = [model.predict_logits((mean + t * direction)[None])[0] for t in (0.5, 1.0)]
    np.testing.assert_allclose(2 * logits[0], logits[1], rtol=0, atol=1e-12)
