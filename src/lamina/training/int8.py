"""The first layer of images in 8-bit integers: pixels are such, and weights and gradients are rounded to them.

A processor with AVX-512 VNNI multiplies 8-bit integers, with exact 32-bit sums, three to four times as fast as float32.
Weights, biases and their gradients stay float32; only the operands of the two products are rounded, a column at a time:
w = s q with q from -126 to 126. The rounding of a gradient is up or down at random, so that it is right on average
(Gupta et al. 2015, "Deep learning with limited numerical precision", section 3.2); that of a weight is to the nearest.
"""

from functools import cache

import torch
from torch import Tensor

from lamina.native import kernels
from lamina.network.embeddings import InputLayer, Inputs
from lamina.network.layers import Dropout

# Below so many multiplications a product, rounding its operands costs more than it saves.
LEAST_PRODUCTS = 2**23
_LEAST_SIDE = 16
_LEVELS = 126.0  # not 127: a number below 1 is added before rounding down, and must not lead to 128
_SMALLEST = 1e-30


def suits_int8(layer: InputLayer, n: int, units: int) -> bool:
    """Return whether the map of ``n`` rows of pixels, all of one scale, to ``units`` is made in integers."""
    if layer.n_pixels != layer.width or layer.kind != "input" or layer.dtype != torch.float32:
        return False
    of_one_kind = all(bool((each == each[0]).all()) for each in (layer.pixel_scale, layer.pixel_shift))
    large = n * layer.width * units >= LEAST_PRODUCTS and min(n, layer.width, units) >= _LEAST_SIDE
    return of_one_kind and large and is_exact(n, layer.width, units)


@cache
def is_exact(n: int, fan_in: int, fan_out: int) -> bool:
    """Return whether torch multiplies uint8 by int8 rightly in products of these sizes, as the two passes need it.

    Older versions refuse it, and without the processor's instructions for it sums overflow.
    """
    largest = torch.full((n, fan_in), 255, dtype=torch.uint8)
    try:
        forward = torch._int_mm(largest, torch.full((fan_in, fan_out), 127, dtype=torch.int8))
        backward = torch._int_mm(largest.t(), torch.full((n, fan_out), -127, dtype=torch.int8))
    except RuntimeError:
        return False
    return bool((forward == 255 * 127 * fan_in).all() and (backward == -255 * 127 * n).all())


class PixelStage:
    """Pixels as they are, (1, n, pixels) uint8; dropout sets some to their mean, which the network sees as 0."""

    learns = False

    def __init__(self, layer: InputLayer, dropout: Dropout, n: int) -> None:
        self.dropout = dropout
        self.scale, self.shift = (float(each[0]) / (1 - dropout.p) for each in (layer.pixel_scale, layer.pixel_shift))
        self.mean = min(max(round(-self.shift / self.scale), 0), 255)
        self.out, self.mask = torch.empty(2, n, layer.width, dtype=torch.uint8)
        self.kept = torch.empty(n, layer.width, dtype=torch.int16)

    def forward(self, inputs: Inputs) -> Tensor:
        pixels = inputs["pixels"]
        if self.dropout.p:
            bits = self.dropout.draw(pixels.numel(), pixels.device).view(pixels.shape)
            if kernels.suits(bits):
                return kernels.drop_pixels(pixels, bits, self.out, self.dropout.threshold, self.mean)[None]
            self.mask.copy_(torch.ge(bits, self.dropout.threshold, out=self.kept))
            # Modulo 256, and several times as fast as torch's masked_fill_.
            pixels = torch.sub(pixels, self.mean, out=self.out).mul_(self.mask).add_(self.mean)
        return pixels[None]

    def backward(self, gradient: Tensor) -> None:
        """Do nothing: pixels learn nothing."""


class PixelAffineStage:
    """(a u + c) W + b of pixels u, for members side by side in ``weight`` (pixels, m * units), ``bias`` (m, 1, units).

    What is needed for a while only lies where the gradient of W will: with less memory more of it stays in the caches.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, by_weight: Tensor, by_bias: Tensor, n: int, of: PixelStage
    ) -> None:
        m, _, units = bias.shape
        self.matrix, self.bias, self.by_matrix, self.by_bias = weight, bias, by_weight, by_bias
        self.weight = weight.view(len(weight), m, units).transpose(0, 1)
        self.pixel_scale, self.pixel_shift = of.scale, of.shift
        self.out = weight.new_empty(m, n, units)
        self.weight_8 = torch.empty_like(weight, dtype=torch.int8)
        self.product = weight.new_empty(n, m * units, dtype=torch.int32)
        self.noise = _noise(m, n, units)
        self.by_out_8 = weight.new_empty(n, m * units, dtype=torch.int8)
        self.factor, self.constant = weight.new_empty(2, m * units)
        self.is_compiled = kernels.suits(weight)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (m, n, units) of pixels (m, n, pixels), which are the same for each member."""
        self.pixels = pixels[0]
        if self.is_compiled:
            scales = self.factor, self.constant
            kernels.round_weight(self.matrix, self.bias, self.weight_8, *scales, self.pixel_scale, self.pixel_shift)
            torch._int_mm(self.pixels, self.weight_8, out=self.product)
            return kernels.scale_product(self.product, self.out, *scales)
        m, n, units = self.out.shape
        step = _step(self.matrix)
        steps = torch.mul(self.matrix, step.reciprocal(), out=self.by_matrix).round_()
        constant = _halves(steps).sum(-2).sum(-2).mul_(step * self.pixel_shift).view(m, 1, units).add_(self.bias)
        torch._int_mm(self.pixels, self.weight_8.copy_(steps), out=self.product)
        self.out.copy_(self.product.view(n, m, units).transpose(0, 1))
        return torch.addcmul(constant, self.out, step.mul_(self.pixel_scale).view(m, 1, units), out=self.out)

    def backward_to_weights(self, gradient: Tensor) -> None:
        """Set the gradients by weights and biases; ``gradient`` (m, n, units) is overwritten."""
        product = self.by_matrix.view(torch.int32)
        if self.is_compiled:
            scales = self.factor, self.constant
            kernels.round_gradient(
                gradient, self.noise, self.by_out_8, self.by_bias, *scales, self.pixel_scale, self.pixel_shift
            )
            torch._int_mm(self.pixels.t(), self.by_out_8, out=product)
            kernels.scale_product(product, self.by_matrix[None], *scales)
            return
        m, n, units = gradient.shape
        torch.sum(gradient, 1, keepdim=True, out=self.by_bias)
        step = _step(gradient)[:, None]
        steps = torch.addcmul(self.noise, gradient, step.reciprocal(), out=gradient).floor_()
        self.by_out_8.view(n, m, units).copy_(steps.transpose(0, 1))
        torch._int_mm(self.pixels.t(), self.by_out_8, out=product)
        constant, factor = self.by_bias.view(-1) * self.pixel_shift, step.view(-1).mul_(self.pixel_scale)
        torch.addcmul(constant, self.by_matrix.copy_(product), factor, out=self.by_matrix)


def _step(x: Tensor) -> Tensor:
    """Return the distance of neighbouring levels that spans each column of ``x`` (..., n, d), (..., d)."""
    halves = _halves(x)
    largest = torch.maximum(halves.amax(-2), halves.amin(-2).neg_()).amax(-2)
    return largest.div_(_LEVELS).clamp_(min=_SMALLEST)


def _noise(m: int, n: int, units: int) -> Tensor:
    """Return numbers between 0 and 1 that are the same for every minibatch, whose rows are others.

    Those of a unit lie evenly: any n of them drawn at random would round it up more often than down, or the reverse,
    step after step.
    """
    order = torch.rand(m, n, units, generator=torch.Generator().manual_seed(0)).argsort(1)
    return (order.to(torch.float32) + 0.5) / n


def _halves(x: Tensor) -> Tensor:
    """Return ``x`` (..., n, d) as (..., 2, n / 2, d): torch gives a thread the rows that its cache has, not columns."""
    *first, n, d = x.shape
    return x.view(*first, 2, n // 2, d) if n % 2 == 0 else x[..., None, :, :]
