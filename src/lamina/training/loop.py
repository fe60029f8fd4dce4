"""The training loop: the only one. It yields one record an epoch; to stop training is to stop iterating."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lamina.errors import TrainingError
from lamina.losses import Loss
from lamina.network.mlp import MLP
from lamina.training.optimizers import OPTIMIZERS, parameter_groups
from lamina.training.schedules import SCHEDULES
from lamina.training.step import make_step

_PREDICTION_ROWS = 8192
_USUAL_LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Rows:
    """Encoded rows as tensors: inputs by name, target (n,) or (n, 1), weights (n,) of mean 1 or ``None``."""

    inputs: Mapping[str, Tensor]
    target: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def at(self, index: Tensor) -> "Rows":
        """Return the rows at ``index`` (int64), copied."""
        inputs = {name: values.index_select(0, index) for name, values in self.inputs.items()}
        weights = None if self.weights is None else self.weights.index_select(0, index)
        return Rows(inputs, self.target.index_select(0, index), weights)


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training rows gave.

    Attributes:
        epoch: counted from 1.
        train_loss: mean over the epoch's minibatches, each before its update.
        validation_loss: after the epoch, on the validation rows, or ``None``.
        learning_rate: of the last step.
        seconds: since training began.
        is_best: whether these are the best weights so far.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None
    learning_rate: float
    seconds: float
    is_best: bool


@dataclass
class TrainState:
    """Everything that training changes; the caller owns it, and whenever iteration stops it is consistent.

    Attributes:
        network: the weights as they are now.
        optimizer: with its moments.
        generator: order of the rows and dropout.
        epoch: epochs done.
        best_weights: of the best epoch, or ``None`` before the first one.
        best_epoch, best_loss: that epoch and its validation loss (training loss where there is no validation).
        stopped: why training ended before its last epoch, or ``""``.
        diverged: whether it ended because the loss was not finite.
    """

    network: MLP
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int = 0
    best_weights: dict[str, Tensor] | None = None
    best_epoch: int = 0
    best_loss: float = math.inf
    stopped: str = ""
    diverged: bool = False
    history: list[EpochRecord] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        network: MLP,
        *,
        optimizer: str,
        learning_rate: float,
        weight_decay: float,
        momentum: float,
        generator: torch.Generator,
    ) -> "TrainState":
        """Return the state before the first step."""
        network.set_dropout_generator(generator)
        groups = parameter_groups(network, weight_decay)
        return cls(network, OPTIMIZERS[optimizer].make(groups, learning_rate, momentum), generator)

    def restore_best(self) -> None:
        """Put the best weights back into the network."""
        if self.best_weights is not None:
            self.network.load_state_dict(self.best_weights)


def train(
    state: TrainState,
    rows: Rows,
    validation: Rows | None = None,
    *,
    loss: Loss,
    learning_rate: float,
    schedule: str,
    batch_size: int,
    epochs: int,
    patience: int | None = None,
    tol: float = 0.0,
    clip_norm: float | None = None,
    time_limit: float | None = None,
) -> Iterator[EpochRecord]:
    """Train ``state.network`` and yield a record after each epoch.

    Args:
        state: continued from where it is.
        rows: the training rows.
        validation: rows whose loss decides which epoch is best; without them it is the last.
        loss: what is minimised.
        learning_rate, schedule: largest step size, and the name of its course over all epochs.
        batch_size, epochs: minibatches and passes.
        patience: stop after so many epochs without a better validation loss; ``None``: never.
        tol: a validation loss is better where it falls below the best one by more than this.
        clip_norm: see ``make_step``.
        time_limit: seconds after which training ends with the step at hand.

    Raises:
        TrainingError: the loss was not finite before one epoch was complete. Later than that, training ends with
            ``state.diverged`` set and the best weights kept.
    """
    step = make_step(state.network, loss, state.optimizer, clip_norm)
    factor = SCHEDULES[schedule].factor
    n_batches = _n_batches(len(rows), batch_size, state.network.needs_two_rows)
    last_step = max(epochs * n_batches - 1, 1)
    started = time.perf_counter()
    while state.epoch < epochs and not state.stopped:
        state.network.train()
        total, n_seen = 0.0, 0
        rate = learning_rate
        order = torch.randperm(len(rows), generator=state.generator, device=state.generator.device)
        for i, index in enumerate(order.tensor_split(n_batches)):
            rate = learning_rate * factor(min((state.epoch * n_batches + i) / last_step, 1.0))
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            batch = rows.at(index)
            value = float(step(batch.inputs, batch.target, batch.weights))
            if not math.isfinite(value):
                _stop_at_divergence(state, rows, learning_rate)
                return
            total += value * len(index)
            n_seen += len(index)
            if time_limit is not None and time.perf_counter() - started > time_limit:
                state.stopped = f"the time limit of {time_limit:g} s was reached"
                break
        # The losses above are those before each update: the last one may have ruined the weights.
        after = mean_loss(state.network, Rows(batch.inputs, batch.target) if validation is None else validation, loss)
        if not math.isfinite(after):
            _stop_at_divergence(state, rows, learning_rate)
            return
        validation_loss = None if validation is None else after
        yield _end_of_epoch(state, total / n_seen, validation_loss, tol, rate, time.perf_counter() - started)
        if patience is not None and validation is not None and state.epoch - state.best_epoch >= patience:
            state.stopped = state.stopped or f"no better validation loss in {patience} epochs"


def _end_of_epoch(
    state: TrainState, train_loss: float, validation_loss: float | None, tol: float, rate: float, seconds: float
) -> EpochRecord:
    watched = train_loss if validation_loss is None else validation_loss
    is_best = validation_loss is None or watched < state.best_loss - tol
    state.epoch += 1
    if is_best:
        weights = {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()}
        state.best_weights, state.best_epoch, state.best_loss = weights, state.epoch, watched
    record = EpochRecord(state.epoch, train_loss, validation_loss, rate, seconds, is_best)
    state.history.append(record)
    return record


def _n_batches(n_rows: int, batch_size: int, needs_two_rows: bool) -> int:
    """Minibatches of nearly equal size, at most ``batch_size`` rows; none of one row where two are needed."""
    n_batches = math.ceil(n_rows / batch_size)
    if needs_two_rows:
        if n_rows < 2:
            raise TrainingError("batch normalization needs at least 2 training rows; use normalization none.")
        n_batches = max(min(n_batches, n_rows // 2), 1)
    return n_batches


def predict_outputs(network: MLP, inputs: Mapping[str, Tensor], n_rows: int) -> Tensor:
    """Return the network's outputs (n, k) in evaluation mode, computed in slices of bounded memory."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, max(n_rows, 1), _PREDICTION_ROWS):  # no rows: an empty (0, k)
            part = {name: values[start : start + _PREDICTION_ROWS] for name, values in inputs.items()}
            parts.append(network(part))
    return torch.cat(parts)


def mean_loss(network: MLP, rows: Rows, loss: Loss) -> float:
    """Return the weighted mean of ``loss`` over ``rows`` in evaluation mode."""
    values = loss.per_row(predict_outputs(network, rows.inputs, len(rows)), rows.target)
    if rows.weights is None:
        return float(values.mean())
    return float((values * rows.weights).sum() / rows.weights.sum())


def _stop_at_divergence(state: TrainState, rows: Rows, learning_rate: float) -> None:
    state.diverged = True
    state.stopped = f"the loss was not finite in epoch {state.epoch + 1}; {_likely_cause(rows, learning_rate)}"
    if state.best_weights is None:
        raise TrainingError(f"training failed: {state.stopped}.")


def _likely_cause(rows: Rows, learning_rate: float) -> str:
    lower_it = f"the learning rate {learning_rate:g} is likely too high: try {learning_rate / 10:g}"
    if learning_rate > _USUAL_LEARNING_RATE:
        return lower_it
    # A standardised value is at most sqrt(n), which it is where one row dwarfs all others.
    alone = 0.9 * math.sqrt(len(rows)) if len(rows) >= 100 else 10.0
    numbers = rows.inputs.get("numbers")
    if numbers is not None and float(numbers.abs().max()) > alone:
        return "one row's value in a number column dwarfs all others: look for a wrong value there"
    if rows.target.is_floating_point() and float(rows.target.abs().max()) > alone:
        return "one row's target dwarfs all others: look for a wrong value there"
    return lower_it
