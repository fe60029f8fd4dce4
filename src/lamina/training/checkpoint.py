"""A training state as plain numbers and arrays, and back: what it takes to go on as if nothing had been interrupted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamina.training.fused import FusedOptimizer
from lamina.training.loop import EpochRecord, TrainState

_PLAIN = (
    "epoch",
    "n_steps",
    "n_rows",
    "n_evaluations",
    "best_epoch",
    "rate_factor",
    "seconds",
    "watched_epoch",
    "stopped",
)
_LOSSES = ("best_loss", "watched")  # infinite before the first epoch, which JSON does not know


@dataclass(frozen=True)
class Checkpoint:
    """A training state at the end of an epoch.

    Attributes:
        numbers: JSON-able; ``{"tensor": name}`` stands for an array.
        tensors: arrays by name.
    """

    numbers: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]


def snapshot(state: TrainState) -> Checkpoint:
    """Return a copy of everything in ``state``; later training does not change it."""
    tensors: dict[str, NDArray[Any]] = {}
    values: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    values.update({name: _finite(getattr(state, name)) for name in _LOSSES})
    values["kind"] = _kind(state)
    values["history"] = [asdict(record) for record in state.history]
    values["network"] = _flattened(dict(state.network.state_dict()), "network", tensors)
    values["averaged"] = _flattened(state.averaged, "averaged", tensors)
    values["best_weights"] = _flattened(state.best_weights, "best", tensors)
    values["optimizer"] = _flattened(state.optimizer.state_dict()["state"], "optimizer", tensors)
    values["generator"] = _flattened(state.generator.get_state(), "generator", tensors)
    return Checkpoint(values, tensors)


def restore(state: TrainState, checkpoint: Checkpoint) -> None:
    """Put ``state``, made for the same network and optimizer, where ``checkpoint`` was taken.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the checkpoint is of another network or optimizer.
    """
    numbers = checkpoint.numbers
    if numbers["kind"] != _kind(state):  # the moments of another one would be taken without a word
        raise ValueError(f"its optimizer is {numbers['kind']}, not {_kind(state)}")
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.tensors.items()}
    device = next(state.network.parameters()).device
    state.network.load_state_dict(_nested(numbers["network"], tensors))
    averaged, best = (_nested(numbers[name], tensors) for name in ("averaged", "best_weights"))
    state.averaged = None if averaged is None else averaged.to(device)
    state.best_weights = None if best is None else {key: tensor.to(device) for key, tensor in best.items()}
    optimizer_state = {int(key): value for key, value in _nested(numbers["optimizer"], tensors).items()}
    groups = state.optimizer.state_dict()["param_groups"]
    n_tensors = sum(len(group["params"]) for group in groups)
    if any(key >= n_tensors for key in optimizer_state):  # torch would leave them aside
        raise ValueError(f"its optimizer's state is of {len(optimizer_state)} tensors, not {n_tensors}")
    state.optimizer.load_state_dict({"state": optimizer_state, "param_groups": groups})
    state.generator.set_state(_nested(numbers["generator"], tensors))
    for name in _PLAIN:
        setattr(state, name, numbers[name])
    for name in _LOSSES:
        setattr(state, name, float("inf") if numbers[name] is None else float(numbers[name]))
    known = {f.name for f in fields(EpochRecord)}
    state.history = [EpochRecord(**{k: v for k, v in record.items() if k in known}) for record in numbers["history"]]


def _kind(state: TrainState) -> str:
    return state.optimizer.kind if isinstance(state.optimizer, FusedOptimizer) else type(state.optimizer).__name__


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _flattened(value: Any, path: str, tensors: dict[str, NDArray[Any]]) -> Any:
    """Return ``value`` with each tensor in it put into ``tensors`` and named after its path."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().numpy().copy()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {"items": {str(key): _flattened(each, f"{path}.{key}", tensors) for key, each in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_flattened(each, f"{path}.{i}", tensors) for i, each in enumerate(value)]}
    return value


def _nested(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo ``_flattened``."""
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "list" in value:
        return [_nested(each, tensors) for each in value["list"]]
    return {key: _nested(each, tensors) for key, each in value["items"].items()}
