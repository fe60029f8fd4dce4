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
    """

    schema: Schema
    config: Config
    report: Report
    history: Sequence[EpochRecord]
    layers: Sequence[LayerSummary]
    n_layers: int

    @property
    def task(self) -> str:
        """``classification``, ``multilabel`` or ``regression``."""
        return self.schema.target.task

    @property
    def n_parameters(self) -> int:
        """Numbers that were learned."""
        return sum(layer.n_parameters for layer in self.layers)
