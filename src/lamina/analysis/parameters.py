"""How many numbers a model learns, layer by layer, and how they are counted."""

from dataclasses import dataclass

from lamina.model import Model
from lamina.network.mlp import LayerSummary


@dataclass(frozen=True)
class ParameterCount:
    """The parameters of a model.

    Attributes:
        parts: one record for the inputs, each part of each layer, and the output, in the order of ``Model.summary()``;
            the ``formula`` of each is the count written out, as in ``784 x 256 + 256``; "" where nothing is learned.
        total: their sum.
    """

    parts: tuple[LayerSummary, ...]
    total: int

    @property
    def by_layer(self) -> dict[str, int]:
        """The counts by layer: ``inputs``, ``hidden 1``, ..., ``output``."""
        counts: dict[str, int] = {}
        for part in self.parts:
            counts[part.name] = counts.get(part.name, 0) + part.n_parameters
        return counts

    def __str__(self) -> str:
        learning = [part for part in self.parts if part.n_parameters]
        lines = [f"{part.name} ({part.kind}): {part.formula} = {part.n_parameters:,}" for part in learning]
        return "\n".join([*lines, f"total: {self.total:,}"])


def parameter_count(model: Model) -> ParameterCount:
    """Return how many numbers ``model`` learns; the counts are those that ``model.summary()`` prints.

    The running statistics of a batch normalization are measured and not learned, and do not count.

    Example:
        >>> import lamina
        >>> model = lamina.prepare("iris", hidden_units=(5,), numeric="standard").current()
        >>> print(parameter_count(model))
        hidden 1 (affine): 4 x 5 + 5 = 25
        output (affine): 5 x 3 + 3 = 18
        total: 43
    """
    parts = tuple(model.network.summary())
    return ParameterCount(parts, sum(part.n_parameters for part in parts))
