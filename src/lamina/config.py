"""Every option of a training run, once: its name, default, bounds, help, and scikit-learn's name for it.

The command line generates its flags from these fields, ``--config FILE.toml`` and ``--set`` are checked against them,
and the estimators' signatures are compared with them by a test. ``None`` means "chosen from the data", unless the
option's ``unset`` says something else, such as "off"; the choice is made by ``lamina.training.recipe`` and stored with
the model. Nothing here imports torch or scikit-learn: a registry is named, and looked up when a value is checked.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lamina.errors import ConfigError, did_you_mean
from lamina.option_values import Option, parse


def _option(default: Any, help: str, parse: str, group: str, **more: Any) -> Any:
    metadata = {"option": Option(help, parse, group, **more)}
    if default == {}:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """The options of one training run. Build it with ``Config.of``, which checks every value."""

    # -- data
    task: str = _option(
        "auto", "What the target is; auto: strings, booleans and up to 20 distinct integers are classes.", "choice",
        "Data", choices=("auto", "classification", "multilabel", "regression"),
    )  # fmt: skip
    kind: Mapping[str, str] = _option(
        {}, "Treat a column as a number, a category or a datetime (repeatable).", "kinds", "Data", metavar="COL=KIND"
    )
    drop: tuple[str, ...] = _option((), "Leave a column out (repeatable).", "names", "Data", metavar="COL")
    weight: str | None = _option(
        None, "Column that holds the rows' weights.", "name", "Data", metavar="COL", unset="off"
    )
    group: str | None = _option(
        None, "Column whose equal values stay on one side of every split.", "name", "Data", metavar="COL", unset="off"
    )  # fmt: skip
    time: str | None = _option(
        None, "Column to order the rows by; the latest are held out.", "name", "Data", metavar="COL", unset="off"
    )  # fmt: skip
    validation: Any = _option(
        None, "Rows that early stopping watches: a fraction (0: none) or a file; auto: where there are four members or "
        "more, each holds out another quarter of the rows.", "holdout", "Data",
        sklearn_name="validation_fraction", metavar="FRACTION|FILE",
    )  # fmt: skip
    test: Any = _option(
        None, "Rows kept aside for the final score: a fraction or a file.", "holdout", "Data", metavar="FRACTION|FILE",
        unset="off; of fashion-mnist its test part",
    )  # fmt: skip
    positive_class: str | None = _option(
        None, "Of two classes the one that is looked for.", "text", "Data", metavar="CLASS",
        unset="the last in sorted order",
    )  # fmt: skip
    threshold: float = _option(
        0.5,
        "Probability from which on the positive class, or a label, is predicted.",
        "float",
        "Data",
        low=0.0,
        high=1.0,
    )
    target_transform: str = _option(
        "auto", "Transform of a number target before it is standardised, undone in predictions; auto: the best on "
        "validation rows if the target is skewed and several members are trained that are not linear models, else "
        "none.", "choice", "Data",
        choices=("auto",), registry="lamina.data.target_scaling:TRANSFORMS",
    )  # fmt: skip
    numeric: str = _option(
        "auto", "Encoding of numbers; mixed: half of the members take piecewise_embedding, half periodic; auto: "
        "mixed, above 128 number columns periodic and above 256 standard; of one member piecewise_linear, above 128 "
        "standard; standard if there is no hidden layer or every activation is identity.", "choice", "Data",
        choices=("auto", "piecewise_linear", "piecewise_embedding", "periodic", "mixed", "standard"),
    )  # fmt: skip
    bins: int | None = _option(
        None, "Pieces of the piecewise-linear encoding, at most.", "int", "Data", low=1, high=4096
    )
    features: str = _option(
        "pixels", "What the network sees of an image: its pixels, or fixed histograms of its oriented gradients.",
        "choice", "Data", choices=("pixels", "gradients"),
    )  # fmt: skip
    one_hot_levels: int = _option(
        8, "Categories with up to this many levels are one-hot, others get an embedding.", "int", "Data", low=0
    )
    embedding_width: int = _option(8, "Numbers in a category's embedding.", "int", "Data", low=1)
    min_level_rows: int = _option(
        4, "Levels seen in fewer training rows count as one level, `rare`, unless fewer than two would be left.", "int",
        "Data", low=1,
    )  # fmt: skip

    # -- network
    preset: str = _option(
        "default", "How much training where nothing else is said: fast, default, or best, which takes longest.",
        "choice", "Network", choices=("fast", "default", "best"),
    )  # fmt: skip
    hidden_units: tuple[int, ...] | None = _option(
        None, "Units of each hidden layer, as in 256,128; `none`: no hidden layer, which is a linear model of "
        "standardised numbers unless `numeric` says otherwise.", "units", "Network",
        sklearn_name="hidden_layer_sizes", metavar="N,N,...",
    )  # fmt: skip
    members: int | None = _option(
        None, "Networks trained side by side whose predictions are averaged; auto: for a table by the preset, 8 by "
        "default; 1 for images (8 with the preset best) and sparse matrices, and if hidden_units, layer, an optimizer "
        "other than adamw, an activation for each layer or the activation identity is given.", "int", "Network", low=1,
        sklearn_name="members",
    )  # fmt: skip
    activation: str | tuple[str, ...] = _option(
        "relu", "Activation of the hidden layers: one name, or one for each layer.", "activation", "Network",
        registry="lamina.activations:ACTIVATIONS", sklearn_name="activation", metavar="NAME[,NAME...]",
    )  # fmt: skip
    activation_parameters: str = _option(
        "layer", "Learned numbers of an activation: one for each layer or for each unit.", "choice", "Network",
        choices=("layer", "unit"),
    )  # fmt: skip
    dropout: float | None = _option(
        None, "Share of hidden units that are dropped in training.", "float", "Network", low=0.0, below=1.0
    )
    input_dropout: float | None = _option(
        None, "Share of inputs that are dropped in training; auto: 0.1 for pixels unless hidden_units or an optimizer "
        "is given, else 0.", "float", "Network", low=0.0, below=1.0,
    )  # fmt: skip
    normalization: str = _option(
        "auto", "Normalization between the affine map and the activation; auto: batch for images, else none.", "choice",
        "Network", choices=("auto", "none"), registry="lamina.network.layers:NORMALIZATIONS",
    )  # fmt: skip
    initial_weights: str = _option(
        "auto", "Initial weights; auto: the rule that suits the activation.", "choice", "Network",
        choices=("auto",), registry="lamina.initializers:INITIALIZERS",
    )  # fmt: skip
    layer: str = _option(
        "dense", "Affine map of the hidden layers: all weights, or one of two ways to learn fewer numbers.", "choice",
        "Network", registry="lamina.network.saving_layers:AFFINE_LAYERS",
    )  # fmt: skip
    phm_n: int = _option(
        4, "For the layer phm: it learns about 1/n of the weights; n divides every hidden_units.", "int", "Network",
        low=1,
    )  # fmt: skip
    rank: int = _option(16, "For the layer low_rank: the rank of its weights.", "int", "Network", low=1)

    # -- training
    loss: str = _option(
        "auto", "Loss; auto: cross_entropy for classes, binary_cross_entropy for labels, squared_error for numbers.",
        "choice", "Training", choices=("auto",), registry="lamina.losses:LOSSES", sklearn_name="loss",
    )  # fmt: skip
    quantile: float = _option(
        0.5, "The quantile that the loss `quantile` finds.", "float", "Training", above=0.0, below=1.0
    )
    huber_delta: float = _option(
        1.0, "Error from which on the loss `huber` is linear, in standard deviations of the target.", "float",
        "Training", above=0.0,
    )  # fmt: skip
    label_smoothing: float = _option(
        0.0, "Share of a label's weight that is spread evenly over all classes in training.", "float", "Training",
        low=0.0, below=1.0,
    )  # fmt: skip
    class_weight: str | Mapping[str, float] | None = _option(
        None, "`balanced`, or a weight for each class, as in yes=3,no=1.", "class_weight", "Training",
        metavar="balanced|CLASS=W,...", unset="off",
    )  # fmt: skip
    optimizer: str = _option(
        "adamw", "Optimizer.", "choice", "Training",
        registry="lamina.training.optimizers:OPTIMIZERS", sklearn_name="solver",
    )  # fmt: skip
    learning_rate: float | None = _option(
        None, "Step size, the largest of the schedule.", "float", "Training", above=0.0,
        sklearn_name="learning_rate_init",
    )  # fmt: skip
    schedule: str = _option(
        "one_cycle", "How the learning rate changes.", "choice", "Training",
        registry="lamina.training.schedules:SCHEDULES", sklearn_name="learning_rate",
    )  # fmt: skip
    power_t: float = _option(
        0.5, "Exponent of the schedule inverse_scaling.", "float", "Training", low=0.0, sklearn_name="power_t"
    )
    momentum: float = _option(0.9, "Momentum of sgd.", "float", "Training", low=0.0, below=1.0, sklearn_name="momentum")
    nesterov: bool = _option(
        True, "Take the gradient of sgd where the momentum leads (Nesterov).", "bool", "Training",
        sklearn_name="nesterovs_momentum",
    )  # fmt: skip
    beta_1: float = _option(
        0.9, "Decay of the gradients' mean in adam and adamw.", "float", "Training", low=0.0, below=1.0,
        sklearn_name="beta_1",
    )  # fmt: skip
    beta_2: float | None = _option(
        None, "Decay of the squared gradients' mean; auto: 0.95 for adamw, 0.999 for adam.", "float", "Training",
        low=0.0, below=1.0, sklearn_name="beta_2",
    )  # fmt: skip
    epsilon: float = _option(
        1e-8, "What adam and adamw add to the root of the squared gradients' mean.", "float", "Training", above=0.0,
        sklearn_name="epsilon",
    )  # fmt: skip
    max_fun: int = _option(
        15000, "Evaluations of the loss by lbfgs, at most.", "int", "Training", low=1, sklearn_name="max_fun"
    )
    weight_decay: float | None = _option(
        None, "Decoupled weight decay (adamw), or an L2 penalty divided by the rows of a minibatch (the others).",
        "float", "Training", low=0.0, sklearn_name="alpha",
    )  # fmt: skip
    batch_size: int | None = _option(None, "Rows in a minibatch.", "int", "Training", low=1, sklearn_name="batch_size")
    epochs: int | None = _option(
        None, "Passes over the training rows, at most.", "int", "Training", low=1, sklearn_name="max_iter"
    )
    shuffle: bool = _option(
        True, "Draw a new order of the rows for each epoch; else they stay as they are.", "bool", "Training",
        sklearn_name="shuffle",
    )  # fmt: skip
    averaging: float | None = _option(
        None, "Decay of the running mean of the weights that is measured and kept; 0: the weights themselves; auto: "
        "0.998 for several members and for images unless hidden_units or an optimizer is given, else 0.", "float",
        "Training", low=0.0, below=1.0,
    )  # fmt: skip
    calibrate: bool = _option(
        True, "Divide logits by the temperature that suits the validation rows best.", "bool", "Training",
    )  # fmt: skip
    linear_share: bool = _option(
        True, "Let a linear model count for a share of what several members predict of a table of up to 50,000 rows, "
        "where rows that neither has seen gain by it.", "bool", "Training",
    )  # fmt: skip
    early_stopping: bool = _option(
        True, "Hold out validation rows, stop when they stop improving, keep their best epoch.", "bool", "Training",
        sklearn_name="early_stopping",
    )  # fmt: skip
    watch: str = _option(
        "loss", "What early stopping watches on the validation rows: the loss, or a metric.", "choice", "Training",
        choices=("loss",), registry="lamina.metrics:METRICS",
    )  # fmt: skip
    patience: int | None = _option(
        None, "Epochs without an improvement before stopping; without validation rows, of the training loss.", "int",
        "Training", low=1, sklearn_name="n_iter_no_change",
    )  # fmt: skip
    tol: float | None = _option(
        None, "What counts as an improvement; for lbfgs the largest gradient at the end.", "float", "Training", low=0.0,
        sklearn_name="tol",
    )  # fmt: skip
    clip_norm: float | None = _option(
        None, "Largest norm of the gradient; longer ones are shortened to it.", "float", "Training", above=0.0,
        unset="off",
    )  # fmt: skip
    time_limit: float | None = _option(
        None, "Seconds of training, at most.", "float", "Training", above=0.0, unset="off"
    )

    # -- run
    seed: int = _option(
        0, "Seed of the one source of randomness.", "int", "Run", low=0, high=2**63 - 1, sklearn_name="random_state"
    )
    device: str = _option("cpu", "Where to compute: auto, cpu, cuda, cuda:N or mps.", "device", "Run", metavar="NAME")
    dtype: str = _option(
        "float32", "Number format of weights and steps.", "choice", "Run", choices=("float32", "float64")
    )
    precision: str = _option(
        "auto", "Number format of large products in training; int8: of those with pixels. auto: bfloat16 or int8 where "
        "the processor's flags say that it pays, else that of the weights.", "choice", "Run",
        choices=("auto", "float32", "float64", "bfloat16", "int8"),
    )  # fmt: skip

    @classmethod
    def of(cls, **values: Any) -> "Config":
        """Return the configuration with ``values`` in place of defaults, each checked and converted.

        Strings are read as on the command line, so ``hidden_units="256,128"`` equals ``hidden_units=(256, 128)``.

        Raises:
            ConfigError: an unknown option, a value of the wrong type or out of bounds, an unknown name.
        """
        checked = {}
        for name, value in values.items():
            checked[name] = check_value(name, value)
        config = cls(**checked)
        units = config.hidden_units
        if isinstance(config.activation, tuple) and units is not None and len(config.activation) != len(units):
            raise ConfigError(
                f"activation names {len(config.activation)} functions for {len(units)} hidden layers; "
                "give one for all, or one for each layer."
            )
        return config

    def replace(self, **values: Any) -> "Config":
        """Return a copy with other values, checked as in ``of``."""
        return Config.of(**{**self.as_dict(), **values})

    def as_dict(self) -> dict[str, Any]:
        """Return all values by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def as_json(self) -> dict[str, Any]:
        """Return all values by name, as JSON knows them; a holdout that is data in memory becomes a description."""
        return {name: _plain(value) for name, value in self.as_dict().items()}


_DEFAULTS = Config()


def options() -> dict[str, Option]:
    """Return what is known of each option, by name, in the order of the fields."""
    return {f.name: f.metadata["option"] for f in fields(Config)}


def default(name: str) -> Any:
    """Return the default of the option ``name``."""
    return getattr(_DEFAULTS, name)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read options from a TOML file of ``name = value`` lines.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} is not TOML: {error}.") from None


def to_toml(config: Config) -> str:
    """Return ``config`` as TOML that ``read_toml`` reads back; an option that is ``None`` becomes a comment."""
    lines = []
    for name, value in config.as_json().items():
        option = options()[name]
        lines.append(f"# {option.help}")
        lines.append(f"# {name} = ({option.unset})" if value is None else f"{name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def check_value(name: str, value: Any) -> Any:
    """Return ``value`` for the option ``name``, converted to its type.

    Raises:
        ConfigError: as in ``Config.of``.
    """
    known = options()
    if name not in known:
        raise ConfigError(
            f"unknown option {name!r}.{did_you_mean(name, known)} "
            "`lamina train --print-config` lists every option with its meaning."
        )
    option = known[name]
    if value is None or (isinstance(value, str) and value.strip().lower() == "auto" and default(name) is None):
        if default(name) is None:
            return None
        raise ConfigError(f"{name} cannot be None; leave it out for its default, {default(name)!r}.")
    return parse(name, value, option)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and all(isinstance(each, str | int | float) for each in value):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return f"({type(value).__name__} in memory)"


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
