"""Schedules: factors by their formulas, and the learning rates that training makes of them."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.data.encoder import Encoder, NumberCode
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.training.loop import TrainState, train
from lamina.training.rows import Rows
from lamina.training.schedules import SCHEDULES

POINTS = [
    (0.0, 1, 0.5),
    (0.1, 2, 0.5),
    (0.2, 3, 0.3),
    (0.5, 40, 1.0),
    (0.6, 50, 0.0),
    (0.75, 100, 2.0),
    (1.0, 1000, 0.5),
]


def rates(schedule: str, *, epochs: int, learning_rate: float = 0.01, **options) -> tuple[TrainState, list[float]]:
    """Train on 64 rows in minibatches of 32, and return the state and the last learning rate of each epoch."""
    generator = torch.Generator().manual_seed(0)
    network = MLP(Encoder((NumberCode("x", 0.0, 1.0, 0.0, False),), (), ()), 1, hidden_units=(4,), generator=generator)
    state = TrainState.start(
        network, optimizer="adamw", learning_rate=learning_rate, weight_decay=0.0, batch_size=32, generator=generator
    )
    x = torch.linspace(-1, 1, 64)[:, None]
    records = train(
        state, Rows({"numbers": x}, 2 * x), loss=LOSSES["squared_error"], learning_rate=learning_rate,
        schedule=schedule, batch_size=32, epochs=epochs, **options,
    )  # fmt: skip
    return state, [record.learning_rate for record in records]


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_factors_by_formula(name):
    formula = {
        "constant": lambda p, t, power: 1.0,
        "cosine": lambda p, t, power: math.cos(math.pi * p / 2) ** 2,
        "one_cycle": lambda p, t, power: (
            0.04 + 0.96 * p / 0.2 if p <= 0.2 else math.cos(math.pi * (p - 0.2) / 0.8 / 2) ** 2
        ),
        "warm_up": lambda p, t, power: 0.04 + 0.96 * p / 0.2 if p <= 0.2 else 1.0,
        "step": lambda p, t, power: 1.0 if p < 0.5 else 0.1 if p < 0.75 else 0.01,
        "inverse_scaling": lambda p, t, power: 1 / math.exp(power * math.log(t)),
        "adaptive": lambda p, t, power: 1.0,
    }[name]
    factors = [SCHEDULES[name].factor(*point) for point in POINTS]
    assert factors == pytest.approx([formula(*point) for point in POINTS], rel=1e-12, abs=1e-16)


def test_factors_by_hand():
    at = {s.name: [round(s.factor(p, 4, 0.5), 6) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] for s in SCHEDULES}
    assert at == {
        "constant": [1, 1, 1, 1, 1],
        "cosine": [1, 0.975528, 0.904508, 0.345492, 0],
        "one_cycle": [0.04, 0.52, 1, 0.5, 0],
        "warm_up": [0.04, 0.52, 1, 1, 1],
        "step": [1, 1, 1, 0.1, 0.01],
        "inverse_scaling": [0.5, 0.5, 0.5, 0.5, 0.5],
        "adaptive": [1, 1, 1, 1, 1],
    }


@given(st.sampled_from(SCHEDULES.names()), st.floats(0, 1), st.integers(1, 10**12), st.floats(0, 100))
def test_a_factor_never_raises_the_rate_or_turns_it_around(name, progress, step, power_t):
    assert 0 <= SCHEDULES[name].factor(progress, step, power_t) <= 1


def test_what_needs_the_end_and_what_waits_for_a_plateau():
    assert {schedule.name for schedule in SCHEDULES if not schedule.needs_end} == {
        "constant", "inverse_scaling", "adaptive",
    }  # fmt: skip
    assert {schedule.name: schedule.on_plateau for schedule in SCHEDULES if schedule.on_plateau != 1} == {
        "adaptive": 0.2
    }
    for schedule in SCHEDULES:
        if not schedule.needs_end:
            assert len({schedule.factor(progress, 7, 0.5) for progress in (0.0, 0.3, 1.0)}) == 1


def test_scikit_learns_name_of_inverse_scaling():
    assert SCHEDULES["invscaling"] is SCHEDULES["inverse_scaling"]
    assert "invscaling" not in SCHEDULES.names()


def test_training_follows_the_schedule_to_its_end():
    # 8 steps: the last of each epoch are at 1/7, 3/7, 5/7 and 7/7 of the way.
    assert rates("step", epochs=4)[1] == pytest.approx([0.01, 0.01, 0.001, 0.0001])
    assert rates("warm_up", epochs=4)[1] == pytest.approx([0.01 * (0.04 + 0.96 / 7 / 0.2), 0.01, 0.01, 0.01])
    expected = [0.01 * math.cos(math.pi * p / 14) ** 2 for p in (1, 3, 5, 7)]
    assert rates("cosine", epochs=4)[1] == pytest.approx(expected, abs=1e-15)


def test_inverse_scaling_counts_steps_from_one():
    state, seen = rates("invscaling", epochs=3, power_t=0.25)
    assert seen == pytest.approx([0.01 / 2**0.25, 0.01 / 4**0.25, 0.01 / 6**0.25])
    assert state.n_steps == 6


def test_adaptive_takes_a_fifth_on_each_plateau_and_ends_below_a_millionth():
    # With such a tolerance nothing improves on the first epoch.
    state, seen = rates("adaptive", epochs=100, learning_rate=1e-3, patience=2, tol=1e9)
    assert seen == pytest.approx([1e-3] * 3 + [1e-3 / 5**k for k in range(1, 5) for _ in range(2)] + [1e-3 / 5**5] * 2)
    assert seen[-3] > 1e-6 > seen[-1]
    assert state.stopped == "no better training loss in 2 epochs"
    assert state.rate_factor == pytest.approx(0.2**5)


def test_adaptive_keeps_its_rate_while_the_loss_falls():
    state, seen = rates("adaptive", epochs=12, learning_rate=1e-3, patience=2)
    assert seen == [1e-3] * 12
    assert (state.stopped, state.rate_factor) == ("", 1.0)
    assert all(later.train_loss < earlier.train_loss for earlier, later in pairwise(state.history))


def test_without_patience_adaptive_is_constant():
    state, seen = rates("adaptive", epochs=8, tol=1e9)
    assert (seen, state.stopped) == ([0.01] * 8, "")


def test_other_schedules_end_on_a_plateau():
    state, seen = rates("constant", epochs=100, patience=2, tol=1e9)
    assert (len(seen), state.stopped) == (3, "no better training loss in 2 epochs")
