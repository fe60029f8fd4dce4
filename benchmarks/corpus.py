"""Test errors of our defaults and of CatBoost's on thirty tables that no default was chosen on, one JSON line a fit.

    python benchmarks/corpus.py MODEL OUT.jsonl [SEEDS] [NAMES]     MODEL: lamina, lamina-fast, lamina-best or cat
    python benchmarks/corpus.py report FILE [FILE ...]              what the lines say, as a table

The tables are in ``corpus`` of the folder that LAMINA_DATA names, with ``tasks.json``: name, target and kind (c:
classes, r: a number). 80 % of the rows are trained on, stratified for classes; classes of fewer than five rows are
left out. CatBoost takes every column that is not of numbers as categories, dates as the texts that they are. Error:
log loss, or root mean squared error over the standard deviation of the test target. A fit that is in OUT already is
not repeated.
"""

import json
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

DATA = Path(os.environ.get("LAMINA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "corpus"
_FEWEST = 5  # rows of a class
_EVEN = 0.005  # errors closer than this, relatively, are even


def main() -> None:
    warnings.filterwarnings("ignore")
    model, out, *more = sys.argv[1:]
    if model == "report":
        report([out, *more])
        return
    seeds = [int(seed) for seed in (more[0] if more else "0,1,2").split(",")]
    names = more[1].split(",") if len(more) > 1 else None
    done = set()
    if Path(out).exists():
        done = {(line["data"], line["model"], line["seed"]) for line in lines_of(out)}
    for task in json.loads((DATA / "tasks.json").read_text()):
        for seed in seeds:
            if (names is None or task["name"] in names) and (task["name"], model, seed) not in done:
                with open(out, "a") as file:
                    file.write(json.dumps(measured(model, task, seed)) + "\n")


def lines_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def measured(model: str, task: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit ``model`` on the training rows of a table and return what it got wrong on the test rows."""
    is_class, target = task["kind"] == "c", task["target"]
    rows = pd.read_csv(DATA / f"{task['name']}.csv", low_memory=False).dropna(subset=[target])
    y = rows.pop(target)
    if is_class:
        y = y.astype(str)
        enough = y.map(y.value_counts()) >= _FEWEST
        rows, y = rows[enough], y[enough]
    x, x_test, y, y_test = train_test_split(rows, y, test_size=0.2, random_state=seed, stratify=y if is_class else None)
    started = time.perf_counter()
    estimator, prepared = fitted(model, is_class, x, y)
    seconds = time.perf_counter() - started
    if is_class:
        error = log_loss(y_test, estimator.predict_proba(prepared(x_test)), labels=estimator.classes_)
    else:
        error = np.sqrt(np.mean((estimator.predict(prepared(x_test)) - y_test) ** 2)) / np.std(y_test)
    about = {"data": task["name"], "model": model, "seed": seed}
    return {**about, "error": round(float(error), 6), "fit_s": round(seconds, 2)}


def fitted(model: str, is_class: bool, x: pd.DataFrame, y: pd.Series) -> tuple[Any, Any]:
    """Return a fitted estimator, and what makes its columns of raw ones."""
    if model.startswith("lamina"):
        import lamina

        kind = lamina.MLPClassifier if is_class else lamina.MLPRegressor
        preset = model.partition("-")[2] or "default"
        return kind(random_state=0, preset=preset).fit(x, y), lambda rows: rows
    import catboost

    texts = [name for name in x.columns if not (pd.api.types.is_numeric_dtype(x[name]) or x[name].dtype == bool)]

    def prepared(rows: pd.DataFrame) -> pd.DataFrame:
        filled = {name: rows[name].astype(object).where(rows[name].notna(), "missing").astype(str) for name in texts}
        return rows.assign(**filled)

    kind = catboost.CatBoostClassifier if is_class else catboost.CatBoostRegressor
    options = {"verbose": 0, "allow_writing_files": False, "thread_count": int(os.environ.get("OMP_NUM_THREADS", "2"))}
    return kind(random_seed=0, cat_features=texts, **options).fit(prepared(x), y), prepared


def report(files: list[str]) -> None:
    """Print for each table the mean errors and their ratio, and over all tables wins, median and worst ratio."""
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in (line for name in files for line in lines_of(name)):
        if "error" in line:
            errors[line["data"]][line["model"]].append(line["error"])
    ratios = {}
    print("| table | lamina | CatBoost | ratio |\n| --- | --- | --- | --- |")
    for name, of in errors.items():
        if len(of["lamina"]) and len(of["lamina"]) == len(of["cat"]):
            ours, theirs = (float(np.mean(of[model])) for model in ("lamina", "cat"))
            ratios[name] = ours / theirs
            print(f"| {name} ({len(of['cat'])}) | {ours:.4f} | {theirs:.4f} | {ratios[name]:.3f} |")
    values = np.array(list(ratios.values()))
    wins, losses = int((values < 1 - _EVEN).sum()), int((values > 1 + _EVEN).sum())
    worst = max(ratios, key=lambda name: ratios[name])
    print(
        f"\n{len(values)} tables: {wins} won, {losses} lost, {len(values) - wins - losses} within {_EVEN:.1%}; ratio: ",
        end="",
    )
    print(
        f"median {np.median(values):.3f}, geometric mean {np.exp(np.log(values).mean()):.3f}, "
        f"best {values.min():.3f}, worst {values.max():.3f} ({worst})"
    )


if __name__ == "__main__":
    main()
