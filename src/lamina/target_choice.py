"""Which transform of a skewed target to train with: each is tried in a short training and measured on held-out rows."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lamina.config import Config
from lamina.data.encoder import weighted_mean_and_deviation
from lamina.data.target_scaling import TRANSFORMS
from lamina.partition import Part
from lamina.run import Run

# Candidates, and the share of the best error so far that each must stay below: a short training tells no less apart.
_CANDIDATES = {"none": 1.0, "log": 0.98, "quantile": 0.95}
# Of a normal target of 100 rows, one in a thousand is as skewed by chance.
_SKEWED = 1.0
_ROWS = 10_000
_EPOCHS = 8


def chosen_transform(
    config: Config, parts: Mapping[str, Part], run_of: Callable[[Config, Mapping[str, Part]], Run]
) -> str:
    """Return the name of the transform with the least root mean squared error on held-out rows after a short training.

    ``none`` unless ``log`` is better by 2 %; ``quantile``, which predicts no value beyond those it has seen, must be
    better than both by 5 %.

    Args:
        config: resolved but for ``target_transform``.
        parts: ``train``, and ``validation`` where there are rows to measure on.
        run_of: ``(config, parts) -> run``, ready to train.
    """
    train = parts["train"]
    members = config.members or 1
    if members == 1 or "validation" not in parts or config.loss != "squared_error" or not _is_skewed(train.y):
        return "none"
    known, held = _two_parts(train, parts["validation"], np.random.default_rng(config.seed))
    if len(known) < 2 or len(held) < 2:
        return "none"
    errors = {}
    for name in _CANDIDATES:
        if (train.y > TRANSFORMS[name].above).all() and (held.y > TRANSFORMS[name].above).all():
            tried = replace(
                config, target_transform=name, members=1, numeric="piecewise_linear", epochs=_EPOCHS, averaging=0.0,
                time_limit=None, patience=None, normalization="none",
            )  # fmt: skip
            errors[name] = _error(run_of(tried, {"train": known, "validation": held}), held)
    best = "none"
    for name in errors:
        if errors[name] < _CANDIDATES[name] * errors[best]:
            best = name
    return best


def _is_skewed(y: NDArray[np.float64]) -> bool:
    if y.shape[1] != 1:
        return False
    mean, deviation = weighted_mean_and_deviation(y[:, 0], None)
    return abs(float((((y[:, 0] - mean) / deviation) ** 3).mean())) > _SKEWED


def _two_parts(train: Part, validation: Part, rng: np.random.Generator) -> tuple[Part, Part]:
    """Return rows to train on and rows to measure on; where members hold out folds, the first fold is measured on."""
    chosen = np.sort(rng.permutation(len(train))[:_ROWS])
    known = train.rows(chosen)
    if known.folds is None:
        return known, validation
    first = known.folds == 0
    return replace(known.rows(~first), folds=None), replace(known.rows(first), folds=None)


def _error(run: Run, held: Part) -> float:
    for _ in run.train():
        pass
    run.state.restore_best()
    model = run.current()
    errors = model.outputs_of(held.arrays, len(held)) - held.y
    largest = float(np.abs(errors).max()) or 1.0  # divided by it first, so that no square overflows
    return largest * float(np.sqrt(np.average((errors / largest) ** 2, axis=0, weights=held.weights).mean()))
