"""The weights of rows, read from their column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.schema import Schema
from lamina.data.table import Table
from lamina.errors import DataError

Array = NDArray[Any]

_TOLERANCE = 1e-9
# Weights that are whole multiples of so small a part of the least of them are whole by rounding alone.
_SMALLEST_FACTOR = 1e-3


def target_and_weights(schema: Schema, table: Table) -> tuple[Array, Array | None]:
    """Return the encoded target, (n,) or (n, k), of ``table`` and its rows' weights (n,), or ``None``.

    Raises:
        DataError: no target, a missing or negative weight.
    """
    y = schema.target.encode(table)
    weight = next((column.name for column in schema.columns if column.role == "weight"), None)
    if weight is None or weight not in table:
        return y, None
    return y, row_weights(table, weight)


def common_factor(weights: Array) -> float:
    """Return the largest number that all ``weights`` (n,) are whole multiples of, to a relative 1e-9; 0 for none.

    Of 0.5, 1 and 1.5 it is 0.5, and of weights without order there is none. Zeros are multiples of everything.
    """
    distinct = np.unique(weights[weights > 0])
    if not len(distinct):
        return 0.0
    smallest = float(distinct[0])
    if distinct[-1] * _TOLERANCE >= smallest:  # beside the largest weight the smallest would count as rounding
        return 0.0
    factor, ratios = 1.0, distinct / smallest
    for ratio in ratios:  # Euclid's algorithm, in units of the smallest weight
        rest = float(ratio)
        while rest > _TOLERANCE * ratio:
            factor, rest = rest, factor % rest
            if rest > factor - _TOLERANCE * ratio:  # a whole multiple but for rounding
                rest = 0.0
        if factor < _SMALLEST_FACTOR:
            return 0.0
    return factor * smallest


def whole_multiples(weights: Array) -> Array | None:
    """Return how often ``common_factor`` goes into each of ``weights`` (n,), float64; ``None`` where there is none."""
    factor = common_factor(weights)
    if not factor:
        return None
    multiples = np.round(weights / factor)
    fits = np.abs(weights / factor - multiples) <= _TOLERANCE * np.maximum(multiples, 1)
    return multiples if fits.all() else None


def row_weights(table: Table, name: str) -> Array:
    """Return the weight column ``name`` as float64 (n,).

    Raises:
        DataError: a weight is text, missing, negative or infinite.
    """
    column = table[name]
    if column.type not in ("number", "boolean"):
        what = "dates" if column.type == "datetime" else "text"
        raise DataError(f"{table.source}: the weight column {name!r} holds {what}; expected numbers of at least 0.")
    weights = np.asarray(column.values, dtype=np.float64)
    if column.type == "boolean":
        weights[column.is_missing()] = np.nan
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{table.source}, column {name!r}, row {table.row_number(row)}: the weight is {weights[row]:g}; "
            "expected a finite number of at least 0."
        )
    return weights
