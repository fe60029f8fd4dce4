"""Loss functions: per-row values, the gradient at the network's outputs, and the map from outputs to predictions.

Cross-entropy has one code path for any number of classes. With two, softmax over the logits (z0, z1) gives the second
class the probability sigmoid(z1 - z0): the sigmoid output is the two-class case, not a separate loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lamina.registry import Registry

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Loss:
    """One loss.

    Shapes: ``outputs`` (n, k); ``target`` (n,) int64 class codes for classification, (n, k) for regression.

    Attributes:
        name: what a user types.
        formula: for people.
        task: what kind of target it is for.
        per_row: ``(outputs, target) -> (n,)``.
        gradient: derivative of ``per_row`` by ``outputs``, (n, k), in closed form.
        output_map: ``outputs -> predictions``, (n, k): class probabilities, or the values themselves.
        source: paper or textbook.
    """

    name: str
    formula: str
    task: Task
    per_row: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    output_map: Callable[[Tensor], Tensor]
    source: str


LOSSES: Registry[Loss] = Registry("loss")


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over a minibatch of ``values`` (n,), each times its weight (n,).

    The divisor is the number of rows, not the sum of weights in this minibatch: with weights scaled to mean 1 over the
    whole training set the minibatch loss is an unbiased estimate of the weighted loss, which the other divisor is not.
    """
    return values.mean() if weights is None else (values * weights).mean()


def _cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(outputs, target, reduction="none")


def _cross_entropy_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(outputs, dim=1) - F.one_hot(target, outputs.shape[1]).to(outputs.dtype)


def _softmax(outputs: Tensor) -> Tensor:
    return torch.softmax(outputs, dim=1)


def _squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    return (outputs - target).square().mean(dim=1)


def _squared_error_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    return 2 * (outputs - target) / outputs.shape[1]


def _values(outputs: Tensor) -> Tensor:
    return outputs


LOSSES.register(
    Loss(
        name="cross_entropy",
        formula="-log softmax(z)[y]",
        task="classification",
        per_row=_cross_entropy,
        gradient=_cross_entropy_gradient,
        output_map=_softmax,
        source="Bishop 2006, eqs. 4.108 and 4.109",
    )
)
LOSSES.register(
    Loss(
        name="squared_error",
        formula="(z - y)^2, mean over outputs",
        task="regression",
        per_row=_squared_error,
        gradient=_squared_error_gradient,
        output_map=_values,
        source="Bishop 2006, eq. 3.12",
    )
)
