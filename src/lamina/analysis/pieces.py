"""The linear pieces of a network along the straight line between two rows: exact, without sampling.

On a line, x = a + t (b - a), every unit of a piecewise-linear network is a piecewise-linear function of t. Its bends
are found layer by layer: between two neighbouring bends of the layers before, a pre-activation is linear in t, so that
where it meets a kink is the solution of one linear equation.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lamina.analysis.row_function import RowFunction, row_function
from lamina.analysis.stages import Array, Stage
from lamina.errors import DataError
from lamina.model import Model

# Slopes that differ by less, relative to the largest, differ by rounding.
_SAME_SLOPE = 1e-10


@dataclass(frozen=True)
class LinearPieces:
    """The function t -> f(a + t (b - a)) on [0, 1], which is linear in each of m pieces.

    Attributes:
        positions: (m - 1,), where a piece ends and the next begins, ascending, in (0, 1).
        values: (m + 1, k), the outputs at 0, at ``positions`` and at 1.
        slopes: (m, k), the change of each output from a to b if the piece went all the way.
        outputs: names of the k outputs: the target's, in its unit, or ``logit(class)``; ``output(target)`` where the
            target's transform or the loss's output map stands between the network and the target's unit.
    """

    positions: Array
    values: Array
    slopes: Array
    outputs: tuple[str, ...]

    @property
    def n_pieces(self) -> int:
        """Pieces, counting those whose border is crossed without a change of slope."""
        return len(self.slopes)

    @property
    def n_distinct(self) -> int:
        """Pieces that are left when neighbours of the same slope, up to rounding, are one."""
        return 1 + int(self._bends().sum())

    def merged(self) -> "LinearPieces":
        """Return the same function, neighbours of the same slope, up to rounding, made one piece."""
        bends = self._bends()
        kept = np.concatenate([[True], bends, [True]])
        return replace(self, positions=self.positions[bends], values=self.values[kept], slopes=self.slopes[kept[:-1]])

    def at(self, t: Any) -> Array:
        """Return the outputs (n, k) at ``t`` (n,) in [0, 1].

        Raises:
            DataError: a position outside of [0, 1].
        """
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        outside = ~((t >= 0) & (t <= 1))
        if outside.any():
            raise DataError(f"t = {t[outside][0]:g} is not on the segment; a is at t = 0 and b at t = 1.")
        piece = np.searchsorted(self.positions, t)
        start = np.concatenate([[0.0], self.positions])
        return np.asarray(self.values[piece] + (t - start[piece])[:, None] * self.slopes[piece])

    def _bends(self) -> Array:
        """Return (m - 1,), whether the slope changes at each position."""
        change = np.abs(np.diff(self.slopes, axis=0))
        return np.asarray((change > _SAME_SLOPE * np.abs(self.slopes).max(axis=0)).any(axis=1))


def linear_pieces(model: Model, a: Any, b: Any) -> LinearPieces:
    """Return the linear pieces of ``model`` along the segment from row ``a`` to row ``b``.

    Montúfar et al. 2014, "On the number of linear regions of deep neural networks": a network of depth d may have a
    number of pieces that is exponential in d.

    Args:
        model: with piecewise-linear activations such as relu, and no normalization or that of minibatches.
        a, b: rows: anything that ``lamina.read_table`` takes, with one row; an array (d,); or a mapping from column to
            value. They may differ in number columns and pixels only.

    Raises:
        ConfigError: the model is not piecewise linear; the message names the option that would make it so.
        DataError, SchemaError: a row cannot be read or does not fit, the rows differ in another column, or do not
            differ.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", hidden_units=(4,), numeric="standard", epochs=2)
        >>> pieces = linear_pieces(model, [[5.0, 3.0, 1.4, 0.2]], [[6.0, 3.0, 5.0, 2.0]])
        >>> pieces.n_pieces <= 5
        True
    """
    start, end = row_function(model, a, "a"), row_function(model, b, "b")
    _check_alike(start, end)
    positions = np.array([0.0, 1.0])
    values, slopes = positions[:, None], np.ones((1, 1))
    for stage in start.along(start.point, (end.point - start.point)[None]):
        positions, before, pieces = _cut(stage, positions, values)
        middle_slopes, _ = stage.function.pieces_at((before[:-1] + before[1:]) / 2)
        values, slopes = stage.function(before), (slopes[pieces] @ stage.weight) * middle_slopes
    return LinearPieces(positions[1:-1], values, slopes, start.outputs)


def _cut(stage: Stage, positions: Array, values: Array) -> tuple[Array, Array, Array]:
    """Cut pieces wherever one of a stage's pre-activations meets a kink.

    Args:
        positions: (m + 1,), of the pieces' ends.
        values: (m + 1, fan_in), the stage's input there; between them it is linear.

    Returns:
        The new positions (p + 1,), the pre-activations there (p + 1, fan_out), and of each new piece the old one that
        it is part of, (p,).
    """
    z, noise = stage.affine(values), stage.noise(values)
    noise = np.maximum(noise[:-1], noise[1:])  # of a piece
    found = [np.zeros((0, 4))]
    for kinks in stage.function.kinks:
        gap = z - kinks
        # What is closer to a kink than rounding is on it: two units that bend at one point cut once.
        piece, unit = np.nonzero(((gap[:-1] > noise) & (gap[1:] < -noise)) | ((gap[:-1] < -noise) & (gap[1:] > noise)))
        change = gap[piece, unit] - gap[piece + 1, unit]
        share = gap[piece, unit] / change
        width = positions[piece + 1] - positions[piece]
        t = positions[piece] + share * width
        # No two positions are neighbouring numbers: between them is no room for a piece.
        blur = np.maximum(noise[piece, unit] / np.abs(change) * width, 2 * np.spacing(positions[piece + 1]))
        inside = (t - positions[piece] > blur) & (positions[piece + 1] - t > blur)
        found.append(np.stack([piece, t, blur, share], axis=1)[inside])
    crossings = np.concatenate(found)
    crossings = crossings[np.argsort(crossings[:, 1], kind="stable")]
    crossings = crossings[_sharpest(crossings[:, 1], crossings[:, 2])]
    piece, t, share = crossings[:, 0].astype(np.intp), crossings[:, 1], crossings[:, 3:]
    new = z[piece] + share * (z[piece + 1] - z[piece])
    old = np.repeat(np.arange(len(z) - 1), 1 + np.bincount(piece, minlength=len(z) - 1))
    return np.insert(positions, piece + 1, t), np.insert(z, piece + 1, new, axis=0), old


def _sharpest(t: Array, blur: Array) -> Array:
    """Return a mask (c,) of the crossings to keep: of those that rounding cannot tell apart, the sharpest.

    Args:
        t: (c,), where they are, ascending.
        blur: (c,), how far rounding may have moved each. One is left out where a kept one is as near as its own blur:
            by the blur of the other, a steep unit would be lost to a flat one beside it.
    """
    kept = np.ones(len(t), dtype=bool)
    close = np.concatenate([[False], np.diff(t) <= np.maximum(blur[1:], blur[:-1]), [False]])
    starts, ends = np.flatnonzero(~close[:-1] & close[1:]), np.flatnonzero(close[:-1] & ~close[1:])
    for start, end in zip(starts, ends, strict=True):
        chosen: list[int] = []
        for i in start + np.argsort(blur[start : end + 1], kind="stable"):
            kept[i] = all(abs(t[i] - t[j]) > blur[i] for j in chosen)
            chosen += [i] * bool(kept[i])
    return kept


def _check_alike(a: RowFunction, b: RowFunction) -> None:
    for name in (*a.fixed, *b.fixed):
        if a.fixed.get(name) != b.fixed.get(name):
            in_a, in_b = (repr(row.fixed[name]) if name in row.fixed else "a number" for row in (a, b))
            raise DataError(
                f"a and b differ in column {name!r}: {in_a} and {in_b} ('' is a missing value); "
                "give both the same value there: only numbers can vary along a line."
            )
    if (a.point == b.point).all():
        raise DataError("a and b are the same row in every number; give two that differ.")
