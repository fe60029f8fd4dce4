"""How much a model needs each column: what is lost when the column's values are shuffled among the rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lamina.analysis.data_rows import check_count, data_rows, predicted, regions, with_values
from lamina.config import check_value
from lamina.data.table import Array, Column, Table
from lamina.errors import ConfigError, DataError, did_you_mean
from lamina.metrics import METRICS, one_score
from lamina.model import Model

# What a column is needed for: all that the probabilities, or the values, say.
_DEFAULT_METRIC = {"classification": "log_loss", "multilabel": "log_loss", "regression": "rmse"}

# The values of a column, or of a part of it, taken from the rows (n,) given.
_Shuffle = Callable[[Array], Column]


@dataclass(frozen=True)
class Importance:
    """What shuffling each column costs.

    Attributes:
        columns: names of the d columns, in the model's order. An image counts by regions, ``image[0:7,14:21]``, a
            sparse matrix by its columns, ``x0``, ``x1``, ...
        drops: (d, repeats), by how much the metric got worse; below 0 where it got better.
        metric: its name.
        score: its value on the rows as they are.
        n_rows: how many rows were used.
    """

    columns: tuple[str, ...]
    drops: Array
    metric: str
    score: float
    n_rows: int

    @property
    def mean(self) -> Array:
        """The importance of each column, (d,): its mean drop."""
        return np.asarray(self.drops.mean(axis=1))

    @property
    def deviation(self) -> Array:
        """The standard deviation of the drops over the repeats, with the divisor ``repeats``, (d,)."""
        return np.asarray(self.drops.std(axis=1))

    def ordered(self) -> list[tuple[str, float, float]]:
        """Return name, mean and standard deviation of each column, the most important first."""
        order = np.argsort(-self.mean, kind="stable")
        return [(self.columns[i], float(self.mean[i]), float(self.deviation[i])) for i in order]

    def __str__(self) -> str:
        width = max(len(name) for name in self.columns)
        lines = [f"{name:<{width}}  {mean:.4f} ± {deviation:.4f}" for name, mean, deviation in self.ordered()]
        return "\n".join([f"{self.metric} {self.score:.4f} on {self.n_rows} rows; worse without", *lines])


def permutation_importance(
    model: Model, data: Any, repeats: int = 5, seed: int = 0, metric: str | None = None, *, max_rows: int = 5000
) -> Importance:
    """Return how much worse ``model`` predicts where a column's values are shuffled among the rows, for each column.

    Permutation importance (Breiman 2001, "Random forests", section 10; Fisher, Rudin and Dominici 2019, arXiv
    1801.01489, eq. 3.3). A column is shuffled whole before it is encoded: all parts of a date, all levels of a category
    and missing values move together. It says what the model uses, not what it could do without: of two columns that say
    the same, either may seem to matter little.

    An image is shuffled by regions, at most 4 x 4 of them, each exchanged for the same region of another image:
    shuffled whole, it would only say that a model of images needs images.

    Whole weights count as copies of rows. With broken weights a row's new value is drawn from all rows, with
    replacement and by their weights, so that the shuffled column is distributed as the rows are.

    Args:
        model: any.
        data: rows with their target, preferably ones that the model has not seen, as ``Model.evaluate`` takes them.
        repeats: shuffles of each column.
        seed: of the shuffles, and of the rows that are used.
        metric: a metric of the task; ``None``: ``log_loss`` for classes and labels, ``rmse`` for numbers.
        max_rows: of more rows, so many are used, chosen by ``seed``.

    Raises:
        ConfigError: no such metric for the task; ``repeats`` or ``max_rows`` is none above 0; a seed below 0.
        DataError, SchemaError: the data or its target cannot be read or does not fit, or the metric is not defined.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", seed=0, epochs=10, members=1)
        >>> permutation_importance(model, "iris").ordered()[0][0] in ("petal_length_(cm)", "petal_width_(cm)")
        True
    """
    check_count("repeats", repeats)
    name = _metric(model, metric)
    rng = np.random.default_rng(check_value("seed", seed))
    rows = data_rows(model, data, max_rows, rng)
    y, features, weights = model.schema.target.encode(rows.table), rows.features, rows.weights
    score = _score(model, name, y, features, weights)
    sign = -1.0 if METRICS[name].greater_is_better else 1.0
    probabilities = None if weights is None else weights / weights.sum()
    names, drops = [], []
    for part, column, shuffled in _parts(features):
        names.append(part)
        costs = []
        for _ in range(repeats):
            n = features.n_rows
            index = rng.permutation(n) if probabilities is None else rng.choice(n, n, p=probabilities)
            changed = with_values(features, column, shuffled(index))
            costs.append(sign * (_score(model, name, y, changed, weights) - score))
        drops.append(costs)
    return Importance(tuple(names), np.array(drops), name, score, features.n_rows)


def _metric(model: Model, metric: str | None) -> str:
    known = [each.name for each in METRICS if model.task in each.tasks]
    these = f"the metrics of this model are {', '.join(known)}."
    if isinstance(metric, str) and metric and metric not in METRICS:
        raise ConfigError(f"unknown metric {metric!r}.{did_you_mean(metric, known)} {these[0].upper()}{these[1:]}")
    name = METRICS[metric or _DEFAULT_METRIC[model.task]].name
    if name not in known:
        raise ConfigError(f"metric = {name!r} is not for {model.task}; {these}")
    return name


def _score(model: Model, name: str, y: Array, features: Table, weights: Array | None) -> float:
    target = model.schema.target
    outputs = predicted(model, features)
    value = one_score(name, y, outputs, weights, decisions=target.decide(outputs), positive=target.positive)
    if value is None:
        raise DataError(f"{features.source}: the metric {name!r} is not defined on these rows; choose another.")
    return float(value)


def _parts(features: Table) -> Iterator[tuple[str, str, _Shuffle]]:
    """Yield the name of each part that is shuffled by itself, its column, and the column with the part shuffled."""
    for name, column in features.columns.items():
        if column.type == "image":
            height, width = column.values.shape[1:3]
            for region, (rows, columns) in regions(name, height, width).items():
                yield region, name, _of_region(column, rows, columns)
        elif column.type == "sparse":
            for j in range(column.values.shape[1]):
                yield f"{name}{j}", name, _of_sparse_column(column, j)
        else:
            yield name, name, column.rows


def _of_region(column: Column, rows: slice, columns: slice) -> _Shuffle:
    def shuffled(index: Array) -> Column:
        values = column.values.copy()
        values[:, rows, columns] = column.values[index, rows, columns]
        return replace(column, values=values)

    return shuffled


def _of_sparse_column(column: Column, j: int) -> _Shuffle:
    from scipy import sparse

    block: Any = column.values

    def shuffled(index: Array) -> Column:
        entries = block.tocoo()
        others = entries.col != j
        values = block[:, [j]].toarray()[index, 0]
        there = np.flatnonzero(values)
        data = np.concatenate([entries.data[others], values[there]])
        places = (
            np.concatenate([entries.row[others], there]),
            np.concatenate([entries.col[others], np.full(len(there), j)]),
        )
        result: Any = sparse.coo_array((data, places), shape=block.shape).tocsr()
        return replace(column, values=result)

    return shuffled
