"""What an option of ``lamina.config`` is, and how its value is checked and converted from text or Python.

A registry is named here by its path and looked up when a value is checked, so that neither torch nor scikit-learn is
imported to know the options.
"""

import importlib
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lamina.errors import ConfigError, did_you_mean
from lamina.registry import Registry

CHOSEN = "chosen from the data"
COLUMN_KINDS = ("number", "category", "datetime")


@dataclass(frozen=True)
class Option:
    """What is known of one field of ``Config`` besides its name and default.

    Attributes:
        help: one sentence.
        parse: how a value is checked and converted; a key of ``_PARSERS``.
        group: heading in the command line's help.
        low, high: inclusive bounds of a number (``above``: exclusive lower bound; ``below``: exclusive upper bound).
        choices: the admitted names, where they are few and fixed.
        registry: ``"module:NAME"`` of the registry that holds the admitted names, beside ``choices``.
        sklearn_name: the parameter of scikit-learn's MLP estimators with this meaning.
        metavar: what stands for the value in the command line's help.
        unset: what ``None`` means, where it is the default.
    """

    help: str
    parse: str
    group: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    registry: str | None = None
    sklearn_name: str | None = None
    metavar: str | None = None
    unset: str = CHOSEN


def parse(name: str, value: Any, option: Option) -> Any:
    """Return ``value`` of the option ``name``, converted to its type.

    Raises:
        ConfigError: a wrong type, out of bounds, or an unknown name.
    """
    try:
        return _PARSERS[option.parse](name, value, option)
    except ConfigError:
        raise
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ConfigError(f"{name} = {value!r} is not {_EXPECTED[option.parse]}.") from None


def _number(name: str, value: Any, option: Option, kind: type) -> Any:
    if isinstance(value, bool):
        raise TypeError
    number = kind(value)
    if kind is int and not isinstance(value, str) and number != value:
        raise ValueError
    if not math.isfinite(number):
        raise ValueError
    bounds: list[tuple[float | None, Callable[[Any, Any], bool], str]] = [
        (option.low, operator.ge, "at least"),
        (option.above, operator.gt, "above"),
        (option.high, operator.le, "at most"),
        (option.below, operator.lt, "below"),
    ]
    for bound, holds, words in bounds:
        if bound is not None and not holds(number, bound):
            raise ConfigError(f"{name} = {value!r} is out of bounds: it must be {words} {kind(bound)}.")
    return number


def _int(name: str, value: Any, option: Option) -> int:
    return int(_number(name, value, option, int))


def _float(name: str, value: Any, option: Option) -> float:
    return float(_number(name, value, option, float))


def _bool(name: str, value: Any, option: Option) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]


def _name(name: str, value: Any, option: Option) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _text(name: str, value: Any, option: Option) -> str:
    if isinstance(value, list | tuple | dict | set):
        raise TypeError
    return str(value)


def _names(name: str, value: Any, option: Option) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    return tuple(_name(name, each, option) for each in names)


def _choice(name: str, value: Any, option: Option) -> str:
    if isinstance(value, str) and value in option.choices:
        return value
    if option.registry is not None:
        try:
            return str(_registry(option.registry)[value].name)
        except ConfigError as error:
            extra = f" {name} also takes {', '.join(option.choices)}." if option.choices else ""
            raise ConfigError(f"{error}{extra}") from None
    hint = did_you_mean(str(value), option.choices)
    raise ConfigError(f"{name} = {value!r} is not known.{hint} Known: {', '.join(option.choices)}.")


def _activation(name: str, value: Any, option: Option) -> str | tuple[str, ...]:
    registry = _registry(option.registry or "")
    if isinstance(value, str) and "," not in value:
        return str(registry[value].name)
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
    return tuple(registry[each].name for each in names)


def _units(name: str, value: Any, option: Option) -> tuple[int, ...]:
    if isinstance(value, str):
        text = value.strip().strip("()[]").strip()
        parts: list[Any] = [] if text in ("", "none") else [part for part in text.split(",") if part.strip()]
    elif isinstance(value, Integral) and not isinstance(value, bool):
        parts = [value]
    else:
        parts = list(value)
    units = tuple(_int(name, part, Option(option.help, "int", option.group)) for part in parts)
    if any(n < 1 for n in units):
        raise ConfigError(
            f"hidden_units = {units!r}: every hidden layer needs at least 1 unit; use () for no hidden layer."
        )
    return units


def _kinds(name: str, value: Any, option: Option) -> dict[str, str]:
    if not isinstance(value, Mapping):
        parts = [value] if isinstance(value, str) else list(value)
        value = dict(part.rsplit("=", 1) for part in parts)
    for column, kind in value.items():
        if kind not in COLUMN_KINDS:
            raise ConfigError(
                f"kind of column {column!r} = {kind!r} is not known.{did_you_mean(str(kind), COLUMN_KINDS)} "
                f"Known: {', '.join(COLUMN_KINDS)}."
            )
    return {str(column): kind for column, kind in value.items()}


def _class_weight(name: str, value: Any, option: Option) -> str | dict[str, float]:
    if value == "balanced":
        return "balanced"
    if isinstance(value, str):
        value = dict(part.rsplit("=", 1) for part in value.split(","))
    # A class 1.0 is called 1, as in the target.
    weights = {
        str(int(key)) if isinstance(key, float) and key.is_integer() else str(key): float(weight)
        for key, weight in dict(value).items()
    }
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ConfigError(f"class_weight = {value!r}: weights are finite numbers of at least 0.")
    return weights


def _holdout(name: str, value: Any, option: Option) -> Any:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, Real):
        value = float(value)
        if not 0 <= value < 1:
            raise ConfigError(f"{name} = {value!r} is out of bounds: a fraction is at least 0 and below 1.")
        return value
    return str(value) if isinstance(value, Path) else value


def _device(name: str, value: Any, option: Option) -> str:
    text = str(value)
    kind, colon, index = text.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and not (kind == "cuda" and index.isdecimal())):
        raise ConfigError(f"device = {text!r} is not known; use auto, cpu, cuda, cuda:N or mps.")
    return text


_PARSERS = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "name": _name,
    "text": _text,
    "names": _names,
    "choice": _choice,
    "activation": _activation,
    "units": _units,
    "kinds": _kinds,
    "class_weight": _class_weight,
    "holdout": _holdout,
    "device": _device,
}

_EXPECTED = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "name": "a column's name",
    "text": "a text or a number",
    "names": "a column's name or several",
    "choice": "a known name",
    "activation": "an activation's name, or one for each hidden layer",
    "units": "a sequence of whole numbers such as 256,128",
    "kinds": "COLUMN=number, COLUMN=category or COLUMN=datetime",
    "class_weight": "`balanced` or CLASS=WEIGHT,...",
    "holdout": "a fraction, a file or data",
    "device": "a device",
}


def _registry(path: str) -> Registry[Any]:
    module, name = path.split(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), name)
    return registry
