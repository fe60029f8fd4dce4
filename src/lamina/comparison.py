"""Would a simpler model do? The difference of two models' losses on the same rows, and how sure it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lamina.data.copies import by_first_row
from lamina.losses import Loss

Array = NDArray[Any]

RESAMPLES = 1000
# Probabilities nearer to 0 than this count as this, as in scikit-learn's log_loss on float64.
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Interval:
    """A mean over rows, and the bounds between which 95 % of its bootstrap replicates lie."""

    mean: float
    low: float
    high: float


def row_losses(task: str, y: Array, prediction: Array) -> Array:
    """Return each row's share of the main loss, (n,): their (weighted) mean is the metric log_loss, or rmse squared.

    Args:
        task: classification, multilabel or regression.
        y: class codes (n,), or labels or values (n, k); of several values or labels the mean is taken.
        prediction: probabilities or values, (n, k).
    """
    if task == "regression":
        with np.errstate(over="ignore"):
            return np.asarray(np.square(y - prediction).mean(axis=1))
    if task == "multilabel":
        p = np.clip(prediction, _SMALLEST, 1 - _SMALLEST)
        return np.asarray(-np.where(y == 1, np.log(p), np.log1p(-p)).mean(axis=1))
    p = prediction[np.arange(len(y)), y] / prediction.sum(axis=1)
    return np.asarray(-np.log(np.clip(p, _SMALLEST, 1 - _SMALLEST)))


def minimised_losses(loss: Loss, scales: Array, y: Array, prediction: Array) -> Array:
    """Return what a network that minimises ``loss`` would minimise of each row, (n,).

    Of classes and labels it is the row's part of the log loss. Of one number it is the loss in the number's own unit
    (squared, where the loss is), of several the mean over them, each divided by its scale first.

    Args:
        loss: bound.
        scales: of each number, what the network's targets are divided by, (k,); not used of classes.
        y, prediction: as in ``row_losses``.
    """
    if loss.task != "regression":
        return row_losses(loss.task, y, prediction)
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = loss.link(torch.from_numpy(prediction / scales))
        values = loss.per_row(outputs, torch.from_numpy(y / scales)).numpy()
        return np.asarray(values * scales[0] ** loss.degree if len(scales) == 1 else values)


def bootstrap_interval(
    values: Array,
    weights: Array | None = None,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    units: Array | None = None,
) -> Interval:
    """Return the weighted mean of ``values`` and its 95 % percentile interval over bootstrap samples of the rows.

    Where ``values`` are differences between two models on the same rows, this is the paired bootstrap. Copies of a row
    are drawn together: they say no more than the row by itself.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Args:
        values: (n,), n at least 1.
        weights: (n,) or ``None``.
        rng: draws the samples.
        resamples: how many.
        units: a number for each row, the same for copies of one row, (n,); ``None``: there are none.
    """
    n = len(values)
    w: Array = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    weighted: Array = np.asarray(values, dtype=np.float64) * w
    if units is not None:
        codes = by_first_row(units)
        weighted, w = np.bincount(codes, weighted), np.bincount(codes, w)
        n = len(w)
    of_equal_weights = weights is None and units is None
    replicates = np.empty(resamples)
    for i in range(resamples):
        index = rng.integers(0, n, n, dtype=np.int32)
        total = n if of_equal_weights else w[index].sum()
        replicates[i] = weighted[index].sum() / total if total else np.nan
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return Interval(float(weighted.sum() / w.sum()), float(low), float(high))
