"""The page on explanation: its examples run, its links are there, its commands are commands of the program."""

import doctest
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from lamina.cli.main import run

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "explanation.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


@pytest.mark.slow
def test_python_examples_run(tmp_path):
    namespace: dict = {}
    for example in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(example, "explanation.md", "exec"), namespace)
    assert (tmp_path / "gelu.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(namespace["why"].contributions, dict)


@pytest.mark.parametrize(("module", "n_examples"), [("importance", 3), ("dependence", 4), ("attributions", 5)])
def test_docstring_examples_run(module, n_examples):
    assert doctest.testmod(importlib.import_module(f"lamina.analysis.{module}")) == (0, n_examples)


def test_commands_run(capsys):
    assert run(["train", "diabetes", "-o", "diabetes.lamina", "--epochs", "2", "--members", "2", "-q"]) == 0
    capsys.readouterr()
    commands = re.findall(r"^\$ lamina (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert run(shlex.split(command, comments=True)) == 0
        assert "bmi" in capsys.readouterr().out


def test_links_are_there():
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    for link in links:
        assert (DOCS / link).exists(), link


@pytest.mark.slow
def test_the_picture_is_drawn_from_a_model():
    spec = importlib.util.spec_from_file_location("make_explanation", DOCS / "make_explanation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    needed, changing, added, training = module.draw().axes
    assert {label.get_text() for label in needed.get_yticklabels()} == {
        label.get_text() for label in added.get_yticklabels()
    }
    assert len(needed.patches) == len(added.patches) == 10
    assert len(changing.lines[0].get_xdata()) == 20
    assert [line.get_label() for line in training.lines][:2] == ["training", "validation"]
