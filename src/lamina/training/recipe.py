"""What is chosen from the data where the user chooses nothing: sizes, steps, rates.

Small tables need small minibatches and thousands of steps; large ones need few passes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lamina.activations import ACTIVATIONS
from lamina.config import Config
from lamina.errors import ConfigError
from lamina.losses import LOSSES
from lamina.metrics import METRICS
from lamina.training import processor
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.schedules import SCHEDULES

MIN_HOLDOUT_ROWS = 100
WIDE_TABLE, VERY_WIDE_TABLE = 128, 256
_ONE_THREAD_PRODUCTS = 15_000_000
# A cross-entropy that nears 0 on a few validation rows falls on as the network only grows surer of itself.
_CLASS_TOL = 1e-4

_LBFGS_ITERATIONS = 200
# From here on the size of a gradient in L-BFGS counts as 0, as in scikit-learn.
_LBFGS_TOL = 1e-4
_ADAPTIVE_PATIENCE = 10

_LARGE_TABLE = 50_000
_NARROW = "bfloat16", "int8"
_MAX_PIECES = 1024


@dataclass(frozen=True)
class Recipe:
    """Numbers for what the user leaves open.

    Attributes:
        members: networks side by side.
        hidden_units: of each.
        dropout, input_dropout, weight_decay, learning_rate, averaging: options of ``lamina.config``.
        steps: minibatches to train on, at most, where ``least_epochs`` passes take fewer.
        least_epochs: passes at least, up to 50,000 rows; beyond, fewer by the root of their number.
        patience: share of the epochs without an improvement after which training ends.
        smallest_batch: rows in a minibatch at least.
    """

    members: int
    hidden_units: tuple[int, ...]
    dropout: float
    weight_decay: float
    learning_rate: float
    steps: int
    least_epochs: int = 12
    averaging: float = 0.0
    input_dropout: float = 0.0
    patience: float = 0.25
    smallest_batch: int = 16


# One network whose layers the user names.
_NAMED = Recipe(1, (256, 128), dropout=0.2, weight_decay=0.3, learning_rate=2e-3, steps=4000)
_NAMED_IMAGES = Recipe(1, (256, 128), dropout=0.25, weight_decay=0.01, learning_rate=2e-3, steps=4500)

_MEMBERS = Recipe(
    8, (128, 128), dropout=0.1, weight_decay=0.1, learning_rate=4e-3, steps=4500, averaging=0.998, patience=0.2,
    smallest_batch=32,
)  # fmt: skip
_TABLES = {
    "fast": replace(_MEMBERS, members=4, steps=1600, learning_rate=5e-3, least_epochs=4, averaging=0.99),
    "default": _MEMBERS,
    "best": replace(_MEMBERS, members=16, steps=6000, least_epochs=20, patience=0.3),
}
_PIXELS = Recipe(
    1, (512, 512), dropout=0.25, weight_decay=0.05, learning_rate=2e-3, steps=6300, input_dropout=0.1, averaging=0.998
)
_IMAGES = {
    "fast": replace(_PIXELS, hidden_units=(256, 256), steps=2500),
    "default": _PIXELS,
    "best": replace(_PIXELS, members=8, steps=7000),
}


def validation_fraction(n_rows: int, early_stopping: bool = True) -> float:
    """Share of the rows that early stopping watches: none below 100 rows, 20 %, or 10 % from 50,000 rows on."""
    if n_rows < MIN_HOLDOUT_ROWS or not early_stopping:
        return 0.0
    return 0.2 if n_rows < 50_000 else 0.1


def is_linear(config: Config) -> bool:
    """Return whether the user asks for a linear model: no hidden layer, or the identity as every layer's activation."""
    names = (config.activation,) if isinstance(config.activation, str) else config.activation
    return config.hidden_units == () or all(name == "identity" for name in names)


def recipe_of(config: Config, kinds: Sequence[str], partial: bool = False) -> Recipe:
    """Return the recipe for what is to be trained.

    Who names the layers, asks for one member or for a linear model, means one network.

    Args:
        config: the user's options.
        kinds: of the features' columns.
        partial: whether training is one pass at a time, at the user's call.
    """
    has_images = "image" in kinds
    names_layers = config.hidden_units is not None or config.layer != "dense" or isinstance(config.activation, tuple)
    alone = names_layers or is_linear(config) or config.optimizer != "adamw" or partial or "sparse" in kinds
    if has_images:
        return _NAMED_IMAGES if alone and config.members in (None, 1) else _IMAGES[config.preset]
    return _NAMED if config.members == 1 or (alone and config.members is None) else _TABLES[config.preset]


def resolve(
    config: Config, recipe: Recipe, *, n_rows: int, n_number_columns: int, has_images: bool, task: str,
    has_validation: bool, device: str = "cpu",
) -> Config:  # fmt: skip
    """Return ``config`` with a value in the place of every ``None`` and ``auto`` that the recipe chooses.

    Args:
        config: the user's options.
        recipe: as ``recipe_of`` returns it.
        n_rows: training rows.
        n_number_columns: features that are numbers.
        has_images: whether inputs are pixels.
        task: ``classification`` or ``regression``.
        has_validation: whether there are rows that early stopping can watch.
        device: where training runs.

    Raises:
        ConfigError: options that contradict the task or one another.
    """
    optimizer = OPTIMIZERS[config.optimizer]
    members = config.members or recipe.members
    hidden_units = recipe.hidden_units if config.hidden_units is None else config.hidden_units
    if isinstance(config.activation, tuple) and len(config.activation) != len(hidden_units):
        config = config.replace(hidden_units=hidden_units)  # raises with the two counts
    names = (config.activation,) if isinstance(config.activation, str) else config.activation
    if hidden_units and not all(ACTIVATIONS[name].trainable for name in names):
        raise ConfigError(
            "the derivative of threshold is 0 everywhere, so gradient descent cannot train through it; "
            "use sigmoid, its smooth approximation."
        )
    loss = next(record.name for record in LOSSES if record.task == task) if config.loss == "auto" else config.loss
    if LOSSES[loss].task != task:
        raise ConfigError(f"the loss {loss!r} is for {LOSSES[loss].task}, but the task is {task}; leave it out.")

    _check_combinations(config, task, loss, optimizer.full_batch)
    pixels = has_images and config.features == "pixels" and not optimizer.full_batch
    input_dropout = recipe.input_dropout if pixels else 0.0
    # Pieces of a number, or a bent target, would make a curve of a linear model.
    linear = is_linear(config)
    numeric = "standard" if linear else _numeric(n_number_columns, members)
    normalization = "batch" if has_images and not optimizer.full_batch else "none"
    # The many pieces of the encoding are what decay must hold in a table; a linear model needs little.
    decays = optimizer.decoupled and hidden_units
    batch_size = config.batch_size or _batch_size(n_rows, recipe.smallest_batch)
    epochs = config.epochs or (_LBFGS_ITERATIONS if optimizer.full_batch else _epochs(recipe, n_rows, batch_size))
    tol = _LBFGS_TOL if optimizer.full_batch else 0.0 if task == "regression" else _CLASS_TOL
    schedule = "constant" if optimizer.full_batch else config.schedule
    patience = config.patience
    if patience is None and config.early_stopping and has_validation:
        patience = max(math.ceil(epochs * recipe.patience), 8)
    if patience is None and SCHEDULES[schedule].on_plateau < 1:
        patience = _ADAPTIVE_PATIENCE
    open_transform = config.target_transform == "auto" and (task != "regression" or members == 1 or linear)
    target_transform = "none" if open_transform else config.target_transform
    return replace(
        config,
        task=task,
        numeric=numeric if config.numeric == "auto" else config.numeric,
        bins=_bins(recipe, n_rows, n_number_columns) if config.bins is None else config.bins,
        hidden_units=hidden_units,
        dropout=_first(config.dropout, 0.0 if optimizer.full_batch else recipe.dropout),
        input_dropout=_first(config.input_dropout, input_dropout),
        normalization=normalization if config.normalization == "auto" else config.normalization,
        loss=loss,
        target_transform=target_transform,
        learning_rate=config.learning_rate or (recipe.learning_rate if decays else optimizer.learning_rate),
        members=members,
        averaging=_first(config.averaging, 0.0 if optimizer.full_batch else recipe.averaging),
        schedule=schedule,
        beta_2=_first(config.beta_2, optimizer.beta_2),
        weight_decay=_first(config.weight_decay, recipe.weight_decay if decays else optimizer.weight_decay),
        batch_size=batch_size,
        epochs=epochs,
        tol=_first(config.tol, tol),
        patience=patience,
        precision=_precision(config, optimizer.full_batch, has_images, device),
    )


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _numeric(n_number_columns: int, members: int) -> str:
    """Return the encoding of numbers; of very many columns the better ones would cost too many products.

    Where there are none, members share one input layer.
    """
    if members > 1 and not n_number_columns:
        return "standard"
    if n_number_columns <= WIDE_TABLE:
        return "piecewise_linear" if members == 1 else "mixed"
    return "periodic" if members > 1 and n_number_columns <= VERY_WIDE_TABLE else "standard"


def _precision(config: Config, full_batch: bool, has_images: bool, device: str) -> str:
    """Return the number format of large products, from the processor's flags where the user leaves it open."""
    in_closed_form = device == "cpu" and config.layer == "dense" and not full_batch
    of_pixels = has_images and config.features == "pixels"
    if config.precision == "auto":
        if in_closed_form and config.dtype == "float32":
            if processor.multiplies_bfloat16():
                return "bfloat16"
            if of_pixels and processor.multiplies_int8():
                return "int8"
        return config.dtype
    if config.precision in _NARROW and not in_closed_form:
        raise ConfigError(
            f"precision = {config.precision!r} is for minibatches of dense layers on the CPU, which these are not; "
            "leave it out."
        )
    if config.precision == "int8" and not of_pixels:
        raise ConfigError("precision = 'int8' is for the pixels of images, and none enter here; leave it out.")
    if config.precision != config.dtype and (config.precision not in _NARROW or config.dtype != "float32"):
        raise ConfigError(f"precision = {config.precision!r}, but dtype = {config.dtype!r}; leave precision out.")
    return config.precision


def _epochs(recipe: Recipe, n_rows: int, batch_size: int) -> int:
    """Return the passes that make the recipe's steps; large tables get fewer than its least number of passes."""
    least = math.ceil(recipe.least_epochs * min(1.0, math.sqrt(_LARGE_TABLE / n_rows)))
    return min(max(math.ceil(recipe.steps / math.ceil(n_rows / batch_size)), least, 2), 200)


def _bins(recipe: Recipe, n_rows: int, n_number_columns: int) -> int:
    """Return the pieces of a number's encoding: more where more rows fill them, fewer where many columns have them."""
    bins = 24 if n_rows < 10_000 else 48
    return bins if recipe.members == 1 else max(min(bins, _MAX_PIECES // max(n_number_columns, 1)), 8)


def _check_combinations(config: Config, task: str, loss: str, full_batch: bool) -> None:
    """Refuse options that contradict one another, rather than leave one of them without effect."""
    if task != "classification" and config.class_weight is not None:
        raise ConfigError("class_weight is for one target of classes, which this is not; leave it out.")
    if task == "regression" and config.label_smoothing:
        raise ConfigError("label_smoothing is for classes, but the target is a number; leave it out.")
    if LOSSES[loss].target_scaling == "mean" and config.target_transform not in ("auto", "none"):
        raise ConfigError(f"the loss {loss!r} is for counts as they are; leave target_transform out, or the loss.")
    if task != "regression" and config.target_transform not in ("auto", "none"):
        raise ConfigError("target_transform is for numbers, but the target is classes; leave it out.")
    if config.watch != "loss" and task not in METRICS[config.watch].tasks:
        known = ", ".join(metric.name for metric in METRICS if task in metric.tasks)
        raise ConfigError(f"the metric {config.watch!r} is not for {task}; watch loss, or one of {known}.")
    if config.layer != "dense" and (config.members or 1) > 1:
        raise ConfigError(f"members = {config.members}, but the layer {config.layer!r} is for one network; use dense.")
    if config.numeric == "mixed" and (config.members or 1) == 1:
        raise ConfigError("numeric = 'mixed' gives members different encodings, but there is one; name one of the two.")
    if full_batch and config.averaging:
        raise ConfigError("averaging is over many small steps, which lbfgs does not make; leave it out.")
    if full_batch and config.dropout:
        raise ConfigError(
            "dropout makes the loss random, and the line search of lbfgs cannot follow it; use dropout 0."
        )
    if full_batch and config.clip_norm is not None:
        raise ConfigError("clip_norm has no meaning for lbfgs, which searches for the length of a step; leave it out.")


def threads(batch_size: int, n_parameters: int, available: int) -> int:
    """Threads for the matrix products of one step, from their size alone: one where a second would hardly help.

    Measured on 2 cores, from 119,000 parameters in minibatches of 16 to 95,000 in minibatches of 128: a second thread
    saves 5 to 10 % on a quiet machine, and on a busy one costs a multiple, since OpenMP's threads spin while they wait.
    """
    return 1 if batch_size * n_parameters < _ONE_THREAD_PRODUCTS else available


def _batch_size(n_rows: int, smallest: int) -> int:
    """A power of two, about a fortieth of the rows, from ``smallest`` to 256, and 1024 from 300,000 rows on."""
    if n_rows >= 300_000:
        return 1024
    return int(min(max(2 ** round(math.log2(max(n_rows, 1) / 40)), smallest), 256)) if n_rows > 40 else smallest
