"""What a model has to beat on the same rows: a constant, and a linear model on standardised columns.

Both minimise the loss that the network minimises, on the training rows only, with the same weights. Of columns with
heavy tails the network sees asinh((x - median) / spread); the linear model is fitted on those, and on the columns
themselves, since a sum of columns is a sum of them as they are.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lamina.data.encoder import Arrays, Encoder, weighted_mean_and_deviation
from lamina.data.target_scaling import TargetScaler
from lamina.losses import LOSSES, Loss

Array = NDArray[Any]
Predictor = Callable[[Arrays], Array]

NAMES = ("linear", "constant")
# The linear model of columns that are not bent, where some are.
STRAIGHT = "straight"
_MAX_ROWS = 100_000
_MAX_ITERATIONS = 100
_DESCENT_ITERATIONS = 300


def fit_baselines(
    encoder: Encoder,
    arrays: Arrays,
    y: Array,
    weights: Array | None,
    n_classes: int,
    rng: np.random.Generator,
    labels: bool = False,
    loss: Loss | None = None,
) -> dict[str, Predictor]:
    """Return a predictor ``arrays -> (n, k)`` for each of ``NAMES``, and for ``STRAIGHT`` where columns are bent.

    Args:
        encoder: what the arrays hold.
        arrays: the training rows, as ``encoder.transform`` returns them.
        y: class codes (n,), or values or labels (n, k).
        weights: (n,) or ``None``; only their ratios count.
        n_classes: 0 for regression and multilabel.
        rng: chooses 100,000 rows where there are more.
        labels: whether ``y`` are labels, 0 or 1.
        loss: of numbers, the one to minimise, bound; ``None``: the squared error.
    """
    loss = LOSSES["squared_error"] if loss is None else loss
    if n_classes:
        frequencies = np.bincount(y, weights, n_classes)
        # Rounded: of balanced classes all are equally probable, and the last digit shall not decide between them.
        constant = np.round(frequencies / frequencies.sum(), 12)[None, :]
    elif labels:
        constant = np.average(y, axis=0, weights=weights)[None, :]
    else:
        constant = _best_constant(y, weights, loss)
    if len(y) > _MAX_ROWS:
        chosen = np.sort(rng.choice(len(y), _MAX_ROWS, replace=False))
        arrays = {name: values[chosen] for name, values in arrays.items()}
        y, weights = y[chosen], None if weights is None else weights[chosen]
    # The penalty of the linear model is that of rows of weight 1.
    weights = None if weights is None else weights / weights.mean()

    def linear(arrays: Arrays) -> Predictor:
        if labels:
            return _linear_labels(encoder, arrays, y, weights)
        return _fit_linear(encoder, arrays, y, weights, n_classes, loss)

    found = {"linear": linear(arrays), "constant": lambda arrays: np.repeat(constant, _n_rows(arrays), axis=0)}
    if any(code.bent for code in encoder.numbers):
        straighten = _straightener(encoder, arrays, weights)
        of_straight = linear(straighten(arrays))
        found[STRAIGHT] = lambda arrays: of_straight(straighten(arrays))
    return found


def _straightener(encoder: Encoder, arrays: Arrays, weights: Array | None) -> Callable[[Arrays], Arrays]:
    """Return what undoes the bending of columns, and standardises them by these training rows."""
    bent = np.array([code.bent for code in encoder.numbers])

    def unbent(arrays: Arrays) -> Array:
        return np.asarray(np.sinh(arrays["numbers"][:, bent].astype(np.float64)))

    mean, deviation = np.transpose([weighted_mean_and_deviation(column, weights) for column in unbent(arrays).T])

    def straighten(arrays: Arrays) -> Arrays:
        numbers = arrays["numbers"].astype(np.float64)
        numbers[:, bent] = (unbent(arrays) - mean) / deviation
        return {**arrays, "numbers": numbers}

    return straighten


def _scaler(y: Array, weights: Array | None, loss: Loss) -> TargetScaler:
    return TargetScaler.fit(y, weights, centred=loss.target_scaling == "standard")


def _best_constant(y: Array, weights: Array | None, loss: Loss) -> Array:
    """Return the numbers of least loss, (1, k), of values (n, k)."""
    scaler = _scaler(y, weights, loss)
    assert loss.constant is not None, "a loss of numbers says which constant minimises it"
    return scaler.inverse(np.array([[loss.constant(values, weights) for values in scaler.forward(y).T]]))


def _fit_linear(
    encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, n_classes: int, loss: Loss
) -> Predictor:
    from scipy.special import softmax

    if not n_classes and loss.name != "squared_error":  # of which there is a closed form
        return _fit_by_descent(encoder, arrays, y, weights, loss)
    weight, bias = linear_coefficients(encoder, arrays, y, weights, n_classes)

    def predict(arrays: Arrays) -> Array:
        outputs = np.asarray(_design(encoder, arrays) @ weight + bias)
        return np.asarray(softmax(outputs, axis=1)) if n_classes else outputs

    return predict


def _fit_by_descent(encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, loss: Loss) -> Predictor:
    """Return the linear model of least mean loss, with the penalty of ``Ridge``, found by L-BFGS."""
    from scipy.optimize import minimize

    design, scaler = _design(encoder, arrays), _scaler(y, weights, loss)
    scaled = torch.from_numpy(scaler.forward(y))
    n, k = scaled.shape
    w = torch.full((n,), 1 / n, dtype=torch.float64) if weights is None else torch.from_numpy(weights / weights.sum())

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        weight, bias = flat[:-k].reshape(-1, k), flat[-k:]
        outputs = torch.from_numpy(np.asarray(design @ weight + bias))
        by_outputs = (loss.gradient(outputs, scaled) * w[:, None]).numpy()
        gradient = np.concatenate([(design.T @ by_outputs + 2 * weight / n).ravel(), by_outputs.sum(axis=0)])
        return float((loss.per_row(outputs, scaled) * w).sum()) + float(np.square(weight).sum()) / n, gradient

    start = np.zeros((design.shape[1] + 1, k))
    if loss.target_scaling == "standard":  # where the outputs are the values; least squares is not far from the best
        start = np.vstack(linear_coefficients(encoder, arrays, scaled.numpy(), weights, 0))
    limits = {"maxiter": _DESCENT_ITERATIONS, "maxfun": 4 * _DESCENT_ITERATIONS}
    best = minimize(value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=limits).x

    def predict(arrays: Arrays) -> Array:
        outputs = np.asarray(_design(encoder, arrays) @ best[:-k].reshape(-1, k) + best[-k:])
        return scaler.inverse(loss.output_map(torch.from_numpy(outputs)).numpy())

    return predict


def linear_coefficients(
    encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, n_classes: int
) -> tuple[Array, Array]:
    """Return weights (d, k) and biases (k,) of a penalised linear model, scikit-learn's with its own defaults.

    The d columns are the standardised numbers, the missing flags, a column for each level of each category, and the
    pixels. Of classes the outputs are logits; a class without a row has the bias -inf. Arguments as in
    ``fit_baselines``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    design = _design(encoder, arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred iterations are enough for a yardstick
        if not n_classes:
            # Ridge takes the design's float32 for the target too, in which 1e200 is infinite and 1e9 has no fractions.
            y = y.reshape(len(y), -1)
            mean, deviation = np.transpose([weighted_mean_and_deviation(values, weights) for values in y.T])
            ridge = Ridge(tol=1e-6).fit(design, (y - mean) / deviation, sample_weight=weights)
            coefficients = np.asarray(ridge.coef_, dtype=np.float64).reshape(y.shape[1], -1)
            return coefficients.T * deviation, ridge.intercept_ * deviation + mean
        weight, bias = np.zeros((design.shape[1], n_classes)), np.full(n_classes, -np.inf)
        present = np.unique(y)
        bias[present] = 0.0
        if len(present) > 1:  # of several folds one may have a single class
            logistic = LogisticRegression(max_iter=_MAX_ITERATIONS).fit(design, y, sample_weight=weights)
            of_two = len(present) == 2  # scikit-learn then has those of the second class alone
            weight[:, present[1:] if of_two else present] = logistic.coef_.T
            bias[present[1:] if of_two else present] = logistic.intercept_
        return weight, bias


def _linear_labels(encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None) -> Predictor:
    """One logistic regression for each label; a constant where training has one value of it only."""
    predictors: list[Predictor] = []
    for label in y.T.astype(np.int64):
        if len(np.unique(label)) < 2:
            share = float(label[0])
            predictors.append(lambda arrays, share=share: np.full((_n_rows(arrays), 2), share))  # type: ignore[misc]
        else:
            predictors.append(_fit_linear(encoder, arrays, label, weights, 2, LOSSES["cross_entropy"]))
    return lambda arrays: np.stack([predict(arrays)[:, 1] for predict in predictors], axis=1)


def _design(encoder: Encoder, arrays: Arrays) -> Any:
    """Return the columns of a linear model: standardised numbers and pixels, missing flags, one column a level."""
    from scipy import sparse

    if "sparse" in arrays:
        return arrays["sparse"]
    parts = [arrays[name] for name in ("numbers", "flags") if name in arrays]
    for i, code in enumerate(encoder.categories):
        codes = arrays["codes"][:, i]
        rows = np.flatnonzero(codes)
        one_hot = (np.ones(len(rows)), (rows, codes[rows] - 1))
        parts.append(sparse.csr_array(one_hot, shape=(len(codes), code.n_codes - 1)))
    start = 0
    for image in encoder.images:
        size = image.width
        pixels = arrays["pixels"][:, start : start + size].astype(np.float32)
        pixels -= image.mean  # in place: of many images each copy counts
        pixels /= image.scale
        parts.append(pixels)
        start += size
    if encoder.categories:
        return sparse.csr_array(sparse.hstack([sparse.csr_array(part) for part in parts]))
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def _n_rows(arrays: Arrays) -> int:
    return int(next(iter(arrays.values())).shape[0])
