"""What the baselines say of the held-out rows, the scores of any prediction of them, and which model is worth it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.baselines import STRAIGHT, fit_baselines
from lamina.comparison import bootstrap_interval, minimised_losses
from lamina.config import Config
from lamina.data.encoder import Encoder
from lamina.data.schema import Schema
from lamina.data.target import Target
from lamina.data.target_scaling import TargetScaler
from lamina.losses import LOSSES, Loss
from lamina.metrics import score
from lamina.model import Model
from lamina.partition import Part, with_class_weights

Array = NDArray[Any]


@dataclass(frozen=True)
class BaselineOutputs:
    """Predictions of the baselines, by name: probabilities or values, (n, k).

    Attributes:
        held: of the held-out rows.
        known: of the rows ``known_rows``, which the baselines were fitted on, a sample of them.
        known_rows: positions in the training part, (m,).
    """

    held: Mapping[str, Array] = field(default_factory=dict)
    known: Mapping[str, Array] = field(default_factory=dict)
    known_rows: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def baseline_outputs(
    schema: Schema, encoder: Encoder, config: Config, train: Part, held: Part, *, n_known: int = 2000
) -> BaselineOutputs:
    """Return what a linear model and a constant, fitted on ``train``, predict for ``held``.

    Where ``held`` are training rows too, in folds, each row is predicted by a model of the other folds. Of linear
    models on bent columns and on the columns themselves it is the one of less loss on ``held``.

    Args:
        schema, encoder: what target and arrays hold.
        config: whose loss is minimised, with the weights of its classes.
        train, held: two parts of the data.
        n_known: rows in the sample, at most.
    """
    target, seed = schema.target, config.seed
    pairs = [(np.arange(len(train)), np.ones(len(held), dtype=bool))]
    if held.folds is not None:
        pairs = [(np.flatnonzero(train.folds != fold), held.folds == fold) for fold in np.unique(held.folds)]
    outputs: dict[str, Array] = {}
    for index, chosen in pairs:
        known = train if len(index) == len(train) else train.rows(index)
        predictors = fit_baselines(
            encoder, known.arrays, known.y, with_class_weights(known, config.class_weight, schema),
            len(target.classes), np.random.default_rng(seed), labels=target.task == "multilabel", loss=loss_of(config),
        )  # fmt: skip
        for name, predict in predictors.items():
            outputs.setdefault(name, np.empty((len(held), target.n_outputs)))[chosen] = predict(
                held.rows(chosen).arrays
            )
    if STRAIGHT in outputs:
        weights = with_class_weights(held, config.class_weight, schema)
        losses_of = _losses(config, schema, train)
        losses = {name: np.average(losses_of(held.y, outputs[name]), weights=weights) for name in ("linear", STRAIGHT)}
        if losses[STRAIGHT] < losses["linear"]:
            outputs["linear"], predictors["linear"] = outputs[STRAIGHT], predictors[STRAIGHT]
        del outputs[STRAIGHT], predictors[STRAIGHT]
    sample = index[sampled(len(index), n_known, seed)]
    arrays = train.rows(sample).arrays
    return BaselineOutputs(outputs, {name: predict(arrays) for name, predict in predictors.items()}, sample)


def loss_of(config: Config) -> Loss:
    """Return the loss that a run minimises, but for smoothed labels, which help to train and are not what is wanted."""
    return LOSSES[config.loss].bound({**config.as_dict(), "label_smoothing": 0.0})


def _losses(config: Config, schema: Schema, train: Part) -> Callable[[Array, Array], Array]:
    """Return ``(y, prediction) -> (n,)``: the loss of each row that the run minimises."""
    loss, scales = loss_of(config), np.ones(schema.target.n_outputs)
    if loss.task == "regression":
        scaler = TargetScaler.fit(train.y, train.weights, centred=loss.target_scaling == "standard")
        scales = np.array([column.scale for column in scaler.columns])
    return lambda y, prediction: minimised_losses(loss, scales, y, prediction)


def compared(
    model: Model, parts: Mapping[str, Part], scored_on: str, outputs: Mapping[str, Array], linear: BaselineOutputs
) -> dict[str, Any]:
    """Return the model and its baselines side by side, as a JSON-able record.

    All three minimise the same loss on the same training rows, with the same weights of rows and classes, and are
    compared by it. The record is empty where a loss is too large for a number.

    Args:
        model: the trained one.
        parts: of the data.
        scored_on: the part that is compared on.
        outputs: by part, what the model predicts.
        linear: what the baselines predict.

    Returns:
        ``loss`` (``log_loss`` of classes and labels; else the name of the loss that was minimised, in the target's
        unit, squared for ``squared_error`` and ``huber``; of several targets in units of their standard deviations),
        ``rows`` and ``scored_on``; ``class_weight``, true where classes have weights; ``linear_share``, where a linear
        model counts for a share of what is called ``mlp``; ``losses``: the mean of each model on those rows;
        ``improvement``: by baseline, its loss less that of the MLP, ``mean`` and the bounds ``low`` and ``high`` of the
        95 % interval of 1,000 paired bootstrap samples; ``worth_it``: whether both intervals lie above 0;
        ``training_losses``: the mean of each model on a sample of the rows that they were fitted on.
    """
    config = model.config
    part, known = parts[scored_on], parts["train"].rows(linear.known_rows)
    losses_of = _losses(config, model.schema, parts["train"])
    weights, known_weights = (with_class_weights(each, config.class_weight, model.schema) for each in (part, known))
    each = {"mlp": losses_of(part.y, outputs[scored_on])}
    each.update({name: losses_of(part.y, values) for name, values in linear.held.items()})
    seen = {"mlp": model.outputs_of(known.arrays, len(known)), **linear.known}
    if not all(np.isfinite(values).all() for values in each.values()):  # squares of numbers near 1e300
        return {}
    intervals = {
        name: asdict(
            bootstrap_interval(
                each[name] - each["mlp"], weights, rng=np.random.default_rng(config.seed), units=part.units
            )
        )
        for name in linear.held
    }
    return {
        "loss": config.loss if model.task == "regression" else "log_loss",
        "rows": len(part),
        "scored_on": scored_on,
        **({"class_weight": True} if config.class_weight is not None else {}),
        **({} if model.linear is None else {"linear_share": round(model.linear.share, 4)}),
        "losses": {name: float(np.average(values, weights=weights)) for name, values in each.items()},
        "improvement": intervals,
        "worth_it": all(interval["low"] > 0 for interval in intervals.values()),
        "training_losses": {
            name: float(np.average(losses_of(known.y, values), weights=known_weights)) for name, values in seen.items()
        },
    }


def sampled(n_rows: int, n: int, seed: int) -> Array:
    """Return the positions of ``n`` of ``n_rows`` rows, or of all where there are no more, in ascending order."""
    if n_rows <= n:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, n, replace=False))


def scores_of(target: Target, part: Part, outputs: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Return the scores on ``part`` of each of several predictions, by name and then by metric."""
    return {
        name: score(
            target.task, part.y, values, part.weights, decisions=target.decide(values), positive=target.positive
        )
        for name, values in outputs.items()
    }
