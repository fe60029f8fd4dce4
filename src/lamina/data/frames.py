"""Data frames of any library that narwhals knows (pandas, polars, pyarrow, ...) to tables."""

from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from lamina.data.table import Column, Table, text_column
from lamina.data.text_values import typed
from lamina.errors import DataError


def is_frame(data: Any) -> bool:
    """Whether ``data`` is a data frame held in memory."""
    return isinstance(nw.from_native(data, eager_only=True, pass_through=True), nw.DataFrame)


def is_series(data: Any) -> bool:
    """Whether ``data`` is a data frame's column."""
    return isinstance(nw.from_native(data, series_only=True, pass_through=True), nw.Series)


def read_frame(frame: Any, source: str = "the data frame") -> Table:
    """Return the table of a data frame. Text stays text, as declared there, but for the tokens of missing values.

    Raises:
        DataError: a column name twice, or a column of a type that is no number, text, boolean or date.
    """
    native_names = [str(name) for name in getattr(frame, "columns", [])]
    for name in native_names:
        if native_names.count(name) > 1:
            raise DataError(f"{source}: column {name!r} appears {native_names.count(name)} times; rename all but one.")
    wrapped = nw.from_native(frame, eager_only=True)
    columns = {str(name): read_series(wrapped[name], str(name), source) for name in wrapped.columns}
    return Table(columns, len(wrapped), source)


def read_series(series: Any, name: str, source: str) -> Column:
    """Return one column of a frame, native or wrapped by narwhals."""
    series = nw.from_native(series, series_only=True)
    dtype = series.dtype
    if dtype == nw.Boolean:
        return _boolean(series.to_list())
    if dtype.is_numeric():
        return Column("number", _numbers(series))
    if dtype in (nw.Datetime, nw.Date):
        moments = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        values = moments.to_numpy().astype("datetime64[us]")
        seconds = values.astype(np.int64) / 1e6
        return Column("datetime", np.where(np.isnat(values), np.nan, seconds))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return _text(series.cast(nw.String).to_list())
    if dtype == nw.Object:
        return from_objects(series.to_list(), name, source)
    raise DataError(
        f"{source}: column {name!r} has the type {dtype}, expected numbers, text, booleans or dates; drop it."
    )


def from_objects(values: list[Any], name: str, source: str) -> Column:
    """Return a column of Python objects: all booleans, all numbers, or else text.

    Raises:
        DataError: a list, a dictionary or another object that has no plain text.
    """
    present = [value for value in values if not _is_missing(value)]
    if present and all(isinstance(value, bool | np.bool_) for value in present):
        return _boolean([None if _is_missing(value) else value for value in values])
    if all(isinstance(value, int | float | np.number) for value in present):
        return Column("number", np.array([np.nan if _is_missing(value) else float(value) for value in values]))
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str | bool | int | float | np.generic) and not _is_missing(value):
            raise DataError(
                f"{source}, column {name!r}, row {row}: a value of type {type(value).__name__}, "
                "expected a number, text or a boolean; drop the column or convert it."
            )
    return _text([None if _is_missing(value) else str(value) for value in values])


def _numbers(series: Any) -> np.ndarray:
    if series.null_count() or series.to_numpy().dtype == object:
        return np.asarray(series.cast(nw.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    return np.asarray(series.to_numpy())


def _boolean(values: list[Any]) -> Column:
    codes = np.array([-1 if value is None else int(value) for value in values], dtype=np.int32)
    return Column("boolean", codes, ("False", "True"))


def _text(values: list[str | None]) -> Column:
    column = text_column(values)
    # A "?" among numbers marks a missing value and made the frame call the column text; other text stays text, since
    # the frame declared it ("02134" is a postal code there).
    return typed(column, parse_numbers="?" in column.levels)


def _is_missing(value: Any) -> bool:
    return value is None or value != value
