"""Sigmoid and tanh are one function up to affine maps, tanh(x) + 1 = 2 sigmoid(2 x): either network becomes the other.

sigmoid(z) = (1 + tanh(z / 2)) / 2: the affine map before it is halved, and so is the weight of the one behind it, whose
bias takes up the 1 / 2 that comes from every unit.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from lamina.analysis.exact import float64_copy
from lamina.analysis.stages import parts_of
from lamina.errors import ConfigError
from lamina.model import Model, build_network

# What each kind of affine map, its normalization included, is linear in; see lamina.network.saving_layers.
_FACTORS = ("weight", "S", "V")


@dataclass(frozen=True)
class _Rule:
    """old(z) = outside * new(inside * z) + constant."""

    inside: float
    outside: float
    constant: float


_RULES = {
    ("sigmoid", "tanh"): _Rule(0.5, 0.5, 0.5),
    ("tanh", "sigmoid"): _Rule(2.0, 2.0, -1.0),
}


def to_tanh(model: Model) -> Model:
    """Return a model that predicts the same with tanh in the place of sigmoid; other activations stay.

    Weights are halved, which is exact; a bias is rounded to the model's ``dtype``. While training goes on, dropout acts
    differently: it sets units to 0, which is the middle of tanh and the lower end of sigmoid.

    Raises:
        ConfigError: no hidden layer has the activation sigmoid.
    """
    return _converted(model, "sigmoid", "tanh")


def to_sigmoid(model: Model) -> Model:
    """Return a model that predicts the same with sigmoid in the place of tanh; see ``to_tanh``.

    Raises:
        ConfigError: no hidden layer has the activation tanh.
    """
    return _converted(model, "tanh", "sigmoid")


def _converted(model: Model, old: Literal["sigmoid", "tanh"], new: Literal["sigmoid", "tanh"]) -> Model:
    rule = _RULES[old, new]
    network = float64_copy(model)
    names = [parts_of(block)["activation"].record.name for block in network.hidden]
    if old not in names:
        found = ", ".join(dict.fromkeys(names)) or "no hidden layer"
        raise ConfigError(f"the model has no hidden layer with the activation {old!r} to convert; it has: {found}.")
    state = dict(network.state_dict())
    affine = [parts_of(block)["affine"] for block in network.hidden] + [network.output]
    prefixes = [f"hidden.{i}.affine." for i in range(len(names))] + ["output."]
    for i, name in enumerate(names):
        if name != old:
            continue
        before = f"hidden.{i}.norm." if f"hidden.{i}.norm.weight" in state else prefixes[i]
        _multiply(state, before, rule.inside)
        state[f"{before}bias"] = state[f"{before}bias"] * rule.inside
        behind = prefixes[i + 1]
        # The weight is still the old one here: its own layer may be converted in the next round.
        state[f"{behind}bias"] = state[f"{behind}bias"] + rule.constant * affine[i + 1].weight.detach().sum(dim=0)
        _multiply(state, behind, rule.outside)
    units = tuple(new if name == old else name for name in names)
    config = model.config.replace(activation=units if len(set(units)) > 1 else units[0])
    converted = build_network(model.encoder, len(network.output.bias), config, torch.Generator())
    converted.load_state_dict(state)
    return replace(model, network=converted.eval(), config=config)


def _multiply(state: dict[str, Tensor], prefix: str, factor: float) -> None:
    """Multiply what the layer at ``prefix`` is linear in."""
    (name,) = (f"{prefix}{key}" for key in _FACTORS if f"{prefix}{key}" in state)
    state[name] = state[name] * factor
