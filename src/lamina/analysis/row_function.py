"""A model as a function of one row's numbers, in the user's own columns and units.

What the row says in numbers (number columns, pixels) are the coordinates; the rest of the row (categories, dates, flags
of missing values) is fixed and becomes part of a bias.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch

from lamina.analysis.exact import float64_copy
from lamina.analysis.stages import Array, Elementwise, Stage, hidden_stages, maps_outputs, numpy
from lamina.data.encoder import Encoder
from lamina.data.readers import read_table
from lamina.data.table import Column, Table
from lamina.errors import ConfigError, DataError, LaminaWarning, SchemaError
from lamina.model import Model, as_tensors

# Where the encoder clips standardised numbers.
CLIP = 1e9


@dataclass(frozen=True)
class Coordinate:
    """One number of a row.

    Attributes:
        name: of its column; ``image[row,column]`` for a pixel.
        value: what the row has there.
        mean, deviation: of the column, or of all pixels, in training.
        edges: of the piecewise-linear encoding, in deviations from the mean; empty for standard scaling.
        positions: of its numbers in the encoded row.
        clipped: whether the encoder clips it, as it does with numbers.
    """

    name: str
    value: float
    mean: float
    deviation: float
    edges: tuple[float, ...]
    positions: range
    clipped: bool


@dataclass(frozen=True)
class RowFunction:
    """The network as a function of a row's numbers, the rest of the row being fixed.

    Attributes:
        coordinates: number columns in the schema's order, then pixels; a number that is missing in the row is none.
        stages: from the coordinates, in the columns' units, to the outputs.
        outputs: names of the k outputs.
        fixed: by column, what of the row is no coordinate, as text.
    """

    coordinates: tuple[Coordinate, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[str, ...]
    fixed: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d coordinates."""
        return tuple(each.name for each in self.coordinates)

    @property
    def point(self) -> Array:
        """The row itself, (d,), in the columns' units."""
        return np.array([each.value for each in self.coordinates])

    @property
    def deviations(self) -> Array:
        """The columns' standard deviations in training, (d,)."""
        return np.array([each.deviation for each in self.coordinates])

    def __call__(self, x: Array) -> Array:
        """Return the outputs (m, k) at the rows ``x`` (m, d)."""
        for stage in self.stages:
            x = stage.function(stage.affine(x))
        return x

    def along(self, origin: Array, directions: Array) -> tuple[Stage, ...]:
        """Return the stages of p -> f(origin + p directions), for ``origin`` (d,) and ``directions`` (m, d)."""
        first, *others = self.stages
        return (first.along(origin, directions), *others)


def row_function(model: Model, row: Any, name: str = "row") -> RowFunction:
    """Return ``model`` as a function of the numbers in ``row``.

    The outputs are values in the target's unit where its transform is ``none`` and the loss has no output map, else
    what ``Model.predict_logits`` returns.

    Args:
        model: piecewise linear.
        row: anything that ``lamina.read_table`` takes, with one row; an array (d,); or a mapping from column to value.
        name: of the argument, for messages.

    Raises:
        ConfigError: the model is not piecewise linear, is one of sparse input, or the row has no number.
        DataError, SchemaError: the row cannot be read, does not fit, or is not one row.
    """
    if model.encoder.blocks:
        raise ConfigError(
            "the model was trained on a sparse matrix, which this does not follow; train on X.toarray() instead of X."
        )
    if model.config.numeric in ("periodic", "piecewise_embedding") and model.encoder.numbers:
        raise ConfigError(
            f"this does not follow numbers that are embedded ({model.config.numeric}); train with "
            "numeric='piecewise_linear' or 'standard'."
        )
    if any(code.features != "pixels" for code in model.encoder.images):
        raise ConfigError("gradients of images are not piecewise linear in the pixels; train with features='pixels'.")
    network = float64_copy(model)
    hidden = hidden_stages(network)
    features = one_row(model, row, name)
    arrays = as_tensors(model.encoder.transform(features, "float64"), "cpu")
    with torch.inference_mode():
        encoded = network.inputs(arrays)[0].numpy().astype(np.float64)
    coordinates = _coordinates(model.encoder, features, len(encoded))
    if not coordinates:
        raise ConfigError(
            f"{name} has no number that could vary: the model has neither a number column with a value there nor an "
            "image; take a row that has one."
        )
    output = _output_stage(model, numpy(network.output.weight), numpy(network.output.bias))
    stages = _behind_encoding(coordinates, encoded, [*hidden, output])
    varying = {each.name for each in coordinates}
    images = {code.name for code in model.encoder.images}
    fixed = {key: column.cell(0) for key, column in features.columns.items() if key not in varying | images}
    return RowFunction(coordinates, stages, output.names, fixed)


def one_row(model: Model, row: Any, name: str) -> Table:
    schema = model.schema
    if isinstance(row, Mapping):
        schema = replace(schema, named=True)  # a mapping has names also where the training data had none
        table = _mapping_table(row, name)
    else:
        table = model.read(row[None] if isinstance(row, np.ndarray) and row.ndim == 1 else row)
    if table.n_rows != 1:
        raise DataError(f"{name} holds {table.n_rows} rows, expected one; pass one, such as data[:1].")
    features, notes = schema.check(table)
    model.encoder.check_images(features)
    for note in [*notes, *model.encoder.unseen(features)]:
        warnings.warn(note, LaminaWarning, stacklevel=4)
    return features


def _mapping_table(row: Mapping[str, Any], name: str) -> Table:
    images = {key: Column("image", np.asarray(value)[None]) for key, value in row.items() if np.ndim(value) == 2}
    try:
        columns = read_table(pl.DataFrame({key: [value] for key, value in row.items() if key not in images})).columns
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise SchemaError(f"{name} is no mapping from column to value: {error}.") from None
    return Table({**columns, **images}, 1, name)


def _coordinates(encoder: Encoder, features: Table, width: int) -> tuple[Coordinate, ...]:
    """Return the numbers of a row that is ``width`` numbers when it is encoded."""
    found = []
    start = 0
    for code in encoder.numbers:
        positions = range(start, start + max(len(code.edges) - 1, 1))
        start = positions.stop
        value = float(code.values(features[code.name])[0])
        if not code.part and not np.isnan(value):
            found.append(Coordinate(code.name, value, code.mean, code.scale, code.edges, positions, True))
    # Pixels are the last of an encoded row, see lamina.network.embeddings.InputLayer.
    start = width - sum(image.width for image in encoder.images)
    for image in encoder.images:
        for index, value in np.ndenumerate(features[image.name].values[0]):
            name = f"{image.name}[{','.join(map(str, index))}]"
            found.append(Coordinate(name, float(value), image.mean, image.scale, (), range(start, start + 1), False))
            start += 1
    return tuple(found)


def _behind_encoding(coordinates: tuple[Coordinate, ...], encoded: Array, stages: list[Stage]) -> tuple[Stage, ...]:
    """Return the stages from the coordinates on, given those that start from the ``encoded`` row (width,)."""
    first, *others = stages
    varying = np.array([position for each in coordinates for position in each.positions])
    rest = np.delete(np.arange(len(encoded)), varying)
    constant = encoded[rest] @ first.weight[rest] + first.bias
    size = np.abs(encoded[rest]) @ np.abs(first.weight[rest]) + np.abs(first.bias)
    first = replace(first, weight=first.weight[varying], bias=constant, size=size)
    means = np.array([each.mean for each in coordinates])
    if any(each.clipped for each in coordinates):
        return (_encoding(coordinates, means), first, *others)
    # Pixels alone are only scaled: a stage of their own would be a matrix of the number of pixels squared.
    deviations = np.array([each.deviation for each in coordinates])
    return (replace(first, weight=first.weight / deviations[:, None], shift=means), *others)


def _encoding(coordinates: tuple[Coordinate, ...], means: Array) -> Stage:
    """Return the stage of the encoding: of each coordinate the bins, or the clipped number, or the pixel."""
    columns, lefts, pieces, names = [], [], [], []
    for i, each in enumerate(coordinates):
        for left, right in pairwise(each.edges):
            # The derivative at an edge is that of the bin on its left: declared in both bins, it would be their sum.
            slope = 1 / (right - left)
            pieces.append(((0.0, right - left), (0.0, slope, 0.0), (0.0, 0.0, 1.0)))
            lefts.append(left)
        if not each.edges:
            clipped = ((-CLIP, CLIP), (0.0, 1.0, 0.0), (-CLIP, 0.0, CLIP))
            pieces.append(clipped if each.clipped else ((np.inf, np.inf), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
            lefts.append(0.0)
        columns += [i] * len(each.positions)
        names += [each.name] * len(each.positions)
    kinks, slopes, intercepts = (np.array(part).T for part in zip(*pieces, strict=True))
    weight = np.zeros((len(coordinates), len(columns)))
    weight[columns, np.arange(len(columns))] = [1 / coordinates[i].deviation for i in columns]
    function = Elementwise(kinks, slopes, intercepts, (True, True))
    return Stage(weight, -np.array(lefts), function, tuple(names), shift=means)


def _output_stage(model: Model, weight: Array, bias: Array) -> Stage:
    """Return the output layer, with the target's scaling where the outputs are values in its unit."""
    target, scaler = model.schema.target, model.scaler
    if target.task != "regression":
        classes = target.classes or target.names
        names = tuple(f"logit({each})" for each in classes)
    elif scaler is not None and scaler.transform == "none" and not maps_outputs(model):
        names = target.names
        scale, mean = np.array([(each.scale, each.mean) for each in scaler.columns]).T
        weight, bias = weight * scale, bias * scale + mean
    else:
        names = tuple(f"output({each})" for each in target.names)
    return Stage(weight, bias, Elementwise.identity(len(bias)), names)
