"""Where a model comes from: the data, by its hash, and the options that were given."""

import hashlib
from typing import Any

import numpy as np

from lamina.config import Config
from lamina.data.ordering import column_hashes
from lamina.data.table import Table


def origin_of(data: Any, target: tuple[str, ...], table: Table, given: Config) -> dict[str, Any]:
    """Return a JSON-able record of what a fit was called with.

    Args:
        data: as ``lamina.fit`` takes it.
        target: names of the target's columns.
        table: what ``data`` was read as, before anything is left out.
        given: the options before any of them is chosen from the data.

    Returns:
        ``data``: the path or name, ``""`` for what was in memory; ``target``; ``rows`` and ``columns``; ``sha256``: see
        ``data_hash``; ``missing``: the number of missing values by column, where there are any; ``options``: those that
        differ from their defaults; ``seen``: no part, see ``lamina.model_report.Report.seen``.
    """
    missing = {name: int(column.is_missing().sum()) for name, column in table.columns.items()}
    usual = Config().as_json()
    return {
        "data": str(data) if isinstance(data, str) or hasattr(data, "__fspath__") else "",
        "target": list(target),
        "rows": table.n_rows,
        "columns": len(table.columns),
        "sha256": data_hash(table),
        "missing": {name: n for name, n in missing.items() if n},
        "options": {name: value for name, value in given.as_json().items() if value != usual[name]},
        "seen": [],
    }


def data_hash(table: Table) -> str:
    """Return a SHA-256 of a table's names and values, in hexadecimal; the order of rows counts.

    Numbers count by their value as float64, categories by their text, so that a CSV file and a data frame of the same
    values have the same hash.
    """
    digest = hashlib.sha256()
    for name, column in table.columns.items():
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(column_hashes(column)).data)
    return digest.hexdigest()
