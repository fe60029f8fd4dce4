"""The activations, and what stands behind the last layer, in NumPy.

Each agrees with torch's in float64 to 1e-12; a test goes over all that are registered.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# As in ``lamina.activation_functions``, which imports torch.
LEAKY_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    # exp of what is never positive does not overflow, and small values keep their digits.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x: Array) -> Array:
    # NumPy has no error function; that of the standard library is as exact, and fast enough through an iterator.
    tail = np.fromiter(map(math.erfc, (x / -math.sqrt(2)).ravel().tolist()), np.float64, x.size)
    return x * (tail.reshape(x.shape) / 2)


def elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


# name -> ``(x, parameter) -> y``; ``parameter`` is (1,), (units,), or ``None`` where nothing is learned.
ACTIVATE: dict[str, Callable[[Array, Any], Array]] = {
    "identity": lambda x, _: x,
    "relu": lambda x, _: relu(x),
    "leaky_relu": lambda x, _: np.where(x > 0, x, LEAKY_SLOPE * x),
    "prelu": lambda x, alpha: np.where(x > 0, x, alpha * x),
    "sigmoid": lambda x, _: sigmoid(x),
    "tanh": lambda x, _: np.tanh(x),
    "silu": lambda x, _: x * sigmoid(x),
    "gelu": lambda x, _: gelu(x),
    "threshold": lambda x, _: (x > 0).astype(x.dtype),
    "elu": lambda x, _: elu(x),
    "selu": lambda x, _: selu(x),
    "swish": lambda x, beta: x * sigmoid(beta * x),
    "softplus": lambda x, _: softplus(x),
    "mish": lambda x, _: x * np.tanh(softplus(x)),
    "hard_tanh": lambda x, _: np.clip(x, -1, 1),
    "softsign": lambda x, _: x / (1 + np.abs(x)),
}


def softmax(z: Array) -> Array:
    # As z.max and e.sum, without the time that their wrappers take, which is what counts for one row.
    e = np.exp(z - np.maximum.reduce(z, axis=-1, keepdims=True))
    e /= np.add.reduce(e, axis=-1, keepdims=True)
    return np.asarray(e)


def logsumexp(z: Array, axis: int) -> Array:
    largest = z.max(axis=axis, keepdims=True)
    return np.asarray((largest + np.log(np.exp(z - largest).sum(axis=axis, keepdims=True))).squeeze(axis))


# Of k members' outputs (n, k, m) the outputs (n, m) of their mean prediction: sums of probabilities as sums of
# exponentials, as in ``lamina.losses``.
def _mean_softmax(z: Array) -> Array:
    return logsumexp(z - logsumexp(z, 2)[:, :, None], 1) - math.log(z.shape[1])


def _mean_sigmoid(z: Array) -> Array:
    return logsumexp(-softplus(-z), 1) - logsumexp(-softplus(z), 1)


def _mean_values(z: Array) -> Array:
    return np.asarray(z.mean(axis=1))


def _mean_exponentials(z: Array) -> Array:
    return logsumexp(z, 1) - math.log(z.shape[1])


# What a loss makes of outputs: its output map's name.
OUTPUT_OF_LOSS = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "sigmoid",
    "squared_error": "values",
    "absolute_error": "values",
    "huber": "values",
    "quantile": "values",
    "poisson": "exponential",
}
MEAN: dict[str, Callable[[Array], Array]] = {
    "softmax": _mean_softmax,
    "sigmoid": _mean_sigmoid,
    "values": _mean_values,
    "exponential": _mean_exponentials,
}
OUTPUT_MAP: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "values": lambda z: z,
    "exponential": lambda z: np.exp(z),
}
