"""The loop: records, early stopping, limits, divergence, and the same seed for the same weights."""

import math

import pytest
import torch

from lamina.data.encoder import Encoder, NumberCode
from lamina.errors import TrainingError
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.training.loop import Rows, TrainState, mean_loss, predict_outputs, train
from lamina.training.recipe import threads
from lamina.training.schedules import SCHEDULES

SQUARED = LOSSES["squared_error"]


def line(n: int, seed: int = 0) -> Rows:
    """y = 2 x0 - x1 + noise of deviation 0.1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator)
    noise = 0.1 * torch.randn(n, 1, generator=generator)
    return Rows({"numbers": x}, x @ torch.tensor([[2.0], [-1.0]]) + noise)


def start(hidden=(16,), learning_rate=0.01, optimizer="adamw", seed=0, **network) -> TrainState:
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(2)), (), ())
    generator = torch.Generator().manual_seed(seed)
    mlp = MLP(encoder, 1, hidden_units=hidden, generator=generator, **network)
    return TrainState.start(
        mlp, optimizer=optimizer, learning_rate=learning_rate, weight_decay=0.0, momentum=0.9, generator=generator
    )


def options(**changes):
    defaults = {"loss": SQUARED, "learning_rate": 0.01, "schedule": "constant", "batch_size": 32, "epochs": 5}
    return {**defaults, **changes}


def test_it_learns_and_the_records_tell():
    state, validation = start(), line(100, seed=1)
    records = list(train(state, line(400), validation, **options(epochs=20)))
    assert [r.epoch for r in records] == list(range(1, 21)) == [r.epoch for r in state.history]
    assert records[0].train_loss > 1 > 0.02 > records[-1].validation_loss
    best = min(records, key=lambda r: r.validation_loss)
    assert (state.best_epoch, state.best_loss) == (best.epoch, best.validation_loss)
    assert [r.epoch for r in records if r.is_best][-1] == best.epoch
    state.restore_best()
    assert mean_loss(state.network, validation, SQUARED) == pytest.approx(best.validation_loss, rel=1e-6)


def test_early_stopping_waits_for_its_patience():
    state = start()
    records = list(train(state, line(100), line(100, seed=1), **options(epochs=500, patience=3)))
    assert len(records) == state.best_epoch + 3 < 500
    assert state.stopped == "no better validation loss in 3 epochs"


def test_a_fall_within_the_tolerance_is_not_better():
    state = start()
    records = list(train(state, line(400), line(100, seed=1), **options(epochs=30, tol=0.05)))
    best = math.inf
    for record in records:
        assert record.is_best == (record.validation_loss < best - 0.05)
        best = record.validation_loss if record.is_best else best
    assert state.best_loss == best > min(r.validation_loss for r in records)


def test_without_validation_the_last_epoch_is_kept():
    state = start()
    records = list(train(state, line(50), **options(patience=1)))
    assert len(records) == 5 == state.best_epoch
    assert all(r.validation_loss is None for r in records)
    assert all(torch.equal(state.best_weights[k], v) for k, v in state.network.state_dict().items())


def test_to_stop_is_to_stop_iterating_and_training_goes_on_from_there():
    whole, halves = start(dropout=0.5), start(dropout=0.5)
    list(train(whole, line(100), **options(epochs=6)))
    for record in train(halves, line(100), **options(epochs=6)):
        if record.epoch == 2:
            break
    assert halves.epoch == 2
    list(train(halves, line(100), **options(epochs=6)))
    for one, other in zip(whole.network.parameters(), halves.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    weights = []
    for seed in (3, 3, 4):
        state = start(dropout=0.2, seed=seed)
        list(train(state, line(100), **options()))
        weights.append(torch.cat([p.detach().flatten() for p in state.network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_global_source_of_randomness_is_untouched():
    before = torch.get_rng_state()
    list(train(start(dropout=0.2), line(100), **options()))
    assert torch.equal(before, torch.get_rng_state())


def test_a_time_limit_ends_training_and_keeps_a_whole_record():
    state = start()
    records = list(train(state, line(400), line(50), **options(epochs=10_000, time_limit=0.2)))
    assert state.stopped == "the time limit of 0.2 s was reached"
    assert 0 < len(records) < 10_000
    assert math.isfinite(records[-1].train_loss)


def test_divergence_before_the_first_epoch_is_an_error_with_its_cause():
    state = start(learning_rate=1e12, optimizer="sgd")
    with pytest.raises(
        TrainingError, match=r"not finite in epoch 1; the learning rate 1e\+12 is likely too high: try 1e\+11"
    ):
        list(train(state, line(400), **options(learning_rate=1e12)))


def test_divergence_later_keeps_the_last_good_weights():
    state = start(hidden=(), optimizer="sgd")
    rows = line(64)
    list(train(state, rows, **options(epochs=2)))
    good = {name: tensor.clone() for name, tensor in state.best_weights.items()}
    list(train(state, rows, **options(epochs=50, learning_rate=1e12)))
    assert state.diverged
    assert state.stopped.startswith("the loss was not finite in epoch 3")
    state.restore_best()
    assert all(torch.equal(good[name], tensor) for name, tensor in state.network.state_dict().items())


def test_a_wild_input_is_named_as_the_cause():
    rows = line(64)
    rows.inputs["numbers"][3, 1] = 1e30
    with pytest.raises(TrainingError, match="one row's value in a number column dwarfs all others"):
        list(train(start(), rows, **options()))
    rows = line(64)
    rows.target[5] = 1e30
    with pytest.raises(TrainingError, match="one row's target dwarfs all others"):
        list(train(start(), rows, **options()))


def test_batch_norm_never_sees_a_single_row():
    state = start(normalization="batch")
    assert len(list(train(state, line(33), **options(batch_size=32, epochs=1)))) == 1
    assert len(list(train(start(normalization="batch"), line(3), **options(batch_size=1, epochs=1)))) == 1
    with pytest.raises(TrainingError, match="batch normalization needs at least 2 training rows"):
        list(train(start(normalization="batch"), line(1), **options()))


def test_prediction_in_slices_equals_prediction_at_once():
    state, rows = start(), line(20_000)
    with torch.inference_mode():
        whole = state.network.eval()(dict(rows.inputs))
    torch.testing.assert_close(predict_outputs(state.network, rows.inputs, 20_000), whole, rtol=1e-6, atol=1e-7)


def test_weights_of_the_rows_count_in_the_mean_loss():
    state, rows = start(), line(4)
    counts = torch.tensor([3, 0, 1, 2])
    weighted = Rows(rows.inputs, rows.target, counts.float())
    repeated = rows.at(torch.repeat_interleave(torch.arange(4), counts))
    assert mean_loss(state.network, weighted, SQUARED) == pytest.approx(mean_loss(state.network, repeated, SQUARED))


def test_schedules():
    at = {s.name: [round(s.factor(p), 6) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] for s in SCHEDULES}
    assert at["constant"] == [1, 1, 1, 1, 1]
    assert at["cosine"] == [1, 0.975528, 0.904508, 0.345492, 0]
    assert at["one_cycle"] == [0.04, 0.52, 1, 0.5, 0]


def test_the_learning_rate_follows_the_schedule():
    state = start()
    records = list(train(state, line(64), **options(schedule="cosine", epochs=4)))
    assert records[-1].learning_rate == pytest.approx(0.0, abs=1e-12)
    assert records[0].learning_rate == pytest.approx(0.01 * SCHEDULES["cosine"].factor(1 / 7))


def test_small_steps_use_one_thread():
    assert threads(16, 100_000, available=8) == 1
    assert threads(256, 235_000, available=8) == 8
