"""Options: defaults, types, bounds and names of every field, and the same value from text and from Python."""

import re
import tomllib
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest

from lamina.activations import ACTIVATIONS
from lamina.cli.train import train
from lamina.config import Config, default, options, read_toml, to_toml
from lamina.data.target_scaling import TRANSFORMS
from lamina.errors import ConfigError
from lamina.initializers import INITIALIZERS
from lamina.losses import LOSSES
from lamina.metrics import METRICS
from lamina.network.layers import NORMALIZATIONS
from lamina.network.saving_layers import AFFINE_LAYERS
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.recipe import recipe_of, resolve
from lamina.training.schedules import SCHEDULES

NUMBERS = [name for name, option in options().items() if option.parse in ("int", "float")]
FLOATS = [name for name in NUMBERS if options()[name].parse == "float"]
INTEGERS = [name for name in NUMBERS if options()[name].parse == "int"]
CHOICES = [name for name, option in options().items() if option.parse == "choice"]
NULLABLE = [name for name in options() if default(name) is None]
REGISTRIES = {
    "activation": ACTIVATIONS, "initial_weights": INITIALIZERS, "loss": LOSSES, "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES, "normalization": NORMALIZATIONS, "watch": METRICS, "target_transform": TRANSFORMS,
    "layer": AFFINE_LAYERS,
}  # fmt: skip

# name: (as text, as Python, what the field then holds)
FORMS = {
    "task": ("regression", "regression", "regression"),
    "kind": ("zip=category", {"zip": "category"}, {"zip": "category"}),
    "drop": ("a, b", ["a, b"], ("a, b",)),
    "weight": ("w", "w", "w"),
    "group": ("g", "g", "g"),
    "time": ("t", "t", "t"),
    "validation": ("0.25", 0.25, 0.25),
    "test": ("held.csv", Path("held.csv"), "held.csv"),
    "positive_class": ("1", 1, "1"),
    "threshold": ("1", 1, 1.0),
    "target_transform": ("log1p", "log1p", "log1p"),
    "hidden_units": ("256,128", [256, 128], (256, 128)),
    "activation": ("relu, tanh", ["relu", "tanh"], ("relu", "tanh")),
    "activation_parameters": ("unit", "unit", "unit"),
    "dropout": ("0.5", 0.5, 0.5),
    "normalization": ("layer", "layer", "layer"),
    "layer": ("phm", "phm", "phm"),
    "phm_n": ("2", 2.0, 2),
    "quantile": ("0.9", np.float64(0.9), 0.9),
    "label_smoothing": ("0", 0, 0.0),
    "schedule": ("inverse_scaling", "invscaling", "inverse_scaling"),
    "nesterov": ("no", False, False),
    "shuffle": ("False", False, False),
    "watch": ("roc_auc", "roc_auc", "roc_auc"),
    "max_fun": ("15", 15.0, 15),
    "class_weight": ("a=b=3,no=.5", {"a=b": 3, "no": 0.5}, {"a=b": 3.0, "no": 0.5}),
    "early_stopping": ("no", False, False),
    "seed": ("12", np.int64(12), 12),
    "device": ("cuda:1", "cuda:1", "cuda:1"),
    "dtype": ("float64", "float64", "float64"),
    "epochs": ("7", 7.0, 7),
    "learning_rate": ("1e-3", np.float64(0.001), 0.001),
}


def test_every_field_has_help_and_a_group_and_its_default_passes_its_own_check():
    assert set(options()) == {field.name for field in fields(Config)}
    for name, option in options().items():
        # A default that is chosen later stands behind the sentence, as the command line writes other defaults.
        assert re.fullmatch(r"[A-Z`][^\n]*\.(  \[default: [^\]]+\])?", option.help)
        assert option.group in ("Data", "Network", "Training", "Run")
        assert getattr(Config.of(**{name: default(name)}), name) == default(name)
    assert Config.of() == Config()


@pytest.mark.parametrize("name", FORMS)
def test_text_equals_the_typed_form(name):
    text, typed, expected = FORMS[name]
    from_text, from_python = getattr(Config.of(**{name: text}), name), getattr(Config.of(**{name: typed}), name)
    assert from_text == expected
    assert from_python == expected
    assert type(from_text) is type(from_python) is type(expected)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_keep_to_their_bounds(name):
    option = options()[name]
    step = 1 if option.parse == "int" else 1e-9
    inside, outside = [], []
    if option.low is not None:
        inside.append(option.low)
        outside.append((option.low - step, f"at least {option.low:g}"))
    if option.above is not None:
        inside.append(option.above + step)
        outside.append((option.above, "above "))
    if option.high is not None:
        inside.append(option.high)
        outside.append((option.high + step, "at most "))
    if option.below is not None:
        inside.append(option.below - step)
        outside.append((option.below, "below "))
    assert inside
    assert outside
    for value in inside:
        assert getattr(Config.of(**{name: value}), name) == value
        assert getattr(Config.of(**{name: str(value)}), name) == value
    for value, words in outside:
        for form in (value, str(value)):
            with pytest.raises(ConfigError, match=f"^{name} = .* is out of bounds: it must be {words}"):
                Config.of(**{name: form})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["many", "", True, [1], float("nan"), float("inf"), "-inf", "1e999"])
def test_a_number_is_a_finite_number(name, value):
    expected = "a whole number" if name in INTEGERS else "a finite number"
    with pytest.raises(ConfigError, match=f"^{name} = .* is not {expected}"):
        Config.of(**{name: value})


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [2.5, "2.5"])
def test_a_whole_number_has_no_fraction(name, value):
    with pytest.raises(ConfigError, match=f"^{name} = .* is not a whole number"):
        Config.of(**{name: value})


def test_numbers_beyond_a_float_are_refused():
    with pytest.raises(ConfigError, match=r"learning_rate = 1000.* is not a finite number"):
        Config.of(learning_rate=10**400)
    with pytest.raises(ConfigError, match=r"seed = 1000.* is not a whole number"):
        Config.of(seed=10**400)


@pytest.mark.parametrize("name", options())
def test_none_means_chosen_from_the_data_or_is_refused(name):
    if name in NULLABLE:
        assert getattr(Config.of(**{name: None}), name) is None
        assert getattr(Config.of(**{name: "auto"}), name) is None
    else:
        with pytest.raises(ConfigError, match=f"^{name} cannot be None; leave it out for its default"):
            Config.of(**{name: None})


@pytest.mark.parametrize("name", CHOICES)
def test_choices_admit_their_names_and_list_them_otherwise(name):
    option = options()[name]
    known = [*option.choices, *(REGISTRIES[name].names() if option.registry else ())]
    assert known
    for choice in known:
        assert getattr(Config.of(**{name: choice}), name) == choice
    for value in ("nonsense", 3, ["relu"]):
        with pytest.raises(ConfigError) as caught:
            Config.of(**{name: value})
        assert all(choice in str(caught.value) for choice in known)


@pytest.mark.parametrize("name", REGISTRIES)
def test_registry_names_are_suggested(name):
    known = REGISTRIES[name].names()[-1]
    with pytest.raises(ConfigError, match=f"unknown .* '{known}x'. Did you mean '{known}'\\?"):
        Config.of(**{name: f"{known}x"})
    assert options()[name].registry


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("activation", "logistic", "sigmoid"), ("activation", "relu,logistic", ("relu", "sigmoid")),
        ("activation", ("logistic", "tanh"), ("sigmoid", "tanh")), ("schedule", "invscaling", "inverse_scaling"),
    ],
)  # fmt: skip
def test_names_of_other_libraries_become_our_own(name, value, expected):
    assert getattr(Config.of(**{name: value}), name) == expected


def test_a_choice_names_the_words_beside_the_registry_too():
    with pytest.raises(
        ConfigError, match=r"^unknown normalization 'bach'\. Did you mean 'batch'\? Known: batch, layer\. "
    ):
        Config.of(normalization="bach")
    with pytest.raises(ConfigError, match=r"normalization also takes auto, none\.$"):
        Config.of(normalization="bach")
    assert Config.of(normalization="none", watch="loss", loss="auto") == Config.of(normalization="none")


def test_a_class_is_named_by_text_or_a_number():
    for value, expected in (("yes", "yes"), (1, "1"), (True, "True"), (0.5, "0.5")):
        assert Config.of(positive_class=value).positive_class == expected
    for value in (["yes"], ("yes",), {"yes": 1}, {"yes"}):
        with pytest.raises(ConfigError, match=r"^positive_class = .* is not a text or a number"):
            Config.of(positive_class=value)


def test_an_unknown_option_is_answered_with_the_closest():
    with pytest.raises(
        ConfigError, match=r"unknown option 'hiden_units'. Did you mean 'hidden_units'\?.*--print-config"
    ):
        Config.of(hiden_units=(3,))
    with pytest.raises(ConfigError, match=r"unknown option 'qqq'. `lamina train"):
        Config.of(qqq=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", ()), ("", ()), ("()", ()), ((), ()), ([], ()), ("64", (64,)), (64, (64,)), (np.int64(64), (64,)),
        ("(256, 128)", (256, 128)), ("[8,]", (8,)), (np.array([4, 2]), (4, 2)), ((4.0, 2), (4, 2)),
    ],
)  # fmt: skip
def test_hidden_units_in_every_form(value, expected):
    units = Config.of(hidden_units=value).hidden_units
    assert units == expected
    assert all(type(n) is int for n in units)


@pytest.mark.parametrize("value", [0, (0,), "16,0", (-1,)])
def test_a_hidden_layer_has_a_unit(value):
    with pytest.raises(ConfigError, match="every hidden layer needs at least 1 unit; use \\(\\) for no hidden layer"):
        Config.of(hidden_units=value)


@pytest.mark.parametrize("value", ["wide", True, (True,), (1.5,), "1.5", 2.5, object()])
def test_hidden_units_are_whole_numbers(value):
    with pytest.raises(ConfigError, match=r"^hidden_units = .* is not a (sequence of )?whole number"):
        Config.of(hidden_units=value)


def test_one_activation_for_each_hidden_layer():
    assert Config.of(activation="relu,tanh", hidden_units="8,4").activation == ("relu", "tanh")
    with pytest.raises(ConfigError, match="activation names 2 functions for 3 hidden layers; give one for all, or one"):
        Config.of(activation=("relu", "tanh"), hidden_units=(8, 4, 2))


@pytest.mark.parametrize("name", ["early_stopping", "shuffle", "nesterov"])
@pytest.mark.parametrize("value", ["maybe", "", 2, None, []])
def test_a_switch_is_true_or_false(name, value):
    with pytest.raises(ConfigError, match=rf"^{name} (= .* is not true or false|cannot be None)"):
        Config.of(**{name: value})
    assert [getattr(Config.of(**{name: text}), name) for text in ("yes", "False", 1, "0")] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_holdout_is_a_fraction_a_file_or_data(name):
    data = [[1, 2]]
    for value, expected in ((0, 0.0), ("0", 0.0), (np.float32(0.5), 0.5), ("x.csv", "x.csv"), (data, data)):
        held = getattr(Config.of(**{name: value}), name)
        assert held == expected
        assert type(held) is type(expected)
    for value in (1, "1.0", -0.1, "nan", "inf", 20):
        with pytest.raises(ConfigError, match=f"^{name} = .* a fraction is at least 0 and below 1"):
            Config.of(**{name: value})
    with pytest.raises(ConfigError, match=f"{name} = True is not a fraction, a file or data"):
        Config.of(**{name: True})


def test_kinds_and_class_weights_are_checked():
    with pytest.raises(ConfigError, match=r"kind of column 'a' = 'categry' is not known. Did you mean 'category'"):
        Config.of(kind="a=categry")
    with pytest.raises(ConfigError, match="kind = 'a' is not COLUMN=number, COLUMN=category or COLUMN=datetime"):
        Config.of(kind="a")
    assert Config.of(class_weight="balanced").class_weight == "balanced"
    for value in ("yes", "yes=many", ["yes"], 3):
        with pytest.raises(ConfigError, match=r"^class_weight = .* is not `balanced` or CLASS=WEIGHT"):
            Config.of(class_weight=value)
    for value in ("yes=-1", {"yes": float("nan")}, {"yes": float("inf")}):
        with pytest.raises(ConfigError, match="weights are finite numbers of at least 0"):
            Config.of(class_weight=value)


@pytest.mark.parametrize("name", ["weight", "group", "time"])
@pytest.mark.parametrize("value", ["", 3])
def test_a_column_is_named_by_text(name, value):
    with pytest.raises(ConfigError, match=f"^{name} = .* is not a column's name"):
        Config.of(**{name: value})


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda", "cuda:0", "mps"])
def test_devices_are_known_by_name(device):
    assert Config.of(device=device).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "auto:1", "cpu:0", "", 0])
def test_other_devices_are_refused(device):
    with pytest.raises(ConfigError, match="is not known; use auto, cpu, cuda, cuda:N or mps"):
        Config.of(device=device)


def test_toml_round_trips(tmp_path):
    values = {name: form[1] for name, form in FORMS.items()}
    for config in (
        Config(),
        Config.of(**values),
        Config.of(hidden_units=(), class_weight={'say "ä"\n': 1e-7}, drop=["x\\"]),
    ):
        (tmp_path / "c.toml").write_text(to_toml(config), encoding="utf-8")
        read = read_toml(tmp_path / "c.toml")
        assert Config.of(**read) == config
        assert set(read) == {name for name, value in config.as_dict().items() if value is not None}
    assert "\n# hidden_units = (chosen from the data)\n" in to_toml(Config())


OFF = {"weight", "group", "time", "class_weight", "clip_norm", "time_limit"}
ELSE = {"test": "off; of fashion-mnist its test part", "positive_class": "the last in sorted order"}


@pytest.mark.parametrize("name", NULLABLE)
def test_an_open_option_says_what_that_means(name):
    """Off, or chosen: then ``resolve`` puts a value in its place, except for the rows to hold out, which are split."""
    expected = "off" if name in OFF else ELSE.get(name, "chosen from the data")
    assert options()[name].unset == expected
    assert f"\n# {name} = ({expected})\n" in to_toml(Config())
    shown = next(parameter for parameter in train.params if parameter.name == name).help
    assert shown.endswith(f"  [default: {expected}]") == (expected != "chosen from the data")
    asked = Config.of(early_stopping=True)
    chosen = resolve(
        asked, recipe_of(asked, ["number"]), n_rows=500, n_number_columns=1, has_images=False, task="classification",
        has_validation=True,
    )  # fmt: skip
    assert (getattr(chosen, name) is None) == (expected != "chosen from the data" or name == "validation")


@pytest.mark.parametrize("name", sorted(set(options()) - set(NULLABLE)))
def test_only_an_open_option_says_what_that_means(name):
    assert options()[name].unset == "chosen from the data"


def test_data_in_memory_is_described_and_not_written():
    config = Config.of(validation=np.zeros((3, 2)))
    assert config.as_json()["validation"] == "(ndarray in memory)"
    assert tomllib.loads(to_toml(config))["validation"] == "(ndarray in memory)"


def test_a_configuration_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration '.*no.toml': No such file"):
        read_toml(tmp_path / "no.toml")
    for content in (b"epochs = = 3", b"\xff"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"bad.toml' is not TOML: "):
            read_toml(tmp_path / "bad.toml")


def test_a_configuration_is_frozen_and_replaced_with_checks():
    config = Config.of(epochs=3)
    assert config.replace(seed="5") == Config.of(epochs=3, seed=5)
    with pytest.raises(ConfigError, match="epochs = 0 is out of bounds"):
        config.replace(epochs=0)
    with pytest.raises(FrozenInstanceError):
        config.epochs = 4
