"""The documentation is executed, and cannot drift from the program."""

import doctest
import importlib
import importlib.util
import inspect
import re
import shlex
from pathlib import Path

import pytest

import lamina
from lamina.cli.main import cli, run
from lamina.config import options
from lamina.data.text_values import MISSING_TOKENS, QUESTION_MARK

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "docs" / "guide.md",
    ROOT / "docs" / "scikit-learn.md",
    ROOT / "docs" / "export.md",
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def masked(text: str) -> list[str]:
    """Lines without their figures and spacing, which differ from machine to machine."""
    return [" ".join(re.sub(r"[\d.,]+(e-?\d+)?", "#", line).split()) for line in text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = blocks(page, "python")
    assert examples
    namespace: dict = {}
    for example in examples:
        exec(compile(example, page.name, "exec"), namespace)
    assert isinstance(namespace["model"], lamina.Model)


@pytest.mark.parametrize("module", ["fitting", "cross_validation"])
def test_docstring_examples_run(module):
    assert doctest.testmod(importlib.import_module(f"lamina.{module}")) == (0, 2)


@pytest.mark.parametrize("estimator", [lamina.MLPClassifier, lamina.MLPRegressor])
def test_the_comparison_with_scikit_learn_has_every_parameter(estimator):
    page = (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    tables = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    missing = [name for name in inspect.signature(estimator).parameters if f"`{name}`" not in tables]
    assert missing == []


def test_console_examples_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (split,) = [example for example in blocks(ROOT / "README.md", "python") if ".to_csv(" in example]
    exec(compile(split, "README.md", "exec"), {})
    known, held_out = (set((tmp_path / f).read_text().splitlines()[1:]) for f in ("known.csv", "held-out.csv"))
    assert (len(known), len(held_out), known & held_out) == (124, 54, set())
    for example in blocks(ROOT / "README.md", "console"):
        for command in re.split(r"^\$ ", example, flags=re.MULTILINE)[1:]:
            line, _, expected = command.partition("\n")
            program, *arguments = shlex.split(line)
            assert program == "lamina"
            assert run(arguments) == 0, line
            assert masked(capsys.readouterr().out) == masked(expected), line
    assert run(["evaluate", "wine.lamina", "held-out.csv", "--require", "log_loss<=0.001"]) == 4
    assert (tmp_path / "predictions.csv").read_text().startswith("target,p_0,p_1,p_2\n")


def test_the_help_page_is_that_of_the_program():
    spec = importlib.util.spec_from_file_location("make_help", ROOT / "docs" / "make_help.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "help.md").read_text(encoding="utf-8")
    assert page == module.help_page(), "run `make docs`"
    for command in cli.list_commands(None):
        assert f"## lamina {command}\n" in page
    for name in options():
        assert f"--{name.replace('_', '-')}" in page


def test_the_guide_names_every_text_that_is_missing_and_none_that_is_not():
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    missing, _, rest = guide[guide.index("**Missing** in a text file") :].partition(". Every other cell is a value: ")
    values = rest.partition(" and a\n")[0]
    named, others = (set(re.findall(r"`([^`]+)`", text)) for text in (missing, values))
    assert "an empty cell" in missing
    assert named == (MISSING_TOKENS - {""}) | {QUESTION_MARK}
    assert others == {"n/a", "na", "n.a.", "None", "#N/A", "-"}
    assert not others & MISSING_TOKENS


def test_the_changelog_has_the_version():
    assert f"## {lamina.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_every_file_that_a_page_links_to_is_there():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"
