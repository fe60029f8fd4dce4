"""What the baselines say of the held-out rows, the scores of any prediction of them, and which model is worth it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.baselines import fit_baselines
from lamina.comparison import bootstrap_interval, row_losses
from lamina.data.encoder import Encoder
from lamina.data.schema import Schema
from lamina.data.target import Target
from lamina.metrics import score
from lamina.model import Model
from lamina.partition import Part

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
    schema: Schema, encoder: Encoder, train: Part, held: Part, *, seed: int, n_known: int = 2000
) -> BaselineOutputs:
    """Return what a linear model and a constant, fitted on ``train``, predict for ``held``.

    Where ``held`` are training rows too, in folds, each row is predicted by a model of the other folds.

    Args:
        schema, encoder: what target and arrays hold.
        train, held: two parts of the data.
        seed: chooses rows where there are very many, and the sample.
        n_known: rows in the sample, at most.
    """
    target, everything = schema.target, np.arange(len(train))
    pairs = [(everything, np.ones(len(held), dtype=bool))]
    if held.folds is not None:
        pairs = [(np.flatnonzero(train.folds != fold), held.folds == fold) for fold in np.unique(held.folds)]
    outputs: dict[str, Array] = {}
    for index, chosen in pairs:
        known = train if len(index) == len(train) else train.rows(index)
        predictors = fit_baselines(
            encoder, known.arrays, known.y, known.weights, len(target.classes),
            np.random.default_rng(seed), labels=target.task == "multilabel",
        )  # fmt: skip
        for name, predict in predictors.items():
            outputs.setdefault(name, np.empty((len(held), target.n_outputs)))[chosen] = predict(
                held.rows(chosen).arrays
            )
    sample = index[sampled(len(index), n_known, seed)]
    arrays = train.rows(sample).arrays
    return BaselineOutputs(outputs, {name: predict(arrays) for name, predict in predictors.items()}, sample)


def compared(
    model: Model, parts: Mapping[str, Part], scored_on: str, outputs: Mapping[str, Array], linear: BaselineOutputs
) -> dict[str, Any]:
    """Return the MLP and its baselines side by side, as a JSON-able record.

    Empty for a model that predicts a quantile: the baselines predict the mean, and a comparison would say nothing. Also
    where a squared error is too large for a number.

    Args:
        model: the trained one.
        parts: of the data.
        scored_on: the part that is compared on.
        outputs: by part, what the model predicts.
        linear: what the baselines predict.

    Returns:
        ``loss`` (``log_loss``, or ``squared_error`` in the target's unit squared), ``rows`` and ``scored_on``;
        ``losses``: the mean of each model on those rows; ``improvement``: by baseline, its loss less that of the MLP,
        ``mean`` and the bounds ``low`` and ``high`` of the 95 % interval of 1,000 paired bootstrap samples;
        ``worth_it``: whether the interval against the linear model lies above 0; ``training_losses``: the mean of each
        model on a sample of the rows that they were fitted on.
    """
    if model.config.loss == "quantile":
        return {}
    part, known = parts[scored_on], parts["train"].rows(linear.known_rows)
    each = {"mlp": row_losses(model.task, part.y, outputs[scored_on])}
    each.update({name: row_losses(model.task, part.y, values) for name, values in linear.held.items()})
    seen = {"mlp": model.outputs_of(known.arrays, len(known)), **linear.known}
    if not all(np.isfinite(values).all() for values in each.values()):  # squares of numbers near 1e300
        return {}
    intervals = {
        name: asdict(
            bootstrap_interval(each[name] - each["mlp"], part.weights, rng=np.random.default_rng(model.config.seed))
        )
        for name in linear.held
    }
    return {
        "loss": "squared_error" if model.task == "regression" else "log_loss",
        "rows": len(part),
        "scored_on": scored_on,
        "losses": {name: float(np.average(values, weights=part.weights)) for name, values in each.items()},
        "improvement": intervals,
        "worth_it": intervals["linear"]["low"] > 0,
        "training_losses": {
            name: float(np.average(row_losses(model.task, known.y, values), weights=known.weights))
            for name, values in seen.items()
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
