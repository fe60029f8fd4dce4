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

# With fewer rows for a thread, or more weights, adding up the threads' gradients costs more than it gains.
_LEAST_ROWS, _MOST_WEIGHTS = 16, 2**19
# So few products (multiplications) that a thread does them in the time that it takes to ask for them.
_FEW_PRODUCTS = 2**21
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
            for name in ("out", "gradients", "input", "x", "weight_row", "fan_in", "fan_out", "is_narrow", "threshold")
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
        scratch, ..., threads: memory and its measures, see ``step_of``.
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
        *((name, c_int64) for name in ("scratch_row", "outs", "widest", "gradients", "threads", "m", "n", "depth")),
        *((name, c_int64) for name in ("parts", "loss", "of_member", "of_row")),
        ("option", c_double),
        ("adam", POINTER(Adam)),
        ("decay", c_double),
    )


def takes_members(x: Tensor, n_weights: int) -> bool:
    """Return whether there is such a step for members like ``x`` (m, n, ...), and work for all threads to its end.

    A product of matrices that stays on the thread that calls it is not in every build of torch.

    Args:
        n_weights: of a member.
    """
    if x.dtype not in _GEMM or not suits(x) or matrix_products() is None:
        return False
    (m, n), threads = x.shape[:2], torch.get_num_threads()
    pieces = m * _parts(m, n, n_weights)
    return m * n * n_weights <= _FEW_PRODUCTS or -(-pieces // threads) * threads <= 1.5 * pieces


def step_of(
    layers: list[MemberLayer], n_inputs: int, m: int, n: int, dtype: torch.dtype
) -> tuple[MembersStep, list[Any]]:
    """Return the step of ``layers`` (m, depth) on n rows with what does not change filled in, and the memory it needs.

    A thread has memory for what the layers of one member make, for two gradients by that, and for those by parameters.
    """
    products = matrix_products()
    assert products is not None
    depth = len(layers) // m
    parts = _parts(m, n, sum(layer.fan_in * layer.fan_out for layer in layers[:depth]))
    height, threads = -(-n // parts), min(m * parts, torch.get_num_threads())
    gradients = 0
    for member in range(m):
        of_member = layers[member * depth : (member + 1) * depth]
        outs = gradients_of_member = 0
        for layer in of_member:
            layer.out, layer.gradients = outs, gradients_of_member
            outs += _round_up(height * layer.fan_out)
            gradients_of_member += _round_up((layer.fan_in + 1) * layer.fan_out)
        gradients = max(gradients, gradients_of_member)
    widest = _round_up(max(max(layer.fan_in, layer.fan_out) for layer in layers))
    scratch = torch.empty(threads, outs + 2 * height * widest + gradients + limit("lamina_largest_narrow"), dtype=dtype)
    of_all, inputs, bits = (MemberLayer * len(layers))(*layers), (c_void_p * n_inputs)(), (c_void_p * depth)()
    step = MembersStep(
        gemm=products[_GEMM[dtype]], set_threads=products["MKL_Set_Num_Threads_Local"], layers=of_all, inputs=inputs,
        bits=bits, scratch=scratch.data_ptr(), scratch_row=scratch.shape[1], outs=outs, widest=widest,
        gradients=gradients, threads=threads, m=m, n=n, depth=depth, parts=parts,
    )  # fmt: skip
    return step, [of_all, inputs, bits, scratch]


def _parts(m: int, n: int, n_weights: int) -> int:
    """Return into how many parts the n rows of each of m members are divided, so that all threads have some."""
    if n_weights > _MOST_WEIGHTS:
        return 1
    return max(min(torch.get_num_threads() // m, n // _LEAST_ROWS), 1)


def forward(step: MembersStep, out: Tensor) -> Tensor:
    """Fill ``out`` (m, n, k) with what the members make of the inputs."""
    function_of("lamina_members_forward", out.dtype)(byref(step), out.data_ptr())
    return out


def runner(dtype: torch.dtype) -> Callable[[MembersStep], float]:
    """Return what does a step in numbers of ``dtype``, and tells the mean loss over members and rows before it."""
    function: Callable[[Any], float] = function_of("lamina_members_step", dtype)
    return lambda step: function(byref(step))


def _round_up(n: int) -> int:
    """Return the next multiple of 16: whole lines of a cache."""
    return -(-n // 16) * 16
