"""The state of a training run beside its model on disk, so that an interrupted run can go on."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lamina.errors import ConfigError, ModelFileError, in_one_line
from lamina.model_file import read_checkpoint, remove_checkpoint, write_checkpoint
from lamina.model_forms import UNFIT, check_records
from lamina.run import Run
from lamina.training.checkpoint import Checkpoint
from lamina.training.loop import EpochRecord, TrainState

_SECONDS_BETWEEN_WRITES = 5.0


@dataclass(frozen=True)
class _Position:
    """The plain numbers of a checkpoint; see ``lamina.training.loop.TrainState``."""

    epoch: int
    n_steps: int
    n_rows: int
    n_evaluations: int
    best_epoch: int
    watched_epoch: int
    rate_factor: float
    seconds: float
    stopped: str
    kind: str
    best_loss: float | None
    watched: float | None


class Checkpointing:
    """Keeps the state of ``run`` after its last whole epoch, and writes it to ``folder`` every few seconds.

    Epochs are what training goes on from: in the middle of one, the weights are ahead of the order of the rows.
    """

    def __init__(self, run: Run, folder: str | Path) -> None:
        self.run = run
        self.folder = Path(folder)
        self.latest: Checkpoint | None = None
        self.fingerprint = ""
        self.written = time.monotonic()

    def resume(self) -> str:
        """Put the run where its checkpoint in the folder was taken, and say so in a sentence.

        Raises:
            ConfigError: the checkpoint is of other data or options.
            ModelFileError: it is damaged.
        """
        found = read_checkpoint(self.folder)
        if found is None:
            return f"{str(self.folder)!r} holds no unfinished run; starting from the beginning"
        document, tensors = found
        if document.get("fingerprint") != self._fingerprint():
            difference = _difference(document, self.run)
            raise ConfigError(
                f"the unfinished run in {str(self.folder)!r} was on other data or options{difference}; "
                "give the same ones, or leave --resume out to start anew."
            )
        try:
            _check_form(document["numbers"])
            self.latest = Checkpoint(document["numbers"], tensors)
            self.run.resume(self.latest)
            _check_shapes(self.run.state)
        except ModelFileError as error:
            raise ModelFileError(f"{in_one_line(error)}.") from None
        except UNFIT as error:
            raise ModelFileError(
                f"the checkpoint in {str(self.folder)!r} is not of this format: {in_one_line(error)}."
            ) from None
        return f"resumed after epoch {self.run.state.epoch}"

    def after_epoch(self) -> None:
        """Take the state; write it where the last time was a while ago."""
        self.latest = self.run.checkpoint()
        if time.monotonic() - self.written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the state after the last whole epoch, if there is one.

        Raises:
            ModelFileError: the folder cannot be written.
        """
        if self.latest is not None:
            options = self.run.config.as_json()
            document = {"fingerprint": self._fingerprint(), "config": options, "numbers": self.latest.numbers}
            write_checkpoint(self.folder, document, self.latest.tensors)
        self.written = time.monotonic()

    def remove(self) -> None:
        """Remove what was written: the run is finished."""
        remove_checkpoint(self.folder)

    def _fingerprint(self) -> str:
        self.fingerprint = self.fingerprint or self.run.fingerprint()
        return self.fingerprint


def _difference(document: dict[str, object], run: Run) -> str:
    before, now = document.get("config"), run.config.as_json()
    if not isinstance(before, dict):
        return ""
    changed = [
        f"{name} was {before.get(name)!r}, now {value!r}"
        for name, value in now.items()
        if before.get(name) != value and name not in ("time_limit", "device")
    ]
    return f" ({changed[0]})" if changed else ""


def _check_form(numbers: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` or ``KeyError`` where a number of a checkpoint is missing or of another type."""
    check_records([numbers], _Position, "numbers")
    check_records(numbers["history"], EpochRecord, "numbers.history")
    counts = [numbers[field.name] for field in fields(_Position) if field.type is int]
    if min(counts) < 0:
        raise ValueError("a count below 0")
    if numbers["epoch"] != len(numbers["history"]):
        raise ValueError(f"epoch {numbers['epoch']}, after a history of {len(numbers['history'])}")


def _check_shapes(state: TrainState) -> None:
    """Raise a ``ValueError`` where what was put into ``state`` is not of its network."""
    flat, averaged, best = state.flat, state.averaged, state.best_weights
    if averaged is not None and (flat is None or _form(averaged) != _form(flat.weights)):
        raise ValueError("the mean of the weights is of another shape or type than the weights")
    if best is not None and {name: each.shape for name, each in best.items()} != {
        name: each.shape for name, each in state.network.state_dict().items()
    }:
        raise ValueError("the best weights are of other shapes than the weights")
    if isinstance(state.optimizer, torch.optim.LBFGS):
        weights = torch.cat([each.detach().reshape(-1) for each in state.network.parameters()])
        for kept in state.optimizer.state.values():
            _check_line_search(kept, weights)


# What torch's L-BFGS keeps: vectors as long as the weights, lists of such, numbers, and lists of them.
_VECTORS, _HISTORIES, _NUMBERS = ("d", "prev_flat_grad"), ("old_dirs", "old_stps"), ("t", "H_diag", "prev_loss")


def _check_line_search(kept: Mapping[str, Any], weights: Tensor) -> None:
    vectors = [*(kept[name] for name in _VECTORS), *(each for name in _HISTORIES for each in kept[name])]
    fits = all(isinstance(each, Tensor) and _form(each) == _form(weights) for each in vectors)
    numbers = [
        *(kept[name] for name in _NUMBERS),
        *kept["ro"],
        *(each for each in kept.get("al", ()) if each is not None),
    ]
    fits &= all(isinstance(each, float | int) or (isinstance(each, Tensor) and each.ndim == 0) for each in numbers)
    lists = [kept[name] for name in (*_HISTORIES, "ro")]
    fits &= all(isinstance(each, list) for each in lists) and len({len(each) for each in lists}) == 1
    fits &= isinstance(kept.get("al", []), list)
    if not fits or not all(isinstance(kept[name], int) and kept[name] >= 0 for name in ("n_iter", "func_evals")):
        raise ValueError("what the line search kept is of other weights")


def _form(tensor: Any) -> tuple[Any, Any]:
    return tensor.shape, tensor.dtype
