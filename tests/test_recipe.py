"""What the recipe chooses, and that it never overrules the user."""

import pytest

from lamina.config import Config
from lamina.errors import ConfigError
from lamina.losses import LOSSES
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.recipe import recipe_of, resolve, validation_fraction


def resolved(**changes) -> Config:
    """Return what is chosen for one network of named layers, unless ``hidden_units`` is None."""
    changes.setdefault("hidden_units", (256, 128))
    facts = {"n_rows": 1000, "n_number_columns": 5, "has_images": False, "task": "classification"}
    facts["has_validation"] = True
    facts.update({name: changes.pop(name) for name in list(facts) if name in changes})
    config = Config.of(**changes)
    kinds = ["image"] if facts["has_images"] else ["number"]
    return resolve(config, recipe_of(config, kinds), **facts)


def test_no_holdout_below_a_hundred_rows():
    assert [validation_fraction(n) for n in (2, 99, 100, 49_999, 50_000)] == [0.0, 0.0, 0.2, 0.2, 0.1]


def test_no_holdout_without_early_stopping():
    assert [validation_fraction(n, early_stopping=False) for n in (99, 100, 50_000)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("n_rows", "batch"), [(10, 16), (824, 16), (4_000, 128), (26_000, 256), (800_000, 1024)])
def test_minibatches_grow_with_the_rows(n_rows, batch):
    assert resolved(n_rows=n_rows).batch_size == batch


def test_small_tables_get_thousands_of_steps_and_large_ones_few_passes():
    small, large = resolved(n_rows=824), resolved(n_rows=1_000_000)
    assert small.epochs == 77
    assert small.epochs * -(-824 // small.batch_size) > 4000
    assert large.epochs == 5


def test_nothing_is_left_open_but_what_means_never():
    config = resolved(has_validation=False)
    left = {name for name, value in config.as_dict().items() if value is None}
    assert left == {
        "weight",
        "group",
        "time",
        "validation",
        "test",
        "positive_class",
        "class_weight",
        "clip_norm",
        "time_limit",
        "patience",
    }
    assert config.loss == "cross_entropy"
    assert resolved(task="multilabel").loss == "binary_cross_entropy"
    assert resolved(task="regression").loss == "squared_error"


def test_the_user_is_never_overruled():
    told = {"hidden_units": (7,), "batch_size": 3, "epochs": 2, "dropout": 0.0, "learning_rate": 0.5, "patience": 9}
    config = resolved(has_images=True, normalization="none", weight_decay=0.0, **told)
    assert {name: getattr(config, name) for name in told} == told
    assert (config.normalization, config.weight_decay) == ("none", 0.0)
    assert resolved(early_stopping=False).patience is None
    told = {
        "dropout": 0.0,
        "weight_decay": 0.0,
        "learning_rate": 0.5,
        "epochs": 7,
        "tol": 0.0,
        "normalization": "layer",
    }
    config = resolved(optimizer="lbfgs", **told)
    assert {name: getattr(config, name) for name in told} == told


@pytest.mark.parametrize("facts", [{}, {"task": "regression"}, {"preset": "best"}, {"n_number_columns": 200}], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"hidden_units": ()},
        {"hidden_units": None, "activation": "identity"},
        {"hidden_units": (4, 4), "activation": ("identity", "identity")},
    ],
    ids=str,
)
def test_a_linear_model_is_one_network_on_standardised_numbers(options, facts):
    chosen = resolved(**options, **facts)
    assert (chosen.numeric, chosen.members, chosen.target_transform) == ("standard", 1, "none")
    several = resolved(**options, **facts, members=4)
    assert (several.numeric, several.members, several.target_transform) == ("standard", 4, "none")
    told = resolved(**options, **facts, numeric="piecewise_linear")
    assert (told.numeric, told.members) == ("piecewise_linear", 1)


def test_one_curve_is_enough_for_a_network_that_is_not_linear():
    for activation in ("relu", ("identity", "relu")):
        assert resolved(hidden_units=(4, 4), activation=activation).numeric == "piecewise_linear"
    assert resolved(has_images=True, preset="best", activation="identity", hidden_units=None).members == 1
    assert resolved(has_images=True, preset="best", hidden_units=None).members == 8


def test_tolerance_is_for_classes():
    assert (resolved().tol, resolved(task="regression").tol, resolved(tol=0.0).tol) == (1e-4, 0.0, 0.0)


def test_images_get_batch_norm_and_tables_decay():
    chosen = [(c.normalization, c.dropout, c.weight_decay) for c in (resolved(has_images=True), resolved())]
    assert chosen == [("batch", 0.25, 0.01), ("none", 0.2, 0.3)]
    assert resolved(hidden_units=()).weight_decay == 0.01
    assert [resolved(optimizer=name).weight_decay for name in ("sgd", "adam", "lbfgs")] == [1e-4, 1e-4, 1.0]


def test_line_searches_get_no_dropout_no_schedule_and_steps_enough():
    for facts in ({}, {"has_images": True}, {"task": "regression"}, {"n_rows": 1_000_000}):
        config = resolved(optimizer="lbfgs", **facts)
        chosen = (config.dropout, config.normalization, config.schedule, config.epochs, config.tol)
        assert chosen == (0.0, "none", "constant", 200, 1e-4)
        assert (config.weight_decay, config.learning_rate, config.max_fun) == (1.0, 1.0, 15_000)


def test_each_optimizer_has_its_rate_and_its_memory():
    chosen = {name: resolved(optimizer=name) for name in OPTIMIZERS.names()}
    assert all(config.learning_rate == OPTIMIZERS[name].learning_rate for name, config in chosen.items())
    assert (chosen["adamw"].learning_rate, chosen["lbfgs"].learning_rate) == (2e-3, 1.0)
    assert (chosen["adamw"].beta_2, chosen["adam"].beta_2) == (0.95, 0.999)
    assert resolved(beta_2=0.0).beta_2 == 0.0
    assert resolved(optimizer="adam", beta_2=0.9).beta_2 == 0.9


def test_patience_is_a_quarter_of_the_epochs_and_waits_for_somebody_to_watch():
    assert [resolved(epochs=epochs).patience for epochs in (1, 32, 33, 100)] == [8, 8, 9, 25]
    assert resolved(optimizer="lbfgs").patience == 50
    assert resolved(patience=3).patience == resolved(patience=3, has_validation=False).patience == 3
    assert resolved(patience=3, early_stopping=False).patience == 3
    nobody = ({"early_stopping": False}, {"has_validation": False})
    assert [resolved(**facts).patience for facts in nobody] == [None, None]
    assert [resolved(**facts, schedule="adaptive").patience for facts in nobody] == [10, 10]
    assert resolved(schedule="adaptive", epochs=100).patience == 25
    assert resolved(schedule="adaptive", patience=2, early_stopping=False).patience == 2


def test_the_losses_of_a_task_are_admitted():
    for loss in LOSSES:
        assert resolved(loss=loss.name, task=loss.task).loss == loss.name
        for task in {"classification", "multilabel", "regression"} - {loss.task}:
            with pytest.raises(
                ConfigError, match=f"^the loss '{loss.name}' is for {loss.task}, but the task is {task}; leave it out.$"
            ):
                resolved(loss=loss.name, task=task)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"task": "regression", "class_weight": "balanced"},
            "class_weight is for one target of classes, which this is not; leave it out.",
        ),
        (
            {"task": "multilabel", "class_weight": {"a": 2.0}},
            "class_weight is for one target of classes, which this is not; leave it out.",
        ),
        (
            {"task": "regression", "label_smoothing": 0.1},
            "label_smoothing is for classes, but the target is a number; leave it out.",
        ),
        (
            {"task": "regression", "loss": "poisson", "target_transform": "log1p"},
            "the loss 'poisson' is for counts as they are; leave target_transform out, or the loss.",
        ),
        (
            {"task": "classification", "target_transform": "log"},
            "target_transform is for numbers, but the target is classes; leave it out.",
        ),
        (
            {"task": "multilabel", "target_transform": "quantile"},
            "target_transform is for numbers, but the target is classes; leave it out.",
        ),
        (
            {"task": "regression", "watch": "f1"},
            "the metric 'f1' is not for regression; watch loss, or one of rmse, mae, r2.",
        ),
        (
            {"task": "multilabel", "watch": "recall"},
            "the metric 'recall' is not for multilabel; watch loss, or one of accuracy, log_loss, roc_auc.",
        ),
        (
            {"task": "classification", "watch": "mae"},
            "the metric 'mae' is not for classification; watch loss, or one of accuracy, log_loss, roc_auc, precision, "
            "recall, f1.",
        ),
        (
            {"optimizer": "lbfgs", "dropout": 0.1},
            "dropout makes the loss random, and the line search of lbfgs cannot follow it; use dropout 0.",
        ),
        (
            {"optimizer": "lbfgs", "clip_norm": 1.0},
            "clip_norm has no meaning for lbfgs, which searches for the length of a step; leave it out.",
        ),
    ],
)
def test_options_that_contradict_one_another_are_refused(options, text):
    with pytest.raises(ConfigError) as caught:
        resolved(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced", "label_smoothing": 0.1, "watch": "f1"},
        {"task": "multilabel", "label_smoothing": 0.1, "watch": "roc_auc"},
        {"task": "regression", "loss": "poisson", "watch": "mae"},
        {"task": "regression", "loss": "quantile", "target_transform": "log", "quantile": 0.9},
        {"optimizer": "lbfgs", "dropout": 0.0},
        {"optimizer": "sgd", "dropout": 0.5, "clip_norm": 1.0},
    ],
)
def test_options_that_go_together_are_kept(options):
    config = resolved(**options)
    kept = {name: getattr(config, name) for name in options}
    assert kept == options


def test_wide_tables_are_standardised_and_large_ones_cut_finer():
    assert resolved(n_number_columns=128).numeric == "piecewise_linear"
    assert resolved(n_number_columns=129).numeric == "standard"
    of_members = {n: by_default(n_number_columns=n).numeric for n in (128, 129, 256, 257)}
    assert of_members == {128: "mixed", 129: "periodic", 256: "periodic", 257: "standard"}
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


def by_default(**changes) -> Config:
    return resolved(hidden_units=None, **changes)


def test_a_table_gets_eight_members_and_named_layers_get_one():
    assert (by_default().members, by_default().hidden_units, by_default().numeric) == (8, (128, 128), "mixed")
    assert (resolved().members, resolved().numeric) == (1, "piecewise_linear")
    alone = ({"optimizer": "sgd"}, {"optimizer": "lbfgs"}, {"layer": "phm"}, {"activation": ("relu", "tanh")})
    assert [by_default(**options).members for options in alone] == [1, 1, 1, 1]
    assert recipe_of(Config(), ["sparse"]).members == recipe_of(Config(), ["number"], partial=True).members == 1
    assert by_default(n_number_columns=129).numeric == "periodic"


def test_members_may_be_asked_for_with_any_layers():
    config = resolved(hidden_units=(7,), members=3)
    assert (config.members, config.hidden_units, config.averaging, config.learning_rate) == (3, (7,), 0.998, 4e-3)
    assert by_default(members=1) == resolved(members=1)


def test_presets_differ_in_members_and_steps():
    sizes = {name: by_default(preset=name, n_rows=4000) for name in ("fast", "default", "best")}
    assert {name: config.members for name, config in sizes.items()} == {"fast": 4, "default": 8, "best": 16}
    assert {name: config.epochs for name, config in sizes.items()} == {"fast": 50, "default": 141, "best": 188}
    pixels = {name: by_default(preset=name, has_images=True) for name in sizes}
    assert [config.hidden_units for config in pixels.values()] == [(256, 256), (512, 512), (512, 512)]
    assert [config.members for config in pixels.values()] == [1, 1, 8]


def test_inputs_are_dropped_from_pixels_only():
    assert by_default(has_images=True).input_dropout == 0.1
    assert by_default(has_images=True, features="gradients").input_dropout == 0.0
    assert (by_default().input_dropout, resolved(has_images=True).input_dropout) == (0.0, 0.0)
    assert by_default(has_images=True, input_dropout=0.3).input_dropout == 0.3


def test_very_large_tables_get_fewer_passes_and_columns_in_plenty_fewer_pieces():
    assert [by_default(n_rows=n).epochs for n in (20_000, 50_000, 200_000, 1_000_000)] == [57, 23, 6, 5]
    assert [by_default(n_rows=20_000, n_number_columns=d).bins for d in (5, 50, 128)] == [48, 20, 8]
    assert resolved(n_rows=20_000, n_number_columns=50).bins == 48


def test_a_transform_of_the_target_is_left_open_for_members_and_numbers_only():
    assert by_default(task="regression").target_transform == "auto"
    assert by_default(task="regression", target_transform="log").target_transform == "log"
    assert resolved(task="regression").target_transform == by_default().target_transform == "none"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"members": 2, "layer": "phm"}, "members = 2, but the layer 'phm' is for one network; use dense."),
        (
            {"members": 1, "numeric": "mixed"},
            "numeric = 'mixed' gives members different encodings, but there is one; name one of the two.",
        ),
        (
            {"optimizer": "lbfgs", "averaging": 0.9},
            "averaging is over many small steps, which lbfgs does not make; leave it out.",
        ),
    ],
)
def test_options_of_members_that_contradict_one_another_are_refused(options, text):
    with pytest.raises(ConfigError) as caught:
        by_default(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"hidden_units": None}, (8, 0.998, 0.004, 0.1, 0.0)),
        ({"hidden_units": None, "preset": "fast"}, (4, 0.99, 0.005, 0.1, 0.0)),
        ({"hidden_units": None, "preset": "best"}, (16, 0.998, 0.004, 0.1, 0.0)),
        ({"hidden_units": None, "members": 1, "preset": "best"}, (1, 0.0, 0.002, 0.3, 0.0)),
        ({"preset": "best"}, (1, 0.0, 0.002, 0.3, 0.0)),
        ({"hidden_units": None, "optimizer": "adam", "members": 8}, (8, 0.998, 0.002, 1e-4, 0.0)),
        ({"hidden_units": None, "optimizer": "sgd"}, (1, 0.0, 0.02, 1e-4, 0.0)),
        ({"hidden_units": None, "layer": "low_rank"}, (1, 0.0, 0.002, 0.3, 0.0)),
        ({"hidden_units": None, "has_images": True}, (1, 0.998, 0.002, 0.05, 0.1)),
        ({"hidden_units": None, "has_images": True, "preset": "best"}, (8, 0.998, 0.002, 0.05, 0.1)),
        ({"hidden_units": None, "has_images": True, "optimizer": "sgd"}, (1, 0.0, 0.02, 1e-4, 0.0)),
        ({"has_images": True, "preset": "best"}, (1, 0.0, 0.002, 0.01, 0.0)),
    ],
    ids=str,
)
def test_the_choices_that_the_guide_and_the_help_state(options, expected):
    """Members, averaging, learning rate, weight decay, input dropout."""
    chosen = resolved(**options)
    found = (chosen.members, chosen.averaging, chosen.learning_rate, chosen.weight_decay, chosen.input_dropout)
    assert found == expected
