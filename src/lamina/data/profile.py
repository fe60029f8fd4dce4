"""What a person wants to see of each column before training on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamina.data.schema import ColumnSchema
from lamina.data.table import Column, Table, number_text


@dataclass(frozen=True)
class ColumnFacts:
    """One column's kind and role, how many values are missing and distinct, and a few of them in words."""

    name: str
    kind: str
    role: str
    reason: str
    n_missing: int
    n_distinct: int
    values: str


def describe(table: Table, columns: Sequence[ColumnSchema]) -> list[ColumnFacts]:
    """Return the facts of ``columns``, in their order."""
    facts = []
    for schema in columns:
        column = table[schema.name]
        missing = column.is_missing()
        n_distinct, values = _values(column, missing)
        facts.append(
            ColumnFacts(schema.name, schema.kind, schema.role, schema.reason, int(missing.sum()), n_distinct, values)
        )
    return facts


def _values(column: Column, missing: np.ndarray) -> tuple[int, str]:
    if column.type == "image":
        height, width = column.values.shape[1:]
        return len(column), f"{height} x {width} pixels, {column.values.min()} to {column.values.max()}"
    present = column.values[~missing]
    if not len(present):
        return 0, ""
    distinct, counts = np.unique(present, return_counts=True)
    if column.type == "number":
        low, median, high = number_text(distinct[0]), _short(np.median(present)), number_text(distinct[-1])
        return len(distinct), f"{low} to {high}, median {median}"
    if column.type == "datetime":
        first, last = np.array([distinct[0], distinct[-1]]).astype("datetime64[s]")
        return len(distinct), f"{first} to {last}"
    most = np.argsort(-counts, kind="stable")[:3]
    shown = ", ".join(f"{_clipped(column.levels[distinct[i]])} ({counts[i] / len(present):.0%})" for i in most)
    return len(distinct), shown + (", ..." if len(distinct) > 3 else "")


def _clipped(text: str, limit: int = 32) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
