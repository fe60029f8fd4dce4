"""Deep instead of wide: the verdicts, and the networks whose weights are set by hand."""

from itertools import pairwise

import numpy as np
import pytest

import lamina
from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.deep_instead_of_wide import (
    DEEP,
    EXPERIMENT,
    WIDE,
    best_in_one_layer,
    in_one_layer,
    network,
    parabola,
    parabola_error,
    pieces_of,
    sawtooth,
)
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_has_its_verdict():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "doubled": "held",
        "counted": "held",
        "same-function": "held",
        "compact": "held",
        "side-by-side": "held",
        "parabola": "held",
        "parabola-compact": "held",
        "trained-sawtooth": "held",
        "trained-parabola": "refuted",
    }
    # The deep one: 1 x 2 + 2, nine times 2 x 2 + 2, 2 x 1 + 1. The wide one: 3 numbers for each of 1,024 units, and 1.
    assert outcome.figures["deep_parameters"].values == (61, 61, 61)
    assert outcome.figures["wide_parameters"].values == (3073, 3073, 3073)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_sawtooth_is_the_tent_map_composed_with_itself(depth):
    x = np.linspace(0, 1, 257)
    expected = x
    for _ in range(depth):
        expected = np.where(expected < 0.5, 2 * expected, 2 - 2 * expected)
    for layers in (sawtooth(depth), in_one_layer(depth)):
        model = network(layers)
        assert model.predict(x[:, None]).tolist() == expected.tolist()
        assert pieces_of(model).n_distinct == 2**depth
    assert network(sawtooth(depth)).network.n_layers == depth + 1


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_the_parabola_is_exact_where_its_pieces_meet_and_furthest_between_them(depth):
    model = network(parabola(depth))
    ends = np.arange(2**depth + 1) / 2**depth
    middles = (ends[1:] + ends[:-1]) / 2
    assert model.predict(ends[:, None]).tolist() == (ends**2).tolist()
    assert model.predict(middles[:, None]).tolist() == (middles**2 + 4.0 ** -(depth + 1)).tolist()
    assert parabola_error(depth) == 4.0 ** -(depth + 1)


def test_the_best_line_for_a_parabola():
    # Of one piece, x - 1/8 is within 1/8 of x² and touches that bound three times: no line is closer.
    x = np.array([0.0, 0.5, 1.0])
    assert (x**2 - (x - 1 / 8)).tolist() == [1 / 8, -1 / 8, 1 / 8]
    assert best_in_one_layer(0) == 1 / 8
    assert best_in_one_layer(3) == pytest.approx(1 / 8 / 16)


def test_a_unit_for_each_piece_is_all_that_the_wide_network_has():
    assert lamina.parameter_count(network(in_one_layer(3))).total == 3 * 8 + 1


def test_the_two_trained_networks_have_the_same_number_of_parameters():
    sizes = (1, *DEEP, 1)
    deep = sum(below * above + above for below, above in pairwise(sizes))
    assert deep == 3 * WIDE[0] + 1 == 463
