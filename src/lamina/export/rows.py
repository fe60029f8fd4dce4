"""Rows as Python holds them, dictionaries or arrays, to a ``Table``, and one plain dictionary straight to arrays."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.date_parts import PARTS
from lamina.data.encoder import CategoryCode, Encoder, NumberCode
from lamina.data.masked import unmasked
from lamina.data.schema import ColumnSchema, Schema
from lamina.data.table import Column, Table, seconds_of, text_column
from lamina.data.text_values import read_dates, typed
from lamina.errors import DataError, SchemaError, shortened

Array = NDArray[Any]
SOURCE = "the data"
_FAR = 1e9  # as in ``lamina.data.encoder``


def table_of(rows: Any, schema: Schema) -> Table:
    """Return rows as a table.

    Args:
        rows: a mapping column -> value (one row), a sequence of such mappings, a mapping column -> sequence of values,
            an array (n, d) in the order of the schema's columns, an array of images (n, height, width), or a table.
        schema: of the model; columns that it does not know are kept, so that ``Schema.check`` can speak of them.

    Raises:
        DataError: something else, or columns of different lengths.
        SchemaError: an array of another width.
    """
    if isinstance(rows, Table):
        return rows
    expected = {column.name: column for column in schema.columns}
    if isinstance(rows, Mapping):
        return _columns_table(rows if _holds_columns(rows, expected) else _one_row(rows, expected), expected)
    if isinstance(rows, Sequence) and not isinstance(rows, str) and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row) if rows else [each.name for each in schema.features]
        return _columns_table({name: [row.get(name) for row in rows] for name in names}, expected, len(rows))
    try:
        values = np.asarray(unmasked(rows, SOURCE))
    except ValueError as error:
        raise DataError(f"the rows are no array: {error}.") from None
    return _array_table(values, schema)


def _holds_columns(rows: Mapping[str, Any], expected: Mapping[str, ColumnSchema]) -> bool:
    """Whether a mapping's values are sequences of values, and not the values of one row."""
    lengths = []
    for name, value in rows.items():
        image = name in expected and expected[name].kind == "image"
        sequence = isinstance(value, np.ndarray | Sequence) and not isinstance(value, str | bytes)
        lengths.append(np.ndim(value) > len(expected[name].shape) if image else sequence and np.ndim(value) > 0)
    return bool(lengths) and all(lengths)


def _one_row(row: Mapping[str, Any], expected: Mapping[str, ColumnSchema]) -> dict[str, Any]:
    images = {name for name, column in expected.items() if column.kind == "image"}
    return {name: np.asarray(value)[None] if name in images else [value] for name, value in row.items()}


def _columns_table(
    columns: Mapping[str, Any], expected: Mapping[str, ColumnSchema], n_rows: int | None = None
) -> Table:
    converted = {str(name): _column(str(name), values, expected.get(str(name))) for name, values in columns.items()}
    lengths = {len(column) for column in converted.values()} or {n_rows or 0}
    if len(lengths) > 1:
        raise DataError(f"the rows' columns have different lengths, {shortened(map(str, sorted(lengths)))}.")
    return Table(converted, lengths.pop(), SOURCE)


def _array_table(values: Array, schema: Schema) -> Table:
    images = [column for column in schema.features if column.kind == "image"]
    if images and values.ndim > 1 and len(schema.features) == 1:
        return Table({images[0].name: _column(images[0].name, values, images[0])}, len(values), SOURCE)
    if values.ndim != 2 or values.dtype.kind not in "biufOU":
        raise DataError(
            f"the rows have the shape {values.shape} and the dtype {values.dtype}; "
            "give dictionaries, or an array (n, d) of numbers or text."
        )
    inputs = [column for column in schema.columns if column.role in ("feature", "left out")]
    if values.shape[1] == len(schema.features):
        inputs = list(schema.features)
    if values.shape[1] != len(inputs):
        raise SchemaError(
            f"the rows have {values.shape[1]} columns, but the model was trained on {len(inputs)}: "
            f"{shortened(column.name for column in inputs)}."
        )
    columns = {column.name: _column(column.name, values[:, i], column) for i, column in enumerate(inputs)}
    return Table(columns, len(values), SOURCE)


def _column(name: str, values: Any, expected: ColumnSchema | None) -> Column:
    """Return values as a column of the type that they have; numbers in a text column are text to the encoder later."""
    kind = expected.kind if expected is not None else ""
    values = unmasked(values, f"{SOURCE}, column {name!r}")
    array = values if isinstance(values, np.ndarray) else None
    if kind == "image":
        try:
            array = np.asarray(values)
        except ValueError:
            raise SchemaError(f"{SOURCE}, column {name!r}: the images have different shapes.") from None
        if array.dtype.kind not in "biuf" or array.ndim < 2:
            raise SchemaError(f"{SOURCE}, column {name!r}: expected images, arrays of numbers.")
        return Column("image", array)
    if array is not None and array.ndim == 1:
        if array.dtype.kind in "iuf":
            return Column("number", array)
        if array.dtype.kind == "M":
            return Column("datetime", seconds_of(array))
        if array.dtype.kind == "m":
            return Column("number", seconds_of(array))
    return _objects(name, list(values), kind)


def _objects(name: str, values: list[Any], kind: str) -> Column:
    present = [value for value in values if not _is_missing(value)]
    if present and all(isinstance(value, bool | np.bool_) for value in present):
        codes = [-1 if _is_missing(value) else int(value) for value in values]
        return Column("boolean", np.array(codes, dtype=np.int32), ("False", "True"))
    if present and all(isinstance(value, np.timedelta64) for value in present):
        return Column("number", seconds_of(np.array(values, "timedelta64[us]")))
    if all(isinstance(value, timedelta) for value in present):
        seconds = [np.nan if _is_missing(value) else value.total_seconds() for value in values]
        return Column("number", np.array(seconds))
    if all(isinstance(value, int | float | np.number | Decimal) for value in present):
        try:
            return Column("number", np.array([np.nan if _is_missing(value) else float(value) for value in values]))
        except OverflowError:
            raise DataError(f"{SOURCE}, column {name!r}: a whole number is too large for float64.") from None
    if all(isinstance(value, date | np.datetime64) for value in present):
        return Column("datetime", np.array([np.nan if _is_missing(each) else _moment(each) for each in values]))
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str | int | float | np.generic) and not _is_missing(value):
            raise DataError(
                f"{SOURCE}, column {name!r}, row {row}: a value of type {type(value).__name__}, "
                "expected a number, text, a boolean, a date or a duration."
            )
    text = text_column([None if _is_missing(value) else str(value) for value in values])
    # What is a category stays text as it is: its code knows which texts are levels and which are missing.
    return text if kind == "category" else typed(text)


def _moment(value: Any) -> float:
    if isinstance(value, np.datetime64):
        return float(seconds_of(np.array([value]))[0])
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return float((value.replace(tzinfo=UTC) if value.tzinfo is None else value).timestamp())


def _is_missing(value: Any) -> bool:
    if value is np.ma.masked:
        return True
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas.NA says neither yes nor no; an array is no cell
        return not isinstance(value, np.ndarray | Sequence)


class _Unusual(Exception):
    """A row that the short way leaves to the long one, which converts, warns and complains."""


_Cell = Callable[[Any], float]


class RowEncoder:
    """One dictionary of plain values to the arrays of one row, in microseconds.

    A number, a text that training saw or a missing value is encoded here; everything else, such as a further column, a
    new level, or a number as text, makes ``encode`` return ``None``: the way over ``table_of`` knows what to do. A test
    compares the two.

    Args:
        schema, encoder: of the model.
    """

    def __init__(self, schema: Schema, encoder: Encoder) -> None:
        self.known = {column.name for column in schema.columns}
        self.possible = not encoder.images and not encoder.blocks
        formats = {column.name: column.date_format for column in schema.columns}
        self.numbers = [(code.name, _number(code, formats[code.name]), code.flag) for code in encoder.numbers]
        self.categories = [(code.name, _codes(code)) for code in encoder.categories]

    def encode(self, row: Mapping[str, Any]) -> dict[str, Array] | None:
        """Return ``numbers`` (1, d), ``flags`` (1, m) and ``codes`` (1, c) as ``Encoder.transform``, or ``None``."""
        if not self.possible or not self.known.issuperset(row):
            return None
        numbers, flags = [], []
        try:
            for name, cell, flag in self.numbers:
                number = cell(row[name])
                numbers.append(number)
                if flag:
                    flags.append(row[name] is None or row[name] != row[name])
            # A boolean is looked up as text: True equals 1, which is another level.
            codes = [known[str(cell) if type(cell := row[name]) is bool else cell] for name, known in self.categories]
        except (KeyError, TypeError, OverflowError, _Unusual):
            return None
        arrays: dict[str, Array] = {}
        if numbers:
            arrays["numbers"] = np.array([numbers])
            if flags:
                arrays["flags"] = np.array([flags], dtype=np.float64)
        if codes:
            arrays["codes"] = np.array([codes], dtype=np.int32)
        return arrays


def _number(code: NumberCode, date_format: str) -> _Cell:
    mean, scale, median, part, bent = code.mean, code.scale, code.median, code.part, code.bent

    def cell(value: Any) -> float:
        kind = type(value)
        if value is None:
            value = median
        elif part:
            value = _part(value, part, date_format)
            if value != value:
                value = median
        elif kind is not float and kind is not int:
            raise _Unusual
        elif value != value:
            value = median
        standardised = (value - mean) / scale
        if not -_FAR <= standardised <= _FAR:
            raise _Unusual  # to be clipped, or infinite
        return math.asinh(standardised) if bent else float(standardised)

    return cell


def _part(value: Any, part: str, date_format: str) -> float:
    if type(value) is str:
        seconds = read_dates([value], date_format)[0]
        if seconds is None:
            raise _Unusual
    elif type(value) is datetime or type(value) is date:
        seconds = _moment(value)
    else:
        raise _Unusual
    return float(PARTS[part](np.array([seconds]))[0])


def _codes(code: CategoryCode) -> dict[Any, int]:
    """Return the code of each cell that needs no thought."""
    return {**{level: i for i, level in enumerate(code.levels, start=1)}, None: code.missing}
