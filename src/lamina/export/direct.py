"""From a raw vector to logits in float32, by as many products as there are layers and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import Encoder
from lamina.data.pixel_range import PixelRange
from lamina.data.schema import Schema
from lamina.export.numpy_functions import ACTIVATE
from lamina.export.plan import Plan

Array = NDArray[Any]

# Beyond, (x - mean) / scale = x / scale - mean / scale costs more than three of float32's 24 bits.
_LARGEST_SHIFT = 8.0


@dataclass(frozen=True)
class Direct:
    """A chain of affine maps and activations on one vector.

    Attributes:
        shape: of the vector.
        largest: the length up to which no value of it is clipped.
        pixels: the range of an image's pixels; ``None`` for numbers.
        layers: weight (fan_in, fan_out) and bias (fan_out,), float32, and the activation behind; the last has none.
    """

    shape: tuple[int, ...]
    largest: float
    pixels: PixelRange | None
    layers: tuple[tuple[Array, Array, Callable[[Array], Array] | None], ...]

    def __call__(self, vector: Array) -> Array | None:
        """Return the logits (k,) float32 of ``vector`` (d,).

        ``None`` where a value is missing, enormous, or a pixel of another range.
        """
        if self.pixels is not None and self.pixels.misfit(vector[None])[0]:
            return None
        x = vector if vector.dtype.kind == "f" else vector.astype(np.float32)
        with np.errstate(over="ignore"):
            if not x.dot(x) <= self.largest:  # NaN, too
                return None
        if x.dtype != np.float32:
            x = x.astype(np.float32)
        for weight, bias, activate in self.layers:
            x = x @ weight
            x += bias
            if activate is not None:
                x = activate(x)
        return x


def direct_of(schema: Schema, encoder: Encoder, plan: Plan) -> Direct | None:
    """Return the direct way, or ``None`` where there is none: see ``lamina.export.runtime.Runtime.logits``."""
    (inputs, *others), kinds = plan.inputs, [column.kind for column in schema.features]
    numbers, image = set(kinds) == {"number"}, kinds == ["image"]
    if others or not (numbers or image) or inputs.numbers is not None or inputs.flags or plan.members > 1:
        return None
    if image and encoder.images[0].features != "pixels":
        return None
    if any(block.normalized for block in plan.blocks):
        return None
    if numbers:
        scale = 1 / np.array([code.scale for code in encoder.numbers])
        shift = -np.array([code.mean for code in encoder.numbers]) * scale
        reach = ((1e9 - np.abs(shift)) / scale).min()
    else:
        scale, shift = inputs.pixel_scale, inputs.pixel_shift
        reach = 1e15
    if not np.abs(shift).max() <= _LARGEST_SHIFT or not reach > 0:
        return None
    layers = []
    for block in plan.blocks:
        weight, bias = block.weights[0], block.bias
        if block.scale is not None and block.shift is not None:
            weight, bias = weight * block.scale, bias * block.scale + block.shift
        layers.append((weight, bias, _activation(block.activation, block.parameter)))
    layers.append((plan.output[0], plan.output_bias, None))
    first, bias, activate = layers[0]
    layers[0] = (scale[:, None] * first, bias + shift @ first, activate)
    largest = float(min(reach, 1e15)) ** 2
    pixels = encoder.images[0].pixel_range if image else None
    return Direct(
        (len(scale),), largest, pixels, tuple((_float32(w), _float32(b), activate) for w, b, activate in layers)
    )


def _activation(name: str, parameter: Array | None) -> Callable[[Array], Array] | None:
    if name == "identity":
        return None
    if name == "relu":
        return lambda x: np.maximum(x, 0, out=x)
    function, learned = ACTIVATE[name], None if parameter is None else _float32(parameter)
    return lambda x: function(x, learned)


def _float32(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)
