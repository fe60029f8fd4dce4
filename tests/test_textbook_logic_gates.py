"""All 16 logic operations: the verdicts, the truth tables, and the network by hand."""

import numpy as np
import pytest

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.logic_gates import (
    EXPERIMENT,
    GATES,
    NAMES,
    ROWS,
    XOR,
    by_hand,
    wrong,
    xor_of_two_units,
)
from lamina.textbook.runner import run_one

PYTHON = {
    "0": lambda a, b: False,
    "AND": lambda a, b: a and b,
    "A > B": lambda a, b: a > b,
    "A": lambda a, b: a,
    "A < B": lambda a, b: a < b,
    "B": lambda a, b: b,
    "XOR": lambda a, b: a != b,
    "OR": lambda a, b: a or b,
    "NOR": lambda a, b: not (a or b),
    "XNOR": lambda a, b: a == b,
    "NOT B": lambda a, b: not b,
    "A ≥ B": lambda a, b: a >= b,
    "NOT A": lambda a, b: not a,
    "A ≤ B": lambda a, b: a <= b,
    "NAND": lambda a, b: not (a and b),
    "1": lambda a, b: True,
}


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "threshold": "held",
        "relu": "held",
        "xor-of-two": "held",
        "learned": "held",
        "linear-xor": "held",
        "linear-others": "held",
    }
    assert outcome.figures["linear_failed"].values == (2, 2, 2)


def test_truth_tables_are_those_of_their_names():
    expected = [[float(PYTHON[name](bool(a), bool(b))) for name in NAMES] for a, b in ROWS]
    assert GATES.tolist() == expected
    assert len({tuple(column) for column in GATES.T}) == 16


@pytest.mark.parametrize("activation", ["threshold", "relu"])
def test_by_hand_every_operation_is_exact(activation):
    assert np.array_equal(by_hand(ROWS, activation), GATES)


def test_wrong_rows_are_counted_by_gate():
    answers = GATES.copy()
    answers[:3, 6] = 1 - answers[:3, 6]
    assert wrong(answers).tolist() == [0] * 6 + [3] + [0] * 9


def test_xor_of_two_units_is_exact():
    assert xor_of_two_units(ROWS).tolist() == GATES[:, XOR].tolist() == [0.0, 1.0, 1.0, 0.0]
