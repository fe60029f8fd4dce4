"""Data frames of any library that narwhals knows (pandas, polars, pyarrow, ...) to tables."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from narwhals.exceptions import DuplicateError

from lamina.data.table import Column, Table, seconds_of, text_column
from lamina.data.text_values import declared
from lamina.errors import DataError


def is_frame(data: Any) -> bool:
    """Whether ``data`` is a data frame held in memory."""
    if isinstance(data, np.ndarray):  # narwhals takes 0.1 ms to say so
        return False
    try:
        return isinstance(nw.from_native(data, eager_only=True, pass_through=True), nw.DataFrame)
    except DuplicateError:
        return True  # with a column twice: read_frame says which


def is_series(data: Any) -> bool:
    """Whether ``data`` is a data frame's column."""
    return not isinstance(data, np.ndarray) and isinstance(
        nw.from_native(data, series_only=True, pass_through=True), nw.Series
    )


def read_frame(
    frame: Any,
    source: str = "the data frame",
    known: Mapping[str, Collection[str]] | None = None,
    *,
    is_target: bool = False,
) -> Table:
    """Return the table of a data frame. Text stays text, as declared there; see ``lamina.data.text_values.declared``.

    Args:
        frame: of any library that narwhals knows.
        source: for messages.
        known: column -> the texts that a model knows there.
        is_target: see ``read_series``.

    Raises:
        DataError: a column name twice, or a column of a type that is no number, text, boolean, date or duration.
    """
    try:
        wrapped = nw.from_native(frame, eager_only=True)
        names = [str(name) for name in wrapped.columns]  # pandas numbers them where none were given
    except DuplicateError:
        names = [str(name) for name in getattr(frame, "column_names" if hasattr(frame, "schema") else "columns")]
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{source}: column {name!r} appears {count} times; rename all but one.")
    known = known or {}
    columns = {
        name: read_series(series, name, source, known.get(name, ()), is_target=is_target)
        for name, series in zip(names, wrapped.iter_columns(), strict=True)
    }
    return Table(columns, len(wrapped), source)


def read_series(series: Any, name: str, source: str, known: Collection[str] = (), *, is_target: bool = False) -> Column:
    """Return one column of a frame, native or wrapped by narwhals.

    Args:
        series: the column.
        name, source: for messages.
        known: the texts that a model knows there.
        is_target: it is a target given apart, whose texts are classes, each as it is, a blank one too.
    """
    series = nw.from_native(series, series_only=True)
    dtype = series.dtype
    if dtype == nw.Boolean:
        return _boolean(series.to_list())
    if dtype.is_numeric():
        return Column("number", _numbers(series), integers=not dtype.is_float())
    if dtype in (nw.Datetime, nw.Date):
        moments = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        return datetime_column(moments.to_numpy())
    if dtype == nw.Duration:
        return Column("number", seconds_of(series.to_numpy()))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return _text(series.to_list(), known, is_target)
    if series.null_count() == len(series):
        return Column("number", np.full(len(series), np.nan))
    if dtype == nw.Object:
        return from_objects(series.to_list(), name, source, known, is_target=is_target)
    raise DataError(
        f"{source}: column {name!r} has the type {dtype}, "
        "expected numbers, text, booleans, dates or durations; drop it."
    )


def datetime_column(values: np.ndarray) -> Column:
    """Return a column of an array of ``datetime64`` of any unit."""
    return Column("datetime", seconds_of(values))


def from_objects(
    values: list[Any], name: str, source: str, known: Collection[str] = (), *, is_target: bool = False
) -> Column:
    """Return a column of Python objects: all booleans, all numbers, all durations (in seconds), or else text.

    Arguments as in ``read_series``.

    Raises:
        DataError: a list, a dictionary or another object that has no plain text.
    """
    present = [value for value in values if not _is_missing(value)]
    if present and all(isinstance(value, bool | np.bool_) for value in present):
        return _boolean(values)
    if all(isinstance(value, int | float | np.number | Decimal) for value in present):
        integers = not any(isinstance(value, float | np.floating) for value in present)
        if integers and len(present) == len(values) and (whole := np.array(values)).dtype.kind in "iu":
            return Column("number", whole)  # of more digits than a float has
        numbers = np.array([np.nan if _is_missing(value) else float(value) for value in values])
        return Column("number", numbers, integers=integers)
    if all(isinstance(value, timedelta) for value in present):
        seconds = [np.nan if _is_missing(value) else value.total_seconds() for value in values]
        return Column("number", np.array(seconds))
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str | bool | int | float | np.generic) and not _is_missing(value):
            raise DataError(
                f"{source}, column {name!r}, row {row}: a value of type {type(value).__name__}, "
                "expected a number, text or a boolean; drop the column or convert it."
            )
    return _text(values, known, is_target)


def _numbers(series: Any) -> np.ndarray:
    if series.null_count() or series.to_numpy().dtype == object:
        return np.asarray(series.cast(nw.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    return np.asarray(series.to_numpy())


def _boolean(values: list[Any]) -> Column:
    codes = np.array([-1 if _is_missing(value) else int(value) for value in values], dtype=np.int32)
    return Column("boolean", codes, ("False", "True"))


def _text(values: list[Any], known: Collection[str], is_target: bool) -> Column:
    column = text_column([None if _is_missing(value) else str(value) for value in values])
    first = next((value for value in values if not _is_missing(value)), "")
    if not isinstance(first, str) and (labels := _labels(values)):
        return replace(column, labels=tuple(labels[level] for level in column.levels))
    return column if is_target else declared(column, known)


def _labels(values: list[Any]) -> dict[str, Any]:
    """Return the values of a category of booleans, or of numbers, as pandas has them, by their text; else none."""
    labels = {str(value): value for value in values if not _is_missing(value)}
    are_bool = [isinstance(value, bool) for value in labels.values()]
    are_number = all(isinstance(value, int | float) for value in labels.values())
    return labels if all(are_bool) or (are_number and not any(are_bool)) else {}


def _is_missing(value: Any) -> bool:
    if value is np.ma.masked:
        return True
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA says neither yes nor no
        return True
    except ValueError:  # an array
        return False
