"""The activations' functions, each beside its closed-form derivative.

Both are safe for every finite input and at plus and minus infinity wherever a limit exists, and so is autograd's way
through the function. Where torch's own kernel yields NaN (``silu(-inf)``, ``gelu(+inf)``, ``softsign(inf)``), the limit
is taken instead. Shapes: any; dtypes: any float; a derivative has the shape of its input.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# Beyond this, sigmoid and the normal distribution are 0 or 1 to the last bit, in float64 too.
FAR = 1e3
# The largest power of ten that can be multiplied by a number below 1e8 in float32: stands for infinity in products.
HUGE = 1e30

LEAKY_SLOPE = 0.01
PRELU_INITIAL_SLOPE = 0.25
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def one_where_positive(x: Tensor) -> Tensor:
    # At 0 this is 0, the derivative from the left; NaN stays NaN so that a broken input is not hidden.
    return torch.where(x.isnan(), x, (x > 0).to(x.dtype))


def slope_where_negative(x: Tensor, slope: Tensor | float) -> Tensor:
    positive = one_where_positive(x)
    return positive + slope * (1 - positive)


def relu_backward_(gradient: Tensor, y: Tensor) -> Tensor:
    backward: Tensor = torch.ops.aten.threshold_backward.grad_input(gradient, y, 0, grad_input=gradient)
    return backward


def sigmoid_backward_(gradient: Tensor, y: Tensor) -> Tensor:
    backward: Tensor = torch.ops.aten.sigmoid_backward.grad_input(gradient, y, grad_input=gradient)
    return backward


def tanh_backward_(gradient: Tensor, y: Tensor) -> Tensor:
    backward: Tensor = torch.ops.aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)
    return backward


def identity(x: Tensor) -> Tensor:
    return x


def identity_derivative(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, torch.ones_like(x))


def leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAKY_SLOPE)


def leaky_relu_derivative(x: Tensor) -> Tensor:
    return slope_where_negative(x, LEAKY_SLOPE)


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    # torch's kernel wants a 1-d weight. Written with two clamps, autograd's gradient at 0 would be 1 + alpha.
    return F.prelu(x, alpha.reshape(-1))


def sigmoid_derivative(x: Tensor) -> Tensor:
    # s(x) s(-x), not s(x) (1 - s(x)): 1 - s(x) loses every digit for large x.
    return torch.sigmoid(x) * torch.sigmoid(-x)


def tanh_derivative(x: Tensor) -> Tensor:
    # 1 - tanh(x)^2 = 4 s(2x) s(-2x), from tanh(x) + 1 = 2 s(2x); free of cancellation.
    return 4 * sigmoid_derivative(2 * x)


def identity_far_right(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    # For functions with f(x) = x far to the right and 0 far to the left. The clamp keeps inf * 0 = NaN out of both the
    # value and autograd's backward pass, which multiplies by the derivative also where `where` chose the other branch.
    return torch.where(x > FAR, x, function(x.clamp(-FAR, FAR)))


def silu(x: Tensor) -> Tensor:
    return identity_far_right(x, F.silu)


def silu_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-FAR, FAR)
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def gelu(x: Tensor) -> Tensor:
    return identity_far_right(x, F.gelu)


def gelu_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-FAR, FAR)
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    distribution: Tensor = torch.special.ndtr(x)
    return distribution + x * density


def threshold(x: Tensor) -> Tensor:
    # sign(relu(x)) is 1 where x > 0, and autograd knows its derivative, 0; a comparison would cut the graph.
    return torch.where(x.isnan(), x, torch.sign(torch.relu(x)))


def threshold_derivative(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, torch.zeros_like(x))


def elu(x: Tensor) -> Tensor:
    return F.elu(x)


def elu_derivative(x: Tensor) -> Tensor:
    return torch.exp(x.clamp(max=0))


def selu(x: Tensor) -> Tensor:
    return F.selu(x)


def selu_derivative(x: Tensor) -> Tensor:
    positive = one_where_positive(x)
    return SELU_SCALE * (positive + (1 - positive) * SELU_ALPHA * torch.exp(x.clamp(max=0)))


def swish(x: Tensor, beta: Tensor) -> Tensor:
    z = x.clamp(-HUGE, HUGE)
    return torch.where(x > HUGE, x, z * torch.sigmoid(beta * z))


def swish_derivative(x: Tensor, beta: Tensor) -> Tensor:
    z = x.clamp(-HUGE, HUGE)
    return torch.sigmoid(beta * z) * (1 + beta * z * torch.sigmoid(-beta * z))


def swish_derivative_by_beta(x: Tensor, beta: Tensor) -> Tensor:
    z = x.clamp(-HUGE, HUGE)
    # In this order each factor stays finite: z * z would overflow.
    return (z * torch.sigmoid(beta * z)) * (z * torch.sigmoid(-beta * z))


def softplus(x: Tensor) -> Tensor:
    # torch's default goes over to the identity at 20, where exp(-20) is still seen in float64.
    return F.softplus(x, threshold=40.0)


def softplus_derivative(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def mish(x: Tensor) -> Tensor:
    return identity_far_right(x, F.mish)


def mish_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-FAR, FAR)
    t = torch.tanh(softplus(x))
    return t + x * (1 - t * t) * torch.sigmoid(x)


def hard_tanh(x: Tensor) -> Tensor:
    return F.hardtanh(x)


def hard_tanh_derivative(x: Tensor) -> Tensor:
    # 0 at -1 and 1 themselves: the derivatives from outside.
    return torch.where(x.isnan(), x, (x.abs() < 1).to(x.dtype))


def softsign(x: Tensor) -> Tensor:
    return F.softsign(x.clamp(-HUGE, HUGE))


def softsign_derivative(x: Tensor) -> Tensor:
    return 1 / (1 + x.abs()) ** 2
