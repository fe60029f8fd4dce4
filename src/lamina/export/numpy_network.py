"""A network's outputs from encoded rows, in NumPy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.export.numpy_functions import ACTIVATE, MEAN
from lamina.export.plan import Block, Embedding, Inputs, Pieces, Plan, Waves

Array = NDArray[Any]
_SLICE_ROWS = 8192


def outputs_of(plan: Plan, arrays: Mapping[str, Array], n_rows: int) -> Array:
    """Return the outputs (n, k) before any output map, in slices of bounded memory.

    Of several members it is their average, a linear model's share included.

    Args:
        plan: the network.
        arrays: as ``Encoder.transform`` returns them.
        n_rows: n.
    """
    if n_rows <= _SLICE_ROWS:
        return _outputs(plan, arrays)
    starts = range(0, n_rows, _SLICE_ROWS)
    parts = [{name: array[i : i + _SLICE_ROWS] for name, array in arrays.items()} for i in starts]
    return np.concatenate([_outputs(plan, part) for part in parts])


def _outputs(plan: Plan, arrays: Mapping[str, Array]) -> Array:
    hidden = [_encoded(each, arrays) for each in plan.inputs]
    for block in plan.blocks:
        hidden = [activated(block, _affine(hidden, block.weights, block.bias), plan)]
    outputs = _affine(hidden, plan.output, plan.output_bias)
    if plan.members > 1:
        outputs = MEAN[plan.output_map](outputs.reshape(len(outputs), plan.members, -1))
    return outputs if plan.linear is None else plan.linear.blended(outputs, arrays)


def _encoded(inputs: Inputs, arrays: Mapping[str, Array]) -> Array:
    """Return the first layer's input (n, width); see ``lamina.network.embeddings.InputLayer``."""
    parts = []
    if "numbers" in arrays:
        parts.append(numbers_of(inputs.numbers, arrays["numbers"]))
    if inputs.flags:
        parts.append(arrays["flags"])
    if len(inputs.hot_code):
        parts.append((arrays["codes"][:, inputs.hot_column] == inputs.hot_code).astype(np.float64))
    parts += [table[arrays["codes"][:, i]] for i, table in inputs.tables]
    if len(inputs.pixel_scale):
        parts.append(arrays["pixels"] * inputs.pixel_scale + inputs.pixel_shift)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def numbers_of(numbers: Pieces | Embedding | Waves | None, x: Array) -> Array:
    """Return the encoding (n, p) of standardised numbers ``x`` (n, d)."""
    if numbers is None:
        return x
    if isinstance(numbers, Waves):
        return _waves(numbers, x)
    if isinstance(numbers, Embedding):
        return _embedding(numbers, x)
    spread = x[:, numbers.column]
    spread -= numbers.left
    spread *= numbers.scale
    np.maximum(spread, 0, out=spread)
    np.minimum(spread, 1, out=spread)
    return spread


def _embedding(embedding: Embedding, x: Array) -> Array:
    pieces = (x.T[:, :, None] - embedding.left[:, None]) * embedding.scale[:, None]
    np.minimum(np.maximum(pieces, 0, out=pieces), 1, out=pieces)
    # (d, n, bins) @ (d, bins, width), a product for each column.
    mixed = np.matmul(pieces, embedding.weight).transpose(1, 0, 2) + embedding.bias
    return np.asarray(np.maximum(mixed, 0).reshape(len(x), -1))


def _waves(waves: Waves, x: Array) -> Array:
    bounded = x / np.sqrt(1 + (x / 3) ** 2)
    angles = (2 * np.pi) * bounded[:, :, None] * waves.frequency
    angles += waves.phase
    # (d, n, f) @ (d, f, w), a product for each column.
    mixed = np.matmul(np.cos(angles, out=angles).transpose(1, 0, 2), waves.mixture).transpose(1, 0, 2) + waves.bias
    return np.concatenate([mixed.reshape(len(x), -1), bounded], axis=1)


def _affine(inputs: list[Array], weights: tuple[Array, ...], bias: Array) -> Array:
    if weights[0].ndim == 3:
        (x,), (weight,) = inputs, weights
        n, (members, fan_in, _) = len(x), weight.shape
        products = np.matmul(x.reshape(n, members, fan_in).transpose(1, 0, 2), weight)
        result = products.transpose(1, 0, 2).reshape(n, -1)
    elif len(weights) == 1:
        result = inputs[0] @ weights[0]
    else:
        result = np.concatenate([x @ weight for x, weight in zip(inputs, weights, strict=True)], axis=1)
    return np.asarray(result + bias)


def activated(block: Block, hidden: Array, plan: Plan) -> Array:
    """Return what stands behind a hidden layer's affine map, whose result is ``hidden`` (n, all units)."""
    if block.normalized:
        each = hidden.reshape(len(hidden), plan.members, -1)
        mean, variance = each.mean(axis=2, keepdims=True), each.var(axis=2, keepdims=True)
        hidden = ((each - mean) / np.sqrt(variance + plan.epsilon)).reshape(hidden.shape)
    if block.scale is not None:
        hidden = hidden * block.scale + block.shift
    return ACTIVATE[block.activation](hidden, block.parameter)
