"""Representation and predictor: the verdicts, the images of a quick run, and the two directions drawn."""

import numpy as np
import pytest

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.representation import EXPERIMENT, pictures, two_directions
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "last-layer-linear": "held",
        "representation": "held",
        "pixels": "held",
    }


def test_a_quick_run_has_every_digit_once_and_half_of_them_inverted():
    x, y, x_test, y_test = pictures(3, Setting(quick=True))
    digits = lamina.read_table("digits")
    assert len(x) == len(y) == 1000
    assert len(x_test) == len(y_test) == digits.n_rows - 1000
    every = np.concatenate([x, x_test]).astype(int)
    every[::2] = 16 - every[::2]
    original = digits["image"].values.astype(int)
    assert sorted(map(bytes, every.reshape(len(every), -1).astype(np.uint8))) == sorted(
        map(bytes, original.reshape(len(original), -1).astype(np.uint8))
    )


def test_two_directions_keep_the_distances_of_points_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(20, 2)) * [3, 1]
    turned = plane @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
    found = two_directions(turned + 7)
    distances = [np.linalg.norm(each[:, None] - each[None], axis=2) for each in (plane, found)]
    np.testing.assert_allclose(distances[0], distances[1], rtol=0, atol=1e-10)
    assert found[:, 0].std() > found[:, 1].std()
