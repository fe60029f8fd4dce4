"""Stacked affine layers: the verdicts, the data, and the one matrix of several layers."""

import numpy as np
import pytest

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.stacked_affine import EXPERIMENT, drawn_rows, fitted, matrix
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "extra-parameters": "held",
        "one-layer": "held",
        "same-function": "held",
        "no-lower-loss": "held",
        "no-better-score": "held",
        "nonlinearity": "held",
        "narrow-rank": "held",
        "narrow-worse": "held",
    }
    # 10 x 32 + 32, twice 32 x 32 + 32 and 32 x 6 + 6, less 10 x 6 + 6.
    assert outcome.figures["extra"].values == (2596, 2596, 2596)


def test_the_classes_are_those_of_the_largest_score():
    x, y = drawn_rows(500, 1, np.random.default_rng(0))
    linear, quadratic = np.random.default_rng(1).normal(size=(2, 10, 6))
    for row, label in zip(x, y, strict=True):
        scores = [sum(row * linear[:, k]) + sum((row**2 - 1) * quadratic[:, k]) for k in range(6)]
        assert scores.index(max(scores)) == label
    assert set(y.tolist()) == set(range(6))


def test_the_matrix_is_the_product_of_the_layers():
    rows = drawn_rows(300, 0, np.random.default_rng(0))
    model = fitted(rows, 0, hidden_units=(7, 2), activation="identity", epochs=3)
    first, second = (block.affine.weight.detach().numpy() for block in model.network.hidden)
    deviations = rows[0].std(axis=0)
    expected = (first / deviations[:, None]) @ second @ model.network.output.weight.detach().numpy()
    assert np.allclose(matrix(model), expected, rtol=1e-10, atol=1e-12)
    assert np.linalg.matrix_rank(expected) == 2
