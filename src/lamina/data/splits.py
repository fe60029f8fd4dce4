"""Which rows are held out: at random and stratified by the target, whole groups, or the latest rows."""

import math

import numpy as np
from numpy.typing import NDArray

from lamina.data.table import Array, Column
from lamina.errors import DataError

Index = NDArray[np.int64]


def holdout(
    fraction: float,
    y: Array,
    rng: np.random.Generator,
    *,
    is_class: bool,
    group: Column | None = None,
    time: Column | None = None,
) -> tuple[Index, Index]:
    """Return the positions of the rows that stay and of those that are held out, both ascending.

    Args:
        fraction: share of the rows to hold out, above 0 and below 1.
        y: target (n,) or (n, k); the held-out rows have its distribution, for classes and for one number alike.
        rng: the source of randomness.
        is_class: whether ``y`` are class codes; each class then keeps at least one row.
        group: rows of one value stay together.
        time: the rows with the latest values are held out, and no row is at the same time as one of them and stays.

    Raises:
        DataError: one group only, or one time only.
    """
    n = len(y)
    if time is not None:
        held = _latest(time, math.ceil(n * fraction))
    elif group is not None:
        held = _groups(group, n * fraction, rng)
    else:
        held = _stratified(y, fraction, rng)
    if is_class and time is None and group is None:
        held = _keep_one_of_each_class(held, y)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _stratified(y: Array, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    if y.ndim == 2:  # of several targets none goes before the others
        y = y[:, 0] if y.shape[1] == 1 else np.zeros(len(y))
    # Shuffled, then sorted by the target (stable): every stretch of equal or close targets gives its share.
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    steps = np.floor(np.arange(len(y) + 1) * fraction + rng.random())
    held = np.zeros(len(y), dtype=bool)
    held[order] = np.diff(steps) > 0
    return held


def _keep_one_of_each_class(held: NDArray[np.bool_], y: Array) -> NDArray[np.bool_]:
    _, first_rows, counts = np.unique(y, return_index=True, return_counts=True)
    n_held = np.bincount(np.searchsorted(np.unique(y), y), weights=held)
    held[first_rows[n_held == counts]] = False
    return held


def _groups(group: Column, n_wanted: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    text = group.as_text()
    if text.is_missing().any():
        row = int(text.is_missing().argmax()) + 1
        raise DataError(f"the group column has no value in row {row}; fill it or drop the row.")
    # By their text in sorted order, so that the same groups are held out whatever the source's order of levels.
    names, codes = np.unique(np.array(text.levels)[text.values], return_inverse=True)
    if len(names) < 2:
        raise DataError(f"the group column has one value only, {str(names[0])!r}; groups cannot be held out.")
    order = rng.permutation(len(names))
    sizes = np.bincount(codes)[order]
    before = np.cumsum(sizes) - sizes
    n_groups = int(np.clip((before < n_wanted).sum(), 1, len(names) - 1))
    return np.isin(codes, order[:n_groups])


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
