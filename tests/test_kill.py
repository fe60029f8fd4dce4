"""SIGKILL at fifty random moments of training, saving and exporting: what is there is the old or the new, and whole.

A process that has imported everything forks one that does the work, and kills it. The moments are drawn from a seed, as
shares of what the work takes when nobody disturbs it.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lamina
from lamina import model_file
from lamina.cli.main import run
from random_models import frame, random_model
from test_checkpointing import MODEL, UNFINISHED, assert_same, files, frame_of, rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork and no SIGKILL"),
]

# Reads orders, one JSON object a line: {"do": ..., "with": [...], "seconds": ...}; answers [how it ended, seconds].
DRIVER = """
import itertools, json, os, signal, sys, time
import torch, torch._dynamo, polars, sklearn.linear_model, scipy.special, safetensors.numpy, onnx, onnxruntime
import lamina.cli.main, lamina.cli.train, lamina.cli.export, lamina.export.onnx, lamina.fitting
from lamina import checkpointing
from lamina.cli.main import run
from lamina.model import Model

torch.set_num_threads(1)
checkpointing._SECONDS_BETWEEN_WRITES = -1.0  # a checkpoint after each epoch

def command(*arguments):
    return run(list(arguments))

def save(folder, *others):
    models = [Model.load(each) for each in others]
    yield
    for i in range(200):
        models[i % len(models)].save(folder)
    return 0

def export(file, *folders):
    yield
    for i in range(200):
        run(["export", folders[i % len(folders)], "--to", "onnx", "-o", file, "-q"])
    return 0

def work(order, ready):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    done = {"command": command, "save": save, "export": export}[order["do"]](*order["with"])
    if order["do"] != "command":
        next(done)
        os.write(ready, b".")
        try:
            next(done)
        except StopIteration as end:
            return end.value
    return done

for line in sys.stdin:
    order = json.loads(line)
    ready, tell = os.pipe()
    started, child = time.monotonic(), os.fork()
    if not child:
        code = 70
        try:
            code = work(order, tell)
        finally:
            os._exit(code)
    if order["seconds"] is not None:
        if order["do"] != "command":
            os.read(ready, 1)
        time.sleep(order["seconds"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - started]), flush=True)
"""

Order = Callable[..., tuple[int, float]]
KILLED = -9


@pytest.fixture(scope="module")
def order() -> Iterator[Order]:
    """Have work done by a process of its own, killed after ``seconds``; return how it ended and what it took."""
    command = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:

        def give(do: str, *arguments: Any, seconds: float | None = None) -> tuple[int, float]:
            assert driver.stdin is not None
            assert driver.stdout is not None
            print(json.dumps({"do": do, "with": [*map(str, arguments)], "seconds": seconds}), file=driver.stdin)
            driver.stdin.flush()
            code, took = json.loads(driver.stdout.readline())
            return code, took

        yield give
        driver.stdin.close()


def two_models(folder: Path) -> list[lamina.Model]:
    """Save two models of different sizes; return them."""
    data = frame(mixed=True, task="classification")
    models = [random_model(data, seed, hidden_units=(width, 3), members=2) for seed, width in ((1, 4), (2, 40))]
    for name, model in zip("ab", models, strict=True):
        model.save(folder / name)
    return models


def test_eighteen_kills_while_models_are_saved(order, tmp_path):
    data = frame(mixed=True, task="classification")
    expected = [model.predict_proba(data) for model in two_models(tmp_path)]
    rng, folder, found = np.random.default_rng(0), tmp_path / "m", []
    lamina.load(tmp_path / "a").save(folder)
    for _ in range(18):
        code, _ = order("save", folder, tmp_path / "a", tmp_path / "b", seconds=rng.uniform(0.0, 0.2))
        assert code == KILLED
        outputs = lamina.load(folder).predict_proba(data)
        found.append([np.array_equal(outputs, each) for each in expected])
    assert all(sum(each) == 1 for each in found)
    assert {each.index(True) for each in found} == {0, 1}
    # What the kills have left does not matter to the next save, which takes it away.
    (folder / ".writing-left").write_bytes(b"half")
    lamina.load(tmp_path / "b").save(folder)
    assert files(folder) == MODEL
    assert np.array_equal(lamina.load(folder).predict_proba(data), expected[1])


def test_six_kills_while_a_folder_is_made_leave_none_that_cannot_be_saved_to(order, tmp_path):
    data = frame(mixed=True, task="classification")
    expected = [model.predict_proba(data) for model in two_models(tmp_path)]
    rng = np.random.default_rng(1)
    for i in range(6):
        folder = tmp_path / f"m{i}"
        code, _ = order("save", folder, tmp_path / "b", seconds=rng.uniform(0.0, 0.01))
        assert code == KILLED
        if (folder / "model.json").exists():
            assert np.array_equal(lamina.load(folder).predict_proba(data), expected[1])
        lamina.load(tmp_path / "a").save(folder)
        assert files(folder) == MODEL
        assert np.array_equal(lamina.load(folder).predict_proba(data), expected[0])


def test_ten_kills_while_a_model_is_exported(order, tmp_path):
    two_models(tmp_path)
    contents = []
    for name in "ab":
        assert run(["export", str(tmp_path / name), "--to", "onnx", "-o", str(tmp_path / f"{name}.onnx"), "-q"]) == 0
        contents.append((tmp_path / f"{name}.onnx").read_bytes())
    assert contents[0] != contents[1]
    rng, file, found = np.random.default_rng(2), tmp_path / "m.onnx", []
    file.write_bytes(contents[0])
    for _ in range(10):
        code, _ = order("export", file, tmp_path / "a", tmp_path / "b", seconds=rng.uniform(0.0, 0.5))
        assert code == KILLED
        found.append(contents.index(file.read_bytes()))  # neither raises
    assert set(found) == {0, 1}
    assert run(["export", str(tmp_path / "b"), "--to", "onnx", "-o", str(file), "-q"]) == 0
    assert file.read_bytes() == contents[1]


def without_leftovers(folder: Path) -> list[str]:
    return [name for name in files(folder) if not name.startswith(".writing-")]


@pytest.mark.parametrize("older", [False, True], ids=["new folder", "older model"])
def test_eight_kills_while_a_network_is_trained_and_resumed(older, order, tmp_path):
    x, y = rows()
    frame_of(x, y).write_csv(tmp_path / "data.csv")
    test = pl.DataFrame(dict(zip("abc", x.T, strict=True)))

    def train(folder: str, *flags: str, seconds: float | None = None) -> tuple[int, float]:
        options = ["--members", "2", "--hidden-units", "6", "--batch-size", "32", "--epochs", "60"]
        data = [tmp_path / "data.csv", "--target", "y", "-o", tmp_path / folder, "-q"]
        return order(
            "command", "train", *data, *options, "--validation", "0.2", "--patience", "60", *flags, seconds=seconds
        )

    code, _ = train("whole")
    assert code == 0
    code, took = train("whole")  # now that its imports and files are at hand
    assert code == 0
    whole, old = lamina.load(tmp_path / "whole"), None
    rng, folder, kills, checkpoints = np.random.default_rng(3 + older), tmp_path / "m", 0, 0
    while kills < 8:
        if older and not kills:
            assert train("m", "--seed", "9", "--epochs", "3")[0] == 0
            old = lamina.load(folder)
        flags = ["--resume"] if kills and folder.exists() else []
        code, _ = train("m", *flags, seconds=rng.uniform(0.1, 0.9) * took)
        assert code in (0, KILLED)
        kills += code == KILLED
        checkpoints += model_file.read_checkpoint(folder) is not None  # which raises where it is not whole
        if (folder / "model.json").exists():
            found = lamina.load(folder)
            expected = whole if old is None or found.config.seed == 0 else old
            assert np.array_equal(found.predict_proba(test), expected.predict_proba(test))
        else:
            assert not older
            assert not folder.exists() or set(without_leftovers(folder)) <= set(UNFINISHED)
    assert checkpoints >= 3
    assert train("m", "--resume")[0] == 0
    assert files(folder) == MODEL
    assert_same(lamina.load(folder), whole)
