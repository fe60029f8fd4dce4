"""Masked arrays of NumPy: what is masked is missing, though its value is there and ``numpy.asarray`` brings it back."""

import warnings
from typing import Any

import numpy as np

from lamina.errors import DataError


def unmasked(values: Any, source: str) -> Any:
    """Return a masked array, or a list with one in it, as a plain array, in which a masked value is a missing one.

    That is NaN among numbers (whole ones become float64), NaT among dates, and ``None`` among texts, objects and single
    booleans. Anything else comes back as it is.

    Args:
        values: anything.
        source: for the message.

    Raises:
        DataError: a masked pixel; the message names its row.
    """
    if isinstance(values, list | tuple) and any(isinstance(each, np.ma.MaskedArray) for each in values):
        with warnings.catch_warnings(action="ignore"):  # NumPy warns of each number that is masked
            values = np.ma.array(values)
    if not isinstance(values, np.ma.MaskedArray):
        return values
    mask, plain = np.ma.getmaskarray(values), np.ma.getdata(values)
    if plain.dtype.kind == "S":
        plain = plain.astype(str)
    if not mask.any():
        return plain
    if plain.ndim > 2:
        row = int(mask.reshape(len(mask), -1).any(axis=1).argmax()) + 1
        raise DataError(
            f"{source}, row {row}: a pixel is masked, but an image has no missing pixels; fill it or drop the row."
        )
    kind = plain.dtype.kind
    if kind in "Mm":
        plain = plain.copy()
        plain[mask] = "NaT"
        return plain
    if kind == "f" or kind in "iu" or (kind == "b" and plain.ndim > 1):
        return np.where(mask, np.nan, plain)
    plain = plain.astype(object)
    plain[mask] = None
    return plain
