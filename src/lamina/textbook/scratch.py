"""Softmax regression and a multilayer perceptron with one hidden layer, from nothing but NumPy.

To be read beside the formulas; ``lamina.fit`` is what to use. Every line has the shapes of what it makes: n rows in a
minibatch, d inputs, h hidden units, q classes. Parameters are lists of arrays, [W, b] or [W1, b1, W2, b2]. A test holds
these gradients against those of the library to ten digits.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parameters = list[Array]


def softmax(logits: Array) -> Array:
    """Return exp(O) / sum of exp(O) by rows, (n, q), for logits O: a shift of a row changes nothing but overflow."""
    E = np.exp(logits - logits.max(axis=1, keepdims=True))  # (n, q), each at most 1
    P: Array = E / E.sum(axis=1, keepdims=True)  # (n, q) / (n, 1)
    return P


def cross_entropy(logits: Array, y: NDArray[np.int64]) -> float:
    """Return the mean over n rows of -log softmax(O)[y], for logits O (n, q) and classes y (n,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)  # (n, q)
    log_sum = np.log(np.exp(shifted).sum(axis=1))  # (n,)
    return float(np.mean(log_sum - shifted[np.arange(len(y)), y]))


def cross_entropy_gradient(logits: Array, y: NDArray[np.int64]) -> Array:
    """Return the derivative of ``cross_entropy`` by the logits O, (n, q): (softmax(O) - one-hot(y)) / n."""
    G = softmax(logits)  # (n, q)
    G[np.arange(len(y)), y] -= 1  # ∂ -log softmax(o)[y] / ∂o_j = softmax(o)_j - [j = y]
    return G / len(y)


# -- Softmax regression: O = X W + b


def softmax_regression(d: int, q: int) -> Parameters:
    """Return [W, b], all 0: the loss is convex, so any start will do."""
    return [np.zeros((d, q)), np.zeros(q)]


def softmax_regression_forward(parameters: Parameters, X: Array) -> Array:
    """Return the logits O (n, q) of rows X (n, d)."""
    W, b = parameters  # (d, q), (q,)
    return X @ W + b  # (n, d)(d, q) + (q,) = (n, q)


def softmax_regression_backward(parameters: Parameters, X: Array, y: NDArray[np.int64]) -> Parameters:
    """Return the derivatives of the loss by W and b, of their shapes."""
    G = cross_entropy_gradient(softmax_regression_forward(parameters, X), y)  # ∂L/∂O (n, q)
    return [X.T @ G, G.sum(axis=0)]  # ∂L/∂W = Xᵀ G: (d, n)(n, q) = (d, q);  ∂L/∂b (q,)


# -- Multilayer perceptron: H = ReLU(X W1 + b1), O = H W2 + b2


def mlp(d: int, h: int, q: int, rng: np.random.Generator) -> Parameters:
    """Return [W1, b1, W2, b2]: random weights, for equal ones would stay equal; He et al. 2015, eq. 10."""
    W1 = rng.normal(0, np.sqrt(2 / d), (d, h))  # the 2 makes up for the half that ReLU sets to 0
    W2 = rng.normal(0, np.sqrt(1 / h), (h, q))
    return [W1, np.zeros(h), W2, np.zeros(q)]


def mlp_forward(parameters: Parameters, X: Array) -> Array:
    """Return the logits O (n, q) of rows X (n, d)."""
    W1, b1, W2, b2 = parameters  # (d, h), (h,), (h, q), (q,)
    H = np.maximum(X @ W1 + b1, 0)  # (n, d)(d, h) + (h,) = (n, h)
    return H @ W2 + b2  # (n, h)(h, q) + (q,) = (n, q)


def mlp_backward(parameters: Parameters, X: Array, y: NDArray[np.int64]) -> Parameters:
    """Return the derivatives of the loss by W1, b1, W2 and b2: the chain rule from the last layer to the first."""
    W1, b1, W2, b2 = parameters
    Z = X @ W1 + b1  # (n, h)
    H = np.maximum(Z, 0)  # (n, h)
    G = cross_entropy_gradient(H @ W2 + b2, y)  # ∂L/∂O (n, q)
    dW2, db2 = H.T @ G, G.sum(axis=0)  # Hᵀ G: (h, n)(n, q) = (h, q);  (q,)
    dH = G @ W2.T  # (n, q)(q, h) = (n, h)
    dZ = dH * (Z > 0)  # ReLU′ is 1 above 0, else 0: (n, h), elementwise
    return [X.T @ dZ, dZ.sum(axis=0), dW2, db2]  # Xᵀ dZ: (d, n)(n, h) = (d, h);  (h,)


# -- Minibatch stochastic gradient descent


def minibatches(n: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the positions of the rows of each minibatch: every row once, in a new order."""
    order = rng.permutation(n)
    for start in range(0, n, size):
        yield order[start : start + size]


def train(
    parameters: Parameters,
    X: Array,
    y: NDArray[np.int64],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    rng: np.random.Generator,
) -> list[float]:
    """Change ``parameters`` in place, θ ← θ - η ∂L/∂θ for each minibatch, and return the loss after each epoch.

    Args:
        parameters: of ``softmax_regression`` (two arrays) or ``mlp`` (four).
        X: rows (n, d), of numbers around the size of 1.
        y: classes (n,), 0 to q - 1.
        epochs: passes over all rows.
        learning_rate: η.
        batch_size: rows in a minibatch; the last one of an epoch may have fewer.
        rng: of the order of the rows.
    """
    forward, backward = _functions(parameters)
    losses = []
    for _ in range(epochs):
        for rows in minibatches(len(X), batch_size, rng):
            for parameter, gradient in zip(parameters, backward(parameters, X[rows], y[rows]), strict=True):
                parameter -= learning_rate * gradient
        losses.append(cross_entropy(forward(parameters, X), y))
    return losses


def _functions(parameters: Parameters) -> tuple[Callable[..., Array], Callable[..., Parameters]]:
    if len(parameters) == 2:
        return softmax_regression_forward, softmax_regression_backward
    return mlp_forward, mlp_backward


def predict(parameters: Parameters, X: Array) -> NDArray[np.int64]:
    """Return the likeliest class of each row, (n,): softmax keeps the order, so the logits tell."""
    forward, _ = _functions(parameters)
    likeliest: NDArray[np.int64] = forward(parameters, X).argmax(axis=1)
    return likeliest
