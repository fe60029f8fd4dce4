"""What a model has to beat on the same rows: a constant, and a linear model on standardised columns.

Both are scikit-learn's, fitted on the training rows only, with the rows' weights.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import Arrays, Encoder, weighted_mean_and_deviation

Array = NDArray[Any]
Predictor = Callable[[Arrays], Array]

NAMES = ("linear", "constant")
_MAX_ROWS = 100_000
_MAX_ITERATIONS = 100


def fit_baselines(
    encoder: Encoder,
    arrays: Arrays,
    y: Array,
    weights: Array | None,
    n_classes: int,
    rng: np.random.Generator,
    labels: bool = False,
) -> dict[str, Predictor]:
    """Return a predictor ``arrays -> (n, k)`` for each of ``NAMES``.

    Args:
        encoder: what the arrays hold.
        arrays: the training rows, as ``encoder.transform`` returns them.
        y: class codes (n,), or values or labels (n, k).
        weights: (n,) or ``None``.
        n_classes: 0 for regression and multilabel.
        rng: chooses 100,000 rows where there are more.
        labels: whether ``y`` are labels, 0 or 1.
    """
    if n_classes:
        frequencies = np.bincount(y, weights, n_classes)
        constant = (frequencies / frequencies.sum())[None, :]
    else:
        constant = np.average(y, axis=0, weights=weights)[None, :]
    if len(y) > _MAX_ROWS:
        chosen = np.sort(rng.choice(len(y), _MAX_ROWS, replace=False))
        arrays = {name: values[chosen] for name, values in arrays.items()}
        y, weights = y[chosen], None if weights is None else weights[chosen]
    if labels:
        linear = _linear_labels(encoder, arrays, y, weights)
    else:
        linear = _fit_linear(encoder, arrays, y, weights, n_classes)
    return {"linear": linear, "constant": lambda arrays: np.repeat(constant, _n_rows(arrays), axis=0)}


def _fit_linear(encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, n_classes: int) -> Predictor:
    from scipy.special import softmax

    weight, bias = linear_coefficients(encoder, arrays, y, weights, n_classes)

    def predict(arrays: Arrays) -> Array:
        outputs = np.asarray(_design(encoder, arrays) @ weight + bias)
        return np.asarray(softmax(outputs, axis=1)) if n_classes else outputs

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
            predictors.append(_fit_linear(encoder, arrays, label, weights, n_classes=2))
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
