"""Affine maps without a nonlinearity between them are one affine map: a network made as small as it really is."""

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamina.analysis.exact import float64_copy
from lamina.analysis.row_function import CLIP
from lamina.analysis.stages import Array, affine_of, elementwise_of, has_affine_norm, maps_outputs, numpy, parts_of
from lamina.config import Config
from lamina.data.encoder import Encoder
from lamina.data.target_scaling import TargetScaler
from lamina.errors import LaminaWarning
from lamina.model import Model, build_network
from lamina.network.mlp import MLP

# The encoder clips at CLIP, which means standard deviations before the standardisation is folded in, and the column's
# own unit afterwards. Of a million rows none is further from the mean than this many deviations.
_FAR = 1e3
# Share of a standard deviation that rounding may take when a column comes as it is.
_LOST = 1e-3


@dataclass(frozen=True)
class Collapsed:
    """A smaller model that predicts the same, and what became of the larger one.

    Attributes:
        model: predicts, saves and loads as any other, and has the ``dtype`` of the one it came from.
        max_difference: the largest difference between an output of the two (probabilities, or values in the target's
            unit) on the data given; ``None`` without data.
        parameters_saved: how many learned numbers fewer; negative where a layer was narrower than both its neighbours.
        notes: what was folded and what could not be, a sentence each.
    """

    model: Model
    max_difference: float | None
    parameters_saved: int
    notes: tuple[str, ...]


@dataclass
class _Layer:
    """An affine map of the smaller network and, behind it, the activation; "" for the output layer.

    ``rest`` are the tensors of what is behind the map, by name, as in ``activation.parameter``.
    """

    weight: Array
    bias: Array
    activation: str = ""
    rest: dict[str, Tensor] = field(default_factory=dict)


def collapse(model: Model, data: Any = None) -> Collapsed:
    """Return ``model`` with every run of affine maps made one: W = W1 W2, b = b1 W2 + b2.

    Affine are hidden layers without a nonlinearity (the activation ``identity``), batch normalization at prediction,
    the standardisation of numbers and pixels (which goes into the first layer, so that the model takes raw columns) and
    the scaling of a number target (into the last one). Computed in float64. A deep linear network becomes a linear
    model without a hidden layer.

    The weights are rounded to the model's ``dtype`` in the end, which moves an output by that format's precision times
    1 + max(|mean| / deviation) of the columns; a model trained with dtype="float64" keeps twelve digits.

    Args:
        model: of any options; what is not affine stays as it is, and the notes say so.
        data: rows on which both models are compared, as ``Model.predict`` takes them.

    Raises:
        DataError, SchemaError: the data cannot be read or does not fit.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", hidden_units=(8, 8), activation="identity", numeric="standard", epochs=2)
        >>> small = collapse(model)
        >>> small.model.network.n_layers, small.parameters_saved
        (1, 124)
    """
    network = float64_copy(model)
    notes: list[str] = []
    layers = _runs(network, notes)
    precision = float(torch.finfo(getattr(torch, model.config.dtype)).eps)
    encoder = _with_standardisation(model.encoder, layers[0], precision, notes)
    scaler = model.scaler
    if scaler is not None and maps_outputs(model):
        notes.append(f"the scaling of the target stays: the output map of the loss {model.config.loss} is before it")
    elif scaler is not None:
        scaler = _with_target_scaling(scaler, layers[-1])
        notes.append("the scaling of the target is in the last layer")
    config = _described(model.config, layers[:-1])
    smaller = build_network(encoder, len(layers[-1].bias), config, torch.Generator())
    smaller.load_state_dict(_state(network, layers))
    report = replace(model.report, notes=[*model.report.notes, *notes])
    collapsed = replace(model, encoder=encoder, network=smaller.eval(), config=config, scaler=scaler, report=report)
    saved = sum(p.numel() for p in model.network.parameters()) - sum(p.numel() for p in smaller.parameters())
    return Collapsed(collapsed, None if data is None else _difference(model, collapsed, data), saved, tuple(notes))


def _runs(network: MLP, notes: list[str]) -> list[_Layer]:
    """Return the layers that stay, the output layer last, each with the affine maps before it folded in."""
    layers: list[_Layer] = []
    before: tuple[Array, Array] | None = None
    every = [parts_of(hidden) for hidden in network.hidden]
    for parts in every:
        weight, bias = _behind(before, *affine_of(parts))
        function = elementwise_of(parts["activation"], len(bias))
        folds = has_affine_norm(parts)
        if folds and function is not None and function.is_affine:
            slopes, intercepts = function.slopes[0], function.intercepts[0]
            before = weight * slopes, bias * slopes + intercepts
            continue
        kept = ("activation",) if folds else ("norm", "activation")
        rest = {f"{name}.{key}": value for name in kept for key, value in parts[name].state_dict().items()}
        layers.append(_Layer(weight, bias, parts["activation"].record.name, rest))
        before = None
    layers.append(_Layer(*_behind(before, numpy(network.output.weight), numpy(network.output.bias))))
    gone = len(every) + 1 - len(layers)
    if gone:
        plural = "s" if gone > 1 else ""
        notes.append(f"{gone} hidden layer{plural} without a nonlinearity folded into the affine map behind")
    if any("norm" in parts and has_affine_norm(parts) for parts in every):
        notes.append("batch normalization is folded into the affine maps before it")
    if not all(has_affine_norm(parts) for parts in every):
        notes.append("the normalization of the hidden layers is not affine, so that they stay as they are")
    return layers


def _behind(before: tuple[Array, Array] | None, weight: Array, bias: Array) -> tuple[Array, Array]:
    return (weight, bias) if before is None else (before[0] @ weight, before[1] @ weight + bias)


def _with_standardisation(encoder: Encoder, first: _Layer, precision: float, notes: list[str]) -> Encoder:
    """Return the encoder with mean 0 and scale 1 where that can be, and have the first layer do it instead."""
    width = len(first.weight)
    mean, scale = np.zeros(width), np.ones(width)
    numbers = list(encoder.numbers)
    if any(code.edges for code in numbers):
        notes.append(
            "the standardisation of numbers stays: the piecewise-linear encoding is behind it, unlike with "
            "numeric='standard'"
        )
    else:
        for i, code in enumerate(numbers):
            if abs(code.mean) + _FAR * code.scale > CLIP:
                notes.append(f"column {code.name!r} stays standardised: as they are, its values may be clipped")
            elif abs(code.mean) * precision > _LOST * code.scale or code.scale < 1 / CLIP:
                notes.append(f"column {code.name!r} stays standardised: as they are, its values differ too little")
            else:
                mean[i], scale[i] = code.mean, code.scale
                numbers[i] = replace(code, mean=0.0, scale=1.0)
    start = width - sum(image.width for image in encoder.images)  # pixels are the last of an encoded row
    for image in encoder.images:
        end = start + image.width
        mean[start:end], scale[start:end] = image.mean, image.scale
        start = end
    for block in encoder.blocks:  # stands alone
        scale = np.array(block.scales)
    if mean.any() or (scale != 1).any():
        notes.append("the standardisation is in the first layer, which takes the columns as they are")
    first.weight = first.weight / scale[:, None]
    first.bias = first.bias - mean @ first.weight
    return replace(
        encoder,
        numbers=tuple(numbers),
        images=tuple(replace(image, mean=0.0, scale=1.0) for image in encoder.images),
        blocks=tuple(replace(block, scales=(1.0,) * len(block.scales)) for block in encoder.blocks),
    )


def _with_target_scaling(scaler: TargetScaler, last: _Layer) -> TargetScaler:
    """Return the scaler with mean 0 and scale 1, and have the last layer do it instead."""
    mean, scale = np.array([(column.mean, column.scale) for column in scaler.columns]).T
    last.weight, last.bias = last.weight * scale, last.bias * scale + mean
    return replace(scaler, columns=tuple(replace(column, mean=0.0, scale=1.0) for column in scaler.columns))


def _described(config: Config, hidden: list[_Layer]) -> Config:
    """Return the configuration of a network of these hidden layers."""
    names = tuple(layer.activation for layer in hidden)
    has_norm = any(name.startswith("norm.") for layer in hidden for name in layer.rest)
    return config.replace(
        hidden_units=tuple(len(layer.bias) for layer in hidden),
        activation=names if len(set(names)) > 1 else names[0] if names else "identity",
        normalization=config.normalization if has_norm else "none",
        layer="dense",
    )


def _state(network: MLP, layers: list[_Layer]) -> dict[str, Tensor]:
    """Return the smaller network's tensors by name."""
    state = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("inputs.")}
    for i, layer in enumerate(layers):
        prefix = f"hidden.{i}.affine" if layer.activation else "output"
        state[f"{prefix}.weight"], state[f"{prefix}.bias"] = (
            torch.from_numpy(layer.weight),
            torch.from_numpy(layer.bias),
        )
        state |= {f"hidden.{i}.{name}": tensor for name, tensor in layer.rest.items()}
    return state


def _difference(model: Model, other: Model, data: Any) -> float:
    table = model.read(data)
    expected = model.predict_outputs(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LaminaWarning)  # said a moment ago
        return float(np.abs(other.predict_outputs(table) - expected).max(initial=0.0))
