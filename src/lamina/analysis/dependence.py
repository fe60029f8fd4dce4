"""What a model predicts on average as one column varies, and how rows differ in that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.analysis.data_rows import check_count, data_rows, predicted, with_values
from lamina.config import check_value
from lamina.data.encoder import weighted_quantiles
from lamina.data.table import Array, Column, Table
from lamina.errors import ConfigError, DataError, did_you_mean, shortened
from lamina.model import Model

_PROBABILITIES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Dependence:
    """Predictions for g values of one column.

    Attributes:
        column: its name.
        kind: ``number``, ``datetime`` or ``category``.
        values: the g values: numbers in ascending order, ``numpy.datetime64`` likewise, or the levels of a category,
            where ``None`` is a missing value.
        outputs: names of the k outputs: classes, labels or targets.
        mean: (g, k), the mean prediction where every row has this value: probabilities, or values in the target's unit.
        quantiles: by probability, 0.1, 0.5 and 0.9, (g, k): quantiles over the rows of their own predictions.
        n_rows: how many rows were used.
    """

    column: str
    kind: str
    values: tuple[Any, ...]
    outputs: tuple[str, ...]
    mean: Array
    quantiles: Mapping[float, Array]
    n_rows: int


def partial_dependence(
    model: Model, data: Any, column: str, points: int = 20, *, max_rows: int = 5000, seed: int = 0
) -> Dependence:
    """Return the mean prediction of ``model`` as ``column`` takes one value after another in every row.

    Partial dependence (Friedman 2001, "Greedy function approximation", eq. 52), by brute force, and quantiles of the
    single rows' curves (individual conditional expectation, Goldstein et al. 2015, arXiv 1309.6392). Where columns go
    together in the data, rows are asked about that do not exist.

    Args:
        model: any.
        data: rows, which need no target, as ``Model.predict`` takes them; weighted where training was and weights are
            there.
        column: a number, date or category of the model.
        points: numbers and dates vary over so many quantiles of ``data``, the ends included and equal ones once, or
            over all values where they are fewer; a category over every level that the model knows.
        max_rows: of more rows, so many are used, chosen by ``seed``.

    Raises:
        ConfigError: the column is none of the model's, or an image; ``points`` or ``max_rows`` is no whole number
            above 0; a seed below 0.
        DataError, SchemaError: the data cannot be read or does not fit, or every value of the column is missing.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", seed=0, epochs=10, members=1)
        >>> curve = partial_dependence(model, "iris", "petal_width_(cm)")
        >>> curve.outputs[2], bool(curve.mean[-1, 2] > curve.mean[0, 2])
        ('virginica', True)
    """
    check_count("points", points)
    kind = _kind(model, column)
    rows = data_rows(model, data, max_rows, np.random.default_rng(check_value("seed", seed)))
    values, each = _grid(model, rows.features, column, kind, points, rows.weights)
    means, quantiles = [], []
    for i in range(len(values)):
        constant = each.rows(np.full(rows.features.n_rows, i))
        outputs = predicted(model, with_values(rows.features, column, constant))
        means.append(np.average(outputs, axis=0, weights=rows.weights))
        of_outputs = [weighted_quantiles(output, np.array(_PROBABILITIES), rows.weights) for output in outputs.T]
        quantiles.append(np.stack(of_outputs, axis=1))
    target = model.schema.target
    return Dependence(
        column=column,
        kind=kind,
        values=values,
        outputs=tuple(str(name) for name in target.classes or target.names),
        mean=np.array(means),
        quantiles=dict(zip(_PROBABILITIES, np.stack(quantiles, axis=1), strict=True)),
        n_rows=rows.features.n_rows,
    )


def _kind(model: Model, column: str) -> str:
    kinds = {each.name: each.kind for each in model.schema.features}
    varied = [name for name, kind in kinds.items() if kind in ("number", "datetime", "category")]
    if column not in kinds:
        hint = did_you_mean(column, varied)
        raise ConfigError(f"the model sees no column {column!r}.{hint} Its columns: {shortened(kinds)}.")
    if column not in varied:
        raise ConfigError(
            f"column {column!r} holds {kinds[column]} data, which no single value stands for; "
            "permutation_importance tells which of its parts matter."
        )
    return kinds[column]


def _grid(
    model: Model, features: Table, name: str, kind: str, points: int, weights: Array | None
) -> tuple[tuple[Any, ...], Column]:
    """Return the values, and a column of them, a row each."""
    if kind == "category":
        code = next(each for each in model.encoder.categories if each.name == name)
        levels = tuple(level for level in code.levels if level is not None)
        codes = [-1 if level is None else levels.index(level) for level in code.levels]
        return code.levels, Column("text", np.array(codes, dtype=np.int32), levels)
    column = features[name]
    present = ~column.is_missing()
    values = np.asarray(column.values[present], dtype=np.float64)
    if not len(values):
        raise DataError(f"{features.source}: every value of {name!r} is missing; give rows that have one.")
    distinct = np.unique(values)
    if len(distinct) > points:
        # One point is the median, not the smallest value.
        probabilities = np.linspace(0, 1, points) if points > 1 else np.array([0.5])
        distinct = np.unique(weighted_quantiles(values, probabilities, None if weights is None else weights[present]))
    grid = Column("datetime" if kind == "datetime" else "number", distinct)
    if kind == "datetime":
        return tuple(np.datetime64(round(seconds * 1e6), "us") for seconds in distinct.tolist()), grid
    return tuple(distinct.tolist()), grid
