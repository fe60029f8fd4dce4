"""How activations and gradients fare from layer to layer: what vanishes, what saturates, what is dead."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamina.activations import Activation
from lamina.analysis.exact import float64_copy
from lamina.data.weights import target_and_weights
from lamina.errors import DataError
from lamina.losses import LOSSES
from lamina.model import Model, as_tensors
from lamina.network.layers import Activate
from lamina.network.mlp import MLP
from lamina.partition import Part, with_class_weights
from lamina.training.rows import Rows

# A unit of a bounded activation counts as saturated where its derivative is less than this share of the largest one.
SATURATED = 1e-3
_SLICE_ROWS = 8192


@dataclass(frozen=True)
class LayerFlow:
    """What passes through one hidden layer H = σ(Z), forward and backward.

    A row of weight 2 counts as the row twice in all of it.

    Attributes:
        layer: counted from 1, from the inputs on.
        activation: name of σ.
        units: width.
        mean, std: of all entries of H, with the divisor n.
        norm: mean Euclidean length of a row of H.
        output_gradient: mean Euclidean length of the gradient of a row's loss by its row of H.
        weight_gradient: Euclidean (Frobenius) norm of the gradient of the mean loss by the layer's matrix W, which for
            the layers phm and low_rank is the composed one.
        saturated: share of the entries of Z at which |σ'| is at most ``SATURATED`` times its largest value; ``None``
            for activations that are not bounded on both sides.
        dead: share of the units at which σ' is 0 for every row: no gradient comes back through them.
    """

    layer: int
    activation: str
    units: int
    mean: float
    std: float
    norm: float
    output_gradient: float
    weight_gradient: float
    saturated: float | None
    dead: float


@dataclass(frozen=True)
class _Pass:
    """One hidden layer on some rows: input (n, fan_in), affine map's output, Z and H, all (n, units)."""

    block: Any
    x: Tensor
    affine: Tensor
    z: Tensor
    h: Tensor


@dataclass(frozen=True)
class _Back:
    """What comes back to a layer, each (n, units): the gradients of each row's loss by H and X W + b, and σ'(Z)."""

    by_output: Tensor
    slope: Tensor
    by_affine: Tensor


@dataclass
class _Sums:
    """What is added up over the rows of one layer."""

    weight_gradient: Tensor
    alive: Tensor
    first: float = 0.0
    second: float = 0.0
    norm: float = 0.0
    output_gradient: float = 0.0
    saturated: float = 0.0


def gradient_flow(model: Model, data: Any) -> list[LayerFlow]:
    """Return one record for each hidden layer, computed in float64 and evaluation mode on the rows of ``data``.

    The backward pass multiplies by each activation's own closed-form derivative. The loss is that of training, with the
    rows' weights, class weights (``balanced`` ones from ``data``) and smoothed labels, and without weight decay.

    Args:
        model: trained or not; an untrained one is ``lamina.prepare(...).current()``. It is not changed.
        data: rows with their target, as in ``Model.evaluate``.

    Returns:
        Layers from the inputs on; none for a model without hidden layers.

    Raises:
        DataError, SchemaError: the data or its target cannot be read or does not fit, or no row has a weight above 0.

    Example:
        >>> import lamina
        >>> untrained = lamina.prepare("iris", hidden_units=(8, 8), activation="sigmoid").current()
        >>> [layer.units for layer in gradient_flow(untrained, "iris")]
        [8, 8]
    """
    rows, weights = _rows(model, data)
    network = float64_copy(model)
    loss = LOSSES[model.config.loss].bound(model.config.as_dict())
    blocks: list[Any] = list(network.hidden)
    sums = [
        _Sums(torch.zeros_like(block.affine.weight), torch.zeros(len(block.affine.bias), dtype=torch.bool))
        for block in blocks
    ]
    with torch.no_grad():
        for start in range(0, len(rows), _SLICE_ROWS):
            index = torch.arange(start, min(start + _SLICE_ROWS, len(rows)))
            part, w = rows.at(index), weights[index]
            passes, outputs = _forward(network, part)
            for i, back in _backward(network, passes, loss.gradient(outputs, part.target)):
                _add(sums[i], passes[i], back, w)
    total = float(weights.sum())
    layers = zip(blocks, sums, strict=True)
    return [_layer_flow(i, block.activation.record, each, total) for i, (block, each) in enumerate(layers, start=1)]


def _rows(model: Model, data: Any) -> tuple[Rows, Tensor]:
    """Return the rows of weight above 0, and their weights (n,)."""
    table = model.read(data)
    y, weights = target_and_weights(model.schema, table)
    if not len(y):
        raise DataError(f"{table.source} has no rows to compute a gradient on.")
    if weights is not None and not weights.any():
        raise DataError(f"{table.source}: every row has the weight 0; there is no loss to take the gradient of.")
    features = model.schema.check(table)[0]
    model.encoder.check_images(features)
    arrays = model.encoder.transform(features, "float64")
    part = Part(arrays, y, weights, np.arange(len(y)))
    weights = with_class_weights(part, model.config.class_weight, model.schema)
    if model.task != "classification":
        y = y if model.scaler is None else model.scaler.forward(y)
        y = y.astype(np.float64)
    rows = Rows(as_tensors(arrays, "cpu"), torch.from_numpy(y))
    if weights is None:
        return rows, torch.ones(len(rows), dtype=torch.float64)
    counted = np.flatnonzero(weights)
    return rows.at(torch.from_numpy(counted)), torch.from_numpy(weights[counted])


def _forward(network: MLP, part: Rows) -> tuple[list[_Pass], Tensor]:
    h = network.inputs(part.inputs)
    passes = []
    blocks: list[Any] = list(network.hidden)
    for block in blocks:
        affine = block.affine(h)
        z = block.norm(affine) if hasattr(block, "norm") else affine
        passes.append(_Pass(block, h, affine, z, block.activation(z)))
        h = passes[-1].h  # dropout does nothing in evaluation
    return passes, network.output(h)


def _backward(network: MLP, passes: list[_Pass], gradient: Tensor) -> Iterator[tuple[int, _Back]]:
    """Yield, from the last layer on, its number and what comes back to it from ``gradient`` (n, k) at the outputs."""
    gradient = gradient @ network.output.weight.T
    for i in reversed(range(len(passes))):
        at = passes[i]
        slope = _derivative(at.block.activation, at.z)
        by_affine = _through_norm(at, gradient * slope)
        yield i, _Back(gradient, slope, by_affine)
        if i:  # the inputs, which may be sparse and wide, need none
            gradient = by_affine @ at.block.affine.weight.T


def _through_norm(at: _Pass, by_z: Tensor) -> Tensor:
    if not hasattr(at.block, "norm"):
        return by_z
    norm: nn.Module = at.block.norm
    with torch.enable_grad():
        affine = at.affine.detach().requires_grad_()
        (by_affine,) = torch.autograd.grad(norm(affine), affine, by_z)
    return by_affine


def _add(sums: _Sums, at: _Pass, back: _Back, w: Tensor) -> None:
    sums.first += float(w @ at.h.sum(dim=1))
    sums.second += float(w @ at.h.square().sum(dim=1))
    sums.norm += float(w @ at.h.norm(dim=1))
    sums.output_gradient += float(w @ back.by_output.norm(dim=1))
    sums.weight_gradient += at.x.t() @ (back.by_affine * w[:, None])
    sums.alive |= (back.slope != 0).any(dim=0)
    flat = back.slope.abs() <= SATURATED * _steepest(at.block.activation, at.z.shape[1])
    sums.saturated += float(w @ flat.to(w.dtype).sum(dim=1))


def _layer_flow(layer: int, activation: Activation, sums: _Sums, total: float) -> LayerFlow:
    units = len(sums.alive)
    mean = sums.first / (total * units)
    return LayerFlow(
        layer=layer,
        activation=activation.name,
        units=units,
        mean=mean,
        std=max(sums.second / (total * units) - mean * mean, 0.0) ** 0.5,
        norm=sums.norm / total,
        output_gradient=sums.output_gradient / total,
        weight_gradient=float(sums.weight_gradient.norm()) / total,
        saturated=sums.saturated / (total * units) if np.isfinite(activation.limits).all() else None,
        dead=1 - float(sums.alive.double().mean()),
    )


def _steepest(activate: Activate, units: int) -> Tensor:
    """Return the largest |σ'| of each unit, (units,), over the range that a normalized signal has."""
    grid = torch.arange(-800, 801, dtype=torch.float64)[:, None] / 100  # with 0 itself, where most are steepest
    return _derivative(activate, grid.expand(-1, units)).abs().amax(dim=0)


def _derivative(activate: Activate, z: Tensor) -> Tensor:
    """Return σ'(z), of the shape of z, in closed form."""
    learned = () if activate.parameter is None else (activate.parameter,)
    derivative: Tensor = activate.record.derivative(z, *learned)
    return derivative
