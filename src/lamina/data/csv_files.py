"""CSV text to tables, whole or in chunks of bounded memory.

Records are cut and counted here, so that a ragged line, a quote that is never closed or a byte that is not UTF-8 is
reported with its line; polars then splits the fields. Column types come from ``lamina.data.text_values``.
"""

import csv
import gzip
import io
import re
import sys
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Set
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from lamina.data.table import Column, Table
from lamina.data.text_values import MISSING_TOKENS, QUESTION_MARK, typed
from lamina.errors import DataError

_DELIMITERS = b",;\t|"
_GZIP_MAGIC = b"\x1f\x8b"


TextColumns = Mapping[str, Collection[str]] | Set[str]


def read_csv(path: str, *, text_columns: TextColumns = frozenset(), chunk_rows: int | None = None) -> Iterator[Table]:
    """Read a CSV file (or standard input, ``"-"``) with a header row, comma, semicolon, tab or bar between fields.

    Args:
        path: a file, gzipped or not, or ``"-"``.
        text_columns: columns whose cells stay text even where all of them read as numbers or dates; a mapping names
            the texts of each that a model knows, which are no missing values, whatever they look like.
        chunk_rows: rows in each table that is yielded; ``None``: one table.

    Raises:
        DataError: no file, no header, no rows, not UTF-8, ragged, a column twice; the message names the line.
    """
    source = "standard input" if path == "-" else str(path)
    with _opened(path, source) as stream:
        records = _records(stream, source)
        header, _ = next(records, (b"", 0))
        if not header.strip():
            raise DataError(f"{source} is empty; expected a header row with the columns' names, then the rows.")
        delimiter = _delimiter(header)
        names = _column_names(header, delimiter, source)
        first_row = 1
        for lines in _chunks(records, delimiter, len(names), chunk_rows, source):
            table = _parse(lines, delimiter, names, text_columns, source, first_row)
            first_row += table.n_rows
            yield table
        if first_row == 1:
            raise DataError(f"{source} has a header and no rows; add rows below the header.")


def _opened(path: str, source: str) -> IO[bytes]:
    if path == "-":
        return sys.stdin.buffer
    if Path(path).is_dir():
        raise DataError(f"{source} is a folder, not a data file.")
    try:
        file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    except FileNotFoundError:
        raise DataError(f"there is no file {source!r}; check the path.") from None
    except OSError as error:
        raise DataError(f"cannot read {source!r}: {error.strerror}.") from None
    magic = file.peek(2)[:2]
    return gzip.GzipFile(fileobj=file) if magic == _GZIP_MAGIC else file  # type: ignore[return-value]


def _records(stream: IO[bytes], source: str) -> Iterator[tuple[bytes, int]]:
    """Yield each record with the number of its first line; a quoted field may hold line ends."""
    pending: list[bytes] = []
    in_quotes, start, number = False, 1, 0
    lines = iter(stream)
    while True:
        try:
            line = next(lines)
        except StopIteration:
            break
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise DataError(f"{source} is a gzip file that is cut short or damaged after line {number}.") from None
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in line:
            raise DataError(f"{source} is not a text file: line {number} holds a zero byte. Expected CSV in UTF-8.")
        if not pending:
            start = number
        pending.append(line)
        # RFC 4180: a record is complete when its quotes are paired.
        in_quotes ^= line.count(b'"') % 2 == 1
        if in_quotes:
            continue
        record = b"".join(pending)
        if record.strip(b" \r\n"):  # a line of tabs alone is a row of missing values
            yield record, start
        pending = []
    if in_quotes:
        raise DataError(f"{source}, line {start}: a quote is opened there and never closed.")


def _delimiter(header: bytes) -> bytes:
    unquoted = _without_quoted_fields(header, _DELIMITERS)
    counts = [(unquoted.count(mark), -i, bytes([mark])) for i, mark in enumerate(_DELIMITERS)]
    count, _, mark = max(counts)
    return mark if count else b","


def _column_names(header: bytes, delimiter: bytes, source: str) -> list[str]:
    text = _decoded(header, 1, source)
    names = [name.strip() for name in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter.decode()))]
    names = [name or f"unnamed_{position}" for position, name in enumerate(names, start=1)]
    for name, count in Counter(names).items():
        if count > 1:
            places = " and ".join(str(i) for i, other in enumerate(names, start=1) if other == name)
            raise DataError(f"{source}: column {name!r} appears {count} times (fields {places}); rename all but one.")
    return names


def _chunks(
    records: Iterator[tuple[bytes, int]], delimiter: bytes, n_columns: int, chunk_rows: int | None, source: str
) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    for record, number in records:
        _check_fields(record, number, delimiter, n_columns, source)
        lines.append(record if record.endswith(b"\n") else record + b"\n")
        if len(lines) == chunk_rows:
            yield lines
            lines = []
    if lines:
        yield lines


def _check_fields(record: bytes, number: int, delimiter: bytes, n_columns: int, source: str) -> None:
    if not record.isascii():
        _decoded(record, number, source)
    unquoted = _without_quoted_fields(record, delimiter)
    if b'"' in record and (unquoted.startswith(b'"') or delimiter + b'"' in unquoted or b"\n" in unquoted[:-1]):
        raise DataError(
            f"{source}, line {number}: a quote stands amid a field; quote the whole field and double the quotes in it."
        )
    n_fields = unquoted.count(delimiter) + 1
    if n_fields != n_columns:
        raise DataError(
            f"{source}, line {number}: {n_fields} fields, but the header has {n_columns}; "
            "complete the line, or quote a field that holds the delimiter."
        )


def _without_quoted_fields(record: bytes, delimiters: bytes) -> bytes:
    if b'"' not in record:
        return record
    field = rb'(?:^|(?<=[%b]))"(?:[^"]|"")*"(?=[%b]|\r?\n?\Z)'
    return re.sub(field.replace(b"%b", re.escape(delimiters)), b"", record)


def _decoded(record: bytes, number: int, source: str) -> str:
    try:
        return record.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + record[: error.start].count(b"\n")
        raise DataError(
            f"{source}, line {line}: byte 0x{record[error.start]:02x} is not UTF-8; save the file as UTF-8."
        ) from None


def _parse(
    lines: list[bytes], delimiter: bytes, names: list[str], text_columns: TextColumns, source: str, first_row: int
) -> Table:
    try:
        frame = pl.read_csv(
            b"".join(lines), has_header=False, separator=delimiter.decode(), infer_schema_length=0, quote_char='"'
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{source} is not a CSV file that can be read: {reason}.") from None
    known = known_texts(text_columns)
    columns = {
        name: _column(frame.to_series(i), name in text_columns, known.get(name, ())) for i, name in enumerate(names)
    }
    return Table(columns, len(frame), source, first_row=first_row)


def known_texts(text_columns: TextColumns) -> Mapping[str, Collection[str]]:
    """Return column -> the texts that a model knows there, empty without a model."""
    return text_columns if isinstance(text_columns, Mapping) else {}


def _column(series: pl.Series, stays_text: bool, known: Collection[str]) -> Column:
    series = series.cast(pl.String).str.strip_chars()
    if "" in known:
        series = series.fill_null("")
    if not stays_text:
        missing = series.is_null() | series.is_in([*MISSING_TOKENS, QUESTION_MARK])
        numbers = series.cast(pl.Float64, strict=False)
        if bool((numbers.is_not_null() | missing).all()):
            values = numbers.to_numpy().astype(np.float64, copy=True)
            values[missing.to_numpy()] = np.nan
            return Column("number", values, integers=True)
    return typed(text_series(series), parse_numbers=not stays_text, parse_dates=not stays_text, known=known)


def text_series(series: pl.Series) -> Column:
    """Return a polars string series as a text column, its levels in sorted order."""
    levels = series.drop_nulls().unique().sort()
    if not len(levels):
        return Column("text", np.full(len(series), -1, dtype=np.int32))
    codes = series.replace_strict(levels, pl.Series(range(len(levels)), dtype=pl.Int32), default=-1)
    return Column("text", codes.to_numpy().astype(np.int32), tuple(levels.to_list()))
