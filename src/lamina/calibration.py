"""One temperature for all logits, so that probabilities are neither too bold nor too timid (Guo et al. 2017)."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamina.losses import Loss
from lamina.training.rows import Rows

Array = NDArray[np.float64]

# Fewer say too little about a temperature.
MIN_CALIBRATION_ROWS = 30
_LOWEST, _HIGHEST = 0.25, 8.0
_GRID = 8
_REFINEMENTS = 24
_SHARE_OF_ONE = 2 / 3


def best_temperature(loss_at: Callable[[float], float], refine: bool = True) -> tuple[float, float]:
    """Return the temperature T of least loss, and that loss; refined, it is never above that at T = 1.

    Args:
        loss_at: ``T -> loss`` of the logits divided by T, with a single minimum in between 0.25 and 8.
        refine: by golden sections, to three digits; else by a parabola through the best of a few temperatures.
    """
    grid = np.geomspace(_LOWEST, _HIGHEST, _GRID)
    losses = [loss_at(float(t)) for t in grid]
    best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0
    low, high = math.log(grid[max(best - 1, 0)]), math.log(grid[min(best + 1, _GRID - 1)])
    if not refine:
        return _parabola(loss_at, low, high, float(grid[best]), losses[best])
    ratio = (math.sqrt(5) - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    values = [loss_at(math.exp(each)) for each in inner]
    for _ in range(_REFINEMENTS):
        if values[0] < values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - ratio * (high - low)
            values[0] = loss_at(math.exp(inner[0]))
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + ratio * (high - low)
            values[1] = loss_at(math.exp(inner[1]))
    # The ends of the range are approached but not reached, and the loss may be flat.
    found = {t: loss_at(t) for t in (math.exp((low + high) / 2), float(grid[best]), 1.0)}
    temperature = min(found, key=lambda t: found[t] if math.isfinite(found[t]) else math.inf)
    return temperature, found[temperature]


def temperature_of_all(alone: float, of_some: float, n_some: float, n_all: int) -> float:
    """Return the temperature of the average of ``n_all`` members from those of one and of ``n_some`` of them.

    The average of several members is less bold than each, so what suits the few that have not seen a row would be too
    much for all of them together. Taken as a + b / n for n members; where rows were not seen by unequally many,
    ``n_some`` is the harmonic mean of their numbers, since it is 1 / n that counts. Where each row was not seen by one
    member only, there is nothing to tell b by, and it is taken as two thirds of what ``alone`` is above 1: of four
    members' boldness half is left (measured in benchmarks/LOG.md).
    """
    b = (alone - of_some) / (1 - 1 / n_some) if n_some > 1 else _SHARE_OF_ONE * max(alone - 1, 0.0)
    return max(alone - b * (1 - 1 / n_all), _LOWEST)


def _parabola(
    loss_at: Callable[[float], float], low: float, high: float, middle: float, lowest: float
) -> tuple[float, float]:
    """Return the better of ``middle`` and the vertex of the parabola through the losses at the three."""
    a, b, c = low, math.log(middle), high
    fa, fc = loss_at(math.exp(a)), loss_at(math.exp(c))
    curvature = (b - a) * (lowest - fc) - (b - c) * (lowest - fa)
    if not math.isfinite(curvature) or curvature == 0:
        return middle, lowest
    vertex = b - 0.5 * ((b - a) ** 2 * (lowest - fc) - (b - c) ** 2 * (lowest - fa)) / curvature
    vertex = min(max(vertex, a), c)
    found = loss_at(math.exp(vertex))
    return (math.exp(vertex), found) if found < lowest else (middle, lowest)


def scaled(outputs: Tensor, temperature: float) -> Tensor:
    """Return logits divided by ``temperature``."""
    return outputs if temperature == 1 else outputs / temperature


def loss_alone(each: Tensor, counted: Tensor, rows: Rows, loss: Loss) -> float:
    """Return the mean loss of single members, (n, h, k), on the rows that they have not seen.

    Every row counts as much as any other, by however many members it was not seen: ``counted`` (n, h).
    """
    h = each.shape[1]
    values = loss.per_row(each.flatten(0, 1), rows.target.repeat_interleave(h, dim=0)).view(-1, h)
    weights = counted / counted.sum(1, keepdim=True)
    if rows.weights is not None:
        weights = weights * rows.weights[:, None]
    return float((values * weights).sum() / weights.sum())


def calibration_curve(
    y: Array, probabilities: Array, bins: int = 15, weights: Array | None = None
) -> dict[str, list[float]]:
    """Return, for each bin of the probability of the predicted class, how many rows, how sure, and how often right.

    Args:
        y: class codes (n,).
        probabilities: (n, k).
        bins: of equal width from 0 to 1; empty ones are left out.
        weights: of the rows, (n,), which then count by them; ``None``: each counts as 1.
    """
    confidence, right = _confidence(y, probabilities)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(which, w, bins)
    there = np.flatnonzero(rows)
    return {
        "rows": rows[there].tolist(),
        "confidence": (np.bincount(which, w * confidence, bins)[there] / rows[there]).tolist(),
        "accuracy": (np.bincount(which, w * right, bins)[there] / rows[there]).tolist(),
    }


def calibration_error(y: Array, probabilities: Array, bins: int = 15, weights: Array | None = None) -> float:
    """Return the expected calibration error: the mean over rows of |how sure - how often right| of the row's bin.

    Source: Guo et al. 2017, eq. 3. Arguments as in ``calibration_curve``. It is above 0 by chance, the more so the
    fewer the rows: compare with ``calibration_error_of_perfect``.
    """
    curve = {name: np.array(values) for name, values in calibration_curve(y, probabilities, bins, weights).items()}
    return float((curve["rows"] * abs(curve["confidence"] - curve["accuracy"])).sum() / curve["rows"].sum())


def calibration_error_of_perfect(
    probabilities: Array, rng: np.random.Generator, bins: int = 15, draws: int = 100, weights: Array | None = None
) -> float:
    """Return the mean calibration error of a model for whose rows the classes are drawn from its own probabilities.

    Arguments as in ``calibration_curve``; ``draws`` is how often classes are drawn for all rows.
    """
    cumulative = np.cumsum(probabilities, axis=1)
    errors = []
    for _ in range(draws):
        drawn = (rng.random(len(cumulative))[:, None] > cumulative[:, :-1]).sum(axis=1)
        errors.append(calibration_error(drawn, probabilities, bins, weights))
    return float(np.mean(errors))


def _confidence(y: Array, probabilities: Array) -> tuple[Array, Array]:
    predicted = probabilities.argmax(axis=1)
    return probabilities[np.arange(len(y)), predicted], (predicted == y).astype(np.float64)
