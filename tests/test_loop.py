"""The loop: records, early stopping, limits, divergence, and the same seed for the same weights."""

import math
from dataclasses import replace

import pytest
import torch

from lamina.data.encoder import Encoder, NumberCode
from lamina.errors import TrainingError
from lamina.losses import LOSSES, Loss
from lamina.network.mlp import MLP
from lamina.training.loop import Measure, TrainState, train
from lamina.training.prediction import Predictor
from lamina.training.recipe import threads
from lamina.training.rows import Rows, mean_loss
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
        mlp, optimizer=optimizer, learning_rate=learning_rate, weight_decay=0.0, batch_size=32, generator=generator
    )


def loss_on(state: TrainState, rows: Rows, loss: Loss = SQUARED) -> float:
    return mean_loss(Predictor(state.network, by_loops=False).outputs(rows.inputs, len(rows)), rows, loss)


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
    assert loss_on(state, validation) == pytest.approx(best.validation_loss, rel=1e-6)


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
    records = list(train(state, line(50), **options()))
    assert len(records) == 5 == state.best_epoch
    assert all(r.validation_loss is None and r.is_best for r in records)
    assert state.best_loss == records[-1].train_loss
    assert all(torch.equal(state.best_weights[k], v) for k, v in state.network.state_dict().items())


def test_without_validation_patience_watches_the_training_loss():
    state = start(learning_rate=0.05)
    records = list(train(state, line(50), **options(epochs=500, learning_rate=0.05, patience=4)))
    lowest = min(records, key=lambda r: r.train_loss)
    assert len(records) == lowest.epoch + 4 == state.watched_epoch + 4 < 500
    assert state.stopped == "no better training loss in 4 epochs"
    assert (state.best_epoch, state.watched) == (len(records), lowest.train_loss)


def test_the_best_epoch_is_not_kept_where_nobody_asked_for_it():
    state, validation = start(learning_rate=0.05), line(100, seed=1)
    given = options(epochs=40, learning_rate=0.05, keep_best=False)
    records = list(train(state, line(40), validation, **given))
    best = min(records, key=lambda r: r.validation_loss)
    assert best.epoch < 40 == len(records) == state.best_epoch
    assert all(r.is_best for r in records)
    assert state.best_loss == records[-1].validation_loss > best.validation_loss
    state.restore_best()
    assert loss_on(state, validation) == pytest.approx(records[-1].validation_loss, rel=1e-6)


def test_where_the_best_epoch_is_not_kept_patience_watches_the_training_loss():
    state, alone = start(learning_rate=0.05), start(learning_rate=0.05)
    given = options(epochs=500, learning_rate=0.05, patience=4)
    list(train(state, line(50), line(100, seed=1), **given, keep_best=False))
    list(train(alone, line(50), **given))
    assert state.stopped == "no better training loss in 4 epochs"
    assert [r.train_loss for r in state.history] == [r.train_loss for r in alone.history]


SCORES = [0.1, 0.3, 0.9, 0.9, 0.2, 0.5]


def given_scores():
    """Return a score that is the next of ``SCORES`` each time."""
    values = iter(SCORES)
    return lambda outputs: next(values)


def test_a_score_is_recorded_and_watched_where_that_is_asked_for():
    by_score, by_loss = start(), start()
    for state, watch_score in ((by_score, True), (by_loss, False)):
        watched = {"score": given_scores(), "watch_score": watch_score}
        records = list(train(state, line(100), line(50, seed=1), **options(epochs=6), **watched))
        assert [r.validation_score for r in records] == SCORES
    assert [r.is_best for r in by_score.history] == [True, True, True, False, False, False]
    assert (by_score.best_epoch, by_score.watched) == (3, -0.9)
    assert by_score.best_loss == by_score.history[2].validation_loss
    assert by_loss.best_epoch == min(by_loss.history, key=lambda r: r.validation_loss).epoch == 6
    assert [r.train_loss for r in by_score.history] == [r.train_loss for r in by_loss.history]


def test_patience_counts_from_the_highest_score():
    state, validation = start(), line(50, seed=1)
    watched = {"score": given_scores(), "watch_score": True, "patience": 2}
    records = list(train(state, line(100), validation, **options(epochs=100), **watched))
    assert (len(records), state.best_epoch) == (5, 3)
    state.restore_best()
    assert loss_on(state, validation) == pytest.approx(records[2].validation_loss, rel=1e-6)


def test_the_sentence_of_an_early_stop_names_what_was_watched():
    state = start()
    watched = {"score": given_scores(), "watch_score": True, "patience": 2}
    list(train(state, line(100), line(50, seed=1), **options(epochs=100), **watched))
    assert "loss" not in state.stopped


def test_the_score_is_given_the_outputs_on_the_validation_rows():
    state, validation, seen = start(), line(50, seed=1), []
    list(train(state, line(100), validation, **options(epochs=2), score=lambda outputs: seen.append(outputs.clone())))
    assert [r.validation_score for r in state.history] == [None, None]
    assert torch.equal(seen[-1], Predictor(state.network, by_loops=False).outputs(validation.inputs, 50))
    without = list(train(start(), line(100), **options(epochs=1), score=lambda outputs: 1.0))
    assert without[0].validation_score is None


def recording(loss: Loss, seen: list[float]) -> Loss:
    """Return ``loss`` that also notes the targets it is given."""

    def per_row(outputs, target):
        seen.extend(target.flatten().tolist())
        return loss.per_row(outputs, target)

    return replace(loss, compiled=None, per_row=per_row)


def measure_of(loss: Loss, rows: Rows) -> Measure:
    """Return what watches ``loss`` on ``rows`` for a single network."""
    return lambda each, counted: (mean_loss(each[:, 0], rows, loss), each[:, 0])


def test_rows_come_in_a_new_order_each_epoch_or_as_they_are():
    rows = Rows(line(100).inputs, torch.arange(100.0)[:, None])
    held = line(10)
    for shuffle in (False, True):
        seen: list[float] = []
        given = options(epochs=2, shuffle=shuffle, loss=recording(SQUARED, seen), measure=measure_of(SQUARED, held))
        list(train(start(), rows, held, **given))
        first, second = seen[:100], seen[100:]
        assert len(second) == 100
        assert sorted(first) == sorted(second) == list(range(100))
        assert (first == second == list(range(100))) is not shuffle
        assert (first == second) is not shuffle


def test_steps_rows_and_seconds_are_counted():
    state = start()
    records = list(train(state, line(100), **options(epochs=3)))
    assert (state.epoch, state.n_steps, state.n_rows, state.n_evaluations) == (3, 12, 300, 0)
    seconds = [r.seconds for r in records]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2] == state.seconds
    list(train(state, line(100), **options(epochs=4)))
    assert (state.epoch, state.n_steps, state.n_rows) == (4, 16, 400)
    assert state.seconds >= seconds[2]
    cut = start()
    records = list(train(cut, line(100), **options(time_limit=1e-9)))
    assert (len(records), cut.n_steps, cut.n_rows) == (1, 1, 25)
    assert cut.stopped == "the time limit of 1e-09 s was reached"


def test_what_is_watched_may_be_another_loss_than_what_is_minimised():
    loss = LOSSES["cross_entropy"]
    smoothed = loss.bound({"label_smoothing": 0.3})
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(2)), (), ())
    generator = torch.Generator().manual_seed(0)
    mlp = MLP(encoder, 2, hidden_units=(4,), generator=generator)
    state = TrainState.start(
        mlp, optimizer="adam", learning_rate=0.01, weight_decay=0.0, batch_size=32, generator=generator
    )
    rows, validation = (Rows(r.inputs, (r.target[:, 0] > 0).long()) for r in (line(100), line(50, seed=1)))
    before = loss_on(state, rows, smoothed)
    records = list(
        train(
            state,
            rows,
            validation,
            **options(loss=smoothed, measure=measure_of(loss, validation), batch_size=100, epochs=1),
        )
    )
    assert records[0].train_loss == pytest.approx(before, rel=1e-6)
    assert records[0].validation_loss == pytest.approx(loss_on(state, validation, loss), rel=1e-6)
    assert abs(records[0].validation_loss - loss_on(state, validation, smoothed)) > 1e-3


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
    assert len(list(train(start(normalization="layer"), line(1), **options(batch_size=1, epochs=1)))) == 1
    with pytest.raises(TrainingError, match="batch normalization needs at least 2 training rows"):
        list(train(start(normalization="batch"), line(1), **options()))


def test_weights_of_the_rows_count_in_the_mean_loss():
    state, rows = start(), line(4)
    counts = torch.tensor([3, 0, 1, 2])
    weighted = Rows(rows.inputs, rows.target, counts.float())
    repeated = rows.at(torch.repeat_interleave(torch.arange(4), counts))
    assert loss_on(state, weighted) == pytest.approx(loss_on(state, repeated))


def test_the_learning_rate_follows_the_schedule():
    state = start()
    records = list(train(state, line(64), **options(schedule="cosine", epochs=4)))
    assert records[-1].learning_rate == pytest.approx(0.0, abs=1e-12)
    assert records[0].learning_rate == pytest.approx(0.01 * SCHEDULES["cosine"].factor(1 / 7, 2, 0.5))


def test_small_steps_use_one_thread():
    assert threads(16, 100_000, available=8) == 1
    assert threads(256, 235_000, available=8) == 8
