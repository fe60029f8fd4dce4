"""How much a linear model counts beside the networks: the share that suits rows which neither has seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.baselines import linear_coefficients
from lamina.config import Config
from lamina.data.encoder import Arrays, Encoder
from lamina.linear_part import LinearPart

Array = NDArray[Any]

# Of more rows networks learn what is linear by themselves, to a percent or two of their loss.
MAX_ROWS = 50_000
_SHARES = np.arange(1, 20) / 20
# A class that a fold has no row of: e^-20 to one.
_ABSENT = -20.0


def suits_linear(config: Config, encoder: Encoder, n_rows: int) -> bool:
    """Return whether a linear model may have a share: beside several networks, of a table, for what it can learn."""
    if not config.linear_share or (config.members or 1) == 1 or not config.hidden_units or n_rows > MAX_ROWS:
        return False
    return config.loss in ("cross_entropy", "squared_error") and not encoder.images and not encoder.blocks


@dataclass(frozen=True)
class Linear:
    """A linear model's outputs for any rows, before it is given a share: weights (d, k) and biases (k,)."""

    encoder: Encoder
    weight: Array
    bias: Array

    @classmethod
    def fitted(cls, encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, n_classes: int) -> "Linear":
        """Return the model of these rows; arguments as in ``lamina.baselines.fit_baselines``."""
        weight, bias = linear_coefficients(encoder, arrays, y, weights, n_classes)
        bias = np.maximum(bias, _ABSENT)
        if n_classes:
            # As logarithms of probabilities but for a number of each row, which a softmax takes no notice of.
            weight, bias = weight - weight.mean(axis=1, keepdims=True), bias - bias.mean()
        return cls(encoder, weight, bias)

    def at(self, share: float) -> LinearPart:
        return LinearPart.of(self.encoder, 1 - share, share * self.weight, share * self.bias)

    def outputs(self, arrays: Arrays) -> Array:
        """Return (n, k)."""
        n = len(next(iter(arrays.values())))
        return self.at(1.0).blended(np.zeros((n, len(self.bias))), arrays)


@dataclass(frozen=True)
class Linears:
    """A linear model of all rows, and where rows were held out by folds, one of the rows outside each fold.

    Attributes:
        share: how much they count beside the networks.
    """

    whole: Linear
    of_folds: Mapping[int, Linear]
    share: float = 0.0

    @classmethod
    def fitted(
        cls, encoder: Encoder, arrays: Arrays, y: Array, weights: Array | None, n_classes: int, folds: Array | None
    ) -> "Linears":
        """Return the models of these rows; ``folds``: that of each row, (n,), or ``None``."""

        def of(rows: Array) -> Linear:
            some = {name: values[rows] for name, values in arrays.items()}
            return Linear.fitted(encoder, some, y[rows], None if weights is None else weights[rows], n_classes)

        numbers = [] if folds is None else np.unique(folds).tolist()
        return cls(of(np.ones(len(y), dtype=bool)), {fold: of(folds != fold) for fold in numbers})

    def unseen(self, arrays: Arrays, folds: Array | None) -> Array:
        """Return what the models say of rows that they have not been fitted on, (n, k)."""
        if folds is None:
            return self.whole.outputs(arrays)
        outputs = np.empty((len(folds), len(self.whole.bias)))
        for fold, linear in self.of_folds.items():
            rows = folds == fold
            if rows.any():
                outputs[rows] = linear.outputs({name: values[rows] for name, values in arrays.items()})
        return outputs

    def blended(self, networks: Array, arrays: Arrays, folds: Array | None) -> Array:
        """Return the networks' outputs (n, k) with the share of the models that have not seen the rows."""
        if not self.share:
            return networks
        return np.asarray((1 - self.share) * networks + self.share * self.unseen(arrays, folds))


def best_share(
    networks: Array,
    linear: Array,
    losses: Callable[[Array], Array],
    weights: Array | None,
    units: Array | None = None,
) -> tuple[float, float, float]:
    """Return the linear model's share, and the mean loss without it and with it.

    The share is 0 where the best one gains less than the standard error of its gain.

    Args:
        networks, linear: outputs (n, k) of rows that neither has seen.
        losses: of outputs (n, k), (n,).
        weights: (n,) or ``None``.
        units: a number for each row, the same for copies of one row, which say no more than the row; (n,) or ``None``.
    """
    without = losses(networks)
    mean = float(np.average(without, weights=weights))
    each = [losses((1 - share) * networks + share * linear) for share in _SHARES]
    means = [float(np.average(values, weights=weights)) for values in each]
    best = int(np.argmin(np.nan_to_num(means, nan=np.inf)))
    gains = without - each[best]
    gain = mean - means[best]
    n = len(gains) if units is None else len(np.unique(units))
    error = np.sqrt(np.average((gains - gain) ** 2, weights=weights) / n)
    return (float(_SHARES[best]), mean, means[best]) if gain > error else (0.0, mean, mean)
