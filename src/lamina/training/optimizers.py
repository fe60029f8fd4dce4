"""Optimizers by name: torch's own, fused where torch can, with defaults that suit the recipe."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from lamina.registry import Registry


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Attributes:
        name: what a user types.
        formula: for people.
        learning_rate, weight_decay: defaults, where neither the user nor the recipe chooses.
        make: ``(parameter groups, learning_rate, momentum) -> torch optimizer``.
        source: paper.
    """

    name: str
    formula: str
    learning_rate: float
    weight_decay: float
    make: Callable[[list[dict[str, object]], float, float], torch.optim.Optimizer]
    source: str


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the network's parameters in two groups: matrices, which decay, and the rest, which do not.

    Biases, the numbers of a normalization and the learned numbers of activations do not decay: a pReLU would be pulled
    to a ReLU (He et al. 2015, section 2.1).
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in network.parameters():
        (matrices if parameter.ndim > 1 else others).append(parameter)
    groups: Iterable[tuple[list[nn.Parameter], float]] = ((matrices, weight_decay), (others, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def _adamw(groups: list[dict[str, object]], learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    # β2 = 0.95 instead of 0.999: a tenth of the steps to forget, which short runs need (Holzmüller et al. 2024).
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def _sgd(groups: list[dict[str, object]], learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)


OPTIMIZERS.register(
    Optimizer(
        name="adamw",
        formula="Adam with decoupled weight decay, β = (0.9, 0.95)",
        learning_rate=2e-3,
        weight_decay=1e-2,
        make=_adamw,
        source="Loshchilov and Hutter 2019, algorithm 2",
    )
)
OPTIMIZERS.register(
    Optimizer(
        name="sgd",
        formula="v <- μ v + g; w <- w - η (g + μ v)",
        learning_rate=5e-2,
        weight_decay=1e-5,
        make=_sgd,
        source="Sutskever et al. 2013, eqs. 3 and 4",
    )
)
