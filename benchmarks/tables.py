"""Test errors of the defaults and of their rivals on nine tables, one JSON line a fit.

    python benchmarks/tables.py MODELS [TABLES] [SEEDS]     e.g.  tables.py lamina,linear concrete,phoneme 0,1,2
    python benchmarks/tables_report.py FILE [FILE ...]      tables and a picture of what such lines say

MODELS: lamina, lamina-fast, lamina-best, linear, lgbm, xgb, cat, hgb, skmlp, realmlp; lamina-equal is our default
with a time limit of the seconds that CatBoost took for the same fit (results/rivals.jsonl). All get the same rows: 80
% to train on, 20 % to test on, stratified for classes (adult: its own test file), and nothing but the target. Two
threads. Error: log loss of classes, root mean squared error over the test target's standard deviation of numbers.
Seconds are of the whole fit, encoding, validation and calibration included. The rivals need lightgbm, xgboost,
catboost and pytabkit; what is not installed is left out with a line on stderr.
"""

import importlib
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

DATA = Path(os.environ.get("LAMINA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "tables"
# The defaults were chosen on the first five; the others were looked at when they were settled.
TARGETS = {
    "phoneme": "nasal",
    "concrete": "compressive_strength",
    "credit": "Status",
    "telco-churn": "churn",
    "california-housing": "median_house_value",
    "adult": "income",
    "diamonds": "price",
    "deliveries": "time_to_delivery",
    "default": "default",
}
TUNED = tuple(TARGETS)[:5]
NUMBERS = {"concrete", "california-housing", "diamonds", "deliveries"}
THREADS = 2


def main() -> None:
    warnings.filterwarnings("ignore")
    models = sys.argv[1].split(",")
    tables = sys.argv[2].split(",") if len(sys.argv) > 2 else list(TARGETS)
    seeds = [int(seed) for seed in sys.argv[3].split(",")] if len(sys.argv) > 3 else [0, 1, 2]
    for table in tables:
        for seed in seeds:
            for model in models:
                try:
                    result = measured(model, table, seed)
                except ImportError as error:
                    print(f"{model}: {error}; left out", file=sys.stderr)
                    continue
                print(json.dumps(result), flush=True)


def measured(model: str, table: str, seed: int) -> dict[str, Any]:
    """Fit ``model`` on the training rows of ``table`` and return what it got wrong on the test rows."""
    x, x_test, y, y_test = split(table, seed)
    is_number = table in NUMBERS
    estimator, prepare = _estimator(model, is_number, seed, x)
    if model == "lamina-equal":
        estimator.set_params(time_limit=_seconds_of_catboost(table, seed))
    x, x_test = prepare(x), prepare(x_test)
    load = os.getloadavg()[0]
    started = time.perf_counter()
    estimator.fit(x, y)
    fitted = time.perf_counter() - started
    started = time.perf_counter()
    predicted = estimator.predict(x_test) if is_number else estimator.predict_proba(x_test)
    return {
        "table": table,
        "model": model,
        "seed": seed,
        "error": _error(y_test, np.asarray(predicted), is_number),
        "fit_s": round(fitted, 2),
        "predict_s": round(time.perf_counter() - started, 3),
        "load": round(load, 2),
    }


def split(table: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Any, Any]:
    """Return features and target of training and test rows; classes as codes."""
    target = TARGETS[table]
    if table == "adult":
        train, test = (pd.read_csv(DATA / f"adult-{part}.csv") for part in ("train", "test"))
    else:
        frame = pd.read_csv(DATA / f"{table}.csv", low_memory=False)
        strata = None if table in NUMBERS else frame[target]
        train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=strata)
    if table in NUMBERS:
        y, y_test = (part[target].to_numpy(float) for part in (train, test))
    else:
        classes = {name: code for code, name in enumerate(sorted(train[target].astype(str).unique()))}
        y, y_test = (part[target].astype(str).map(classes).to_numpy() for part in (train, test))
    return train.drop(columns=target), test.drop(columns=target), y, y_test


def _error(y: Any, predicted: Any, is_number: bool) -> float:
    if is_number:
        return round(float(np.sqrt(np.mean((predicted.ravel() - y) ** 2)) / y.std()), 5)
    return round(float(log_loss(y, predicted)), 5)


def _seconds_of_catboost(table: str, seed: int) -> float:
    for line in (Path(__file__).parent / "results" / "rivals.jsonl").read_text().splitlines():
        result = json.loads(line)
        if (result["model"], result["table"], result["seed"]) == ("cat", table, seed):
            return float(result["fit_s"])
    raise SystemExit(f"results/rivals.jsonl has no fit of cat on {table} with seed {seed}.")


def _estimator(model: str, is_number: bool, seed: int, x: pd.DataFrame) -> tuple[Any, Any]:
    """Return an unfitted estimator with its own defaults, and what makes its columns of raw ones."""
    if model.startswith("lamina"):
        import lamina

        preset = model.partition("-")[2].replace("equal", "") or "default"
        kind = lamina.MLPRegressor if is_number else lamina.MLPClassifier
        return kind(random_state=seed, preset=preset), lambda frame: frame
    categories = [name for name in x.columns if not pd.api.types.is_numeric_dtype(x[name]) or x[name].dtype == bool]
    numbers = [name for name in x.columns if name not in categories]
    levels = {name: sorted(x[name].dropna().astype(str).unique()) for name in categories}

    def categorical(frame: pd.DataFrame) -> pd.DataFrame:
        text = {
            name: frame[name].astype(object).where(frame[name].isna(), frame[name].astype(str)) for name in categories
        }
        return frame.assign(**{name: pd.Categorical(text[name], categories=levels[name]) for name in categories})

    def text(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{name: frame[name].astype(object).fillna("NA").astype(str) for name in categories})

    if model in ("linear", "skmlp"):
        return _pipeline(model, is_number, numbers, categories), text
    if model == "hgb":
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier
        return kind(categorical_features="from_dtype"), categorical
    if model == "cat":
        catboost = importlib.import_module("catboost")
        kind = catboost.CatBoostRegressor if is_number else catboost.CatBoostClassifier
        return kind(verbose=0, thread_count=THREADS, cat_features=categories, allow_writing_files=False), text
    if model == "lgbm":
        lightgbm = importlib.import_module("lightgbm")
        kind = lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier
        return kind(verbose=-1, n_jobs=THREADS), categorical
    if model == "xgb":
        xgboost = importlib.import_module("xgboost")
        kind = xgboost.XGBRegressor if is_number else xgboost.XGBClassifier
        return kind(enable_categorical=True, n_jobs=THREADS), categorical
    if model == "realmlp":
        pytabkit = importlib.import_module("pytabkit")
        kind = pytabkit.RealMLP_TD_Regressor if is_number else pytabkit.RealMLP_TD_Classifier
        medians = x[numbers].median()
        options = {"device": "cpu", "n_threads": THREADS, "random_state": seed, "n_cv": 1, "verbosity": 0}
        return kind(**options), lambda frame: categorical(frame.fillna(medians))
    raise SystemExit(f"unknown model {model!r}; see the top of {__file__}.")


def _pipeline(model: str, is_number: bool, numbers: list[str], categories: list[str]) -> Any:
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False, min_frequency=5), categories),
    )
    if model == "linear":
        return make_pipeline(columns, Ridge() if is_number else LogisticRegression(max_iter=1000))
    options = {"early_stopping": True, "random_state": 0, "max_iter": 300}
    if is_number:
        return TransformedTargetRegressor(make_pipeline(columns, MLPRegressor(**options)), transformer=StandardScaler())
    return make_pipeline(columns, MLPClassifier(**options))


if __name__ == "__main__":
    main()
