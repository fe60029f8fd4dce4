"""The target: its task, its classes, and the way from a column to codes or numbers and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lamina.data.table import Column, Table
from lamina.errors import DataError, SchemaError, did_you_mean, shortened

Task = Literal["classification", "regression"]
MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """Name, task and, for classification, the classes in the user's own form and sorted order."""

    name: str
    task: Task
    classes: tuple[Any, ...] = ()

    @classmethod
    def infer(cls, column: Column, name: str, task: str, source: str) -> "Target":
        """Return what the target is.

        Strings, booleans and up to 20 distinct whole numbers are classes; other numbers are a regression target.

        Raises:
            DataError: one class or one value only, text where regression is asked for, a column of images or dates.
        """
        if column.type in ("image", "datetime"):
            raise DataError(f"{source}: the target {name!r} holds {column.type}s; expected classes or numbers.")
        present = column.rows(~column.is_missing())
        if not len(present):
            raise DataError(f"{source}: every value of the target {name!r} is missing.")
        if task == "auto":
            task = "regression" if _looks_continuous(present) else "classification"
        if task == "regression":
            _check_numbers(column, name, source)
            if len(np.unique(present.values)) < 2:
                raise DataError(
                    f"{source}: every value of the target {name!r} is {present.values[0]:g}; nothing can be learned."
                )
            return cls(name, "regression")
        classes = _classes(present)
        if len(classes) < 2:
            raise DataError(
                f"{source}: the target {name!r} has one class only, {classes[0]!r}; "
                "classification needs rows of at least two."
            )
        if present.type == "text" and len(classes) > max(MAX_INTEGER_CLASSES, len(present) // 2):
            raise DataError(
                f"{source}: the target {name!r} has {len(classes)} distinct texts in {len(present)} rows; "
                "is it the right column?"
            )
        return cls(name, "classification", classes)

    @property
    def n_outputs(self) -> int:
        """Width of the network's output: one logit for each class, or one value."""
        return len(self.classes) if self.task == "classification" else 1

    def encode(self, table: Table, name: str | None = None) -> NDArray[Any]:
        """Return int64 class codes (n,) or float64 values (n,) of the target column in ``table``.

        Raises:
            DataError: a missing value; the message counts them.
            SchemaError: a class that was not there in training, or text where numbers were.
        """
        name = name or self.name
        column = table[name]
        missing = column.is_missing()
        if missing.any():
            row = table.row_number(int(missing.argmax()))
            raise DataError(
                f"{table.source}: the target {name!r} is missing in {int(missing.sum())} rows, the first is row {row}; "
                "drop them first."
            )
        if self.task == "regression":
            _check_numbers(column, name, table.source, table.row_number)
            return np.asarray(column.values, dtype=np.float64)
        text = column.as_text()
        known = {_key(value): code for code, value in enumerate(self.classes)}
        exact = {value: code for code, value in enumerate(self.classes) if isinstance(value, str)}
        by_level = [exact.get(level, known.get(_key(level), -1)) for level in text.levels]
        codes = np.array(by_level, dtype=np.int64)[text.values]
        if (codes < 0).any():
            row = int((codes < 0).argmax())
            value = text.cell(row)
            raise SchemaError(
                f"{table.source}, column {name!r}, row {table.row_number(row)}: {value!r} is not a class of the model."
                f"{did_you_mean(value, known)} Classes: {shortened(known)}."
            )
        return codes

    def decode(self, prediction: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable class of each row of ``prediction`` (n, k), or the values of (n, 1), as (n,)."""
        if self.task == "regression":
            return prediction[:, 0]
        return np.asarray(self.class_array()[prediction.argmax(axis=1)])

    def class_array(self) -> NDArray[Any]:
        """Return the classes as an array of their own type: str, bool, int or float."""
        return np.array(self.classes)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {"name": self.name, "task": self.task, "classes": list(self.classes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Target":
        """Return the target that ``as_json`` described."""
        return cls(data["name"], data["task"], tuple(data["classes"]))


def _looks_continuous(column: Column) -> bool:
    if column.type != "number":
        return False
    values = column.values
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    return not whole or len(np.unique(values)) > MAX_INTEGER_CLASSES


def _classes(column: Column) -> tuple[Any, ...]:
    if column.type == "boolean":
        return tuple(bool(code) for code in np.unique(column.values))
    if column.type == "text":
        return tuple(sorted(column.levels[code] for code in np.unique(column.values)))
    distinct = np.unique(column.values).tolist()
    return tuple(int(value) if float(value).is_integer() else value for value in distinct)


def _check_numbers(
    column: Column, name: str, source: str, row_number: Callable[[int], int] = lambda row: row + 1
) -> None:
    if column.type != "number":
        example = column.cell(int(column.is_missing().argmin()))
        raise DataError(f"{source}: the target {name!r} holds {column.type}, {example!r}; regression needs numbers.")
    infinite = np.isinf(column.values)
    if infinite.any():
        row = row_number(int(infinite.argmax()))
        raise DataError(f"{source}: the target {name!r} is infinite in row {row}; correct or drop the row.")


def _key(value: Any) -> str:
    """Text by which a class is recognised in any source: True, "True" and "true" are one, and so are 3, 3.0 and "3"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return value.lower() if value.lower() in ("true", "false") else str(value)
