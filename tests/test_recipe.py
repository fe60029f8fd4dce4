"""What the recipe chooses, and that it never overrules the user."""

import pytest

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.training.recipe import resolve, validation_fraction


def resolved(**changes) -> Config:
    facts = {"n_rows": 1000, "n_number_columns": 5, "has_images": False, "task": "classification"}
    facts["has_validation"] = True
    facts.update({name: changes.pop(name) for name in list(facts) if name in changes})
    return resolve(Config.of(**changes), **facts)


def test_no_holdout_below_a_hundred_rows():
    assert [validation_fraction(n) for n in (2, 99, 100, 49_999, 50_000)] == [0.0, 0.0, 0.2, 0.2, 0.1]


@pytest.mark.parametrize(("n_rows", "batch"), [(10, 16), (824, 16), (4_000, 128), (26_000, 256), (800_000, 1024)])
def test_minibatches_grow_with_the_rows(n_rows, batch):
    assert resolved(n_rows=n_rows).batch_size == batch


def test_small_tables_get_thousands_of_steps_and_large_ones_few_passes():
    small, large = resolved(n_rows=824), resolved(n_rows=1_000_000)
    assert small.epochs == 77
    assert small.epochs * -(-824 // small.batch_size) > 4000
    assert large.epochs == 12


def test_nothing_is_left_open_but_what_means_never():
    config = resolved(has_validation=False)
    left = {name for name, value in config.as_dict().items() if value is None}
    assert left == {
        "weight",
        "group",
        "time",
        "validation",
        "test",
        "class_weight",
        "clip_norm",
        "time_limit",
        "patience",
    }
    assert config.loss == "cross_entropy"
    assert resolved(task="regression").loss == "squared_error"


def test_the_user_is_never_overruled():
    told = {"hidden_units": (7,), "batch_size": 3, "epochs": 2, "dropout": 0.0, "learning_rate": 0.5, "patience": 9}
    config = resolved(has_images=True, normalization="none", weight_decay=0.0, **told)
    assert {name: getattr(config, name) for name in told} == told
    assert (config.normalization, config.weight_decay) == ("none", 0.0)
    assert resolved(early_stopping=False).patience is None


def test_tolerance_is_for_classes():
    assert (resolved().tol, resolved(task="regression").tol, resolved(tol=0.0).tol) == (1e-4, 0.0, 0.0)


def test_images_get_batch_norm_and_tables_decay():
    chosen = [(c.normalization, c.dropout, c.weight_decay) for c in (resolved(has_images=True), resolved())]
    assert chosen == [("batch", 0.25, 0.01), ("none", 0.2, 0.3)]
    assert resolved(hidden_units=()).weight_decay == 0.01
    assert resolved(optimizer="sgd").weight_decay == 1e-5


def test_wide_tables_are_standardised_and_large_ones_cut_finer():
    assert resolved(n_number_columns=128).numeric == "piecewise_linear"
    assert resolved(n_number_columns=129).numeric == "standard"
    assert resolved(n_number_columns=1000, numeric="piecewise_linear").numeric == "piecewise_linear"
    assert [resolved(n_rows=n).bins for n in (9_999, 10_000)] == [24, 48]
    assert resolved(bins=7).bins == 7


def test_a_loss_of_the_other_task_is_refused():
    with pytest.raises(ConfigError, match="the loss 'squared_error' is for regression, but the task is classification"):
        resolved(loss="squared_error")


def test_a_threshold_cannot_be_trained():
    with pytest.raises(ConfigError, match="the derivative of threshold is 0 everywhere"):
        resolved(activation=("relu", "threshold"))
    assert resolved(activation="threshold", hidden_units=()).activation == "threshold"


def test_activations_must_fit_the_chosen_layers():
    with pytest.raises(ConfigError, match="activation names 3 functions for 2 hidden layers"):
        resolved(activation=("relu", "tanh", "relu"))
