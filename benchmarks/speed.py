"""Seconds of an epoch and of a step, ours and the rivals', interleaved (A B A B ...).

    OMP_NUM_THREADS=2 python benchmarks/speed.py [epoch | step | all] [ROUNDS]

epoch: Fashion-MNIST, 784-256-10, ReLU, minibatches of 256, Adam, shuffled: `MLPClassifier.fit`, an eager PyTorch loop
over resident tensors with the fused optimizer, and scikit-learn's MLPClassifier. Ours is the difference between fits of
5 epochs and of 1, divided by 4, in the precision that the processor suggests and in float32; with preparation, a whole
fit of 5 epochs is a line of its own.
step: 256 x 100 numbers, three layers of 128, AdamW: our step and eager's, of one network and of 8 (eager: `bmm`).

Prints load, versions, n, median, least and the ratio of medians. On a machine whose load was above 1 before the start
the figures are no verdict: it says so, and the exit code is 1.
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.nn import functional as F

import lamina
from lamina.losses import LOSSES
from lamina.training.step import make_step

IMAGES = Path(os.environ.get("LAMINA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fashion-mnist"
BUSY = 1.0


def eager_epochs(X: torch.Tensor, y: torch.Tensor, epochs: int) -> Callable[[], float]:
    def seconds() -> float:
        network = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
        optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
        started = time.perf_counter()
        for _ in range(epochs):
            order = torch.randperm(len(X))
            for i in range(0, len(X), 256):
                rows = order[i : i + 256]
                optimizer.zero_grad()
                F.cross_entropy(network(X[rows]), y[rows]).backward()
                optimizer.step()
        return (time.perf_counter() - started) / epochs

    return seconds


def our_epochs(images: np.ndarray, y: np.ndarray, epochs: int, precision: str = "auto") -> float:
    """Return seconds of a whole fit."""
    model = lamina.MLPClassifier(
        (256,), solver="adam", batch_size=256, learning_rate_init=1e-3, learning_rate="constant", max_iter=epochs,
        early_stopping=False, dropout=0.0, normalization="none", calibrate=False, precision=precision, random_state=0,
    )  # fmt: skip
    started = time.perf_counter()
    model.fit(images, y)
    return time.perf_counter() - started


def of_an_epoch() -> dict[str, Callable[[], float]]:
    table = lamina.read_table("fashion-mnist", data_dir=str(IMAGES))
    images = next(column.values for column in table.columns.values() if column.values.ndim == 3)
    y = next(column.values for column in table.columns.values() if column.values.ndim == 1)
    labels = np.unique(y, return_inverse=True)[1]
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    alike = MLPClassifier((256,), batch_size=256, max_iter=1, learning_rate_init=1e-3)

    def of_sklearn() -> float:
        started = time.perf_counter()
        alike.fit(pixels, labels)
        return time.perf_counter() - started

    def of_ours(precision: str) -> float:
        return (our_epochs(images, labels, 5, precision) - our_epochs(images, labels, 1, precision)) / 4

    resident = torch.from_numpy(pixels), torch.from_numpy(labels)
    return {
        "eager PyTorch": eager_epochs(*resident, 3),
        "lamina.MLPClassifier": lambda: of_ours("auto"),
        "lamina.MLPClassifier, float32": lambda: of_ours("float32"),
        "lamina.MLPClassifier, whole fit / 5": lambda: our_epochs(images, labels, 5) / 5,
        "scikit-learn": of_sklearn,
    }


class EagerMembers(nn.Module):
    def __init__(self, members: int) -> None:
        super().__init__()
        widths = (100, 128, 128, 128, 2)
        shapes = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.randn(members, i, o) / i**0.5 for i, o in shapes)
        self.biases = nn.ParameterList(torch.zeros(members, 1, o) for _, o in shapes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.expand(len(self.weights[0]), -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = x if i == 3 else torch.relu(x)
        return x


def of_a_step(members: int, steps: int = 200) -> dict[str, Callable[[], float]]:
    # Minibatch after minibatch of noisy classes: on one and the same the loss would fall to 0 and the gradients to
    # numbers so small that a processor takes many times as long for them.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80 * 256, 100)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=len(X)) > 0).astype(np.int64)
    run = lamina.prepare(
        (X, y), members=members, hidden_units=(128, 128, 128), dropout=0.0, numeric="standard", validation=0.0,
        learning_rate=1e-3,
    )  # fmt: skip
    rows = run._rows(run.parts["train"])
    run.state.flat.attach()
    step = make_step(run.state.network.train(), LOSSES["cross_entropy"], run.state.optimizer, None)
    mine = cycle([rows.at(torch.arange(i, i + 256)) for i in range(0, len(X), 256)])
    theirs = cycle(list(zip(torch.from_numpy(X).split(256), torch.from_numpy(y).split(256), strict=True)))
    layers = [layer for i in (100, 128, 128) for layer in (nn.Linear(i, 128), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(128, 2)) if members == 1 else EagerMembers(members)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)

    def ours() -> None:
        batch = next(mine)
        step(batch.inputs, batch.target, batch.weights)

    def eager() -> None:
        x, t = next(theirs)
        optimizer.zero_grad()
        F.cross_entropy(network(x).flatten(0, -2), t.repeat(members)).backward()
        optimizer.step()

    def timed(step: Callable[[], object]) -> Callable[[], float]:
        def milliseconds() -> float:
            started = time.perf_counter()
            for _ in range(steps):
                step()
            return (time.perf_counter() - started) / steps * 1e3

        return milliseconds

    return {
        "eager PyTorch": timed(eager),
        "lamina": timed(ours),
    }


def report(title: str, ways: dict[str, Callable[[], float]], rounds: int) -> None:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # imports and caches
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    rival = statistics.median(found["eager PyTorch"])
    print(f"\n{title}, n = {rounds}\n\n| way | median | least | ratio to eager |\n| --- | --- | --- | --- |")
    for name, each in found.items():
        print(f"| {name} | {statistics.median(each):.3f} | {min(each):.3f} | {statistics.median(each) / rival:.3f} |")


def main() -> int:
    warnings.filterwarnings("ignore")
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    load = os.getloadavg()[0]
    print(f"load {load:.2f}, {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    print(f"lamina {lamina.__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}")
    if what in ("step", "all"):
        report("Milliseconds a step, 256 x 100, 3 x 128", of_a_step(1), rounds)
        report("Milliseconds a step, 8 members of it", of_a_step(8), rounds)
    if what in ("epoch", "all"):
        report("Seconds an epoch, Fashion-MNIST, 784-256-10", of_an_epoch(), rounds)
    if load > BUSY:
        print(f"\nno verdict: the load was {load:.2f} before the start; run it on a quiet machine", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
