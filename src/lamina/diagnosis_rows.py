"""What may be wrong with the rows themselves: a column that gives the target away, rows in two parts at once."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.copies import by_first_row, first_rows
from lamina.data.encoder import Arrays, Encoder
from lamina.data.schema import Schema
from lamina.finding import Finding, rounded
from lamina.partition import Part
from lamina.scoring import sampled

Array = NDArray[Any]

# A column is looked at closely if bins of it explain this share of the target's variance.
_BINS, _WORTH_A_LOOK = 32, 0.85
# It gives the target away if it alone scores this, and all others together are this many times as far from 1.
_LEAK, _LEAK_SKILL, _FAR_WORSE = 0.99, 0.95, 5.0
_MIN_LEAK_ROWS, _FOLDS, _TREES, _MAX_TARGETS = 50, 3, 20, 16
# Rows of a random split that are in training too, by chance or because a table repeats a few of them, are fewer.
_SHARED, _MIN_SHARED_ROWS = 0.1, 5
# Rows can be told apart where their columns' values make this many times as many combinations as there are rows.
_MANY, _SLICE_ROWS = 100, 8192


def found_in_columns(schema: Schema, encoder: Encoder, part: Part, seed: int) -> list[Finding]:
    """Return whether one column of ``part`` predicts a target all but perfectly while the others do not.

    The score is cross-validated: the area under the ROC curve of a decision tree on the one column (and a Brier score
    to match) for classes, R² of the better of a tree and a straight line for numbers. Pixels and sparse blocks are not
    looked at.

    Args:
        schema, encoder: what the arrays of ``part`` hold.
        part: training rows, about 2,000 of them.
        seed: of the folds.
    """
    if part.units is not None:  # a tree knows the copy of a row by heart
        part = part.rows(first_rows(by_first_row(part.units)))
    columns = _columns(encoder, part.arrays)
    if len(part) < _MIN_LEAK_ROWS or len(columns) < 2:
        return []
    target = schema.target
    y = np.eye(len(target.classes))[part.y][:, None] if target.classes else part.y[:, :_MAX_TARGETS, None]
    for i in range(y.shape[1]):
        wanted = np.asarray(y[:, i], dtype=np.float64)
        wanted = wanted / (np.abs(wanted).max() or 1.0)  # so that no square overflows
        suspects = [name for name, values in columns.items() if _explained(values, wanted) >= _WORTH_A_LOOK]
        scores = {name: _score([columns[name]], wanted, target.task, seed) for name in suspects}
        leaks = [name for name in suspects if scores[name] >= _LEAK]
        if not leaks:
            continue
        others = [values for name, values in columns.items() if name not in leaks]
        rest = _score(others, wanted, target.task, seed) if others else 0.0
        best = max(leaks, key=lambda name: scores[name])
        if 1 - rest < max(_FAR_WORSE * (1 - scores[best]), _FAR_WORSE * (1 - _LEAK)):
            continue
        metric = "r2" if target.task == "regression" else "roc_auc"
        typed = " ".join(f"--drop {name!r}" if " " in name else f"--drop {name}" for name in leaks)
        return [
            Finding(
                "target leak",
                {"columns": leaks, f"{metric}_alone": rounded(scores[best], 5), f"{metric}_without": rounded(rest)},
                f"The column {best!r} alone all but determines the target, which the others together do not: it may be "
                "a copy of it, or known only afterwards.",
                f"If it will not be known when predicting, leave it out: {typed} (drop={tuple(leaks)!r}).",
            )
        ]
    return []


def _columns(encoder: Encoder, arrays: Arrays) -> dict[str, Array]:
    """Return the encoded numbers, missing flags and codes (n, p) of each column of the user's."""
    found: dict[str, list[Array]] = {}
    n_flags = 0
    for i, number in enumerate(encoder.numbers):
        found.setdefault(number.name, []).append(arrays["numbers"][:, i])
        if number.flag:
            found[number.name].append(arrays["flags"][:, n_flags])
            n_flags += 1
    for i, category in enumerate(encoder.categories):
        found.setdefault(category.name, []).append(arrays["codes"][:, i])
    return {name: np.stack(values, axis=1).astype(np.float64) for name, values in found.items()}


def _explained(values: Array, wanted: Array) -> float:
    """Return the largest share of the variance of ``wanted`` (n, k) that bins of a column of ``values`` explain."""
    total = float(np.square(wanted - wanted.mean(axis=0)).sum())
    if not total:
        return 0.0
    best = 0.0
    for each in values.T:
        edges = np.unique(np.quantile(each, np.linspace(0, 1, _BINS + 1)[1:-1]))
        codes = np.searchsorted(edges, each, side="left")
        counts = np.maximum(np.bincount(codes, minlength=len(edges) + 1), 1)
        sums = np.stack([np.bincount(codes, column, len(edges) + 1) for column in wanted.T], axis=1)
        left = total - float((np.square(sums) / counts[:, None]).sum() - len(wanted) * np.square(wanted.mean(0)).sum())
        best = max(best, 1 - left / total)
    return best


def _score(columns: list[Array], wanted: Array, task: str, seed: int) -> float:
    """Return the cross-validated score of ``columns`` as the only ones; 0 where the folds cannot be made."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.tree import DecisionTreeRegressor

    x = np.hstack(columns)
    models: list[Any] = [DecisionTreeRegressor(min_samples_leaf=2, random_state=seed)]
    if len(columns) > 1:
        models = [ExtraTreesRegressor(_TREES, min_samples_leaf=2, random_state=seed)]
    if task == "regression":
        models.append(LinearRegression())
    fold = np.random.default_rng(seed).permutation(len(x)) % _FOLDS
    best = 0.0
    for model in models:
        predicted = np.empty_like(wanted)
        for i in range(_FOLDS):
            known = wanted[fold != i]
            fitted = model.fit(x[fold != i], known[:, 0] if known.shape[1] == 1 else known)
            predicted[fold == i] = fitted.predict(x[fold == i]).reshape(-1, wanted.shape[1])
        if task == "regression":
            best = max(best, float(r2_score(wanted, predicted)))
            continue
        there = wanted.any(axis=0) & ~wanted.all(axis=0)
        if not there.any():
            return 0.0
        skill = 1 - np.square(wanted - predicted).sum() / np.square(wanted - wanted.mean(axis=0)).sum()
        area = float(np.mean([roc_auc_score(wanted[:, k], predicted[:, k]) for k in np.flatnonzero(there)]))
        best = max(best, area if skill >= _LEAK_SKILL else min(area, skill))
    return best


def found_between_parts(schema: Schema, parts: Mapping[str, Part], n: int, seed: int) -> list[Finding]:
    """Return whether many held-out rows are in training too, features and target alike.

    Where validation rows are training rows of another fold, twins in two folds are meant. Nothing is said of a table
    whose rows repeat by nature, being of a few values each, nor where weights make copies, nor of sparse blocks.

    Args:
        schema, parts: of the run.
        n: rows of each held-out part to look at, at most.
        seed: chooses them.
    """
    train = parts["train"]
    weighted = any(column.role == "weight" for column in schema.columns)
    held = {name: part.rows(sampled(len(part), n, seed)) for name, part in parts.items() if name != "train"}
    if not held or weighted or "sparse" in train.arrays:
        return []
    if _repeats_by_nature(train.rows(sampled(len(train), n, seed)), len(train)):
        return []
    keys = {name: _keys(part) for name, part in held.items()}
    known = _folds_of(train, {key for each in keys.values() for key in each})
    worst: tuple[float, str, int, int] = (0.0, "", 0, 0)
    for name, part in held.items():
        own = [0] * len(part) if part.folds is None else (1 << part.folds).tolist()
        shared = sum(bool(known.get(key, 0) & ~fold) for key, fold in zip(keys[name], own, strict=True))
        worst = max(worst, (shared / max(len(part), 1), name, shared, len(part)))
    share, name, shared, looked_at = worst
    if share < _SHARED or shared < _MIN_SHARED_ROWS:
        return []
    return [
        Finding(
            "rows shared between the splits",
            {"share": rounded(share), "rows": shared, "of": looked_at, "part": name},
            f"These {name} rows are among the training rows too, features and target alike, so their score is that of "
            "rows known by heart.",
            "Take the copies out of the table, or keep rows of one origin together by a column that names it: "
            "--group COL (group='COL').",
        )
    ]


def _repeats_by_nature(some: Part, n_rows: int) -> bool:
    """Return whether so many rows would repeat by chance, given how many values each column of ``some`` has."""
    combinations = 0.0
    for values in some.arrays.values():
        for column in values.T:
            combinations += math.log(len(np.unique(column)))
            if combinations >= math.log(_MANY * n_rows):
                return False
    return True


def _folds_of(train: Part, wanted: set[bytes]) -> dict[bytes, int]:
    """Return the folds that each of the ``wanted`` rows is in, as bits; bit 0 where there are no folds."""
    found: dict[bytes, int] = {}
    for start in range(0, len(train), _SLICE_ROWS):
        part = train.rows(np.arange(start, min(start + _SLICE_ROWS, len(train))))
        bits = [1] * len(part) if part.folds is None else (1 << part.folds).tolist()
        for key, bit in zip(_keys(part), bits, strict=True):
            if key in wanted:
                found[key] = found.get(key, 0) | bit
    return found


def _keys(part: Part) -> list[bytes]:
    """Return what a row holds, target included, as bytes that are the same for the same row."""
    arrays = [values for name, values in sorted(part.arrays.items())]
    flat = [np.asarray(a if a.dtype == np.uint8 or a.dtype.kind == "i" else a.astype(np.float32)) for a in arrays]
    flat.append(part.y.reshape(len(part), -1).astype(np.float64))
    data = np.hstack([np.ascontiguousarray(a).view(np.uint8).reshape(len(part), -1) for a in flat])
    keys: list[bytes] = np.ascontiguousarray(data).view(f"V{data.shape[1]}").ravel().tolist()
    return keys
