"""Scores of predictions, computed by scikit-learn with the rows' weights.

A metric is one ``Metric`` record in ``METRICS``; ``score`` computes all that apply to a task.
"""

from collections.abc import Callable, Iterable
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
        tasks: the kinds of target it is for.
        greater_is_better: which way is better.
        needs: what ``function`` is given as its first two arguments:

            - ``prediction``: the target and the prediction. For classification the codes (n,) and probabilities (n, k);
              for multilabel 0 or 1 and probabilities, both (n, k); for regression values, both (n, k).
            - ``decisions``: the target, and what is decided at the threshold, of its shape.
            - ``positive``: whether each row is, and whether it is decided to be, of the positive class, both (n,) bool;
              of two classes only.
        function: of these two and the weights (n,) or ``None``. A value of ``None``: not defined on these rows.
    """

    name: str
    tasks: tuple[str, ...]
    greater_is_better: bool
    needs: Literal["prediction", "decisions", "positive"]
    function: Callable[[Array, Array, Array | None], float | None]


METRICS: Registry[Metric] = Registry("metric")


def in_order(names: Iterable[str]) -> list[str]:
    """Return each of the metrics' ``names`` once, in the order of ``METRICS``."""
    given = set(names)
    return [metric.name for metric in METRICS if metric.name in given]


def score(
    task: str,
    y: Array,
    prediction: Array,
    weights: Array | None = None,
    *,
    decisions: Array | None = None,
    positive: int | None = None,
) -> dict[str, float]:
    """Return every metric of ``task`` that is defined on these rows, by name.

    Args:
        task: classification, multilabel or regression.
        y, prediction: see ``Metric.needs``.
        weights: (n,) or ``None``.
        decisions: what is decided, of the shape of ``y``; ``None``: the most probable class, or labels from 0.5 on.
        positive: code of the positive class where there are two classes.
    """
    names = [metric.name for metric in METRICS if task in metric.tasks]
    values = {name: one_score(name, y, prediction, weights, decisions=decisions, positive=positive) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None}


def one_score(
    name: str,
    y: Array,
    prediction: Array,
    weights: Array | None = None,
    *,
    decisions: Array | None = None,
    positive: int | None = None,
) -> float | None:
    """Return the metric called ``name``; arguments as in ``score``. ``None``: not defined on these rows."""
    metric = METRICS[name]
    if metric.needs == "prediction":
        return metric.function(y, prediction, weights)
    if decisions is None:
        decisions = prediction >= 0.5 if y.ndim == 2 else prediction.argmax(axis=1)
    if metric.needs == "decisions":
        return metric.function(y, decisions, weights)
    return None if positive is None else metric.function(y == positive, decisions == positive, weights)


def _accuracy(y: Array, decisions: Array, weights: Array | None) -> float:
    right = y == decisions
    return float(np.average(right.all(axis=1) if right.ndim == 2 else right, weights=weights))


def _precision(is_positive: Array, decided: Array, weights: Array | None) -> float | None:
    return _share(is_positive, decided, weights)


def _recall(is_positive: Array, decided: Array, weights: Array | None) -> float | None:
    return _share(decided, is_positive, weights)


def _f1(is_positive: Array, decided: Array, weights: Array | None) -> float | None:
    w = np.ones(len(is_positive)) if weights is None else weights
    hits, n_either = w[is_positive & decided].sum(), w[is_positive].sum() + w[decided].sum()
    return float(2 * hits / n_either) if n_either else None


def _share(hit: Array, among: Array, weights: Array | None) -> float | None:
    w = np.ones(len(hit)) if weights is None else weights
    total = w[among].sum()
    return float(w[among & hit].sum() / total) if total else None


def _log_loss(y: Array, probabilities: Array, weights: Array | None) -> float:
    from sklearn.metrics import log_loss

    probabilities = probabilities.astype(np.float64)
    if y.ndim == 2:
        each = [log_loss(y[:, i], probabilities[:, i], sample_weight=weights, labels=[0, 1]) for i in range(y.shape[1])]
        return float(np.mean(each))
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 only to 1e-7, and sklearn warns
    return float(log_loss(y, probabilities, sample_weight=weights, labels=np.arange(probabilities.shape[1])))


def _roc_auc(y: Array, probabilities: Array, weights: Array | None) -> float | None:
    from sklearn.metrics import roc_auc_score

    n_classes = probabilities.shape[1]
    is_class = y == 1 if y.ndim == 2 else y[:, None] == np.arange(n_classes)
    if not (is_class.any(axis=0) & ~is_class.all(axis=0)).all():
        return None  # a class without rows, or without others, has no curve
    if y.ndim == 1 and n_classes == 2:
        return float(roc_auc_score(y, probabilities[:, 1], sample_weight=weights))
    one_against_rest = [
        roc_auc_score(is_class[:, code], probabilities[:, code], sample_weight=weights) for code in range(n_classes)
    ]
    return float(np.mean(one_against_rest))


def _rmse(y: Array, prediction: Array, weights: Array | None) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(y, prediction, sample_weight=weights))


def _mae(y: Array, prediction: Array, weights: Array | None) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(y, prediction, sample_weight=weights))


def _r2(y: Array, prediction: Array, weights: Array | None) -> float | None:
    from sklearn.metrics import r2_score

    if len(y) < 2:
        return None
    return float(r2_score(y, prediction, sample_weight=weights))


_CLASSES = ("classification", "multilabel")
METRICS.register(Metric("accuracy", _CLASSES, True, "decisions", _accuracy))
METRICS.register(Metric("log_loss", _CLASSES, False, "prediction", _log_loss))
METRICS.register(Metric("roc_auc", _CLASSES, True, "prediction", _roc_auc))
METRICS.register(Metric("precision", ("classification",), True, "positive", _precision))
METRICS.register(Metric("recall", ("classification",), True, "positive", _recall))
METRICS.register(Metric("f1", ("classification",), True, "positive", _f1))
METRICS.register(Metric("rmse", ("regression",), False, "prediction", _rmse))
METRICS.register(Metric("mae", ("regression",), False, "prediction", _mae))
METRICS.register(Metric("r2", ("regression",), True, "prediction", _r2))
