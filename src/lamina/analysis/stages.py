"""Hidden layers as what they are to a geometer: affine maps with elementwise piecewise-linear functions behind them.

Everything here is NumPy in float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lamina.activations import ACTIVATIONS
from lamina.errors import ConfigError
from lamina.losses import LOSSES
from lamina.model import Model
from lamina.network.layers import Activate
from lamina.network.mlp import MLP

Array = NDArray[Any]

# A pre-activation is on its kink where it is so close to it, in units of the sizes that it was summed from.
ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Elementwise:
    """A continuous piecewise-linear function for each of n units: slope * z + intercept between two kinks.

    Attributes:
        kinks: (K, n), ascending along the first axis; inf where a unit has fewer than K.
        slopes, intercepts: (K + 1, n).
        left: (K,), whether the derivative declared at the kink itself is that from the left.
    """

    kinks: Array
    slopes: Array
    intercepts: Array
    left: tuple[bool, ...]

    @classmethod
    def identity(cls, n: int) -> "Elementwise":
        """Return z -> z for n units."""
        return cls(np.zeros((0, n)), np.ones((1, n)), np.zeros((1, n)), ())

    @property
    def is_affine(self) -> bool:
        """Whether there is no kink."""
        return not len(self.kinks)

    def pieces_at(self, z: Array) -> tuple[Array, Array]:
        """Return slope and intercept, each (m, n), of the piece that each entry of ``z`` (m, n) is in."""
        index = np.zeros(z.shape, dtype=np.intp)
        for kink, left in zip(self.kinks, self.left, strict=True):
            index += (z > kink) if left else (z >= kink)
        units = np.arange(z.shape[1])
        return self.slopes[index, units], self.intercepts[index, units]

    def __call__(self, z: Array) -> Array:
        """Return the values (m, n) at ``z`` (m, n)."""
        slopes, intercepts = self.pieces_at(z)
        return np.asarray(slopes * z + intercepts)


@dataclass(frozen=True)
class Stage:
    """x -> function((x - shift) W + b).

    Attributes:
        weight: W (fan_in, fan_out).
        bias: b (fan_out,).
        function: of (m, fan_out).
        names: of each unit, for people; the column of a unit of the encoding.
        shift: (fan_in,). Taken off before the product: x W - shift W would lose every digit of a large x.
        size: (fan_out,), sum of the absolute values that b was summed from, where it was: how far it may be rounded.
    """

    weight: Array
    bias: Array
    function: Elementwise
    names: tuple[str, ...] = ()
    shift: Array | None = None
    size: Array | float = 0.0

    def affine(self, x: Array) -> Array:
        """Return the pre-activations (m, fan_out) of ``x`` (m, fan_in)."""
        return np.asarray((x if self.shift is None else x - self.shift) @ self.weight + self.bias)

    def noise(self, x: Array) -> Array:
        """Return how far rounding may have moved each of the pre-activations (m, fan_out) of ``x`` (m, fan_in)."""
        length, bias_size = self._sizes
        return np.asarray(ROUNDING * (np.linalg.norm(x, axis=1)[:, None] * length + bias_size))

    @cached_property
    def _sizes(self) -> tuple[Array, Array]:
        return np.linalg.norm(self.weight, axis=0), np.abs(self.bias) + self.size

    def along(self, origin: Array, directions: Array) -> "Stage":
        """Return the stage of p -> origin + p directions, for ``origin`` (fan_in,) and ``directions`` (m, fan_in)."""
        start = origin if self.shift is None else origin - self.shift
        size = np.abs(start) @ np.abs(self.weight) + np.abs(self.bias) + self.size
        bias = start @ self.weight + self.bias
        return replace(self, weight=directions @ self.weight, bias=bias, shift=None, size=size)


def hidden_stages(network: MLP) -> list[Stage]:
    """Return the hidden layers of a float64 network, each with its normalization folded into its affine map.

    Raises:
        ConfigError: a normalization that is not affine, or an activation that is not piecewise linear.
    """
    stages = []
    for i, block in enumerate(network.hidden, start=1):
        parts = parts_of(block)
        if not has_affine_norm(parts):
            raise ConfigError(
                f"the normalization of hidden layer {i} is not piecewise linear; "
                "train with normalization='none' or 'batch'."
            )
        weight, bias = affine_of(parts)
        record = parts["activation"].record
        function = elementwise_of(parts["activation"], len(bias))
        if function is None and record.piecewise_linear:
            raise ConfigError(
                f"the activation {record.name!r} of hidden layer {i} calls itself piecewise linear, but bends or jumps "
                "where its record has no kink; register a lamina.activations.Activation whose kinks name every bend."
            )
        if function is None:
            known = ", ".join(each.name for each in ACTIVATIONS if each.piecewise_linear)
            raise ConfigError(
                f"the activation {record.name!r} of hidden layer {i} is not piecewise linear; "
                f"train with one that is: {known}."
            )
        names = tuple(f"unit {unit} of hidden layer {i}" for unit in range(1, len(bias) + 1))
        stages.append(Stage(weight, bias, function, names))
    return stages


def parts_of(block: nn.Module) -> dict[str, Any]:
    """Return the parts of a hidden block by name: affine, norm, activation, dropout, those that it has."""
    return dict(block.named_children())


def has_affine_norm(parts: Mapping[str, Any]) -> bool:
    """Whether a hidden block, given by its parts, has no normalization or one that is affine in evaluation mode."""
    return "norm" not in parts or isinstance(parts["norm"], nn.BatchNorm1d)


def affine_of(parts: Mapping[str, Any]) -> tuple[Array, Array]:
    """Return weight (fan_in, units) and bias (units,) of a hidden block's affine map and its batch normalization."""
    weight, bias = numpy(parts["affine"].weight), numpy(parts["affine"].bias)
    norm = parts.get("norm")
    if isinstance(norm, nn.BatchNorm1d):
        scale = numpy(norm.weight) / np.sqrt(numpy(norm.running_var) + norm.eps)
        return weight * scale, (bias - numpy(norm.running_mean)) * scale + numpy(norm.bias)
    return weight, bias


def elementwise_of(activate: Activate, n: int) -> Elementwise | None:
    """Return the pieces of an activation of ``n`` units, read off its record; ``None`` where it is not made of them."""
    record = activate.record
    if not record.piecewise_linear:
        return None
    kinks = sorted(record.kinks, key=lambda kink: kink.at)
    at = [kink.at for kink in kinks]
    inside = [at[0] - 1, *((low + high) / 2 for low, high in pairwise(at)), at[-1] + 1] if at else [0.0]
    parameter = () if activate.parameter is None else (activate.parameter.detach().double(),)

    def at_all(values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float64)[:, None].repeat(1, n)

    probes = at_all(inside)
    slopes = record.derivative(probes, *parameter).detach().numpy()
    intercepts = record.function(probes, *parameter).detach().numpy() - slopes * probes.numpy()
    pieces = Elementwise(
        np.repeat(np.array(at).reshape(-1, 1), n, axis=1), slopes, intercepts, tuple(k.side == "left" for k in kinks)
    )
    check = at_all([*at, *np.linspace(-8, 8, 1601), -1e3, 1e3])
    wanted = record.function(check, *parameter).detach().numpy()
    # A record of the user's own may call itself piecewise linear and not say where it bends.
    return pieces if np.allclose(pieces(check.numpy()), wanted, rtol=1e-12, atol=1e-12) else None


def maps_outputs(model: Model) -> bool:
    """Whether the loss of ``model`` has an output map, such as softmax, other than the identity."""
    probe = torch.linspace(-2, 2, 10, dtype=torch.float64).reshape(2, 5)
    return not torch.equal(LOSSES[model.config.loss].output_map(probe), probe)


def numpy(tensor: Any) -> Array:
    """Return a tensor as a NumPy array in float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())
