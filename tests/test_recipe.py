"""What the recipe chooses, and that it never overrules the user."""

import pytest

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.training.recipe import numeric_encoding, resolve, validation_fraction


def resolved(n_rows=1000, has_images=False, task="classification", has_validation=True, **options) -> Config:
    return resolve(Config.of(**options), n_rows=n_rows, has_images=has_images, task=task, has_validation=has_validation)


def test_no_holdout_below_a_hundred_rows():
    assert [validation_fraction(n) for n in (2, 99, 100, 49_999, 50_000)] == [0.0, 0.0, 0.2, 0.2, 0.1]


@pytest.mark.parametrize(("n_rows", "batch"), [(10, 16), (824, 16), (4_000, 128), (26_000, 256), (800_000, 1024)])
def test_minibatches_grow_with_the_rows(n_rows, batch):
    assert resolved(n_rows).batch_size == batch


def test_small_tables_get_thousands_of_steps_and_large_ones_few_passes():
    small, large = resolved(824), resolved(1_000_000)
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


def test_images_get_batch_norm_and_more_dropout():
    config = resolved(has_images=True)
    assert (config.normalization, config.dropout) == ("batch", 0.25)
    assert (resolved().normalization, resolved().dropout) == ("none", 0.1)


def test_wide_tables_are_standardised():
    assert numeric_encoding(Config(), 128) == "piecewise_linear"
    assert numeric_encoding(Config(), 129) == "standard"
    assert numeric_encoding(Config.of(numeric="piecewise_linear"), 1000) == "piecewise_linear"


def test_a_loss_of_the_other_task_is_refused():
    with pytest.raises(ConfigError, match="the loss 'squared_error' is for regression, but the task is classification"):
        resolved(loss="squared_error")


def test_activations_must_fit_the_chosen_layers():
    with pytest.raises(ConfigError, match="activation names 3 functions for 2 hidden layers"):
        resolved(activation=("relu", "tanh", "relu"))
