"""A table of named, typed columns: what files, data frames and arrays become, and the same from there on.

NumPy inside, no torch. A column keeps what its source knew of it; what the column *means* to a model (its kind) is
decided by ``lamina.data.schema``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lamina.errors import DataError, did_you_mean, shortened

Array = NDArray[Any]
ColumnType = Literal["number", "text", "boolean", "datetime", "image", "sparse"]


@dataclass(frozen=True)
class Column:
    """The values of one column.

    Attributes:
        type: how ``values`` is to be read.
        values: for ``number`` (n,) of any integer or float dtype, NaN where missing; for ``text`` and ``boolean`` (n,)
            int32 codes into ``levels``, -1 where missing; for ``datetime`` (n,) float64 seconds since 1970, NaN where
            missing; for ``image`` (n, height, width) of uint8 or float; for ``sparse`` a block of d number columns, a
            ``scipy.sparse.csr_array`` (n, d).
        levels: the distinct texts, for ``text`` and ``boolean``.
        date_format: for a ``datetime`` read from text, how it was written, as in ``strptime``; ``""`` for ISO 8601 and
            for a source of typed dates.
        integers: for a ``number`` held as floats: whether its whole numbers are integers to the user all the same,
            since nothing but their text, or a missing value among them, made them floats.
        labels: for a ``text`` of what was no text, such as a frame's category of numbers: what each level was there.
    """

    type: ColumnType
    values: Array
    levels: tuple[str, ...] = ()
    date_format: str = ""
    integers: bool = False
    labels: tuple[bool | int | float, ...] = ()

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def rows(self, index: Array) -> "Column":
        """Return the rows at ``index``, positions or a boolean mask."""
        return replace(self, values=self.values[index])

    def is_missing(self) -> Array:
        """Return a boolean mask (n,) of the missing values."""
        if self.type in ("text", "boolean"):
            return self.values < 0
        if self.type in ("image", "sparse") or not np.issubdtype(self.values.dtype, np.floating):
            return np.zeros(len(self), dtype=bool)
        return np.isnan(self.values)

    def as_text(self) -> "Column":
        """Return this column as text: numbers in their shortest form (3.0 is ``"3"``), dates as ISO 8601."""
        if self.type in ("text", "boolean"):
            return self
        if self.type in ("image", "sparse"):
            raise DataError(f"a column of type {self.type} cannot be read as text.")
        missing = self.is_missing()
        distinct, codes = np.unique(self.values[~missing], return_inverse=True)
        all_codes = np.full(len(self.values), -1, dtype=np.int32)
        all_codes[~missing] = codes
        return Column("text", all_codes, tuple(self._text(value) for value in distinct))

    def cell(self, row: int) -> str:
        """Return the value at ``row`` as text, ``""`` where it is missing."""
        if self.type in ("text", "boolean"):
            code = int(self.values[row])
            return "" if code < 0 else self.levels[code]
        value = self.values[row]
        return "" if np.isnan(value) else self._text(value)

    def _text(self, value: Any) -> str:
        if self.type != "datetime":
            return number_text(value)
        return str(np.datetime_as_string(np.datetime64(round(float(value) * 1e6), "us"), unit="auto"))


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes:
        columns: by name, in the order of the source.
        n_rows: number of rows.
        source: where it came from, for messages.
        targets: the columns that the source itself names as the target, if it does.
        named: whether the columns' names mean something; those of a bare array (x0, x1, ...) are only positions.
        first_row: number of the first row in the source, counted from 1, where this is a chunk of it.
        positions: where rows were picked: of each one, counted from 0, in the chunk that they come from.
    """

    columns: Mapping[str, Column]
    n_rows: int
    source: str = "the data"
    targets: tuple[str, ...] = ()
    named: bool = True
    first_row: int = 1
    positions: Array | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != self.n_rows:
                raise DataError(f"{self.source}: column {name!r} has {len(column)} rows, expected {self.n_rows}.")

    def __getitem__(self, name: str) -> Column:
        """Return the column called ``name``.

        Raises:
            DataError: there is none; the message names the closest one.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.source} has no column {name!r}.{did_you_mean(name, self.columns)} "
                f"Columns: {shortened(self.columns)}."
            )
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def rows(self, index: Array) -> "Table":
        """Return the rows at ``index``, positions or a boolean mask."""
        columns = {name: column.rows(index) for name, column in self.columns.items()}
        positions = (np.arange(self.n_rows) if self.positions is None else self.positions)[index]
        return replace(self, columns=columns, n_rows=len(positions), positions=positions)

    def row_number(self, row: int) -> int:
        """Return the number that the row at ``row`` has in the source, counted from 1, for messages."""
        return self.first_row + int(row if self.positions is None else self.positions[row])

    def rows_with(self, names: Sequence[str]) -> tuple["Table", int]:
        """Return the rows that have a value in all columns ``names``, and how many others there were."""
        missing = np.any([self[name].is_missing() for name in names], axis=0)
        n_missing = int(missing.sum())
        return (self.rows(~missing), n_missing) if n_missing else (self, 0)

    def with_column(self, name: str, column: Column) -> "Table":
        """Return the table with one more column.

        Raises:
            DataError: the name is taken.
        """
        if name in self.columns:
            raise DataError(f"{self.source} has a column {name!r} already; rename one of the two.")
        return replace(self, columns={**self.columns, name: column})

    def without(self, name: str) -> "Table":
        """Return the table without the column ``name``."""
        return replace(self, columns={key: column for key, column in self.columns.items() if key != name})

    def with_target(self, name: str, column: Column) -> "Table":
        """Return the table with one more column, which is the target; errors as in ``with_column``."""
        return replace(self.with_column(name, column), targets=(*self.targets, name))


def number_text(value: Any) -> str:
    """Return a number in its shortest text; a whole one without a point."""
    if isinstance(value, int | np.integer):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def seconds_of(times: Array) -> Array:
    """Return ``datetime64`` (since 1970) or ``timedelta64`` of any unit as seconds, (n,) float64, NaN for NaT."""
    times = times.astype(f"{times.dtype.kind}8[us]")
    return np.where(np.isnat(times), np.nan, times.astype(np.int64) / 1e6)


def text_column(values: Sequence[str | None]) -> Column:
    """Return a text column of ``values``; ``None`` is missing. Levels are in order of their first row."""
    levels: dict[str, int] = {}
    codes = np.fromiter(
        (-1 if value is None else levels.setdefault(value, len(levels)) for value in values),
        dtype=np.int32,
        count=len(values),
    )
    return Column("text", codes, tuple(levels))
