"""Rows of training data before they are encoded, and the part that each of them is in: train, validation or test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.config import Config
from lamina.data.encoder import Arrays, Encoder
from lamina.data.ordering import row_hashes
from lamina.data.schema import Schema
from lamina.data.splits import holdout
from lamina.data.table import Table
from lamina.errors import DataError
from lamina.model import row_weights, target_and_weights
from lamina.training.recipe import validation_fraction

Array = NDArray[Any]

# Whole weights become copies of their rows up to so many times the rows; beyond, and broken ones, stay weights.
_MAX_COPIES = 4


@dataclass(frozen=True)
class Part:
    """Rows of one part, encoded.

    Attributes:
        arrays: as ``Encoder.transform`` returns them.
        y: codes (n,), or values or labels (n, k).
        weights: (n,) or ``None``.
        positions: of each row in the source, counted from 0, (n,).
    """

    arrays: Arrays
    y: Array
    weights: Array | None
    positions: Array

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Rows:
    """Rows before they are encoded: features as the schema knows them, target, weights, and columns for the split."""

    features: Table
    y: Array
    weights: Array | None
    split_by: Table
    positions: Array

    @classmethod
    def of(cls, table: Table, schema: Schema, weights: Array | None, config: Config) -> "Rows":
        """Return the rows of training data, in their canonical order where they may be shuffled at all."""
        features = schema.check(table)[0]
        y = schema.target.encode(table)
        positions = np.arange(table.n_rows) if table.positions is None else table.positions
        given = cls(features, y, weights, table, positions)
        return given.rows(np.argsort(row_hashes(features, y, weights), kind="stable")) if config.shuffle else given

    @classmethod
    def held_out(cls, table: Table, schema: Schema) -> "Rows":
        """Return the rows of a part that comes by itself."""
        y, weights = target_and_weights(schema, table)
        positions = np.arange(table.n_rows) if table.positions is None else table.positions
        return cls(schema.check(table)[0], y, weights, table, positions)

    def rows(self, index: Array) -> "Rows":
        weights = None if self.weights is None else self.weights[index]
        return Rows(self.features.rows(index), self.y[index], weights, self.split_by.rows(index), self.positions[index])

    def encoded(self, encoder: Encoder, dtype: str) -> Part:
        return Part(encoder.transform(self.features, dtype), self.y, self.weights, self.positions)


def weighted_rows(table: Table, weight: str | None, min_rows: int) -> tuple[Table, Array | None]:
    """Return the rows with a weight above 0, those of whole weights as often as their weight says, and other weights.

    A weight of 2 equals the row twice, and 0 its absence, in everything that follows.
    """
    weights = None if weight is None else row_weights(table, weight)
    if weights is not None:
        if not weights.any():
            raise DataError(f"{table.source}: every weight in column {weight!r} is 0; nothing can be learned.")
        if (weights == np.floor(weights)).all() and weights.sum() <= _MAX_COPIES * len(weights):
            table, weights = table.rows(np.repeat(np.arange(table.n_rows), weights.astype(np.int64))), None
        else:
            table, weights = table.rows(weights > 0), weights[weights > 0]
    if table.n_rows < min_rows:
        plural = "" if table.n_rows == 1 else "s"
        raise DataError(
            f"{table.source} has {table.n_rows} usable row{plural}; at least {min_rows} are needed to learn from."
        )
    return table, weights


def split(
    rows: Rows, schema: Schema, config: Config, test: Any, read_held_out: Callable[[Any], Rows]
) -> dict[str, Rows]:
    """Return the parts of the rows: the test rows are taken first, then the validation rows from what is left."""
    rng = np.random.default_rng(config.seed)
    parts: dict[str, Rows] = {}
    rest = rows
    source = rows.features.source
    fractions = {"test": 0.0 if test is None else test, "validation": config.validation}
    for name, holding in fractions.items():
        if holding is None:
            holding = validation_fraction(len(rest.y), config.early_stopping)
        if not isinstance(holding, float):
            parts[name] = read_held_out(holding)
        elif holding > 0:
            kept, held = holdout(
                holding,
                rest.y,
                rng,
                is_class=bool(schema.target.classes),
                group=None if config.group is None else rest.split_by[config.group],
                time=None if config.time is None else rest.split_by[config.time],
            )
            if not len(held) or not len(kept):
                raise DataError(f"{source}: a {name} share of {holding:g} of {len(rest.y)} rows leaves a part empty.")
            parts[name], rest = rest.rows(held), rest.rows(kept)
    return {"train": rest, **dict(reversed(parts.items()))}
