"""The linear regions of a network on a rectangle of two columns: a map of polygons, exact, without sampling.

Inside a polygon on which all layers before are affine, the kink of a unit is a straight line, and a line cuts a convex
polygon into two convex ones. What is left uncut after the last layer are the regions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.analysis.row_function import RowFunction, row_function
from lamina.analysis.stages import Array, Stage
from lamina.errors import ConfigError, DataError, did_you_mean, shortened
from lamina.model import Model


@dataclass(frozen=True)
class LinearRegions:
    """The network's outputs as a function of two columns, affine in each of n polygons.

    Attributes:
        columns: names of the two.
        polygons: n arrays (vertices, 2), convex, in the columns' units, counterclockwise; together they are the
            rectangle.
        weights: (n, k, 2), and
        biases: (n, k): output = weights @ (x, y) + bias in the polygon.
        outputs: names of the k outputs, see ``lamina.analysis.pieces.LinearPieces``.
    """

    columns: tuple[str, str]
    polygons: tuple[Array, ...]
    weights: Array
    biases: Array
    outputs: tuple[str, ...]

    @property
    def n_regions(self) -> int:
        """Number of polygons: sets of points on which every unit stays on its side of every kink."""
        return len(self.polygons)

    @property
    def areas(self) -> Array:
        """Areas (n,) of the polygons, in the product of the columns' units."""
        return np.array([_area(polygon) for polygon in self.polygons])


def linear_regions(
    model: Model,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    columns: tuple[str, str] | None = None,
    row: Any = None,
    *,
    max_regions: int = 200_000,
) -> LinearRegions:
    """Return the linear regions of ``model`` where two columns vary and the rest of a row stays as it is.

    Args:
        model: with piecewise-linear activations such as relu, and no normalization or that of minibatches.
        x_range, y_range: from and to, of the first and the second column, in their units.
        columns: the two; need not be said where the model has two number columns. A pixel is ``image[row,column]``.
        row: what the other columns hold, and any value in the two: see ``linear_pieces``. Need not be given where all
            columns are numbers: they then stay at their medians in training.
        max_regions: how many regions are too many.

    Raises:
        ConfigError: the model is not piecewise linear; no two such columns; an empty range; more regions than
            ``max_regions``.
        DataError, SchemaError: the row cannot be read or does not fit.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", hidden_units=(4,), numeric="standard", epochs=2)
        >>> names = [column.name for column in model.schema.features]
        >>> regions = linear_regions(model, (4.0, 8.0), (0.0, 3.0), columns=(names[0], names[3]))
        >>> round(float(regions.areas.sum()), 9)
        12.0
    """
    low, high = np.array([_checked("x_range", x_range), _checked("y_range", y_range)]).T
    function = row_function(model, _medians(model) if row is None else row)
    chosen = _chosen(function, columns)
    origin, directions = function.point, np.zeros((2, len(function.point)))
    origin[chosen], directions[[0, 1], chosen] = low, high - low
    regions = _regions(function.along(origin, directions), max_regions)
    size = high - low
    weights = np.stack([slopes for _, _, slopes in regions]) / size[:, None]
    middles = np.stack([low + square.mean(axis=0) * size for square, _, _ in regions])
    biases = np.stack([values for _, values, _ in regions]) - np.einsum("ni,nik->nk", middles, weights)
    first, second = (function.columns[column] for column in chosen)
    polygons = tuple(low + square * size for square, _, _ in regions)
    return LinearRegions((first, second), polygons, weights.transpose(0, 2, 1), biases, function.outputs)


def _regions(stages: tuple[Stage, ...], max_regions: int) -> list[tuple[Array, Array, Array]]:
    """Return the regions of the unit square: vertices (v, 2), outputs in their middle (k,), slopes (2, k)."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    # Depth first: of the polygons that are not done, only their path to the root of the tree is in memory.
    waiting = [(0, square, square, np.eye(2))]
    regions: list[tuple[Array, Array, Array]] = []
    while waiting:
        depth, vertices, values, slopes = waiting.pop()
        if depth == len(stages):
            regions.append((vertices, values.mean(axis=0), slopes))
            continue
        stage = stages[depth]
        slopes = slopes @ stage.weight
        for part, z in _cut(stage, vertices, values):
            steepness, _ = stage.function.pieces_at(z.mean(axis=0, keepdims=True))
            waiting.append((depth + 1, part, stage.function(z), slopes * steepness))
        if len(regions) + len(waiting) > max_regions:
            raise ConfigError(
                f"there are more than max_regions = {max_regions} linear regions; "
                "take smaller ranges, a smaller network, fewer bins or numeric='standard', or raise max_regions."
            )
    return regions


def _cut(stage: Stage, vertices: Array, values: Array) -> list[tuple[Array, Array]]:
    """Cut a polygon along every kink of a stage; return vertices (v, 2) and pre-activations (v, n) of each part.

    Args:
        vertices: (v, 2).
        values: (v, fan_in), the stage's input at the vertices; on the polygon it is affine.
    """
    z = stage.affine(values)
    noise = stage.noise(values).max(axis=0)
    parts = [(vertices, z)]
    for kinks in stage.function.kinks:
        crossed = ((z > kinks + noise).any(axis=0) & (z < kinks - noise).any(axis=0)).nonzero()[0]
        for unit in crossed:
            parts = [half for part in parts for half in _halves(*part, unit, kinks[unit], noise[unit])]
    return parts


def _halves(vertices: Array, z: Array, unit: int, kink: float, noise: float) -> list[tuple[Array, Array]]:
    """Return the one or two sides of the line on which a unit is at its kink."""
    gap = z[:, unit] - kink
    above, below = gap > noise, gap < -noise  # what is closer to the line than rounding is on it
    if not (above.any() and below.any()):
        return [(vertices, z)]
    following = np.roll(np.arange(len(gap)), -1)
    (edges,) = np.nonzero((above & below[following]) | (below & above[following]))
    ends = following[edges]
    share = (gap[edges] / (gap[edges] - gap[ends]))[:, None]
    new_vertices = vertices[edges] + share * (vertices[ends] - vertices[edges])
    new_z = z[edges] + share * (z[ends] - z[edges])
    order = np.argsort(np.concatenate([np.arange(len(gap)), edges + 0.5]))
    vertices, z = (np.concatenate(pair)[order] for pair in ((vertices, new_vertices), (z, new_z)))
    on = np.zeros(len(edges), dtype=bool)
    above, below = (np.concatenate([side, on])[order] for side in (above, below))
    return [(vertices[~below], z[~below]), (vertices[~above], z[~above])]


def _checked(name: str, given: Any) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ConfigError(f"{name} = {given!r} must be two finite numbers, the smaller one first.")
    return low, high


def _area(polygon: Array) -> float:
    # From the first vertex: far from the origin the products of the coordinates themselves would cancel.
    x, y = (polygon - polygon[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _medians(model: Model) -> dict[str, float]:
    others = [column.name for column in model.schema.features if column.kind != "number"]
    if others:
        raise ConfigError(
            f"say with row= what stays as it is: the columns {shortened(map(repr, others))} are no numbers and have "
            "no median."
        )
    return {code.name: code.median for code in model.encoder.numbers}


def _chosen(function: RowFunction, columns: tuple[str, str] | None) -> list[int]:
    """Return the positions of two coordinates."""
    known = function.columns
    if columns is None:
        if len(known) != 2:
            raise ConfigError(f"name two number columns with columns=: there are {len(known)}: {shortened(known)}.")
        return [0, 1]
    if isinstance(columns, str) or len(columns) != 2 or columns[0] == columns[1]:
        raise ConfigError(f"columns = {columns!r} must name two different columns.")
    for name in columns:
        if name in function.fixed:
            raise DataError(f"column {name!r} is no number, or has no value in row; name another or give it one.")
        if name not in known:
            raise ConfigError(
                f"there is no number column {name!r}.{did_you_mean(name, known)} Known: {shortened(known)}."
            )
    return [known.index(name) for name in columns]
