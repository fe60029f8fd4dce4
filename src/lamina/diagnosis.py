"""What is wrong with a model, its training or its data; nothing is said where nothing is wrong.

The thresholds are set so that sound runs on real tables raise nothing, and runs that are broken on purpose their own
verdict only; ``docs/diagnosis.md`` says what each verdict rests on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.data.weights import target_and_weights
from lamina.diagnosis_course import found_in_course
from lamina.diagnosis_layers import found_in_layers, layer_states
from lamina.diagnosis_rows import found_between_parts, found_in_columns
from lamina.errors import DataError
from lamina.finding import Finding
from lamina.model import Model
from lamina.partition import Part
from lamina.scoring import sampled

_ROWS, _LAYER_ROWS = 2000, 500
# What needs the splits, which a saved model no longer has.
_OF_THE_SPLITS = ("rows shared between the splits",)
_ROOTS = ("dead units", "saturated units", "vanishing gradients", "exploding gradients")
_FOLLOWS = ("learning rate too low", "underfitting")


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        findings: causes before their effects; empty where nothing is wrong.
        rows: how many rows were looked at; 0 where the findings are those of the fit.
    """

    findings: tuple[Finding, ...]
    rows: int = 0

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing was found"


def diagnose(model: Model, data: Any = None) -> Diagnosis:
    """Return what is wrong with ``model``.

    Without data these are the findings of the fit, which the model keeps. With data the layers and columns are looked
    at anew, on at most 2,000 of these rows; what the training's course and its splits showed stays.

    Args:
        model: a trained one; of several networks side by side each is looked at.
        data: rows with their target, as in ``Model.evaluate``.

    Raises:
        DataError, SchemaError: the data or its target cannot be read or does not fit, or there are no rows.

    Example:
        >>> import lamina
        >>> model = lamina.fit("iris", members=1, learning_rate=1e-7, epochs=10)
        >>> [finding.name for finding in diagnose(model).findings]
        ['learning rate too low']
    """
    kept = [Finding.from_json(record) for record in model.report.diagnosis]
    if data is None:
        return Diagnosis(tuple(kept))
    table = model.read(data)
    y, weights = target_and_weights(model.schema, table)
    if not table.n_rows or (weights is not None and not weights.any()):
        raise DataError(f"{table.source} has no rows to look at; give some, of a weight above 0.")
    counted = np.arange(len(y)) if weights is None else np.flatnonzero(weights)
    chosen = counted[sampled(len(counted), _ROWS, model.config.seed)]
    features = model.schema.check(table.rows(chosen))[0]
    model.encoder.check_images(features)
    arrays = model.encoder.transform(features, "float64")
    part = Part(arrays, y[chosen], None, chosen)
    found = [*_of_model(model, part), *found_in_columns(model.schema, model.encoder, part, model.config.seed)]
    found += [finding for finding in kept if finding.name in _OF_THE_SPLITS]
    return Diagnosis(tuple(found), len(part))


def found_in_run(model: Model, parts: Mapping[str, Part], *, checks_data: bool) -> list[Finding]:
    """Return what is wrong with a run that has ended.

    Args:
        model: with its history, and its report but for the findings.
        parts: of the data, encoded.
        checks_data: whether columns and splits are looked at too.
    """
    train, seed = parts["train"], model.config.seed
    part = train.rows(sampled(len(train), _ROWS, seed))
    found = _of_model(model, part)
    if checks_data:
        found += found_in_columns(model.schema, model.encoder, part, seed)
        found += found_between_parts(model.schema, parts, _ROWS, seed)
    return found


def _of_model(model: Model, part: Part) -> list[Finding]:
    """Return what the course and the layers show; what one of these explains is not said too."""
    course = found_in_course(model)
    if any(finding.name == "learning rate too high" for finding in course):
        return course
    some = part.rows(sampled(len(part), _LAYER_ROWS, model.config.seed))
    layers = found_in_layers(model, layer_states(model, some))
    explained = _FOLLOWS if any(finding.name in _ROOTS for finding in layers) else ()
    return [*layers, *(finding for finding in course if finding.name not in explained)]
