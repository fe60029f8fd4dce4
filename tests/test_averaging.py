"""The running mean of the weights: by hand, exchanged and back, kept by training, and resumed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import lamina
from lamina.errors import ConfigError
from lamina.losses import LOSSES
from lamina.run import Run
from lamina.training.averaging import average_in, exchange
from lamina.training.loop import train


def test_the_mean_of_three_steps_by_hand():
    weights, averaged = torch.zeros(2), None
    seen = []
    for n_steps, values in enumerate([(1.0, -2.0), (12.0, 9.0), (3.0, 0.0)]):
        weights.copy_(torch.tensor(values))
        averaged = average_in(averaged, weights, 0.5, n_steps)
        seen.append(averaged.tolist())
    # The first weights; 2/11 of them and 9/11 of the second; 3/12 of that and 9/12 of the third.
    assert seen[0] == [1.0, -2.0]
    assert seen[1] == pytest.approx([10.0, 7.0], rel=1e-6)
    assert seen[2] == pytest.approx([4.75, 1.75], rel=1e-6)
    assert weights.tolist() == [3.0, 0.0]


def test_the_decay_is_bounded_by_what_was_asked_for():
    averaged = average_in(None, torch.zeros(1), 0.2, 0)
    one = torch.ones(1)
    assert average_in(averaged, one, 0.2, 7).item() == pytest.approx(0.8)  # (1 + 7) / (10 + 7) is more
    averaged.zero_()
    assert average_in(averaged, one, 0.999, 8990).item() == pytest.approx(0.001, rel=1e-4)  # 8991/9000


def test_to_exchange_twice_is_to_do_nothing():
    weights, averaged = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    exchange(weights, averaged)
    assert (weights.tolist(), averaged.tolist()) == ([3.0, 4.0], [1.0, 2.0])
    exchange(weights, averaged)
    assert (weights.tolist(), averaged.tolist()) == ([1.0, 2.0], [3.0, 4.0])
    exchange(weights, None)
    assert weights.tolist() == [1.0, 2.0]


# -- in training


OPTIONS = {"hidden_units": (5,), "normalization": "batch", "epochs": 6, "seed": 0, "dtype": "float64"}


def started(decay: float, **options) -> Run:
    return lamina.prepare("iris", averaging=decay, **{**OPTIONS, **options})


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def mean_of(run: Run) -> dict[str, torch.Tensor]:
    """Return the running mean by name, by way of the network; of counters, the network's own."""
    exchange(run.state.flat.weights, run.state.averaged)
    mean = state_of(run.state.network)
    exchange(run.state.flat.weights, run.state.averaged)
    return mean


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_training_measures_and_keeps_the_mean_and_goes_on_from_the_weights():
    run, plain = started(0.7, validation=0.0, batch_size=150), started(0.0, validation=0.0, batch_size=150)
    mean = None
    for t, (_, _) in enumerate(zip(run.train(), plain.train(), strict=True)):
        # A batch of all rows: one step an epoch. The steps are those of training without a mean.
        now = state_of(plain.state.network)
        assert_equal(state_of(run.state.network), now)
        decay = min(0.7, (1 + t) / (10 + t))
        now = {name: tensor for name, tensor in now.items() if tensor.is_floating_point()}
        mean = now if mean is None else {name: decay * mean[name] + (1 - decay) * now[name] for name in now}
        found = mean_of(run)
        assert {"hidden.0.norm.running_mean", "hidden.0.norm.running_var"} <= set(mean)
        for name, tensor in mean.items():
            np.testing.assert_allclose(found[name], tensor, rtol=1e-12, atol=1e-14, err_msg=name)
    model = run.finish(baselines=False)
    for name, tensor in mean.items():
        np.testing.assert_allclose(model.network.state_dict()[name], tensor, rtol=1e-12, atol=1e-14, err_msg=name)
    assert any(float((tensor - now[name]).abs().max()) > 1e-3 for name, tensor in mean.items())


def test_what_is_measured_is_the_mean():
    run = started(0.9, calibrate=False, validation=0.3)
    part = run.parts["validation"]
    for record in run.train():
        exchange(run.state.flat.weights, run.state.averaged)
        p = run.current().predict_proba(lamina.read_table("iris"))[part.positions]
        exchange(run.state.flat.weights, run.state.averaged)
        expected = -np.log(p[np.arange(len(part)), part.y]).mean()
        assert record.validation_loss == pytest.approx(expected, rel=1e-9)


def test_without_averaging_there_is_no_mean():
    run = started(0.0)
    assert [record.epoch for record in run.train()] == list(range(1, 7))
    assert run.state.averaged is None


@pytest.mark.parametrize("members", [1, 4])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(members):
    whole, first, second = (started(0.8, members=members, dropout=0.2) for _ in range(3))
    for _ in whole.train():
        pass
    for record in first.train():
        if record.epoch == 2:
            break
    checkpoint = first.checkpoint()
    for _ in first.train():  # what goes on afterwards does not change the copy
        pass
    second.resume(checkpoint)
    assert second.state.epoch == 2
    for _ in second.train():
        pass
    for run in (first, second):
        assert_equal(state_of(run.state.network), state_of(whole.state.network))
        assert torch.equal(run.state.averaged, whole.state.averaged)
        assert_equal(run.state.best_weights, whole.state.best_weights)
    one, other = (run.finish(baselines=False).predict_outputs("iris") for run in (whole, second))
    np.testing.assert_array_equal(one, other)


def test_a_time_limit_in_the_first_epoch_leaves_a_mean_of_the_steps_that_were_made():
    run = started(0.5)
    rows = run._rows(run.parts["train"])
    options = {"loss": LOSSES["cross_entropy"], "learning_rate": 0.01, "schedule": "constant", "batch_size": 10}
    before = state_of(run.state.network)
    (record,) = train(run.state, rows, averaging=0.5, epochs=3, time_limit=1e-9, **options)
    assert run.state.n_steps == 1
    assert math.isfinite(record.train_loss)
    assert_equal(mean_of(run), run.state.best_weights)
    assert not torch.equal(mean_of(run)["output.weight"], before["output.weight"])


def test_lbfgs_has_no_small_steps_to_average():
    with pytest.raises(ConfigError, match="averaging is over many small steps, which lbfgs does not make; leave it"):
        lamina.prepare("iris", optimizer="lbfgs", averaging=0.9)
    assert lamina.prepare("iris", optimizer="lbfgs", members=2).config.averaging == 0.0
