"""From data to a model: read, infer the schema, split, encode, train, measure.

``fit`` is the whole way. A caller that wants to see the epochs pass, or to stop in between, takes it in three parts:
``run = prepare(...)``, ``for record in run.train(): ...``, ``model = run.finish()``.
"""

import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import torch
from numpy.typing import NDArray

from lamina.config import Config, default
from lamina.data import builtin
from lamina.data.encoder import Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema, target_names
from lamina.data.table import Table
from lamina.data.target_scaling import TargetScaler
from lamina.errors import ConfigError, LaminaWarning, shortened
from lamina.losses import LOSSES
from lamina.model import Model, build_network
from lamina.native.library import load
from lamina.network.members import Network
from lamina.origin import origin_of
from lamina.partition import Part, Rows, split, weighted_rows
from lamina.run import Run
from lamina.target_choice import chosen_transform
from lamina.training.checkpoint import Checkpoint
from lamina.training.loop import EpochRecord, TrainState
from lamina.training.recipe import recipe_of, resolve
from lamina.training.schedules import SCHEDULES

Array = NDArray[Any]

# What a model that training starts from has settled: its encoding and its layers.
_SETTLED = (
    "numeric", "bins", "features", "one_hot_levels", "embedding_width", "min_level_rows", "hidden_units", "activation",
    "activation_parameters", "normalization", "layer", "phm_n", "rank", "members", "target_transform", "loss",
)  # fmt: skip


def fit(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    data_dir: str | None = None,
    baselines: bool = True,
    start: Model | None = None,
    **options: Any,
) -> Model:
    """Return a trained model.

    Args:
        data: a path, a built-in set's name, a data frame, a ``Table``, or (X, y) with X of shape (n, d) or
            (n, height, width) and y (n,) or (n, k).
        target: the target's column, or several; not needed where the data itself has one.
        data_dir: folder of Fashion-MNIST's files.
        baselines: also fit and score a linear model and a constant, in ``model.report.baselines``.
        start: a model whose columns, encoding and layers are kept, and from whose weights training starts.
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
    run = prepare(data, target, data_dir=data_dir, start=start, **options)
    lost = [repr(column.name) for column in run.schema.left_out if column.kind != "constant"]
    if lost:
        names = shortened(lost)
        warnings.warn(f"left out of the features: {names}; model.report.notes says why.", LaminaWarning, stacklevel=2)
    train_to_the_end(run)
    return run.finish(baselines)


def train_to_the_end(
    run: Run, *, score: Callable[[], float] | None = None, each: Callable[[EpochRecord], None] | None = None
) -> None:
    """Train; on Ctrl-C keep the best weights so far, and warn where training ended early.

    Args:
        score: see ``Run.train``.
        each: called with the record of each epoch.
    """
    interrupted = False
    try:
        for record in run.train(score):
            if each is not None:
                each(record)
    except KeyboardInterrupt:
        if run.state.best_weights is None:
            raise
        interrupted = True
        run.state.stopped = f"interrupted in epoch {run.state.epoch + 1}"
    if interrupted or run.state.diverged:
        warnings.warn(f"training ended early: {run.state.stopped}.", LaminaWarning, stacklevel=3)


def fit_partially(
    data: Any,
    so_far: tuple[Model, Checkpoint | None] | None = None,
    *,
    classes: Sequence[Any] | None = None,
    **options: Any,
) -> tuple[Model, Checkpoint]:
    """Return the model after one more pass, over ``data``, and the training state for the next call.

    The first call settles columns, encoding, classes and layers. Nothing is held out, every column is a feature,
    and the learning rate is constant where its schedule would need to know when training ends.

    Args:
        data, options: as in ``fit``.
        so_far: what the call before returned; or a model that was fitted as a whole, and ``None``.
        classes: all classes that there will be; for the first call.
    """
    model, checkpoint = (None, None) if so_far is None else so_far
    needs_end = SCHEDULES[Config.of(**options).schedule].needs_end
    options = {**options, "early_stopping": False, "validation": 0.0, "test": None, "patience": None, "epochs": 1}
    options["schedule"] = "constant" if needs_end else options["schedule"]
    run = prepare(data, start=model, classes=classes, partial=True, every_column=True, min_rows=1, **options)
    if checkpoint is not None:
        run.resume(checkpoint)
        run.earlier = run.earlier[: len(run.earlier) - len(run.state.history)]
        run.state.stopped = ""
        run.config = replace(run.config, epochs=run.state.epoch + 1)
    for _ in run.train():
        pass
    return run.finish(baselines=False, diagnosis=False), run.checkpoint()


def prepare(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    data_dir: str | None = None,
    drop_missing_targets: bool = False,
    progress: builtin.Progress | None = None,
    start: Model | None = None,
    classes: Sequence[Any] | None = None,
    schema: Schema | None = None,
    partial: bool = False,
    every_column: bool = False,
    min_rows: int = 2,
    **options: Any,
) -> Run:
    """Return a run that is ready to train; arguments and errors as in ``fit``.

    Args:
        drop_missing_targets: drop rows without a target and note how many, instead of raising ``DataError``.
        progress: called while a data set is downloaded.
        classes: all classes that there will be, where not all of them need be in ``data``.
        schema: what the columns are, in the place of what ``data`` looks like.
        partial, every_column: see ``Schema.infer``.
        min_rows: fewer rows are an error.
    """
    started = time.perf_counter()
    config = Config.of(**options)
    device = _device(config.device)
    categories = frozenset(name for name, kind in config.kind.items() if kind == "category")
    table = read_table(data, text_columns=categories, data_dir=data_dir, progress=progress)
    names = target_names(target, table)
    origin = {} if partial else origin_of(data, tuple(names), table, config)
    notes: list[str] = []
    if drop_missing_targets and names:
        table = _with_targets(table, names, notes)
    table, weights, copies = weighted_rows(table, config.weight, min_rows)
    if start is not None:
        schema, table, config = (
            start.schema,
            _known(table, start.schema, config.weight),
            _settled(config, start, options),
        )
    elif schema is None:
        schema = Schema.infer(
            table, names, task=config.task, classes=classes, partial=partial, every_column=every_column,
            kind=config.kind, drop=config.drop, weight=config.weight, group=config.group, time=config.time,
        )  # fmt: skip
        notes += schema.notes()
    schema = replace(schema, target=schema.target.deciding(config.positive_class, config.threshold))
    kinds = [column.kind for column in schema.features]
    recipe = recipe_of(config, kinds, partial)
    config = replace(config, members=config.members or recipe.members)
    test = _official_test(data, config)
    texts = schema.text_columns({name: column.levels for name, column in table.columns.items()})

    def read_held_out(holding: Any) -> Rows:
        held = read_table(holding, text_columns=texts, data_dir=data_dir)
        return Rows.held_out(_with_targets(held, names, notes) if drop_missing_targets else held, schema)

    rows = Rows.of(table, schema, weights, copies, config, notes)
    tables = split(rows, schema, config, test, read_held_out, notes)
    prepared = time.perf_counter()
    train = tables["train"]
    bins_are_told = config.bins is not None
    config = resolve(
        config, recipe, n_rows=len(train.y), n_number_columns=kinds.count("number"), has_images="image" in kinds,
        task=schema.target.task, has_validation="validation" in tables, device=device,
    )  # fmt: skip
    encoder = start.encoder if start is not None else Encoder.fit(
        schema, train.features, train.weights,
        numeric=config.numeric, bins=config.bins or 1,
        one_hot_levels=config.one_hot_levels, min_level_rows=config.min_level_rows, features=config.features,
        codes=not bins_are_told,
    )  # fmt: skip
    # Held-out rows as a saved model would encode them, so that their scores are those of ``Model.evaluate``.
    dtypes = {name: config.dtype if name == "train" else "float64" for name in tables}
    parts = {name: each.encoded(encoder, dtypes[name]) for name, each in tables.items()}

    def run_of(config: Config, parts: Mapping[str, Part]) -> Run:
        scaler = start.scaler if start is not None else _scaler(schema, parts["train"], config)
        generator = torch.Generator().manual_seed(config.seed)
        network = build_network(encoder, schema.target.n_outputs, config, generator).to(device)
        if start is not None:
            network.load_state_dict(start.network.state_dict())
        state = _state(network, config, generator, device)
        return Run(schema, encoder, config, scaler, parts, state, notes, device, _environment())

    if config.target_transform == "auto":
        config = replace(config, target_transform=chosen_transform(config, parts, run_of))
    if config.features != "pixels" and "image" in kinds:
        notes.append("the network sees fixed oriented gradients of the images, not their pixels")
    if start is not None and origin:
        # Which rows the first training learned from is not known: it may have held out others, or other tables.
        origin = {**origin, "seen": [name for name in tables if name != "train" and tables[name].is_of(rows)]}
    run = run_of(config, parts)
    run.origin, run.seconds, run.started = origin, {"fit": time.perf_counter() - prepared}, started
    run.earlier = [] if start is None else list(start.history)
    return run


def _with_targets(table: Table, names: Sequence[str], notes: list[str]) -> Table:
    kept, n_dropped = table.rows_with(names)
    if not n_dropped or not kept.n_rows:
        return table  # a target that is missing everywhere is reported by the schema
    which = ", ".join(repr(name) for name in names)
    notes.append(f"{table.source}: dropped {n_dropped} rows without a value of the target {which}")
    return kept


def _official_test(data: Any, config: Config) -> Any:
    if config.test is None and isinstance(data, str):
        return builtin.test_part(data)
    return config.test


def _settled(config: Config, start: Model, options: dict[str, Any]) -> Config:
    """Return ``config`` with the encoding and the layers of ``start``; an option that asks for others is refused."""
    for name in _SETTLED:
        value, settled = getattr(config, name), getattr(start.config, name)
        if name in options and value not in (None, "auto", default(name), settled):
            raise ConfigError(
                f"{name} = {value!r}, but the model to start from was trained with {settled!r}; "
                "leave it out, or train anew."
            )
    kept = {name: getattr(start.config, name) for name in _SETTLED}
    kept.update({name: getattr(start.config, name) for name in ("positive_class", "threshold") if name not in options})
    return config.replace(**kept)


def _known(table: Table, schema: Schema, weight: str | None) -> Table:
    """Return ``table`` without its column of weights where ``schema`` does not know it; they have been read."""
    return table.without(weight) if weight and weight not in (column.name for column in schema.columns) else table


def _state(network: Network, config: Config, generator: torch.Generator, device: str) -> TrainState:
    return TrainState.start(
        network,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate or 0.0,
        weight_decay=config.weight_decay or 0.0,
        batch_size=config.batch_size or 1,
        generator=generator if device == "cpu" else torch.Generator(device).manual_seed(config.seed),
        momentum=config.momentum,
        nesterov=config.nesterov,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        tol=config.tol or 0.0,
    )


def _scaler(schema: Schema, train: Part, config: Config) -> TargetScaler | None:
    if schema.target.task != "regression":
        return None
    return TargetScaler.fit(
        train.y, train.weights, names=schema.target.names, transform=config.target_transform,
        centred=LOSSES[config.loss].target_scaling == "standard",
    )  # fmt: skip


def _device(name: str) -> str:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, there in available.items() if there)
    if not available[name.partition(":")[0]]:
        raise ConfigError(f"device = {name!r}, but this machine or this build of torch has none; use cpu or auto.")
    return name


def _environment() -> dict[str, str]:
    packages = ("lamina", "torch", "numpy", "scikit-learn", "polars")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "loops": "of torch" if load() is None else "compiled",
    }
