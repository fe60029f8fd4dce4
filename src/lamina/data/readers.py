"""Everything that a user may pass as data, to a ``Table``: a path, ``-``, a set's name, a frame, arrays, a table."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lamina.data import builtin
from lamina.data.csv_files import TextColumns, known_texts, read_csv
from lamina.data.frames import datetime_column, from_objects, is_frame, is_series, read_frame, read_series
from lamina.data.image_folders import read_image_folder
from lamina.data.images import array_table, read_idx_pair, read_npz
from lamina.data.masked import unmasked
from lamina.data.table import Column, Table
from lamina.errors import DataError, did_you_mean

_CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(
    data: Any,
    *,
    text_columns: TextColumns = frozenset(),
    data_dir: str | None = None,
    progress: builtin.Progress | None = None,
) -> Table:
    """Return ``data`` as a table.

    Args:
        data: a path (CSV, gzipped or not; Parquet; IDX images; npz; a folder of images, with a sub-folder for each
            class where they have labels), ``"-"`` (CSV on standard input), a built-in set's name, a data frame, an
            array (n, d) or (n, height, width), a sparse matrix (n, d), a pair (X, y), or a table.
        text_columns: columns of a CSV file that stay text even where they read as numbers; of a trained model
            ``Model.text_columns``, which says what texts are no missing values.
        data_dir: folder of Fashion-MNIST's files.
        progress: see ``lamina.data.builtin.read_builtin``.

    Raises:
        DataError: there is no such file, it cannot be read, or the object is of no known sort.
        MissingExtraError: a folder of images, and Pillow is not installed.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, str | Path):
        return next(read_tables(str(data), text_columns=text_columns, data_dir=data_dir, progress=progress))
    if isinstance(data, tuple) and len(data) == 2:
        return _pair(*data, text_columns)
    if is_frame(data):
        return read_frame(data, known=known_texts(text_columns))
    return _array(unmasked(data, "X"))


def read_tables(
    path: str,
    *,
    chunk_rows: int | None = None,
    text_columns: TextColumns = frozenset(),
    data_dir: str | None = None,
    progress: builtin.Progress | None = None,
) -> Iterator[Table]:
    """Yield the tables of a file or folder in chunks of at most ``chunk_rows`` rows; see ``read_table``."""
    suffixes = "".join(Path(path).suffixes[-2:]).lower()
    if builtin.is_builtin(path):
        yield from _sliced(builtin.read_builtin(path, data_dir, progress), chunk_rows)
    elif path != "-" and os.path.isdir(path):  # not Path(path): that of "" is the current folder
        yield from _sliced(read_image_folder(Path(path)), chunk_rows)
    elif path == "-" or suffixes.endswith(_CSV_SUFFIXES):
        yield from read_csv(path, text_columns=text_columns, chunk_rows=chunk_rows)
    elif suffixes.endswith(_PARQUET_SUFFIXES):
        yield from _read_parquet(path, chunk_rows, known_texts(text_columns))
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


def _read_parquet(path: str, chunk_rows: int | None, known: Mapping[str, Collection[str]]) -> Iterator[Table]:
    if not Path(path).exists():
        raise DataError(f"there is no file {path!r}; check the path.")
    try:
        # Polars takes *, ? and [ for a pattern, and ~ for a home: this is the file of that name.
        frame = pl.scan_parquet(os.path.abspath(path), glob=False, hive_partitioning=False)
        n_rows = frame.select(pl.len()).collect().item()
        for start in range(0, n_rows, chunk_rows or max(n_rows, 1)):
            table = read_frame(frame.slice(start, chunk_rows).collect(), path, known)
            yield Table(table.columns, table.n_rows, path, first_row=start + 1)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a Parquet file that can be read: {reason}.") from None
    if n_rows == 0:
        raise DataError(f"{path} has no rows.")


def _pair(x: Any, y: Any, text_columns: TextColumns) -> Table:
    table = read_table(x, text_columns=text_columns)
    if y is None:
        return table
    for name, column in target_columns(y).items():
        if len(column) != table.n_rows:
            raise DataError(f"X has {table.n_rows} rows, but y has {len(column)}; they must agree.")
        while name in table:  # y is given apart, and may be called like a column of X
            name = f"{name}_"
        table = table.with_target(name, column)
    return table


def target_columns(y: Any) -> dict[str, Column]:
    """Return the columns of a target given apart: a series, a frame, a list, or an array (n,) or (n, k).

    Its texts are classes as they are.

    Raises:
        DataError: an array of another shape.
    """
    if is_series(y):
        name = str(getattr(y, "name", None) or "y")
        return {name: read_series(y, name, "y", is_target=True)}
    if is_frame(y):
        return dict(read_frame(y, "y", is_target=True).columns)
    values = y.toarray() if hasattr(y, "toarray") else np.asarray(unmasked(y, "y"))
    # (n, 1) is flattened here, once: left as it is, it would broadcast against (n,) into (n, n) somewhere below.
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.reshape(-1)
    if values.ndim == 1:
        return {"y": _values_column(values, "y", is_target=True)}
    if values.ndim != 2 or not values.shape[1]:
        raise DataError(f"y has the shape {values.shape}, expected (n,), or (n, k) for k targets.")
    return {f"y{i}": _values_column(values[:, i], f"y{i}", is_target=True) for i in range(values.shape[1])}


def _array(x: Any) -> Table:
    if hasattr(x, "toarray"):
        return _sparse(x)
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


def _sparse(x: Any) -> Table:
    from scipy import sparse

    block: Any = sparse.csr_array(x, copy=True)  # it is put in order below, and the caller's stays as it is
    if block.ndim != 2 or block.dtype.kind not in "biuf":
        raise DataError(f"X is a sparse array of dtype {block.dtype} and shape {block.shape}; expected numbers (n, d).")
    if not np.isfinite(block.data).all():
        raise DataError("X is a sparse matrix with NaN or infinity in it; a sparse matrix has no missing values.")
    block.sum_duplicates()
    block.eliminate_zeros()
    return Table({"x": Column("sparse", block)}, block.shape[0], "X", named=False)


def _values_column(values: np.ndarray, name: str, *, is_target: bool = False) -> Column:
    if values.dtype.kind == "b":
        return Column("boolean", values.astype(np.int32), ("False", "True"))
    if values.dtype.kind in "iuf":
        return Column("number", values)
    if values.dtype.kind == "M":
        return datetime_column(values)
    objects = values.astype(str).tolist() if values.dtype.kind == "S" else values.tolist()
    return from_objects(objects, name, "y" if is_target else "X", is_target=is_target)
