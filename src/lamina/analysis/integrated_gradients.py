"""Integrated gradients along a straight path, refined where the function bends until the parts add up to the whole."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lamina.data.table import Array

# (n, d) rows of one encoding after another -> (n,).
Function = Callable[[list[Tensor]], Tensor]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_FIRST_INTERVALS = 16
_MAX_INTERVALS = 16_384
_MAX_ROUNDS = 40
_SLICE_POINTS = 1024


@dataclass(frozen=True)
class Path:
    """What ``integrate`` returns.

    Attributes:
        start, end: f at the two ends.
        contributions: (o,), of each owner; they add up to ``end - start - gap``.
        gap: what is not accounted for.
        allowed: the largest gap that was asked for.
        n_gradients: how many gradients were computed.
    """

    start: float
    end: float
    contributions: Array
    gap: float
    allowed: float
    n_gradients: int


def integrate(
    function: Function, start: list[Tensor], end: list[Tensor], owners: list[Tensor], n_owners: int, tolerance: float
) -> Path:
    """Return the integrated gradients of ``function`` from ``start`` to ``end``, summed by owner.

    Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), eq. 1: (x_i - x'_i) ∫ ∂f/∂x_i(x' + t (x - x')) dt over t from 0
    to 1. By their proposition 1 the sum over i is f(x) - f(x').

    NOTE: not by equal steps. That proposition holds on any stretch of the path, so each stretch says what it lacks;
    those that lack most are halved, which closes in on the kinks of ReLUs. Each is integrated by Gauss and Legendre's
    rule with four nodes, exact for polynomials up to degree 7.

    Args:
        function: f of several encodings of a row.
        start, end: one row (1, d_e) for each encoding e, float64.
        owners: by encoding, (d_e,) int64: to whom each number belongs, 0 to ``n_owners`` - 1.
        n_owners: o.
        tolerance: largest gap, as a share of |f(x) - f(x')|; where that is next to nothing, of a millionth of |f|.
    """
    steps = [b - a for a, b in zip(start, end, strict=True)]

    def values(t: Array) -> Array:
        with torch.no_grad():
            return np.concatenate([function(_points(start, steps, part)).numpy() for part in _slices(t)])

    def rates(t: Array) -> Array:
        """Return the derivative of f by t that is due to each owner, (n, o)."""
        found = []
        for part in _slices(t):
            points = [each.requires_grad_() for each in _points(start, steps, part)]
            result = torch.zeros(len(part), n_owners, dtype=torch.float64)
            gradients = torch.autograd.grad(function(points).sum(), points)
            for gradient, step, owner in zip(gradients, steps, owners, strict=True):
                result.index_add_(1, owner, gradient * step)
            found.append(result.numpy())
        return np.concatenate(found)

    def over(left: Array, right: Array) -> Array:
        """Return the integral of ``rates`` over each interval, (m, o)."""
        nodes = (left + right)[:, None] / 2 + (right - left)[:, None] / 2 * _NODES
        each = rates(nodes.ravel()).reshape(len(left), len(_NODES), n_owners)
        return np.asarray(np.einsum("mqo,q->mo", each, _WEIGHTS / 2) * (right - left)[:, None])

    edges = np.linspace(0, 1, _FIRST_INTERVALS + 1)
    at_edges = values(edges)
    first, last = float(at_edges[0]), float(at_edges[-1])
    allowed = tolerance * max(abs(last - first), 1e-6 * (abs(first) + abs(last)), 1e-12)
    left, right, low, high = edges[:-1], edges[1:], at_edges[:-1], at_edges[1:]
    parts = over(left, right)
    n_gradients = len(left) * len(_NODES)
    for _ in range(_MAX_ROUNDS):
        gaps = high - low - parts.sum(axis=1)
        # The first: errors of opposite sign must not pass for none.
        if np.abs(gaps).sum() <= 10 * allowed and abs(gaps.sum()) <= allowed:
            break
        split = np.abs(gaps) > allowed / (2 * len(gaps))
        if len(gaps) + split.sum() > _MAX_INTERVALS:
            break
        middle = (left[split] + right[split]) / 2
        at_middle = values(middle)
        new_left, new_right = np.concatenate([left[split], middle]), np.concatenate([middle, right[split]])
        parts = np.concatenate([parts[~split], over(new_left, new_right)])
        n_gradients += len(new_left) * len(_NODES)
        low, high = (
            np.concatenate([low[~split], low[split], at_middle]),
            np.concatenate([high[~split], at_middle, high[split]]),
        )
        left, right = np.concatenate([left[~split], new_left]), np.concatenate([right[~split], new_right])
    contributions = parts.sum(axis=0)
    return Path(first, last, contributions, last - first - float(contributions.sum()), allowed, n_gradients)


def _points(start: list[Tensor], steps: list[Tensor], t: Array) -> list[Tensor]:
    t_column = torch.from_numpy(np.ascontiguousarray(t))[:, None]
    return [a + t_column * step for a, step in zip(start, steps, strict=True)]


def _slices(t: Array) -> list[Array]:
    return [t[i : i + _SLICE_POINTS] for i in range(0, len(t), _SLICE_POINTS)]
