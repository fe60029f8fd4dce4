"""The textbook's pages are those that the program makes, and what their index names is there."""

import importlib.util
import re
from pathlib import Path

import pytest

import lamina
from lamina.cli.main import cli
from lamina.textbook.runner import EXPERIMENTS, load

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
        assert row.endswith(f"| {claim.bound} | {claim.expected} |")
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
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_a_cell_keeps_its_characters(maker):
    assert maker._cell("|x| < 1, a * b, **not** `a|b < c`") == r"\|x\| &lt; 1, a \* b, **not** `a\|b < c`"
