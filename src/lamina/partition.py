"""Rows of training data before they are encoded, and the part that each of them is in: train, validation or test."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.config import Config
from lamina.data.copies import MIN_UNITS, Units, by_first_row, equal_rows
from lamina.data.encoder import Arrays, Encoder
from lamina.data.ordering import feature_hashes, with_target
from lamina.data.schema import Schema
from lamina.data.splits import folds as split_into_folds
from lamina.data.splits import holdout, shares_group
from lamina.data.table import Column, Table
from lamina.data.weights import row_weights, target_and_weights, whole_multiples
from lamina.errors import ConfigError, DataError
from lamina.training.recipe import validation_fraction

Array = NDArray[Any]

# Whole weights become copies of their rows up to so many times the rows; beyond, they stay weights that count as so
# many rows each. Larger ones, such as those of two decimals, are whole by their notation alone, and like broken ones
# they are divided by their mean.
_MAX_COPIES, _MAX_COUNTS = 4, 16
# More copies in a file than this share of its rows are told of.
_MANY_COPIES = 0.01
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
        units: a number for each row, the same for copies of one row, (n,); ``None``: there are no copies.
    """

    arrays: Arrays
    y: Array
    weights: Array | None
    positions: Array
    folds: Array | None = None
    units: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, index: Array) -> "Part":
        """Return the rows at ``index``, positions or a mask."""
        arrays = {name: values[index] for name, values in self.arrays.items()}
        some = (None if each is None else each[index] for each in (self.weights, self.folds, self.units))
        weights, folds, units = some
        return Part(arrays, self.y[index], weights, self.positions[index], folds, units)


@dataclass(frozen=True)
class Rows:
    """Rows before they are encoded: some of those of a table, which is copied only where ``features`` asks for them.

    Attributes:
        checked: the table's columns as the schema knows them.
        split_by: the table, with the columns that a split goes by.
        index: positions of the rows in both, (n,).
        y: encoded target (n,) or (n, k).
        weights: (n,) or ``None``.
        positions, folds, units: as in ``Part``.
    """

    checked: Table
    split_by: Table
    index: Array
    y: Array
    weights: Array | None
    positions: Array
    folds: Array | None = None
    units: Array | None = None

    @classmethod
    def of(
        cls, table: Table, schema: Schema, weights: Array | None, copies: Array | None, config: Config, notes: list[str]
    ) -> "Rows":
        """Return the rows of training data, in their canonical order where they may be shuffled at all.

        Args:
            table, weights, copies: as ``weighted_rows`` returns them.
            schema, config: of the run.
            notes: gets a sentence where many rows are copies.
        """
        features = schema.check(table)[0]
        given = cls._all(table, features, schema.target.encode(table), weights)
        hashes = feature_hashes(features)
        units = equal_rows(hashes, given.y)
        if units is not None:
            n_copies = table.n_rows - int(units.max()) - 1
            if n_copies > _MANY_COPIES * table.n_rows:
                notes.append(
                    f"{n_copies:,} of {table.n_rows:,} rows are copies of another row, with the same features: "
                    "a row and its copies are on one side of every split"
                )
        order = given.index
        if config.shuffle:
            order = np.argsort(with_target(hashes, given.y, weights), kind="stable")
        if copies is not None:
            units = given.index if units is None else units
            order = np.repeat(order, copies[order])
        return replace(given, units=units).rows(order)

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
        some = (None if each is None else each[index] for each in (self.weights, self.folds, self.units))
        weights, folds, units = some
        return Rows(
            self.checked, self.split_by, self.index[index], self.y[index], weights, self.positions[index], folds, units
        )

    def is_of(self, rows: "Rows") -> bool:
        """Whether these are some of ``rows``, and of no other source."""
        return self.split_by is rows.split_by

    def column(self, name: str | None) -> Column | None:
        """Return a column that a split goes by, or ``None`` for no name."""
        return None if name is None else self.split_by[name].rows(self.index)

    def encoded(self, encoder: Encoder, dtype: str) -> Part:
        encoder.check_images(self.features)
        return Part(
            encoder.transform(self.features, dtype), self.y, self.weights, self.positions, self.folds, self.units
        )


def weighted_rows(table: Table, weight: str | None, min_rows: int) -> tuple[Table, Array | None, Array | None]:
    """Return the rows with a weight above 0, their weights, and how often each of them counts as a row.

    Weights are divided by their common factor first, so that only their ratios count. Whole ones then say how often a
    row is there: a weight of 2 equals the row twice, and 0 its absence, in everything that follows. Others are divided
    by their mean.

    Returns:
        The table; weights (n,), or ``None``; copies (n,) int64 of at least 1, or ``None``: one of each row.
    """
    copies = None
    weights = None if weight is None else row_weights(table, weight)
    if weights is not None:
        if not weights.any():
            raise DataError(f"{table.source}: every weight in column {weight!r} is 0; nothing can be learned.")
        multiples = whole_multiples(weights)
        counted = weights > 0
        n_rows, table = len(weights), table if counted.all() else table.rows(counted)
        if multiples is None or multiples.sum() > _MAX_COUNTS * n_rows:
            weights = weights[counted] / weights[counted].mean()
        elif multiples.sum() > _MAX_COPIES * n_rows:
            weights = multiples[counted]
        else:
            weights, copies = None, multiples[counted].astype(np.int64)
            copies = None if (copies == 1).all() else copies
    if table.n_rows < min_rows:
        plural = "" if table.n_rows == 1 else "s"
        raise DataError(
            f"{table.source} has {table.n_rows} usable row{plural}; at least {min_rows} are needed to learn from."
        )
    return table, weights, copies


def check_groups(table: Table, group: str | None) -> None:
    """Refuse a row without a group.

    Raises:
        DataError: there is one; the message names the first.
    """
    if group is not None and table[group].is_missing().any():
        row = table.row_number(int(table[group].is_missing().argmax()))
        raise DataError(
            f"{table.source}: the group column {group!r} has no value in row {row}; fill it or drop the row."
        )


def split(
    rows: Rows, schema: Schema, config: Config, test: Any, read_held_out: Callable[[Any], Rows], notes: list[str]
) -> dict[str, Rows]:
    """Return the parts of the rows: the test rows are taken first, then the validation rows from what is left.

    Where each member holds out a fold of its own, the training rows are validation rows too, up to 20,000 of them.
    A row and its copies are in one part, and in one fold; of copies in two groups, or at two times, those that are not
    held out are left out. Of fewer than 20 distinct rows none are held out.

    Args:
        rows, schema, config: of the run.
        test: a fraction, or what ``read_held_out`` reads; ``None``: no test rows.
        read_held_out: reads rows that are held out of a source of their own.
        notes: gets a sentence for what is divided otherwise than was asked for.
    """
    rng = np.random.default_rng(config.seed)
    check_groups(rows.split_by, config.group)
    n_distinct = None if rows.units is None else int(rows.units.max()) + 1
    few = n_distinct is not None and n_distinct < MIN_UNITS
    parts: dict[str, Rows] = {}
    rest = rows
    source = rows.checked.source
    fractions = {"test": 0.0 if test is None else test, "validation": config.validation}
    for name, holding in fractions.items():
        if name == "validation" and holding is None:
            folds = None if few else _folds(rest, config, rng)
            if folds is not None:
                rest = replace(rest, folds=folds)
                n_watched = min(len(rest.y), _MAX_WATCHED_ROWS)
                parts[name] = rest.rows(np.sort(rng.permutation(len(rest.y))[:n_watched]))
                continue
        if holding is None:
            holding = validation_fraction(len(rest.y), config.early_stopping)
        if not isinstance(holding, float):
            parts[name] = read_held_out(holding)
        elif holding > 0 and few:
            notes.append(
                f"no {name} rows are held out: the {len(rows.y):,} rows are copies of {n_distinct} distinct ones, "
                f"and of fewer than {MIN_UNITS} too little can be said"
            )
        elif holding > 0:
            kept, held = _held_out(rest, schema, config, name, holding, rng, notes)
            if not len(held) or not len(kept):
                raise DataError(f"{source}: a {name} share of {holding:g} of {len(rest.y)} rows leaves a part empty.")
            parts[name], rest = rest.rows(held), rest.rows(kept)
    return {"train": rest, **dict(reversed(parts.items()))}


def _held_out(
    rest: Rows, schema: Schema, config: Config, name: str, fraction: float, rng: np.random.Generator, notes: list[str]
) -> tuple[Array, Array]:
    """Return the positions in ``rest`` of the rows that stay and of those that are held out."""
    group, time = rest.column(config.group), rest.column(config.time)
    kept, held = holdout(
        fraction, rest.y, rng, is_class=bool(schema.target.classes), group=group, time=time, units=_units(rest)
    )
    n = len(rest.y)
    if time is not None and len(held) != math.ceil(n * fraction):
        notes.append(
            f"{len(held) / n:.1%} of the rows are held out as {name} rows instead of {fraction:.1%}: "
            f"rows of the same {config.time!r} stay together"
        )
    if group is not None and time is not None:
        known = shares_group(group, kept, held)
        if known.any():
            notes.append(
                f"{int(known.sum()):,} rows are left out of training: their {config.group!r} is among the {name} rows, "
                "which are later"
            )
        if known.all():
            raise DataError(
                f"{rest.checked.source}: every {config.group!r} is among the latest rows, which are held out as {name} "
                "rows, and nothing is left to learn from; leave out one of group and time."
            )
        kept = kept[~known]
    if rest.units is not None and (group is not None or time is not None):
        known = np.isin(rest.units[kept], rest.units[held])
        elsewhere = "which are later" if time is not None else f"which have another {config.group!r}"
        if known.any():
            n_copies = f"{int(known.sum()):,} {'row is' if known.sum() == 1 else 'rows are'}"
            notes.append(f"{n_copies} left out of training, as copies of {name} rows, {elsewhere}")
        if known.all():
            raise DataError(
                f"{rest.checked.source}: every row that is left to learn from is a copy of one of the {name} rows, "
                f"{elsewhere}; take the copies out of the table, or leave {config.time or config.group!r} out."
            )
        kept = kept[~known]
    return kept, held


def _units(rows: Rows) -> Units | None:
    """Return the units of ``rows``, counted anew from 0 by their first rows."""
    return None if rows.units is None else by_first_row(rows.units)


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
    if len(rows.y if rows.units is None else np.unique(rows.units)) < _MIN_FOLDED_ROWS:
        return None
    group, units = rows.column(config.group), _units(rows)
    try:
        parts = split_into_folds(N_FOLDS, rows.y, rng, group=group, units=units)
    except ConfigError:  # fewer groups than folds
        return None
    if group is not None and units is not None and 2 * max(map(len, parts)) > len(rows.y):
        return None  # copies join the groups until hardly more than one is left
    folds = np.empty(len(rows.y), dtype=np.int64)
    for i, part in enumerate(parts):
        folds[part] = i
    return folds
