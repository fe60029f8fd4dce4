"""A network's outputs from encoded columns, as ONNX nodes; what ``lamina.export.numpy_network`` is in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.export.onnx_functions import ACTIVATE, MEAN
from lamina.export.onnx_graph import Graph
from lamina.export.plan import Block, Embedding, Inputs, Pieces, Plan, Waves
from lamina.linear_part import LinearPart

Array = NDArray[Any]


def add_network(g: Graph, plan: Plan, parts: dict[str, str]) -> str:
    """Return the outputs (n, k) before any output map: of several members their average, a linear share included."""
    hidden = [_encoded(g, each, parts) for each in plan.inputs]
    for block in plan.blocks:
        hidden = [_block(g, plan, block, hidden)]
    outputs = _affine(g, hidden, plan.output, plan.output_bias)
    if plan.members > 1:
        k = len(plan.output_bias) // plan.members
        outputs = MEAN[plan.output_map](g, g.reshape(outputs, -1, plan.members, k), plan.members)
    return outputs if plan.linear is None else _blended(g, plan.linear, outputs, parts)


def _blended(g: Graph, linear: LinearPart, outputs: str, parts: dict[str, str]) -> str:
    d, f = linear.n_numbers, linear.n_numbers + linear.n_flags
    found = g.add("Add", g.add("Mul", outputs, linear.keep), linear.bias[None])
    for name, weight in (("numbers", linear.weight[:d]), ("flags", linear.weight[d:f])):
        if len(weight):
            found = g.add("Add", found, g.add("MatMul", parts[name], weight))
    for i, table in enumerate(linear.tables):
        code = g.reshape(g.columns(parts["codes"], [i]), -1)
        found = g.add("Add", found, g.add("Gather", table, code, axis=0))
    return found


def _encoded(g: Graph, inputs: Inputs, parts: dict[str, str]) -> str:
    found = []
    if "numbers" in parts:
        found.append(_numbers(g, inputs.numbers, parts["numbers"]))
    if inputs.flags:
        found.append(parts["flags"])
    if len(inputs.hot_code):
        spread = g.columns(parts["codes"], inputs.hot_column)
        codes = g.constant(inputs.hot_code[None, :], np.int64)
        found.append(g.cast(g.add("Equal", spread, codes), "DOUBLE"))
    for column, table in inputs.tables:
        code = g.reshape(g.columns(parts["codes"], [column]), -1)
        found.append(g.add("Gather", table, code, axis=0))
    if len(inputs.pixel_scale):
        scaled = g.add("Mul", parts["pixels"], inputs.pixel_scale[None, :])
        found.append(g.add("Add", scaled, inputs.pixel_shift[None, :]))
    return g.concat(found)


def _numbers(g: Graph, encoding: Pieces | Embedding | Waves | None, x: str) -> str:
    if encoding is None:
        return x
    if isinstance(encoding, Pieces):
        spread = g.add("Sub", g.columns(x, encoding.column), encoding.left[None, :])
        return g.add("Clip", g.add("Mul", spread, encoding.scale[None, :]), 0.0, 1.0)
    if isinstance(encoding, Embedding):
        d, _, width = encoding.weight.shape
        by_column = g.reshape(g.add("Transpose", x, perm=[1, 0]), d, -1, 1)
        pieces = g.add("Mul", g.add("Sub", by_column, encoding.left[:, None]), encoding.scale[:, None])
        mixed = g.add("MatMul", g.add("Clip", pieces, 0.0, 1.0), encoding.weight)  # (d, n, width)
        shifted = g.add("Add", g.add("Transpose", mixed, perm=[1, 0, 2]), encoding.bias[None])
        return g.reshape(g.add("Relu", shifted), -1, d * width)
    third = g.add("Div", x, 3.0)
    bounded = g.add("Div", x, g.add("Sqrt", g.add("Add", 1.0, g.add("Mul", third, third))))
    d, _, width = encoding.mixture.shape
    angle = g.add("Mul", g.reshape(bounded, -1, d, 1), 2 * np.pi * encoding.frequency[None])
    waves = g.add("Cos", g.add("Add", angle, encoding.phase[None]))  # (n, d, frequencies)
    by_column = g.add("MatMul", g.add("Transpose", waves, perm=[1, 0, 2]), encoding.mixture)  # (d, n, width)
    mixed = g.add("Add", g.add("Transpose", by_column, perm=[1, 0, 2]), encoding.bias[None])
    return g.concat([g.reshape(mixed, -1, d * width), bounded])


def _affine(g: Graph, inputs: list[str], weights: tuple[Array, ...], bias: Array) -> str:
    if weights[0].ndim == 3:
        members, fan_in, fan_out = weights[0].shape
        x = g.add("Transpose", g.reshape(inputs[0], -1, members, fan_in), perm=[1, 0, 2])
        product = g.add("Transpose", g.add("MatMul", x, weights[0]), perm=[1, 0, 2])
        return g.add("Add", g.reshape(product, -1, members * fan_out), bias)
    products = [g.add("MatMul", x, weight) for x, weight in zip(inputs, weights, strict=True)]
    return g.add("Add", g.concat(products), bias)


def _block(g: Graph, plan: Plan, block: Block, inputs: list[str]) -> str:
    hidden = _affine(g, inputs, block.weights, block.bias)
    if block.normalized:
        units = len(block.bias)
        each = g.reshape(hidden, -1, plan.members, units // plan.members)
        centred = g.add("Sub", each, g.reduce("ReduceMean", each, 2))
        variance = g.reduce("ReduceMean", g.add("Mul", centred, centred), 2)
        deviation = g.add("Sqrt", g.add("Add", variance, plan.epsilon))
        hidden = g.reshape(g.add("Div", centred, deviation), -1, units)
    if block.scale is not None and block.shift is not None:
        hidden = g.add("Add", g.add("Mul", hidden, block.scale), block.shift)
    return ACTIVATE[block.activation](g, hidden, block.parameter)
