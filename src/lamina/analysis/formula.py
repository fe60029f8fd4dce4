"""What a network computes at a row and around it: an affine formula in the user's columns, and how far it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.analysis.row_function import row_function
from lamina.analysis.stages import ROUNDING, Array, Stage
from lamina.errors import DataError
from lamina.model import Model

_SHOWN_TERMS = 12


@dataclass(frozen=True)
class LocalFormula:
    """output = Σ weights[column] * column + bias, for every row in the piece of one row.

    The piece is the set of rows on which every unit, and every bin of the encoding, stays on the side of its kink on
    which it is. It is convex, and no row nearer than ``distance`` is outside of it.

    Attributes:
        weights: by column, (k,): the change of each output by one unit of the column. A number that is missing in the
            row, and all that is no number, is part of ``bias``.
        bias: (k,).
        outputs: names of the k outputs, see ``lamina.analysis.pieces.LinearPieces``.
        distance: from the row to the border of its piece, Euclidean, each column measured in its standard deviation in
            training; inf where the piece has no border.
        border: what bounds it there: ``unit 3 of hidden layer 1``, counted from 1, or ``age = 41.5``, an edge of a bin
            (or, 1e9 standard deviations away, the end of the range that the encoder knows); "" where nothing does.
        nearest: by column, the point of the border that is nearest to the row.
        deviations: by column, the standard deviation in training.
    """

    weights: Mapping[str, Array]
    bias: Array
    outputs: tuple[str, ...]
    distance: float
    border: str
    nearest: Mapping[str, float]
    deviations: Mapping[str, float]

    def at(self, row: Mapping[str, float]) -> Array:
        """Return what the formula gives, (k,), for the numbers in ``row``.

        Raises:
            DataError: a column of ``weights`` is not in it.
        """
        for column in self.weights:
            if column not in row:
                raise DataError(f"row lacks the column {column!r}, which the formula needs; give it a number.")
        return np.asarray(self.bias + sum(weight * row[column] for column, weight in self.weights.items()))

    def __str__(self) -> str:
        lines = [f"{name} = {self._terms(i)}" for i, name in enumerate(self.outputs)]
        within = f"within {self.distance:.3g} standard deviations; bounded by {self.border}"
        end = within if self.border else "everywhere"
        return "\n".join([*lines, f"holds {end}"])

    def _terms(self, output: int) -> str:
        """Return the right-hand side, in the columns' order; of very many terms those that change the output most."""
        by_effect = sorted(
            self.weights, key=lambda column: -abs(self.weights[column][output] * self.deviations[column])
        )
        shown = {column for column in by_effect[:_SHOWN_TERMS] if self.weights[column][output] != 0}
        text = f"{self.bias[output]:.4g}"
        for column, weight in self.weights.items():
            if column in shown:
                text += f" {'-' if weight[output] < 0 else '+'} {abs(weight[output]):.4g} {column}"
        n_others = sum(self.weights[column][output] != 0 for column in by_effect[_SHOWN_TERMS:])
        return text + (f" + {n_others} smaller terms" if n_others else "")


def local_formula(model: Model, row: Any) -> LocalFormula:
    """Return the affine formula that ``model`` computes at ``row`` and in its whole piece.

    With the piecewise-linear encoding, many rows of the training data lie on the edge of two bins, for the edges are
    quantiles: ``distance`` is then as good as 0.

    Exactly on a kink the declared derivative of the activation decides (for relu that from the left), and at the edge
    of two bins the left bin; ``distance`` is then 0. Where several units are on their kinks at once, the formula may be
    that of no piece beside the row, as with any derivative by backpropagation.

    Args:
        model: with piecewise-linear activations such as relu, and no normalization or that of minibatches.
        row: anything that ``lamina.read_table`` takes, with one row; an array (d,); or a mapping from column to value.

    Raises:
        ConfigError: the model is not piecewise linear; the message names the option that would make it so.
        DataError, SchemaError: the row cannot be read or does not fit.

    Example:
        >>> import lamina
        >>> model = lamina.fit("diabetes", hidden_units=(), numeric="standard", epochs=2)
        >>> formula = local_formula(model, lamina.read_table("diabetes").rows([0]))
        >>> formula.outputs, formula.distance > 1e8
        (('progression',), True)
    """
    function = row_function(model, row)
    x, slopes = function.point[None], np.diag(function.deviations)  # slopes: by columns in standard deviations
    nearest = _Border(np.inf, "", np.zeros(len(function.point)))
    for stage in function.stages:
        z = stage.affine(x)
        rounding = ROUNDING * np.linalg.norm(slopes, axis=0) @ np.abs(stage.weight)
        slopes = slopes @ stage.weight
        nearest = min(nearest, _nearest_kink(stage, z[0], slopes, rounding), key=lambda border: border.distance)
        steepness, _ = stage.function.pieces_at(z)
        x, slopes = stage.function(z), slopes * steepness
    weights = slopes / function.deviations[:, None]
    reached = function.point + nearest.step * function.deviations
    by_column = dict(zip(function.columns, reached.tolist(), strict=True))
    at_edge = nearest.name in by_column
    return LocalFormula(
        weights=dict(zip(function.columns, weights, strict=True)),
        bias=x[0] - function.point @ weights,
        outputs=function.outputs,
        distance=nearest.distance,
        border=f"{nearest.name} = {by_column[nearest.name]:.6g}" if at_edge else nearest.name,
        nearest=by_column if nearest.name else {},
        deviations=dict(zip(function.columns, function.deviations.tolist(), strict=True)),
    )


@dataclass(frozen=True)
class _Border:
    """Distance to a hyperplane, whose it is, and the step (d,) to it, all in standard deviations."""

    distance: float
    name: str
    step: Array


def _nearest_kink(stage: Stage, z: Array, slopes: Array, rounding: Array) -> _Border:
    """Return the nearest hyperplane on which a unit is at a kink, if all units stay on their sides till there.

    Args:
        z: (n,), the pre-activations at the row.
        slopes: (d, n), their slopes by the columns.
        rounding: (n,), length up to which the slopes of a unit are rounding errors, and the unit is constant.
    """
    lengths = np.linalg.norm(slopes, axis=0)
    lengths[lengths <= rounding] = 0.0
    gaps = stage.function.kinks - z
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.where(lengths > 0, np.abs(gaps) / lengths, np.inf)
    if not distances.size or np.isinf(distances.min()):
        return _Border(np.inf, "", np.zeros(len(slopes)))
    kink, unit = np.unravel_index(distances.argmin(), distances.shape)
    step = gaps[kink, unit] * slopes[:, unit] / lengths[unit] ** 2
    return _Border(float(distances[kink, unit]), stage.names[unit], step)
