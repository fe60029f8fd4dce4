"""Which rows are copies of one another, so that no split has one of them on either side.

A row that is trained on and held out, too, is known by heart, and the score of a held-out part that has many such rows
says nothing of new rows. Copies come from whole weights, and from files that hold a row several times.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.ordering import Hashes, with_target

Array = NDArray[Any]
Units = NDArray[np.int64]

# Rows of equal features repeat by nature where their targets differ more than this share of what chance would make
# them differ by. Of copies none differ; in the tables of few levels that were looked at it was 0.26 to 1.
_DIFFER = 0.1
# Of fewer distinct rows none are held out: so few say nothing of new ones.
MIN_UNITS = 20


def equal_rows(hashes: Hashes, y: Array) -> Units | None:
    """Return a number for each row, the same for rows of equal features, counted from 0 by their first row, (n,).

    Features alone decide: to group by the target, too, would keep together what agrees and tear apart what does not,
    and the rows that are held out would tell of those that are not.

    Args:
        hashes: of the features, as ``lamina.data.ordering.feature_hashes`` returns them, (n,).
        y: target (n,) or (n, k).

    Returns:
        ``None`` where all rows differ, and where rows of equal features often have different targets: then they
        repeat by nature, as a table of three yes/no columns does, and new rows will be like them. Of such a table only
        those are copies that are there since it is there several times as a whole.
    """
    units = by_first_row(hashes)
    if not len(units) or units.max() + 1 == len(units):
        return None
    return _of_whole_tables(hashes, y) if _repeat_by_nature(units, y) else units


def _of_whole_tables(hashes: Hashes, y: Array) -> Units | None:
    """Return units of k rows each where every row is there a multiple of k times, features and target alike."""
    rows = by_first_row(with_target(hashes, y))
    counts = np.bincount(rows)
    k = int(np.gcd.reduce(counts))
    if k == 1 or len(counts) < MIN_UNITS:  # of so few counts all may be even by chance
        return None
    order = np.argsort(rows, kind="stable")
    earlier = np.empty(len(rows), dtype=np.int64)  # equal rows before this one
    earlier[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_first_row(rows * len(rows) + earlier % (counts // k)[rows])


def by_first_row(values: Array) -> Units:
    """Return the number of each value, (n,): equal values have one number, counted from 0 by their first row."""
    _, first, codes = np.unique(values, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(ranks[codes.reshape(-1)])


def first_rows(units: Units) -> NDArray[np.int64]:
    """Return the position of the first row of each unit, (m,), of ``units`` as ``by_first_row`` counts them."""
    return np.asarray(np.unique(units, return_index=True)[1])


def _repeat_by_nature(units: Units, y: Array) -> bool:
    targets = y if y.ndim == 1 else np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)
    targets = np.unique(targets, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(units)[units]
    alike = np.unique(units * (targets.max() + 1) + targets, return_inverse=True, return_counts=True)
    agree = alike[2][alike[1].reshape(-1)]
    there = sizes > 1
    # For each row, the share of its equals that have another target; row by row, since in pairs one large group would
    # outvote a thousand copies.
    differ = float(np.mean(1 - (agree[there] - 1) / (sizes[there] - 1)))
    by_chance = 1 - float(np.square(np.bincount(targets) / len(targets)).sum())
    return differ > _DIFFER * by_chance
