"""Checkpoints: training goes on from one, through JSON and in a state of another seed, as if it had never stopped."""

import json

import numpy as np
import pytest
import torch

from lamina.data.encoder import Encoder, NumberCode
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.training.checkpoint import Checkpoint, restore, snapshot
from lamina.training.loop import TrainState, train
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.rows import Rows

DECLARED = (KeyError, TypeError, ValueError, RuntimeError)
NUMBERS = (
    "epoch", "n_steps", "n_rows", "n_evaluations", "best_epoch", "best_loss", "watched", "watched_epoch", "rate_factor",
)  # fmt: skip


def rows(n: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator)
    return Rows({"numbers": x}, torch.sin(3 * x[:, :1]) + 0.3 * torch.randn(n, 1, generator=generator))


def start(optimizer: str = "adamw", seed: int = 0, n_inputs: int = 2, **network) -> TrainState:
    generator = torch.Generator().manual_seed(seed)
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(n_inputs)), (), ())
    usual = (
        {"normalization": "layer"} if OPTIMIZERS[optimizer].full_batch else {"normalization": "batch", "dropout": 0.3}
    )
    network = {"hidden_units": (6, 4), "activation": "prelu", **usual, **network}
    mlp = MLP(encoder, 1, generator=generator, **network)
    rate = OPTIMIZERS[optimizer].learning_rate
    return TrainState.start(
        mlp, optimizer=optimizer, learning_rate=rate, weight_decay=0.1, batch_size=16, generator=generator, tol=0.0
    )


def go_on(state: TrainState, optimizer: str, epochs: int, schedule: str = "constant", **options) -> None:
    """Train up to epoch ``epochs`` of the 6 that the schedule knows of."""
    given = {
        "loss": LOSSES["squared_error"], "optimizer": optimizer, "learning_rate": OPTIMIZERS[optimizer].learning_rate,
        "weight_decay": 0.1, "schedule": schedule, "batch_size": 16, "epochs": 6, "score": lambda z: -float(z.mean()),
    }  # fmt: skip
    for record in train(state, rows(50, 1), rows(40, 2), **{**given, **options}):
        if record.epoch == epochs:
            break


def through_json(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint(json.loads(json.dumps(checkpoint.numbers, allow_nan=False)), checkpoint.tensors)


def assert_same(one: TrainState, other: TrainState) -> None:
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
    assert one.best_weights.keys() == other.best_weights.keys()
    for name, tensor in one.best_weights.items():
        assert torch.equal(tensor, other.best_weights[name]), name
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
    assert {name: getattr(one, name) for name in NUMBERS} == {name: getattr(other, name) for name in NUMBERS}
    timeless = [[{**vars(record), "seconds": 0.0} for record in state.history] for state in (one, other)]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == one.epoch


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (optimizer.name, schedule)
        for optimizer in OPTIMIZERS
        for schedule in (("constant",) if optimizer.full_batch else ("one_cycle", "inverse_scaling", "adaptive"))
    ],
)
def test_training_goes_on_as_if_nothing_had_been_interrupted(optimizer, schedule):
    plateau = {"patience": 1, "tol": 0.5} if schedule == "adaptive" else {}
    whole, first, second = start(optimizer), start(optimizer), start(optimizer, seed=99)
    go_on(whole, optimizer, 6, schedule, **plateau)
    go_on(first, optimizer, 3, schedule, **plateau)
    assert first.epoch == 3
    restore(second, through_json(snapshot(first)))
    assert_same(first, second)
    go_on(second, optimizer, 6, schedule, **plateau)
    assert_same(whole, second)
    assert whole.epoch == 6
    if schedule == "adaptive":
        assert whole.rate_factor < first.rate_factor <= 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_later_training_changes_no_checkpoint_and_restoring_uses_none_up(optimizer):
    state = start(optimizer)
    go_on(state, optimizer, 2)
    checkpoint = snapshot(state)
    numbers = json.dumps(checkpoint.numbers)
    tensors = {name: array.copy() for name, array in checkpoint.tensors.items()}
    go_on(state, optimizer, 4)
    again, twice = start(optimizer, seed=5), start(optimizer, seed=6)
    restore(again, checkpoint)
    go_on(again, optimizer, 4)
    assert json.dumps(checkpoint.numbers) == numbers
    assert checkpoint.tensors.keys() == tensors.keys()
    assert all(np.array_equal(array, tensors[name]) for name, array in checkpoint.tensors.items())
    restore(twice, checkpoint)
    go_on(twice, optimizer, 4)
    assert_same(state, again)
    assert_same(state, twice)


def test_a_state_before_its_first_epoch_is_kept_too():
    state, other = start(), start(seed=9)
    restore(other, through_json(snapshot(state)))
    assert (other.best_weights, other.best_loss, other.watched, other.history) == (None, np.inf, np.inf, [])
    go_on(state, "adamw", 2)
    go_on(other, "adamw", 2)
    assert_same(state, other)


def test_tensors_are_named_after_their_places():
    state = start("adam", hidden_units=(), normalization="none")
    go_on(state, "adam", 1)
    checkpoint = snapshot(state)
    assert sorted(checkpoint.tensors) == [
        "best.output.bias", "best.output.weight", "generator", "network.output.bias", "network.output.weight",
        *(f"optimizer.{i}.{name}" for i in (0, 1) for name in ("exp_avg", "exp_avg_sq", "step")),
    ]  # fmt: skip
    assert checkpoint.numbers["generator"] == {"tensor": "generator"}
    assert checkpoint.tensors["optimizer.0.step"] == 4
    assert (checkpoint.numbers["epoch"], checkpoint.numbers["n_rows"]) == (1, 50)


def test_records_of_another_version_may_know_more():
    state, other = start(), start()
    go_on(state, "adamw", 1)
    numbers = through_json(snapshot(state)).numbers
    numbers["history"][0]["mood"] = "good"
    restore(other, Checkpoint(numbers, snapshot(state).tensors))
    assert_same(state, other)


@pytest.mark.parametrize(
    "network", [{"hidden_units": (6,)}, {"hidden_units": (6, 5)}, {"normalization": "none"}, {"n_inputs": 3}],
    ids=["fewer layers", "wider layer", "no normalization", "more inputs"],
)  # fmt: skip
def test_a_checkpoint_of_another_network_is_refused(network):
    state = start()
    go_on(state, "adamw", 1)
    with pytest.raises(DECLARED):
        restore(start(**network), snapshot(state))


def test_a_broken_checkpoint_is_refused():
    state = start()
    go_on(state, "adamw", 1)
    numbers, tensors = snapshot(state).numbers, snapshot(state).tensors
    with pytest.raises(DECLARED):
        restore(start(), Checkpoint({name: value for name, value in numbers.items() if name != "n_rows"}, tensors))
    with pytest.raises(DECLARED):
        restore(start(), Checkpoint(numbers, {name: array for name, array in tensors.items() if name != "generator"}))


@pytest.mark.parametrize(
    ("made", "taken"),
    [
        ("adam", "sgd"), ("adamw", "sgd"), ("adam", "lbfgs"), ("adamw", "lbfgs"), ("adam", "adamw"),
        ("sgd", "adam"), ("sgd", "lbfgs"), ("lbfgs", "adam"), ("lbfgs", "sgd"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_optimizer_is_refused(made, taken):
    network = {"normalization": "none", "dropout": 0.0}
    state = start(taken, **network)
    go_on(state, taken, 1)
    with pytest.raises(DECLARED):
        restore(start(made, **network), snapshot(state))


def test_what_had_stopped_has_stopped():
    state, other = start(), start()
    go_on(state, "adamw", 6, patience=1, tol=1e9)
    assert (state.epoch, state.stopped) == (2, "no better validation loss in 1 epochs")
    restore(other, snapshot(state))
    assert (other.epoch, other.watched_epoch, other.stopped) == (2, 1, state.stopped)
    go_on(other, "adamw", 6)
    assert other.epoch == 2


def test_an_optimizers_state_of_more_tensors_is_refused():
    state = start()
    go_on(state, "adamw", 1)
    taken = snapshot(state)
    items = dict(taken.numbers["optimizer"]["items"])
    assert sorted(items) == ["0", "1"]  # of the matrices, and of the rest
    items["2"] = items["1"]
    forged = Checkpoint({**taken.numbers, "optimizer": {"items": items}}, taken.tensors)
    with pytest.raises(ValueError, match="its optimizer's state is of 3 tensors, not 2"):
        restore(start(), forged)
