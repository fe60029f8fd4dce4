"""Affine maps of a minibatch, forward and backward, for members side by side or one alone."""

import torch
from torch import Tensor

from lamina.native import kernels
from lamina.training.bfloat16 import LEAST_PRODUCTS, Bfloat16AffineStage


class AffineStage:
    """X W + b for members that stand apart: ``weight`` (m, fan_in, fan_out), ``bias`` (m, 1, fan_out).

    Attributes:
        has_bias: whether the bias is added here; if not, the stage behind adds it and makes its gradient.
    """

    def __init__(self, weight: Tensor, bias: Tensor, by_weight: Tensor, by_bias: Tensor, n: int) -> None:
        m, fan_in, fan_out = weight.shape
        self.weight, self.bias, self.by_weight, self.by_bias = weight, bias, by_weight, by_bias
        self.transposed = weight.transpose(1, 2)
        self.out, self.by_input = weight.new_empty(m, n, fan_out), weight.new_empty(m, n, fan_in)
        # Into memory with gaps torch would multiply member by member.
        self.product = by_weight if by_weight.is_contiguous() else torch.empty(by_weight.shape, dtype=weight.dtype)
        self.has_bias = True

    def forward(self, x: Tensor) -> Tensor:
        self.input = x
        torch.bmm(x, self.weight, out=self.out)
        return self.out.add_(self.bias) if self.has_bias else self.out

    def backward(self, gradient: Tensor) -> Tensor:
        self.backward_to_weights(gradient)
        return torch.bmm(gradient, self.transposed, out=self.by_input)

    def backward_to_weights(self, gradient: Tensor) -> None:
        if self.has_bias:
            torch.sum(gradient, 1, keepdim=True, out=self.by_bias)
        torch.bmm(self.input.transpose(1, 2), gradient, out=self.product)
        if self.product is not self.by_weight:
            self.by_weight.copy_(self.product)


class OneAffineStage:
    """The same for one member, as a batch of one product would run on one thread.

    What is without the axis of members is made once: in a small layer it would cost as much as the bias does.
    """

    def __init__(self, weight: Tensor, bias: Tensor, by_weight: Tensor, by_bias: Tensor, n: int) -> None:
        _, fan_in, fan_out = weight.shape
        self.weight, self.bias, self.by_weight, self.by_bias = weight, bias, by_weight, by_bias
        self.matrix, self.transposed, self.by_matrix = weight[0], weight[0].t(), by_weight[0]
        self.vector, self.by_vector = bias[0, 0], by_bias[0, 0]
        self.out, self.by_input = weight.new_empty(1, n, fan_out), weight.new_empty(1, n, fan_in)
        self.by_rows = self.by_input[0]
        self.has_bias = True

    def forward(self, x: Tensor) -> Tensor:
        self.rows = x[0]
        if self.has_bias:
            torch.addmm(self.vector, self.rows, self.matrix, out=self.out[0])
        else:
            torch.mm(self.rows, self.matrix, out=self.out[0])
        return self.out

    def backward(self, gradient: Tensor) -> Tensor:
        by_rows = self._to_weights(gradient)
        torch.mm(by_rows, self.transposed, out=self.by_rows)
        return self.by_input

    def backward_to_weights(self, gradient: Tensor) -> None:
        self._to_weights(gradient)

    def _to_weights(self, gradient: Tensor) -> Tensor:
        by_rows = gradient[0]
        if self.has_bias:
            torch.sum(by_rows, 0, out=self.by_vector)
        torch.mm(self.rows.t(), by_rows, out=self.by_matrix)
        return by_rows


class NarrowAffineStage:
    """The same to few outputs, by compiled loops: a product of matrices is made for more columns."""

    def __init__(self, weight: Tensor, bias: Tensor, by_weight: Tensor, by_bias: Tensor, n: int) -> None:
        m, fan_in, fan_out = weight.shape
        self.weight, self.bias, self.by_weight, self.by_bias = weight, bias, by_weight, by_bias
        self.out, self.by_input = weight.new_empty(m, n, fan_out), weight.new_empty(m, n, fan_in)

    def forward(self, x: Tensor) -> Tensor:
        self.input = x.contiguous()
        return kernels.narrow_forward(self.input, self.weight, self.bias, self.out)

    def backward(self, gradient: Tensor) -> Tensor:
        return kernels.narrow_backward(
            gradient.contiguous(), self.input, self.weight, self.by_input, self.by_weight, self.by_bias
        )


AnyAffine = AffineStage | OneAffineStage | Bfloat16AffineStage


def affine_kind(weight: Tensor, n: int, bfloat16: bool) -> type[AnyAffine]:
    """Return the stage for maps of n rows by ``weight`` (m, fan_in, fan_out), in ``bfloat16`` where they are large."""
    m, fan_in, fan_out = weight.shape
    if bfloat16 and n * fan_in * fan_out >= LEAST_PRODUCTS:
        return Bfloat16AffineStage
    return OneAffineStage if m == 1 else AffineStage
