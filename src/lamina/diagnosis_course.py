"""What the course of training shows: steps too large or too small, too much learned by heart, too little learned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lamina.finding import Finding, option, rounded
from lamina.model import Model
from lamina.training.loop import EpochRecord
from lamina.training.optimizers import OPTIMIZERS

# A step moves all weights by about 0.1 to 1 % of their length in a run that goes well.
_HUGE_UPDATE, _LARGE_UPDATE, _USUAL_UPDATE, _TINY_UPDATE = 0.05, 0.02, 4e-3, 5e-5
# Losses below are in shares of what a constant guess would lose.
_RISE, _RISE_AT_LARGE_UPDATES = 0.1, 0.05
# Weights that moved by less than this share of their length since the loss was lowest have not raised it: it is the
# chance of dropout and of minibatches, which is large in small tables.
_MOVED = 0.05
_NO_UPDATE = 1e-6
_PROGRESS, _LEARNED = 0.05, 0.5
_KEPT_ABOVE_BEST, _KEPT_ABOVE_BEST_BY, _FAR_BELOW = 1.1, 0.03, 0.5
_WORSE_THAN_LINEAR, _WORSE_THAN_LINEAR_BY = 1.1, 0.05
_STILL_FALLING = 0.05


def found_in_course(model: Model) -> list[Finding]:
    """Return what the history and the comparison of ``model`` show, the causes before their effects.

    A learning rate that is too high is said alone, since everything else follows from it; one that is too low is not
    also called underfitting.
    """
    records = [record for record in model.history if math.isfinite(record.train_loss)]
    if "validation" in model.report.seen:  # the loss on rows that were learned from says what the training loss says
        records = [replace(record, validation_loss=None) for record in records]
    if not records:
        return []
    high = _too_high(model, records)
    if high is not None:
        return [high]
    low = _too_low(model, records) or _underfitting(model, records)
    return [finding for finding in (low, _overfitting(model, records)) if finding is not None]


def _too_high(model: Model, records: Sequence[EpochRecord]) -> Finding | None:
    if OPTIMIZERS[model.config.optimizer].full_batch:  # a line search finds its own steps
        return None
    losses = [record.train_loss for record in records]
    rise = (losses[-1] - min(losses)) / _scale(model)
    update = _largest_update(records) or 0.0
    diverged = model.report.stopped.startswith("the loss was not finite")
    # Small steps overshoot nothing: of few rows, with dropout, the loss rises by chance.
    rises = update >= _USUAL_UPDATE and rise >= (_RISE_AT_LARGE_UPDATES if update >= _LARGE_UPDATE else _RISE)
    rises = rises and _moved_since_lowest(model, records) >= _MOVED
    if not (diverged or rises or update >= _HUGE_UPDATE):
        return None
    usual = min(_rate(model) / 10, OPTIMIZERS[model.config.optimizer].learning_rate)
    return Finding(
        "learning rate too high",
        {"learning_rate": _rate(model), "largest_update": rounded(update), "training_loss_rose_by": rounded(rise)}
        | ({"diverged": True} if diverged else {}),
        "A step changes the weights by so much that it overshoots: the loss jumps, or never settles.",
        f"Take smaller steps: {option('learning_rate', rounded(usual, 1))}.",
    )


def _too_low(model: Model, records: Sequence[EpochRecord]) -> Finding | None:
    update = _largest_update(records)
    first, last = records[0].train_loss, records[-1].train_loss
    fall = (first - last) / _scale(model)
    if update is None or update >= _TINY_UPDATE or last < _LEARNED * _scale(model):
        return None
    if fall >= _PROGRESS and update >= _NO_UPDATE:  # smaller ones do nothing: the loss fell by dropout's chance
        return None
    rate = rounded(_rate(model) * _USUAL_UPDATE / max(update, 1e-12), 1)
    return Finding(
        "learning rate too low",
        {"learning_rate": _rate(model), "largest_update": update, "training_loss_fell_by": rounded(fall)},
        "A step changes the weights by so little that nothing was learned in all epochs.",
        f"Take larger steps: {option('learning_rate', min(rate, OPTIMIZERS[model.config.optimizer].learning_rate))}.",
    )


def _underfitting(model: Model, records: Sequence[EpochRecord]) -> Finding | None:
    comparison, config = model.report.comparison, model.config
    units = tuple(max(4 * each, 64) for each in config.hidden_units or (16,))
    if comparison:
        losses: Mapping[str, float] = comparison["training_losses"]
        ratio = losses["mlp"] / max(losses["linear"], 1e-300)
        gap = losses["mlp"] - losses["linear"]
        worse = ratio >= _WORSE_THAN_LINEAR and gap >= _WORSE_THAN_LINEAR_BY * losses["constant"]
        if worse and comparison["improvement"]["linear"]["high"] < 0:
            ways = [option("hidden_units", units)]
            ways += [option("weight_decay", 0.0)] if config.weight_decay else []
            return Finding(
                "underfitting",
                {"training_loss": rounded(losses["mlp"]), "training_loss_of_linear": rounded(losses["linear"])},
                "On the very rows that it was trained on, the network does worse than a linear model, and on held-out "
                "rows too: it cannot bend, or is held back, too much.",
                f"Give it more room: {', '.join(ways)}.",
            )
    falling = _still_falling(model, records)
    if falling is None:
        return None
    return Finding(
        "underfitting",
        falling,
        "Training ended while the loss was still falling steadily.",
        f"Train longer: {option('epochs', 4 * len(records))}.",
    )


def _still_falling(model: Model, records: Sequence[EpochRecord]) -> dict[str, Any] | None:
    """Return how fast the loss fell in the last fifth of the epochs, where all were run and the last was the best."""
    watched = [record.train_loss if record.validation_loss is None else record.validation_loss for record in records]
    if model.report.stopped or len(watched) < 2 or watched[-1] > min(watched):
        return None
    back = max(math.ceil(len(watched) / 5), 1)
    fell = (watched[-1 - back] - watched[-1]) / _scale(model)
    if fell < _STILL_FALLING:
        return None
    return {"epochs": len(records), "last_epochs": back, "loss_fell_by": rounded(fell)}


def _overfitting(model: Model, records: Sequence[EpochRecord]) -> Finding | None:
    config, kept = model.config, model.report.best_epoch - 1
    if not 0 <= kept < len(records) or records[kept].validation_loss is None:
        return None
    losses = [math.inf if record.validation_loss is None else record.validation_loss for record in records]
    train, value, best = records[kept].train_loss, losses[kept], min(losses)
    above = value > _KEPT_ABOVE_BEST * best and value - best > _KEPT_ABOVE_BEST_BY * _scale(model)
    if not above or train > _FAR_BELOW * value:
        return None
    ways = [] if config.early_stopping else [option("early_stopping", True)]
    ways += [option("dropout", 0.2)] if (config.dropout or 0.0) < 0.2 else []
    if OPTIMIZERS[config.optimizer].decoupled and (config.weight_decay or 0.0) < 0.1:
        ways.append(option("weight_decay", 0.1))
    return Finding(
        "overfitting",
        {
            "training_loss": rounded(train),
            "validation_loss": rounded(value),
            "best_validation_loss": rounded(best),
            "best_epoch": losses.index(best) + 1,
        },
        "The weights that are kept know the training rows by heart: the loss on validation rows was lower before, and "
        "that on training rows is far below it.",
        f"Hold it back: {', '.join(ways)}." if ways else f"Train less: {option('epochs', losses.index(best) + 1)}.",
    )


def _moved_since_lowest(model: Model, records: Sequence[EpochRecord]) -> float:
    """Return by what share of their length the weights can have moved since the training loss was lowest, at most.

    That is as far as steps of one direction lead, each epoch's being as long as the longer one of its first and last.
    """
    n_rows, batch = model.report.rows.get("train", 0), model.config.batch_size
    ratios = [record.update_ratio for record in records]
    if not n_rows or not batch or any(ratio is None for ratio in ratios):
        return math.inf
    losses, updates = [record.train_loss for record in records], [ratio or 0.0 for ratio in ratios]
    lowest = max(i for i, loss in enumerate(losses) if loss == min(losses))
    steps = math.ceil(n_rows / batch)
    return sum(steps * max(updates[i - 1 : i + 1]) for i in range(lowest + 1, len(updates)))


def _largest_update(records: Sequence[EpochRecord]) -> float | None:
    ratios = [record.update_ratio for record in records if record.update_ratio is not None]
    return max(ratios) if ratios else None


def _rate(model: Model) -> float:
    return float(model.config.learning_rate or 0.0)


def _scale(model: Model) -> float:
    """Return about what a constant guess loses: log k for k classes, log 2 for a label, 1 for a standardised number."""
    if model.task == "regression":
        return 1.0
    return math.log(max(len(model.schema.target.classes), 2))
