"""Prediction intervals from how far predictions were off on rows that the model had not seen (conformal prediction)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.copies import by_first_row
from lamina.data.encoder import weighted_quantiles
from lamina.errors import ConfigError

Array = NDArray[Any]

_MAX_SCORES = 2001
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ConformalScores:
    """Absolute errors on rows that were held out, ascending, in the network's own unit of the target.

    A new row that is like them is farther off than the ceil((n + 1) c)-th smallest of n errors with a probability of
    1 - c at most, whatever the model (Vovk et al. 2005; Lei et al. 2018, section 2.2). Of rows with weights the
    quantiles are weighted, and new rows are those that the weights stand for (Tibshirani et al. 2019, section 2.1).

    Attributes:
        n: held-out rows; of rows with weights or copies, as many as vouch for as much: (sum w)^2 / sum w^2 (Kish 1965).
        quantiles: for each target, n errors, or 2,001 of them at even steps from the smallest to the largest.
    """

    n: int
    quantiles: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, errors: Array, weights: Array | None = None, units: Array | None = None) -> "ConformalScores":
        """Return the scores of ``errors`` (n, k), targets minus predictions.

        Args:
            errors: (n, k).
            weights: of the rows, (n,), or ``None``.
            units: a number for each row, the same for copies of one row, (n,), or ``None``.
        """
        if weights is None and units is None:
            ordered = np.sort(np.abs(errors), axis=0)
            if len(ordered) > _MAX_SCORES:
                # Rounded up, so that what is left out can only widen an interval.
                ordered = ordered[np.ceil(np.linspace(0, len(ordered) - 1, _MAX_SCORES)).astype(int)]
            return cls(len(errors), tuple(tuple(column.tolist()) for column in ordered.T))
        w = np.ones(len(errors)) if weights is None else weights / weights.max()
        each = w if units is None else np.bincount(by_first_row(units), w)
        n = max(int(each.sum() ** 2 / np.square(each).sum() + _ROUNDING), 1)
        m = min(n, _MAX_SCORES)
        levels = np.arange(1, m + 1) / m if n == m else np.ceil(np.linspace(0, n - 1, m) + 1) / n
        columns = [weighted_quantiles(column, np.minimum(levels, 1.0), w) for column in np.abs(errors).T]
        return cls(n, tuple(tuple(column.tolist()) for column in columns))

    def half_widths(self, coverage: float) -> Array:
        """Return what to add to and subtract from a prediction of each target, (k,), to cover it with ``coverage``.

        Raises:
            ConfigError: a coverage that is not above 0 and below 1, or more than so few held-out rows can vouch for.
        """
        if not 0 < coverage < 1:
            raise ConfigError(f"coverage = {coverage!r}, but it must be above 0 and below 1, such as 0.9.")
        share = np.ceil((self.n + 1) * coverage) / self.n
        if share > 1:
            raise ConfigError(
                f"coverage = {coverage:g} needs more held-out rows than the {self.n} there were; ask for at most "
                f"{self.n / (self.n + 1):.3g}."
            )
        columns = [np.array(column) for column in self.quantiles]
        return np.array([column[max(int(np.ceil(share * len(column))) - 1, 0)] for column in columns])

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {"n": self.n, "quantiles": [list(column) for column in self.quantiles]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ConformalScores":
        """Return the scores that ``as_json`` described."""
        return cls(int(data["n"]), tuple(tuple(map(float, column)) for column in data["quantiles"]))
