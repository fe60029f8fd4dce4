"""From encoded arrays to the first layer's input: piecewise-linear numbers, one-hot columns, embeddings, pixels."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lamina.data.encoder import RARE, Encoder

Inputs = dict[str, Tensor]

_PIECE_DEVIATION = 0.25


class PiecewiseLinear(nn.Module):
    """Piecewise-linear encoding of numbers (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1).

    A column with bin edges b_0 < ... < b_T becomes T columns, the t-th being (x - b_{t-1}) / (b_t - b_{t-1}) clipped to
    [0, 1]. NOTE: in the paper the first bin continues below 0 and the last above 1; here both stop, so that a value far
    outside the training range does not throw the network off.

    Shapes: input (n, d), output (n, sum of the bins).
    """

    column: Tensor
    left: Tensor
    scale: Tensor

    def __init__(self, edges: list[tuple[float, ...]], dtype: torch.dtype) -> None:
        super().__init__()
        column = [i for i, each in enumerate(edges) for _ in each[1:]]
        left = torch.tensor([b for each in edges for b in each[:-1]], dtype=torch.float64)
        right = torch.tensor([b for each in edges for b in each[1:]], dtype=torch.float64)
        self.register_buffer("column", torch.tensor(column), persistent=False)
        self.register_buffer("left", left.to(dtype), persistent=False)
        self.register_buffer("scale", (1 / (right - left)).to(dtype), persistent=False)

    def fixed(self, x: Tensor) -> Tensor:
        """Return the whole encoding: nothing in it is learned."""
        # Subtracted before it is scaled: x * scale - left * scale would lose every digit in a narrow bin.
        return x.index_select(1, self.column).sub_(self.left).mul_(self.scale).clamp_(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fixed(x)


class PiecewiseEmbedding(nn.Module):
    """A few numbers for each number, learned from its piecewise-linear encoding: max(0, W_j^T p(x_j) + b_j).

    The encoding "Q-LR" of Gorishniy et al. 2022 (arXiv 2203.05556, sections 3.2 and 3.4), a W_j for each column j.
    The pieces p are those of ``PiecewiseLinear``.

    Shapes: input (n, d), output (n, d * width).

    Args:
        edges: of each column's bins, ascending; at least two.
        width: numbers a column.
        generator, dtype: of the initial numbers.
    """

    left: Tensor
    scale: Tensor

    def __init__(
        self, edges: list[tuple[float, ...]], *, width: int = 8, generator: torch.Generator, dtype: torch.dtype
    ) -> None:
        super().__init__()
        d, bins = len(edges), max(len(each) - 1 for each in edges)
        left, scale = torch.zeros(2, d, bins, dtype=torch.float64)  # a column with fewer bins has some of scale 0
        for j, each in enumerate(edges):
            bounds = torch.tensor(each, dtype=torch.float64)
            left[j, : len(each) - 1], scale[j, : len(each) - 1] = bounds[:-1], 1 / bounds.diff()
        self.register_buffer("left", left.to(dtype), persistent=False)
        self.register_buffer("scale", scale.to(dtype), persistent=False)
        weight = torch.randn(d, bins, width, generator=generator, dtype=dtype)
        self.weight = nn.Parameter(weight * _PIECE_DEVIATION)
        self.bias = nn.Parameter(torch.zeros(d, width, dtype=dtype))
        self.width = d * width

    def fixed(self, x: Tensor) -> Tensor:
        """Return the pieces (n, d, bins), which nothing is learned for."""
        return (x[:, :, None] - self.left).mul_(self.scale).clamp_(0, 1)

    def learned(self, pieces: Tensor) -> Tensor:
        """Return what is made of the pieces, (n, d * width)."""
        return self.together([self], pieces)[0]

    @staticmethod
    def together(embeddings: "Sequence[PiecewiseEmbedding]", pieces: Tensor) -> Tensor:
        """Return what each of m embeddings makes of the same pieces, (m, n, d * width), in one product."""
        weight = torch.cat([each.weight for each in embeddings], dim=2)
        bias = torch.cat([each.bias for each in embeddings], dim=1)
        z = torch.relu(torch.bmm(pieces.transpose(0, 1), weight) + bias[:, None, :])
        d, n, _ = z.shape
        m = len(embeddings)
        return z.view(d, n, m, -1).permute(2, 1, 0, 3).reshape(m, n, -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.learned(self.fixed(x))


class Periodic(nn.Module):
    """Each number as itself, softly bounded, beside a few learned mixtures of cosines with learned frequencies.

    A column x becomes s = x / sqrt(1 + (x / 3)²) and, with frequencies f and phases p, W^T cos(2π f s + p) + b: the
    embedding "PBLD" of Holzmüller et al. 2024 (arXiv 2407.04491, section 3 and appendix B).

    Shapes: input (n, d) standardised, output (n, d * (width + 1)).

    Args:
        d: columns.
        n_frequencies: cosines a column.
        width: mixtures a column.
        deviation: of the initial frequencies, in periods for one standard deviation of the column.
        generator, dtype: of the initial numbers.
    """

    def __init__(
        self,
        d: int,
        *,
        n_frequencies: int = 16,
        width: int = 4,
        deviation: float = 0.5,
        generator: torch.Generator,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        make = {"generator": generator, "dtype": dtype}
        self.frequency = nn.Parameter(torch.randn(d, n_frequencies, **make) * deviation)  # type: ignore[call-overload]
        phase = torch.rand(d, n_frequencies, **make)  # type: ignore[call-overload]
        self.phase = nn.Parameter((2 * phase - 1) * math.pi)
        mixture = torch.randn(d, n_frequencies, width, **make)  # type: ignore[call-overload]
        self.mixture = nn.Parameter(mixture / n_frequencies**0.5)
        self.bias = nn.Parameter(torch.zeros(d, width, dtype=dtype))
        self.width = d * (width + 1)

    def fixed(self, x: Tensor) -> Tensor:
        """Return s (n, d)."""
        return x * (1 + (x / 3).square()).rsqrt()

    def learned(self, bounded: Tensor) -> Tensor:
        """Return what is made of s, (n, d * (width + 1))."""
        return self.together([self], bounded)[0]

    @staticmethod
    def together(embeddings: "Sequence[Periodic]", bounded: Tensor) -> Tensor:
        """Return what each of m embeddings makes of the same s, (m, n, d * (width + 1)), in one product."""
        frequency, phase, mixture = (
            torch.stack([getattr(each, name) for each in embeddings], dim=1)
            for name in ("frequency", "phase", "mixture")
        )
        bias = torch.stack([each.bias for each in embeddings])[:, None]
        waves = torch.cos((2 * math.pi * bounded)[:, :, None, None] * frequency + phase)
        mixed = torch.einsum("ndmf,dmfw->mndw", waves, mixture) + bias
        return torch.cat([mixed.flatten(2), bounded.expand(len(embeddings), -1, -1)], dim=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.learned(self.fixed(x))


class CategoryInput(nn.Module):
    """Codes to one-hot columns (code ``RARE`` has none, it is all zeros) or to learned embeddings.

    Shapes: input (n, c) int32, output (n, width).
    """

    def __init__(
        self, n_codes: list[int], one_hot: list[bool], width: int, generator: torch.Generator, dtype: torch.dtype
    ) -> None:
        super().__init__()
        hot = [i for i, is_hot in enumerate(one_hot) if is_hot]
        self.embedded = [i for i, is_hot in enumerate(one_hot) if not is_hot]
        self.register_buffer("hot", torch.tensor(hot, dtype=torch.long), persistent=False)
        column = [i for i in range(len(hot)) for _ in range(1, n_codes[hot[i]])]
        code = [c for i in hot for c in range(1, n_codes[i])]
        self.register_buffer("column", torch.tensor(column, dtype=torch.long), persistent=False)
        self.register_buffer("code", torch.tensor(code, dtype=torch.int32), persistent=False)
        self.tables = nn.ParameterList()
        for i in self.embedded:
            table = torch.empty(n_codes[i], width, dtype=dtype).normal_(0, 1 / width**0.5, generator=generator)
            table[RARE] = 0  # what was never seen says nothing
            self.tables.append(nn.Parameter(table))
        self.width = len(code) + width * len(self.embedded)
        self.dtype = dtype

    hot: Tensor
    column: Tensor
    code: Tensor

    def fixed(self, codes: Tensor) -> Tensor:
        """Return the one-hot columns (n, c)."""
        spread = codes.index_select(1, self.hot).index_select(1, self.column)
        return (spread == self.code).to(self.dtype)

    def learned(self, codes: Tensor, one_hot: Tensor) -> Tensor:
        """Return the one-hot columns and the embeddings side by side."""
        return self.together([self], codes, one_hot)[0]

    @staticmethod
    def together(categories: "Sequence[CategoryInput]", codes: Tensor, one_hot: Tensor) -> Tensor:
        """Return what each of m makes of the same codes, (m, n, width)."""
        m, n = len(categories), len(codes)
        parts = [one_hot.expand(m, -1, -1)] if one_hot.shape[1] else []
        for j, i in enumerate(categories[0].embedded):
            tables = torch.cat([each.tables[j] for each in categories], dim=1)
            parts.append(F.embedding(codes[:, i], tables).view(n, m, -1).transpose(0, 1))
        return torch.cat(parts, dim=2)

    def forward(self, codes: Tensor) -> Tensor:
        return self.learned(codes, self.fixed(codes))


class InputLayer(nn.Module):
    """All inputs side by side: numbers, missing flags, categories, pixels.

    It computes nothing that is learned but the categories' embeddings, and so is not counted as a layer.

    Shapes: input as ``Encoder.transform`` returns it, output (n, ``width``), sparse CSR where the input is.

    Attributes:
        width: of the output.
        n_pixels: pixels, which are the last columns.
        kind: ``input``, or ``gradients`` where images enter as such.
        leaves_pixels: whether pixels leave as they are, which ``leave_pixels_to`` says.

    Args:
        encoder: what the columns are.
        numbers: ``periodic`` or ``piecewise_embedding``: as ``Periodic`` or ``PiecewiseEmbedding`` makes them; else by
            the encoder's bins where it has them (``piecewise_linear``), and as they are where not (``standard``).
        embedding_width: numbers in a category's embedding.
        generator: source of the initial embeddings.
        dtype: of the output.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        numbers: str = "piecewise_linear",
        embedding_width: int,
        generator: torch.Generator,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.kind = "gradients" if encoder.sees_gradients else "input"
        self.width = 0
        self.pieces: PiecewiseLinear | PiecewiseEmbedding | Periodic | None = None
        self.categories: CategoryInput | None = None
        edges = [code.edges for code in encoder.numbers]
        if numbers == "periodic" and edges:
            self.pieces = Periodic(len(edges), generator=generator, dtype=dtype)
            self.width += self.pieces.width
        elif numbers == "piecewise_embedding" and any(edges):
            self.pieces = PiecewiseEmbedding(edges, generator=generator, dtype=dtype)
            self.width += self.pieces.width
        elif numbers == "piecewise_linear" and any(edges):
            self.pieces = PiecewiseLinear(edges, dtype)
            self.width += len(self.pieces.column)
        else:
            self.width += len(edges)
        self.width += sum(code.flag for code in encoder.numbers)
        if encoder.categories:
            n_codes = [code.n_codes for code in encoder.categories]
            one_hot = [code.one_hot for code in encoder.categories]
            self.categories = CategoryInput(n_codes, one_hot, embedding_width, generator, dtype)
            self.width += self.categories.width
        self.width += sum(len(block.scales) for block in encoder.blocks)
        self.leaves_pixels = False
        pixels = [(code.mean, code.scale) for code in encoder.images for _ in range(code.width)]
        self.n_pixels = len(pixels)
        if pixels:
            mean, scale = torch.tensor(pixels, dtype=torch.float64).unbind(1)
            self.register_buffer("pixel_scale", (1 / scale).to(dtype), persistent=False)
            self.register_buffer("pixel_shift", (-mean / scale).to(dtype), persistent=False)
            self.width += len(pixels)

    pixel_scale: Tensor
    pixel_shift: Tensor

    def fixed(self, inputs: Inputs) -> Inputs:
        """Return what nothing is learned for, by part: several layers with the same numbers make it once."""
        if "sparse" in inputs:  # a sparse block stands alone, and stays sparse
            return {"sparse": inputs["sparse"].to(self.dtype)}
        parts = {}
        if "numbers" in inputs:
            numbers = inputs["numbers"].to(self.dtype)
            parts["numbers"] = numbers if self.pieces is None else self.pieces.fixed(numbers)
        if "flags" in inputs:
            parts["flags"] = inputs["flags"].to(self.dtype)
        if self.categories is not None and "codes" in inputs:
            parts["codes"], parts["one_hot"] = inputs["codes"], self.categories.fixed(inputs["codes"])
        if "pixels" in inputs:
            pixels = inputs["pixels"].to(self.dtype)
            if self.leaves_pixels:
                return {**parts, "pixels": pixels}
            is_copy = pixels is not inputs["pixels"] and not pixels.requires_grad
            # Memory that is there already costs half as much as fresh memory. A user may have called ``double``.
            place = pixels if is_copy and pixels.dtype == self.pixel_shift.dtype else None
            parts["pixels"] = torch.addcmul(self.pixel_shift, pixels, self.pixel_scale, out=place)
        return parts

    def leave_pixels_to(self, weight: Tensor, bias: Tensor) -> None:
        """Scale pixels by the map that reads them, weight (width, units) and bias (units,): one pass less over them."""
        if self.n_pixels:
            self.leaves_pixels = True
            of_pixels = weight[-self.n_pixels :]
            bias.addmv_(of_pixels.t(), self.pixel_shift)
            of_pixels.mul_(self.pixel_scale[:, None])

    def learned(self, fixed: Inputs) -> Tensor:
        """Return the encoded row (n, width) from what ``fixed`` returned."""
        return fixed["sparse"] if "sparse" in fixed else self.together([self], fixed)[0]

    @staticmethod
    def together(layers: "Sequence[InputLayer]", fixed: Inputs) -> Tensor:
        """Return what each of m layers, alike but for what they learned, makes of ``fixed``, (m, n, width)."""
        first, m = layers[0], len(layers)
        parts = []
        if "numbers" in fixed:
            embeddings: list[Any] = [layer.pieces for layer in layers]
            numbers = fixed["numbers"]
            if isinstance(first.pieces, PiecewiseEmbedding | Periodic):
                parts.append(first.pieces.together(embeddings, numbers))
            else:
                parts.append(numbers.expand(m, -1, -1))
        if "flags" in fixed:
            parts.append(fixed["flags"].expand(m, -1, -1))
        if first.categories is not None:
            categories: list[Any] = [layer.categories for layer in layers]
            parts.append(first.categories.together(categories, fixed["codes"], fixed["one_hot"]))
        if "pixels" in fixed:
            parts.append(fixed["pixels"].expand(m, -1, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.learned(self.fixed(inputs))
