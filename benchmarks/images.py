"""Test accuracy on Fashion-MNIST's official test images, and seconds of training: one JSON line a fit.

    python benchmarks/images.py [WAYS] [SEEDS]      e.g.  images.py default,best,gradients 0,1,2

WAYS: fast, default, best (presets, from pixels); gradients (the default preset behind fixed oriented gradients: not a
network on pixels); linear, hgb (scikit-learn's logistic regression and histogram boosting on pixels / 255). The test
images choose nothing: early stopping watches a tenth of the training images. Means and deviations come at the end.
"""

import json
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np

import lamina

DATA = Path(os.environ.get("LAMINA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fashion-mnist"


def main() -> None:
    warnings.filterwarnings("ignore")
    ways = (sys.argv[1] if len(sys.argv) > 1 else "default,best,gradients").split(",")
    seeds = [int(seed) for seed in (sys.argv[2] if len(sys.argv) > 2 else "0,1,2").split(",")]
    results = defaultdict(list)
    for seed in seeds:
        for way in ways:
            load = os.getloadavg()[0]
            accuracy, log_loss, seconds = _boosted(way, seed) if way in ("linear", "hgb") else _network(way, seed)
            results[way].append((accuracy, log_loss, seconds))
            line = {"way": way, "seed": seed, "accuracy": accuracy, "log_loss": round(log_loss, 4)}
            print(json.dumps({**line, "fit_s": round(seconds, 1), "load": round(load, 2)}), flush=True)
    for way, values in results.items():
        accuracy, log_loss, seconds = np.array(values).T
        print(
            f"{way}: accuracy {accuracy.mean():.4f} ± {accuracy.std(ddof=1) if len(values) > 1 else 0:.4f}, log loss "
            f"{log_loss.mean():.4f}, {np.median(seconds):.1f} s (median of {len(values)})"
        )


def _network(way: str, seed: int) -> tuple[float, float, float]:
    options = {"features": "gradients"} if way == "gradients" else {"preset": way}
    model = lamina.fit("fashion-mnist", data_dir=str(DATA), baselines=False, seed=seed, **options)
    scores = model.report.scores["test"]
    return scores["accuracy"], scores["log_loss"], model.report.seconds["fit"]


def _boosted(way: str, seed: int) -> tuple[float, float, float]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    train, test = (lamina.read_table(name, data_dir=str(DATA)) for name in ("fashion-mnist", "fashion-mnist:test"))
    x, x_test = (part["image"].values.reshape(part.n_rows, -1) / np.float32(255) for part in (train, test))
    # By name: the codes of two tables are in the order in which each met the names.
    y, y_test = (np.asarray(part["label"].levels)[part["label"].values] for part in (train, test))
    estimator = (
        LogisticRegression(max_iter=100) if way == "linear" else HistGradientBoostingClassifier(random_state=seed)
    )
    started = time.perf_counter()
    estimator.fit(x, y)
    seconds = time.perf_counter() - started
    probabilities = estimator.predict_proba(x_test)
    accuracy = float((estimator.classes_[probabilities.argmax(1)] == y_test).mean())
    return accuracy, float(log_loss(y_test, probabilities, labels=estimator.classes_)), seconds


if __name__ == "__main__":
    main()
