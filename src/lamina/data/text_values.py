"""What a text cell means: missing, a number, a date. Shared by files and by frames with text columns."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from lamina.data.table import Column

MISSING_TOKENS = frozenset({"", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "Null"})
# "?" is missing only where the rest of a column are numbers or short strings; in a free text it is a question mark.
QUESTION_MARK = "?"
_SHORT_TEXT = 40
_FEW_LEVELS = 20
_ODD_SHARE = 0.2
_MONTH = re.compile(r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b")
_DECORATION = re.compile(r"[\s$€£¥%,']")
_ISO = ""
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M:%S", " %H:%M")
_DATE_FORMATS = (_ISO, *(day + time for day in _DAYS for time in _TIMES))
# 03/04/2024 is a date in both, so that a few cells do not say which of the two a column is written in.
_DAY_AND_MONTH = {"%d/%m/%Y": "{2}/{1}/{0}", "%m/%d/%Y": "{1}/{2}/{0}"}


def typed(
    column: Column, *, parse_numbers: bool = True, parse_dates: bool = True, known: Collection[str] = ()
) -> Column:
    """Return a column of a text file with missing values recognised, and as numbers or dates where every value is one.

    Args:
        column: a text column; cells may hold the tokens that stand for a missing value. Blanks around a cell, which
            are no part of it in a file, are dropped.
        parse_numbers: whether text that reads as numbers becomes a number column.
        parse_dates: whether text that reads as dates becomes a datetime column.
        known: the texts of a model's column, which are no missing values, whatever they look like.
    """
    column = recoded(column, [level.strip() for level in column.levels])
    return _typed(column, parse_numbers, parse_dates, _unknown_tokens(column.levels, known))


def declared(column: Column, known: Collection[str] = ()) -> Column:
    """Return a text column of a frame or an array: texts as they are there, which marks its missing values itself.

    So a token such as NA is a text like any other (Namibia), but among numbers or dates, where it can only be missing;
    a blank text is missing everywhere. Dates become a datetime column. Numbers stay text, since the frame declared them
    so ("02134" is a postal code there), but where a "?" among them made the frame call the column text.

    Args:
        column: a text column.
        known: the texts of a model's column, where there is one: any other token is missing then.
    """
    if known:
        unknown = _unknown_tokens(column.levels, known)
        return recoded(column, [None if level.strip() in unknown else level for level in column.levels])
    bare = [level.strip() for level in column.levels]
    tokens = missing_tokens(bare)
    others = {level for level in bare if level not in tokens}
    if others:
        found = _typed(column, QUESTION_MARK in bare, True, tokens)
        if found.type != "text" or all(as_number(level) is not None for level in others):
            return found
    return _typed(column, False, False, tokens - MISSING_TOKENS | {""})


def missing_tokens(levels: Iterable[str]) -> frozenset[str]:
    """Return the texts that stand for a missing value in a column that holds ``levels`` besides."""
    is_free_text = any(len(level) > _SHORT_TEXT for level in levels)
    return MISSING_TOKENS if is_free_text else MISSING_TOKENS | {QUESTION_MARK}


def _unknown_tokens(levels: Iterable[str], known: Collection[str]) -> frozenset[str]:
    # By the texts that the model knows where there is a model: a row's meaning must not depend on the rows beside it.
    return missing_tokens(known or levels) - {text.strip() for text in known}


def _typed(column: Column, parse_numbers: bool, parse_dates: bool, tokens: Collection[str]) -> Column:
    """Return a text column with the texts ``tokens`` missing, and as numbers or dates where every other one is one."""
    levels = [level.strip() for level in column.levels]
    present = {level for level in levels if level not in tokens}
    if not present:
        return Column("number", np.full(len(column), np.nan))
    if parse_numbers:
        numbers = {level: as_number(level) for level in present}
        if all(number is not None for number in numbers.values()):
            return Column("number", _lookup(column, [numbers.get(level) for level in levels]), integers=True)
    dates = _dates(present) if parse_dates else None
    if dates is not None:
        format, seconds = dates
        return Column("datetime", _lookup(column, [seconds.get(level) for level in levels]), date_format=format)
    return recoded(column, [text if text.strip() in present else None for text in column.levels])


def recoded(column: Column, new_levels: Sequence[str | None]) -> Column:
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


def nearly_numbers(levels: Sequence[str]) -> str:
    """Return why a column of texts is none of numbers though it looks like one, or ``""`` where it does not.

    It does where four in five of at least 20 distinct texts are numbers, as they are or without separators of
    thousands, a decimal comma, a currency or a percent sign.
    """
    if len(levels) < _FEW_LEVELS:
        return ""
    odd = [level for level in levels if as_number(level) is None]
    if odd and len(odd) <= _ODD_SHARE * len(levels):
        return f"{len(levels) - len(odd)} of its {len(levels)} distinct values are numbers, but {odd[0]!r} is not"
    if sum(as_number(_DECORATION.sub("", level)) is not None for level in odd) < (1 - _ODD_SHARE) * len(levels):
        return ""
    return f"its values look like numbers, but {odd[0]!r} is not written as one, with digits and a point"


def same_order(format: str, other: str) -> bool:
    """Whether two date formats agree on which of day and month comes first, or either leaves no doubt."""
    days = {each.partition(" ")[0] for each in (format, other)}
    return len(days) == 1 or not days <= set(_DAY_AND_MONTH)


def as_written(column: Column) -> Column:
    """Return a datetime column as the text that it was read from."""
    text = column.as_text()
    day, _, time = column.date_format.partition(" ")
    if day not in _DAY_AND_MONTH:
        return text
    levels = []
    for level in text.levels:
        date, _, clock = level.partition("T")
        clock = "00:00" if time and not clock else clock
        clock += ":00" if time.endswith("%S") and len(clock) == len("00:00") else ""
        levels.append(f"{_DAY_AND_MONTH[day].format(*date.split('-'))} {clock}".rstrip())
    return replace(text, levels=tuple(levels))


def read_dates(levels: Sequence[str], known_format: str = "") -> list[float | None]:
    """Return seconds since 1970 of each text, ``None`` where it is no date in the one format that reads the most.

    Args:
        levels: the texts.
        known_format: of the same column elsewhere; a format with day and month the other way round is not tried.
    """
    best: list[float | None] = [None] * len(levels)
    for format in dict.fromkeys((known_format, *_DATE_FORMATS)):
        if same_order(format, known_format):
            dates = [_date(level, format) for level in levels]
            best = min(best, dates, key=lambda each: each.count(None))
            if None not in best:
                break
    return best


def _lookup(column: Column, by_level: list[float | None]) -> np.ndarray:
    table = np.array([np.nan if value is None else value for value in by_level] + [np.nan])
    return table[column.values]


def _dates(levels: set[str]) -> tuple[str, dict[str, float]] | None:
    """Return the format and seconds since 1970 by text where every text is a date in one format, else ``None``."""
    if not _may_be_date(next(iter(levels))):
        return None
    for format in _DATE_FORMATS:
        try:
            return format, {level: _seconds(level, format) for level in levels}
        except (ValueError, OverflowError):
            continue
    return None


def _may_be_date(text: str) -> bool:
    if text[:1].isdigit() and any(mark in text for mark in "-/."):
        return True
    return text[-1:].isdigit() and _MONTH.search(text) is not None


def _date(text: str, format: str) -> float | None:
    try:
        return _seconds(text, format) if _may_be_date(text) else None
    except (ValueError, OverflowError):
        return None


def _seconds(text: str, format: str) -> float:
    moment = datetime.fromisoformat(text) if format == _ISO else datetime.strptime(text, format)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
