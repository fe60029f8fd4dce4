"""What the input layers make of a minibatch, written into memory that is allocated once, and the way back.

Embeddings of numbers and categories go forward and backward in closed form, those of several members at once: in flat
weights the tensors of alike layers lie at equal distances, so that they are one tensor.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lamina.native import kernels
from lamina.network.embeddings import InputLayer, Inputs, Periodic, PiecewiseEmbedding
from lamina.network.members import Members, Network
from lamina.training.embedding_stages import (
    CategoryStage,
    CompiledCategoryStage,
    CompiledPeriodicStage,
    CompiledPiecewiseStage,
    EmbeddingStage,
    Learned,
    PeriodicStage,
    PiecewiseStage,
)


def input_layers(network: Network) -> list[tuple[slice, list[InputLayer]]]:
    """Return the members of each encoding, and their input layers: one that they share, or one each."""
    if not isinstance(network, Members):
        return [(slice(0, 1), [network.inputs])]
    found = []
    for encoding in dict.fromkeys(network.encodings):
        members = [m for m, each in enumerate(network.encodings) if each == encoding]
        layers: list[Any] = [network.inputs[i] for i in sorted({network.reads[m] for m in members})]
        found.append((slice(members[0], members[-1] + 1), layers))
    return found


def with_gradients(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor] | None:
    """Return the values (c, *shape) of parameters of one shape, and their gradients.

    Without copying; ``None`` where that is impossible: they must lie at equal distances in one piece of memory.
    """
    values, gradients = _side_by_side(parameters), _side_by_side([parameter.grad for parameter in parameters])
    return None if values is None or gradients is None else (values, gradients)


def _side_by_side(tensors: Sequence[Tensor | None]) -> Tensor | None:
    given = [each.detach() for each in tensors if each is not None and each.is_contiguous()]
    if len(given) < len(tensors):
        return None
    first = given[0]
    starts = [each.storage_offset() for each in given]
    distance = starts[1] - starts[0] if len(starts) > 1 else first.numel()
    in_one_piece = len({each.untyped_storage().data_ptr() for each in given}) == 1
    if not in_one_piece or starts != [starts[0] + i * distance for i in range(len(starts))]:
        return None
    return first.as_strided((len(given), *first.shape), (distance, *first.stride()))


class InputStage:
    """What c input layers, alike but for what they learned, make of n rows: (c, n, width).

    Numbers, flags, categories and pixels are written to their columns, which are in this order.

    Args:
        layers: the input layers.
        n: rows.
        learned: their parameters, each of all layers in one tensor, and its gradient.
    """

    def __init__(self, layers: list[InputLayer], n: int, learned: Learned) -> None:
        self.layer, self.learns = layers[0], bool(learned)
        pieces = self.layer.pieces
        self.out = torch.zeros(len(layers), n, self.layer.width, dtype=self.layer.dtype)
        self.numbers: EmbeddingStage | None = None
        self.embeddings: list[tuple[slice, EmbeddingStage]] = []
        if isinstance(pieces, PiecewiseEmbedding | Periodic):
            of_numbers = len(list(pieces.parameters()))
            self.numbers, learned = _stage_of_numbers(pieces, n, learned[:of_numbers]), learned[of_numbers:]
            self.embeddings.append((slice(0, pieces.width), self.numbers))
        self.tables: list[tuple[slice, EmbeddingStage]] = []
        self.is_compiled = kernels.suits(self.out)
        end = self.layer.width - self.layer.n_pixels
        for table in reversed(learned):
            stage = CompiledCategoryStage([table]) if self.is_compiled else CategoryStage(n, [table])
            self.tables.insert(0, (slice(end - table[0].shape[2], end), stage))
            end -= table[0].shape[2]
        self.embeddings += self.tables
        categories = self.layer.categories
        self.which = torch.empty(0) if categories is None else categories.hot[categories.column]
        self.one_hot = slice(end - len(self.which), end)
        # Windows on the columns, made once: a small step notices each of them.
        self.places = {columns.start: self.out[:, :, columns] for columns, _ in self.embeddings}
        self.of_one_hot = self.out[:, :, self.one_hot]

    def forward(self, inputs: Inputs) -> Tensor:
        if self.layer.n_pixels == self.layer.width:  # without another tensor of the images' size
            x = self.out[0].copy_(inputs["pixels"])
            if not self.layer.leaves_pixels:
                torch.addcmul(self.layer.pixel_shift, x, self.layer.pixel_scale, out=x)
            return self.out
        if self.layer.pieces is None and len(inputs) == 1 and "numbers" in inputs:
            return inputs["numbers"].to(self.layer.dtype).expand(len(self.out), -1, -1)
        left, categories, at = dict(inputs), self.layer.categories, 0
        compiled = isinstance(self.numbers, CompiledPiecewiseStage | CompiledPeriodicStage)
        numbers = left.pop("numbers").to(self.layer.dtype).contiguous() if compiled else None
        codes = left.pop("codes", None) if self.is_compiled else left.get("codes")
        fixed = self.layer.fixed(left)
        if not self.embeddings and codes is None and list(fixed) == ["numbers"]:
            return fixed["numbers"].expand(len(self.out), -1, -1)
        if self.numbers is not None:
            self.numbers.forward(fixed.pop("numbers") if numbers is None else numbers, self.places[0])
            at = self.embeddings[0][0].stop
        for name in ("numbers", "flags", "one_hot"):
            if name in fixed:
                values = fixed[name]
                self.out[:, :, at : at + values.shape[1]] = values
                at += values.shape[1]
        if categories is not None and codes is not None:
            if self.is_compiled and len(self.which):
                kernels.one_hot(codes, self.which, categories.code, self.of_one_hot)
            at = self.one_hot.stop
            for i, (columns, stage) in zip(categories.embedded, self.tables, strict=True):
                stage.forward(codes[:, i], self.places[columns.start])
                at = columns.stop
        if "pixels" in fixed:
            self.out[:, :, at:] = fixed["pixels"]
        return self.out

    def backward(self, gradient: Tensor) -> None:
        for columns, stage in self.embeddings:
            stage.backward(gradient[:, :, columns])


def _stage_of_numbers(pieces: PiecewiseEmbedding | Periodic, n: int, learned: Learned) -> EmbeddingStage:
    """Return the stage of embeddings like ``pieces``, for ``n`` rows; it takes numbers themselves where compiled."""
    if isinstance(pieces, PiecewiseEmbedding):
        if kernels.suits(pieces.left):
            return CompiledPiecewiseStage(n, learned, pieces)
        return PiecewiseStage(n, learned)
    if kernels.suits(pieces.phase) and kernels.fits_periodic(learned[2][0]):
        return CompiledPeriodicStage(n, learned)
    return PeriodicStage(n, learned)
