"""Optimizers by name: torch's fused kernels, and its L-BFGS, with defaults that suit the recipe."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from lamina.registry import Registry
from lamina.training.fused import FusedOptimizer, Groups

AnyOptimizer = torch.optim.Optimizer | FusedOptimizer


class Make(Protocol):
    """``(parameter groups, learning_rate, ...) -> optimizer``; each takes what it needs of the rest."""

    def __call__(
        self,
        groups: Groups,
        learning_rate: float,
        *,
        momentum: float,
        nesterov: bool,
        betas: tuple[float, float],
        epsilon: float,
        tol: float,
    ) -> AnyOptimizer: ...


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Attributes:
        name: what a user types.
        formula: for people.
        learning_rate, weight_decay, beta_2: defaults, where neither the user nor the recipe chooses.
        make: builds it.
        source: paper.
        decoupled: whether weights decay apart from the gradient (Loshchilov and Hutter 2019); else the decay is an L2
            penalty ½ α ‖W‖² on the loss of a minibatch, divided by its rows, as ``alpha`` is in scikit-learn.
        full_batch: whether a step takes all rows, again and again, as a line search does.
    """

    name: str
    formula: str
    learning_rate: float
    weight_decay: float
    make: Make
    source: str
    beta_2: float = 0.999
    decoupled: bool = False
    full_batch: bool = False


_LINE_SEARCH_EVALUATIONS = 26

OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")


def parameter_groups(network: nn.Module, weight_decay: float) -> Groups:
    """Return the network's parameters in two groups: matrices, which decay, and the rest, which do not.

    Biases, the numbers of a normalization and the learned numbers of activations do not decay: a pReLU would be pulled
    to a ReLU (He et al. 2015, section 2.1).
    """
    matrices, others = split_parameters(network)
    groups: Iterable[tuple[list[nn.Parameter], float]] = ((matrices, weight_decay), (others, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the network's matrices, and its other parameters."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in network.parameters():
        (matrices if parameter.ndim > 1 else others).append(parameter)
    return matrices, others


def _adamw(
    groups: Groups, learning_rate: float, *, betas: tuple[float, float], epsilon: float, **_: object
) -> AnyOptimizer:
    return FusedOptimizer("AdamW", groups, learning_rate, beta1=betas[0], beta2=betas[1], eps=epsilon)


def _adam(
    groups: Groups, learning_rate: float, *, betas: tuple[float, float], epsilon: float, **_: object
) -> AnyOptimizer:
    return FusedOptimizer("Adam", groups, learning_rate, beta1=betas[0], beta2=betas[1], eps=epsilon)


def _sgd(groups: Groups, learning_rate: float, *, momentum: float, nesterov: bool, **_: object) -> AnyOptimizer:
    return FusedOptimizer("SGD", groups, learning_rate, momentum=momentum, nesterov=nesterov and momentum > 0)


def _lbfgs(groups: Groups, learning_rate: float, *, tol: float, **_: object) -> AnyOptimizer:
    # torch's takes one group and no decay: the penalty is in the loss, see ``make_full_batch_step``.
    parameters = [parameter for group in groups for parameter in group["params"]]
    # One iteration a step, so that each is an epoch. torch limits a line search by max_eval, whose default would be 1
    # then: the search would give up at once.
    return torch.optim.LBFGS(
        parameters, lr=learning_rate, max_iter=1, max_eval=_LINE_SEARCH_EVALUATIONS, history_size=10,
        line_search_fn="strong_wolfe", tolerance_grad=tol, tolerance_change=1e-12,
    )  # fmt: skip


OPTIMIZERS.register(
    Optimizer(
        name="adamw",
        formula="Adam with decoupled weight decay, β = (0.9, 0.95)",
        learning_rate=2e-3,
        weight_decay=1e-2,
        make=_adamw,
        source="Loshchilov and Hutter 2019, algorithm 2",
        # Instead of 0.999: a fiftieth of the steps to forget, which short runs need (Holzmüller et al. 2024).
        beta_2=0.95,
        decoupled=True,
    )
)
OPTIMIZERS.register(
    Optimizer(
        name="adam",
        formula="m <- β1 m + (1 - β1) g; v <- β2 v + (1 - β2) g^2; w <- w - η m^ / (sqrt(v^) + ε)",
        learning_rate=2e-3,
        weight_decay=1e-4,
        make=_adam,
        source="Kingma and Ba 2015, algorithm 1",
    )
)
OPTIMIZERS.register(
    Optimizer(
        name="sgd",
        formula="v <- μ v + g; w <- w - η (g + μ v)",
        learning_rate=2e-2,
        weight_decay=1e-4,
        make=_sgd,
        source="Sutskever et al. 2013, eqs. 3 and 4",
    )
)
OPTIMIZERS.register(
    Optimizer(
        name="lbfgs",
        formula="w <- w - η H g over all rows, H from the last 10 steps, η by a strong Wolfe line search",
        learning_rate=1.0,
        weight_decay=1.0,
        make=_lbfgs,
        source="Nocedal and Wright 2006, algorithms 7.5 and 3.5",
        full_batch=True,
    )
)
