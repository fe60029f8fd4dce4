"""Rows of training data before they are encoded, and the part that each of them is in: train, validation or test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.config import Config
from lamina.data.encoder import Arrays, Encoder
from lamina.data.ordering import row_hashes
from lamina.data.schema import Schema
from lamina.data.splits import folds as split_into_folds
from lamina.data.splits import holdout
from lamina.data.table import Column, Table
from lamina.data.weights import row_weights, target_and_weights
from lamina.errors import ConfigError, DataError
from lamina.training.recipe import validation_fraction

Array = NDArray[Any]

# Whole weights become copies of their rows up to so many times the rows; beyond, and broken ones, stay weights.
_MAX_COPIES = 4
# Of eight members six learn from a row, and two that have not seen it, one of each encoding, say how well that went.
N_FOLDS = 4
_MIN_FOLDED_ROWS = 20
_MAX_WATCHED_ROWS = 20_000


@dataclass(frozen=True)
class Part:
    """Rows of one part, encoded.

    Attributes:
        arrays: as ``Encoder.transform`` returns them.
        y: codes (n,), or values or labels (n, k).
        weights: (n,) or ``None``.
        positions: of each row in the source, counted from 0, (n,).
        folds: where each member holds out a fold of the training rows: that of each row, (n,); else ``None``.
    """

    arrays: Arrays
    y: Array
    weights: Array | None
    positions: Array
    folds: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, index: Array) -> "Part":
        """Return the rows at ``index``, positions or a mask."""
        arrays = {name: values[index] for name, values in self.arrays.items()}
        weights, folds = (None if each is None else each[index] for each in (self.weights, self.folds))
        return Part(arrays, self.y[index], weights, self.positions[index], folds)


@dataclass(frozen=True)
class Rows:
    """Rows before they are encoded: some of those of a table, which is copied only where ``features`` asks for them.

    Attributes:
        checked: the table's columns as the schema knows them.
        split_by: the table, with the columns that a split goes by.
        index: positions of the rows in both, (n,).
        y: encoded target (n,) or (n, k).
        weights: (n,) or ``None``.
        positions, folds: as in ``Part``.
    """

    checked: Table
    split_by: Table
    index: Array
    y: Array
    weights: Array | None
    positions: Array
    folds: Array | None = None

    @classmethod
    def of(cls, table: Table, schema: Schema, weights: Array | None, config: Config) -> "Rows":
        """Return the rows of training data, in their canonical order where they may be shuffled at all."""
        features = schema.check(table)[0]
        given = cls._all(table, features, schema.target.encode(table), weights)
        if not config.shuffle:
            return given
        return given.rows(np.argsort(row_hashes(features, given.y, weights), kind="stable"))

    @classmethod
    def held_out(cls, table: Table, schema: Schema) -> "Rows":
        """Return the rows of a part that comes by itself."""
        y, weights = target_and_weights(schema, table)
        return cls._all(table, schema.check(table)[0], y, weights)

    @classmethod
    def _all(cls, table: Table, features: Table, y: Array, weights: Array | None) -> "Rows":
        index = np.arange(table.n_rows)
        return cls(features, table, index, y, weights, index if table.positions is None else table.positions)

    @cached_property
    def features(self) -> Table:
        """The columns as the schema knows them."""
        return self.checked.rows(self.index)

    def rows(self, index: Array) -> "Rows":
        weights, folds = (None if each is None else each[index] for each in (self.weights, self.folds))
        return Rows(
            self.checked, self.split_by, self.index[index], self.y[index], weights, self.positions[index], folds
        )

    def column(self, name: str | None) -> Column | None:
        """Return a column that a split goes by, or ``None`` for no name."""
        return None if name is None else self.split_by[name].rows(self.index)

    def encoded(self, encoder: Encoder, dtype: str) -> Part:
        encoder.check_images(self.features)
        return Part(encoder.transform(self.features, dtype), self.y, self.weights, self.positions, self.folds)


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
    """Return the parts of the rows: the test rows are taken first, then the validation rows from what is left.

    Where each member holds out a fold of its own, the training rows are validation rows too, up to 20,000 of them.
    """
    rng = np.random.default_rng(config.seed)
    parts: dict[str, Rows] = {}
    rest = rows
    source = rows.checked.source
    fractions = {"test": 0.0 if test is None else test, "validation": config.validation}
    for name, holding in fractions.items():
        if name == "validation" and holding is None:
            folds = _folds(rest, config, rng)
            if folds is not None:
                rest = replace(rest, folds=folds)
                n_watched = min(len(rest.y), _MAX_WATCHED_ROWS)
                parts[name] = rest.rows(np.sort(rng.permutation(len(rest.y))[:n_watched]))
                continue
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
                group=rest.column(config.group),
                time=rest.column(config.time),
            )
            if not len(held) or not len(kept):
                raise DataError(f"{source}: a {name} share of {holding:g} of {len(rest.y)} rows leaves a part empty.")
            parts[name], rest = rest.rows(held), rest.rows(kept)
    return {"train": rest, **dict(reversed(parts.items()))}


def with_class_weights(part: Part, class_weight: Any, schema: Schema) -> Array | None:
    """Return the rows' weights times those of their classes; ``balanced``: n / (k times the class's weight).

    Raises:
        ConfigError: a class that is none, or no weight above 0.
    """
    if class_weight is None:
        return part.weights
    rows = np.ones(len(part)) if part.weights is None else part.weights
    if class_weight == "balanced":
        counts = np.bincount(part.y, rows, len(schema.target.classes))
        factors = rows.sum() / (np.maximum(counts, 1e-300) * (counts > 0).sum())
    else:
        codes = [schema.target.code_of(name, "class_weight") for name in class_weight]
        if len(set(codes)) < len(codes):
            raise ConfigError(f"class_weight names a class twice in {', '.join(class_weight)}; name each once.")
        factors = np.ones(len(schema.target.classes))
        factors[codes] = list(class_weight.values())
    weights: Array = rows * factors[part.y]
    if not weights.any():
        raise ConfigError(
            "class_weight leaves no row with a weight above 0; raise the weight of a class that is there."
        )
    return weights


def held_out_by(folds: Array, members: int) -> Array:
    """Return which members hold out each row, (n, members): the first member the first fold, and so on in turn."""
    return np.asarray(folds[:, None] == np.arange(members) % N_FOLDS)


def _folds(rows: Rows, config: Config, rng: np.random.Generator) -> Array | None:
    """Return the fold of each row, (n,), or ``None`` where the members share the rows that they hold out, or have none.

    Rows ordered by time have no folds: a member would be watched on rows older than those that it has seen. Nor have
    images: a tenth of them is enough to watch, and a quarter withheld from each member costs more than it gives.
    """
    n_members, images = config.members or 1, any(column.type == "image" for column in rows.checked.columns.values())
    if n_members < N_FOLDS or not config.early_stopping or config.time is not None or images:
        return None
    if len(rows.y) < _MIN_FOLDED_ROWS:
        return None
    try:
        parts = split_into_folds(N_FOLDS, rows.y, rng, group=rows.column(config.group))
    except ConfigError:  # fewer groups than folds
        return None
    folds = np.empty(len(rows.y), dtype=np.int64)
    for i, part in enumerate(parts):
        folds[part] = i
    return folds
