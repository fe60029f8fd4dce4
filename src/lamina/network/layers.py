"""The layers of a multilayer perceptron: affine map, activation, dropout, normalization.

Inputs are minibatches X of shape (n, d), one row an example, as in H = σ(X W + b).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.initializers import INITIALIZERS
from lamina.native import kernels
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
        self._bits: Tensor | None = None
        self._spare: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = self.draw(x.numel(), x.device).view(x.shape) >= self.threshold
        return torch.where(kept, x, 0.0) * (1 / (1 - self.p))

    def draw(self, n: int, device: torch.device) -> Tensor:
        """Return ``n`` random 16-bit numbers (n,), which the next call overwrites; p is met to 1/65,536.

        The first draw since ``train`` was called is the generator's, and what follows it is made from what it was by
        a step of Marsaglia's xorshift in every 64 bits: the generator takes 64 bits at a time one after the other, and
        drawing would cost more than the layer's products.
        """
        n_words = -(-n // 4)
        if self._bits is None or self._spare is None or len(self._bits) < n_words:
            self._bits = torch.empty(n_words, dtype=torch.int64, device=device)
            self._bits.random_(-(2**63), None, generator=self.generator)
            self._spare = torch.empty_like(self._bits)
        else:
            xorshift_(self._bits, self._spare)
        return self._bits.view(torch.int16)[:n]

    def train(self, mode: bool = True) -> Self:
        # So that an epoch depends on the generator alone: training can be resumed before each.
        self._bits = self._spare = None
        return super().train(mode)

    @property
    def threshold(self) -> int:
        """A unit is kept where 16 random bits, read as a number with a sign, are at least this."""
        return round(self.p * 2**16) - 2**15

    def extra_repr(self) -> str:
        return f"{self.p}"


def xorshift_(x: Tensor, spare: Tensor) -> Tensor:
    """Replace each number of ``x``, int64, by the next one of its xorshift sequence (Marsaglia 2003, "Xorshift RNGs").

    With shifts of 13, 7 and 17 all 2^64 - 1 numbers but 0 come in turn; ``spare`` is memory of the same shape.
    """
    if kernels.suits(x):
        return kernels.xorshift_(x)
    x.bitwise_xor_(torch.bitwise_left_shift(x, 13, out=spare))
    torch.bitwise_right_shift(x, 7, out=spare).bitwise_and_(2**57 - 1)  # int64 shifts its sign in
    x.bitwise_xor_(spare)
    return x.bitwise_xor_(torch.bitwise_left_shift(x, 17, out=spare))


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
