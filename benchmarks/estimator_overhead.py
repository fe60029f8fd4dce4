"""What the scikit-learn estimators cost on top of the core: fits of 1,000 x 20 numbers, interleaved.

    python benchmarks/estimator_overhead.py [ROUNDS]

Prints load, versions, n, the medians of `lamina.fit` and of `MLPClassifier.fit` in seconds, and their ratio.
"""

import os
import statistics
import sys
import time

import numpy as np
import sklearn
import torch

import lamina


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 20))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
    ways = {
        "lamina.fit": lambda: lamina.fit((X, y), seed=0, baselines=False),
        "MLPClassifier.fit": lambda: lamina.MLPClassifier(random_state=0).fit(X, y),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # imports and caches
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    core, estimator = (statistics.median(each) for each in seconds.values())
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    print(f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, n = {rounds}; medians in seconds")
    print(f"lamina.fit {core:.3f}, MLPClassifier.fit {estimator:.3f}, ratio {estimator / core:.3f}")


if __name__ == "__main__":
    main()
