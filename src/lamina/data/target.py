"""The target: its task, its classes, and the way from columns to codes or numbers and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lamina.data.spelling import Spelling, text_of
from lamina.data.table import Column, Table
from lamina.data.text_values import recoded
from lamina.errors import ConfigError, DataError, SchemaError, did_you_mean, shortened

Task = Literal["classification", "multilabel", "regression"]
MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        names: its column; several for multilabel, or for a regression with several outputs.
        task: ``classification`` (one class out of ``classes``), ``multilabel`` (each column 0 or 1) or ``regression``.
        classes: for classification, as the user gave them, with their type, in sorted order.
        positive: of two classes, the code of the one that is looked for.
        threshold: probability from which on the positive class, or a label, is predicted.
    """

    names: tuple[str, ...]
    task: Task
    classes: tuple[Any, ...] = ()
    positive: int | None = None
    threshold: float = 0.5

    @property
    def name(self) -> str:
        """Name of the target, or names with commas."""
        return ", ".join(self.names)

    @classmethod
    def infer(
        cls,
        table: Table,
        names: Sequence[str],
        task: str,
        classes: Sequence[Any] | None = None,
        partial: bool = False,
    ) -> "Target":
        """Return what the target is.

        Strings, booleans and up to 20 distinct whole numbers are classes; other numbers are a regression target.
        Several targets are labels where all are 0 or 1, else numbers.

        Args:
            table: the training data.
            names: the target's columns.
            task: ``auto``, ``classification``, ``multilabel`` or ``regression``.
            classes: all classes that there will be, where not all of them need be in ``table``.
            partial: more rows will come, so that numbers need not differ yet.

        Raises:
            DataError: one class or one value only, text where regression is asked for, a column of images or dates.
        """
        for name in names:
            if table[name].type not in ("number", "text", "boolean"):
                raise DataError(
                    f"{table.source}: the target {name!r} holds {table[name].type}s; expected classes or numbers."
                )
            if table[name].is_missing().all():
                raise DataError(f"{table.source}: every value of the target {name!r} is missing.")
        if task == "auto":
            task = _inferred_task(table, names)
        if task == "classification":
            return cls._of_classes(table, names, classes)
        if task == "multilabel":
            for name in names:
                _labels(table, name)
            return cls(tuple(names), "multilabel")
        for name in names:
            _check_numbers(table[name], name, table)
            values = table[name].rows(~table[name].is_missing()).values
            if len(np.unique(values)) < 2 and not partial:
                raise DataError(
                    f"{table.source}: every value of the target {name!r} is {values[0]:g}; nothing can be learned."
                )
        return cls(tuple(names), "regression")

    @classmethod
    def _of_classes(cls, table: Table, names: Sequence[str], classes: Sequence[Any] | None) -> "Target":
        if len(names) > 1:
            raise DataError(
                f"{table.source}: several targets of classes, {shortened(names)}, cannot be one model; "
                "train one for each, or use the task multilabel for columns of 0 and 1."
            )
        (name,) = names
        present = table[name].rows(~table[name].is_missing())
        found = _classes(present) if classes is None else _plain_classes(classes)
        if len(found) < 2:
            raise DataError(
                f"{table.source}: the target {name!r} has one class only, {found[0]!r}; "
                "classification needs rows of at least two."
            )
        if classes is None and present.type == "text" and len(found) > max(MAX_INTEGER_CLASSES, len(present) // 2):
            raise DataError(
                f"{table.source}: the target {name!r} has {len(found)} distinct texts in {len(present)} rows; "
                "is it the right column?"
            )
        return cls((name,), "classification", found, positive=1 if len(found) == 2 else None)

    def deciding(self, positive_class: str | None, threshold: float) -> "Target":
        """Return the target with another positive class (``None``: the last in sorted order) and threshold.

        Raises:
            ConfigError: no such class, or no two of them.
        """
        if positive_class is not None:
            if len(self.classes) != 2:
                raise ConfigError("positive_class is for a target of two classes, which this is not; leave it out.")
            return replace(self, positive=self.code_of(positive_class, "positive_class"), threshold=threshold)
        if threshold != 0.5 and self.positive is None and self.task != "multilabel":
            raise ConfigError("threshold is for two classes or for labels, which the target is not; leave it out.")
        return replace(self, threshold=threshold)

    def code_of(self, name: Any, option: str) -> int:
        """Return the code of the class that the value ``name`` of an option means, in any spelling.

        Raises:
            ConfigError: it is no class.
        """
        code = self.spelling.find(text_of(name))
        if code is None:
            raise ConfigError(f"{option} names {name!r}, which is no class. Classes: {shortened(self.class_texts)}.")
        return code

    @cached_property
    def class_texts(self) -> tuple[str, ...]:
        """The classes as texts, in their order."""
        return tuple(text_of(value) for value in self.classes)

    @cached_property
    def spelling(self) -> Spelling:
        """What finds a class by a text."""
        return Spelling(self.class_texts)

    @property
    def n_outputs(self) -> int:
        """Width of the network's output: one logit for each class or label, or one value for each number."""
        return len(self.classes) if self.task == "classification" else len(self.names)

    def columns_in(self, table: Table) -> tuple[str, ...]:
        """Return the names that the target has in ``table``, which may call it otherwise and say so itself."""
        renamed = len(table.targets) == len(self.names) and not all(name in table for name in self.names)
        return table.targets if renamed else self.names

    def encode(self, table: Table) -> NDArray[Any]:
        """Return int64 class codes (n,), or float64 values or labels (n, k), of the target in ``table``.

        Raises:
            DataError: a missing value; the message counts them.
            SchemaError: a class that was not there in training, or text where numbers were.
        """
        names = self.columns_in(table)
        columns = {name: self._known(table[name]) for name in names}
        for name, column in columns.items():
            missing = column.is_missing()
            if missing.any():
                row = table.row_number(int(missing.argmax()))
                raise DataError(
                    f"{table.source}: the target {name!r} is missing in {int(missing.sum())} rows, "
                    f"the first is row {row}; drop them first."
                )
        table = replace(table, columns={**table.columns, **columns})
        if self.task == "classification":
            return self._codes(table, names[0])
        if self.task == "multilabel":
            return np.stack([_labels(table, name) for name in names], axis=1)
        for name in names:
            _check_numbers(table[name], name, table)
        return np.stack([np.asarray(table[name].values, dtype=np.float64) for name in names], axis=1)

    def _known(self, column: Column) -> Column:
        """Return ``column`` with the tokens of a missing value missing that are no class."""
        if column.type != "text":
            return column
        spelling = _LABELS if self.task == "multilabel" else self.spelling
        return recoded(column, [None if spelling.is_missing(level) else level for level in column.levels])

    def _codes(self, table: Table, name: str) -> NDArray[Any]:
        text = table[name].as_text()
        by_level = [-1 if (code := self.spelling.find(level)) is None else code for level in text.levels]
        codes = np.array(by_level, dtype=np.int64)[text.values]
        if (codes < 0).any():
            row = int((codes < 0).argmax())
            value, known = text.cell(row), self.class_texts
            raise SchemaError(
                f"{table.source}, column {name!r}, row {table.row_number(row)}: {value!r} is not a class of the model."
                f"{did_you_mean(value, known)} Classes: {shortened(known)}."
            )
        return codes

    def decide(self, prediction: NDArray[Any]) -> NDArray[Any]:
        """Return what a prediction (n, k) comes to: codes (n,), labels (n, k) of 0 and 1, or values (n, k)."""
        if self.task == "regression":
            return prediction
        if self.task == "multilabel":
            return (prediction >= self.threshold).astype(np.int64)
        # At 0.5 the more probable class; a tie goes to the first.
        if self.positive is None or self.threshold == 0.5:
            return np.asarray(prediction.argmax(axis=1))
        found = prediction[:, self.positive] >= self.threshold
        return np.where(found, self.positive, 1 - self.positive)

    def decode(self, prediction: NDArray[Any]) -> NDArray[Any]:
        """Return classes (n,), labels (n, k) of 0 and 1, or values (n,), or (n, k) of several, for ``prediction``."""
        decided = self.decide(prediction)
        if self.task == "classification":
            return np.asarray(self._class_values[decided])
        return decided[:, 0] if self.task == "regression" and len(self.names) == 1 else decided

    def class_array(self) -> NDArray[Any]:
        """Return the classes as an array of their own type: str, bool, int or float."""
        return self._class_values.copy()

    @cached_property
    def _class_values(self) -> NDArray[Any]:
        return np.array(self.classes)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {
            "names": list(self.names), "task": self.task, "classes": list(self.classes),
            "positive": self.positive, "threshold": self.threshold,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Target":
        """Return the target that ``as_json`` described."""
        return cls(tuple(data["names"]), data["task"], tuple(data["classes"]), data["positive"], data["threshold"])


def _inferred_task(table: Table, names: Sequence[str]) -> str:
    if len(names) == 1:
        column = table[names[0]]
        return "regression" if _looks_continuous(column.rows(~column.is_missing())) else "classification"
    try:
        for name in names:
            _labels(table, name)
    except DataError:
        return "regression"
    return "multilabel"


def _looks_continuous(column: Column) -> bool:
    if column.type != "number":
        return False
    values = column.values
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    return not whole or len(np.unique(values)) > MAX_INTEGER_CLASSES


def _classes(column: Column) -> tuple[Any, ...]:
    codes = np.unique(column.values)
    if column.type == "boolean":
        return tuple(bool(code) for code in codes)
    if column.type == "text":
        texts = column.labels or column.levels
        return tuple(sorted(texts[code] for code in codes))
    values = _plain_classes(codes.tolist())
    # Beyond 2^53 a float is not the number that was written, nor its text that of the whole number.
    if column.integers and all(float(value).is_integer() and abs(value) < 2**53 for value in values):
        return tuple(int(value) for value in values)
    return values


def _plain_classes(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(sorted({value.item() if isinstance(value, np.generic) else value for value in values}))


def _labels(table: Table, name: str) -> NDArray[Any]:
    """Return a column of 0 and 1, or of false and true, as float64; missing values stay NaN."""
    text = table[name].as_text()
    found = [_LABELS.find(level) for level in text.levels]
    labels = np.array([*(-1.0 if code is None else code % 2 for code in found), np.nan])[text.values]
    if (labels == -1).any():
        row = int((labels == -1).argmax())
        raise DataError(
            f"{table.source}, column {name!r}, row {table.row_number(row)}: {text.cell(row)!r} is no label; "
            "a multilabel target holds 0 and 1, or false and true."
        )
    return labels


_LABELS = Spelling(("0", "1", "false", "true"))


def _check_numbers(column: Column, name: str, table: Table) -> None:
    if column.type != "number":
        example = column.cell(int(column.is_missing().argmin()))
        raise DataError(
            f"{table.source}: the target {name!r} holds {column.type}, {example!r}; regression needs numbers."
        )
    infinite = np.isinf(column.values)
    if infinite.any():
        row = table.row_number(int(infinite.argmax()))
        raise DataError(f"{table.source}: the target {name!r} is infinite in row {row}; correct or drop the row.")
