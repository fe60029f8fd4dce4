"""pReLU and Swish: the verdicts, and what is read off a model."""

import pytest
import torch

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.learned_activations import EXPERIMENT, INITIAL, learned, parts, trained
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_has_its_verdict():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "alpha-from-0": "held",
        "alpha-falls": "refuted",
        "beta-learned": "held",
        # Of five seeds some have a gain and some a loss.
        "prelu-gain": "inconclusive",
        "swish-gain": "inconclusive",
    }
    assert not any(each.unexpected for each in outcome.judged)
    assert outcome.experiment.seeds == (3, 4, 5, 6, 7)
    assert [len(figure.values) for figure in outcome.figures.values()] == [5] * len(outcome.figures)
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


def test_training_can_begin_at_another_alpha():
    train, _ = parts(0, Setting(quick=True))
    begun = [
        learned(trained("prelu", train.rows(range(64)), 0, Setting(quick=True), alpha=alpha)) for alpha in (0.0, 0.9)
    ]
    # Of 64 rows there are 20 steps, one for each epoch: too few to bring 0.9 down to where 0 can come up to.
    assert max(begun[0]) < min(begun[1])


def test_no_row_is_on_both_sides():
    train, test = parts(1, Setting(quick=True))
    assert (train.n_rows, test.n_rows) == (1197, 600)
    assert sorted([*train.positions, *test.positions]) == list(range(1797))
