"""From raw columns, an ONNX input each, to what the network's input layers take."""

import numpy as np

from lamina.data.encoder import CategoryCode, Encoder, ImageCode, NumberCode
from lamina.data.schema import Schema
from lamina.data.text_values import MISSING_TOKENS, missing_tokens
from lamina.errors import ConfigError
from lamina.export.onnx_graph import Graph

_FAR = 1e9  # as in ``lamina.data.encoder``
_DAY = 86_400.0
_ISO = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?)?"


def add_inputs(g: Graph, schema: Schema, encoder: Encoder, image_element: str) -> dict[str, str]:
    """Declare an input for each feature column and return ``numbers``, ``flags``, ``codes`` and ``pixels``, all (n, .).

    Those that would be empty are left out, as in ``Encoder.transform``.

    Raises:
        ConfigError: a column of a kind that has no ONNX form.
    """
    names = {column.name: column for column in schema.features}
    raw: dict[str, str] = {}
    for name, column in names.items():
        if column.kind == "image":
            raw[name] = g.input(name, image_element, ["n", *column.shape])
        elif column.kind in ("number", "category", "datetime"):
            raw[name] = g.input(name, "DOUBLE" if column.kind == "number" else "STRING", ["n", 1])
        else:
            raise ConfigError(f"column {name!r} is of the kind {column.kind}, which has no ONNX input; drop it first.")
    parts: dict[str, str] = {}
    if encoder.numbers:
        dates = {name: _date_parts(g, raw[name]) for name, column in names.items() if column.kind == "datetime"}
        values = [dates[code.name][code.part] if code.part else raw[code.name] for code in encoder.numbers]
        missing = [g.add("IsNaN", value) for value in values]
        numbers = [_standardised(g, *each) for each in zip(encoder.numbers, values, missing, strict=True)]
        parts["numbers"] = g.concat(numbers)
        flags = [g.cast(each, "DOUBLE") for code, each in zip(encoder.numbers, missing, strict=True) if code.flag]
        if flags:
            parts["flags"] = g.concat(flags)
    if encoder.categories:
        parts["codes"] = g.concat([_codes(g, code, raw[code.name]) for code in encoder.categories])
    if encoder.images:
        parts["pixels"] = g.concat([_pixels(g, code, raw[code.name], image_element) for code in encoder.images])
    return parts


def _standardised(g: Graph, code: NumberCode, value: str, missing: str) -> str:
    present = g.add("Where", missing, code.median, value)
    standardised = g.add("Clip", g.add("Div", g.add("Sub", present, code.mean), code.scale), -_FAR, _FAR)
    return _asinh(g, standardised) if code.bent else standardised


def _asinh(g: Graph, x: str) -> str:
    """Return sign(x) log(|x| + sqrt(x² + 1)): ONNX Runtime's own Asinh knows float32 alone."""
    size = g.add("Abs", x)
    root = g.add("Sqrt", g.add("Add", g.add("Mul", size, size), 1.0))
    return g.add("Mul", g.add("Sign", x), g.add("Log", g.add("Add", size, root)))


def _codes(g: Graph, code: CategoryCode, text: str) -> str:
    """Return the code (n, 1) int64 of each text."""
    levels = [level for level in code.levels if level is not None]
    cells = {*missing_tokens(levels), *levels, *(cell for level in levels for cell in _spellings(level))}
    codes = {cell: code.code_of(cell) for cell in sorted(cells)}
    return g.add("LabelEncoder", text, keys_strings=list(codes), values_int64s=list(codes.values()), default_int64=0)


def _spellings(level: str) -> list[str]:
    """Return what may mean a level: true as TRUE, 3 as 3.0, and without blanks; see ``lamina.data.spelling``."""
    found = []
    for text in dict.fromkeys((level, level.strip())):
        if text.lower() in ("true", "false"):
            spellings = [""]
            for letter in text.lower():
                spellings = [start + each for start in spellings for each in (letter, letter.upper())]
            found += spellings
        else:
            found += [text, f"{text}.0", text.removesuffix(".0")]
    return found


def _pixels(g: Graph, code: ImageCode, image: str, element: str) -> str:
    if code.features != "pixels":
        raise ConfigError(
            f"the features {code.features!r} of images need the angle of a gradient, for which ONNX has no float64 "
            "operator; train with features='pixels'."
        )
    flat = g.reshape(image, -1, int(np.prod(code.shape)))
    if element != "DOUBLE":
        flat = g.cast(flat, "DOUBLE")
    for wrong, complaint in _misfits(g, code, flat, whole=element != "DOUBLE"):
        # The cast of what is no number ends the run, and ONNX Runtime's message names the node.
        text = g.add("Where", wrong, g.constant("of another range"), g.constant("0"))
        zero = g.add("Cast", text, to=g.onnx.TensorProto.DOUBLE, name=f"{code.name}: {complaint}")
        flat = g.add("Add", flat, zero)
    return flat


def _misfits(g: Graph, code: ImageCode, flat: str, *, whole: bool) -> list[tuple[str, str]]:
    """Return masks (n, 1) of images of another range, and what to say of them; see ``lamina.data.pixel_range``."""
    pixels = code.pixel_range
    high, largest = g.reduce("ReduceMax", flat, 1), pixels.largest(whole=whole)
    found = []
    if np.isfinite(largest):
        found.append(
            (g.add("Greater", high, largest), f"pixels above {largest:g}: bring them to the range of training")
        )
    if pixels.is_wide and not whole:
        size = g.reduce("ReduceMax", g.add("Abs", flat), 1)
        small = g.add("And", g.add("LessOrEqual", size, 1.0), g.add("Greater", size, 0.0))
        found.append((small, "pixels between -1 and 1: multiply them by 255, or as in training"))
    return found


def _date_parts(g: Graph, text: str) -> dict[str, str]:
    """Return each part (n, 1) of dates written as ISO 8601, in UTC; NaN where the text is missing.

    What is no date, such as 31.05.2024 or 2024-02-31, ends the run: the cast to a number fails on it.
    """
    empty = g.cast(
        g.add("LabelEncoder", text, keys_strings=sorted(MISSING_TOKENS), values_int64s=[1] * len(MISSING_TOKENS),
              default_int64=0),
        "BOOL",
    )  # fmt: skip
    filled = g.add("Where", empty, g.constant("1970-01-01"), text)
    matches = g.add("RegexFullMatch", filled, pattern=_ISO)
    checked = g.add("Where", matches, filled, g.add("StringConcat", g.constant("not an ISO date: "), filled))
    # Padded, so that every text has the same number of pieces: a day alone becomes one at midnight.
    halves = _split(g, _split_at_space(g, g.add("StringConcat", checked, g.constant("T00:00:00"))), "T", 2)
    year, month, day = _numbers(g, halves[0], "-")
    hour, minute, second = _numbers(
        g, g.add("StringConcat", _split(g, halves[1], "Z", 1)[0], g.constant(":00:00")), ":"
    )
    days = _days(g, year, month, day)
    next_month = g.add("Add", month, 1.0)
    length = g.add("Sub", _days(g, year, next_month, g.constant([[1.0]])), _days(g, year, month, g.constant([[1.0]])))
    checks: list[tuple[str, str, str | float]] = [
        ("Greater", day, length), ("Less", day, 1.0), ("Greater", month, 12.0), ("Less", month, 1.0),
        ("Less", year, 1.0), ("Greater", hour, 23.0), ("Greater", minute, 59.0), ("GreaterOrEqual", second, 60.0),
    ]  # fmt: skip
    complaint = g.add("StringConcat", g.constant("no such moment: "), filled)
    for op, value, bound in checks:
        zero = g.cast(g.add("Where", g.add(op, value, bound), complaint, g.constant("0")), "DOUBLE")
        days = g.add("Add", days, zero)
    clock = g.add("Add", g.add("Mul", hour, 3600.0), g.add("Add", g.add("Mul", minute, 60.0), second))
    seconds = g.add("Add", g.add("Mul", days, _DAY), clock)
    first = _days(g, year, g.constant([[1.0]]), g.constant([[1.0]]))
    since_monday = g.add("Add", days, 3.0)  # 1970 began on a Thursday
    weeks = g.add("Floor", g.add("Div", since_monday, 7.0))
    parts = {
        "elapsed": g.add("Div", seconds, _DAY),
        "month": month,
        "day": day,
        "weekday": g.add("Sub", since_monday, g.add("Mul", weeks, 7.0)),
        "day_of_year": g.add("Add", g.add("Sub", days, first), 1.0),
        "hour": g.add("Div", clock, 3600.0),
    }
    return {name: g.add("Where", empty, float("nan"), part) for name, part in parts.items()}


def _split_at_space(g: Graph, text: str) -> str:
    # 2024-05-31 12:00 is 2024-05-31T12:00: its pieces at the space, the second one empty where there is none.
    first, second = _split(g, g.add("StringConcat", text, g.constant(" ")), " ", 2)
    return g.add("StringConcat", g.add("StringConcat", first, g.constant("T")), second)


def _split(g: Graph, text: str, at: str, n: int) -> list[str]:
    """Return the first ``n`` pieces (n_rows, 1) of each text (n_rows, 1), which has as many at least."""
    pieces = g.add("StringSplit", text, n_outputs=2, delimiter=at)
    return [g.add("Gather", pieces, g.integers(i), axis=2) for i in range(n)]


def _numbers(g: Graph, text: str, at: str) -> list[str]:
    return [g.cast(piece, "DOUBLE") for piece in _split(g, text, at, 3)]


def _days(g: Graph, year: str, month: str, day: str) -> str:
    """Return days since 1970-01-01 of the proleptic Gregorian calendar; month 13 is the next January.

    Years begin in March here, so that a leap day is their last (H. Hinnant, "chrono-compatible low-level date
    algorithms", days_from_civil).
    """

    def floor_div(value: str, by: float) -> str:
        return g.add("Floor", g.add("Div", value, by))

    early = g.cast(g.add("LessOrEqual", month, 2.0), "DOUBLE")
    y = g.add("Sub", year, early)
    since_march = g.add("Add", g.add("Sub", month, 3.0), g.add("Mul", early, 12.0))
    in_year = g.add("Add", floor_div(g.add("Add", g.add("Mul", since_march, 153.0), 2.0), 5.0), g.add("Sub", day, 1.0))
    leaps = g.add("Add", g.add("Sub", floor_div(y, 4.0), floor_div(y, 100.0)), floor_div(y, 400.0))
    return g.add("Sub", g.add("Add", g.add("Add", g.add("Mul", y, 365.0), leaps), in_year), 719_468.0)
