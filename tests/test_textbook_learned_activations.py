"""pReLU and Swish: the verdicts, and what is read off a model."""

import pytest
import torch

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.learned_activations import EXPERIMENT, INITIAL, learned, parts
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_both_numbers_are_learned():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    verdicts = {each.claim.name: each.verdict for each in outcome.judged}
    assert verdicts == {"alpha-passes": "held", "alpha-learned": "held", "beta-learned": "held"}
    for name in ("prelu", "swish"):
        gain = [
            relu - other
            for relu, other in zip(
                outcome.figures["relu_loss"].values, outcome.figures[f"{name}_loss"].values, strict=True
            )
        ]
        assert outcome.figures[f"{name}_gain"].values == pytest.approx(gain, rel=1e-12)


def test_the_numbers_are_those_of_the_layers_in_their_order():
    model = lamina.prepare("iris", hidden_units=(4, 4, 4), activation="prelu").current()
    assert learned(model) == [0.25, 0.25, 0.25]
    assert {name: lamina.ACTIVATIONS[name].parameter.initial for name in ("prelu", "swish")} == INITIAL
    with torch.no_grad():
        model.network.hidden[1].activation.parameter.fill_(-0.5)
    assert learned(model) == [0.25, -0.5, 0.25]


def test_no_row_is_on_both_sides():
    train, test = parts(1, Setting(quick=True))
    assert (train.n_rows, test.n_rows) == (1197, 600)
    assert sorted([*train.positions, *test.positions]) == list(range(1797))
