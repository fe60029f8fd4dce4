"""A whole training step of several networks side by side, each thread taking one network after the other.

The tensors that the structures here name by their addresses must outlive them.
"""

from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_double, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from lamina.native.kernels import Adam, function_of, limit, suits
from lamina.native.library import matrix_products

_GEMM = {torch.float32: "sgemm_", torch.float64: "dgemm_"}


class MemberLayer(Structure):
    """What a layer of one member does: out (n, fan_out) <- dropout(σ(x weight + bias)); and where its gradients go.

    Attributes:
        weight, bias: (fan_in, fan_out), rows ``weight_row`` numbers apart, and (fan_out,).
        by_weight, by_bias: their gradients, which lie as they do.
        weight_mean, weight_square, bias_mean, bias_square: what Adam keeps of them, which lies as they do.
        input, x: which of the inputs a first layer reads, and which of its numbers comes first.
        by_x: the gradient by the input of a first layer, (n, fan_in), or ``None``.
        is_narrow: as in ``kernels.narrow_forward``.
        slope, threshold, factor: as in ``kernels.forward_``.
    """

    _fields_ = (
        *((name, c_void_p) for name in ("weight", "bias", "by_weight", "by_bias")),
        *((name, c_void_p) for name in ("weight_mean", "weight_square", "bias_mean", "bias_square", "by_x")),
        *(
            (name, c_int64)
            for name in ("out", "input", "x", "weight_row", "fan_in", "fan_out", "is_narrow", "threshold")
        ),
        *((name, c_double) for name in ("slope", "factor")),
    )


class MembersStep(Structure):
    """One step of m members on n rows.

    Attributes:
        layers: (m, depth).
        inputs: x (c, n, fan_in) of the first layers of c members, or of one for several.
        bits: of each layer (n, m, fan_out) int16, or ``None``: no dropout.
        target: (n,) int64 or (n, k), as ``kernels.CompiledLoss.target`` makes it.
        weights, of_member, of_row: as ``kernels.of_weights`` has them.
        scratch, ..., threads: memory and its measures, see ``make_step``.
        loss, option: ``kind`` and ``option`` of the ``kernels.CompiledLoss``.
        adam, decay: how parameters move, and the decay of weights; ``None``: they stay, and their gradients are filled,
            which is not done otherwise.
    """

    _fields_ = (
        ("gemm", c_void_p),
        ("set_threads", c_void_p),
        ("layers", POINTER(MemberLayer)),
        ("inputs", POINTER(c_void_p)),
        ("bits", POINTER(c_void_p)),
        *((name, c_void_p) for name in ("target", "weights", "scratch")),
        *((name, c_int64) for name in ("scratch_row", "outs", "widest", "largest", "threads", "m", "n", "depth")),
        *((name, c_int64) for name in ("loss", "of_member", "of_row")),
        ("option", c_double),
        ("adam", POINTER(Adam)),
        ("decay", c_double),
    )


def takes_members(x: Tensor) -> bool:
    """Return whether there is such a step for members like ``x`` (m, ...), and work for all threads nearly to its end.

    A product of matrices that stays on the thread that calls it is not in every build of torch.
    """
    m, threads = len(x), torch.get_num_threads()
    return x.dtype in _GEMM and suits(x) and matrix_products() is not None and -(-m // threads) * threads <= 1.5 * m


def make_step(
    layers: list[MemberLayer], n_inputs: int, m: int, n: int, dtype: torch.dtype
) -> tuple[MembersStep, list[Any]]:
    """Return the step of ``layers`` (m, depth) on n rows with what does not change filled in, and the memory it needs.

    A thread has memory for the results of one member's layers, for two gradients by them, and for those of a layer's
    parameters.
    """
    products = matrix_products()
    assert products is not None
    depth, threads = len(layers) // m, min(m, torch.get_num_threads())
    outs = 0
    for i in range(depth):
        for layer in layers[i::depth]:
            layer.out = outs
        outs += _round_up(n * layers[i].fan_out)
    widest = _round_up(max(max(layer.fan_in, layer.fan_out) for layer in layers))
    largest = _round_up(max((layer.fan_in + 1) * layer.fan_out for layer in layers))
    scratch = torch.empty(threads, outs + 2 * n * widest + largest + limit("lamina_largest_narrow"), dtype=dtype)
    of_all, inputs, bits = (MemberLayer * len(layers))(*layers), (c_void_p * n_inputs)(), (c_void_p * depth)()
    step = MembersStep(
        gemm=products[_GEMM[dtype]], set_threads=products["MKL_Set_Num_Threads_Local"], layers=of_all, inputs=inputs,
        bits=bits, scratch=scratch.data_ptr(), scratch_row=scratch.shape[1], outs=outs, widest=widest,
        largest=largest, threads=threads, m=m, n=n, depth=depth,
    )  # fmt: skip
    return step, [of_all, inputs, bits, scratch]


def runner(dtype: torch.dtype) -> Callable[[MembersStep], float]:
    """Return what does a step in numbers of ``dtype``, and tells the mean loss over members and rows before it."""
    function: Callable[[Any], float] = function_of("lamina_members_step", dtype)
    return lambda step: function(byref(step))


def _round_up(n: int) -> int:
    """Return the next multiple of 16: whole lines of a cache."""
    return -(-n // 16) * 16
