"""The weights of rows, read from their column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.schema import Schema
from lamina.data.table import Table
from lamina.errors import DataError

Array = NDArray[Any]


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


def row_weights(table: Table, name: str) -> Array:
    """Return the weight column ``name`` as float64 (n,).

    Raises:
        DataError: a weight is text, missing, negative or infinite.
    """
    column = table[name]
    if column.type != "number":
        raise DataError(f"{table.source}: the weight column {name!r} holds text; expected numbers of at least 0.")
    weights = np.asarray(column.values, dtype=np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{table.source}, column {name!r}, row {table.row_number(row)}: the weight is {weights[row]:g}; "
            "expected a finite number of at least 0."
        )
    return weights
