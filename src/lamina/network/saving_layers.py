"""Affine maps by kind: the dense one, and two that learn fewer numbers than fan_in times fan_out.

All have a ``weight`` (fan_in, fan_out), composed of what is learned, and a ``bias`` (fan_out,), so that whoever reads a
network need not ask which kind it is.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lamina.errors import ConfigError
from lamina.initializers import INITIALIZERS
from lamina.network.layers import Affine
from lamina.registry import Registry


class PHM(nn.Module):
    """X W + b with W = Σ A_i ⊗ S_i, i = 1, ..., n: parameterized hypercomplex multiplication, for 1/n of the weights.

    Zhang et al. 2021, arXiv 2102.08597, the PHM layer. W consists of n by n blocks, block (a, c) being
    Σ_i A_i[a, c] S_i; the A_i are the multiplication table of a number system of n dimensions, which is learned.
    NOTE: a row of X is an example here, and a column there: their A_i and S_i are the transposes of these.

    Where n does not divide fan_in, the input counts as continued with zeros up to the next multiple; instead, the rows
    of W that these zeros would meet are cut off. The trap: what is learned may then be more than fan_in fan_out / n
    numbers, and for fan_in < n some of A meets nothing.

    Shapes: input (n_rows, fan_in), output (n_rows, fan_out), ``A`` (n, n, n), ``S`` (n, ⌈fan_in / n⌉, fan_out / n),
    ``bias`` (fan_out,).

    Args:
        fan_in, fan_out: widths.
        n: of the Kronecker products; 1 is a dense layer times a learned number.
        initializer, gain, generator, dtype: as in ``Affine``; every entry of W has the distribution of the rule.

    Raises:
        ConfigError: n does not divide fan_out.
    """

    kind = "phm"

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        n: int,
        *,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if fan_out % n:
            below, above = fan_out // n * n, -(-fan_out // n) * n
            near = f"{below} or {above}" if below else f"{above}"
            raise ConfigError(
                f"hidden_units = {fan_out} is no multiple of phm_n = {n}, as the layer phm needs it; "
                f"take {near} units, or another phm_n."
            )
        self.fan_in = fan_in
        rows, columns = -(-fan_in // n), fan_out // n
        drawn = _drawn(fan_in, fan_out, initializer, gain, generator, dtype)
        self.A = nn.Parameter(_polynomials(n).to(dtype))
        self.S = nn.Parameter(drawn.flatten()[: n * rows * columns].reshape(n, rows, columns).clone())
        self.bias = nn.Parameter(torch.zeros(fan_out, dtype=dtype))

    @property
    def weight(self) -> Tensor:
        """W (fan_in, fan_out)."""
        n, rows, columns = self.S.shape
        # One matrix product for all blocks: a step is 2 to 7 times faster than with torch.kron, see benchmarks/LOG.md.
        blocks = (self.A.reshape(n, n * n).T @ self.S.reshape(n, rows * columns)).reshape(n, n, rows, columns)
        return blocks.transpose(1, 2).reshape(n * rows, n * columns)[: self.fan_in]

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)  # x may be sparse

    def extra_repr(self) -> str:
        return f"{self.fan_in} -> {self.bias.shape[0]}, n = {self.S.shape[0]}"


class LowRank(nn.Module):
    """X U V + b: a weight matrix of rank r at most.

    Sainath et al. 2013, "Low-rank matrix factorization for deep neural network training", ICASSP.

    Shapes: input (n, fan_in), output (n, fan_out), ``U`` (fan_in, r), ``V`` (r, fan_out), ``bias`` (fan_out,).

    Args:
        fan_in, fan_out: widths.
        rank: r; lowered to the smaller width, beyond which it gives no matrix that was not there before.
        initializer, gain, generator, dtype: as in ``Affine``; every entry of U V has the variance of the rule.
    """

    kind = "low_rank"

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        rank: int,
        *,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        rank = min(rank, fan_in, fan_out)
        drawn = _drawn(fan_in, fan_out, initializer, gain, generator, dtype)
        # Var((U V)_ij) = r Var(U) Var(V). Var(U) = 1 / fan_in keeps a signal's size on its way through U, and leaves
        # fan_in / r times the rule's variance for V.
        U = torch.empty(fan_in, rank, dtype=dtype).normal_(0, 1 / math.sqrt(fan_in), generator=generator)
        V = drawn.flatten()[: rank * fan_out].reshape(rank, fan_out) * math.sqrt(fan_in / rank)
        self.U, self.V = nn.Parameter(U), nn.Parameter(V)
        self.bias = nn.Parameter(torch.zeros(fan_out, dtype=dtype))

    @property
    def weight(self) -> Tensor:
        """U V (fan_in, fan_out)."""
        return self.U @ self.V

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x @ self.U, self.V)  # x may be sparse

    def extra_repr(self) -> str:
        return f"{self.U.shape[0]} -> {self.bias.shape[0]}, rank {self.U.shape[1]}"


def _drawn(
    fan_in: int, fan_out: int, initializer: str, gain: float, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Return a dense layer's initial weights, (fan_in, fan_out), of which a saving layer takes the first so many.

    So a rule need only be known for a dense matrix, whatever its distribution is.
    """
    weight = torch.empty(fan_in, fan_out, dtype=dtype)
    INITIALIZERS[initializer].fill(weight, gain, generator)
    return weight


def _polynomials(n: int) -> Tensor:
    """Return the multiplication table A (n, n, n) of polynomials modulo t^n + 1; for n = 2 of the complex numbers.

    A_i[a, c] is the factor of t^c in t^a t^i. Every block of W starts as one of the S_i or its negative, which gives
    each entry of W exactly the rule's distribution. NOTE: random A_i, as in other implementations, would leave the n^2
    blocks of one matrix with very different variances: each is a sum over n squares only.
    """
    A = torch.zeros(n, n, n)
    for i in range(n):
        for a in range(n):
            A[i, a, (a + i) % n] = 1.0 if a + i < n else -1.0
    return A


class Make(Protocol):
    """``(fan_in, fan_out, ...) -> module``; each takes what it needs of ``phm_n`` and ``rank``."""

    def __call__(
        self,
        fan_in: int,
        fan_out: int,
        *,
        phm_n: int,
        rank: int,
        initializer: str,
        gain: float,
        generator: torch.Generator,
        dtype: torch.dtype,
    ) -> nn.Module: ...


@dataclass(frozen=True)
class AffineLayer:
    """One kind of affine map of a hidden layer.

    Attributes:
        name: what a user types.
        formula: for people.
        n_parameters: how many numbers it learns, for people.
        make: builds the module, which has ``weight`` (fan_in, fan_out) and ``bias`` (fan_out,).
        source: paper.
    """

    name: str
    formula: str
    n_parameters: str
    make: Make
    source: str


AFFINE_LAYERS: Registry[AffineLayer] = Registry("layer")


def _dense(fan_in: int, fan_out: int, *, phm_n: int, rank: int, **more: Any) -> nn.Module:
    return Affine(fan_in, fan_out, **more)


def _phm(fan_in: int, fan_out: int, *, phm_n: int, rank: int, **more: Any) -> nn.Module:
    return PHM(fan_in, fan_out, phm_n, **more)


def _low_rank(fan_in: int, fan_out: int, *, phm_n: int, rank: int, **more: Any) -> nn.Module:
    return LowRank(fan_in, fan_out, rank, **more)


AFFINE_LAYERS.register(
    AffineLayer("dense", "X W + b", "fan_in fan_out + fan_out", _dense, "every unit sees every input")
)
AFFINE_LAYERS.register(
    AffineLayer(
        "phm",
        "X W + b, W = Σ A_i ⊗ S_i over i = 1, ..., n",
        "n^3 + fan_in fan_out / n + fan_out",
        _phm,
        "Zhang et al. 2021, arXiv 2102.08597, the PHM layer",
    )
)
AFFINE_LAYERS.register(
    AffineLayer("low_rank", "X U V + b", "(fan_in + fan_out) r + fan_out", _low_rank, "Sainath et al. 2013, ICASSP")
)
