"""The textbook's pages are those that the program makes, and what their index names is there."""

import importlib.util
import re
from pathlib import Path

import pytest

import lamina
from lamina.cli.main import cli
from lamina.textbook.runner import EXPERIMENTS, load
from lamina.textbook.words import CHINESE_EDITION, ENGLISH_EDITION

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "textbook"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_textbook", ROOT / "docs" / "make_textbook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def statements(maker):
    return [statement for section in maker.TEXTBOOK for statement in section.statements]


def test_the_pages_are_those_of_the_program(maker):
    expected = maker.pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert found.keys() == expected.keys(), "run `make docs`"
    for name, page in expected.items():
        assert found[name] == page, f"{name}: run `make docs`"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_a_page_with_its_claims_and_its_code(name):
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    experiment = load(name)
    assert page.startswith(f"# {experiment.title.en} ({experiment.title.zh})\n")
    assert f"`lamina textbook {name}`" in page
    rows = [line for line in page.partition("## Code")[0].splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [claim.name for claim in experiment.claims]
    for row, claim in zip(rows, experiment.claims, strict=True):
        kind = "by definition or proof" if claim.kind == "identity" else "measurement"
        assert row.endswith(f"| {kind} | {claim.bound} | {claim.expected} |")
    assert experiment.data.en in page
    assert '\nEXPERIMENT = Experiment(\n    name="' in page


def test_every_experiment_is_in_the_index(maker, statements):
    assert {name for each in statements for name in maker.names(each.experiments)} == set(EXPERIMENTS)


def test_what_the_index_names_is_there(maker, statements):
    tools = {name for each in statements for name in maker.names(each.tools)}
    commands = {name for name in tools if " " in name}
    assert tools - commands <= set(lamina.__all__)
    assert commands <= {f"lamina {name}" for name in cli.list_commands(None)}
    tests = {name for each in statements for name in maker.names(each.tests)}
    assert {name for name in tests if not (ROOT / "tests" / f"test_{name}.py").is_file()} == set()


def test_every_heading_of_the_text_is_in_the_index(maker):
    numbers = [section.number for section in maker.TEXTBOOK]
    assert numbers == [
        "4.1", "4.1.1", "4.1.1.1", "4.1.1.2", "4.1.1.3", "4.1.1.4", "4.1.2", "4.1.2.1", "4.1.2.2", "4.1.2.3", "4.1.3",
        "4.1.4",
    ]  # fmt: skip
    exercises = " ".join(statement.says for statement in maker.TEXTBOOK[-1].statements)
    assert sorted(set(re.findall(r"\*\*Exercise (\d)", exercises))) == ["1", "2", "3"]


def test_every_file_that_a_page_links_to_is_there():
    for page in FOLDER.glob("*.md"):
        text = page.read_text(encoding="utf-8").partition("```python")[0]
        links = re.findall(r"\]\(([^)#]+)\)", text)
        assert links, page.name
        for link in links:
            if link.startswith("https://"):
                assert link in (CHINESE_EDITION, ENGLISH_EDITION)
                continue
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_a_cell_keeps_its_characters(maker):
    assert maker._cell("|x| < 1, a * b, **not** `a|b < c`") == r"\|x\| &lt; 1, a \* b, **not** `a\|b < c`"


def test_the_page_about_notebooks_names_experiments_and_constants_that_are_there():
    text = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    named = {
        name for row in re.findall(r"^\| [^|]+ \| ([a-z, -]+) \|$", text, re.MULTILINE) for name in row.split(", ")
    }
    assert named - {"notebooks", "---"} <= set(EXPERIMENTS)
    assert len(named) > 8
    (command,) = re.findall(r"^lamina textbook (.*) --quick", text, re.MULTILINE)
    assert set(command.split()) <= set(EXPERIMENTS)
    sources = "".join(
        (ROOT / "src/lamina/textbook/experiments").joinpath(f).read_text("utf-8")
        for f in ("vanishing_gradients.py", "universal_approximation.py", "piecewise_linear.py")
    )
    for constant in ("UNITS", "HAND_WIDTHS", "LEARNING_RATES"):
        assert f"`{constant}`" in text
        assert re.search(rf"^{constant}\b.*=", sources, re.MULTILINE)
