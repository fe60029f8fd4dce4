"""Which rows are held out, once or by folds: at random, stratified by the target; whole groups; the latest rows.

Rows of one unit, which are copies of one another, are never on both sides, unless they are of two groups or times.
"""

import math

import numpy as np
from numpy.typing import NDArray

from lamina.data.copies import Units, first_rows
from lamina.data.table import Array, Column
from lamina.errors import ConfigError, DataError

Index = NDArray[np.int64]


def holdout(
    fraction: float,
    y: Array,
    rng: np.random.Generator,
    *,
    is_class: bool,
    group: Column | None = None,
    time: Column | None = None,
    units: Units | None = None,
) -> tuple[Index, Index]:
    """Return the positions of the rows that stay and of those that are held out, both ascending.

    Args:
        fraction: share of the rows to hold out, above 0 and below 1.
        y: target (n,) or (n, k); the held-out rows have its distribution, for classes and for one number alike.
        rng: the source of randomness.
        is_class: whether ``y`` are class codes; each class then keeps at least one row.
        group: rows of one value stay together.
        time: the rows with the latest values are held out, and no row is at the same time as one of them and stays.
        units: the number of each row's unit, counted from 0 by their first rows, (n,); ``None``: each row is one. Not
            used beside groups and times: rows of one unit are on both sides if they differ in those.

    Raises:
        DataError: one group only, or one time only.
    """
    n = len(y)
    if time is not None:
        held = _latest(time, math.ceil(n * fraction))
    elif group is not None:
        held = _groups(group, n * fraction, rng)
    elif units is None:
        held = _random(y, fraction, rng, is_class)
    else:
        sizes = np.bincount(units)
        held = _random(y[first_rows(units)], fraction, rng, is_class)
        # A row that fills the part by itself would be all that the part is about.
        held &= sizes <= max(n * fraction, 2 * n / len(sizes))
        held = held[units]
    return np.flatnonzero(~held), np.flatnonzero(held)


def folds(
    n_folds: int, y: Array, rng: np.random.Generator, *, group: Column | None = None, units: Units | None = None
) -> list[Index]:
    """Return the positions of the rows of each fold, ascending; each row is in one fold.

    Args:
        n_folds: number of folds.
        y: target (n,) or (n, k); each fold has its distribution, for classes and for one number alike.
        rng: the source of randomness.
        group: rows of one value are in one fold.
        units: as in ``holdout``; rows of one unit are in one fold.

    Raises:
        ConfigError: fewer than 2 folds, or more than there are rows or groups.
    """
    codes = np.arange(len(y)) if units is None else units
    if group is not None:
        codes = _joined(_group_codes(group)[1], units)
    n_groups = int(codes.max()) + 1
    if not 2 <= n_folds <= n_groups:
        what = "groups" if group is not None else "rows" if units is None else "distinct rows"
        raise ConfigError(f"folds = {n_folds}, but it must be at least 2 and at most the number of {what}, {n_groups}.")
    if group is None:
        fold_of = np.empty(n_groups, dtype=np.int64)
        first = rng.integers(n_folds)
        order = _by_target(y if units is None else y[first_rows(units)], rng)
        fold_of[order] = (np.arange(n_groups) + first) % n_folds
        fold_of = fold_of[codes]
    else:
        fold_of = _balanced(np.bincount(codes), n_folds, rng)[codes]
    return [np.flatnonzero(fold_of == fold) for fold in range(n_folds)]


def _balanced(sizes: Array, n_folds: int, rng: np.random.Generator) -> Array:
    """Return the fold of each group: the largest groups first, each into the smallest fold so far."""
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    n_rows = np.zeros(n_folds)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for each in order:
        fold_of[each] = n_rows.argmin()
        n_rows[fold_of[each]] += sizes[each]
    return fold_of


def _by_target(y: Array, rng: np.random.Generator) -> Array:
    """Return all positions, shuffled, then sorted by the target (stable)."""
    if y.ndim == 2:  # of several targets none goes before the others
        y = y[:, 0] if y.shape[1] == 1 else np.zeros(len(y))
    order = rng.permutation(len(y))
    return np.asarray(order[np.argsort(y[order], kind="stable")])


def _random(y: Array, fraction: float, rng: np.random.Generator, is_class: bool) -> NDArray[np.bool_]:
    held = _stratified(y, fraction, rng)
    return _keep_one_of_each_class(held, y) if is_class else held


def _stratified(y: Array, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    # Every stretch of equal or close targets gives its share.
    order = _by_target(y, rng)
    steps = np.floor(np.arange(len(y) + 1) * fraction + rng.random())
    held = np.zeros(len(y), dtype=bool)
    held[order] = np.diff(steps) > 0
    return held


def _keep_one_of_each_class(held: NDArray[np.bool_], y: Array) -> NDArray[np.bool_]:
    _, first, counts = np.unique(y, return_index=True, return_counts=True)
    n_held = np.bincount(np.searchsorted(np.unique(y), y), weights=held)
    held[first[n_held == counts]] = False
    return held


def _groups(group: Column, n_wanted: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    names, codes = _group_codes(group)
    if len(names) < 2:
        raise DataError(f"the group column has one value only, {str(names[0])!r}; groups cannot be held out.")
    order = rng.permutation(len(names))
    sizes = np.bincount(codes)[order]
    before = np.cumsum(sizes) - sizes
    n_groups = int(np.clip((before < n_wanted).sum(), 1, len(names) - 1))
    return np.isin(codes, order[:n_groups])


def shares_group(group: Column, kept: Index, held: Index) -> NDArray[np.bool_]:
    """Return which of the rows ``kept`` are of a group that has a row among ``held``, (len(kept),)."""
    _, codes = _group_codes(group)
    return np.isin(codes[kept], codes[held])


def _joined(codes: Array, units: Units | None) -> Array:
    """Return the groups of rows ``codes`` (n,), those that share a unit made one, in the order of their first codes."""
    if units is None:
        return codes
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_groups, n_units = int(codes.max()) + 1, int(units.max()) + 1
    size = n_groups + n_units
    edges = coo_array((np.ones(len(codes)), (codes, n_groups + units)), shape=(size, size))
    _, labels = connected_components(edges.tocsr(), directed=False)
    first = np.full(size, n_groups)
    np.minimum.at(first, labels[:n_groups], np.arange(n_groups))
    return np.asarray(np.unique(first[labels[:n_groups]], return_inverse=True)[1].reshape(-1)[codes])


def _group_codes(group: Column) -> tuple[Array, Array]:
    """Return the distinct values of ``group`` as text, sorted, and the position among them of each row's."""
    text = group.as_text()
    if text.is_missing().any():
        row = int(text.is_missing().argmax()) + 1
        raise DataError(f"the group column has no value in row {row}; fill it or drop the row.")
    # By their text in sorted order, so that the same groups are held out whatever the source's order of levels.
    names, codes = np.unique(np.array(text.levels)[text.values], return_inverse=True)
    return names, codes


def _latest(time: Column, n_wanted: int) -> NDArray[np.bool_]:
    if time.type not in ("number", "datetime"):
        raise DataError("the time column holds text; expected numbers or dates such as 2024-05-31.")
    values = np.nan_to_num(np.asarray(time.values, dtype=np.float64), nan=-np.inf)
    boundary = np.sort(values)[len(values) - n_wanted]
    held = values >= boundary
    if held.all():
        held = values > boundary
    if not held.any():
        raise DataError("the time column has one value only; the latest rows cannot be held out.")
    return np.asarray(held)
