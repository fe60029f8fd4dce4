"""One encoded row to the outputs of each member: input layers that are alike are computed together.

``lamina.export.numpy_network`` goes from one input layer to the next, which suits many rows. Of one row, NumPy's calls
cost more than the arithmetic; here the weights of neighbours are stacked once, and a call serves all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.export.numpy_network import activated, numbers_of
from lamina.export.plan import Embedding, Inputs, Pieces, Plan, Waves

Array = NDArray[Any]


# Embeddings are multiplied with the first weights beforehand where the products have no more numbers (of 8 bytes).
_MOST_PRODUCTS = 2**20


@dataclass(frozen=True)
class Pile:
    """Neighbouring input layers of one kind, g of them, and the affine map behind each.

    Attributes:
        numbers: as in ``Inputs``, what is learned of all layers stacked: ``weight``, ``mixture``, ``frequency``,
            ``phase`` and ``bias`` have g as their first axis. ``frequency`` is in radians, and the waves' ``bias`` has
            become a part of that of the affine map.
        tables: (g, all codes, width): embeddings, one column below the other; ``None`` where there are none here.
        embedded, start: (e,): positions of those columns among the codes, and where their embeddings begin.
        weight: (g, numbers and embeddings, units).
    """

    numbers: Pieces | Embedding | Waves | None
    tables: Array | None
    embedded: Array
    start: Array
    weight: Array

    def __call__(self, x: Array | None, codes: Array | None) -> Array:
        """Return the products (g * units,) for ``x`` (d,) and ``codes`` (c,)."""
        g = len(self.weight)
        row = np.empty((g, 0)) if x is None else _encoded(self.numbers, x, g)
        if codes is not None and self.tables is not None:
            found = self.tables.take(codes.take(self.embedded) + self.start, axis=1)
            row = np.concatenate([row, found.reshape(g, -1)], axis=1)
        return np.asarray(np.matmul(row[:, None], self.weight).reshape(-1))


def _encoded(numbers: Pieces | Embedding | Waves | None, x: Array, g: int) -> Array:
    """Return what each of g layers makes of the numbers ``x`` (d,), (g, p)."""
    if isinstance(numbers, Embedding):
        pieces = x[:, None] - numbers.left
        pieces *= numbers.scale
        np.minimum(np.maximum(pieces, 0, out=pieces), 1, out=pieces)
        mixed = np.matmul(pieces[:, None], numbers.weight)  # (d, 1, T) @ (g, d, T, w)
        mixed += numbers.bias
        return np.asarray(np.maximum(mixed, 0, out=mixed).reshape(g, -1))
    if isinstance(numbers, Waves):
        bounded = x / np.hypot(1.0, x / 3)
        angles = bounded[:, None] * numbers.frequency
        angles += numbers.phase
        mixed = np.matmul(np.cos(angles, out=angles)[:, :, None], numbers.mixture)  # (g, d, 1, f) @ (g, d, f, w)
        row = np.empty((g, mixed.size // g + len(x)))
        row[:, : -len(x)] = mixed.reshape(g, -1)
        row[:, -len(x) :] = bounded
        return row
    return np.repeat(numbers_of(numbers, x[None]), g, axis=0)


@dataclass(frozen=True)
class OneRow:
    """The way of one encoded row through a network.

    Attributes:
        piles: the input layers, in their order.
        flags: (m, all units): what the first affine map makes of the missing flags; ``None`` without flags.
        by_code: (codes of all columns, all units): what it makes of the codes of categories, one column below the
            other; ``None`` without columns.
        columns, start: (c,): positions of those columns among the codes, and where their rows begin.
        bias: (all units,) of the first affine map.
        plan: the network.
    """

    piles: tuple[Pile, ...]
    flags: Array | None
    by_code: Array | None
    columns: Array
    start: Array
    bias: Array
    plan: Plan

    def __call__(self, arrays: Mapping[str, Array]) -> Array:
        """Return the outputs (1, members, k) for the arrays of one row, as ``Encoder.transform`` returns them."""
        numbers, codes = arrays.get("numbers"), arrays.get("codes")
        x, codes = None if numbers is None else numbers[0], None if codes is None else codes[0]
        products = [pile(x, codes) for pile in self.piles]
        hidden = products[0] if len(products) == 1 else np.concatenate(products)
        hidden += self.bias
        if codes is not None and self.by_code is not None:
            hidden += np.add.reduce(self.by_code.take(codes.take(self.columns) + self.start, axis=0), axis=0)
        if self.flags is not None:
            hidden += arrays["flags"][0] @ self.flags
        outputs, plan = hidden[None], self.plan
        if plan.blocks:
            outputs = activated(plan.blocks[0], outputs, plan)
            for block in plan.blocks[1:]:
                outputs = activated(block, _affine(outputs, block.weights, block.bias, plan.members), plan)
            outputs = _affine(outputs, plan.output, plan.output_bias, plan.members)
        return outputs.reshape(1, plan.members, -1)


def _affine(hidden: Array, weights: tuple[Array, ...], bias: Array, members: int) -> Array:
    """Return what a later affine map makes of ``hidden`` (1, all units)."""
    products = np.matmul(hidden.reshape(members, 1, -1), weights[0]).reshape(1, -1)
    products += bias
    return np.asarray(products)


def one_row_of(plan: Plan) -> OneRow | None:
    """Return the way of one row, or ``None`` for images and for embeddings of different widths, which have no such way.

    Args:
        plan: the network.
    """
    weights, bias = (plan.blocks[0].weights, plan.blocks[0].bias) if plan.blocks else (plan.output, plan.output_bias)
    tables = [table for _, table in plan.inputs[0].tables]
    if (
        len(plan.inputs[0].pixel_scale)
        or len({table.shape[1] for inputs in plan.inputs for _, table in inputs.tables}) > 1
    ):
        return None
    fold = sum(map(len, tables)) * len(bias) <= _MOST_PRODUCTS
    parts = [_parts(inputs, weight, fold) for inputs, weight in zip(plan.inputs, weights, strict=True)]
    kinds = groupby(zip(plan.inputs, parts, strict=True), lambda pair: (type(pair[0].numbers), pair[1].own.shape))
    piles = [list(pairs) for _, pairs in kinds]
    columns = list(parts[0].by_code)
    by_code = {i: np.concatenate([part.by_code[i] for part in parts], axis=1) for i in columns}
    flags = np.concatenate([part.flags for part in parts], axis=1)
    return OneRow(
        piles=tuple(_pile([inputs for inputs, _ in pairs], [part.own for _, part in pairs], fold) for pairs in piles),
        flags=flags if len(flags) else None,
        by_code=np.concatenate(list(by_code.values())) if columns else None,
        columns=np.array(columns, dtype=np.intp),
        start=_starts(list(by_code.values())),
        bias=bias + np.concatenate([part.bias for part in parts]),
        plan=plan,
    )


@dataclass(frozen=True)
class _Parts:
    """A first weight (width, units) by what it multiplies.

    Attributes:
        own: of numbers, and of embeddings that are not in ``by_code``.
        flags: of the missing flags.
        by_code: position of a column -> what becomes of each of its codes, (codes, units).
        bias: what becomes of the waves' bias, (units,).
    """

    own: Array
    flags: Array
    by_code: dict[int, Array]
    bias: Array


def _parts(inputs: Inputs, weight: Array, fold: bool) -> _Parts:
    n_embedded = sum(table.shape[1] for _, table in inputs.tables)
    ends = np.cumsum([inputs.flags, len(inputs.hot_code)])
    numbers, flags, hot, embedded = np.split(weight, len(weight) - n_embedded - ends[-1] + np.array([0, *ends]))
    by_code = {}
    for i in np.unique(inputs.hot_column).tolist():
        rows = hot[inputs.hot_column == i]  # of the codes 1, 2, ...
        by_code[i] = np.concatenate([np.zeros_like(rows[:1]), rows])
    if fold:
        ends = np.cumsum([0, *(table.shape[1] for _, table in inputs.tables)])
        for (i, table), begin, end in zip(inputs.tables, ends[:-1], ends[1:], strict=True):
            by_code[i] = table @ embedded[begin:end]
    own = numbers if fold else np.concatenate([numbers, embedded])
    wave_bias = inputs.numbers.bias.ravel() if isinstance(inputs.numbers, Waves) else np.zeros(0)
    return _Parts(own, flags, by_code, wave_bias @ numbers[: len(wave_bias)])


def _pile(layers: list[Inputs], weights: list[Array], fold: bool) -> Pile:
    tables = [] if fold else [table for _, table in layers[0].tables]
    return Pile(
        numbers=_stacked([layer.numbers for layer in layers]),
        tables=np.stack([np.concatenate([table for _, table in layer.tables]) for layer in layers]) if tables else None,
        embedded=np.array([i for i, _ in layers[0].tables], dtype=np.intp),
        start=_starts(tables),
        weight=np.stack(weights),
    )


def _starts(tables: list[Array]) -> Array:
    """Return where each of several tables begins when they are put one below the other."""
    return np.cumsum([0, *map(len, tables)])[:-1]


def _stacked(numbers: list[Any]) -> Pieces | Embedding | Waves | None:
    first: Pieces | Embedding | Waves | None = numbers[0]
    if isinstance(first, Embedding):
        weight, bias = np.stack([each.weight for each in numbers]), np.stack([each.bias for each in numbers])
        return replace(first, weight=weight, bias=bias[:, :, None])
    if isinstance(first, Waves):
        frequency = (2 * np.pi) * np.stack([each.frequency for each in numbers])
        phase, mixture = np.stack([each.phase for each in numbers]), np.stack([each.mixture for each in numbers])
        return replace(first, frequency=frequency, phase=phase, mixture=mixture)
    return first  # nothing in it is learned
