"""What a prediction costs on each way out of a model, interleaved.

    OMP_NUM_THREADS=1 python benchmarks/export.py [ROUNDS]

1. A vector of 784 numbers to the logits of a 784-256-10 network: bare NumPy, the runtime, ONNX Runtime on the exported
   graph (in float64 and from raw pixels), PyTorch, scikit-learn.
2. A row of 10 columns as a dictionary to a class, by networks of 1 and of 8 members: runtime and model.
3. `lamina predict` of a file of one row, whole process.

Prints load, versions, n, and for each way the least and the median, and the median's ratio to the first of its group.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import sklearn
import torch
from sklearn.neural_network import MLPClassifier

import lamina
from lamina.export import runtime
from lamina.export.onnx import to_onnx


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores, n = {rounds} rounds; least and median")
    print(
        f"lamina {lamina.__version__}, numpy {np.__version__}, torch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, scikit-learn {sklearn.__version__}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare("vector to logits, 784-256-10", vector_ways(folder), rounds, 500)
        for members in (1, 8):
            compare(f"row of 10 columns as a dictionary, members = {members}", row_ways(folder, members), rounds, 50)
        command = [sys.executable, "-m", "lamina", "predict", str(folder / "row"), str(folder / "row.csv")]
        ways = {"lamina predict": lambda: subprocess.run(command, check=True, capture_output=True)}
        compare("whole process, one row, members = 8", ways, rounds, 1)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


def vector_ways(folder: Path) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (500, 28, 28)).astype(np.uint8), rng.integers(0, 10, 500)
    options = {"hidden_units": (256,), "normalization": "none", "epochs": 1, "baselines": False}
    model = lamina.fit((images, y), **options)
    taken = runtime.load(model.save(folder / "vector"))
    to_onnx(model, folder / "vector.onnx")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "vector.onnx"), settings, providers=["CPUExecutionProvider"])
    with warnings.catch_warnings(action="ignore"):
        peer = MLPClassifier((256,), max_iter=1).fit(images.reshape(500, -1).astype(np.float32), y)
    x = images[0].ravel().astype(np.float32)
    W1, b1 = rng.normal(size=(784, 256)).astype(np.float32), np.zeros(256, np.float32)
    W2, b2 = rng.normal(size=(256, 10)).astype(np.float32), np.zeros(10, np.float32)
    layers = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)).eval()
    tensor = torch.from_numpy(x)[None]

    def by_torch() -> Any:
        with torch.inference_mode():
            return layers(tensor)

    return {
        "bare NumPy": lambda: np.maximum(x @ W1 + b1, 0) @ W2 + b2,
        "runtime.logits": lambda: taken.logits(x),
        "ONNX Runtime": lambda: session.run(["probabilities"], {"image": images[:1]}),
        "PyTorch": by_torch,
        "scikit-learn": lambda: peer.predict_proba(x[None]),
    }


def row_ways(folder: Path, members: int) -> dict[str, Callable[[], Any]]:
    rng, n = np.random.default_rng(0), 1000
    columns: dict[str, Any] = {f"number{i}": rng.normal(size=n) for i in range(6)}
    columns |= {f"category{i}": rng.choice(list("abcdefghijkl")[: 3 + 3 * i], n) for i in range(4)}
    frame = pl.DataFrame({**columns, "y": rng.choice(["no", "yes"], n)})
    model = lamina.fit(frame, "y", epochs=1, members=members, baselines=False)
    taken = runtime.load(model.save(folder / "row"))
    one = frame.drop("y").head(1)
    one.write_csv(folder / "row.csv")
    row = one.row(0, named=True)
    return {"runtime.predict": lambda: taken.predict(row), "Model.predict": lambda: model.predict(one)}


def compare(title: str, ways: dict[str, Callable[[], Any]], rounds: int, calls: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # imports and caches
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            for _ in range(calls):
                way()
            seconds[name].append((time.perf_counter() - started) / calls)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, median in medians.items():
        least = min(seconds[name])
        print(f"  {name:<18}{least * 1e6:>12,.1f}{median * 1e6:>12,.1f} µs   x {median / first:.2f}")


if __name__ == "__main__":
    main()
