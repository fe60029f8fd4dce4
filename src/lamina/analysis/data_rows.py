"""Rows of data as a model sees them, for analysis that changes columns: features, weights, a bounded number of rows."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lamina.data.table import Array, Column, Table
from lamina.data.weights import row_weights
from lamina.errors import ConfigError, DataError, LaminaWarning
from lamina.model import Model
from lamina.partition import weighted_rows

REGIONS = 4  # an image counts by so many regions along each side


@dataclass(frozen=True)
class DataRows:
    """Rows with a weight above 0.

    Attributes:
        table: as it was given, target included.
        features: the columns that the model sees, as ``Schema.check`` returns them.
        weights: (n,); ``None`` where all rows count alike.
    """

    table: Table
    features: Table
    weights: Array | None


def data_rows(model: Model, data: Any, max_rows: int, rng: np.random.Generator) -> DataRows:
    """Return the rows of ``data``, at most ``max_rows`` of them, chosen at random and in their order.

    Whole weights become copies of their rows, as in training; broken ones stay weights.

    Raises:
        DataError, SchemaError: the data cannot be read or does not fit, has no row, or only rows of weight 0.
        ConfigError: ``max_rows`` is no whole number above 0.
    """
    check_count("max_rows", max_rows)
    table = model.read(data)
    if not table.n_rows:
        raise DataError(f"{table.source} has no rows; give some with values in the columns of the model.")
    name = next((column.name for column in model.schema.columns if column.role == "weight"), None)
    weight = name if name is not None and name in table else None
    if weight is not None and not row_weights(table, weight).any():
        raise DataError(f"{table.source}: every row has the weight 0; give some that count.")
    table, weights, copies = weighted_rows(table, weight, 1)
    if copies is not None:
        table = table.rows(np.repeat(np.arange(table.n_rows), copies))
    if table.n_rows > max_rows:
        chosen = np.sort(rng.permutation(table.n_rows)[:max_rows])
        table, weights = table.rows(chosen), None if weights is None else weights[chosen]
    features, notes = model.schema.check(table)
    model.encoder.check_images(features)
    for note in [*notes, *model.encoder.unseen(features)]:
        warnings.warn(note, LaminaWarning, stacklevel=3)
    return DataRows(table, features, weights)


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number above 0.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} = {value!r} is no whole number above 0; give one.")


def with_values(features: Table, name: str, column: Column) -> Table:
    """Return ``features`` with another column in the place of the one called ``name``."""
    return replace(features, columns={**features.columns, name: column})


def predicted(model: Model, features: Table) -> Array:
    """Return probabilities, or values in the target's unit, (n, k), of rows as ``Schema.check`` returns them."""
    return model.outputs_of(model.encoder.transform(features, "float64"), features.n_rows)


def regions(name: str, height: int, width: int, cell: int = 1, n: int = REGIONS) -> dict[str, tuple[slice, slice]]:
    """Return the regions of an image: at most n x n rectangles of nearly equal size that cover it.

    Args:
        name: of the image column.
        height, width: in cells.
        cell: pixels along a side of a cell, for the names.
        n: regions along each side, at most.

    Returns:
        Rows and columns of cells by the region's name, such as ``image[0:7,14:21]``, which counts pixels.
    """
    found = {}
    for rows in _stretches(height, n):
        for columns in _stretches(width, n):
            rows_text, columns_text = (f"{part.start * cell}:{part.stop * cell}" for part in (rows, columns))
            found[f"{name}[{rows_text},{columns_text}]"] = (rows, columns)
    return found


def _stretches(length: int, n: int) -> list[slice]:
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.array_split(np.arange(length), min(n, length))]
