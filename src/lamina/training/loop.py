"""The training loop: the only one. It yields one record an epoch; to stop training is to stop iterating."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lamina.errors import TrainingError
from lamina.losses import Loss
from lamina.network.layers import set_dropout_generator
from lamina.network.members import Network
from lamina.training.averaging import average_in, exchange
from lamina.training.flat import FlatWeights
from lamina.training.optimizers import OPTIMIZERS, AnyOptimizer, parameter_groups
from lamina.training.prediction import predict_unseen, predictors_of
from lamina.training.rows import Rows, mean_loss
from lamina.training.schedules import SCHEDULES
from lamina.training.step import make_full_batch_step, make_step

Score = Callable[[Tensor], float | None]
# (outputs (n, h, k) on the validation rows of the members that have not seen them, and their weights, as
# ``predict_unseen`` returns them) -> what is watched of them, and their average (n, k).
Measure = Callable[[Tensor, Tensor | None], tuple[float, Tensor]]

_LIMIT_MARGIN = 0.02
_USUAL_LEARNING_RATE = 0.1
_SMALLEST_LEARNING_RATE = 1e-6


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training rows gave.

    Attributes:
        epoch: counted from 1.
        train_loss: mean over the epoch's minibatches, each before its update.
        validation_loss: after the epoch, on the validation rows, or ``None``.
        learning_rate: of the last step.
        seconds: of training so far.
        is_best: whether these are the best weights so far.
        validation_score: a score after the epoch, on the validation rows, greater being better, or ``None``.
        update_ratio: how far the last step moved the weights: ||W_after - W_before|| / ||W_before||, over all matrices
            together; ``None`` where it was not measured.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None
    learning_rate: float
    seconds: float
    is_best: bool
    validation_score: float | None = None
    update_ratio: float | None = None


@dataclass
class TrainState:
    """Everything that training changes; the caller owns it, and whenever iteration stops it is consistent.

    Attributes:
        network: the weights as they are now.
        optimizer: with its moments.
        generator: order of the rows and dropout.
        epoch, n_steps, n_rows: epochs, steps and rows (each as often as it was seen) done.
        flat: the network's weights in one piece, as the optimizer takes them; ``None`` with one that takes all rows.
        averaged: running mean of the flat weights; ``None`` where there is none, or before the first step.
        best_weights: of the epoch that is kept, or ``None`` before the first one.
        best_epoch, best_loss: that epoch, and its validation loss (training loss where there is no validation).
        watched: lowest value so far of what is watched: a loss, or a score with its sign changed.
        watched_epoch: epoch of that value, or in which the learning rate was lowered after it.
        n_evaluations: evaluations of the loss by a line search.
        rate_factor: what the learning rate was lowered by, where the schedule lowers it on a plateau.
        seconds: of training.
        stopped: why training ended before its last epoch, or ``""``.
        diverged: whether it ended because the loss was not finite.
    """

    network: Network
    optimizer: AnyOptimizer
    generator: torch.Generator
    flat: FlatWeights | None = None
    epoch: int = 0
    n_steps: int = 0
    n_rows: int = 0
    n_evaluations: int = 0
    averaged: Tensor | None = None
    best_weights: dict[str, Tensor] | None = None
    best_epoch: int = 0
    best_loss: float = math.inf
    watched: float = math.inf
    watched_epoch: int = 0
    rate_factor: float = 1.0
    seconds: float = 0.0
    stopped: str = ""
    diverged: bool = False
    history: list[EpochRecord] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        network: Network,
        *,
        optimizer: str,
        learning_rate: float,
        weight_decay: float,
        batch_size: int,
        generator: torch.Generator,
        momentum: float = 0.9,
        nesterov: bool = True,
        beta_1: float = 0.9,
        beta_2: float | None = None,
        epsilon: float = 1e-8,
        tol: float = 1e-4,
    ) -> "TrainState":
        """Return the state before the first step; see ``lamina.training.optimizers.Optimizer`` for the numbers."""
        set_dropout_generator(network, generator)
        record = OPTIMIZERS[optimizer]
        decay = weight_decay if record.decoupled else weight_decay / batch_size
        flat = None if record.full_batch else FlatWeights(network)
        groups = parameter_groups(network, decay) if flat is None else flat.groups(decay)
        made = record.make(
            groups, learning_rate, momentum=momentum, nesterov=nesterov,
            betas=(beta_1, record.beta_2 if beta_2 is None else beta_2), epsilon=epsilon, tol=tol,
        )  # fmt: skip
        return cls(network, made, generator, flat)

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
    measure: Measure | None = None,
    averaging: float = 0.0,
    optimizer: str = "adamw",
    learning_rate: float,
    weight_decay: float = 0.0,
    schedule: str,
    power_t: float = 0.5,
    batch_size: int,
    epochs: int,
    shuffle: bool = True,
    keep_best: bool = True,
    patience: int | None = None,
    tol: float = 0.0,
    clip_norm: float | None = None,
    precision: str = "float32",
    time_limit: float | None = None,
    max_fun: int | None = None,
    score: Score | None = None,
    watch_score: bool = False,
) -> Iterator[EpochRecord]:
    """Train ``state.network`` and yield a record after each epoch.

    Args:
        state: continued from where it is.
        rows: the training rows.
        validation: rows that are measured after each epoch.
        loss: what is minimised.
        measure: of the members' outputs on the validation rows; ``None``: ``loss``, of the average of those members
            that have not seen the row.
        averaging: decay of the running mean of the weights, which is what is measured and kept; 0: no mean.
        optimizer: the name of that in ``state``; with one that takes all rows at once, an epoch is one of its steps.
        learning_rate, schedule, power_t: largest step size, and the name of its course over all epochs.
        weight_decay: used here for optimizers that take all rows at once only; ``TrainState.start`` sees to the others.
        batch_size, epochs: minibatches and passes.
        shuffle: draw a new order of the rows for each epoch.
        keep_best: keep the weights of the epoch that was best on the validation rows; else, or without such rows, those
            of the last epoch.
        patience: stop after so many epochs in which what is watched has not improved; ``None``: never. Watched are the
            validation rows where the best epoch is kept, else the training loss.
        tol: an improvement is one of more than this.
        clip_norm, precision: see ``make_step``.
        time_limit: seconds after which training ends with the step at hand.
        max_fun: evaluations of the loss by a line search, at most.
        score: of the outputs (n, k) on the validation rows, greater being better; recorded with each epoch, and watched
            in the place of the loss where ``watch_score`` is set.

    Raises:
        TrainingError: the loss was not finite before one epoch was complete. Later than that, training ends with
            ``state.diverged`` set and the best weights kept.
    """
    full_batch, flat = OPTIMIZERS[optimizer].full_batch, state.flat
    if flat is not None:
        flat.attach()
    if isinstance(state.optimizer, torch.optim.Optimizer) and full_batch:
        step = make_full_batch_step(state.network, loss, state.optimizer, weight_decay)
    else:
        step = make_step(state.network, loss, state.optimizer, clip_norm, precision=precision)
    course = SCHEDULES[schedule]
    n_batches = 1 if full_batch else _n_batches(len(rows), batch_size, state.network.needs_two_rows)
    last_step = max(epochs * n_batches - 1, 1)
    members = None if validation is None or validation.held is None else predictors_of(state.network)
    started = time.perf_counter() - state.seconds
    while state.epoch < epochs and not state.stopped:
        state.network.train()
        total, n_seen = 0.0, 0
        rate = learning_rate
        order = _order(len(rows), shuffle and not full_batch, state.generator)
        for i, batch in enumerate([rows] if full_batch else rows.minibatches(order, n_batches)):
            progress = min((state.epoch * n_batches + i) / last_step, 1.0)
            if time_limit is not None:
                # The schedule ends with the time where that comes first, and takes no notice of a generous limit, so
                # that results repeat under it.
                progress = max(progress, min((time.perf_counter() - started) / time_limit - _LIMIT_MARGIN, 1.0))
            # A line search finds the length of its steps by itself.
            factor = 1.0 if full_batch else state.rate_factor * course.factor(progress, state.n_steps + 1, power_t)
            rate = learning_rate * factor
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            before = flat.matrices.clone() if flat is not None and i == n_batches - 1 else None
            value = step(batch.inputs, batch.target, batch.weights)
            if averaging and flat is not None:
                state.averaged = average_in(state.averaged, flat.weights, averaging, state.n_steps)
            if not math.isfinite(value):
                _stop_at_divergence(state, rows, learning_rate)
                return
            total += value * len(batch)
            n_seen += len(batch)
            state.n_steps += 1
            if time_limit is not None and time.perf_counter() - started > time_limit:
                state.stopped = f"the time limit of {time_limit:g} s was reached"
                break
        state.n_rows += n_seen
        update_ratio = None if flat is None or before is None else _update_ratio(before, flat.matrices)
        # The losses above are those before each update: the last one may have ruined the weights.
        if flat is not None:
            exchange(flat.weights, state.averaged)
        held = Rows(batch.inputs, batch.target) if validation is None else validation
        each, counted = predict_unseen(state.network, held, members)
        if measure is None or validation is None:
            outputs = state.network.combine(each, counted)
            after = mean_loss(outputs, held, loss)
        else:
            after, outputs = measure(each, counted)
        if not math.isfinite(after):
            _stop_at_divergence(state, rows, learning_rate)
            return
        state.seconds = time.perf_counter() - started
        record = EpochRecord(
            epoch=state.epoch + 1,
            train_loss=total / n_seen,
            validation_loss=None if validation is None else after,
            learning_rate=rate,
            seconds=state.seconds,
            is_best=False,
            validation_score=None if validation is None or score is None else score(outputs),
            update_ratio=update_ratio,
        )
        record = _end_of_epoch(state, record, keep_best, watch_score, tol)
        if full_batch:
            _stop_line_search(state, max_fun)
        if patience is not None and state.epoch - state.watched_epoch >= patience:
            by_validation = keep_best and validation is not None
            watched = "training loss" if not by_validation else "validation score" if watch_score else "validation loss"
            _stop_or_lower(state, course.on_plateau, rate, f"no better {watched} in {patience} epochs")
        if flat is not None:
            exchange(flat.weights, state.averaged)
        yield record  # with the state as the next epoch needs it: a caller may store it here and go on later


def _order(n_rows: int, shuffle: bool, generator: torch.Generator) -> Tensor:
    if shuffle:
        return torch.randperm(n_rows, generator=generator, device=generator.device)
    return torch.arange(n_rows, device=generator.device)


def _update_ratio(before: Tensor, after: Tensor) -> float | None:
    """Return ||after - before|| / ||before||; ``None`` where it is not finite, as where all weights were 0."""
    ratio = float((after - before).norm() / before.norm())
    return ratio if math.isfinite(ratio) else None


def _end_of_epoch(
    state: TrainState, record: EpochRecord, keep_best: bool, watch_score: bool, tol: float
) -> EpochRecord:
    state.epoch += 1
    chooses = keep_best and record.validation_loss is not None
    watched = record.train_loss
    if chooses:
        by_score = watch_score and record.validation_score is not None
        watched = -float(record.validation_score or 0.0) if by_score else float(record.validation_loss or 0.0)
    improved = watched < state.watched - tol
    if improved:
        state.watched, state.watched_epoch = watched, state.epoch
    if improved or not chooses:
        state.best_weights = {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()}
        state.best_epoch = state.epoch
        state.best_loss = record.train_loss if record.validation_loss is None else record.validation_loss
    state.history.append(replace(record, is_best=improved or not chooses))
    return state.history[-1]


def _stop_or_lower(state: TrainState, factor: float, rate: float, reason: str) -> None:
    """End training on a plateau, or lower the learning rate where the schedule does that and it is not tiny yet."""
    if factor < 1 and rate > _SMALLEST_LEARNING_RATE:
        state.rate_factor *= factor
        state.watched_epoch = state.epoch
        return
    state.stopped = state.stopped or reason


def _stop_line_search(state: TrainState, max_fun: int | None) -> None:
    """End training where the last step ended before its line search, or the search went nowhere."""
    search = next(iter(state.optimizer.state.values()))
    evaluations = int(search["func_evals"])
    if evaluations == state.n_evaluations + 1 or float(search.get("t", 1.0)) == 0:
        state.stopped = state.stopped or "the gradient is as small as tol, or the line search found no lower loss"
    elif max_fun is not None and evaluations >= max_fun:
        state.stopped = state.stopped or f"max_fun = {max_fun} evaluations of the loss were made"
    state.n_evaluations = evaluations


def _n_batches(n_rows: int, batch_size: int, needs_two_rows: bool) -> int:
    """Minibatches of nearly equal size, at most ``batch_size`` rows; none of one row where two are needed."""
    n_batches = math.ceil(n_rows / batch_size)
    if needs_two_rows:
        if n_rows < 2:
            raise TrainingError("batch normalization needs at least 2 training rows; use normalization none.")
        n_batches = max(min(n_batches, n_rows // 2), 1)
    return n_batches


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
