"""Of pure noise nothing can be learned, and every score of rows that were held out must say so.

Each case makes data sets of noise in one of the ways in which a row may get on both sides of a split, trains a network
that knows its rows by heart, and looks at the mean over the data sets. The variable ``LAMINA_LEAK_SETS`` says how many
there are (20); ``pytest -s`` prints the figures.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.cross_validation import cross_validate

pytestmark = pytest.mark.slow

SETS = int(os.environ.get("LAMINA_LEAK_SETS", "20"))
N = 240
OPTIONS: dict[str, Any] = {
    "members": 4,
    "hidden_units": (48,),
    "epochs": 20,
    "learning_rate": 0.02,
    "numeric": "periodic",
}


def noise(seed: int, task: str, n: int = N) -> pl.DataFrame:
    """Six numbers and a target that has nothing to do with them: half heads and half tails, or normal numbers."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2) if task == "coins" else rng.normal(size=n)
    return pl.DataFrame({**{f"x{i}": rng.normal(size=n) for i in range(6)}, "y": y})


def with_column(frame: pl.DataFrame, name: str, values: np.ndarray) -> pl.DataFrame:
    return frame.with_columns(pl.Series(name, values))


def some_twice(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    rows = np.random.default_rng(seed + 1).permutation(N)[: N // 2]
    return pl.concat([frame, frame[rows.tolist()]])


def plain(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return frame, {}


def weights(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return with_column(frame, "w", np.random.default_rng(seed + 2).integers(1, 4, N)), {"weight": "w"}


def equal_weights(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return with_column(frame, "w", np.full(N, 2)), {"weight": "w"}


def broken_weights(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return with_column(frame, "w", np.random.default_rng(seed + 2).random(N) + 0.2), {"weight": "w"}


def copies(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return some_twice(frame, seed), {}


def copies_with_weights(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    frame = some_twice(frame, seed)
    return with_column(frame, "w", np.random.default_rng(seed + 3).integers(1, 3, len(frame))), {"weight": "w"}


def groups(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Rows of one group are all but the same; the copies of some are in groups of their own."""
    rng = np.random.default_rng(seed + 4)
    base = frame[: N // 4]
    near = pl.concat([base.with_columns(pl.selectors.starts_with("x") + 1e-3 * rng.normal()) for _ in range(4)])
    near = with_column(near, "g", np.tile(np.arange(N // 4), 4))
    more = near[:20].with_columns(g=pl.lit(1000) + pl.Series(np.arange(20)))
    return pl.concat([near, more]), {"group": "g"}


def classes(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    return weights(frame, seed)[0], {"weight": "w", "class_weight": "balanced"}


CASES: dict[str, Callable[[pl.DataFrame, int], tuple[pl.DataFrame, dict[str, Any]]]] = {
    each.__name__: each for each in (plain, weights, equal_weights, broken_weights, copies, copies_with_weights, groups)
}


def fitted(case: str, seed: int, task: str, **more: Any) -> lamina.Model:
    make = classes if case == "classes" else CASES[case]
    frame, options = make(noise(seed, task), seed)
    return lamina.fit(frame, "y", test=0.25, seed=seed, baselines=False, **{**OPTIONS, **options, **more})


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.fixture(scope="module")
def models() -> Callable[[str, str], list[lamina.Model]]:
    kept: dict[tuple[str, str], list[lamina.Model]] = {}

    def of(case: str, task: str) -> list[lamina.Model]:
        if (case, task) not in kept:
            kept[case, task] = [fitted(case, 10 * seed, task) for seed in range(SETS)]
        return kept[case, task]

    return of


@pytest.mark.parametrize("case", [*CASES, "classes"])
def test_scores_of_coin_flips(case, models):
    found = [model.report.scores for model in models(case, "coins")]
    areas = [scores["test"]["roc_auc"] for scores in found]
    mean, error = mean_and_error(areas)
    watched = float(np.mean([scores["validation"]["roc_auc"] for scores in found]))
    usual = float(np.mean([model.report.scores["validation"]["roc_auc"] for model in models("plain", "coins")]))
    losses, loss_error = mean_and_error([scores["test"]["log_loss"] for scores in found])
    print(f"\n{case}: test {mean:.4f} ± {error:.4f}, validation {watched:.4f} (unweighted {usual:.4f}), {losses:.4f}")
    assert abs(mean - 0.5) <= 3 * error
    assert watched <= usual + 0.03
    # A temperature that was fitted to rows that are known by heart would make probabilities too bold, not too timid.
    assert losses >= np.log(2) - 3 * loss_error


@pytest.mark.parametrize("case", CASES)
def test_scores_of_random_numbers(case, models):
    mean, error = mean_and_error([model.report.scores["test"]["r2"] for model in models(case, "numbers")])
    watched = float(np.mean([model.report.scores["validation"]["r2"] for model in models(case, "numbers")]))
    usual = float(np.mean([model.report.scores["validation"]["r2"] for model in models("plain", "numbers")]))
    print(f"\n{case}: test r2 {mean:.4f} ± {error:.4f}, validation {watched:.4f} (unweighted {usual:.4f})")
    assert mean <= 3 * error
    assert watched <= usual + 0.03


@pytest.mark.parametrize("case", ["plain", "weights", "copies", "broken_weights", "groups"])
def test_intervals_cover_new_rows(case, models):
    new = noise(999, "numbers", 2000)
    shares = []
    for model in models(case, "numbers"):
        low, high = model.predict_interval(new, 0.9).T
        shares.append(float(((low < new["y"].to_numpy()) & (new["y"].to_numpy() < high)).mean()))
    mean, error = mean_and_error(shares)
    print(f"\n{case}: 90 % intervals cover {mean:.4f} ± {error:.4f} of new rows")
    assert (
        0.9 - 3 * error <= mean + 0.01
    )  # what many groups have in common is little: see test_scores_of_random_numbers
    assert mean < 0.97


@pytest.mark.parametrize("case", ["weights", "copies", "groups"])
def test_cross_validated_scores_of_coin_flips(case):
    quick = {**OPTIONS, "members": 1, "early_stopping": False}
    areas = []
    for seed in range(SETS):
        frame, options = CASES[case](noise(10 * seed, "coins"), 10 * seed)
        scores = cross_validate(frame, "y", folds=4, baselines=False, seed=seed, **{**quick, **options})
        areas.append(scores["MLP"]["roc_auc"]["mean"])
    mean, error = mean_and_error(areas)
    print(f"\n{case}: 4 folds {mean:.4f} ± {error:.4f}")
    assert abs(mean - 0.5) <= 3 * error


def test_training_that_starts_from_a_model():
    """On rows of the same table the score is marked, and no verdict stands on it; on those of another it is honest."""
    areas, marked = [], 0
    for seed in range(SETS):
        frame, new = noise(10 * seed, "coins"), noise(10 * seed + 5, "coins")
        first = lamina.fit(frame, "y", seed=seed, baselines=False, early_stopping=False, **OPTIONS)
        more = {**OPTIONS, "epochs": 2, "start": first, "seed": seed + 1}
        same = lamina.fit(frame, "y", test=0.25, **more)
        marked += same.report.seen == ("validation", "test") and same.report.comparison == {}
        other = lamina.fit(frame, "y", test=new, baselines=False, **more)
        assert "test" not in other.report.seen
        areas.append(other.report.scores["test"]["roc_auc"])
    mean, error = mean_and_error(areas)
    print(f"\nstart: test {mean:.4f} ± {error:.4f}, marked {marked} of {SETS}")
    assert abs(mean - 0.5) <= 3 * error
    assert marked == SETS
