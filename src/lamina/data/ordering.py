"""A canonical order of rows: the same for the same rows, in whatever order a file holds them.

Training starts from this order, so that a shuffled file, or a weight of 2 in the place of a row given twice, trains the
same model. The order is that of a hash of each row's values, and so as good as random.
"""

import hashlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.table import Column, Table

Hashes = NDArray[np.uint64]

_BLOCK_ROWS = 4096
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: multiplying by it spreads all bits


def row_hashes(table: Table, y: NDArray[Any], weights: NDArray[Any] | None = None) -> Hashes:
    """Return a hash of each row of ``table``, its encoded target ``y`` (n,) or (n, k) and its weight, as (n,) uint64.

    Numbers count by their value as float64, categories by their text; columns count in the order of the table.
    """
    return with_target(feature_hashes(table), y, weights)


def feature_hashes(table: Table) -> Hashes:
    """Return a hash of each row of ``table``, (n,) uint64: the same for rows of the same values."""
    hashes = np.zeros(table.n_rows, dtype=np.uint64)
    for column in table.columns.values():
        hashes = _mixed(hashes, column_hashes(column))
    return hashes


def with_target(hashes: Hashes, y: NDArray[Any], weights: NDArray[Any] | None = None) -> Hashes:
    """Return hashes (n,) of rows together with their targets and weights; arguments as in ``row_hashes``."""
    for target in y.reshape(len(y), -1).T:
        hashes = _mixed(hashes, _number_hashes(target))
    if weights is None:
        return hashes
    ranks = np.unique(weights, return_inverse=True)[1]  # of weights only their ratios count
    return _mixed(hashes, ranks.astype(np.uint64))


def column_hashes(column: Column) -> Hashes:
    """Return a hash of each value of ``column``, (n,) uint64."""
    if column.type in ("text", "boolean"):
        # Files have no blanks around a cell, and frames may; they count where nothing else tells two levels apart.
        alike = Counter(level.strip() for level in column.levels)
        levels = [bare if alike[bare := level.strip()] == 1 else level for level in column.levels]
        by_level = np.array([_text_hash(level) for level in (*levels, "\0missing")], dtype=np.uint64)
        return by_level[column.values]
    if column.type == "sparse":
        block: Any = column.values
        # Each entry is hashed by itself and the sum taken, so that the order of entries in memory does not matter.
        entries = _mixed(_mixed(np.uint64(0), block.indices.astype(np.uint64)), _number_hashes(block.data))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(entries, dtype=np.uint64)])
        return np.asarray(np.diff(total[block.indptr]))
    if column.type == "image":
        return _byte_hashes(column.values)
    return _number_hashes(column.values)


def _number_hashes(values: NDArray[Any]) -> Hashes:
    numbers = np.asarray(values, dtype=np.float64) + 0.0  # -0.0 becomes 0.0
    numbers = np.where(np.isnan(numbers), np.nan, numbers)  # of the many NaN one
    return numbers.view(np.uint64)


def _byte_hashes(values: NDArray[Any]) -> Hashes:
    # In blocks: padded copies of all images at once would take their memory a second time.
    blocks = [_block_hashes(values[i : i + _BLOCK_ROWS]) for i in range(0, len(values), _BLOCK_ROWS)]
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint64)


def _block_hashes(values: NDArray[Any]) -> Hashes:
    flat = np.ascontiguousarray(values.reshape(len(values), -1)).view(np.uint8).reshape(len(values), -1)
    padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    hashes = np.zeros(len(values), dtype=np.uint64)
    for word in padded.view(np.uint64).T:
        hashes = _mixed(hashes, word)
    return hashes


def _text_hash(level: str) -> int:
    # Sources spell truth and whole numbers differently, and mean the same.
    level = level.lower() if level.lower() in ("true", "false") else level.removesuffix(".0")
    return int.from_bytes(hashlib.blake2b(level.encode(), digest_size=8).digest(), "little")


def _mixed(hashes: Hashes | np.uint64, values: Hashes) -> Hashes:
    """Return a hash of both, not the same with the two exchanged: the finalizer of SplitMix64. Overflow is meant."""
    z = hashes * _ODD + values + _ODD
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
