"""Whether the document of a model folder has the form that it should, before anything is made of it.

A checksum says that a file is as it was written, not by whom. So what is read is held against the types of the records
that it becomes, and the network's size against the numbers that are there. ``Model.load`` and the NumPy runtime both do
so, hence without torch.
"""

import itertools
import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from lamina.data.date_parts import PARTS
from lamina.data.encoder import CategoryCode, Encoder, ImageCode, NumberCode, SparseCode
from lamina.data.image_features import gradient_shape
from lamina.data.schema import ColumnSchema, Schema
from lamina.data.table import Column, Table, text_column
from lamina.data.target import Target
from lamina.data.target_scaling import ColumnScaling
from lamina.intervals import ConformalScores
from lamina.model_file import Document

_PARTS = {"numbers": NumberCode, "categories": CategoryCode, "images": ImageCode, "blocks": SparseCode}
# What is raised where a document that was meddled with is made a model, or predicts.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)

_CLASS = str | bool | int | float


@dataclass(frozen=True)
class _NetworkOptions:
    """Those options that say what the weights are; see ``lamina.config.Config``."""

    hidden_units: tuple[int, ...] | None
    activation: str | tuple[str, ...]
    members: int | None
    numeric: str
    layer: str
    rank: int
    phm_n: int
    embedding_width: int
    normalization: str
    loss: str


def check_form(document: Document, epoch: type | None = None) -> Document:
    """Return a document of the present format when the types of what predicts are those of its records.

    Args:
        document: of a model folder, upgraded.
        epoch: the record of an epoch, where the history matters.

    Raises:
        ValueError: a value of another type; the message says where.
        KeyError, TypeError, AttributeError: something is missing, or is no object where it should be one.
    """
    schema, encoder, scaler = document["schema"], document["encoder"], document["scaler"]
    check_records(schema["columns"], ColumnSchema, "schema.columns")
    check_records([schema["target"]], Target, "schema.target")
    _check(schema["target"]["classes"], tuple[_CLASS, ...], "schema.target.classes")
    for name, record in _PARTS.items():
        check_records(encoder.get(name, []), record, f"encoder.{name}")
    if scaler is not None:
        check_records(scaler["columns"], ColumnScaling, "scaler.columns")
    if document["scores"] is not None:
        check_records([document["scores"]], ConformalScores, "scores")
    check_records([document["config"]], _NetworkOptions, "config")
    if epoch is not None:
        check_records(document["history"], epoch, "history")
    return document


def check_records(values: Any, record: type, where: str) -> None:
    """Hold a list of objects against the types of the fields of ``record``, as far as they have them.

    Raises:
        ValueError: a value of another type; the message says where.
    """
    _check(values, tuple[Mapping[str, Any], ...], where)
    hints = typing.get_type_hints(record)
    for value, (name, hint) in itertools.product(values, hints.items()):
        if name in value:
            _check(value[name], hint, f"{where}.{name}")


def _check(value: Any, hint: Any, where: str) -> None:
    if not _fits(value, hint):
        raise ValueError(f"{where} is of another type than it should be")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON may stand for one of the type ``hint``."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is tuple and inner[-1] is not Ellipsis:
        return isinstance(value, list) and len(value) == len(inner) and all(map(_fits, value, inner))
    if origin in (tuple, list, Sequence):
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if hint is float:  # a whole number of any length is read as an int, which may be too long for float64
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, types.NoneType if hint is None else hint)


def check_meaning(schema: Schema, encoder: Encoder) -> None:
    """Hold columns, their codes and the target against one another.

    Raises:
        ValueError: they are not of one model.
    """
    kinds: dict[str, set[str]] = {
        "number": {code.name for code in encoder.numbers if not code.part},
        "datetime": {code.name for code in encoder.numbers if code.part},
        "category": {code.name for code in encoder.categories},
        "image": {code.name for code in encoder.images},
        "sparse": {block.name for block in encoder.blocks},
    }
    for kind, names in kinds.items():
        if names != {column.name for column in schema.features if column.kind == kind}:
            raise ValueError(f"schema and encoder have other columns of the kind {kind}")
    if len({column.name for column in schema.columns}) != len(schema.columns):
        raise ValueError("two columns have one name")
    shapes = {code.name: code.shape for code in encoder.images}
    shapes |= {block.name: (len(block.scales),) for block in encoder.blocks}
    for column in schema.features:
        if column.name in shapes and (shapes[column.name] != column.shape or min(column.shape) < 1):
            raise ValueError(f"column {column.name!r} has two shapes, or one without content")
    scales = [*(code.scale for code in encoder.numbers), *(code.scale for code in encoder.images)]
    if not all(scale > 0 for scale in scales):
        raise ValueError("a column is divided by a number that is not above 0")
    if any(code.part not in ("", *PARTS) for code in encoder.numbers):
        raise ValueError("a part of a date that is none")
    if any(edges[0] >= edges[-1] or list(edges) != sorted(set(edges)) for edges in _edges(encoder)):
        raise ValueError("the bounds of bins are not in ascending order")
    target = schema.target
    if not target.names or (target.task == "classification") != bool(target.classes):
        raise ValueError("the target has no names, or classes that do not fit its task")
    if target.positive is not None and target.positive not in range(min(len(target.classes), 2)):
        raise ValueError("the positive class is none of the classes")


def _edges(encoder: Encoder) -> list[tuple[float, ...]]:
    return [code.edges for code in encoder.numbers if code.edges]


def check_size(encoder: Encoder, options: Mapping[str, Any], n_outputs: int, n_numbers: int) -> None:
    """Refuse a network that has more weights than there are, before memory is taken for it.

    Args:
        encoder, options, n_outputs: what the network is made from, held together by ``check_meaning``.
        n_numbers: how many numbers the weights file holds.

    Raises:
        ValueError: at least so many are missing; what passes may still be too few.
    """
    k, units = options["members"] or 1, options["hidden_units"] or ()
    embedded = [code for code in encoder.categories if not code.one_hot]
    width = len(encoder.numbers) + sum(code.n_codes - 1 for code in encoder.categories if code.one_hot)
    width += len(embedded) * options["embedding_width"] + sum(_image_width(code) for code in encoder.images)
    needed = k * sum(units) + options["embedding_width"] * sum(code.n_codes for code in embedded)
    if options["numeric"] in ("piecewise_embedding", "mixed") and k > 1 and (edges := _edges(encoder)):
        needed += len(encoder.numbers) * (max(map(len, edges)) - 1)
    pairs = list(itertools.pairwise([width, *units, n_outputs]))
    dense = pairs[-1:] if k == 1 and options["layer"] != "dense" else pairs
    needed += k * sum(a * b for a, b in dense)
    if options["layer"] == "low_rank" and k == 1:
        needed += sum(min(options["rank"], a, b) * (a + b) for a, b in pairs[:-1])
    if options["layer"] == "phm" and k == 1 and units:
        needed += options["phm_n"] ** 3
    if needed > n_numbers:
        raise ValueError(f"a network of at least {needed} numbers, of which {n_numbers} are there")


def _image_width(code: ImageCode) -> int:
    return math.prod(gradient_shape(code.shape) if code.features == "gradients" else code.shape)  # of any length


def missing_row(schema: Schema) -> Table:
    """Return a table of one row, in which everything is missing, and black where it is an image."""
    # Without names columns are known by position, and those that were left out are counted.
    inputs = [column for column in schema.columns if column.role in ("feature", "left out")]
    return Table({column.name: _missing(column) for column in inputs}, 1)


def _missing(column: ColumnSchema) -> Column:
    if column.kind == "category":
        return text_column([None])
    if column.kind == "image":
        return Column("image", np.zeros((1, *column.shape), dtype=np.uint8))
    if column.kind == "sparse":
        from scipy import sparse

        return Column("sparse", sparse.csr_array((1, *column.shape)))
    return Column("datetime" if column.kind == "datetime" else "number", np.array([np.nan]))
