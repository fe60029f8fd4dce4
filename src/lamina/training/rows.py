"""Encoded rows as tensors, dense or sparse, and the mean loss on them."""

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lamina.losses import Loss

# So many rows are copied at once for the minibatches to come; more would drive what they meet out of the cache.
_BYTES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Rows:
    """Encoded rows as tensors.

    Attributes:
        inputs: by name.
        target: (n,) or (n, k).
        weights: (n,), or (n, members) where they differ between the members of a network, of mean 1; or ``None``.
        held: (n, members), 1 where a member has not seen the row in training, else 0; ``None``: none has seen any.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor
    weights: Tensor | None = None
    held: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def at(self, index: Tensor) -> "Rows":
        """Return the rows at ``index`` (int64), copied."""
        inputs = {name: rows_at(values, index) for name, values in self.inputs.items()}
        weights = None if self.weights is None else self.weights.index_select(0, index)
        held = None if self.held is None else self.held.index_select(0, index)
        return Rows(inputs, self.target.index_select(0, index), weights, held)

    def minibatches(self, order: Tensor, n_batches: int) -> Iterator["Rows"]:
        """Yield the rows in ``order`` (n,) int64 as minibatches of nearly equal size, copied.

        Several are copied at once: one by one, most of the time would go into calls.
        """
        batches = order.tensor_split(n_batches)
        sparse = any(values.layout == torch.sparse_csr for values in self.inputs.values())
        size = sum(math.prod(values.shape[1:]) * values.element_size() for values in self.inputs.values())
        together = 1 if sparse else max(_BYTES_AT_ONCE // max(size * len(batches[0]), 1), 1)
        done = 0
        for start in range(0, n_batches, together):
            lengths = [len(each) for each in batches[start : start + together]]
            copied = self.at(order[done : done + sum(lengths)])
            done += sum(lengths)
            yield from copied.split(lengths) if len(lengths) > 1 else [copied]

    def split(self, lengths: list[int]) -> list["Rows"]:
        """Return windows on dense rows, of these lengths one after the other."""
        inputs = {name: torch.split(values, lengths) for name, values in self.inputs.items()}
        target = torch.split(self.target, lengths)
        weights = None if self.weights is None else torch.split(self.weights, lengths)
        held = None if self.held is None else torch.split(self.held, lengths)
        return [
            Rows(
                {name: values[i] for name, values in inputs.items()},
                target[i],
                None if weights is None else weights[i],
                None if held is None else held[i],
            )
            for i in range(len(lengths))
        ]


def rows_at(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows of ``values`` (n, d), dense or sparse CSR, at ``index`` (m,) int64, as (m, d) of its layout."""
    if values.layout != torch.sparse_csr:
        return values.index_select(0, index)
    # torch selects no rows of a CSR tensor.
    starts = values.crow_indices()
    lengths = (starts[1:] - starts[:-1])[index]
    ends = lengths.cumsum(0)
    first = torch.repeat_interleave(starts[index] - (ends - lengths), lengths)
    entries = first + torch.arange(len(first), device=first.device)
    crow = torch.cat([ends.new_zeros(1), ends])
    return csr(crow, values.col_indices()[entries], values.values()[entries], (len(index), values.shape[1]))


def csr(crow: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a sparse CSR tensor of ``size``; the arguments are trusted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(crow, columns, values, size, check_invariants=False)


def mean_loss(outputs: Tensor, rows: Rows, loss: Loss) -> float:
    """Return the weighted mean of ``loss`` over ``rows``, whose outputs are given."""
    values = loss.per_row(outputs, rows.target)
    if rows.weights is None:
        return float(values.mean())
    return float((values * rows.weights).sum() / rows.weights.sum())
