"""Inverted images: the verdicts, which images are inverted, and the gradients by the pixels."""

import numpy as np
import pytest

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.inverted_images import (
    EXPERIMENT,
    gradients,
    half_inverted,
    rarer_sign,
    right_both_ways,
)
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "linear-collapses": "held",
        "right-once": "held",
        "nothing-gained": "held",
        "mlp-does-not": "held",
        "linear-one-sign": "held",
        "mlp-context": "held",
    }


def test_half_of_the_images_are_inverted():
    images = np.arange(10 * 2 * 3, dtype=np.uint8).reshape(10, 2, 3)
    mixed = half_inverted(images, 255, np.random.default_rng(0))
    assert mixed.dtype == np.uint8
    inverted = [bool((mixed[i] == 255 - images[i]).all()) for i in range(10)]
    as_it_was = [bool((mixed[i] == images[i]).all()) for i in range(10)]
    assert sum(inverted) == sum(as_it_was) == 5
    assert np.logical_xor(inverted, as_it_was).all()


def test_gradients_are_differences_of_the_logits():
    digits = lamina.read_table("digits").rows(np.arange(200))
    model = lamina.fit(digits, hidden_units=(16,), dtype="float64", epochs=2, baselines=False)
    x, y = digits["image"].values[:3].astype(np.float64), 4
    every = gradients(model, x)
    assert every.shape == (10, 3, 8, 8)
    step = np.zeros((8, 8))
    step[3, 4] = 1e-3
    logits = [model.predict_logits(x + sign * step) for sign in (1, -1)]
    np.testing.assert_allclose(every[:, :, 3, 4], (logits[0] - logits[1]).T / 2e-3, rtol=0, atol=1e-5)
    assert every[y, :, 3, 4].any()


def test_rarer_sign_is_the_smaller_share_of_each_class():
    effects = np.array([[1.0, 2.0, -1.0, 3.0], [-1.0, -1.0, -1.0, -1.0]])
    assert rarer_sign(effects) == pytest.approx((0.25 + 0.0) / 2)


def test_a_linear_model_is_right_twice_only_about_the_class_that_grey_is_taken_for():
    digits = lamina.read_table("digits")
    x, y = digits["image"].values, digits["digit"].values
    linear = lamina.fit((x[:1000], y[:1000]), hidden_units=(), epochs=5, baselines=False)
    twice, exceptions = right_both_ways(linear, x[1000:], y[1000:], 16)
    assert exceptions == 0
    assert twice <= np.mean(y[1000:] == linear.predict(np.full((1, 8, 8), 8.0))[0])
    # The logits of an image and its inverse add up to twice those of grey.
    total = linear.predict_logits(x[:5]) + linear.predict_logits(16 - x[:5])
    np.testing.assert_allclose(total, np.repeat(2 * linear.predict_logits(np.full((1, 8, 8), 8.0)), 5, 0), atol=1e-4)
    # An MLP is under no such law.
    mixed = half_inverted(x[:1000], 16, np.random.default_rng(0))
    mlp = lamina.fit((mixed, y[:1000]), hidden_units=(64,), epochs=20, baselines=False)
    assert right_both_ways(mlp, x[1000:], y[1000:], 16)[1] > 100
