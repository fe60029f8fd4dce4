"""Predictions from a model folder with NumPy alone: no torch, no scikit-learn, no polars.

    runtime = load("income.lamina")
    runtime.predict({"age": 39, "workclass": "State-gov"})

What it predicts agrees with ``Model.predict`` to 1e-9; it is computed in float64 too.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import Encoder
from lamina.data.masked import unmasked
from lamina.data.schema import Schema
from lamina.data.target_scaling import TargetScaler
from lamina.errors import ConfigError, DataError, LaminaWarning, ModelFileError, SchemaError, in_one_line
from lamina.export.direct import Direct, direct_of
from lamina.export.numpy_functions import MEAN, OUTPUT_MAP
from lamina.export.numpy_network import outputs_of
from lamina.export.one_row import OneRow, one_row_of
from lamina.export.plan import Plan, plan_of
from lamina.export.rows import RowEncoder, table_of
from lamina.export.weights_file import read_weights
from lamina.model_file import Document, read_folder_bytes
from lamina.model_forms import UNFIT, check_form, check_meaning, check_size
from lamina.model_upgrades import upgraded

Array = NDArray[Any]


@dataclass(frozen=True)
class Runtime:
    """A model that predicts with NumPy alone. Make it with ``load``.

    ``rows``, wherever it is asked for, is one mapping column -> value, a list of such mappings, a mapping column ->
    sequence of values, or an array: (n, d) in the order of the schema's columns, or (n, height, width) of images. A
    missing value is ``None`` or NaN. A table of ``lamina.data.table`` will do, too.

    Attributes:
        schema: columns and target.
        encoder: from columns to arrays.
        plan: the network.
        scaler: between a number target's unit and the network's outputs; ``None`` for classes and labels.
    """

    schema: Schema
    encoder: Encoder
    plan: Plan
    scaler: TargetScaler | None

    @property
    def task(self) -> str:
        """``classification``, ``multilabel`` or ``regression``."""
        return self.schema.target.task

    @property
    def classes(self) -> Array:
        """The classes in sorted order and their own type, (k,); empty for multilabel and regression."""
        return self.schema.target.class_array()

    def predict(self, rows: Any) -> Array:
        """Return the class or the value of each row, (n,); of several labels or values, (n, k); as ``Model.predict``.

        Raises:
            DataError, SchemaError: the rows are of no known form, or do not fit the model's columns.
        """
        return self.schema.target.decode(self.predict_outputs(rows))

    def predict_proba(self, rows: Any) -> Array:
        """Return probabilities (n, k) of ``classes`` or labels, in their order; errors as in ``predict``.

        Raises:
            ConfigError: the model is a regression.
        """
        if self.task == "regression":
            raise ConfigError("predict_proba is for classification; this model predicts numbers: use predict.")
        return self.predict_outputs(rows)

    def predict_outputs(self, rows: Any) -> Array:
        """Return probabilities (n, k), or values (n, k) in the target's unit; errors as in ``predict``."""
        arrays, n_rows = self._encoded(rows)
        one_row = self._one_row
        if n_rows == 1 and one_row is not None:
            prediction = self._of_members(one_row(arrays), arrays)
        else:
            prediction = OUTPUT_MAP[self.plan.output_map](outputs_of(self.plan, arrays, n_rows))
        return prediction if self.scaler is None else self.scaler.inverse(prediction)

    def _of_members(self, outputs: Array, arrays: Mapping[str, Array]) -> Array:
        """Return the prediction (1, k) for the ``outputs`` (1, members, k) of each member for one row."""
        plan, output_map = self.plan, OUTPUT_MAP[self.plan.output_map]
        if plan.linear is not None:
            return output_map(plan.linear.blended(MEAN[plan.output_map](outputs), arrays))
        # What stands for several members is, whatever the loss, the average of what each predicts.
        return np.asarray(np.add.reduce(output_map(outputs), axis=1) / plan.members)

    def logits(self, vector: Any) -> Array:
        """Return the network's outputs before any output map, (k,) for a vector, (n, k) for several.

        The fastest way, for models of number columns or of one image column alone. A network of one member with dense
        layers, no layer normalization and standardised numbers or pixels computes them in float32, its first weights
        taking the raw values; any other one, or a vector with a missing or an enormous value, as ``predict`` does.

        Args:
            vector: raw values, (d,) or (n, d): the number columns in the schema's order, or an image's pixels row by
                row; NaN where missing.

        Raises:
            ConfigError: the model has columns of other kinds.
            SchemaError: another number of values.
            DataError: an infinite value.
        """
        direct = self._direct
        if direct is not None and type(vector) is np.ndarray and vector.shape == direct.shape:
            outputs = direct(vector)
            if outputs is not None:
                return outputs
        return self._exact_logits(vector)

    @property
    def text_columns(self) -> dict[str, frozenset[str]]:
        """As ``Model.text_columns``."""
        return self.schema.text_columns(self.encoder.levels)

    def at_threshold(self, threshold: float | str) -> "Runtime":
        """Return the same with another threshold, as ``Model.at_threshold``; errors as there."""
        from lamina.config import check_value

        checked = float(check_value("threshold", threshold))
        target = replace(self.schema.target.deciding(None, checked), positive=self.schema.target.positive)
        return replace(self, schema=replace(self.schema, target=target))

    def _encoded(self, rows: Any) -> tuple[Mapping[str, Array], int]:
        if type(rows) is dict:
            arrays = self._row_encoder.encode(rows)
            if arrays is not None:
                return arrays, 1
        # A mapping has names, whether or not the model was trained on any.
        schema = self.schema if self.schema.named or hasattr(rows, "source") else replace(self.schema, named=True)
        table = table_of(rows, schema)
        features, notes = schema.check(table)
        self.encoder.check_images(features)
        for note in [*notes, *self.encoder.unseen(features)]:
            warnings.warn(note, LaminaWarning, stacklevel=4)
        return self.encoder.transform(features, "float64"), table.n_rows

    def _exact_logits(self, vector: Any) -> Array:
        kinds = [column.kind for column in self.schema.features]
        if kinds != ["image"] and set(kinds) != {"number"}:
            raise ConfigError("logits is for models of numbers or of images alone; use predict_outputs.")
        try:
            values = np.asarray(unmasked(vector, "the vector"))
        except ValueError as error:
            raise DataError(f"the vector is no array: {error}.") from None
        if values.dtype.kind not in "biuf" or values.ndim not in (1, 2):
            raise DataError(f"expected numbers (d,) or (n, d), got an array {values.shape} of dtype {values.dtype}.")
        rows = values if values.ndim == 2 else values[None]
        if kinds == ["image"]:
            shape = self.schema.features[0].shape
            if rows.shape[1] != np.prod(shape):
                raise SchemaError(f"the vector has {rows.shape[1]} values, but the model's images have {shape}.")
            rows = rows.reshape(len(rows), *shape)
        outputs = outputs_of(self.plan, *self._encoded(rows))
        return outputs if values.ndim == 2 else outputs[0]

    @cached_property
    def _row_encoder(self) -> RowEncoder:
        return RowEncoder(self.schema, self.encoder)

    @cached_property
    def _one_row(self) -> OneRow | None:
        return one_row_of(self.plan) if self.plan.members > 1 else None  # a single network is as quick without

    @cached_property
    def _direct(self) -> Direct | None:
        return direct_of(self.schema, self.encoder, self.plan)


def load(folder: str | Path) -> Runtime:
    """Return the model in a folder as a ``Runtime``.

    Raises:
        ModelFileError: there is none, or it is damaged or of a newer format.
        ConfigError: NumPy alone does not suffice for it: a sparse block, or an activation of the user's own.
    """
    document, weights = read_folder_bytes(folder)
    tensors = read_weights(weights, str(folder))
    try:
        runtime = _runtime(check_form(upgraded(document)), tensors)
        _try(runtime)
        return runtime
    except ConfigError:
        raise
    except UNFIT as error:
        raise ModelFileError(f"{str(folder)!r} is not a model of this format: {in_one_line(error)}.") from None


def _runtime(document: Document, tensors: dict[str, Array]) -> Runtime:
    schema = Schema.from_json(document["schema"])
    encoder = Encoder.from_json(document["encoder"])
    check_meaning(schema, encoder)
    n_numbers = sum(array.size for array in tensors.values())
    check_size(encoder, document["config"], schema.target.n_outputs, n_numbers)
    scaler = None if document["scaler"] is None else TargetScaler.from_json(document["scaler"])
    plan = plan_of(encoder, document["config"], tensors, schema.target.n_outputs)
    return Runtime(schema, encoder, plan, scaler)


def _try(runtime: Runtime) -> None:
    """Predict one row of missing values, so that whatever does not fit together fails where the model is loaded."""
    columns = {
        column.name: np.zeros((1, *column.shape), dtype=np.uint8) if column.kind == "image" else [None]
        for column in runtime.schema.features
    }
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        runtime.predict(columns)
