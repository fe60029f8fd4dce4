"""Rowwise and elementwise: the verdicts, what a changed input reaches, and that measuring leaves a model alone."""

import numpy as np
import pytest
import torch

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments import rowwise
from lamina.textbook.experiments.rowwise import (
    EXPERIMENT,
    activations,
    alone,
    batch_norm,
    change,
    probabilities,
    reach,
)
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "activations-elementwise": "held",
        "softmax-rowwise": "held",
        "softmax-not-elementwise": "held",
        "batch-norm-neither": "held",
        "same-row": "held",
        "one-row": "held",
        "train-and-test": "held",
        "order": "held",
        "statistics": "held",
        "layer-norm": "held",
    }


def test_every_activation_is_tried():
    assert len(activations()) == len(lamina.ACTIVATIONS.names())


def test_reach_tells_the_row_from_the_other_rows():
    assert reach(change(lambda x: x * 2, 0)) == (0, 0)
    same_row, other_rows = reach(change(lambda x: x - x.mean(dim=1, keepdim=True), 0))
    assert (same_row, other_rows) == (pytest.approx(0.2, abs=1e-12), 0)
    same_row, other_rows = reach(change(lambda x: x - x.mean(dim=0), 0))
    assert (same_row, other_rows) == (0, pytest.approx(1 / 6, abs=1e-12))


def test_batch_norm_is_the_formula():
    x = torch.tensor([[1.0, 4.0], [3.0, 8.0]], dtype=torch.float64)
    expected = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(batch_norm(x), expected, rtol=0, atol=1e-5)


def test_a_minibatch_in_training_mode_leaves_the_model_as_it_was():
    digits = lamina.read_table("digits").rows(np.arange(200))
    model = lamina.fit(digits, hidden_units=(8,), normalization="batch", epochs=1, baselines=False)
    images = digits["image"].values[:20]
    before = model.predict_proba(digits)
    among_others = probabilities(model, images, training=True)
    np.testing.assert_array_equal(model.predict_proba(digits), before)
    np.testing.assert_allclose(probabilities(model, images, training=False), before[:20], rtol=0, atol=1e-5)
    assert np.abs(among_others - before[:20]).max() > 1e-3
    assert rowwise.refuses_one_row(model, images)


def test_a_minibatch_of_one_is_no_trouble_without_batch_normalization():
    digits = lamina.read_table("digits").rows(np.arange(200))
    model = lamina.fit(digits, hidden_units=(8,), normalization="layer", dropout=0.0, epochs=1, baselines=False)
    images = digits["image"].values[:20]
    assert not rowwise.refuses_one_row(model, images)
    together = probabilities(model, images, training=True)
    np.testing.assert_allclose(probabilities(model, images[:1], training=True), together[:1], rtol=0, atol=1e-6)


def test_a_row_alone_is_0_as_a_row_among_its_equals():
    x = torch.tensor([[1.0, -4.0, 30.0]], dtype=torch.float64)
    assert alone(x).tolist() == [[0.0, 0.0, 0.0]]
    assert float(batch_norm(x.repeat(2, 1)).abs().max()) < 1e-9
