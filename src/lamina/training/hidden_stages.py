"""What stands between affine maps, by compiled loops: bias or normalization, activation and dropout at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lamina.native import kernels
from lamina.network.layers import Dropout

# The members of a part of a map (``None``: all), their biases (c, 1, units), and the gradient of these.
Biases = Sequence[tuple[slice | None, Tensor, Tensor]]


class HiddenStage:
    """σ(x + b) of (m, n, units), units dropped at random, σ(z) being z for z > 0 and else a share of z.

    Args:
        biases: of all members; none where the map has added its own.
        slope: of σ below 0.
        dropout: of the units; the slope must be 0 then.
    """

    def __init__(self, biases: Biases, slope: float, dropout: Dropout | None) -> None:
        self.slope, self.dropout = slope, dropout
        self.biases: Sequence[tuple[slice | None, Tensor | None, Tensor | None]] = biases or [(None, None, None)]
        self.threshold, self.factor = _of_dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        bits = None if self.dropout is None else draw(self.dropout, x)
        for members, bias, _ in self.biases:
            of_part = bits if bits is None or members is None else bits[:, members]
            kernels.forward_(_of(x, members), bias, self.slope, of_part, self.threshold, self.factor)
        self.output = x
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        for members, _, by_bias in self.biases:
            kernels.backward_(_of(gradient, members), _of(self.output, members), by_bias, self.slope, self.factor)
        return gradient


class NormalizedStage:
    """σ and dropout behind γ (x - mean) / sqrt(variance + ε) + β over the rows of a minibatch.

    Args:
        module: the normalization (Ioffe and Szegedy 2015, section 3).
        slope: of σ below 0; 1 where there is no σ.
        dropout: of the units; the slope must be 0 then.
        like: the stage's input.
    """

    def __init__(self, module: nn.BatchNorm1d, slope: float, dropout: Dropout | None, like: Tensor) -> None:
        self.module, self.slope, self.dropout = module, slope, dropout
        self.threshold, self.factor = _of_dropout(dropout)
        self.out = torch.empty_like(like)
        mean, inverse = like.new_empty(2, module.num_features)
        assert module.running_mean is not None
        assert module.running_var is not None
        assert module.weight.grad is not None
        assert module.bias.grad is not None
        weight = module.weight.detach()
        self.columns = [weight, module.bias.detach(), mean, inverse, module.running_mean, module.running_var]
        self.columns_back = [weight, mean, inverse, module.weight.grad, module.bias.grad]

    def forward(self, x: Tensor) -> Tensor:
        self.input, module = x, self.module
        assert module.momentum is not None
        assert module.num_batches_tracked is not None
        module.num_batches_tracked += 1
        bits = None if self.dropout is None else draw(self.dropout, x)
        return kernels.normalize(
            x, self.out, self.columns, module.momentum, module.eps, self.slope, bits, self.threshold, self.factor,
        )  # fmt: skip

    def backward(self, gradient: Tensor) -> Tensor:
        return kernels.normalize_backward_(gradient, self.out, self.input, self.columns_back, self.slope, self.factor)


def _of(x: Tensor, members: slice | None) -> Tensor:
    return x if members is None else x[members]


def _of_dropout(dropout: Dropout | None) -> tuple[int, float]:
    return (0, 1.0) if dropout is None else (dropout.threshold, 1 / (1 - dropout.p))


def draw(dropout: Dropout, x: Tensor) -> Tensor:
    """Return the random bits (n, m, units) for ``x`` (m, n, units)."""
    m, n, units = x.shape
    return dropout.draw(x.numel(), x.device).view(n, m, units)
