"""Would a simpler model do? The difference of two models' losses on the same rows, and how sure it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def bootstrap_interval(
    values: Array, weights: Array | None = None, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """Return the weighted mean of ``values`` and its 95 % percentile interval over bootstrap samples of the rows.

    Where ``values`` are differences between two models on the same rows, this is the paired bootstrap.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Args:
        values: (n,), n at least 1.
        weights: (n,) or ``None``.
        rng: draws the samples.
        resamples: how many.
    """
    n = len(values)
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    weighted = np.asarray(values, dtype=np.float64) * w
    replicates = np.empty(resamples)
    for i in range(resamples):
        index = rng.integers(0, n, n, dtype=np.int32)
        total = w[index].sum() if weights is not None else n
        replicates[i] = weighted[index].sum() / total if total else np.nan
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return Interval(float(weighted.sum() / w.sum()), float(low), float(high))
