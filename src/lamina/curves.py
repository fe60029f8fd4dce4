"""What a report draws of targets and held-out predictions: plain records of bounded size."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.calibration import calibration_curve, calibration_error, calibration_error_of_perfect
from lamina.comparison import bootstrap_interval, row_losses
from lamina.data.encoder import Encoder, weighted_quantiles
from lamina.errors import ConfigError
from lamina.metrics import one_score
from lamina.model import Model
from lamina.partition import Part, with_class_weights
from lamina.scoring import sampled

Array = NDArray[Any]
# Probabilities or values (n, k) of the rows of a part, by members that have not seen them.
Predict = Callable[[Part], Array]

MAX_CLASSES, MAX_TARGETS, MAX_POINTS = 25, 4, 500
CALIBRATION_ROWS = 5000
_HISTOGRAM_BINS = 30
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_RESAMPLES, _MANY_ROWS = 1000, 20_000

_IMPORTANCE_ROWS, _LEAST_ROWS, _REPEATS, _MOST_COLUMNS = 1000, 100, 3, 200
# Multiplications that the importances may cost: about a second on one core.
_BUDGET = 3e10


def curves_of(
    model: Model,
    parts: Mapping[str, Part],
    scored_on: str,
    outputs: Mapping[str, Array],
    uncalibrated: Array | None,
    predict: Predict,
) -> dict[str, Any]:
    """Return what the report draws, as a JSON-able record; what is not defined, or infinite, is left out.

    Args:
        model: the trained one, calibrated.
        parts: of the data, encoded.
        scored_on: the part that is drawn; ``""`` where nothing was held out.
        outputs: by part, what the model predicts.
        uncalibrated: what it predicted for the rows ``calibration_rows`` before its temperature, (m, k), or ``None``.
        predict: for the importances.

    Returns:
        ``target``: see ``_target``; ``intervals``: by part and metric, the ``mean`` and the bounds ``low`` and ``high``
        of a 95 % bootstrap interval; for classes ``confusion`` and ``calibration``; for labels ``labels``; for numbers
        ``errors``; ``importances``.
    """
    record: dict[str, Any] = {"target": _target(model, parts)}
    if scored_on:
        part, prediction = parts[scored_on], outputs[scored_on]
        record["intervals"] = {
            name: _intervals(model, parts[name], values) for name, values in outputs.items() if len(parts[name])
        }
        if model.task == "classification":
            record["confusion"] = _confusion(model, part, prediction)
            record["calibration"] = _calibration(model, part, prediction, uncalibrated)
        elif model.task == "multilabel":
            record["labels"] = _labels(model, part, prediction)
        else:
            record["errors"] = _errors(model, part, prediction)
        record["importances"] = _importances(model, part, predict)
    return {name: value for name, value in record.items() if value and _is_finite(value)}


def calibration_rows(part: Part, seed: int) -> Array:
    """Return the positions of the rows that the calibration curve is of, at most 5,000."""
    return sampled(len(part), CALIBRATION_ROWS, seed)


def _target(model: Model, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return how the target is spread: ``counts`` of each class or label by part, or a histogram of each number."""
    target = model.schema.target
    train = parts["train"]
    if target.task == "classification":
        k = len(target.classes)
        counts = {name: np.bincount(part.y, part.weights, k).tolist() for name, part in parts.items()}
        return {"counts": counts}
    if target.task == "multilabel":
        return {"counts": {name: (_weights(part) @ part.y).tolist() for name, part in parts.items()}}
    n = min(train.y.shape[1], MAX_TARGETS)
    return {"histograms": [_histogram(train.y[:, i], train.weights) for i in range(n)]}


def _weights(part: Part) -> Array:
    return np.ones(len(part)) if part.weights is None else part.weights


def _histogram(values: Array, weights: Array | None) -> dict[str, Any]:
    """Return ``counts`` between ``edges``; the outer bins hold what is farther out than the outer half per cent."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = weighted_quantiles(values, np.array([0.005, 0.995]), weights)
        if not math.isfinite(high - low):
            return {"low": math.inf}
        if high <= low:
            low, high = float(values.min()), float(values.max())
        if high <= low:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    counts = np.histogram(np.clip(values, low, high), edges, weights=weights)[0]
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "least": float(values.min()),
        "median": float(weighted_quantiles(values, np.array([0.5]), weights)[0]),
        "largest": float(values.max()),
    }


def _intervals(model: Model, part: Part, prediction: Array) -> dict[str, Any]:
    """Return the intervals of accuracy and log loss, or of the rmse of one number."""
    if model.config.loss == "quantile" or (model.task == "regression" and prediction.shape[1] > 1):
        return {}
    resamples = _RESAMPLES if len(part) <= _MANY_ROWS else _RESAMPLES // 5
    losses = row_losses(model.task, part.y, prediction)
    if not np.isfinite(losses).all():
        return {}

    def interval(values: Array) -> dict[str, float]:
        rng = np.random.default_rng(model.config.seed)
        return asdict(bootstrap_interval(values, part.weights, rng=rng, resamples=resamples, units=part.units))

    if model.task == "regression":
        return {"rmse": {name: math.sqrt(value) for name, value in interval(losses).items()}}
    right = model.schema.target.decide(prediction) == part.y
    if right.ndim == 2:
        right = right.all(axis=1)
    intervals = {"accuracy": interval(right.astype(np.float64)), "log_loss": interval(losses)}
    # Where every row is right the bootstrap knows of no error, and its interval of no width would say too much.
    return {name: each for name, each in intervals.items() if each["low"] < each["high"]}


def _confusion(model: Model, part: Part, prediction: Array) -> dict[str, Any]:
    """Return ``counts``, a row for each class and a column for each decision; of many classes, the ``mistakes``."""
    k = len(model.schema.target.classes)
    decided = model.schema.target.decide(prediction)
    counts = np.bincount(part.y * k + decided, part.weights, minlength=k * k).astype(float)
    if k <= MAX_CLASSES:
        return {"counts": counts.reshape(k, k).tolist()}
    counts[np.arange(k) * (k + 1)] = 0
    most = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    return {"mistakes": [[int(i) // k, int(i) % k, float(counts[i])] for i in most if counts[i]]}


def _calibration(model: Model, part: Part, prediction: Array, uncalibrated: Array | None) -> dict[str, Any]:
    """Return the curves ``after`` and ``before``, their errors, and the ``error_of_perfect`` of so many rows."""
    chosen = calibration_rows(part, model.config.seed)
    y, after = part.y[chosen], prediction[chosen]
    # With the weights of classes, to which the temperature was fitted: the probabilities are those of such rows.
    weights = with_class_weights(part.rows(chosen), model.config.class_weight, model.schema)
    bins = 10 if len(y) < 500 else 15
    rng = np.random.default_rng(model.config.seed)
    record: dict[str, Any] = {
        "rows": len(y),
        "after": calibration_curve(y, after, bins, weights),
        "error_after": calibration_error(y, after, bins, weights),
        "error_of_perfect": calibration_error_of_perfect(after, rng, bins, 20, weights),
    }
    if uncalibrated is not None:
        record["before"] = calibration_curve(y, uncalibrated, bins, weights)
        record["error_before"] = calibration_error(y, uncalibrated, bins, weights)
    return record


def _labels(model: Model, part: Part, prediction: Array) -> dict[str, Any]:
    """Return by label how many rows have it, ``there``, are ``given`` it, and both, ``right``."""
    decided = model.schema.target.decide(prediction)
    w = _weights(part)
    return {
        "there": (w @ part.y).tolist(),
        "given": (w @ decided).tolist(),
        "right": (w @ (part.y * decided)).tolist(),
    }


def _errors(model: Model, part: Part, prediction: Array) -> dict[str, Any]:
    """Return for each number a sample of ``predictions`` and ``errors``, the errors' histogram, and the intervals."""
    intervals = _interval_facts(model, part, prediction)
    there = np.flatnonzero(_weights(part))
    chosen = there[sampled(len(there), MAX_POINTS, model.config.seed)]
    each = []
    with np.errstate(over="ignore"):
        errors = part.y - prediction
    for i in range(min(part.y.shape[1], MAX_TARGETS)):
        record = {
            "predictions": prediction[chosen, i].tolist(),
            "errors": errors[chosen, i].tolist(),
            "histogram": _histogram(errors[:, i], part.weights),
            "quantiles": weighted_quantiles(errors[:, i], np.array(_QUANTILES), part.weights).tolist(),
            **({} if intervals is None else {name: values[i] for name, values in intervals.items()}),
        }
        each.append(record)
    return {"rows": len(part), "targets": each} if _is_finite(each) else {}


def _interval_facts(model: Model, part: Part, prediction: Array) -> dict[str, list[float]] | None:
    """Return for each number the median ``width`` of the 90 % intervals and the share of values that is ``covered``."""
    if model.scores is None or model.scaler is None:
        return None
    try:
        half_widths = model.scores.half_widths(0.9)
    except ConfigError:  # too few rows were held out to vouch for that
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = model.scaler.forward(prediction)
        low, high = (model.scaler.inverse(outputs + sign * half_widths) for sign in (-1, 1))
        covered = (low <= part.y) & (part.y <= high)
        width = [float(weighted_quantiles(each, np.array([0.5]), part.weights)[0]) for each in (high - low).T]
        return {"width": width, "covered": np.average(covered, axis=0, weights=part.weights).tolist()}


def _importances(model: Model, part: Part, predict: Predict) -> dict[str, Any]:
    """Return by how much the loss grows where a column's values are shuffled, or the reason why that was not looked at.

    Permutation importance as in ``lamina.analysis.importance``, of encoded columns and on fewer rows and repeats.
    """
    if model.encoder.images or model.encoder.blocks:
        kind = "images" if model.encoder.images else "sparse columns"
        return {"reason": f"The columns were not shuffled: there are {kind}; lamina explain looks at their parts."}
    places = _places(model.encoder)
    n_parameters = sum(parameter.numel() for parameter in model.network.parameters())
    affordable = int(_BUDGET / (n_parameters * (len(places) * _REPEATS + 1)))
    if len(places) > _MOST_COLUMNS or affordable < min(_LEAST_ROWS, len(part)):
        return {"reason": f"{len(places):,} columns were not shuffled, which would take long: see lamina explain."}
    rows = part.rows(sampled(len(part), min(_IMPORTANCE_ROWS, affordable), model.config.seed))
    metric = "rmse" if model.task == "regression" else "log_loss"
    rng = np.random.default_rng(model.config.seed)

    def loss(rows: Part) -> float:
        prediction = predict(rows)
        if model.task == "regression":
            return one_score(metric, rows.y, prediction, rows.weights) or 0.0
        # The same figure without scikit-learn's checks, which would take longer than the network.
        return float(np.average(row_losses(model.task, rows.y, prediction), weights=rows.weights))

    with np.errstate(over="ignore"):
        score = loss(rows)
        means, deviations = [], []
        for columns in places.values():
            drops = [loss(_shuffled(rows, columns, rng)) - score for _ in range(_REPEATS)]
            means.append(float(np.mean(drops)))
            deviations.append(float(np.std(drops)))
    order = np.argsort([-mean for mean in means], kind="stable")
    names = list(places)
    return {
        "metric": metric,
        "rows": len(rows),
        "repeats": _REPEATS,
        "columns": [names[i] for i in order],
        "means": [means[i] for i in order],
        "deviations": [deviations[i] for i in order],
    }


def _places(encoder: Encoder) -> dict[str, list[tuple[str, int]]]:
    """Return where the values of each column are: arrays of ``Encoder.transform`` and positions in them."""
    places: dict[str, list[tuple[str, int]]] = {}
    n_flags = 0
    for i, number in enumerate(encoder.numbers):
        places.setdefault(number.name, []).append(("numbers", i))
        if number.flag:
            places[number.name].append(("flags", n_flags))
            n_flags += 1
    for i, category in enumerate(encoder.categories):
        places.setdefault(category.name, []).append(("codes", i))
    return places


def _shuffled(rows: Part, columns: list[tuple[str, int]], rng: np.random.Generator) -> Part:
    index = rng.permutation(len(rows))
    arrays = dict(rows.arrays)
    for name, _ in columns:
        arrays[name] = rows.arrays[name].copy()
    for name, i in columns:
        arrays[name][:, i] = rows.arrays[name][index, i]
    return replace(rows, arrays=arrays)


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
