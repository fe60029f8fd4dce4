"""Everything that a user may pass as data, to a ``Table``: a path, ``-``, a set's name, a frame, arrays, a table."""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lamina.data import builtin
from lamina.data.csv_files import read_csv
from lamina.data.frames import datetime_column, from_objects, is_frame, is_series, read_frame, read_series
from lamina.data.images import array_table, read_idx_pair, read_npz
from lamina.data.table import Column, Table
from lamina.errors import DataError, did_you_mean

_CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(
    data: Any,
    *,
    text_columns: Set[str] = frozenset(),
    data_dir: str | None = None,
    progress: builtin.Progress | None = None,
) -> Table:
    """Return ``data`` as a table.

    Args:
        data: a path (CSV, gzipped or not; Parquet; IDX images; npz), ``"-"`` (CSV on standard input), a built-in set's
            name, a data frame, an array (n, d) or (n, height, width), a pair (X, y), or a table.
        text_columns: columns of a CSV file that stay text even where they read as numbers.
        data_dir: folder of Fashion-MNIST's files.
        progress: see ``lamina.data.builtin.read_builtin``.

    Raises:
        DataError: there is no such file, it cannot be read, or the object is of no known sort.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, str | Path):
        return next(read_tables(str(data), text_columns=text_columns, data_dir=data_dir, progress=progress))
    if isinstance(data, tuple) and len(data) == 2:
        return _pair(*data)
    if is_frame(data):
        return read_frame(data)
    return _array(data)


def read_tables(
    path: str,
    *,
    chunk_rows: int | None = None,
    text_columns: Set[str] = frozenset(),
    data_dir: str | None = None,
    progress: builtin.Progress | None = None,
) -> Iterator[Table]:
    """Yield the tables of a file in chunks of at most ``chunk_rows`` rows; see ``read_table``."""
    suffixes = "".join(Path(path).suffixes[-2:]).lower()
    if builtin.is_builtin(path):
        yield from _sliced(builtin.read_builtin(path, data_dir, progress), chunk_rows)
    elif path == "-" or suffixes.endswith(_CSV_SUFFIXES):
        yield from read_csv(path, text_columns=text_columns, chunk_rows=chunk_rows)
    elif suffixes.endswith(_PARQUET_SUFFIXES):
        yield from _read_parquet(path, chunk_rows)
    elif suffixes.endswith(".npz"):
        yield from _sliced(read_npz(Path(path)), chunk_rows)
    elif "idx" in Path(path).name:
        yield from _sliced(read_idx_pair(Path(path)), chunk_rows)
    elif not Path(path).exists():
        raise DataError(
            f"there is no file {path!r}.{did_you_mean(path, builtin.NAMES)} Built-in sets: {', '.join(builtin.NAMES)}."
        )
    else:
        raise DataError(f"{path!r} is of no known format; expected .csv, .tsv, .parquet, .npz or an IDX file.")


def _sliced(table: Table, chunk_rows: int | None) -> Iterator[Table]:
    if chunk_rows is None or table.n_rows <= chunk_rows:
        yield table
        return
    for start in range(0, table.n_rows, chunk_rows):
        yield table.rows(np.arange(start, min(start + chunk_rows, table.n_rows)))


def _read_parquet(path: str, chunk_rows: int | None) -> Iterator[Table]:
    if not Path(path).exists():
        raise DataError(f"there is no file {path!r}; check the path.")
    try:
        frame = pl.scan_parquet(path)
        n_rows = frame.select(pl.len()).collect().item()
        for start in range(0, n_rows, chunk_rows or max(n_rows, 1)):
            table = read_frame(frame.slice(start, chunk_rows).collect(), path)
            yield Table(table.columns, table.n_rows, path, first_row=start + 1)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a Parquet file that can be read: {reason}.") from None
    if n_rows == 0:
        raise DataError(f"{path} has no rows.")


def _pair(x: Any, y: Any) -> Table:
    if y is None:
        return read_table(x)
    name, column = target_column(y)
    table = read_table(x) if is_frame(x) else _array(x)
    if len(column) != table.n_rows:
        raise DataError(f"X has {table.n_rows} rows, but y has {len(column)}; they must agree.")
    return table.with_target(name, column)


def target_column(y: Any) -> tuple[str, Column]:
    """Return the name and the column of a target given apart: a series, a list, or an array (n,) or (n, 1).

    Raises:
        DataError: more than one target column.
    """
    if is_series(y):
        name = getattr(y, "name", None)
        return str(name) if name else "y", read_series(y, str(name), "y")
    values = np.asarray(y)
    # (n, 1) is flattened here, once: left as it is, it would broadcast against (n,) into (n, n) somewhere below.
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.reshape(-1)
    if values.ndim != 1:
        raise DataError(f"y has the shape {values.shape}, expected (n,): one target.")
    return "y", _values_column(values, "y")


def _array(x: Any) -> Table:
    if hasattr(x, "toarray"):
        raise DataError("sparse matrices are not read; pass X.toarray().")
    try:
        values = np.asarray(x)
    except ValueError as error:
        raise DataError(f"X is no array of numbers: {error}.") from None
    if values.dtype.kind in "biuf":
        return array_table(values, None, "X")
    if values.ndim == 2 and values.dtype.kind in "OUS":
        columns = {f"x{i}": _values_column(values[:, i], f"x{i}") for i in range(values.shape[1])}
        return Table(columns, len(values), "X", named=False)
    raise DataError(
        f"X of type {type(x).__name__} is not understood (dtype {values.dtype}, shape {values.shape}); "
        "pass a path, a data frame, or an array of shape (n, d) or (n, height, width)."
    )


def _values_column(values: np.ndarray, name: str) -> Column:
    if values.dtype.kind == "b":
        return Column("boolean", values.astype(np.int32), ("False", "True"))
    if values.dtype.kind in "iuf":
        return Column("number", values)
    if values.dtype.kind == "M":
        return datetime_column(values)
    return from_objects(values.astype(str).tolist() if values.dtype.kind == "S" else values.tolist(), name, "X")
