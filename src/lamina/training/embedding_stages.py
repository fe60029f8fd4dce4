"""Embeddings of numbers and of a category, forward and backward in closed form, for several members at once.

Each works in memory that is allocated once. Its weights and their gradients are given as one tensor of all c members;
what it makes is written to columns of ``out`` (c, n, width).
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from lamina.native import kernels
from lamina.network.embeddings import PiecewiseEmbedding

Learned = list[tuple[Tensor, Tensor]]


class EmbeddingStage(Protocol):
    def forward(self, x: Tensor, out: Tensor) -> None: ...

    def backward(self, gradient: Tensor) -> None: ...


class PiecewiseStage:
    """max(0, W^T p + b) as ``lamina.network.embeddings.PiecewiseEmbedding`` has it.

    Args:
        n: rows.
        learned: W (c, d, bins, width) and b (c, d, width), each with its gradient.
    """

    def __init__(self, n: int, learned: Learned) -> None:
        (self.weight, self.by_weight), (self.bias, self.by_bias) = learned
        c, d, bins, width = self.weight.shape
        self.shape = d, n, c, width
        self.together = self.weight.new_empty(d, bins, c, width)
        self.by_together = torch.empty_like(self.together)
        self.z, self.by_z = self.weight.new_empty(2, d, n, c * width)

    def forward(self, x: Tensor, out: Tensor) -> None:
        d, n, c, width = self.shape
        self.pieces = x.transpose(0, 1)
        self.together.copy_(self.weight.permute(1, 2, 0, 3))
        torch.bmm(self.pieces, self.together.view(d, -1, c * width), out=self.z)
        self.z.view(self.shape).add_(self.bias.transpose(0, 1)[:, None]).relu_()
        out.view(c, n, d, width).copy_(self.z.view(self.shape).permute(2, 1, 0, 3))

    def backward(self, gradient: Tensor) -> None:
        d, n, c, width = self.shape
        self.by_z.view(self.shape).copy_(gradient.view(c, n, d, width).permute(2, 1, 0, 3))
        torch.ops.aten.threshold_backward.grad_input(self.by_z, self.z, 0, grad_input=self.by_z)
        self.by_bias.copy_(self.by_z.sum(1).view(d, c, width).transpose(0, 1))
        torch.bmm(self.pieces.transpose(1, 2), self.by_z, out=self.by_together.view(d, -1, c * width))
        self.by_weight.copy_(self.by_together.permute(2, 0, 1, 3))


class CompiledPiecewiseStage:
    """The same by compiled loops, which take x itself: of its pieces only one is neither 0 nor 1.

    Args:
        n: rows.
        learned: W (c, d, bins, width) and b (c, d, width), each with its gradient.
        embedding: one of the layers.
    """

    def __init__(self, n: int, learned: Learned, embedding: PiecewiseEmbedding) -> None:
        (self.weight, self.by_weight), (self.bias, self.by_bias) = learned
        self.edges = embedding.left, embedding.scale, (embedding.scale > 0).sum(1)
        self.share = embedding.left.new_empty(n, len(embedding.left))
        self.place = torch.empty_like(self.share, dtype=torch.int32)

    def forward(self, x: Tensor, out: Tensor) -> None:
        self.out = out
        kernels.find_pieces(x, *self.edges, self.place, self.share)
        kernels.pieces(self.place, self.share, self.weight, self.bias, out)

    def backward(self, gradient: Tensor) -> None:
        kernels.pieces_backward(self.place, self.share, gradient, self.out, self.by_weight, self.by_bias)


class PeriodicStage:
    """W^T cos(2π f s + p) + b beside s, as ``lamina.network.embeddings.Periodic`` has it.

    Args:
        n: rows.
        learned: f and p (c, d, frequencies), W (c, d, frequencies, width) and b (c, d, width), each with its gradient.
    """

    def __init__(self, n: int, learned: Learned) -> None:
        self.learned = learned
        c, d, frequencies, width = learned[2][0].shape
        self.shape = c, d, n, width
        self.angle, self.wave = learned[0][0].new_empty(2, c * d, n, frequencies)
        self.mixture, self.by_mixture = learned[0][0].new_empty(2, c * d, frequencies, width)
        self.mixed, self.by_mixed = learned[0][0].new_empty(2, c * d, n, width)

    def forward(self, x: Tensor, out: Tensor) -> None:
        c, d, n, width = self.shape
        frequency, phase, mixture, bias = (values[:, :, None] for values, _ in self.learned)
        self.periods = (2 * math.pi * x).t()
        angle = self.angle.view(c, d, n, -1)
        torch.addcmul(phase, self.periods[:, :, None].expand(c, d, n, 1), frequency, out=angle)
        torch.cos(self.angle, out=self.wave)
        self.mixture.view(c, d, 1, -1, width).copy_(mixture)
        torch.bmm(self.wave, self.mixture, out=self.mixed)
        self.mixed.view(self.shape).add_(bias)
        out[:, :, : d * width].view(c, n, d, width).copy_(self.mixed.view(self.shape).transpose(1, 2))
        out[:, :, d * width :] = x

    def backward(self, gradient: Tensor) -> None:
        c, d, n, width = self.shape
        by_frequency, by_phase, by_mixture, by_bias = (by_values for _, by_values in self.learned)
        by_mixed = gradient[:, :, : d * width].view(c, n, d, width).transpose(1, 2)
        self.by_mixed.view(self.shape).copy_(by_mixed)
        by_bias.copy_(self.by_mixed.sum(1).view(c, d, width))
        torch.bmm(self.wave.transpose(1, 2), self.by_mixed, out=self.by_mixture)
        by_mixture.copy_(self.by_mixture.view(by_mixture.shape))
        by_wave = torch.bmm(self.by_mixed, self.mixture.transpose(1, 2), out=self.wave)
        by_angle = torch.sin(self.angle, out=self.angle).mul_(by_wave).neg_()
        by_phase.copy_(by_angle.sum(1).view(by_phase.shape))
        periods = self.periods[:, None].expand(c, d, 1, n).reshape(c * d, 1, n)
        by_frequency.copy_(torch.bmm(periods, by_angle).view(by_frequency.shape))


class CompiledPeriodicStage:
    """The same by compiled loops, which take x itself.

    Args:
        n: rows.
        learned: f and p (c, d, frequencies), W (c, d, frequencies, width) and b (c, d, width), each with its gradient.
    """

    def __init__(self, n: int, learned: Learned) -> None:
        self.values, self.by_values = ([pair[i] for pair in learned] for i in (0, 1))
        _, d, _, width = self.values[2].shape
        self.mixed = d * width
        self.bounded = self.values[0].new_empty(n, d)

    def forward(self, x: Tensor, out: Tensor) -> None:
        kernels.bound(x, self.bounded, out[:, :, self.mixed :])
        kernels.periodic(self.bounded, self.values, out)

    def backward(self, gradient: Tensor) -> None:
        kernels.periodic_backward(self.bounded, self.values, gradient, self.by_values)


class CategoryStage:
    """The rows of one category's table, picked by code.

    Args:
        n: rows.
        learned: the tables (c, codes, width) and their gradient.
    """

    def __init__(self, n: int, learned: Learned) -> None:
        ((self.table, self.by_table),) = learned
        c, codes, width = self.table.shape
        self.shape = n, c, width
        self.together = self.table.new_empty(codes, c, width)
        self.by_rows = self.table.new_empty(n, c, width)

    def forward(self, x: Tensor, out: Tensor) -> None:
        self.codes = x.long()
        self.together.copy_(self.table.transpose(0, 1))
        picked = self.together.flatten(1).index_select(0, self.codes)
        out.copy_(picked.view(self.shape).transpose(0, 1))

    def backward(self, gradient: Tensor) -> None:
        self.by_rows.copy_(gradient.transpose(0, 1))
        by_rows, codes = self.by_rows.flatten(1), len(self.together)
        by_table = torch.ops.aten.embedding_dense_backward(by_rows, self.codes, codes, -1, False)
        self.by_table.copy_(by_table.view(self.together.shape).transpose(0, 1))


class CompiledCategoryStage:
    """The same by compiled loops."""

    def __init__(self, learned: Learned) -> None:
        ((self.table, self.by_table),) = learned

    def forward(self, x: Tensor, out: Tensor) -> None:
        self.codes = x
        kernels.pick(self.table, x, out)

    def backward(self, gradient: Tensor) -> None:
        kernels.pick_backward(gradient, self.codes, self.by_table)
