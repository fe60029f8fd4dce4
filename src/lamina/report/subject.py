"""What a page is about: the parts of a model that it speaks of, without the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from lamina.config import Config
from lamina.data.schema import Schema
from lamina.model_report import Report
from lamina.network.mlp import LayerSummary
from lamina.training.loop import EpochRecord


@dataclass(frozen=True)
class Subject:
    """A model as its page sees it.

    Attributes:
        schema, config, report, history: as in ``lamina.model.Model``.
        layers: a row for each part of each layer.
        n_layers: layers that compute, in each member.
        linear_share: how much a linear model counts beside the members.
    """

    schema: Schema
    config: Config
    report: Report
    history: Sequence[EpochRecord]
    layers: Sequence[LayerSummary]
    n_layers: int
    linear_share: float = 0.0

    @property
    def task(self) -> str:
        """``classification``, ``multilabel`` or ``regression``."""
        return self.schema.target.task

    @property
    def model_name(self) -> str:
        """What the model is called beside its scores."""
        return blend_name("MLP", self.linear_share)

    @property
    def n_parameters(self) -> int:
        """Numbers that were learned."""
        return sum(layer.n_parameters for layer in self.layers)


def blend_name(name: str, linear_share: float) -> str:
    """Return ``name``, or that of its blend with a linear model.

    Example:
        >>> blend_name("MLP", 0.7)
        'MLP with 70% linear'
    """
    return f"{name} with {linear_share:.0%} linear" if linear_share else name
