"""The running mean of the weights over the steps (EMA), which is less noisy than the weights of any one step."""

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def average_in(averaged: Weights | None, network: nn.Module, decay: float, n_steps: int) -> Weights:
    """Return the mean after a step: decay times the mean so far plus (1 - decay) times the weights as they are now.

    Everything that is a number with a fraction takes part, the statistics of a normalization too. The decay is at most
    (1 + t) / (10 + t) after t steps, so that the initial weights are soon forgotten (the schedule of TensorFlow's
    ``ExponentialMovingAverage``).

    Args:
        averaged: changed in place; ``None`` before the first step.
        network: whose weights are averaged.
        decay: share of the mean so far, from 0 to 1.
        n_steps: steps before this one.
    """
    now = _weights(network)
    if averaged is None:
        return {name: tensor.clone() for name, tensor in now.items()}
    torch._foreach_lerp_(list(averaged.values()), list(now.values()), 1 - min(decay, (1 + n_steps) / (10 + n_steps)))
    return averaged


def exchange(network: nn.Module, averaged: Weights | None) -> None:
    """Put the mean into the network and the network's weights in its place; done twice, nothing has changed."""
    if averaged is None:
        return
    for name, tensor in _weights(network).items():
        kept = tensor.clone()
        tensor.copy_(averaged[name])
        averaged[name].copy_(kept)


def _weights(network: nn.Module) -> Weights:
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
