"""Vanishing gradients: the verdicts, the untrained networks, and the gradient of the first layer."""

import numpy as np
import pytest
import torch

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.vanishing_gradients import EXPERIMENT, UNITS, factor, first_gradient, untrained
from lamina.textbook.runner import run_one


@pytest.fixture(scope="module")
def rows():
    return lamina.read_table("digits").rows(np.arange(100))


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "sigmoid": "held",
        "sigmoid-quarter": "held",
        "relu": "held",
        "relu-explosion": "held",
        "relu-small": "held",
        "tanh-small": "held",
    }


def test_depth_counts_the_output_layer_and_small_weights_are_small(rows):
    matched, small = (untrained(rows, 5, "relu", start, 0).network for start in ("matched", "small"))
    assert matched.n_layers == small.n_layers == 5
    # Of 64 x 64 draws the standard deviation is off by about 1 %.
    assert float(small.hidden[2].affine.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(small.output.weight.detach().std()) == pytest.approx(0.01, rel=0.15)
    assert float(matched.hidden[2].affine.weight.detach().std()) == pytest.approx((2 / UNITS) ** 0.5, rel=0.05)


def test_first_gradient_is_that_of_autograd(rows):
    model = untrained(rows, 3, "tanh", "matched", 1)
    network = model.network.double()
    inputs = {name: torch.as_tensor(array) for name, array in model.encoder.transform(rows, "float64").items()}
    y = torch.as_tensor(model.schema.target.encode(rows))
    loss = torch.nn.functional.cross_entropy(network(inputs), y)
    (gradient,) = torch.autograd.grad(loss, network.hidden[0].affine.weight)
    assert first_gradient(rows, 3, "tanh", "matched", 1) == pytest.approx(float(gradient.norm()), rel=1e-6)


def test_factor_is_that_of_one_layer():
    assert factor([5.0, 1.0, 5.0 * 0.5**48]) == pytest.approx(0.5, rel=1e-12)
