"""One training step: forward, loss, backward, clip, update."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lamina.losses import Loss, weighted_mean

Step = Callable[[Mapping[str, Tensor], Tensor, Tensor | None], Tensor]


def make_step(network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, clip_norm: float | None) -> Step:
    """Return ``step(inputs, target, weights) -> loss`` over one minibatch, the loss being that before the update.

    Args:
        network: maps inputs to outputs (n, k).
        loss: compared with the target, and averaged with ``weights`` (n,) or ``None``.
        optimizer: of the network's parameters.
        clip_norm: the gradient of all parameters together is shortened to this Euclidean norm; ``None``: never.
    """
    parameters = list(network.parameters())

    def step(inputs: Mapping[str, Tensor], target: Tensor, weights: Tensor | None) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = weighted_mean(loss.per_row(network(inputs), target), weights)
        torch.autograd.backward(value)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        return value.detach()

    return step
