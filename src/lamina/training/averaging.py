"""The running mean of the weights over the steps (EMA), which is less noisy than the weights of any one step."""

from torch import Tensor


def average_in(averaged: Tensor | None, weights: Tensor, decay: float, n_steps: int) -> Tensor:
    """Return the mean after a step: decay times the mean so far plus (1 - decay) times the weights as they are now.

    The decay is at most (1 + t) / (10 + t) after t steps, so that the initial weights are soon forgotten (the schedule
    of TensorFlow's ``ExponentialMovingAverage``).

    Args:
        averaged: changed in place; ``None`` before the first step.
        weights: everything in the network that is a number with a fraction, (N,).
        decay: share of the mean so far, from 0 to 1.
        n_steps: steps before this one.
    """
    if averaged is None:
        return weights.clone()
    return averaged.lerp_(weights, 1 - min(decay, (1 + n_steps) / (10 + n_steps)))


def exchange(weights: Tensor, averaged: Tensor | None) -> None:
    """Put the mean into the weights and the weights in its place; done twice, nothing has changed."""
    if averaged is None:
        return
    kept = weights.clone()
    weights.copy_(averaged)
    averaged.copy_(kept)
