"""Activation functions: each with its closed-form derivative, its kinks, its gain, its formula and its source.

An activation is one ``Activation`` record in ``ACTIVATIONS``. The derivative here is what plots draw and what the
analysis reads; tests compare it with autograd and with central differences in float64.

The functions themselves are in ``lamina.activation_functions``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lamina import activation_functions as fn
from lamina.errors import ConfigError
from lamina.registry import Registry


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
class InPlace:
    """The same function where no memory is to be allocated, for one whose derivative follows from its value.

    Attributes:
        function: ``x -> y`` in the memory of x.
        backward: ``(gradient, y) -> gradient * derivative`` in the memory of the gradient.
    """

    function: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


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
        trainable: whether a gradient comes back through it.
        in_place: what the training step may use instead.
        slope: where the function is x for x > 0 and else this times x: what the compiled loops need to know of it.
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
    trainable: bool = True
    in_place: InPlace | None = None
    slope: float | None = None


ACTIVATIONS: Registry[Activation] = Registry("activation")


ACTIVATIONS.register(
    Activation(
        name="identity",
        formula="x",
        derivative_formula="1",
        function=fn.identity,
        derivative=fn.identity_derivative,
        gain=1.0,
        initializer="lecun",
        source="stacked affine layers collapse into one",
        limits=(-math.inf, math.inf),
        piecewise_linear=True,
        slope=1.0,
    )
)
ACTIVATIONS.register(
    Activation(
        name="relu",
        formula="max(x, 0)",
        derivative_formula="1 where x > 0, else 0",
        function=torch.relu,
        derivative=fn.one_where_positive,
        gain=math.sqrt(2),
        initializer="he",
        source="Nair and Hinton 2010; derivative 0 at 0, from the left",
        limits=(0.0, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
        in_place=InPlace(torch.relu_, fn.relu_backward_),
        slope=0.0,
    )
)
ACTIVATIONS.register(
    Activation(
        name="leaky_relu",
        formula=f"max(x, 0) + {fn.LEAKY_SLOPE} min(x, 0)",
        derivative_formula=f"1 where x > 0, else {fn.LEAKY_SLOPE}",
        function=fn.leaky_relu,
        derivative=fn.leaky_relu_derivative,
        gain=math.sqrt(2 / (1 + fn.LEAKY_SLOPE**2)),
        initializer="he",
        source="Maas, Hannun and Ng 2013",
        limits=(-math.inf, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
        slope=fn.LEAKY_SLOPE,
    )
)
ACTIVATIONS.register(
    Activation(
        name="prelu",
        formula="max(x, 0) + α min(x, 0), α learned",
        derivative_formula="1 where x > 0, else α",
        function=fn.prelu,
        derivative=fn.slope_where_negative,
        gain=math.sqrt(2 / (1 + fn.PRELU_INITIAL_SLOPE**2)),
        initializer="he",
        source="He et al. 2015, eqs. 1, 8 and 15",
        limits=(-math.inf, math.inf),
        kinks=(Kink(0.0, "left"),),
        piecewise_linear=True,
        parameter=LearnedParameter(
            name="alpha",
            initial=fn.PRELU_INITIAL_SLOPE,
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
        derivative=fn.sigmoid_derivative,
        gain=1.8462,
        initializer="xavier",
        source="the smooth threshold unit; two-class softmax",
        limits=(0.0, 1.0),
        in_place=InPlace(torch.sigmoid_, fn.sigmoid_backward_),
    ),
    "logistic",
)
ACTIVATIONS.register(
    Activation(
        name="tanh",
        formula="(1 - exp(-2x)) / (1 + exp(-2x))",
        derivative_formula="1 - tanh(x)^2",
        function=torch.tanh,
        derivative=fn.tanh_derivative,
        gain=1.5925,
        initializer="xavier",
        source="LeCun et al. 1998, section 4.4",
        limits=(-1.0, 1.0),
        in_place=InPlace(torch.tanh_, fn.tanh_backward_),
    )
)
ACTIVATIONS.register(
    Activation(
        name="silu",
        formula="x sigmoid(x)",
        derivative_formula="sigmoid(x) (1 + x (1 - sigmoid(x)))",
        function=fn.silu,
        derivative=fn.silu_derivative,
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
        function=fn.gelu,
        derivative=fn.gelu_derivative,
        gain=1.5335,
        initializer="he",
        source="Hendrycks and Gimpel 2016, section 2",
        limits=(0.0, math.inf),
    )
)
ACTIVATIONS.register(
    Activation(
        name="threshold",
        formula="1 where x > 0, else 0",
        derivative_formula="0",
        function=fn.threshold,
        derivative=fn.threshold_derivative,
        gain=math.sqrt(2),
        initializer="lecun",
        source="McCulloch and Pitts 1943; gradient descent cannot train it",
        limits=(0.0, 1.0),
        kinks=(Kink(0.0, "left"),),
        trainable=False,
    )
)
ACTIVATIONS.register(
    Activation(
        name="elu",
        formula="x where x > 0, else exp(x) - 1",
        derivative_formula="1 where x > 0, else exp(x)",
        function=fn.elu,
        derivative=fn.elu_derivative,
        gain=1.2452,
        initializer="he",
        source="Clevert, Unterthiner and Hochreiter 2016, eq. 15, α = 1",
        limits=(-1.0, math.inf),
    )
)
ACTIVATIONS.register(
    Activation(
        name="selu",
        formula="λ x where x > 0, else λ α (exp(x) - 1); λ = 1.0507, α = 1.6733",
        derivative_formula="λ where x > 0, else λ α exp(x)",
        function=fn.selu,
        derivative=fn.selu_derivative,
        gain=1.0,
        initializer="lecun",
        source="Klambauer et al. 2017, eq. 2",
        limits=(-fn.SELU_SCALE * fn.SELU_ALPHA, math.inf),
        kinks=(Kink(0.0, "left"),),
    )
)
ACTIVATIONS.register(
    Activation(
        name="swish",
        formula="x sigmoid(β x), β learned",
        derivative_formula="s (1 + β x (1 - s)), s = sigmoid(β x)",
        function=fn.swish,
        derivative=fn.swish_derivative,
        gain=1.6765,
        initializer="he",
        source="Ramachandran, Zoph and Le 2017, section 4",
        limits=(0.0, math.inf),
        parameter=LearnedParameter("beta", 1.0, fn.swish_derivative_by_beta, "x^2 s (1 - s)"),
    )
)
ACTIVATIONS.register(
    Activation(
        name="softplus",
        formula="log(1 + exp(x))",
        derivative_formula="sigmoid(x)",
        function=fn.softplus,
        derivative=fn.softplus_derivative,
        gain=1.0419,
        initializer="he",
        source="Dugas et al. 2001",
        limits=(0.0, math.inf),
    )
)
ACTIVATIONS.register(
    Activation(
        name="mish",
        formula="x tanh(softplus(x))",
        derivative_formula="t + x (1 - t^2) sigmoid(x), t = tanh(softplus(x))",
        function=fn.mish,
        derivative=fn.mish_derivative,
        gain=1.4868,
        initializer="he",
        source="Misra 2019, eq. 1",
        limits=(0.0, math.inf),
    )
)
ACTIVATIONS.register(
    Activation(
        name="hard_tanh",
        formula="min(max(x, -1), 1)",
        derivative_formula="1 where -1 < x < 1, else 0",
        function=fn.hard_tanh,
        derivative=fn.hard_tanh_derivative,
        gain=1.3920,
        initializer="xavier",
        source="Collobert 2004",
        limits=(-1.0, 1.0),
        kinks=(Kink(-1.0, "left"), Kink(1.0, "right")),
        piecewise_linear=True,
    )
)
ACTIVATIONS.register(
    Activation(
        name="softsign",
        formula="x / (1 + |x|)",
        derivative_formula="1 / (1 + |x|)^2",
        function=fn.softsign,
        derivative=fn.softsign_derivative,
        gain=2.3375,
        initializer="xavier",
        source="Glorot and Bengio 2010, section 2",
        limits=(-1.0, 1.0),
    )
)


def register_activation(
    name: str,
    function: Callable[[Tensor], Tensor],
    derivative: Callable[[Tensor], Tensor] | None = None,
    *,
    formula: str = "",
    source: str = "",
    piecewise_linear: bool = False,
) -> Activation:
    """Add an activation of your own, which then works by its name everywhere, and return its record.

    A saved model that uses it needs it registered again before it is loaded.

    Args:
        name: what to type.
        function: elementwise, of any shape and float dtype, made of torch operations.
        derivative: of ``function``; without it autograd gives it.
        formula, source: for people.
        piecewise_linear: whether the function is.

    Raises:
        ConfigError: the name is taken, or the function changes the shape or gives NaN for ordinary numbers.
    """

    def by_autograd(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            y = function(leaf)
            (gradient,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
        return gradient

    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    y = function(z)
    if y.shape != z.shape or not torch.isfinite(y).all():
        raise ConfigError(f"the activation {name!r} must give a finite number for every number, and keep the shape.")
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    second_moment = float(torch.trapezoid(y * y * density, z))
    ends = function(torch.tensor([-math.inf, math.inf], dtype=torch.float64))
    return ACTIVATIONS.register(
        Activation(
            name=name,
            formula=formula or "yours",
            derivative_formula="by autograd" if derivative is None else "yours",
            function=function,
            derivative=by_autograd if derivative is None else derivative,
            gain=1 / math.sqrt(second_moment) if second_moment > 0 else 1.0,
            initializer="he",
            source=source or "yours",
            limits=(float(ends[0]), float(ends[1])),
            piecewise_linear=piecewise_linear,
        )
    )
