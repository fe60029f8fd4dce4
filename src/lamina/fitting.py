"""From data to a model: read, infer the schema, split, encode, train, measure.

``fit`` is the whole way. A caller that wants to see the epochs pass, or to stop in between, takes it in three parts:
``run = prepare(...)``, ``for record in run.train(): ...``, ``model = run.finish()``.
"""

import platform
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lamina.baselines import fit_baselines
from lamina.config import Config
from lamina.data import builtin
from lamina.data.encoder import Arrays, Encoder, weighted_mean_and_deviation
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.splits import holdout
from lamina.data.table import Table
from lamina.errors import ConfigError, DataError, LaminaWarning, shortened
from lamina.losses import LOSSES
from lamina.metrics import score
from lamina.model import Model, Report, as_tensors, build_network, row_weights, target_and_weights
from lamina.training.loop import EpochRecord, Rows, TrainState, train
from lamina.training.recipe import resolve, threads, validation_fraction

Array = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Rows of one part, encoded: arrays, target (codes or values, (n,)), weights (n,) or ``None``."""

    arrays: Arrays
    y: Array
    weights: Array | None

    def __len__(self) -> int:
        return len(self.y)


@dataclass
class Run:
    """A training run between its preparation and its model.

    Attributes:
        schema, encoder, config: as the model will have them.
        parts: ``train``, and ``validation`` and ``test`` where there are any.
        state: weights and optimizer; see ``TrainState``.
        notes: what was inferred, left out or dropped, a sentence each.
    """

    schema: Schema
    encoder: Encoder
    config: Config
    parts: Mapping[str, Part]
    state: TrainState
    notes: list[str]
    target_mean: float
    target_scale: float
    device: str
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = 0.0

    def train(self) -> Iterator[EpochRecord]:
        """Train, and yield a record after each epoch; to stop early, stop iterating.

        Raises:
            TrainingError: the loss was not finite before one epoch was complete.
        """
        started = time.perf_counter()
        config = self.config
        validation = self.parts.get("validation")
        available = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield from train(
                self.state,
                self._rows(self.parts["train"]),
                None if validation is None else self._rows(validation),
                loss=LOSSES[config.loss],
                learning_rate=config.learning_rate or 0.0,
                schedule=config.schedule,
                batch_size=config.batch_size or 1,
                epochs=config.epochs or 1,
                patience=config.patience,
                tol=config.tol or 0.0,
                clip_norm=config.clip_norm,
                time_limit=config.time_limit,
            )
        finally:
            torch.set_num_threads(available)
            self.seconds["fit"] = self.seconds.get("fit", 0.0) + time.perf_counter() - started

    def finish(self, baselines: bool = True) -> Model:
        """Return the model of the best epoch so far, scored on the held-out rows.

        Args:
            baselines: also fit and score a linear model and a constant.
        """
        self.state.restore_best()
        network = self.state.network.to("cpu").eval()
        model = Model(
            self.schema, self.encoder, network, self.config, self.target_mean, self.target_scale,
            list(self.state.history),
        )  # fmt: skip
        held = {name: part for name, part in self.parts.items() if name != "train"}
        scored_on = "test" if "test" in held else "validation" if "validation" in held else ""
        scores = {
            name: score(model.task, part.y, model.outputs_of(part.arrays, len(part)), part.weights)
            for name, part in held.items()
        }
        model.report = Report(
            rows={name: len(part) for name, part in self.parts.items()},
            scores=scores,
            baselines=self._baseline_scores(held[scored_on]) if scored_on and baselines else {},
            scored_on=scored_on,
            seconds={**self.seconds, "total": time.perf_counter() - self.started},
            notes=self.notes,
            best_epoch=self.state.best_epoch,
            stopped=self.state.stopped,
            environment=_environment(self.device, self.threads),
        )
        return model

    @property
    def threads(self) -> int:
        """Threads that training uses: chosen from the shapes, never from timings, so that results repeat."""
        n_parameters = sum(parameter.numel() for parameter in self.state.network.parameters())
        return threads(self.config.batch_size or 1, n_parameters, torch.get_num_threads())

    def _rows(self, part: Part) -> Rows:
        """Return a part as tensors, its weights times the class weights and scaled to mean 1."""
        dtype = getattr(torch, self.config.dtype)
        if self.schema.target.task == "classification":
            target = torch.from_numpy(part.y)
        else:
            scaled = (part.y - self.target_mean) / self.target_scale
            target = torch.from_numpy(scaled).to(dtype).unsqueeze(1)
        weights = _with_class_weights(part, self.config.class_weight, self.schema)
        if weights is not None:
            weights = weights / weights.mean()
        return Rows(
            as_tensors(part.arrays, self.device),
            target.to(self.device),
            None if weights is None else torch.from_numpy(weights).to(self.device, dtype),
        )

    def _baseline_scores(self, held: Part) -> dict[str, dict[str, float]]:
        train = self.parts["train"]
        task = self.schema.target.task
        n_classes = len(self.schema.target.classes)
        rng = np.random.default_rng(self.config.seed)
        predictors = fit_baselines(self.encoder, train.arrays, train.y, train.weights, n_classes, rng)
        return {name: score(task, held.y, predict(held.arrays), held.weights) for name, predict in predictors.items()}


def fit(
    data: Any, target: str | None = None, *, data_dir: str | None = None, baselines: bool = True, **options: Any
) -> Model:
    """Return a trained model.

    Args:
        data: a path, a built-in set's name, a data frame, a ``Table``, or (X, y) with X of shape (n, d) or
            (n, height, width).
        target: the target's column; not needed where the data itself has one.
        data_dir: folder of Fashion-MNIST's files.
        baselines: also fit and score a linear model and a constant, in ``model.report.baselines``.
        options: fields of ``lamina.config.Config``, such as ``hidden_units=(256, 128)``.

    Raises:
        DataError: the data cannot be read or learned from.
        ConfigError: an option is unknown or out of bounds.
        TrainingError: training produced no usable weights.

    Example:
        >>> model = fit("iris", seed=0, epochs=5)
        >>> model.task
        'classification'
    """
    run = prepare(data, target, data_dir=data_dir, **options)
    lost = [repr(column.name) for column in run.schema.left_out if column.kind != "constant"]
    if lost:
        names = shortened(lost)
        warnings.warn(f"left out of the features: {names}; model.report.notes says why.", LaminaWarning, stacklevel=2)
    interrupted = False
    try:
        for _ in run.train():
            pass
    except KeyboardInterrupt:
        if run.state.best_weights is None:
            raise
        interrupted = True
        run.state.stopped = f"interrupted in epoch {run.state.epoch + 1}"
    if interrupted or run.state.diverged:
        warnings.warn(f"training ended early: {run.state.stopped}.", LaminaWarning, stacklevel=2)
    return run.finish(baselines)


def prepare(
    data: Any,
    target: str | None = None,
    *,
    data_dir: str | None = None,
    drop_missing_targets: bool = False,
    progress: builtin.Progress | None = None,
    **options: Any,
) -> Run:
    """Return a run that is ready to train; arguments and errors as in ``fit``.

    Args:
        drop_missing_targets: drop rows without a target and note how many, instead of raising ``DataError``.
        progress: called while a data set is downloaded.
    """
    started = time.perf_counter()
    config = Config.of(**options)
    device = _device(config.device)
    categories = frozenset(name for name, kind in config.kind.items() if kind == "category")
    table = read_table(data, text_columns=categories, data_dir=data_dir, progress=progress)
    table, notes = _usable_rows(table, target or table.target, config.weight, drop_missing_targets)
    schema = Schema.infer(
        table, target, task=config.task, kind=config.kind, drop=config.drop,
        weight=config.weight, group=config.group, time=config.time,
    )  # fmt: skip
    notes += schema.notes()
    if config.class_weight is not None and not schema.target.classes:
        raise ConfigError(
            f"class_weight is for classes, but the target {schema.target.name!r} is a number; leave it out."
        )
    tables = _split(table, schema, config, _official_test(data, config), data_dir)
    if drop_missing_targets:
        tables = {name: _with_target(part, schema.target.name, notes) for name, part in tables.items()}
    prepared = time.perf_counter()
    checked = {name: schema.check(part)[0] for name, part in tables.items()}
    targets = {name: target_and_weights(schema, part) for name, part in tables.items()}
    y, weights = targets["train"]
    kinds = [column.kind for column in schema.features]
    config = resolve(
        config, n_rows=len(y), n_number_columns=kinds.count("number"), has_images="image" in kinds,
        task=schema.target.task, has_validation="validation" in tables,
    )  # fmt: skip
    encoder = Encoder.fit(
        schema, checked["train"], weights,
        numeric=config.numeric, bins=config.bins or 1,
        one_hot_levels=config.one_hot_levels, min_level_rows=config.min_level_rows,
    )  # fmt: skip
    parts = {name: Part(encoder.transform(checked[name], config.dtype), *targets[name]) for name in tables}
    mean, scale = (0.0, 1.0) if schema.target.classes else weighted_mean_and_deviation(y, weights)
    generator = torch.Generator().manual_seed(config.seed)
    network = build_network(encoder, schema.target.n_outputs, config, generator).to(device)
    state = TrainState.start(
        network,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate or 0.0,
        weight_decay=config.weight_decay or 0.0,
        momentum=config.momentum,
        generator=generator if device == "cpu" else torch.Generator(device).manual_seed(config.seed),
    )
    seconds = {"fit": time.perf_counter() - prepared}
    return Run(schema, encoder, config, parts, state, notes, mean, scale, device, seconds, started)


def _usable_rows(table: Table, target: str | None, weight: str | None, drop: bool) -> tuple[Table, list[str]]:
    """Return the rows with a target and a weight above 0: a weight of 0 equals the row's absence."""
    notes: list[str] = []
    if target is not None:
        table = _with_target(table, target, notes) if drop else table
    if weight is not None:
        zero = row_weights(table, weight) == 0
        if zero.all():
            raise DataError(f"{table.source}: every weight in column {weight!r} is 0; nothing can be learned.")
        table = table.rows(~zero) if zero.any() else table
    if table.n_rows < 2:
        raise DataError(f"{table.source} has {table.n_rows} usable row; at least 2 are needed to learn from.")
    return table, notes


def _with_target(table: Table, target: str, notes: list[str]) -> Table:
    kept, n_dropped = table.rows_with(target)
    if not n_dropped or not kept.n_rows:
        return table  # a target that is missing everywhere is reported by the schema
    notes.append(f"{table.source}: dropped {n_dropped} rows without a value of the target {target!r}")
    return kept


def _official_test(data: Any, config: Config) -> Any:
    if config.test is None and isinstance(data, str):
        return builtin.test_part(data)
    return config.test


def _split(table: Table, schema: Schema, config: Config, test: Any, data_dir: str | None) -> dict[str, Table]:
    """Return the parts of the table: the test rows are taken first, then the validation rows from what is left."""
    rng = np.random.default_rng(config.seed)
    parts: dict[str, Table] = {}
    rest = table
    fractions = {"test": 0.0 if test is None else test, "validation": config.validation}
    for name, holding in fractions.items():
        if holding is None:
            holding = validation_fraction(rest.n_rows)
        if not isinstance(holding, float):
            parts[name] = read_table(holding, text_columns=schema.category_names, data_dir=data_dir)
        elif holding > 0:
            kept, held = holdout(
                holding,
                schema.target.encode(rest),
                rng,
                is_class=bool(schema.target.classes),
                group=None if config.group is None else rest[config.group],
                time=None if config.time is None else rest[config.time],
            )
            if not len(held) or not len(kept):
                raise DataError(
                    f"{table.source}: a {name} share of {holding:g} of {rest.n_rows} rows leaves a part empty."
                )
            parts[name], rest = rest.rows(held), rest.rows(kept)
    return {"train": rest, **dict(reversed(parts.items()))}


def _with_class_weights(part: Part, class_weight: Any, schema: Schema) -> Array | None:
    """Return the rows' weights times those of their classes; ``balanced``: n / (k times the class's weight)."""
    if class_weight is None:
        return part.weights
    rows = np.ones(len(part)) if part.weights is None else part.weights
    if class_weight == "balanced":
        counts = np.bincount(part.y, rows, len(schema.target.classes))
        factors = rows.sum() / (np.maximum(counts, 1e-300) * (counts > 0).sum())
    else:
        names = {str(value): code for code, value in enumerate(schema.target.classes)}
        unknown = [name for name in class_weight if name not in names]
        if unknown:
            raise ConfigError(f"class_weight names {unknown[0]!r}, which is no class. Classes: {', '.join(names)}.")
        factors = np.array([class_weight.get(name, 1.0) for name in names])
    weights: Array = rows * factors[part.y]
    if not weights.any():
        raise ConfigError(
            "class_weight leaves no row with a weight above 0; raise the weight of a class that is there."
        )
    return weights


def _device(name: str) -> str:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, there in available.items() if there)
    if not available[name.partition(":")[0]]:
        raise ConfigError(f"device = {name!r}, but this machine or this build of torch has none; use cpu or auto.")
    return name


def _environment(device: str, n_threads: int) -> dict[str, str]:
    packages = ("lamina", "torch", "numpy", "scikit-learn", "polars")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "device": device,
        "threads": str(n_threads),
    }
