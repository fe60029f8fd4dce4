"""The activations, and what stands behind the last layer, as ONNX nodes in float64.

ONNX Runtime has no float64 kernel for LeakyRelu, PRelu, Elu, Selu, Softplus, Softsign, Erf; so they are composed here.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.export.numpy_functions import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from lamina.export.onnx_graph import Graph

_Node = Callable[[Graph, str, Any], str]


def _prelu(g: Graph, x: str, alpha: Any) -> str:
    positive, negative = g.add("Relu", x), g.add("Min", x, 0.0)
    return g.add("Add", positive, g.add("Mul", negative, alpha))


def softplus(g: Graph, x: str) -> str:
    """Return max(x, 0) + log(1 + exp(-|x|))."""
    # log(1 + e) loses e below 1e-16, where it is added to 0 or to something greater: an error of 1e-16 at most.
    tail = g.add("Log", g.add("Add", 1.0, g.add("Exp", g.add("Neg", g.add("Abs", x)))))
    return g.add("Add", g.add("Relu", x), tail)


def _elu(g: Graph, x: str, alpha: float = 1.0) -> str:
    negative = g.add("Sub", g.add("Exp", g.add("Min", x, 0.0)), 1.0)
    return g.add("Add", g.add("Relu", x), g.add("Mul", negative, alpha))


def _scaled_complement(z: float) -> float:
    """Return exp(z^2) erfc(z), z >= 0."""
    if z < 20:
        return math.exp(z * z) * math.erfc(z)
    s = 1 / (2 * z * z)  # Abramowitz and Stegun 7.1.23; from here on the sixth term is below 1e-14 of the first
    return (1 - s * (1 - 3 * s * (1 - 5 * s * (1 - 7 * s * (1 - 9 * s))))) / (z * math.sqrt(math.pi))


def _chebyshev_coefficients(degree: int) -> list[float]:
    """Return the Chebyshev series in t = (z - 3) / (z + 3) of exp(z^2) erfc(z), from its values at the nodes."""
    angles = (np.arange(degree + 1) + 0.5) * np.pi / (degree + 1)
    nodes = np.cos(angles)
    values = np.array([_scaled_complement(3 * (1 + t) / (1 - t)) for t in nodes.tolist()])
    series = np.cos(np.outer(np.arange(degree + 1), angles)) @ values * (2 / (degree + 1))
    series[0] /= 2
    return [float(c) for c in series]


def _gelu(g: Graph, x: str) -> str:
    """Return x Φ(x), Φ(-|x|) = erfc(z) / 2, z = |x| / sqrt 2, erfc by a Chebyshev series in (z - 3) / (z + 3)."""
    coefficients = _chebyshev_coefficients(40)
    z = g.add("Div", g.add("Abs", x), math.sqrt(2))
    t = g.add("Div", g.add("Sub", z, 3.0), g.add("Add", z, 3.0))
    twice = g.add("Mul", t, 2.0)
    # Clenshaw's recurrence, b_k = c_k + 2 t b_(k+1) - b_(k+2).
    after, next_ = g.constant(0.0), g.constant(coefficients[-1])
    for c in coefficients[-2:0:-1]:
        b = g.add("Sub", g.add("Add", float(c), g.add("Mul", twice, next_)), after)
        after, next_ = next_, b
    series = g.add("Sub", g.add("Add", float(coefficients[0]), g.add("Mul", t, next_)), after)
    tail = g.add("Mul", g.add("Mul", g.add("Exp", g.add("Neg", g.add("Mul", z, z))), series), 0.5)  # Φ(-|x|)
    # For x < 0 this is x Φ(-|x|); for x > 0, x - x Φ(-|x|); both are max(x, 0) - |x| Φ(-|x|).
    return g.add("Sub", g.add("Relu", x), g.add("Mul", g.add("Abs", x), tail))


def _swish(g: Graph, x: str, beta: Any = 1.0) -> str:
    return g.add("Mul", x, g.add("Sigmoid", g.add("Mul", x, beta)))


ACTIVATE: dict[str, _Node] = {
    "identity": lambda g, x, _: x,
    "relu": lambda g, x, _: g.add("Relu", x),
    "leaky_relu": lambda g, x, _: _prelu(g, x, LEAKY_SLOPE),
    "prelu": _prelu,
    "sigmoid": lambda g, x, _: g.add("Sigmoid", x),
    "tanh": lambda g, x, _: g.add("Tanh", x),
    "silu": lambda g, x, _: _swish(g, x),
    "gelu": lambda g, x, _: _gelu(g, x),
    "threshold": lambda g, x, _: g.cast(g.add("Greater", x, 0.0), "DOUBLE"),
    "elu": lambda g, x, _: _elu(g, x),
    "selu": lambda g, x, _: g.add("Mul", _elu(g, x, SELU_ALPHA), SELU_SCALE),
    "swish": _swish,
    "softplus": lambda g, x, _: softplus(g, x),
    "mish": lambda g, x, _: g.add("Mul", x, g.add("Tanh", softplus(g, x))),
    "hard_tanh": lambda g, x, _: g.add("Clip", x, -1.0, 1.0),
    "softsign": lambda g, x, _: g.add("Div", x, g.add("Add", 1.0, g.add("Abs", x))),
}


# Members' outputs (n, members, k) to those of their mean prediction (n, k); see ``lamina.export.numpy_functions``.
def _mean_softmax(g: Graph, z: str, members: int) -> str:
    each = g.add("LogSoftmax", z, axis=2)
    return g.add("Sub", g.reduce("ReduceLogSumExp", each, 1, keepdims=False), math.log(members))


def _mean_sigmoid(g: Graph, z: str, members: int) -> str:
    yes, no = g.add("Neg", softplus(g, g.add("Neg", z))), g.add("Neg", softplus(g, z))
    sums = [g.reduce("ReduceLogSumExp", each, 1, keepdims=False) for each in (yes, no)]
    return g.add("Sub", *sums)


def _mean_values(g: Graph, z: str, members: int) -> str:
    return g.reduce("ReduceMean", z, 1, keepdims=False)


def _mean_exponentials(g: Graph, z: str, members: int) -> str:
    return g.add("Sub", g.reduce("ReduceLogSumExp", z, 1, keepdims=False), math.log(members))


MEAN: dict[str, Callable[[Graph, str, int], str]] = {
    "softmax": _mean_softmax,
    "sigmoid": _mean_sigmoid,
    "values": _mean_values,
    "exponential": _mean_exponentials,
}
OUTPUT_MAP: dict[str, Callable[[Graph, str], str]] = {
    "softmax": lambda g, z: g.add("Softmax", z, axis=1),
    "sigmoid": lambda g, z: g.add("Sigmoid", z),
    "values": lambda g, z: z,
    "exponential": lambda g, z: g.add("Exp", z),
}


def interpolate(g: Graph, x: str, at: tuple[float, ...], values: tuple[float, ...]) -> str:
    """Return numpy.interp(x, at, values) of x (n, 1): linear between knots that ascend, constant beyond their ends."""
    if len(at) == 1:
        return g.add("Add", g.add("Mul", x, 0.0), values[0])
    knots, heights = np.array(at), np.array(values)
    slopes = np.diff(heights) / np.diff(knots)
    inside = g.add("Clip", x, float(knots[0]), float(knots[-1]))
    # The stretch that x is in: how many inner knots are at or below it.
    below = g.cast(g.add("GreaterOrEqual", inside, knots[None, 1:-1]), "INT64") if len(at) > 2 else ""
    position = g.reduce("ReduceSum", below, 1) if below else g.add("Mul", g.cast(x, "INT64"), g.integers(0))
    left, height, slope = (g.add("Gather", each, position) for each in (knots[:-1], heights[:-1], slopes))
    return g.add("Add", height, g.add("Mul", slope, g.add("Sub", inside, left)))
