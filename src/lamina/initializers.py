"""Initial weights: rules for the spread of a weight matrix from its fan-in, its fan-out and the gain of what follows.

``"auto"`` in the configuration takes the rule that the activation's own record names.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lamina.registry import Registry


@dataclass(frozen=True)
class Initializer:
    """One rule.

    Attributes:
        name: what a user types.
        formula: for people.
        fill: ``(weight, gain, generator) -> None`` fills ``weight``, of shape (fan_in, fan_out), in place.
        source: paper and equation.
    """

    name: str
    formula: str
    fill: Callable[[Tensor, float, torch.Generator], None]
    source: str


INITIALIZERS: Registry[Initializer] = Registry("initializer")


def _he(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    fan_in = weight.shape[0]
    weight.normal_(0.0, gain / math.sqrt(fan_in), generator=generator)


def _xavier(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    fan_in, fan_out = weight.shape
    bound = math.sqrt(6 / (fan_in + fan_out))
    weight.uniform_(-bound, bound, generator=generator)


def _lecun(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    fan_in = weight.shape[0]
    weight.normal_(0.0, 1 / math.sqrt(fan_in), generator=generator)


INITIALIZERS.register(Initializer("he", "N(0, gain^2 / fan_in)", _he, "He et al. 2015, eqs. 10 and 15"))
INITIALIZERS.register(
    Initializer("xavier", "U(±sqrt(6 / (fan_in + fan_out)))", _xavier, "Glorot and Bengio 2010, eq. 16")
)
INITIALIZERS.register(Initializer("lecun", "N(0, 1 / fan_in)", _lecun, "LeCun et al. 1998, section 4.6"))
