"""Activation functions: each with its closed-form derivative, its kinks, its gain, its formula and its source.

An activation is one ``Activation`` record in ``ACTIVATIONS``. The derivative here is what plots draw and what the
analysis reads; tests compare it with autograd and with central differences in float64.

Both functions are safe for every finite input and at plus and minus infinity wherever a limit exists. Where torch's own
kernel yields NaN there (``silu(-inf)``, ``gelu(+inf)``), the functions here take the limit instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lamina.registry import Registry

# Beyond this, sigmoid and the normal distribution are 0 or 1 to the last bit, in float64 too.
_FAR = 1e3


@dataclass(frozen=True)
class Kink:
    """A point where the function has no derivative; the declared one is that of ``side``."""

    at: float
    side: Literal["left", "right"]


@dataclass(frozen=True)
class LearnedParameter:
    """A number inside an activation that training adjusts (one per layer, or one per unit).

    ``derivative(x, value)`` is the derivative of the activation by this number, of the shape of ``x``.
    """

    name: str
    initial: float
    derivative: Callable[[Tensor, Tensor], Tensor]
    formula: str


@dataclass(frozen=True)
class Activation:
    """One elementwise nonlinearity.

    Attributes:
        name: what a user types.
        formula, derivative_formula: for people.
        function: ``x -> y``, or ``(x, parameter) -> y`` where there is a learned parameter; any shape, any float dtype.
        derivative: of ``function`` by ``x``, with the same arguments and the shape of ``x``.
        gain: 1 / sqrt(E[function(z)^2]) for standard normal z: weights of variance gain^2 / fan_in keep the size of a
            signal from layer to layer (He et al. 2015, eq. 10, for any function).
        initializer: the rule for the weights in front of it, a name in ``lamina.initializers``.
        source: paper and equation.
        kinks: where the derivative jumps, and which side is declared.
        limits: values at minus and plus infinity.
        piecewise_linear: whether a network of it is piecewise linear.
        parameter: the learned parameter, if any.
    """

    name: str
    formula: str
    derivative_formula: str
    function: Callable[..., Tensor]
    derivative: Callable[..., Tensor]
    gain: float
    initializer: str
    source: str
    limits: tuple[float, float]
    kinks: tuple[Kink, ...] = ()
    piecewise_linear: bool = False
    parameter: LearnedParameter | None = None


ACTIVATIONS: Registry[Activation] = Registry("activation")

LEAKY_SLOPE = 0.01
PRELU_INITIAL_SLOPE = 0.25


def _one_where_positive(x: Tensor) -> Tensor:
    # At 0 this is 0, the derivative from the left; NaN stays NaN so that a broken input is not hidden.
    return torch.where(x.isnan(), x, (x > 0).to(x.dtype))


def _slope_where_negative(x: Tensor, slope: Tensor | float) -> Tensor:
    positive = _one_where_positive(x)
    return positive + slope * (1 - positive)


def _identity(x: Tensor) -> Tensor:
    return x


def _identity_derivative(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, torch.ones_like(x))


def _leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAKY_SLOPE)


def _leaky_relu_derivative(x: Tensor) -> Tensor:
    return _slope_where_negative(x, LEAKY_SLOPE)


def _prelu(x: Tensor, alpha: Tensor) -> Tensor:
    # torch's kernel wants a 1-d weight. Written with two clamps, autograd's gradient at 0 would be 1 + alpha.
    return F.prelu(x, alpha.reshape(-1))


def _sigmoid_derivative(x: Tensor) -> Tensor:
    # s(x) s(-x), not s(x) (1 - s(x)): 1 - s(x) loses every digit for large x.
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _tanh_derivative(x: Tensor) -> Tensor:
    # 1 - tanh(x)^2 = 4 s(2x) s(-2x), from tanh(x) + 1 = 2 s(2x); free of cancellation.
    return 4 * _sigmoid_derivative(2 * x)


def _identity_far_right(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    # For functions with f(x) = x far to the right and 0 far to the left. The clamp keeps inf * 0 = NaN out of both the
    # value and autograd's backward pass, which multiplies by the derivative also where `where` chose the other branch.
    return torch.where(x > _FAR, x, function(x.clamp(-_FAR, _FAR)))


def _silu(x: Tensor) -> Tensor:
    return _identity_far_right(x, F.silu)


def _silu_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-_FAR, _FAR)
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def _gelu(x: Tensor) -> Tensor:
    return _identity_far_right(x, F.gelu)


def _gelu_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-_FAR, _FAR)
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    distribution: Tensor = torch.special.ndtr(x)
    return distribution + x * density


ACTIVATIONS.register(
    Activation(
        name="identity",
        formula="x",
        derivative_formula="1",
        function=_identity,
        derivative=_identity_derivative,
        gain=1.0,
        initializer="lecun",
        source="stacked affine layers collapse into one",
        limits=(-math.inf, math.inf),
        piecewise_linear=True,
    )
)
ACTIVATIONS.register(
    Activation(
        name="relu",
        formula="max(x, 0)",
        derivative_formula="1 where x > 0, else 0",
        function=torch.relu,
        derivative=_one_where_positive,
        gain=math.sqrt(2),
        initializer="he",
        source="Nair and Hinton 2010; derivative 0 at 0, from the left",
        limits=(0.0, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
    )
)
ACTIVATIONS.register(
    Activation(
        name="leaky_relu",
        formula=f"max(x, 0) + {LEAKY_SLOPE} min(x, 0)",
        derivative_formula=f"1 where x > 0, else {LEAKY_SLOPE}",
        function=_leaky_relu,
        derivative=_leaky_relu_derivative,
        gain=math.sqrt(2 / (1 + LEAKY_SLOPE**2)),
        initializer="he",
        source="Maas, Hannun and Ng 2013",
        limits=(-math.inf, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
    )
)
ACTIVATIONS.register(
    Activation(
        name="prelu",
        formula="max(x, 0) + α min(x, 0), α learned",
        derivative_formula="1 where x > 0, else α",
        function=_prelu,
        derivative=_slope_where_negative,
        gain=math.sqrt(2 / (1 + PRELU_INITIAL_SLOPE**2)),
        initializer="he",
        source="He et al. 2015, eqs. 1, 8 and 15",
        limits=(-math.inf, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
        parameter=LearnedParameter(
            name="alpha",
            initial=PRELU_INITIAL_SLOPE,
            derivative=lambda x, alpha: x.clamp(max=0),
            formula="min(x, 0)",
        ),
    )
)
ACTIVATIONS.register(
    Activation(
        name="sigmoid",
        formula="1 / (1 + exp(-x))",
        derivative_formula="sigmoid(x) (1 - sigmoid(x))",
        function=torch.sigmoid,
        derivative=_sigmoid_derivative,
        gain=1.8462,
        initializer="xavier",
        source="the smooth threshold unit; two-class softmax",
        limits=(0.0, 1.0),
    )
)
ACTIVATIONS.register(
    Activation(
        name="tanh",
        formula="(1 - exp(-2x)) / (1 + exp(-2x))",
        derivative_formula="1 - tanh(x)^2",
        function=torch.tanh,
        derivative=_tanh_derivative,
        gain=1.5925,
        initializer="xavier",
        source="LeCun et al. 1998, section 4.4",
        limits=(-1.0, 1.0),
    )
)
ACTIVATIONS.register(
    Activation(
        name="silu",
        formula="x sigmoid(x)",
        derivative_formula="sigmoid(x) (1 + x (1 - sigmoid(x)))",
        function=_silu,
        derivative=_silu_derivative,
        gain=1.6765,
        initializer="he",
        source="Elfwing, Uchibe and Doya 2018, eqs. 1 and 3",
        limits=(0.0, math.inf),
    )
)
ACTIVATIONS.register(
    Activation(
        name="gelu",
        formula="x Φ(x), Φ the normal distribution",
        derivative_formula="Φ(x) + x φ(x), φ the normal density",
        function=_gelu,
        derivative=_gelu_derivative,
        gain=1.5335,
        initializer="he",
        source="Hendrycks and Gimpel 2016, section 2",
        limits=(0.0, math.inf),
    )
)
