"""What a training step does between its products, each in one pass over memory; torch would take several.

A function here is for tensors that ``suits`` accepts, and gives what torch's operations give but for the last digits.
``lamina.native.library`` says where there is none of it. Shapes: m members, n rows.
"""

from collections.abc import Sequence
from ctypes import Structure, byref, c_double, c_int64
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lamina.native.library import load

_REALS = {torch.float32: "float", torch.float64: "double"}
# A map to more outputs than these is a matrix product like any other.
_NARROW_OUTPUTS = 16


def suits(x: Tensor) -> bool:
    """Return whether there are compiled loops for it: dense, on the CPU, float32 or float64, or random bits."""
    of_kind = x.dtype in _REALS or x.dtype in (torch.int16, torch.int64)
    return of_kind and x.device.type == "cpu" and x.is_contiguous() and load() is not None


def forward_(
    x: Tensor, bias: Tensor | None, slope: float, bits: Tensor | None = None, threshold: int = 0, factor: float = 1.0
) -> Tensor:
    """Replace ``x`` by σ(x + bias), σ(z) being z where z > 0 and else slope z; then drop units.

    Args:
        x: (m, n, units).
        bias: (m, 1, units), dense but for its first axis.
        slope: of σ below 0.
        bits: (n, m, units) int16, dense but for its first axis; a unit is kept, times ``factor``, where its bits are at
            least ``threshold``.
    """
    function = function_of("lamina_forward", x.dtype)
    function(x.data_ptr(), *_first_axis(bias), *_first_axis(bits), *x.shape, slope, threshold, factor)
    return x


def backward_(gradient: Tensor, y: Tensor, by_bias: Tensor | None, slope: float, factor: float = 1.0) -> Tensor:
    """Replace ``gradient``, that by the result ``y`` of ``forward_``, by that by its ``x``; fill ``by_bias``.

    With dropout the slope must be 0: a unit that was dropped is told by its 0 alone.
    """
    function = function_of("lamina_backward", y.dtype)
    function(gradient.data_ptr(), y.data_ptr(), *_first_axis(by_bias), *y.shape, slope, factor)
    return gradient


def normalize(
    x: Tensor, out: Tensor, columns: list[Tensor], share: float, epsilon: float, slope: float,
    bits: Tensor | None = None, threshold: int = 0, factor: float = 1.0,
) -> Tensor:  # fmt: skip
    """Fill ``out`` with batch-normalized ``x`` (m, n, units), behind which are σ and dropout as in ``forward_``.

    Args:
        columns: γ, β, the mean and 1 / sqrt(variance + ε), which are filled, the running mean and variance, which move
            towards those of ``x`` by ``share``; (m * units,) each.
    """
    function = function_of("lamina_normalize", x.dtype)
    function(
        x.data_ptr(), out.data_ptr(), *(each.data_ptr() for each in columns), *_first_axis(bits), *x.shape, share,
        epsilon, slope, threshold, factor,
    )  # fmt: skip
    return out


def normalize_backward_(
    gradient: Tensor, y: Tensor, x: Tensor, columns: list[Tensor], slope: float, factor: float = 1.0
) -> Tensor:
    """Replace ``gradient``, that by the result ``y`` of ``normalize``, by that by its ``x``.

    Args:
        columns: γ, the mean and 1 / sqrt(variance + ε) of ``x``; the gradients by γ and β, which are filled.
    """
    function = function_of("lamina_normalize_back", x.dtype)
    function(
        gradient.data_ptr(), y.data_ptr(), x.data_ptr(), *(each.data_ptr() for each in columns), *x.shape, slope, factor
    )
    return gradient


def is_narrow(weight: Tensor) -> bool:
    """Return whether ``narrow_forward`` is for the maps of ``weight`` (m, units, k)."""
    _, units, k = weight.shape
    return k <= _NARROW_OUTPUTS and suits(weight) and units * -(-k // 4) * 4 <= limit("lamina_largest_narrow")


def narrow_forward(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """Fill ``out`` (m, n, k) with x W + b of ``x`` (m, n, units), ``weight`` (m, units, k), ``bias`` (m, 1, k)."""
    function = function_of("lamina_narrow_forward", x.dtype)
    function(x.data_ptr(), weight.data_ptr(), *_first_axis(bias), out.data_ptr(), *x.shape, out.shape[2])
    return out


def narrow_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, by_x: Tensor, by_weight: Tensor, by_bias: Tensor
) -> Tensor:
    """Fill the gradients by x, W and b of ``narrow_forward`` from that by its result; return the first."""
    function = function_of("lamina_narrow_backward", x.dtype)
    function(
        gradient.data_ptr(), x.data_ptr(), weight.data_ptr(), by_x.data_ptr(), by_weight.data_ptr(),
        *_first_axis(by_bias), *x.shape, gradient.shape[2],
    )  # fmt: skip
    return by_x


@dataclass(frozen=True)
class CompiledLoss:
    """A loss that the loops know.

    Attributes:
        kind: its number there.
        has_classes: whether targets are codes (n,), else numbers (n, k).
        option: the third argument of ``lamina.losses.Loss.per_row``.
    """

    kind: int
    has_classes: bool
    option: float = 0.0

    def target(self, target: Tensor, outputs: Tensor) -> Tensor:
        """Return ``target`` as the loops take it."""
        if not self.has_classes and target.shape != outputs.shape[1:]:
            raise ValueError(f"targets {tuple(target.shape)} are not those of outputs {tuple(outputs.shape)}")
        return target.to(torch.int64 if self.has_classes else outputs.dtype).contiguous()


CROSS_ENTROPY = CompiledLoss(0, has_classes=True)
SQUARED_ERROR = CompiledLoss(1, has_classes=False)


def mean_and_gradient(
    loss: CompiledLoss, outputs: Tensor, target: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the mean of ``loss`` over members and rows, and its derivative by ``outputs``.

    Args:
        outputs: (m, n, k).
        target: (n,), or (n, k).
        weights: of rows (n,), or of rows for each member (n, m).
    """
    mean, gradient, target = outputs.new_empty(()), torch.empty_like(outputs), loss.target(target, outputs)
    weights = None if weights is None else weights.to(outputs.dtype)
    function_of("lamina_loss", outputs.dtype)(
        loss.kind, outputs.data_ptr(), target.data_ptr(), *of_weights(weights), mean.data_ptr(), gradient.data_ptr(),
        *outputs.shape, loss.option,
    )  # fmt: skip
    return mean, gradient


def of_weights(weights: Tensor | None) -> tuple[int | None, int, int]:
    """Return where ``weights`` (n,) or (n, m) begin, and the distances of members and of rows."""
    if weights is None:
        return None, 0, 0
    return weights.data_ptr(), 0 if weights.ndim == 1 else weights.stride(1), weights.stride(0)


def one_hot(codes: Tensor, which: Tensor, code: Tensor, out: Tensor) -> None:
    """Fill ``out`` (c, n, columns) with 1 where a row's code is that of the column, and 0 elsewhere.

    Args:
        codes: (n, n_codes) int32.
        which: (columns,) int64, which of a row's codes the column is about.
        code: (columns,) int32, the code for 1.
    """
    codes = codes.to(torch.int32).contiguous()
    function_of("lamina_one_hot", out.dtype)(
        codes.data_ptr(), which.data_ptr(), code.data_ptr(), *_rows(out), *out.shape[:2], codes.shape[1], out.shape[2]
    )


def find_pieces(x: Tensor, left: Tensor, scale: Tensor, n_pieces: Tensor, place: Tensor, share: Tensor) -> None:
    """Find the piece ``place`` (n, d) int32 that each of ``x`` (n, d) is in, and the ``share`` (n, d) it has of it.

    Args:
        left, scale: (d, pieces), where each begins and 1 / its width.
        n_pieces: (d,) int64, the pieces of each column, which come first.
    """
    tensors = x, left, scale, n_pieces, place, share
    function_of("lamina_find_pieces", x.dtype)(*(each.data_ptr() for each in tensors), *x.shape, left.shape[1])


def pieces(place: Tensor, share: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    """Fill ``out`` (c, n, d * width) with max(0, W^T p + b) of the pieces p that ``find_pieces`` has found.

    Args:
        weight, bias: (c, d, pieces, width) and (c, d, width), dense but for the first axis.
        out: dense along its last axis.
    """
    c, d, n_pieces, width = weight.shape
    function_of("lamina_pieces", share.dtype)(
        place.data_ptr(), share.data_ptr(), *_first_axis(weight), *_first_axis(bias), *_rows(out), c, len(share), d,
        n_pieces, width,
    )  # fmt: skip


def pieces_backward(
    place: Tensor, share: Tensor, gradient: Tensor, out: Tensor, by_weight: Tensor, by_bias: Tensor
) -> None:
    """Fill the gradients by weight and bias of ``pieces`` from that by its result ``out``."""
    c, d, n_pieces, width = by_weight.shape
    function_of("lamina_pieces_back", share.dtype)(
        place.data_ptr(), share.data_ptr(), *_rows(gradient), *_rows(out), *_first_axis(by_weight),
        *_first_axis(by_bias), c, len(share), d, n_pieces, width,
    )  # fmt: skip


def bound(x: Tensor, bounded: Tensor, out: Tensor) -> None:
    """Fill ``bounded`` (n, d), and ``out`` (c, n, d) for each member, with x / sqrt(1 + (x / 3)²)."""
    function_of("lamina_bound", x.dtype)(x.data_ptr(), bounded.data_ptr(), *_rows(out), *out.shape)


def fits_periodic(mixture: Tensor) -> bool:
    """Return whether ``periodic`` is for a ``mixture`` (c, d, frequencies, width)."""
    return mixture.shape[2] <= limit("lamina_most_frequencies")


def periodic(x: Tensor, learned: Sequence[Tensor], out: Tensor) -> None:
    """Fill ``out`` (c, n, d * width) with W^T cos(2π f x + p) + b of each of ``x`` (n, d).

    Args:
        learned: f and p (c, d, frequencies), W (c, d, frequencies, width) and b (c, d, width), dense but for the first
            axis.
        out: dense along its last axis.
    """
    c, d, frequencies, width = learned[2].shape
    function_of("lamina_periodic", x.dtype)(
        x.data_ptr(), *(number for each in learned for number in _first_axis(each)), *_rows(out), c, len(x), d,
        frequencies, width,
    )  # fmt: skip


def periodic_backward(x: Tensor, learned: Sequence[Tensor], gradient: Tensor, by_learned: Sequence[Tensor]) -> None:
    """Fill ``by_learned``, the gradients by what is ``learned`` in ``periodic``, from that by its result.

    Each must lie as what it is the gradient of: at the same distances.
    """
    c, d, frequencies, width = learned[2].shape
    function_of("lamina_periodic_back", x.dtype)(
        x.data_ptr(), *(each.data_ptr() for each in learned[:3]), *_rows(gradient),
        *(number for each in by_learned for number in _first_axis(each)), c, len(x), d, frequencies, width,
    )  # fmt: skip


def pick(table: Tensor, codes: Tensor, out: Tensor) -> None:
    """Fill ``out`` (c, n, width) with those rows of ``table`` (c, n_codes, width) that ``codes`` (n,) int32 name."""
    codes = codes.to(torch.int32)
    function_of("lamina_pick", table.dtype)(
        *_first_axis(table), *_first_axis(codes), *_rows(out), len(table), len(codes), table.shape[2]
    )


def pick_backward(gradient: Tensor, codes: Tensor, by_table: Tensor) -> None:
    """Fill ``by_table`` (c, n_codes, width), the gradient by the table of ``pick``, from that by its result."""
    codes = codes.to(torch.int32)
    function_of("lamina_pick_back", by_table.dtype)(
        *_rows(gradient), *_first_axis(codes), *_first_axis(by_table), len(by_table), len(codes), *by_table.shape[1:]
    )


class Adam(Structure):
    """A step of Adam, the ``count``-th from 1; ``decoupled``: with the weight decay of AdamW."""

    _fields_ = (
        *((name, c_double) for name in ("rate", "beta1", "beta2", "epsilon")),
        ("decoupled", c_int64),
        ("count", c_double),
    )


def adam_(adam: Adam, decay: float, weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
    """Move ``weight`` by a step, and the running mean and mean square of its gradient; all of one shape."""
    function_of("lamina_adam", weight.dtype)(
        weight.data_ptr(), gradient.data_ptr(), mean.data_ptr(), square.data_ptr(), weight.numel(), byref(adam), decay
    )


def xorshift_(x: Tensor) -> Tensor:
    """Replace each number of ``x`` (n,) int64 by the next one of its xorshift sequence."""
    function_of("lamina_xorshift")(x.data_ptr(), len(x))
    return x


def drop_pixels(pixels: Tensor, bits: Tensor, out: Tensor, threshold: int, mean: int) -> Tensor:
    """Fill ``out`` (n, d) uint8 with ``pixels``, but ``mean`` where ``bits`` (n * d,) are below ``threshold``."""
    function_of("lamina_drop_pixels")(
        pixels.data_ptr(), bits.data_ptr(), out.data_ptr(), pixels.numel(), threshold, mean
    )
    return out


def round_weight(
    weight: Tensor, bias: Tensor, rounded: Tensor, factor: Tensor, constant: Tensor, scale: float, shift: float
) -> None:
    """Fill ``rounded`` (n, d) int8 with the columns of ``weight`` (n, d), each divided by its step.

    A product of pixels u and ``rounded``, times ``factor`` (d,), plus ``constant`` (d,), is (scale u + shift) W + bias.
    """
    function_of("lamina_round_weight")(
        weight.data_ptr(), bias.data_ptr(), rounded.data_ptr(), factor.data_ptr(), constant.data_ptr(),
        *weight.shape, scale, shift,
    )  # fmt: skip


def round_gradient(
    gradient: Tensor, noise: Tensor, rounded: Tensor, by_bias: Tensor, factor: Tensor, constant: Tensor, scale: float,
    shift: float,
) -> None:  # fmt: skip
    """Fill ``rounded`` (n, m * units) int8 with ``gradient`` (m, n, units), each column divided by its step.

    Up or down as ``noise`` says. ``by_bias`` is the sum of its rows; ``factor`` and ``constant`` (m * units,) make
    the gradient by W of a product of pixels and ``rounded``.
    """
    function_of("lamina_round_gradient")(
        gradient.data_ptr(), noise.data_ptr(), rounded.data_ptr(), by_bias.data_ptr(), factor.data_ptr(),
        constant.data_ptr(), *gradient.shape, scale, shift,
    )  # fmt: skip


def scale_product(product: Tensor, out: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """Fill ``out`` (m, n, units) with constant + factor * product of ``product`` (n, m * units) int32.

    With one member ``out`` may share its memory with ``product``.
    """
    function_of("lamina_scale_product")(
        product.data_ptr(), out.data_ptr(), factor.data_ptr(), constant.data_ptr(), *out.shape
    )
    return out


def _first_axis(x: Tensor | None) -> tuple[int | None, int]:
    """Return where ``x`` begins, and the distance between what is at neighbouring places of its first axis."""
    return (None, 0) if x is None else (x.data_ptr(), x.stride(0))


def _rows(x: Tensor) -> tuple[int, int, int]:
    """Return where ``x`` (c, n, d) begins, and the distances along its first and its second axis."""
    return x.data_ptr(), x.stride(0), x.stride(1)


@cache
def function_of(name: str, dtype: torch.dtype | None = None) -> Any:
    """Return a function of the library, that for numbers of ``dtype`` where there are several."""
    return getattr(load(), name if dtype is None else f"{name}_{_REALS[dtype]}")


@cache
def limit(name: str) -> int:
    """Return a number that the library tells."""
    library = load()
    assert library is not None
    return c_int64.in_dll(library, name).value
