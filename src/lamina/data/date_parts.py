"""What a network sees of a date: the days gone by, and its places in the day, the week, the month and the year.

Each part takes float64 seconds since 1970 (n,) and returns float64 (n,), NaN where the seconds are NaN. The calendar is
the proleptic Gregorian one, and times are read as UTC. Microseconds are right up to the year 2514; float64 seconds are
1.5e-5 apart from the truth at most in the year 9999.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Part = Callable[[Array], Array]

DAY = 86_400.0


def _of_day(place: Callable[[Array], Array]) -> Part:
    """Return the part that ``place``, from datetime64[D] (n,) to whole numbers (n,), makes of a moment's day."""

    def part(seconds: Array) -> Array:
        missing = np.isnan(seconds)
        days = np.floor_divide(np.where(missing, 0.0, seconds), DAY).astype(np.int64).astype("datetime64[D]")
        return np.where(missing, np.nan, place(days).astype(np.float64))

    return part


def _month(days: Array) -> Array:
    return np.asarray(days.astype("datetime64[M]").astype(np.int64) % 12 + 1)


def _day(days: Array) -> Array:
    return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64) + 1)


def _weekday(days: Array) -> Array:
    return np.asarray((days.astype(np.int64) + 3) % 7)  # 1970 began on a Thursday


def _day_of_year(days: Array) -> Array:
    return np.asarray((days - days.astype("datetime64[Y]")).astype(np.int64) + 1)


def _elapsed(seconds: Array) -> Array:
    return np.asarray(seconds / DAY)


def _hour(seconds: Array) -> Array:
    missing = np.isnan(seconds)
    return np.where(missing, np.nan, np.mod(np.where(missing, 0.0, seconds), DAY) / 3600)


# ``elapsed`` comes first: it differs wherever any other part does.
PARTS: dict[str, Part] = {
    "elapsed": _elapsed,  # days since 1970, with their fraction
    "month": _of_day(_month),  # 1 to 12
    "day": _of_day(_day),  # 1 to 31
    "weekday": _of_day(_weekday),  # 0, Monday, to 6
    "day_of_year": _of_day(_day_of_year),  # 1 to 366
    "hour": _hour,  # 0 to 24, with minutes and seconds as a fraction
}
