"""Cross-validated scores: each row is predicted once, by a model that has not seen it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lamina.config import Config
from lamina.data import builtin
from lamina.data.copies import MIN_UNITS, by_first_row, equal_rows
from lamina.data.ordering import feature_hashes, with_target
from lamina.data.readers import read_table
from lamina.data.schema import Schema, target_names
from lamina.data.splits import folds as split_into_folds
from lamina.data.table import Table
from lamina.errors import ConfigError, DataError
from lamina.fitting import prepare
from lamina.partition import check_groups
from lamina.run import Run

Scores = Mapping[str, Mapping[str, float]]


def fold_runs(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    folds: int,
    data_dir: str | None = None,
    drop_missing_targets: bool = False,
    progress: builtin.Progress | None = None,
    **options: Any,
) -> Iterator[Run]:
    """Yield a run for each fold, ready to train, whose test part is the fold.

    Folds are stratified by the target; rows of one group, and copies of one row, are in one fold. Copies that are of
    two groups are not: those outside of the fold are left out. Arguments and errors as in ``lamina.fitting.prepare``,
    and:

    Raises:
        ConfigError: fewer than two folds, more than there are rows or groups, or rows ordered by time.
        DataError: the rows are copies of fewer than 20 distinct ones.
    """
    about = {"data_dir": data_dir, "drop_missing_targets": drop_missing_targets, "progress": progress}
    for table, others in _divided(data, target, folds, about, options):
        yield prepare(table, **others)


def _divided(
    data: Any, target: str | Sequence[str] | None, folds: int, about: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Yield, for each fold, the rows outside of it, and the other arguments of ``prepare``."""
    config = Config.of(**options)
    if config.time is not None:
        raise ConfigError("folds take rows from all times, which `time` rules out; leave one of the two out.")
    categories = frozenset(name for name, kind in config.kind.items() if kind == "category")
    table = read_table(data, text_columns=categories, data_dir=about["data_dir"], progress=about["progress"])
    names = target_names(target, table)
    drops = about["drop_missing_targets"]
    if drops and names:
        table, _ = table.rows_with(names)
    schema = Schema.infer(
        table, names, task=config.task, kind=config.kind, drop=config.drop, weight=config.weight, group=config.group
    )
    check_groups(table, config.group)
    y, hashes = schema.target.encode(table), feature_hashes(schema.check(table)[0])
    order = np.argsort(with_target(hashes, y), kind="stable")
    units = equal_rows(hashes, y)
    units = None if units is None else by_first_row(units[order])
    if units is not None and units.max() + 1 < MIN_UNITS:
        raise DataError(
            f"{table.source}: the {table.n_rows:,} rows are copies of {units.max() + 1} distinct ones, and of fewer "
            f"than {MIN_UNITS} too little can be said by holding some out; leave folds out."
        )
    group = None if config.group is None else table[config.group].rows(order)
    others = {"target": names, "schema": schema, "drop_missing_targets": drops}
    rng, together = np.random.default_rng(config.seed), units if group is None else None
    for fold in split_into_folds(folds, y[order], rng, group=group, units=together):
        held = np.zeros(table.n_rows, dtype=bool)
        held[order[fold]] = True
        kept = ~held
        if group is not None and units is not None:  # a copy of a held-out row may be of another group
            kept[order] &= ~np.isin(units, units[fold])
            if not kept.any():
                raise DataError(
                    f"{table.source}: every row outside of a fold is a copy of one of its rows, which have another "
                    f"{config.group!r}; take the copies out of the table, or leave {config.group!r} out."
                )
        yield table.rows(kept), {**others, **options, "test": table.rows(held)}


def summary(scores: Sequence[Scores]) -> dict[str, dict[str, dict[str, float]]]:
    """Return mean and standard error of each metric over folds, by name.

    Args:
        scores: of each fold, by name (``MLP``, ``linear``, ``constant``) and metric; a metric that is not defined in
            every fold is left out. The standard error is the standard deviation over folds (divisor k - 1) by sqrt(k).
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name in scores[0]:
        metrics = [metric for metric in scores[0][name] if all(metric in fold[name] for fold in scores)]
        values = {metric: np.array([fold[name][metric] for fold in scores]) for metric in metrics}
        result[name] = {
            metric: {"mean": float(v.mean()), "standard_error": float(v.std(ddof=1) / np.sqrt(len(v)))}
            for metric, v in values.items()
        }
    return result


def cross_validate(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    folds: int = 5,
    baselines: bool = True,
    n_jobs: int = 1,
    each: Callable[[], None] | None = None,
    data_dir: str | None = None,
    drop_missing_targets: bool = False,
    **options: Any,
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the cross-validated scores of the MLP and its baselines: by name, then metric, mean and standard error.

    Arguments and errors as in ``fit`` and ``fold_runs``, and:

    Args:
        n_jobs: folds that are trained at the same time, each in a process of its own with its share of the processor's
            threads; -1: as many as there are cores. A process takes a few seconds to start.
        each: called after each fold.

    Example:
        >>> scores = cross_validate("iris", folds=3, epochs=5)
        >>> sorted(scores)
        ['MLP', 'constant', 'linear']
    """
    from joblib import Parallel, delayed

    if n_jobs < 1 and n_jobs != -1:
        raise ConfigError(f"n_jobs = {n_jobs!r}; give a number of processes, or -1 for one a core.")
    about = {"data_dir": data_dir, "drop_missing_targets": drop_missing_targets, "progress": None}
    divided = _divided(data, target, folds, about, options)
    scores = []
    # With one job joblib calls the function here and now.
    for found in Parallel(n_jobs, return_as="generator")(delayed(_scores)(*fold, baselines) for fold in divided):
        scores.append(found)
        if each is not None:
            each()
    return summary(scores)


def _scores(table: Table, others: Mapping[str, Any], baselines: bool) -> Scores:
    """Return the scores of a fold, by name and metric."""
    run = prepare(table, **others)
    for _ in run.train():
        pass
    report = run.finish(baselines).report
    return {"MLP": report.scores["test"], **report.baselines}
