"""A training run between its preparation and its model: encoded rows, the state, and what is measured of them."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamina.calibration import MIN_CALIBRATION_ROWS, best_temperature, loss_alone, scaled, temperature_of_all
from lamina.config import Config
from lamina.curves import calibration_rows, curves_of
from lamina.data.encoder import Encoder
from lamina.data.schema import Schema
from lamina.data.target import Target
from lamina.data.target_scaling import TargetScaler
from lamina.diagnosis import found_in_run
from lamina.errors import ConfigError, ModelFileError
from lamina.intervals import ConformalScores
from lamina.linear_share import Linears, best_share, suits_linear
from lamina.losses import LOSSES, Loss
from lamina.metrics import METRICS, one_score
from lamina.model import Model, as_tensors, build_network, prediction_of
from lamina.model_report import Report
from lamina.partition import Part, held_out_by, with_class_weights
from lamina.scoring import BaselineOutputs, baseline_outputs, compared, loss_of, scores_of
from lamina.training.checkpoint import Checkpoint, restore, snapshot
from lamina.training.loop import EpochRecord, Measure, TrainState, train
from lamina.training.prediction import Predictor, predict_unseen, predictors_of
from lamina.training.recipe import threads
from lamina.training.rows import Rows, mean_loss

Array = NDArray[Any]

# Options that a run may be resumed with other values of.
_CHANGEABLE = ("time_limit", "device", "test")


@dataclass
class Run:
    """A training run between its preparation and its model.

    Attributes:
        schema, encoder, config, scaler: as the model will have them.
        parts: ``train``, and ``validation`` and ``test`` where there are any.
        state: weights and optimizer; see ``TrainState``.
        notes: what was inferred, left out or dropped, a sentence each.
        earlier: the records of the training that this one started from.
        folds: cross-validated scores, for the report.
        linears: linear models that count for a share, from ``finish`` on; ``None``: none does.
        origin: the data and the options that were given, for the report.
    """

    schema: Schema
    encoder: Encoder
    config: Config
    scaler: TargetScaler | None
    parts: Mapping[str, Part]
    state: TrainState
    notes: list[str]
    device: str
    environment: Mapping[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = 0.0
    earlier: list[EpochRecord] = field(default_factory=list)
    folds: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    linears: Linears | None = None

    def train(self, score: Callable[[], float] | None = None) -> Iterator[EpochRecord]:
        """Train, and yield a record after each epoch; to stop early, stop iterating.

        Args:
            score: what early stopping watches in the place of the option ``watch``: called after each epoch, greater
                is better; ``current()`` is the model to score.

        Raises:
            TrainingError: the loss was not finite before one epoch was complete.
        """
        started = time.perf_counter()
        config = self.config
        validation = self.parts.get("validation")
        watched = None if validation is None else self._rows(validation, watched=True)
        loss = LOSSES[config.loss]
        available = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield from train(
                self.state,
                self._rows(self.parts["train"]),
                watched,
                loss=loss.bound(config.as_dict()),
                measure=None if watched is None else self._measure(watched),
                averaging=config.averaging or 0.0,
                optimizer=config.optimizer,
                learning_rate=config.learning_rate or 0.0,
                weight_decay=config.weight_decay or 0.0,
                schedule=config.schedule,
                power_t=config.power_t,
                batch_size=config.batch_size or 1,
                epochs=config.epochs or 1,
                shuffle=config.shuffle,
                keep_best=config.early_stopping,
                patience=config.patience,
                tol=config.tol or 0.0,
                clip_norm=config.clip_norm,
                precision=config.precision,
                time_limit=config.time_limit,
                max_fun=config.max_fun,
                score=self._score(score),
                watch_score=score is not None or config.watch != "loss",
            )
        finally:
            torch.set_num_threads(available)
            if self.state.stopped.startswith("the time limit"):  # it may be another one now
                self.state.stopped = ""
            self.seconds["fit"] = self.seconds.get("fit", 0.0) + time.perf_counter() - started

    def current(self) -> Model:
        """Return a model of the weights as they are now; training on changes them."""
        network = self.state.network
        if self.device != "cpu":
            network = build_network(self.encoder, self.schema.target.n_outputs, self.config, torch.Generator())
            network.load_state_dict(self.state.network.state_dict())
        history = [*self.earlier, *self.state.history]
        return Model(self.schema, self.encoder, network.eval(), self.config, self.scaler, history=history)

    def finish(self, baselines: bool = True, diagnosis: bool = True) -> Model:
        """Return the model of the epoch that is kept, scored on the held-out rows.

        Args:
            baselines: also fit and score a linear model and a constant, look at the data for what is wrong there, and
                keep what the page of the report draws.
            diagnosis: look at the network and its training for what is wrong there.
        """
        self.state.restore_best()
        if self.state.flat is not None:
            self.state.flat.detach()
        model = self.current()
        held = {name: part for name, part in self.parts.items() if name != "train"}
        scored_on = "test" if "test" in held else "validation" if "validation" in held else ""
        before = self._uncalibrated(held[scored_on]) if scored_on and baselines else None
        calibration, unseen = self._calibrated(model) if "validation" in held else ({}, None)
        outputs = {
            name: model.outputs_of(part.arrays, len(part)) if unseen is None or name != "validation" else unseen
            for name, part in held.items()
        }
        linear = BaselineOutputs()
        if scored_on and baselines:
            train, part = self.parts["train"], held[scored_on]
            linear = baseline_outputs(self.schema, self.encoder, self.config, train, part)
        if held and self.config.class_weight is not None:
            self.notes.append(_of_weighted_classes(self.schema.target, scored_on, held[scored_on], outputs[scored_on]))
        seen = [name for name in self.origin.get("seen", ()) if name in held]
        if seen:
            self.notes.append(
                f"the scores of the {' and '.join(seen)} rows are marked as seen, and so is what rests on them: the "
                "model that training started from may have learned from these rows; rows of another table, given as "
                "test= and validation=, are scored as ever"
            )
        model.report = Report(
            rows={name: len(part) for name, part in self.parts.items()},
            scores={name: model.score(part.y, outputs[name], part.weights) for name, part in held.items()},
            baselines=scores_of(self.schema.target, held[scored_on], linear.held) if linear.held else {},
            scored_on=scored_on,
            seconds=self.seconds,
            notes=self.notes,
            best_epoch=len(self.earlier) + self.state.best_epoch,
            stopped=self.state.stopped,
            environment={**self.environment, "device": self.device, "threads": str(self.threads)},
            folds=self.folds,
            calibration=calibration,
            comparison=(
                compared(model, self.parts, scored_on, outputs, linear) if linear.held and scored_on not in seen else {}
            ),
            origin=self.origin,
        )
        if baselines:
            uncalibrated = before if calibration else None
            predict = partial(self._of_unseen, members=predictors_of(self.state.network))
            curves = curves_of(model, self.parts, scored_on, outputs, uncalibrated, predict)
            model.report = replace(model.report, curves=curves)
        findings = found_in_run(model, self.parts, checks_data=baselines) if diagnosis else []
        seconds = {**self.seconds, "total": time.perf_counter() - self.started}
        model.report = replace(model.report, diagnosis=[each.as_json() for each in findings], seconds=seconds)
        return model

    def _uncalibrated(self, part: Part) -> Array | None:
        """Return predictions for the rows that a calibration curve is drawn of, before the temperature."""
        if self.schema.target.task != "classification":
            return None
        return self._of_unseen(part.rows(calibration_rows(part, self.config.seed)))

    def _of_unseen(self, part: Part, members: list[Predictor] | None = None) -> Array:
        """Return predictions for a part; where members hold out folds, by those that have not seen the row."""
        network = self.state.network
        each, counted = predict_unseen(network, self._rows(part, watched=True), members)
        outputs = network.combine(each.double(), None if counted is None else counted.double()).cpu()
        if self.linears is not None:
            outputs = torch.from_numpy(self.linears.blended(outputs.numpy(), part.arrays, part.folds))
        return prediction_of(outputs, self.config.loss, self.scaler)

    def _calibrated(self, model: Model) -> tuple[dict[str, float], Array | None]:
        """Fold the temperature into ``model``; return what it was and did, and predictions for the validation rows.

        Where members hold out folds, those are the predictions of the members that have not seen the row. A regression
        gets the errors of these predictions, for its intervals.
        """
        part, config = self.parts["validation"], self.config
        rows = self._rows(part, watched=True)
        calibrates = config.calibrate and model.task != "regression" and len(part) >= MIN_CALIBRATION_ROWS
        network = self.state.network
        each, counted = predict_unseen(network, rows)
        each, counted = each.double(), None if counted is None else counted.double()
        exact = replace(rows, weights=None if rows.weights is None else rows.weights.double())
        # On rows that are all right no temperature is low enough: each class keeps a share of one row in n + 2, as in
        # Platt 1999, section 2.2.
        smoothing = {"label_smoothing": 1 / (len(part) + 2)}
        loss, plain = LOSSES[config.loss].bound({**config.as_dict(), **smoothing}), loss_of(self.config)

        def loss_at(temperature: float, loss: Loss = loss) -> float:
            return mean_loss(network.combine(scaled(each, temperature), counted), exact, loss)

        of_held, report = 1.0, {}
        if calibrates:
            of_held, _ = best_temperature(loss_at)
            temperature = of_held
            if counted is not None:
                alone = best_temperature(lambda t: loss_alone(each / t, counted, exact, loss))[0]
                # Of six members two hold out some rows and one the others; the temperature goes with 1 / n.
                weights = None if exact.weights is None else exact.weights.cpu().numpy()
                share = np.average(1 / counted.sum(1).cpu().numpy(), weights=weights)
                temperature = temperature_of_all(alone, of_held, float(1 / share), self.config.members or 1)
            report = {
                "temperature": temperature,
                "loss_before": loss_at(1.0, plain),
                "loss_after": loss_at(of_held, plain),
            }
            model.network.scale_outputs(1 / temperature)
        outputs = self._with_linear(model, network.combine(scaled(each, of_held), counted).cpu().numpy())
        if model.task == "regression":
            model.scores = self._conformal_scores(outputs, rows, part)
        if counted is None:
            return report, None
        return report, prediction_of(outputs, config.loss, self.scaler)

    def _with_linear(self, model: Model, outputs: Array) -> Tensor:
        """Give a linear model the share that suits the validation rows; return their ``outputs`` (n, k) with it."""
        part, train, config, task = self.parts["validation"], self.parts["train"], self.config, model.task
        if not suits_linear(config, self.encoder, len(train)):
            return torch.from_numpy(outputs)
        known, rows = (self._rows(each, watched=True) for each in (train, part))
        weights = [None if each.weights is None else each.weights.double().cpu().numpy() for each in (known, rows)]
        target, n_classes = rows.target.cpu(), len(self.schema.target.classes)
        y = train.y if task == "classification" else known.target.double().cpu().numpy()
        linears = Linears.fitted(self.encoder, train.arrays, y, weights[0], n_classes, train.folds)
        per_row = loss_of(self.config).per_row
        share, before, after = best_share(
            outputs, linears.unseen(part.arrays, part.folds),
            lambda z: per_row(torch.from_numpy(z), target).numpy(), weights[1], part.units,
        )  # fmt: skip
        linears = replace(linears, share=share)
        if share:
            self.linears, model.linear = linears, linears.whole.at(share)
            which = "validation rows" if "validation" in self.origin.get("seen", ()) else "rows that were held out"
            self.notes.append(
                f"a linear model counts for {share:.0%} of each output: on {which}, the loss is {after:.4g} with it "
                f"and {before:.4g} without"
            )
        return torch.from_numpy(linears.blended(outputs, part.arrays, part.folds))

    def _conformal_scores(self, outputs: Tensor, rows: Rows, part: Part) -> ConformalScores:
        """Return the errors on the validation rows ``part``.

        Where members hold out folds, they are those of the members that hold the row out.

        All members together err a little less, so that intervals are a little too wide rather than too narrow.
        """
        y = rows.target.double().cpu().numpy()
        errors = y - LOSSES[self.config.loss].output_map(outputs).numpy()
        return ConformalScores.of(errors, part.weights, part.units)

    def _measure(self, rows: Rows) -> Measure:
        """Return what is watched: the loss at the temperature that suits the epoch, which will be folded in at the end.

        A network's ranking of rows improves long after its probabilities have become too bold: stopping by the loss as
        it is would stop too early (Berta, Holzmüller, Jordan and Bach 2025, "Rethinking early stopping: refine, then
        calibrate", arXiv 2501.19195).
        """
        loss, network = loss_of(self.config), self.state.network
        calibrates = self.config.calibrate and ((self.config.members or 1) > 1 or bool(self.config.averaging))

        def measured(each: Tensor, counted: Tensor | None) -> tuple[float, Tensor]:
            def at(temperature: float) -> Tensor:
                return network.combine(scaled(each, temperature), counted)

            if not calibrates or self.schema.target.task == "regression" or len(rows) < MIN_CALIBRATION_ROWS:
                outputs = at(1.0)
                return mean_loss(outputs, rows, loss), outputs
            temperature, value = best_temperature(lambda t: mean_loss(at(t), rows, loss), refine=False)
            return value, at(temperature)

        return measured

    def fingerprint(self) -> str:
        """Return a hash of everything that decides how training goes on: options, columns, encoding, rows."""
        options = {name: value for name, value in self.config.as_json().items() if name not in _CHANGEABLE}
        parts = [options, self.schema.as_json(), self.encoder.as_json()]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for name in ("train", "validation"):
            if name in self.parts:
                part = self.parts[name]
                sparse = part.arrays.get("sparse")
                dense = [values for key, values in part.arrays.items() if key != "sparse"]
                for array in [
                    *dense,
                    *((sparse.data, sparse.indices, sparse.indptr) if sparse is not None else ()),
                    part.y,
                ]:
                    digest.update(np.ascontiguousarray(array).data)
                for held in (part.weights, part.folds):
                    if held is not None:
                        digest.update(np.ascontiguousarray(held).data)
        return digest.hexdigest()

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the training state, for ``resume``. Take it between two epochs."""
        return snapshot(self.state)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from ``checkpoint``, taken of a run with the same data and options.

        Raises:
            ModelFileError: it is of another network or optimizer.
        """
        try:
            restore(self.state, checkpoint)
            if self.state.stopped.startswith("the time limit"):  # it may be another one now
                self.state.stopped = ""
            self.seconds["fit"] = self.seconds.get("fit", 0.0) + self.state.seconds
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise ModelFileError(f"the checkpoint is of another network or optimizer: {error}.") from None

    @property
    def threads(self) -> int:
        """Threads that training uses: chosen from the shapes, never from timings, so that results repeat."""
        n_parameters = sum(parameter.numel() for parameter in self.state.network.parameters())
        return threads(self.config.batch_size or 1, n_parameters, torch.get_num_threads())

    def _rows(self, part: Part, watched: bool = False) -> Rows:
        """Return a part as tensors, its weights times the class weights and scaled to mean 1.

        Where members hold out folds, rows to train on have a weight for each member, 0 where it holds the row out, and
        rows to watch say which members those are.
        """
        dtype = getattr(torch, self.config.dtype)
        if self.schema.target.task == "classification":
            target = torch.from_numpy(part.y)
        else:
            values = part.y if self.scaler is None else self.scaler.forward(part.y, self.schema.target.names)
            target = torch.from_numpy(values).to(dtype)
        weights = with_class_weights(part, self.config.class_weight, self.schema)
        if weights is not None:
            weights = weights / weights.mean()
        held = None if part.folds is None else held_out_by(part.folds, self.config.members or 1)
        if held is not None and not watched:
            weights = ~held if weights is None else ~held * weights[:, None]
            weights = weights / weights.mean()
        inputs = as_tensors(part.arrays, self.device)
        return Rows(
            {name: each.to(dtype) if each.dtype == torch.float64 else each for name, each in inputs.items()},
            target.to(self.device),
            None if weights is None else torch.from_numpy(weights).to(self.device, dtype),
            torch.from_numpy(held).to(self.device, dtype) if held is not None and watched else None,
        )

    def _score(self, given: Callable[[], float] | None) -> Callable[[Tensor], float | None] | None:
        """Return what is recorded of the outputs on the validation rows, greater being better."""
        part = self.parts.get("validation")
        if part is None:
            return None
        if given is not None:
            return lambda outputs: float(given())
        target = self.schema.target
        watch = self.config.watch
        name = watch if watch != "loss" else "r2" if target.task == "regression" else "accuracy"
        sign = 1.0 if METRICS[name].greater_is_better else -1.0

        def measured(outputs: Tensor) -> float | None:
            prediction = prediction_of(outputs.cpu(), self.config.loss, self.scaler)
            decisions = target.decide(prediction)
            value = one_score(name, part.y, prediction, part.weights, decisions=decisions, positive=target.positive)
            if value is None and watch != "loss":
                raise ConfigError(f"the metric {name!r} is not defined on the validation rows; watch another, or loss.")
            return None if value is None else sign * value

        return measured


def _of_weighted_classes(target: Target, name: str, part: Part, prediction: Array) -> str:
    """Return what the weights of classes do to probabilities, of the class that they change most."""
    mean = np.average(prediction, axis=0, weights=part.weights)
    share = np.bincount(part.y, part.weights, len(mean)) / (len(part) if part.weights is None else part.weights.sum())
    most = int(np.argmax(np.abs(mean - share))) if target.positive is None else target.positive
    return (
        "class_weight: the probabilities are those of the weighted classes, and so is their calibration: on the "
        f"{name} rows the mean probability of {target.classes[most]!r} is {mean[most]:.3g}, and its share of the rows "
        f"is {share[most]:.3g}"
    )
