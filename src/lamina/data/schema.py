"""What each column means to a model: its kind and its role, inferred once, shown, stored, and checked on new data."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np

from lamina.data.table import Column, Table, number_text
from lamina.data.target import Target
from lamina.data.text_values import (
    as_number,
    as_written,
    missing_tokens,
    nearly_numbers,
    read_dates,
    recoded,
    same_order,
)  # fmt: skip
from lamina.errors import DataError, SchemaError, did_you_mean, shortened

Kind = Literal["number", "category", "image", "sparse", "constant", "identifier", "text", "datetime"]
Role = Literal["feature", "target", "weight", "group", "time", "left out"]

# Thresholds of the inference; each decision can be overruled with kind= and drop=.
_FEW_ROWS = 20  # below this, nearly distinct values say nothing
_IDENTIFIER_SHARE = 0.9
_TEXT_SHARE = 0.5
_TEXT_WORDS = 4.0
_TEXT_LENGTH = 60.0
# What a column of row numbers is called: one of these as a whole (``Unnamed: 0`` is pandas' name for an index,
# ``unnamed_1`` that of an empty header, see ``lamina.data.csv_files``), or what ends with the word id.
_ID_NAMES = r"id|key|uuid|index|row|rownames|instant|no|nr|obs|unnamed: 0(\.\d+)?|unnamed_\d+|"
_ID_NAME = re.compile(rf"(?is:({_ID_NAMES})|.*[\W_]id)|(?s:.*[a-z0-9]I[dD])")


@dataclass(frozen=True)
class ColumnSchema:
    """One column: ``kind`` says what its values are, ``role`` what the model does with them, ``reason`` why.

    ``shape`` is that of one image; ``date_format`` is how dates were written in training, see ``Column``.
    """

    name: str
    kind: Kind
    role: Role
    reason: str = ""
    shape: tuple[int, ...] = ()
    date_format: str = ""


@dataclass(frozen=True)
class Schema:
    """The columns of the training data, in their order.

    Attributes:
        columns: every column that was there.
        target: name, task and classes of the target.
        named: whether names were given; without them columns are known by position.
    """

    columns: tuple[ColumnSchema, ...]
    target: Target
    named: bool = True

    @property
    def features(self) -> tuple[ColumnSchema, ...]:
        """The columns that the network sees."""
        return tuple(column for column in self.columns if column.role == "feature")

    def text_columns(self, levels: Mapping[str, Iterable[str | None]]) -> dict[str, frozenset[str]]:
        """Return the columns whose cells are text whatever they look like, the target among them if its classes are.

        Args:
            levels: of each category column what texts it has, by its name.

        Returns:
            Column -> the texts that are levels or classes, and so no missing values.
        """
        known = {
            column.name: frozenset(level for level in levels.get(column.name, ()) if level is not None)
            for column in self.features
            if column.kind == "category"
        }
        if self.target.classes and isinstance(self.target.classes[0], str | bool):
            known.update(dict.fromkeys(self.target.names, frozenset(self.target.class_texts)))
        return known

    @property
    def left_out(self) -> tuple[ColumnSchema, ...]:
        """The columns that are left out though nobody asked for it."""
        return tuple(column for column in self.columns if column.role == "left out" and column.reason != "dropped")

    def notes(self) -> list[str]:
        """Return a sentence for each column that is left out though nobody asked for it, or may be meant otherwise."""
        doubtful = [each for each in self.features if each.reason not in ("", "as told")]
        return [
            *(f"column {column.name!r} is left out: {column.reason}" for column in self.left_out),
            *(f"column {column.name!r} is taken for a {column.kind}: {column.reason}" for column in doubtful),
        ]

    @classmethod
    def infer(
        cls,
        table: Table,
        target: str | Sequence[str] | None = None,
        *,
        task: str = "auto",
        classes: Sequence[Any] | None = None,
        partial: bool = False,
        every_column: bool = False,
        kind: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
    ) -> "Schema":
        """Return the schema of training data.

        Args:
            table: the training data with its target.
            target: the target's name, or the names of several; ``None``: what the source names.
            task: ``auto``, ``classification``, ``multilabel`` or ``regression``.
            classes: all classes that there will be, where not all of them need be in ``table``.
            partial: more rows will come, so that one value of a number target will do.
            every_column: whoever made the table chose its columns: each is a feature, but one that is dropped or has
                a role, even where it says nothing. Where columns have no names, as those of an array, this is always
                so of numbers.
            kind: column -> ``number``, ``category`` or ``datetime``, overruling the inference.
            drop: columns to leave out.
            weight, group, time: columns with a role of their own; they are no features.

        Raises:
            DataError: no such column, no usable target, no feature left.
        """
        targets = target_names(target, table)
        if not targets:
            raise DataError(f"say which column is the target (--target, target=). Columns: {shortened(table.columns)}.")
        roles: dict[str, Role] = dict.fromkeys(targets, "target")
        for name, role in ((weight, "weight"), (group, "group"), (time, "time")):
            if name is not None:
                if roles.get(name) == "target":
                    raise DataError(f"column {name!r} cannot be both the target and the {role}.")
                roles[name] = role  # type: ignore[assignment]
        for name in targets:
            if name in drop:
                raise DataError(f"column {name!r} is the target and cannot be dropped.")
        columns = column_schemas(table, roles, kind or {}, drop, every_column)
        schema = cls(columns, Target.infer(table, targets, task, classes, partial), table.named)
        if not schema.features:
            reasons = "; ".join(schema.notes()) or "there is no other column than the target"
            raise DataError(f"{table.source} has no column to learn from: {reasons}.")
        return schema

    def check(self, table: Table) -> tuple[Table, list[str]]:
        """Return the feature columns of ``table`` as this schema knows them, and notes about what was ignored.

        Columns may be in any order; further ones are ignored. Number columns come back as numbers, categories as text,
        dates as dates.

        Raises:
            SchemaError: columns are missing, or hold text where numbers or dates were, or images of another size.
            DataError: an infinite value.
        """
        table = self._positions_to_names(table)
        missing = [column.name for column in self.features if column.name not in table]
        if missing:
            raise SchemaError(self._missing_message(missing, table))
        columns = {column.name: _fitted(column, table[column.name], table) for column in self.features}
        known = {column.name for column in self.columns}
        extra = [name for name in table.columns if name not in known]
        notes = (
            [f"{table.source}: ignored the columns that the model does not know: {shortened(extra)}"] if extra else []
        )
        return replace(table, columns=columns, targets=()), notes

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "target": self.target.as_json(),
            "named": self.named,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schema":
        """Return the schema that ``as_json`` described."""
        columns = tuple(ColumnSchema(**{**column, "shape": tuple(column["shape"])}) for column in data["columns"])
        return cls(columns, Target.from_json(data["target"]), bool(data["named"]))

    def _positions_to_names(self, table: Table) -> Table:
        """Where the model or the data has no names, match columns by position."""
        if table.named and self.named:
            return table
        inputs = [column for column in self.columns if column.role in ("feature", "left out")]
        targets = {*table.targets, *(self.target.names if table.named else ())}
        others = {column.name for column in self.columns if column.role in ("weight", "group", "time")} | targets
        given = _as_trained([column for name, column in table.columns.items() if name not in others], inputs, table)
        if len(given) != len(inputs):
            width = sum(_width(column) for column in given)
            expected = sum(column.shape[0] if column.kind == "sparse" else 1 for column in inputs)
            raise SchemaError(f"{table.source} has {width} columns, but the model was trained on {expected}.")
        columns = {column.name: values for column, values in zip(inputs, given, strict=True)}
        columns.update({name: table[name] for name in others if name in table})
        return replace(table, columns=columns, named=True)

    def _missing_message(self, missing: list[str], table: Table) -> str:
        known = {column.name for column in self.columns}
        extra = [name for name in table.columns if name not in known]
        asked = (did_you_mean(name, extra, 0.75).replace("Did you mean", f"Is {name!r} called") for name in missing)
        hints = "".join(asked)
        if not hints and len(missing) == len(self.features) and table.columns:
            hints = f" It has other ones: {shortened(table.columns)}."
        plural = "columns" if len(missing) > 1 else "column"
        return f"{table.source} lacks the {plural} {shortened([repr(name) for name in missing])}.{hints}"


def target_names(target: str | Sequence[str] | None, table: Table) -> tuple[str, ...]:
    """Return the names of the target's columns, each once; ``None``: those that ``table`` names itself."""
    return tuple(dict.fromkeys((target,) if isinstance(target, str) else target or table.targets))


def _as_trained(given: list[Column], inputs: Sequence[ColumnSchema], table: Table) -> list[Column]:
    """Return a sparse block as the columns that the model was trained on, and columns as its sparse block."""
    from scipy import sparse

    if [column.type for column in given] == ["sparse"] and all(column.kind != "sparse" for column in inputs):
        block: Any = given[0].values
        return [Column("number", values) for values in block.toarray().T]
    if [column.kind for column in inputs] == ["sparse"] and given and all(column.type == "number" for column in given):
        dense = np.stack([column.values for column in given], axis=1)
        bad = ~np.isfinite(dense).all(axis=1)
        if bad.any():
            raise SchemaError(
                f"{table.source}, row {table.row_number(int(bad.argmax()))}: a value is missing or infinite, "
                "but the model was trained on a sparse matrix, which has none such; replace it by a number."
            )
        stacked: Any = sparse.csr_array(dense)
        return [Column("sparse", stacked)]
    return given


def _width(column: Column) -> int:
    return int(column.values.shape[1]) if column.type == "sparse" else 1


def column_schemas(
    table: Table,
    roles: Mapping[str, Role],
    kind: Mapping[str, str],
    drop: Sequence[str],
    every_column: bool = False,
) -> tuple[ColumnSchema, ...]:
    """Return kind and role of every column of ``table``; those without a role are features or left out.

    Arguments as in ``Schema.infer``.

    Raises:
        DataError: a name in ``roles``, ``kind`` or ``drop`` is no column.
    """
    for name in (*roles, *kind, *drop):
        table[name]  # raises where there is none
    columns = []
    for name, column in table.columns.items():
        if name in drop:
            columns.append(ColumnSchema(name, _plain_kind(column), "left out", "dropped"))
        elif name in roles:
            columns.append(ColumnSchema(name, _plain_kind(column), roles[name]))
        else:
            columns.append(_feature(name, column, kind.get(name), every_column, every_column or not table.named))
    return tuple(columns)


def _plain_kind(column: Column) -> Kind:
    by_type: dict[str, Kind] = {"number": "number", "datetime": "datetime", "image": "image", "sparse": "sparse"}
    return by_type.get(column.type, "category")


def _feature(name: str, column: Column, forced: str | None, keep: bool, keep_numbers: bool) -> ColumnSchema:
    if forced is not None:
        date_format = column.date_format if forced == "datetime" else ""
        return ColumnSchema(name, forced, "feature", "as told", date_format=date_format)  # type: ignore[arg-type]
    if column.type in ("image", "sparse"):
        return ColumnSchema(name, _plain_kind(column), "feature", shape=column.values.shape[1:])
    if keep or (column.type == "number" and keep_numbers):
        return ColumnSchema(name, _plain_kind(column), "feature", date_format=column.date_format)
    missing = column.is_missing()
    if missing.all():
        return ColumnSchema(name, "constant", "left out", "every value is missing")
    if column.type == "datetime":
        if (column.values == column.values[0]).all():
            return ColumnSchema(name, "constant", "left out", f"every value is {column.cell(0)}")
        return ColumnSchema(name, "datetime", "feature", date_format=column.date_format)
    if column.type == "number":
        return _number_feature(name, column.values, missing)
    return _text_feature(name, column, missing)


def _number_feature(name: str, values: np.ndarray, missing: np.ndarray) -> ColumnSchema:
    present = values[~missing]
    if not missing.any() and (present == present[0]).all():
        return ColumnSchema(name, "constant", "left out", f"every value is {number_text(present[0])}")
    if len(present) < _FEW_ROWS or not _are_distinct_integers(present):
        return ColumnSchema(name, "number", "feature")
    every_row = "every row with a value" if missing.any() else "every row"
    if is_identifier_name(name):
        reason = f"{every_row} has its own number, as in an identifier; {_kind_option(name, 'number')} keeps it"
        return ColumnSchema(name, "identifier", "left out", reason)
    counts = (np.diff(present.astype(np.float64)) == 1).all() and not missing.any()
    first = ", ".join(number_text(value) for value in present[:3])
    what = f"it counts {first}, ... down the file" if counts else f"{every_row} has its own whole number"
    drop = f"--drop {shlex.quote(name)}"
    meant = f"{_kind_option(name, 'number')} says that it is meant"
    reason = f"{what}, as in an identifier; {drop} leaves it out, {meant}"
    return ColumnSchema(name, "number", "feature", reason)


def _are_distinct_integers(values: np.ndarray) -> bool:
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    return bool(whole and len(np.unique(values)) == len(values))


def is_identifier_name(name: str) -> bool:
    """Whether a column is called as row numbers are: id, ``row_id``, ``CustomerId``, but not PAID or ``heat_index``."""
    return _ID_NAME.fullmatch(name.strip()) is not None


def _text_feature(name: str, column: Column, missing: np.ndarray) -> ColumnSchema:
    present = column.values[~missing]
    used = np.unique(present)
    levels = [column.levels[code] for code in used]
    if len(levels) == 1 and not missing.any():
        return ColumnSchema(name, "constant", "left out", f"every value is {levels[0]!r}")
    share = len(levels) / len(present)
    words = float(np.mean([level.count(" ") + 1 for level in levels]))
    length = float(np.mean([len(level) for level in levels]))
    if len(present) >= _FEW_ROWS and share > _TEXT_SHARE and (words >= _TEXT_WORDS or length >= _TEXT_LENGTH):
        reason = f"free text of {words:.0f} words on average; {_kind_option(name, 'category')} keeps it"
        return ColumnSchema(name, "text", "left out", reason)
    near = nearly_numbers(levels)
    if len(present) >= _FEW_ROWS and share > _IDENTIFIER_SHARE:
        are_numbers = all(as_number(level) is not None for level in levels)
        reason = _identifier_reason(name, "number" if are_numbers else "category")
        return ColumnSchema(name, "identifier", "left out", near or reason)
    return ColumnSchema(name, "category", "feature", near)


def _kind_option(name: str, kind: str) -> str:
    """Return the option to paste that makes a column one of ``kind``."""
    return f"--kind {shlex.quote(f'{name}={kind}')}"


def _identifier_reason(name: str, kind: str) -> str:
    return f"nearly every row has its own value, as in an identifier; {_kind_option(name, kind)} keeps it"


def _fitted(expected: ColumnSchema, column: Column, table: Table) -> Column:
    """Return ``column`` as the kind that ``expected`` has."""
    if expected.kind in ("image", "sparse"):
        if column.type != expected.kind or column.values.shape[1:] != expected.shape:
            found = column.values.shape[1:] if column.type == expected.kind else column.type
            what = "images" if expected.kind == "image" else "sparse rows"
            raise SchemaError(
                f"{table.source}, column {expected.name!r}: expected {what} {expected.shape}, got {found}."
            )
        return column
    if column.type in ("image", "sparse"):
        raise SchemaError(f"{table.source}, column {expected.name!r}: expected a {expected.kind}, got {column.type}s.")
    if expected.kind == "category":
        return column.as_text()
    convert = _as_dates if expected.kind == "datetime" else _as_numbers
    numbers = convert(expected, column, table)
    infinite = np.isinf(numbers.values) if np.issubdtype(numbers.values.dtype, np.floating) else np.zeros(0, bool)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"{table.source}, column {expected.name!r}, row {table.row_number(row)}: the value is infinite; "
            "replace it by a number, or leave it empty for a missing value."
        )
    return numbers


def _as_numbers(expected: ColumnSchema, column: Column, table: Table) -> Column:
    if column.type == "number":
        return column
    if column.type == "datetime":
        raise SchemaError(f"{table.source}, column {expected.name!r}: expected numbers, got dates.")
    if column.type == "boolean":
        return Column("number", np.where(column.values < 0, np.nan, column.values.astype(np.float64)))
    tokens = missing_tokens(())
    by_level = [np.nan if level.strip() in tokens else as_number(level) for level in column.levels]
    wrong = np.array([*(number is None for number in by_level), False])[column.values]
    if wrong.any():
        row = int(wrong.argmax())
        raise SchemaError(
            f"{table.source}, column {expected.name!r}, row {table.row_number(row)}: {column.cell(row)!r} is not a "
            "number; correct it, or leave it empty for a missing value."
        )
    numbers = np.array([np.nan if number is None else number for number in by_level] + [np.nan])
    return Column("number", numbers[column.values])


def _as_dates(expected: ColumnSchema, column: Column, table: Table) -> Column:
    if column.type == "text":
        tokens = missing_tokens(())
        bare = [level.strip() for level in column.levels]
        column = recoded(column, [None if level in tokens else level for level in bare])
    missing = column.is_missing()
    if missing.all():
        return Column("datetime", np.full(len(column), np.nan))
    if column.type == "datetime" and same_order(column.date_format, expected.date_format):
        return column
    # Read with day and month the other way round than in training: 03/04/2024 alone does not say which it is.
    text = as_written(column) if column.type == "datetime" else column.as_text()
    used = np.unique(text.values[~missing])
    seconds = np.full(len(text.levels) + 1, np.nan)  # the last entry is where code -1, missing, points
    if column.type != "number":
        dates = read_dates([text.levels[code] for code in used], expected.date_format)
        seconds[used] = [np.nan if each is None else each for each in dates]
    values = seconds[text.values]
    wrong = np.isnan(values) & ~missing
    if wrong.any():
        row = int(wrong.argmax())
        example = date(2024, 5, 31).strftime(expected.date_format or "%Y-%m-%d")
        raise SchemaError(
            f"{table.source}, column {expected.name!r}, row {table.row_number(row)}: {text.cell(row)!r} is not a date "
            f"such as {example}; correct it, or leave it empty for a missing value."
        )
    return Column("datetime", values)
