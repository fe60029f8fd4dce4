"""The layers of a multilayer perceptron: affine map, activation, dropout, normalization.

Inputs are minibatches X of shape (n, d), one row an example, as in H = σ(X W + b).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.initializers import INITIALIZERS
from lamina.registry import Registry


class Affine(nn.Module):
    """X W + b.

    Shapes: input (n, fan_in), output (n, fan_out), ``weight`` (fan_in, fan_out), ``bias`` (fan_out,).

    Args:
        fan_in, fan_out: widths.
        initializer: name of the rule for the initial weights; biases start at 0.
        gain: of the activation behind the layer; see ``lamina.activations.Activation.gain``.
        generator: source of the initial weights.
        dtype: of weight and bias.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        *,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        weight = torch.empty(fan_in, fan_out, dtype=dtype)
        INITIALIZERS[initializer].fill(weight, gain, generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(fan_out, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)  # x may be sparse

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]} -> {self.weight.shape[1]}"


class Activate(nn.Module):
    """An activation by name, with its learned parameter where it has one.

    Shapes: input and output (n, units); ``parameter`` (1,) shared by the layer, or (units,).
    """

    def __init__(self, name: str, units: int, sharing: str = "layer", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.record = ACTIVATIONS[name]
        learned = self.record.parameter
        if learned is None:
            self.register_parameter("parameter", None)
        else:
            n = units if sharing == "unit" else 1
            self.parameter = nn.Parameter(torch.full((n,), learned.initial, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        if self.parameter is None:
            return self.record.function(x)
        return self.record.function(x, self.parameter)

    def extra_repr(self) -> str:
        return self.record.name


class Dropout(nn.Module):
    """Set each unit to 0 with probability ``p`` in training and divide the others by 1 - p (Srivastava et al. 2014).

    Unlike ``torch.nn.Dropout`` it draws from ``generator``, which the training loop sets, and not from torch's global
    source: two fits in one process do not disturb each other, and a fit can be resumed.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        draw(bits, self.generator)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= self.threshold
        return torch.where(kept, x, 0.0) * (1 / (1 - self.p))

    @property
    def threshold(self) -> int:
        """A unit is kept where 16 random bits, read as a number with a sign, are at least this."""
        return round(self.p * 2**16) - 2**15

    def extra_repr(self) -> str:
        return f"{self.p}"


def draw(bits: Tensor, generator: torch.Generator | None) -> None:
    """Fill ``bits``, int64, with random ones.

    16 bits a unit, drawn 64 at a time, take less than half the time of ``bernoulli_``; p is met to 1/65,536.
    """
    bits.random_(-(2**63), None, generator=generator)


def set_dropout_generator(network: nn.Module, generator: torch.Generator) -> None:
    """Make all dropout in ``network`` draw from ``generator``."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator


@dataclass(frozen=True)
class Normalization:
    """One normalization between the affine map and the activation.

    Attributes:
        name: what a user types.
        formula: for people.
        make: ``(units, dtype, members) -> module`` on (n, units), the units of so many networks side by side.
        source: paper.
        across_rows: whether a row's output depends on the other rows of its minibatch in training; it then needs two
            rows at least, and the training loop never makes a minibatch of one for it.
    """

    name: str
    formula: str
    make: Callable[[int, torch.dtype, int], nn.Module]
    source: str
    across_rows: bool


def _layer_norm(units: int, dtype: torch.dtype, members: int) -> nn.Module:
    return nn.LayerNorm(units, dtype=dtype) if members == 1 else nn.GroupNorm(members, units, dtype=dtype)


NORMALIZATIONS: Registry[Normalization] = Registry("normalization")
NORMALIZATIONS.register(
    Normalization(
        "batch",
        "γ (x - mean) / sqrt(variance + ε) + β, mean and variance of a unit over the minibatch",
        lambda units, dtype, members: nn.BatchNorm1d(units, dtype=dtype),
        "Ioffe and Szegedy 2015, algorithm 1",
        across_rows=True,
    )
)
NORMALIZATIONS.register(
    Normalization(
        "layer",
        "γ (x - mean) / sqrt(variance + ε) + β, mean and variance of a row over its units",
        _layer_norm,
        "Ba, Kiros and Hinton 2016, eqs. 3 and 4",
        across_rows=False,
    )
)
