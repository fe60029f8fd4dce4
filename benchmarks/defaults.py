"""What the defaults reach on every table, given nothing but the target.

    python benchmarks/defaults.py            # all tables, in the folder named by LAMINA_DATA
    python benchmarks/defaults.py concrete   # some of them

Prints one row a table: the score on the validation rows, which early stopping watched, beside a linear model and a
constant on the same rows, and the seconds of the fit and of the whole command. The adult table is also scored on its
own test file. Log loss for classes, RMSE for numbers; smaller is better.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = {
    "adult-train": "income",
    "california-housing": "median_house_value",
    "concrete": "compressive_strength",
    "credit": "Status",
    "default": "default",
    "deliveries": "time_to_delivery",
    "diamonds": "price",
    "phoneme": "nasal",
    "telco-churn": "churn",
}
DATA = Path(os.environ.get("LAMINA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "tables"


def command(*arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "lamina", *arguments, "--json", "-q"], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def main() -> None:
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    print("| table | metric | MLP | linear | constant | fit s | total s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/model"
            result = command("train", str(DATA / f"{name}.csv"), "--target", TARGETS[name], "-o", out)
            metric = "log_loss" if result["task"] == "classification" else "rmse"
            mlp, baselines, seconds = result["scores"]["validation"], result["baselines"], result["seconds"]
            scores = [mlp[metric], baselines["linear"][metric], baselines["constant"][metric]]
            figures = " | ".join(f"{score:.5g}" for score in scores)
            print(f"| {name} | {metric} | {figures} | {seconds['fit']:.1f} | {seconds['total']:.1f} |", flush=True)
            if name == "adult-train":
                test = command("evaluate", out, str(DATA / "adult-test.csv"))["scores"]
                print(f"| adult-test | {metric} | {test[metric]:.5g} | | | | |", flush=True)


if __name__ == "__main__":
    main()
