"""What is chosen from the data where the user chooses nothing: sizes, steps, rates.

Small tables need small minibatches and thousands of steps; large ones need few passes.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from lamina.activations import ACTIVATIONS
from lamina.config import Config
from lamina.errors import ConfigError
from lamina.losses import LOSSES
from lamina.metrics import METRICS
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.schedules import SCHEDULES

MIN_HOLDOUT_ROWS = 100
WIDE_TABLE = 128
_ONE_THREAD_PRODUCTS = 15_000_000
_TABLE_STEPS = 4000
_TABLE_DECAY = 0.3
# A cross-entropy that nears 0 on a few validation rows falls on as the network only grows surer of itself.
_CLASS_TOL = 1e-4
_IMAGE_STEPS = 4500

_MEMBERS = 8
_MEMBERS_STEPS = 3000
_MEMBERS_DECAY = 0.1
_MEMBERS_RATE = 4e-3
_MEMBERS_AVERAGING = 0.998

_LBFGS_ITERATIONS = 200
# From here on the size of a gradient in L-BFGS counts as 0, as in scikit-learn.
_LBFGS_TOL = 1e-4
_ADAPTIVE_PATIENCE = 10


def validation_fraction(n_rows: int, early_stopping: bool = True) -> float:
    """Share of the rows that early stopping watches: none below 100 rows, 20 %, or 10 % from 50,000 rows on."""
    if n_rows < MIN_HOLDOUT_ROWS or not early_stopping:
        return 0.0
    return 0.2 if n_rows < 50_000 else 0.1


def n_members(config: Config, kinds: Sequence[str], partial: bool = False) -> int:
    """Return how many networks are trained side by side: those asked for, or 8 for a table, else 1.

    Who names the layers means one network, with those layers. Pixels and sparse matrices make the first layer, the one
    that costs, eight times as wide.

    Args:
        config: the user's options.
        kinds: of the features' columns.
        partial: whether training is one pass at a time, at the user's call.
    """
    if config.members is not None:
        return config.members
    names_layers = config.hidden_units is not None or config.layer != "dense" or isinstance(config.activation, tuple)
    alone = names_layers or config.optimizer != "adamw" or partial or {"image", "sparse"} & set(kinds)
    return 1 if alone else _MEMBERS


def resolve(
    config: Config, *, n_rows: int, n_number_columns: int, has_images: bool, task: str, has_validation: bool
) -> Config:
    """Return ``config`` with a value in the place of every ``None`` and ``auto`` that the recipe chooses.

    Args:
        config: the user's options.
        n_rows: training rows.
        n_number_columns: features that are numbers.
        has_images: whether inputs are pixels.
        task: ``classification`` or ``regression``.
        has_validation: whether there are rows that early stopping can watch.

    Raises:
        ConfigError: options that contradict the task or one another.
    """
    optimizer = OPTIMIZERS[config.optimizer]
    members = config.members or 1
    auto_units = (256, 128) if members == 1 or has_images else (128, 128)
    hidden_units = auto_units if config.hidden_units is None else config.hidden_units
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
    numeric = "standard" if n_number_columns > WIDE_TABLE else "piecewise_linear" if members == 1 else "mixed"
    normalization = "batch" if has_images and not optimizer.full_batch else "none"
    dropout = 0.0 if optimizer.full_batch else 0.25 if has_images else 0.2 if members == 1 else 0.1
    # The many pieces of the encoding are what decay must hold in a table; a linear model and images need little.
    decays = optimizer.decoupled and hidden_units and not has_images
    weight_decay = (_TABLE_DECAY if members == 1 else _MEMBERS_DECAY) if decays else optimizer.weight_decay
    learning_rate = _MEMBERS_RATE if decays and members > 1 else optimizer.learning_rate
    batch_size = config.batch_size or _batch_size(n_rows, 16 if members == 1 else 32)
    steps = _IMAGE_STEPS if has_images else _TABLE_STEPS if members == 1 else _MEMBERS_STEPS
    epochs = min(max(math.ceil(steps / math.ceil(n_rows / batch_size)), 12), 200)
    epochs = config.epochs or (_LBFGS_ITERATIONS if optimizer.full_batch else epochs)
    tol = _LBFGS_TOL if optimizer.full_batch else 0.0 if task == "regression" else _CLASS_TOL
    schedule = "constant" if optimizer.full_batch else config.schedule
    patience = config.patience
    if patience is None and config.early_stopping and has_validation:
        patience = max(math.ceil(epochs / (4 if members == 1 else 5)), 8)
    if patience is None and SCHEDULES[schedule].on_plateau < 1:
        patience = _ADAPTIVE_PATIENCE
    return replace(
        config,
        task=task,
        numeric=numeric if config.numeric == "auto" else config.numeric,
        bins=(24 if n_rows < 10_000 else 48) if config.bins is None else config.bins,
        hidden_units=hidden_units,
        dropout=dropout if config.dropout is None else config.dropout,
        normalization=normalization if config.normalization == "auto" else config.normalization,
        loss=loss,
        learning_rate=config.learning_rate or learning_rate,
        members=members,
        averaging=(_MEMBERS_AVERAGING if members > 1 and not optimizer.full_batch else 0.0)
        if config.averaging is None
        else config.averaging,
        schedule=schedule,
        beta_2=optimizer.beta_2 if config.beta_2 is None else config.beta_2,
        weight_decay=weight_decay if config.weight_decay is None else config.weight_decay,
        batch_size=batch_size,
        epochs=epochs,
        tol=tol if config.tol is None else config.tol,
        patience=patience,
    )


def _check_combinations(config: Config, task: str, loss: str, full_batch: bool) -> None:
    """Refuse options that contradict one another, rather than leave one of them without effect."""
    if task != "classification" and config.class_weight is not None:
        raise ConfigError("class_weight is for one target of classes, which this is not; leave it out.")
    if task == "regression" and config.label_smoothing:
        raise ConfigError("label_smoothing is for classes, but the target is a number; leave it out.")
    if LOSSES[loss].target_scaling == "mean" and config.target_transform != "none":
        raise ConfigError(f"the loss {loss!r} is for counts as they are; leave target_transform out, or the loss.")
    if task != "regression" and config.target_transform != "none":
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
