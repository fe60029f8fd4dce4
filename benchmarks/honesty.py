"""Are probabilities and intervals what they say they are? On tables that the model has not seen.

    python benchmarks/honesty.py calibration [TABLES] [SEEDS]
    python benchmarks/honesty.py coverage [TABLES] [RESPLITS] [PRESET]

calibration: expected calibration error (15 bins) on the test rows, beside what a model that is calibrated perfectly and
gives the same probabilities would show on as many rows by chance. coverage: the share of test rows within their 90 %
interval, over resplits: mean, and two standard errors of it.
"""

import sys
import warnings

import numpy as np
from images import DATA as IMAGES
from tables import NUMBERS, split

import lamina
from lamina.calibration import calibration_error, calibration_error_of_perfect


def main() -> None:
    warnings.filterwarnings("ignore")
    what, arguments = sys.argv[1], sys.argv[2:]
    (_calibration if what == "calibration" else _coverage)(*arguments)


def _calibration(tables: str = "adult,telco-churn,default,fashion-mnist", seeds: str = "0,1,2") -> None:
    print("| table | seed | error | perfect | difference |\n| --- | --- | --- | --- | --- |")
    for table in tables.split(","):
        for seed in map(int, seeds.split(",")):
            y, probabilities = _predicted(table, seed)
            error = calibration_error(y, probabilities)
            perfect = calibration_error_of_perfect(probabilities, np.random.default_rng(seed))
            print(f"| {table} | {seed} | {error:.4f} | {perfect:.4f} | {error - perfect:.4f} |", flush=True)


def _predicted(table: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if table == "fashion-mnist":
        model = lamina.fit(table, data_dir=str(IMAGES), baselines=False, seed=seed)
        test = lamina.read_table("fashion-mnist:test", data_dir=str(IMAGES))
        return model.schema.target.encode(test), model.predict_proba(test)
    x, x_test, y, y_test = split(table, seed)
    return y_test, lamina.MLPClassifier(random_state=seed).fit(x, y).predict_proba(x_test)


def _coverage(tables: str = ",".join(sorted(NUMBERS)), resplits: str = "20", preset: str = "default") -> None:
    print("| table | resplits | coverage | two standard errors |\n| --- | --- | --- | --- |")
    for table in tables.split(","):
        shares = []
        for seed in range(int(resplits)):
            x, x_test, y, y_test = split(table, seed)
            low, high = lamina.MLPRegressor(random_state=seed, preset=preset).fit(x, y).predict_interval(x_test).T
            shares.append(float(((low <= y_test) & (y_test <= high)).mean()))
        error = np.std(shares, ddof=1) / np.sqrt(len(shares))
        print(f"| {table} | {len(shares)} | {np.mean(shares):.4f} | {2 * error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
