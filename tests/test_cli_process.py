"""The ``lamina`` command as a process: usage errors, what it imports, Ctrl-C, pipes and full outputs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import lamina
from lamina.cli.main import cli, run


@pytest.fixture(scope="module")
def iris_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "iris.lamina"
    return str(lamina.fit("iris", epochs=2, hidden_units=(8,)).save(folder))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "there is no command 'trian'. Did you mean 'train'?"),
        (["xyzzy"], f"there is no command 'xyzzy'. Commands: {', '.join(cli.list_commands(None))}."),
        (["train", "iris", "--epoch", "3"], "--epochs"),
        (["train", "iris", "--set", "epoch=3"], "unknown option 'epoch'. Did you mean 'epochs'?"),
        (["train", "iris", "--set", "epochs"], "--set 'epochs': expected NAME=VALUE"),
        (["train"], "say what to train on: lamina train DATA --target COL."),
        (["train", "iris", "--config", "no.toml"], "cannot read the configuration 'no.toml': No such file"),
        (["train", "iris", "--device", "auto:1"], "device = 'auto:1' is not known; use auto, cpu"),
        (["show"], "Missing argument 'MODEL'"),
    ],
)
def test_wrong_usage_is_answered_with_the_next_step(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_help_and_version_load_neither_torch_nor_sklearn():
    code = """
import json, sys
from lamina.cli.main import cli, run
for arguments in (["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["evaluate", "--help"]):
    code = run(arguments)
    loaded = [name for name in ("torch", "sklearn", "polars", "pandas", "matplotlib") if name in sys.modules]
    print(json.dumps([arguments, code, loaded]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line[1:] for line in lines] == [[0, []]] * 5
    assert f"lamina, version {lamina.__version__}" in done.stdout
    assert "--hidden-units N,N,..." in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_interrupt_saves_the_best_weights_so_far(tmp_path):
    out = tmp_path / "m"
    flags = ["--epochs", "1000000", "--hidden-units", "8", "--batch-size", "256"]
    command = [sys.executable, "-m", "lamina", "train", "digits", "-o", str(out), *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("network: "):  # said right before the first epoch, which takes some milliseconds
            break
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    output, talk = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in talk
    loaded = lamina.load(out)
    report = loaded.report
    assert report.stopped.startswith("interrupted in epoch ")
    assert f"stopped: {report.stopped}; the weights of epoch {report.best_epoch} are kept\n" in talk
    assert output.splitlines()[-1] == f"model: {out}"
    assert "the same command with --resume goes on from here\n" in talk
    assert [re.sub("[0-9a-f]{64}", "*", name) for name in sorted(os.listdir(out))] == [
        "checkpoint-*.safetensors", "checkpoint.json", "model.json", "report.html", "weights-*.safetensors",
    ]  # fmt: skip
    assert 1 <= report.best_epoch <= len(loaded.history) < 1_000_000
    assert loaded.evaluate("digits")["log_loss"] < np.log(10)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes differ there")
def test_a_reader_that_leaves_early_is_no_error_message(iris_model, tmp_path):
    frame = load_iris(as_frame=True).data
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    pd.concat([frame] * 100).to_csv(tmp_path / "big.csv", index=False)
    command = [sys.executable, "-m", "lamina", "predict", iris_model, str(tmp_path / "big.csv"), "--proba"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "species,p_setosa,p_versicolor,p_virginica\n"
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full_is_said_once(iris_model):
    command = [sys.executable, "-m", "lamina", "predict", iris_model, "iris"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: output: No space left on device.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes differ there")
def test_a_pipe_or_device_is_written_to_and_not_replaced(iris_model, tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(["predict", iris_model, "iris", "-o", str(pipe)]) == 0
    lines = os.read(reader, 1 << 16).decode().splitlines()
    os.close(reader)
    assert lines == ["species", *lamina.load(iris_model).predict("iris")]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
