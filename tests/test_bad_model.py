"""Damaged and foreign model folders and full disks, end to end: refused, and nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.cli.main import run
from lamina.errors import ModelFileError

QUICK = ("--epochs", "2", "--hidden-units", "8", "-q")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good.csv and a good model m; it is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(
        "age,bought\n" + "".join(f"{i // 2},{'yes' if i > 30 else 'no'}\n" for i in range(60))
    )
    lamina.fit("good.csv", "bought", epochs=2, hidden_units=(8,), seed=3).save("m")
    return tmp_path


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]):
    """Run a command that must fail with 1; assert what it says and that no byte of the folder changed."""

    def check(arguments: list[str], said: str) -> None:
        before = tree(work)
        assert run(arguments) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert said in captured.err
        assert tree(work) == before

    return check


# -- model folders


def weights_of(folder: Path) -> Path:
    (path,) = folder.glob("weights-*")
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda m: weights_of(m).unlink(), "'bad' is cut short: its weights file is missing"),
        (lambda m: os.truncate(weights_of(m), 100), "the weights in 'bad' are damaged"),
        (lambda m: (m / "model.json").unlink(), "'bad' is not a model folder: it has no model.json"),
        (lambda m: os.truncate(m / "model.json", 900), "model.json' is damaged: it is not JSON. Train or copy"),
        (lambda m: (m / "model.json").write_text('{"format": "x"}'), "model.json' was not written by Lamina"),
        (shutil.rmtree, "there is no model folder 'bad'; check the path"),
        (
            lambda m: (m / "model.json").write_text('{"format": "lamina-model", "format_version": 7}'),
            "'bad' has the format version 7, newer than 3, the newest known here; upgrade: pip install ",
        ),
    ],
)
def test_a_damaged_model_is_refused(refused, work, damage, said):
    shutil.copytree("m", "bad")
    damage(work / "bad")
    for command in (["predict", "bad", "good.csv"], ["evaluate", "bad", "good.csv"], ["show", "bad"]):
        refused(command, said)


def test_a_changed_byte_of_the_weights_is_noticed(work):
    content = weights_of(work / "m").read_bytes()
    rng = np.random.default_rng(0)
    for position in [0, 9, len(content) - 1, *rng.integers(len(content), size=30)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        weights_of(work / "m").write_bytes(damaged)
        with pytest.raises(ModelFileError, match="the weights in 'm' are damaged: their SHA-256"):
            lamina.load("m")


def test_a_changed_byte_of_the_document_is_refused_or_changes_nothing(work):
    content = (work / "m" / "model.json").read_bytes()
    expected = lamina.load("m").predict_proba("good.csv")
    rng = np.random.default_rng(0)
    n_refused = 0
    for position in rng.choice(len(content), size=200, replace=False):
        damaged = bytearray(content)
        damaged[position] = (damaged[position] + int(rng.integers(1, 256))) % 256
        (work / "m" / "model.json").write_bytes(damaged)
        try:
            found = lamina.load("m").predict_proba("good.csv")
        except ModelFileError:
            n_refused += 1
        else:
            assert np.array_equal(found, expected)
    assert n_refused > 100


@pytest.mark.parametrize("out", ["foreign", "good.csv", "good.csv/m"])
def test_a_place_that_is_no_model_is_refused_before_training(refused, work, out):
    (work / "foreign").mkdir()
    (work / "foreign" / "thesis.txt").write_text("years of work")
    command = ["train", "none.csv", "--target", "bought", "-o", out, *QUICK]  # the data are not even looked for
    said = "'foreign' holds other things than a model" if out == "foreign" else "good.csv' is a file"
    refused(command, said)


# -- full disks


LIMITED = """
import resource, signal, sys
import torch, sklearn.linear_model
from lamina.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "good.csv", "--target", "bought", "-o", "m", *QUICK], "a model that was there is intact."),
        (["train", "good.csv", "--target", "bought", "-o", "new", *QUICK], "cannot write the model folder 'new': File"),
        (["predict", "m", "good.csv", "--proba", "-o", "p.csv"], "error: output: File too large."),
    ],
)
def test_files_that_cannot_grow_leave_everything_as_it_was(work, arguments, said):
    before, expected = tree(work), lamina.load("m").predict_proba("good.csv")
    done = subprocess.run([sys.executable, "-Bc", LIMITED, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(work) == before
    assert sorted(path.name for path in work.iterdir()) == ["good.csv", "m"]
    assert np.array_equal(lamina.load("m").predict_proba("good.csv"), expected)


def test_a_full_disk_while_saving_is_said_and_the_old_model_is_intact(refused, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    command = ["train", "good.csv", "--target", "bought", *QUICK, "-o"]
    said = "No space left on device. Free some space or choose another folder; a model that was there is intact."
    refused([*command, "m"], f"cannot write the model folder 'm': {said}")
    refused([*command, "new"], f"cannot write the model folder 'new': {said}")
    refused(["predict", "m", "good.csv", "-o", "p.csv"], "error: output: No space left on device.")
