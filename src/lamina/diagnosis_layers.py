"""How the hidden units of a trained network fare on some rows: dead, saturated, cut off from the gradient."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lamina.finding import Finding, option, rounded
from lamina.losses import LOSSES
from lamina.model import Model, as_tensors, build_network
from lamina.network.layers import Activate
from lamina.network.mlp import MLP
from lamina.partition import Part

# A unit is dead where |σ'| is at most this share of its largest value on every row: in float32 nothing comes back.
_DEAD = 1e-6
# A unit of a bounded activation is saturated where |σ'| is less than this share of its largest on nearly all rows.
_SATURATED, _NEARLY_ALL = 0.01, 0.95
# A finding needs this share of the units of a layer of one member, or this much between its first and last gradients.
_DEAD_SHARE, _SATURATED_SHARE = 0.6, 0.5
_VANISHED, _EXPLODED = 1e-3, 1e3


@dataclass(frozen=True)
class LayerState:
    """One hidden layer of one member on some rows.

    Attributes:
        activation: its name.
        bounded: whether it has limits on both sides.
        units: width.
        dead, saturated: units that are; a bounded activation's are never called dead, another's never saturated.
        gradient: mean Euclidean length of the gradient of a row's loss by the layer's row of Z, in H = σ(Z).
    """

    activation: str
    bounded: bool
    units: int
    dead: int
    saturated: int
    gradient: float


def layer_states(model: Model, part: Part) -> list[list[LayerState]]:
    """Return the hidden layers of each member from the inputs on, measured in float64 and evaluation mode on ``part``.

    The slopes σ' are those of the activations' own closed form. The gradient is that of the training loss, without
    weights of rows and classes.
    """
    config = model.config.replace(dtype="float64")
    network = build_network(model.encoder, model.schema.target.n_outputs, config, torch.Generator())
    network.load_state_dict(model.network.state_dict())
    inputs = as_tensors(part.arrays, "cpu")
    y = part.y if model.scaler is None else model.scaler.forward(part.y)
    target = torch.from_numpy(y if model.task == "classification" else y.astype("float64"))
    return [_states(model, member.requires_grad_(False), inputs, target) for member in network.eval().members()]


def _states(model: Model, network: MLP, inputs: dict[str, Tensor], target: Tensor) -> list[LayerState]:
    loss = LOSSES[model.config.loss].bound(model.config.as_dict())
    h = network.inputs(inputs)
    before: list[tuple[Any, Tensor]] = []
    for block in network.hidden:
        for part in block.children():
            if isinstance(part, Activate):
                before.append((part, h if h.requires_grad else h.requires_grad_()))
            h = part(h)
    if not before:
        return []
    total = loss.per_row(network.output(h), target).sum()
    gradients = torch.autograd.grad(total, [z for _, z in before])
    return [_state(activate, z.detach(), g) for (activate, z), g in zip(before, gradients, strict=True)]


def _state(activate: Activate, z: Tensor, gradient: Tensor) -> LayerState:
    limits = activate.record.limits
    bounded = math.isfinite(limits[0]) and math.isfinite(limits[1])
    grid = torch.arange(-800, 801, dtype=z.dtype)[:, None] / 100  # with 0 itself, where most are steepest
    steepest = _slope(activate, grid.expand(-1, z.shape[1])).abs().amax(dim=0)
    slope = _slope(activate, z).abs()
    counts = steepest > 0  # those of a threshold tell nothing
    dead = (slope <= _DEAD * steepest).all(dim=0) & counts
    saturated = ((slope < _SATURATED * steepest).to(z.dtype).mean(dim=0) >= _NEARLY_ALL) & counts
    return LayerState(
        activation=activate.record.name,
        bounded=bounded,
        units=z.shape[1],
        dead=0 if bounded else int(dead.sum()),
        saturated=int(saturated.sum()) if bounded else 0,
        gradient=float(gradient.norm(dim=1).mean()),
    )


def _slope(activate: Activate, z: Tensor) -> Tensor:
    learned = () if activate.parameter is None else (activate.parameter,)
    slope: Tensor = activate.record.derivative(z, *learned)
    return slope


def found_in_layers(model: Model, members: list[list[LayerState]]) -> list[Finding]:
    """Return what the layers of all members show: dead units, else saturated ones, else gradients that fade or swell.

    One is said to be the cause of the next: a dead unit has no gradient.
    """
    layers = [layer for member in members for layer in member]
    if not layers:
        return []
    finding = _dead(model, members) or _saturated(model, members) or _uneven(model, members)
    return [] if finding is None else [finding]


def _dead(model: Model, members: list[list[LayerState]]) -> Finding | None:
    found = _worst_layer(members, "dead", _DEAD_SHARE)
    if found is None:
        return None
    rate = (model.config.learning_rate or 0.0) / 10
    return Finding(
        "dead units",
        found,
        "The slope of the activation is 0 at these units on every row, so no gradient comes back through them and they "
        "can never change again.",
        f"Use an activation with a slope on both sides: {option('activation', 'leaky_relu')}; "
        f"if a large step killed them: {option('learning_rate', rounded(rate, 2))}.",
    )


def _saturated(model: Model, members: list[list[LayerState]]) -> Finding | None:
    found = _worst_layer(members, "saturated", _SATURATED_SHARE)
    if found is None:
        return None
    rate = (model.config.learning_rate or 0.0) / 10
    return Finding(
        "saturated units",
        found,
        "These units stand at the flat ends of their activation on nearly every row, where its slope is less than 1 % "
        "of the largest: weights too large leave them on or off.",
        f"Keep the sums in the middle: {option('normalization', 'layer')}, or take smaller steps: "
        f"{option('learning_rate', rounded(rate, 2))}.",
    )


def _uneven(model: Model, members: list[list[LayerState]]) -> Finding | None:
    deep = [member for member in members if len(member) > 1 and _measurable(member)]
    if not deep:
        return None
    logs = sorted(math.log10(member[0].gradient / member[-1].gradient) for member in deep)
    ratio = 10 ** logs[len(logs) // 2]
    if _VANISHED < ratio < _EXPLODED:
        return None
    vanishes, depth = ratio <= _VANISHED, len(deep[0])
    evidence = {
        "first_to_last_gradient": rounded(ratio),
        "per_layer": rounded(10 ** (math.log10(ratio) / (depth - 1))),
        "hidden_layers": depth,
        "members_share": rounded(sum(not _VANISHED < 10**each < _EXPLODED for each in logs) / len(members)),
    }
    what, where = ("vanishing", "shrinks") if vanishes else ("exploding", "grows")
    ways = [option("normalization", "layer")] if model.config.normalization == "none" else []
    if model.config.activation != "relu":
        ways.append(option("activation", "relu"))
    if model.config.initial_weights != "auto":
        ways.append(option("initial_weights", "auto"))
    units = (model.config.hidden_units or ())[:2]
    return Finding(
        f"{what} gradients",
        evidence,
        f"On its way back the gradient {where} by the same factor at every layer, so the first layers "
        f"{'hardly learn' if vanishes else 'take steps far larger than the last'}.",
        f"Keep its size from layer to layer: {', '.join(ways)}; or fewer layers: {option('hidden_units', units)}."
        if ways
        else f"Use fewer layers: {option('hidden_units', units)}.",
    )


def _measurable(member: list[LayerState]) -> bool:
    return all(0 < layer.gradient < math.inf for layer in (member[0], member[-1]))


def _worst_layer(members: list[list[LayerState]], what: str, least: float) -> dict[str, Any] | None:
    """Return how many units of all members' layers at one depth are ``what``, where the most are.

    ``members_share`` is that of the members with at least ``least`` of such units; ``None`` where there are none.
    """
    worst: dict[str, Any] | None = None
    for depth, layers in enumerate(zip(*members, strict=True), start=1):
        counts, units = [getattr(layer, what) for layer in layers], sum(layer.units for layer in layers)
        affected = sum(count >= least * layer.units for count, layer in zip(counts, layers, strict=True))
        share = rounded(sum(counts) / units)
        if affected and (worst is None or share > worst["share"]):
            worst = {
                "share": share, "layer": depth, "units": sum(counts), "of": units,
                "members_share": rounded(affected / len(members)),
            }  # fmt: skip
    return worst
