"""``lamina predict``: predictions for new rows, in chunks of bounded memory."""

import contextlib
import csv
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from lamina.cli.present import Talk
from lamina.errors import ConfigError

if TYPE_CHECKING:
    from lamina.data.table import Column, Table
    from lamina.export.runtime import Runtime
    from lamina.model import Model

_CHUNK_ROWS = 50_000


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("--proba", is_flag=True, help="Add the probability of each class or label, in columns p_NAME.")
@click.option("--threshold", metavar="X", help="Probability from which on the positive class is predicted.")
@click.option("--keep", multiple=True, metavar="COL", help="Copy a column of DATA to the output (repeatable).")
@click.option("-o", "--out", metavar="FILE", help="Write there instead of to stdout.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of CSV.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def predict(
    model: str,
    data: str,
    proba: bool,
    threshold: str | None,
    keep: tuple[str, ...],
    out: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Predict the target for each row of DATA (- for CSV on standard input) with the model folder MODEL.

    The target need not be in DATA. The output is CSV with a header, or Parquet where FILE ends with .parquet or .pq:
    the kept columns, then the prediction under the target's name, or under predicted_NAME where --keep copies the
    target itself.
    """
    Talk(quiet)
    from lamina.data.readers import read_tables

    loaded = _loaded(model)
    if threshold is not None:
        loaded = loaded.at_threshold(threshold)
    if proba and loaded.task == "regression":
        raise ConfigError("--proba is for classification; this model predicts numbers.")
    as_parquet = out is not None and out.lower().endswith((".parquet", ".pq"))
    if as_parquet and as_json:
        raise ConfigError(
            f"--json writes lines of text, but {out!r} is Parquet; leave --json out, or name a .jsonl file."
        )
    keep = tuple(dict.fromkeys(keep))
    text_columns = {**dict.fromkeys(keep, frozenset[str]()), **loaded.text_columns}
    tables = read_tables(data, chunk_rows=_CHUNK_ROWS, text_columns=text_columns, data_dir=data_dir)
    target = loaded.schema.target
    header = [*keep, *(f"predicted_{name}" if name in keep else name for name in target.names)]
    header += [f"p_{label}" for label in target.classes or target.names] if proba else []
    if as_parquet:
        _write_parquet(str(out), header, [_columns(loaded, table, keep, proba) for table in tables])
        return 0
    with _output(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, table in enumerate(tables):
            rows = _rows(loaded, table, keep, proba)
            if as_json:
                file.writelines(
                    json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
                )
            else:
                if number == 0:
                    writer.writerow(header)
                writer.writerows(rows)
            file.flush()
    return 0


def _loaded(folder: str) -> "Runtime | Model":
    """Return the model as NumPy computes it, which does not wait for torch, or as torch does where NumPy cannot."""
    from lamina.export.runtime import load

    try:
        return load(folder)
    except ConfigError:
        from lamina.model import Model

        return Model.load(folder)


def _rows(model: "Runtime | Model", table: "Table", keep: tuple[str, ...], proba: bool) -> Iterator[list[Any]]:
    """Return the rows to write; whatever is wrong with the data is raised here, before the first one is written."""
    kept = [table[name] for name in keep]
    outputs = model.predict_outputs(table)
    predictions = model.schema.target.decode(outputs)
    return (
        [*(column.cell(i) for column in kept), *prediction, *(outputs[i].tolist() if proba else [])]
        for i, prediction in enumerate(predictions.reshape(len(outputs), -1).tolist())
    )


def _columns(model: "Runtime | Model", table: "Table", keep: tuple[str, ...], proba: bool) -> list[Any]:
    """Return the columns to write, arrays and lists of their own types."""
    kept = [_plain(table[name]) for name in keep]
    outputs = model.predict_outputs(table)
    predictions = model.schema.target.decode(outputs).reshape(len(outputs), -1)
    return [*kept, *predictions.T, *(outputs.T if proba else ())]


def _plain(column: "Column") -> Any:
    if column.type == "number":
        return column.values
    if column.type == "datetime":
        return (column.values * 1e6).round().astype("datetime64[us]")
    values = [None if column.values[i] < 0 else column.cell(i) for i in range(len(column))]
    return [None if value is None else value == "True" for value in values] if column.type == "boolean" else values


def _write_parquet(out: str, header: list[str], chunks: list[list[Any]]) -> None:
    """Write chunks of columns as one file, whole or not at all."""
    import polars as pl

    for name, count in Counter(header).items():
        if count > 1:
            raise ConfigError(f"the output has {count} columns {name!r}, which Parquet does not take; write CSV.")
    frames = [pl.DataFrame(dict(zip(header, columns, strict=True)), strict=False) for columns in chunks]
    with _output(out) as file:
        pl.concat(frames, how="vertical_relaxed").write_parquet(file.buffer)


@contextlib.contextmanager
def _output(out: str | None) -> Iterator[TextIO]:
    """Yield stdout, or a temporary file that takes the name ``out`` once it is whole."""
    if out is None or out == "-":
        yield sys.stdout
        return
    if Path(out).is_dir():
        raise ConfigError(f"cannot write {out!r}: it is a folder; name a file.")
    if Path(out).exists() and not Path(out).is_file():
        # A device or a pipe, such as /dev/null, is written to and never replaced.
        with open(out, "w", encoding="utf-8", newline="") as file:
            yield file
        return
    if not Path(out).parent.is_dir():
        raise ConfigError(f"cannot write {out!r}: there is no folder {str(Path(out).parent)!r}.")
    path = Path(os.path.realpath(out))  # of a link, the file that it points to is replaced
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
