"""What a text cell means: missing, a number, a date. Shared by files and by frames with text columns."""

from datetime import UTC, datetime

import numpy as np

from lamina.data.table import Column

MISSING_TOKENS = frozenset({"", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "Null"})
# "?" is missing only where the rest of a column are numbers or short strings; in a free text it is a question mark.
QUESTION_MARK = "?"
_SHORT_TEXT = 40
_DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")


def typed(column: Column, *, parse_numbers: bool = True, parse_dates: bool = True) -> Column:
    """Return a text column with missing values recognised, and as numbers or dates where every value is one.

    Args:
        column: a text column; cells may hold the tokens that stand for a missing value.
        parse_numbers: whether text that reads as numbers becomes a number column.
        parse_dates: whether text that reads as dates becomes a datetime column.
    """
    levels = tuple(level.strip() for level in column.levels)
    present = [level for level in levels if level not in MISSING_TOKENS and level != QUESTION_MARK]
    if any(len(level) > _SHORT_TEXT for level in present):
        present += [QUESTION_MARK] * (QUESTION_MARK in levels)
    known = set(present)
    if not known:
        return Column("number", np.full(len(column), np.nan))
    if parse_numbers:
        numbers = {level: as_number(level) for level in known}
        if all(number is not None for number in numbers.values()):
            return Column("number", _lookup(column, [numbers.get(level) for level in levels]))
    dates = _dates(known) if parse_dates else None
    if dates is not None:
        return Column("datetime", _lookup(column, [dates.get(level) for level in levels]))
    return recoded(column, [level if level in known else None for level in levels])


def recoded(column: Column, new_levels: list[str | None]) -> Column:
    """Return a text column whose level i became ``new_levels[i]`` (``None``: missing); equal levels are joined."""
    distinct: dict[str, int] = {}
    codes = [-1 if level is None else distinct.setdefault(level, len(distinct)) for level in new_levels]
    table = np.array([*codes, -1], dtype=np.int32)  # the last entry is where code -1, missing, points
    return Column("text", table[column.values], tuple(distinct))


def as_number(text: str) -> float | None:
    """Return ``text`` as a number, or ``None``. Underscores are no part of a number in data (``1_000`` is a code)."""
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _lookup(column: Column, by_level: list[float | None]) -> np.ndarray:
    table = np.array([np.nan if value is None else value for value in by_level] + [np.nan])
    return table[column.values]


def _dates(levels: set[str]) -> dict[str, float] | None:
    """Return seconds since 1970 by text where every text is a date in one format, else ``None``."""
    first = next(iter(levels))
    if not any(mark in first for mark in "-/.") or not first[:1].isdigit():
        return None
    for format in (None, *_DATE_FORMATS):
        try:
            return {level: _seconds(level, format) for level in levels}
        except (ValueError, OverflowError):
            continue
    return None


def _seconds(text: str, format: str | None) -> float:
    moment = datetime.fromisoformat(text) if format is None else datetime.strptime(text, format)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
