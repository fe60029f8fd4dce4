"""An interrupted run goes on as if it had never stopped: from Python, after Ctrl-C, after a kill; and what is refused.

The numbers and tensors of a checkpoint are the business of test_checkpoint.py.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

import lamina
from lamina import checkpointing, model_file
from lamina.checkpointing import Checkpointing
from lamina.cli.main import run
from lamina.errors import ModelFileError
from lamina.fitting import prepare
from lamina.training import loop

SMALL = {"hidden_units": (6,), "batch_size": 32, "seed": 3}
RUNS = {
    "adamw": {**SMALL, "epochs": 12, "patience": 20, "dropout": 0.3, "normalization": "batch", "learning_rate": 0.05},
    "sgd, adaptive": {
        **SMALL, "epochs": 12, "optimizer": "sgd", "schedule": "adaptive", "patience": 2, "tol": 0.01, "dropout": 0.2,
    },
    "lbfgs": {**SMALL, "epochs": 12, "optimizer": "lbfgs", "tol": 0.0, "patience": 20},
}  # fmt: skip
FLAGS = ("--hidden-units", "6", "--batch-size", "32", "--epochs", "6", "--seed", "3")
STEPS = 3  # of an epoch: 120 rows, of which 24 are held out, in minibatches of 32


def rows(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).round(4)
    return x, np.where(x[:, 0] * x[:, 1] + rng.normal(0, 0.5, n) > 0, "yes", "no")


def frame_of(x: np.ndarray, y: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({**dict(zip("abc", x.T, strict=True)), "y": y})


@pytest.fixture
def data(tmp_path: Path) -> str:
    frame_of(*rows()).write_csv(tmp_path / "data.csv")
    return str(tmp_path / "data.csv")


def train_up_to(checkpoint: Checkpointing, epoch: int | None = None) -> None:
    """Train as the command line does; after ``epoch``, write the state and stop."""
    for record in checkpoint.run.train():
        checkpoint.after_epoch()
        if record.epoch == epoch:
            checkpoint.write()
            break


def timeless(model: lamina.Model) -> list[dict[str, Any]]:
    return [{**vars(record), "seconds": None} for record in model.history]


def assert_same(one: lamina.Model, other: lamina.Model) -> None:
    weights, others = one.network.state_dict(), other.network.state_dict()
    assert weights.keys() == others.keys()
    assert [name for name in weights if not torch.equal(weights[name], others[name])] == []
    assert timeless(one) == timeless(other)
    for name in ("rows", "scores", "baselines", "scored_on", "best_epoch", "stopped"):
        assert getattr(one.report, name) == getattr(other.report, name), name


def files(folder: Path) -> list[str]:
    """The names of the files, with * in the place of a SHA-256."""
    return [re.sub("[0-9a-f]{64}", "*", name) for name in sorted(os.listdir(folder))]


UNFINISHED = ["checkpoint-*.safetensors", "checkpoint.json"]
MODEL = ["model.json", "report.html", "weights-*.safetensors"]


class Killed(BaseException):
    """Stands for the end of the process: what is on disk by then is all that is left."""


@contextmanager
def at_step(number: int, happens: Callable[[], object]) -> Iterator[None]:
    """Have something happen before a step of training, counted from 1 over all epochs."""
    make, count = loop.make_step, itertools.count(1)

    def make_step(*arguments: Any, **options: Any) -> Callable[..., Any]:
        step = make(*arguments, **options)

        def counted(*batch: Any) -> Any:
            if next(count) == number:
                happens()
            return step(*batch)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_step", make_step)
        yield


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    raise Killed


@pytest.fixture
def always_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "_SECONDS_BETWEEN_WRITES", -1.0)


@pytest.fixture
def train(data: str, tmp_path: Path) -> Callable[..., int]:
    """Run ``lamina train`` on the data, into the folder m if no other one is given."""

    def command(*flags: str, out: str = "m", data: str = data) -> int:
        return run(["train", data, "--target", "y", "-o", str(tmp_path / out), *FLAGS, *flags])

    return command


@pytest.fixture
def killed(train: Callable[..., int], always_written: None, tmp_path: Path) -> Path:
    """The folder of a run that was killed in its fourth epoch."""
    with at_step(3 * STEPS + 2, kill), pytest.raises(Killed):
        train("-q")
    assert files(tmp_path / "m") == UNFINISHED
    return tmp_path / "m"


# -- from Python


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_from_any_epoch_as_if_it_had_not_been_interrupted(name, tmp_path):
    options = {**RUNS[name], "test": 0.2}
    whole = prepare(rows(200), **options)
    train_up_to(Checkpointing(whole, tmp_path / "whole"))
    expected = whole.finish()
    assert len(expected.history) == 12
    if name == "sgd, adaptive":
        assert whole.state.rate_factor < 0.5  # lowered at least once
    epochs = np.random.default_rng(7).choice(np.arange(1, 12), 4, replace=False).tolist()
    # Each epoch by itself, and then one interruption after the other.
    for number, stops in enumerate([*([epoch] for epoch in epochs), sorted(epochs)]):
        folder = tmp_path / str(number)
        train_up_to(Checkpointing(prepare(rows(200), **options), folder), stops[0])
        for before, stop in itertools.pairwise([*stops, None]):
            again = Checkpointing(prepare(rows(200), **options), folder)
            assert again.resume() == f"resumed after epoch {before}"
            assert again.run.state.epoch == before
            train_up_to(again, stop)
        assert_same(again.run.finish(), expected)


def test_the_best_epoch_may_lie_before_the_interruption(tmp_path):
    options = {**RUNS["adamw"], "tol": 1e9}  # nothing counts as better than the first epoch
    expected = lamina.fit(rows(), **options)
    assert (expected.report.best_epoch, len(expected.history)) == (1, 12)
    train_up_to(Checkpointing(prepare(rows(), **options), tmp_path / "m"), 10)
    again = Checkpointing(prepare(rows(), **options), tmp_path / "m")
    again.resume()
    train_up_to(again)
    assert_same(again.run.finish(), expected)


def test_a_run_that_had_ended_early_does_not_go_on(tmp_path):
    options = {**RUNS["adamw"], "patience": 1, "tol": 1.0}
    expected = lamina.fit(rows(), **options)
    assert (len(expected.history), expected.report.stopped) == (2, "no better validation loss in 1 epochs")
    train_up_to(Checkpointing(prepare(rows(), **options), tmp_path / "m"), 2)
    again = Checkpointing(prepare(rows(), **options), tmp_path / "m")
    again.resume()
    train_up_to(again)
    assert_same(again.run.finish(), expected)


def test_seconds_add_up(tmp_path):
    train_up_to(Checkpointing(prepare(rows(), **RUNS["adamw"]), tmp_path / "m"), 5)
    again = Checkpointing(prepare(rows(), **RUNS["adamw"]), tmp_path / "m")
    prepared = again.run.seconds["fit"]
    again.resume()
    train_up_to(again)
    model = again.run.finish()
    seconds = [record.seconds for record in model.history]
    assert seconds == sorted(seconds)
    assert model.report.seconds["fit"] >= prepared + seconds[-1]


def test_the_state_is_written_every_five_seconds(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: now))
    checkpoint = Checkpointing(prepare(rows(), **RUNS["adamw"]), tmp_path / "m")
    written = []
    for record in checkpoint.run.train():
        now += 2.0
        checkpoint.after_epoch()
        found = model_file.read_checkpoint(tmp_path / "m")
        written.append(found and found[0]["numbers"]["epoch"])
        assert found is None or files(tmp_path / "m") == UNFINISHED
        if record.epoch == 9:
            break
    assert written == [None, None, 3, 3, 3, 6, 6, 6, 9]
    checkpoint.remove()
    assert model_file.read_checkpoint(tmp_path / "m") is None
    assert os.listdir(tmp_path / "m") == []


def test_before_the_first_epoch_there_is_nothing_to_write(tmp_path):
    checkpoint = Checkpointing(prepare(rows(), **RUNS["adamw"]), tmp_path / "m")
    checkpoint.write()
    assert not (tmp_path / "m").exists()
    checkpoint.remove()
    assert checkpoint.resume() == f"{str(tmp_path / 'm')!r} holds no unfinished run; starting from the beginning"
    assert checkpoint.run.state.epoch == 0


def test_the_fingerprint_is_of_options_and_training_rows():
    frame = frame_of(*rows())
    other_value = frame.with_columns(a=pl.when(pl.col("a") == frame["a"][5]).then(9.0).otherwise(pl.col("a")))
    other_class = frame.with_columns(y=frame["y"].scatter(5, "no" if frame["y"][5] == "yes" else "yes"))

    def of(data: Any = frame, **options: Any) -> str:
        return prepare(data, "y", **{**SMALL, "epochs": 4, **options}).fingerprint()

    # The order of the rows decides nothing, and what is changed here may change.
    assert [of(), of(frame[::-1]), of(time_limit=5.0), of(test=frame[:9])] == [of()] * 4
    other = [of(frame[:-1]), of(other_value), of(other_class), of(frame.rename({"a": "d"}))]
    other += [of(validation=frame[:9]), of(validation=frame[:8]), of(test=0.1), of(validation=0.3)]
    other += [of(dropout=0.1), of(epochs=5), of(seed=4), of(threshold=0.4), of(positive_class="no")]
    assert len({of(), *other}) == 1 + len(other)


def test_the_fingerprint_knows_weights_and_sparse_values():
    x, y = rows()
    weights = np.random.default_rng(0).uniform(0.5, 1.5, 120)

    def weighted(weights: np.ndarray) -> str:
        return prepare(frame_of(x, y).with_columns(w=pl.Series(weights)), "y", weight="w", **SMALL).fingerprint()

    def of_sparse(entry: float) -> str:
        block = sparse.csr_array(np.where(np.abs(x) > 0.5, x, 0.0))
        block.data[3] = entry
        return prepare((block, y), **SMALL).fingerprint()

    assert weighted(weights) == weighted(weights.copy()) != weighted(weights + np.eye(120)[7])
    assert of_sparse(2.0) == of_sparse(2.0) != of_sparse(3.0)


def test_a_pair_that_is_held_out_is_described():
    model = lamina.fit(rows(), validation=rows(20, seed=1), epochs=1, hidden_units=(4,))
    assert json.loads(json.dumps(model.config.as_json()))["validation"] == "(tuple in memory)"


# -- from the command line


@pytest.mark.parametrize("step", sorted(np.random.default_rng(11).choice(np.arange(4, 18), 4, replace=False).tolist()))
def test_ctrl_c_saves_model_and_checkpoint_and_resume_goes_on(train, tmp_path, step, capsys):
    assert train("--json", out="whole") == 0
    whole = json.loads(capsys.readouterr().out)
    assert files(tmp_path / "whole") == MODEL
    with at_step(step, interrupt):
        assert train() == 130
    n_epochs = (step - 1) // STEPS
    captured = capsys.readouterr()
    assert captured.err.count("the same command with --resume goes on from here\n") == 1
    assert files(tmp_path / "m") == [*UNFINISHED, *MODEL]
    stopped = lamina.load(tmp_path / "m")
    assert (len(stopped.history), stopped.report.stopped) == (n_epochs, f"interrupted in epoch {n_epochs + 1}")
    assert train("--resume", "--json") == 0
    captured = capsys.readouterr()
    assert f"resumed after epoch {n_epochs}\n" in captured.err
    resumed = json.loads(captured.out)
    assert {**resumed, "model": "", "seconds": {}} == {**whole, "model": "", "seconds": {}}
    assert files(tmp_path / "m") == MODEL
    assert_same(lamina.load(tmp_path / "m"), lamina.load(tmp_path / "whole"))


def test_ctrl_c_again_and_again(train, tmp_path, capsys):
    assert train(out="whole") == 0
    with at_step(STEPS + 2, interrupt):
        assert train() == 130
    first = {path.name: path.read_bytes() for path in (tmp_path / "m").glob("checkpoint*")}
    with at_step(2, interrupt):  # before the first epoch after the resumption is complete
        assert train("--resume") == 130
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").glob("checkpoint*")} == first
    with at_step(2 * STEPS + 1, interrupt):
        assert train("--resume") == 130
    capsys.readouterr()
    assert train("--resume") == 0
    assert "resumed after epoch 3\n" in capsys.readouterr().err
    assert_same(lamina.load(tmp_path / "m"), lamina.load(tmp_path / "whole"))


def test_ctrl_c_in_the_first_epoch_saves_nothing(train, tmp_path, capsys):
    with at_step(STEPS, interrupt):
        assert train() == 130
    captured = capsys.readouterr()
    assert captured.err.endswith("interrupted before the first epoch was complete; nothing was saved.\n")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("older", [False, True], ids=["new folder", "older model"])
def test_what_was_killed_goes_on_and_an_older_model_stays_until_then(train, always_written, tmp_path, older, capsys):
    assert train(out="whole") == 0
    assert files(tmp_path / "whole") == MODEL
    if older:
        assert train("--seed", "9") == 0
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.glob("m/*"))
    seen = []
    look = at_step(3 * STEPS + 1, lambda: seen.append(files(tmp_path / "m")))
    with look, at_step(5 * STEPS, kill), pytest.raises(Killed):
        train()
    left = UNFINISHED + MODEL if older else UNFINISHED
    assert seen == [left]
    assert files(tmp_path / "m") == left
    assert model_file.read_checkpoint(tmp_path / "m")[0]["numbers"]["epoch"] == 4
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.glob("m/[mrw]*")) == before
    if older:
        assert lamina.load(tmp_path / "m").config.seed == 9
    capsys.readouterr()
    assert train("--resume") == 0
    assert "resumed after epoch 4\n" in capsys.readouterr().err
    assert files(tmp_path / "m") == MODEL
    assert_same(lamina.load(tmp_path / "m"), lamina.load(tmp_path / "whole"))


@pytest.mark.parametrize("command", [["show"], ["evaluate", "DATA"], ["predict", "DATA"]], ids=lambda words: words[0])
def test_a_folder_with_an_unfinished_run_only_says_how_to_finish(killed, data, command, capsys):
    name, *rest = command
    assert run([name, str(killed), *(data for _ in rest)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {str(killed)!r} holds a training run that was not finished; "
        "finish it with `lamina train ... --resume`.\n"
    )


def test_without_resume_training_starts_anew_and_leaves_no_checkpoint(train, killed, tmp_path, capsys):
    assert train() == 0
    assert "resumed" not in capsys.readouterr().err
    assert files(killed) == MODEL
    assert train(out="whole") == 0
    assert_same(lamina.load(killed), lamina.load(tmp_path / "whole"))


def test_resume_without_an_unfinished_run_starts_from_the_beginning_and_says_so(train, tmp_path, capsys):
    said = f"{str(tmp_path / 'm')!r} holds no unfinished run; starting from the beginning\n"
    assert train("--resume") == 0
    assert said in capsys.readouterr().err
    first = lamina.load(tmp_path / "m")
    assert train("--resume") == 0  # what is there now is finished
    assert said in capsys.readouterr().err
    assert_same(lamina.load(tmp_path / "m"), first)


def test_another_time_limit_and_another_test_file_may_be_given(train, killed, tmp_path):
    held = tmp_path / "held.csv"
    frame_of(*rows(40, seed=5)).write_csv(held)
    assert train("--resume", "--time-limit", "1000", "--test", str(held)) == 0
    assert train(out="whole") == 0
    resumed, whole = lamina.load(killed), lamina.load(tmp_path / "whole")
    assert timeless(resumed) == timeless(whole)
    assert np.array_equal(resumed.predict_proba(held), whole.predict_proba(held))
    assert (resumed.config.time_limit, resumed.report.rows["test"]) == (1000.0, 40)


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (["--dropout", "0.1"], "dropout was 0.2, now 0.1"),
        (["--epochs", "7"], "epochs was 6, now 7"),
        (["--hidden-units", "6,6"], "hidden_units was [6], now [6, 6]"),
        (["--optimizer", "sgd"], "optimizer was 'adamw', now 'sgd'"),
        (["--seed", "4"], "seed was 3, now 4"),
        (["--watch", "roc_auc"], "watch was 'loss', now 'roc_auc'"),
        (["--threshold", "0.25"], "threshold was 0.5, now 0.25"),
        (["--class-weight", "yes=2,no=1"], "class_weight was None, now {'yes': 2.0, 'no': 1.0}"),
        (["--test", "0.25"], "test was None, now 0.25"),
        (["--seed", "4", "--time-limit", "60"], "seed was 3, now 4"),
    ],
)
def test_an_unfinished_run_with_other_options_is_refused(train, killed, flags, difference, capsys):
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    assert train("--resume", "-q", *flags) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        f"error: the unfinished run in {str(killed)!r} was on other data or options ({difference}); "
        "give the same ones, or leave --resume out to start anew.\n"
    )
    assert captured.out == ""
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before


def test_an_unfinished_run_on_other_data_is_refused(train, killed, data, tmp_path, capsys):
    lines = Path(data).read_text().splitlines()
    lines[50] = lines[50].replace("yes", "no") if "yes" in lines[50] else lines[50].replace("no", "yes")
    other = tmp_path / "other.csv"
    other.write_text("\n".join(lines) + "\n")
    assert train("--resume", "-q", data=str(other)) == 2
    assert capsys.readouterr().err == (
        f"error: the unfinished run in {str(killed)!r} was on other data or options; "
        "give the same ones, or leave --resume out to start anew.\n"
    )
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([lines[0], *Path(data).read_text().splitlines()[:0:-1]]) + "\n")
    assert train("--resume", "-q", data=str(shuffled)) == 0  # the same rows in another order


# -- damage


def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x01
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("checkpoint.json", "checkpoint.json' is damaged: its checksum does not fit."),
        ("checkpoint-*", "are damaged: their SHA-256 is not that in checkpoint.json."),
    ],
)
def test_a_damaged_checkpoint_is_refused(train, killed, pattern, said, capsys):
    (path,) = killed.glob(pattern)
    position = path.read_bytes().find(b'"n_rows": 2') + 10 if path.suffix == ".json" else path.stat().st_size // 2
    flipped(path, position)
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    assert train("--resume", "-q") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before
    assert train("-q") == 0  # anew
    assert files(killed) == MODEL


def test_no_flipped_byte_passes_that_means_anything(killed):
    document, tensors = killed / "checkpoint.json", next(killed.glob("checkpoint-*"))
    expected, _ = model_file.read_checkpoint(killed)
    assert expected["numbers"]["epoch"] == 3
    refused = []
    for path in (document, tensors):
        whole = path.read_bytes()
        for position in np.random.default_rng(5).integers(len(whole), size=40).tolist():
            flipped(path, position)
            try:
                found, _ = model_file.read_checkpoint(killed)
            except ModelFileError as error:
                refused.append(str(error))
            else:  # the 17th digit of a measured time, of which several are the same number
                assert path == document
                assert found == expected
            path.write_bytes(whole)
    assert len(refused) >= 78
    assert all(str(killed) in message for message in refused)


def test_a_checkpoint_without_its_weights_is_refused(train, killed, capsys):
    next(killed.glob("checkpoint-*")).unlink()
    assert train("--resume", "-q") == 1
    assert capsys.readouterr().err == f"error: {str(killed)!r} is cut short: its weights file is missing.\n"


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_kill_while_a_checkpoint_is_written_does_no_harm(train, always_written, tmp_path, number, monkeypatch):
    write, count = model_file._write_atomically, itertools.count(1)

    def write_or_die(path: Path, content: bytes) -> None:
        if next(count) == number:  # weights, document, weights, document, ...
            raise Killed
        write(path, content)

    monkeypatch.setattr(model_file, "_write_atomically", write_or_die)
    with pytest.raises(Killed):
        train("-q")
    assert train("--resume", "-q") == 0
    assert train("-q", out="whole") == 0
    assert files(tmp_path / "m") == MODEL
    assert_same(lamina.load(tmp_path / "m"), lamina.load(tmp_path / "whole"))


def test_what_a_kill_while_writing_leaves_is_removed_in_the_end(train, killed):
    (killed / ".writing-abc").write_bytes(b"half")
    assert train("--resume", "-q") == 0
    assert files(killed) == MODEL


# -- as a process

# Checkpoints after each epoch, and epochs slow enough to be hit.
DRIVER = """
import time
from lamina import checkpointing
from lamina.cli.main import main

checkpointing._SECONDS_BETWEEN_WRITES = -1.0
after_epoch = checkpointing.Checkpointing.after_epoch

def slowly(self):
    after_epoch(self)
    time.sleep(0.1)

checkpointing.Checkpointing.after_epoch = slowly
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_process_that_a_signal_ended_goes_on(name, data, train, tmp_path, capsys):
    flags = ["--epochs", "60", "--validation", "0.2", "--patience", "60", "--dropout", "0.4", "--test", "0.2"]
    command = [sys.executable, "-c", DRIVER, "train", data, "--target", "y", "-o", str(tmp_path / "m"), *FLAGS, *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while process.poll() is None and not (tmp_path / "m" / "checkpoint.json").exists():
        time.sleep(0.02)
    time.sleep(float(np.random.default_rng().uniform(0.2, 1.5)))
    process.send_signal(signal.Signals[name])
    output, talk = process.communicate()
    assert "Traceback" not in talk
    if name == "SIGINT":
        assert (process.returncode, output.splitlines()[-1]) == (130, f"model: {tmp_path / 'm'}")
        assert files(tmp_path / "m") == [*UNFINISHED, *MODEL]
    else:
        assert (process.returncode, output) == (-signal.SIGKILL, "")
        assert not (tmp_path / "m" / "model.json").exists()
        for arguments in (["show", str(tmp_path / "m")], ["evaluate", str(tmp_path / "m"), data]):
            assert run(arguments) == 1
            assert "finish it with `lamina train ... --resume`.\n" in capsys.readouterr().err
    epoch = model_file.read_checkpoint(tmp_path / "m")[0]["numbers"]["epoch"]
    assert 1 <= epoch < 60
    assert train("--resume", *flags) == 0
    assert f"resumed after epoch {epoch}\n" in capsys.readouterr().err
    assert [name for name in files(tmp_path / "m") if not name.startswith(".writing-")] == MODEL
    assert train(*flags, out="whole") == 0
    assert_same(lamina.load(tmp_path / "m"), lamina.load(tmp_path / "whole"))
    assert len(lamina.load(tmp_path / "m").history) == 60
