"""Scores of predictions, computed by scikit-learn with the rows' weights.

A metric is one ``Metric`` record in ``METRICS``; ``score`` computes all that apply to a task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lamina.registry import Registry

Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """One score.

    Attributes:
        name: what a user types and what ``--json`` prints.
        task: the kind of target it is for.
        greater_is_better: which way is better.
        function: ``(y, prediction, weights) -> float | None``. For classification ``y`` (n,) are class codes and
            ``prediction`` (n, k) probabilities; for regression ``y`` (n,) and ``prediction`` (n, 1) are values.
            ``None``: not defined on these rows.
    """

    name: str
    task: Literal["classification", "regression"]
    greater_is_better: bool
    function: Callable[[Array, Array, Array | None], float | None]


METRICS: Registry[Metric] = Registry("metric")


def score(task: str, y: Array, prediction: Array, weights: Array | None = None) -> dict[str, float]:
    """Return every metric of ``task`` that is defined on these rows, by name."""
    values = {m.name: m.function(y, prediction, weights) for m in METRICS if m.task == task}
    return {name: float(value) for name, value in values.items() if value is not None}


def _accuracy(y: Array, probabilities: Array, weights: Array | None) -> float:
    return float(np.average(probabilities.argmax(axis=1) == y, weights=weights))


def _log_loss(y: Array, probabilities: Array, weights: Array | None) -> float:
    from sklearn.metrics import log_loss

    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 only to 1e-7, and sklearn warns
    return float(log_loss(y, probabilities, sample_weight=weights, labels=np.arange(probabilities.shape[1])))


def _roc_auc(y: Array, probabilities: Array, weights: Array | None) -> float | None:
    from sklearn.metrics import roc_auc_score

    n_classes = probabilities.shape[1]
    if len(np.unique(y)) < n_classes:
        return None  # a class without rows has no curve
    if n_classes == 2:
        return float(roc_auc_score(y, probabilities[:, 1], sample_weight=weights))
    one_against_rest = [
        roc_auc_score(y == code, probabilities[:, code], sample_weight=weights) for code in range(n_classes)
    ]
    return float(np.mean(one_against_rest))


def _rmse(y: Array, prediction: Array, weights: Array | None) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(y, prediction[:, 0], sample_weight=weights))


def _mae(y: Array, prediction: Array, weights: Array | None) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(y, prediction[:, 0], sample_weight=weights))


def _r2(y: Array, prediction: Array, weights: Array | None) -> float | None:
    from sklearn.metrics import r2_score

    if len(y) < 2:
        return None
    return float(r2_score(y, prediction[:, 0], sample_weight=weights))


METRICS.register(Metric("accuracy", "classification", True, _accuracy))
METRICS.register(Metric("log_loss", "classification", False, _log_loss))
METRICS.register(Metric("roc_auc", "classification", True, _roc_auc))
METRICS.register(Metric("rmse", "regression", False, _rmse))
METRICS.register(Metric("mae", "regression", False, _mae))
METRICS.register(Metric("r2", "regression", True, _r2))
