"""Products in bfloat16 where the processor multiplies it faster than float32; weights and all else stay float32."""

import torch
from torch import Tensor

# Below so many multiplications a product, converting its operands costs more than it saves; and the small layers of
# members keep every digit.
LEAST_PRODUCTS = 2**24


class Bfloat16AffineStage:
    """X W + b as ``lamina.training.passes.AffineStage`` has it, operands and results of products rounded to bfloat16.

    Sums are kept in float32 within a product; W, b and their gradients are float32 (Micikevicius et al. 2018, "Mixed
    precision training", section 3.1, for float16).
    """

    def __init__(self, weight: Tensor, bias: Tensor, by_weight: Tensor, by_bias: Tensor, n: int) -> None:
        m, fan_in, fan_out = weight.shape
        self.weight, self.bias, self.by_weight, self.by_bias = weight, bias, by_weight, by_bias
        self.out, self.by_input = weight.new_empty(m, n, fan_out), weight.new_empty(m, n, fan_in)
        self.weight_16, self.by_weight_16 = weight.new_empty(2, m, fan_in, fan_out, dtype=torch.bfloat16)
        self.input_16, self.by_input_16 = weight.new_empty(2, m, n, fan_in, dtype=torch.bfloat16)
        self.out_16, self.by_out_16 = weight.new_empty(2, m, n, fan_out, dtype=torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        self.weight_16.copy_(self.weight)
        torch.bmm(self.input_16.copy_(x), self.weight_16, out=self.out_16)
        return self.out.copy_(self.out_16).add_(self.bias)

    def backward(self, gradient: Tensor) -> Tensor:
        self.backward_to_weights(gradient)
        torch.bmm(self.by_out_16, self.weight_16.transpose(1, 2), out=self.by_input_16)
        return self.by_input.copy_(self.by_input_16)

    def backward_to_weights(self, gradient: Tensor) -> None:
        torch.sum(gradient, 1, keepdim=True, out=self.by_bias)
        torch.bmm(self.input_16.transpose(1, 2), self.by_out_16.copy_(gradient), out=self.by_weight_16)
        self.by_weight.copy_(self.by_weight_16)
