"""A linear model that counts for a share of each prediction of several networks.

On rows that are few or nearly linear a penalised linear model errs less than networks do, and both together less than
either. The outputs of the networks, averaged, are z; those of the linear model are a; together they are
(1 - s) z + s a, where s is the share: for numbers a weighted average of values, for classes one of logarithms of
probabilities (the logarithmic opinion pool of Genest and Zidek 1986, "Combining probability distributions").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.encoder import Encoder
from lamina.errors import ModelFileError

Array = NDArray[Any]
_PREFIX = "linear."


@dataclass(frozen=True)
class LinearPart:
    """s a(x), to be added to (1 - s) z.

    Attributes:
        keep: 1 - s, above 0 and at most 1.
        weight: (d, k): of the numbers, standardised, of the missing flags, and of each level of each category but the
            rare ones; s is multiplied in.
        bias: (k,), likewise.
        n_numbers, n_flags: rows of ``weight`` that are theirs.
        n_codes: of each category, its levels and one for what is rare, which has no row.
    """

    keep: float
    weight: Array
    bias: Array
    n_numbers: int
    n_flags: int
    n_codes: tuple[int, ...]

    @classmethod
    def of(cls, encoder: Encoder, keep: float, weight: Array, bias: Array) -> "LinearPart":
        """Return the part of the columns that ``encoder`` knows; arguments as the attributes."""
        n_codes = tuple(code.n_codes for code in encoder.categories)
        return cls(keep, weight, bias, len(encoder.numbers), sum(code.flag for code in encoder.numbers), n_codes)

    @property
    def share(self) -> float:
        """How much the linear model counts: s."""
        return 1 - self.keep

    @cached_property
    def tables(self) -> list[Array]:
        """What becomes of each code of each category, (codes, k); of the rare ones nothing."""
        parts = np.split(self.weight[self.n_numbers + self.n_flags :], np.cumsum([n - 1 for n in self.n_codes[:-1]]))
        return [np.concatenate([np.zeros_like(self.bias)[None], rows]) for rows in parts if self.n_codes]

    def blended(self, outputs: Array, arrays: Mapping[str, Any]) -> Array:
        """Return (1 - s) z + s a (n, k) for the networks' ``outputs`` z (n, k) and encoded rows."""
        result = self.keep * outputs + self.bias
        if self.n_numbers:
            result += arrays["numbers"] @ self.weight[: self.n_numbers]
        if self.n_flags:
            result += arrays["flags"] @ self.weight[self.n_numbers : self.n_numbers + self.n_flags]
        for i, table in enumerate(self.tables):
            result += table[arrays["codes"][:, i]]
        return np.asarray(result)

    def columns(self, arrays: Mapping[str, Any]) -> Array:
        """Return what ``weight`` is multiplied with, (n, d): numbers, flags, and a column of 0 and 1 for each level."""
        parts = [np.asarray(arrays[name], dtype=np.float64) for name in ("numbers", "flags") if name in arrays]
        for i, n in enumerate(self.n_codes):
            parts.append((arrays["codes"][:, i, None] == np.arange(1, n)).astype(np.float64))
        return np.concatenate(parts, axis=1)

    def owners(self, encoder: Encoder) -> list[str]:
        """Return the name of the column that each row of ``weight`` belongs to."""
        numbers = [code.name for code in encoder.numbers]
        flags = [code.name for code in encoder.numbers if code.flag]
        return numbers + flags + [code.name for code in encoder.categories for _ in range(code.n_codes - 1)]

    def as_tensors(self) -> dict[str, Array]:
        """Return its numbers by name, as a model's file holds them among the weights."""
        return {f"{_PREFIX}keep": np.array([self.keep]), f"{_PREFIX}weight": self.weight, f"{_PREFIX}bias": self.bias}


def taken_from(
    tensors: Mapping[str, Array], encoder: Encoder, n_outputs: int
) -> tuple[dict[str, Array], LinearPart | None]:
    """Return the tensors of the network, and the linear part among ``tensors``, or ``None`` where there is none.

    Raises:
        ModelFileError: its tensors are not all there, or not of these columns.
    """
    rest = {name: array for name, array in tensors.items() if not name.startswith(_PREFIX)}
    mine = {name.removeprefix(_PREFIX): array for name, array in tensors.items() if name.startswith(_PREFIX)}
    if not mine:
        return rest, None
    part = LinearPart.of(encoder, 1.0, np.zeros((0, n_outputs)), np.zeros(n_outputs))
    d = part.n_numbers + part.n_flags + sum(n - 1 for n in part.n_codes)
    shapes = {"keep": (1,), "weight": (d, n_outputs), "bias": (n_outputs,)}
    if {name: array.shape for name, array in mine.items()} != shapes or encoder.images or encoder.blocks:
        raise ModelFileError("the linear part of the weights is not of the model's columns; train or copy it again.")
    keep, weight, bias = (mine[name].astype(np.float64) for name in shapes)
    return rest, LinearPart.of(encoder, float(keep[0]), weight, bias)
