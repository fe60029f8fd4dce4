"""A number target on its way to the network and back: transformed, brought to the size of 1, and exactly undone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import weighted_mean_and_deviation
from lamina.errors import DataError
from lamina.registry import Registry

Array = NDArray[Any]
Knots = tuple[tuple[float, ...], tuple[float, ...]]

_MAX_KNOTS = 1000


@dataclass(frozen=True)
class TargetTransform:
    """One transform of a target.

    Attributes:
        name: what a user types.
        formula: for people.
        above: the target's values must be above this.
        forward, inverse: ``(values, knots) -> values``, both (n,) float64.
        source: paper or textbook.
        fit: ``(values, weights) -> knots``, what the two others need to know of the training rows.
    """

    name: str
    formula: str
    above: float
    forward: Callable[[Array, Knots], Array]
    inverse: Callable[[Array, Knots], Array]
    source: str
    fit: Callable[[Array, Array | None], Knots] = lambda values, weights: ((), ())


TRANSFORMS: Registry[TargetTransform] = Registry("target transform")


def _quantile_knots(values: Array, weights: Array | None) -> Knots:
    """Return distinct values and the normal quantiles of their middle ranks, at most a thousand of them."""
    from scipy.special import ndtri

    distinct, position = np.unique(values, return_inverse=True)
    mass = np.bincount(position, weights, len(distinct)).astype(np.float64)
    ranks = (np.cumsum(mass) - mass / 2) / mass.sum()
    if len(distinct) > _MAX_KNOTS:
        chosen = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], _MAX_KNOTS)))
        distinct, ranks = distinct[chosen], ranks[chosen]
    return tuple(distinct.tolist()), tuple(ndtri(ranks).tolist())


TRANSFORMS.register(
    TargetTransform("none", "y", -np.inf, lambda y, knots: y, lambda z, knots: z, "the target as it is")
)
TRANSFORMS.register(
    TargetTransform(
        "log",
        "log(y), for y > 0",
        0.0,
        lambda y, knots: np.log(y),
        lambda z, knots: np.exp(z),
        "Box and Cox 1964, λ = 0",
    )
)
TRANSFORMS.register(
    TargetTransform(
        "log1p", "log(1 + y), for y > -1", -1.0, lambda y, knots: np.log1p(y), lambda z, knots: np.expm1(z),
        "Box and Cox 1964, λ = 0, shifted by 1",
    )
)  # fmt: skip
TRANSFORMS.register(
    TargetTransform(
        "quantile",
        "normal quantile of the rank of y among the training rows, linear between ranks, never beyond their ends",
        -np.inf,
        lambda y, knots: np.interp(y, knots[0], knots[1]),
        lambda z, knots: np.interp(z, knots[1], knots[0]),
        "van der Waerden 1952, normal scores",
        fit=_quantile_knots,
    )
)


@dataclass(frozen=True)
class ColumnScaling:
    """Scaling of one target after its transform: (y - mean) / scale."""

    mean: float
    scale: float
    knots: Knots = ((), ())


@dataclass(frozen=True)
class TargetScaler:
    """From number targets (n, k) to what the network is trained on, and back."""

    transform: str
    columns: tuple[ColumnScaling, ...]
    centred: bool = True

    @classmethod
    def fit(
        cls,
        y: Array,
        weights: Array | None = None,
        *,
        names: Sequence[str] = (),
        transform: str = "none",
        centred: bool = True,
    ) -> "TargetScaler":
        """Return the scaler of training rows.

        Args:
            y: (n, k).
            weights: (n,) or ``None``.
            names: of the targets, for messages.
            transform: a name in ``TRANSFORMS``.
            centred: standardise; else divide by the mean, which needs values of at least 0.

        Raises:
            DataError: a value outside of what the transform, or the division by the mean, allows.
        """
        record = TRANSFORMS[transform]
        _check(y, transform, centred, names)
        columns = []
        for values in y.T:
            knots = record.fit(values, weights)
            values = record.forward(values, knots)
            if centred:
                columns.append(ColumnScaling(*weighted_mean_and_deviation(values, weights), knots))
            else:
                columns.append(ColumnScaling(0.0, float(np.average(values, weights=weights)) or 1.0, knots))
        return cls(transform, tuple(columns), centred)

    def forward(self, y: Array, names: Sequence[str] = ()) -> Array:
        """Return the targets (n, k), called ``names`` in messages, transformed and scaled, as float64.

        Raises:
            DataError: as in ``fit``.
        """
        record = TRANSFORMS[self.transform]
        _check(y, self.transform, self.centred, names)
        scaled = [(record.forward(y[:, i], c.knots) - c.mean) / c.scale for i, c in enumerate(self.columns)]
        return np.stack(scaled, axis=1)

    def inverse(self, values: Array) -> Array:
        """Return what ``forward`` was given, from its result (n, k)."""
        record = TRANSFORMS[self.transform]
        targets = [record.inverse(values[:, i] * c.scale + c.mean, c.knots) for i, c in enumerate(self.columns)]
        return np.stack(targets, axis=1)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {
            "transform": self.transform,
            "columns": [asdict(column) for column in self.columns],
            "centred": self.centred,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TargetScaler":
        """Return the scaler that ``as_json`` described."""
        columns = []
        for column in data["columns"]:
            values, scores = column.get("knots", ((), ()))
            columns.append(ColumnScaling(float(column["mean"]), float(column["scale"]), (tuple(values), tuple(scores))))
        return cls(TRANSFORMS[data["transform"]].name, tuple(columns), bool(data.get("centred", True)))


def _check(y: Array, transform: str, centred: bool, names: Sequence[str] = ()) -> None:
    above = TRANSFORMS[transform].above
    for i, values in enumerate(y.T):
        fits = (values > above) & (centred | (values >= 0))
        if not fits.all():
            name = repr(names[i]) if names else f"number {i + 1}"
            allowed = f"the transform {transform} needs values above {above:g}"
            raise DataError(
                f"the target {name} has {int((~fits).sum())} values such as {values[int(fits.argmin())]:g}, but "
                f"{allowed if centred else 'this loss needs counts, which are at least 0'}; "
                "correct them or choose another."
            )
