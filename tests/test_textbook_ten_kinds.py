"""Ten kinds of clothing: the verdicts, the images, the weights handed over, and the mistakes drawn."""

import numpy as np
import pytest

import lamina
from lamina.textbook import scratch
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.ten_kinds import CLOTHING, EXPERIMENT, mistakes, pictures, weights
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "probabilities-sum": "held",
        "probabilities-positive": "held",
        "minimised": "held",
        "recognised": "held",
        "same-model": "held",
        "same-accuracy": "held",
        "mlp": "held",
    }


def test_weights_of_the_library_give_its_logits_on_plain_pixels():
    digits = lamina.read_table("digits").rows(np.arange(300))
    model = lamina.fit(digits, hidden_units=(), epochs=3, baselines=False)
    images = digits["image"].values.reshape(300, -1).astype(float)
    logits = scratch.softmax_regression_forward(weights(model), images)
    np.testing.assert_allclose(logits, model.predict_logits(digits), rtol=0, atol=1e-10)


def test_mistakes_are_counted_and_the_surest_come_first():
    probabilities = np.full((4, 10), 0.01)
    for row, (predicted, p) in enumerate([(1, 0.6), (2, 0.9), (3, 0.8), (4, 0.99)]):
        probabilities[row, predicted] = p
    found = mistakes(probabilities, np.arange(4), np.array([0, 2, 0, 5]))
    assert found["confusion"].sum() == 4
    assert {tuple(cell) for cell in np.argwhere(found["confusion"] == 1)} == {(0, 1), (2, 2), (0, 3), (5, 4)}
    assert found["wrong"] == [(3, 5, 4), (2, 0, 3), (0, 0, 1)]


@pytest.mark.slow
def test_clothing_is_numbered_in_the_official_order(lamina_data):
    *_, x_test, y_test, names = pictures(0, Setting(data_dir=str(lamina_data / "fashion-mnist")))
    table = lamina.read_table("fashion-mnist:test", data_dir=str(lamina_data / "fashion-mnist"))
    assert [name.en for name in names] == list(CLOTHING)
    assert [names[number].en for number in y_test[:50]] == [table["label"].cell(row) for row in range(50)]
    np.testing.assert_array_equal(x_test, table["image"].values)
