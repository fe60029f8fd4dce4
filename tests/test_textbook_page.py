"""The textbook's figures, page and notebooks."""

import ast
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

import lamina
from lamina.errors import DataError
from lamina.textbook import runner
from lamina.textbook.drawing import DARK_GROUND, SERIES, standalone, svg_of
from lamina.textbook.experiment import Setting
from lamina.textbook.notebooks import in_public_names, notebook, pieces, source_of
from lamina.textbook.page import page
from lamina.textbook.runner import EXPERIMENTS, load, run_all, run_one
from textbook_fakes import QUICK, draw_curves, fake, value_by_seed

# -- drawings


def drawn_curves():
    with runner.page_style():
        (drawing,) = draw_curves([value_by_seed(0, QUICK)], QUICK)
    return drawing.figure


def test_an_svg_has_the_ink_of_its_page_and_ids_of_its_own():
    first, again, other = (svg_of(drawn_curves(), name) for name in ("one", "one", "two"))
    assert first == again
    ids = set(re.findall(r'\bid="([^"]+)"', first))
    assert len(ids) > 10
    assert all(each.startswith("one-") for each in ids)
    assert ids.isdisjoint(re.findall(r'\bid="([^"]+)"', other))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', first)) <= ids
    colours = {each.lower() for each in re.findall(r"(?:stroke|fill): ([^;\"]+)", first)}
    assert "currentcolor" in colours
    assert colours <= {"none", "currentcolor", *SERIES}
    assert ">curve &lt;1&gt;</text>" in first.replace("\n", "")
    assert ET.fromstring(standalone(first)).tag == "{http://www.w3.org/2000/svg}svg"


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", SERIES)
def test_series_are_legible_on_both_grounds(colour):
    # WCAG 2.1, 1.4.11: graphical objects need a contrast of 3 : 1.
    assert (luminance("#ffffff") + 0.05) / (luminance(colour) + 0.05) >= 3
    assert (luminance(colour) + 0.05) / (luminance(DARK_GROUND) + 0.05) >= 3


# -- the page


class WellFormed(HTMLParser):
    """Checks that every element is closed in order; collects ids, references, text and what would be loaded."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.loads, self.tags, self.text = [], [], [], [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)
            elif name in ("src", "href", "xlink:href", "srcset", "data", "poster") and not value.startswith("#"):
                self.loads.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(html: str) -> WellFormed:
    parser = WellFormed()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_holds_every_claim_is_well_formed_and_loads_nothing(language):
    setting = Setting(quick=True, language=language)
    outcomes = list(run_all([fake(at_most=3), fake("second", at_most=0), load("worked-answers")], setting))
    html = page(outcomes, setting)
    found = parsed(html)
    assert found.loads == []
    assert not found.tags & {"script", "link", "img", "iframe", "b", "t"}
    styles = "".join(re.findall(r"<style.*?</style>", html, re.DOTALL))
    assert re.findall(r"@import|url\((?!#)", styles) == []
    assert len(set(found.ids)) == len(found.ids)
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    for outcome in outcomes:
        experiment = outcome.experiment
        assert setting.say(experiment.title) in found.text
        assert source_of(experiment) in found.text
        assert f"#{experiment.name}" in found.links
        assert f"notebooks/{experiment.name}.ipynb" in found.links
        for label in experiment.figures.values():
            assert setting.say(label) in found.text
        assert setting.say(experiment.data_in(setting)) in found.text
        for claim in experiment.claims:
            assert found.text.count(setting.say(claim.statement)) >= 2  # in the table and in the section
            assert f"#{experiment.name}.{claim.name}" in found.links
    words = {
        "en": (
            "by definition or proof",
            "Contents",
            "held",
            "refuted, as expected",
            "refuted, against expectation",
            "All claims",
            "quick run",
            "A caption",
        ),
        "zh": (
            "定义或证明",
            "目录",
            "成立",
            "不成立（如预期）",
            "不成立（与预期相反）",
            "全部论断",
            "快速运行",
            "图注",
        ),
    }
    assert all(word in found.text for word in words[language])
    assert f'<html lang="{"zh-Hans" if language == "zh" else "en"}">' in html
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    assert html.count("<svg ") == 4
    # The contents come first and lead to each experiment and to the table, which comes last.
    order = [html.index(each) for each in ("<nav>", '<section id="fake">', '<section id="worked-answers">')]
    assert order == sorted(order) < [html.index('id="all-claims"')]
    assert html.count('href="#fake"') == 2
    for address in ("https://zh.d2l.ai/", "https://d2l.ai/"):
        assert f'<a href="{address}chapter_multilayer-perceptrons/mlp.html">' in html
    identities = sum(claim.kind == "identity" for claim in load("worked-answers").claims)
    assert html.count('<span class="kind">') == 2 * identities
    assert "<code>code&lt;T&gt;</code>" in html or language == "zh"


def test_an_experiment_that_fails_is_on_the_page_and_stops_no_other():
    def broken(seed, setting):
        raise DataError("there is no <file>; name another.")

    outcomes = list(run_all([fake("broken", measure=broken, at_most=3), fake(at_most=3)], QUICK))
    assert [str(outcome.failure) for outcome in outcomes] == ["there is no <file>; name another.", "None"]
    assert "Not measured: there is no <file>; name another." in parsed(page(outcomes, QUICK)).text
    assert [len(outcome.judged) for outcome in outcomes] == [0, 1]


# -- notebooks


PUBLIC = {
    "lamina",
    "numpy",
    "torch",
    "matplotlib",
    "collections",
    "copy",
    "itertools",
    "math",
    "pathlib",
    "types",
    "typing",
}
INNER = {"Claim", "Drawing", "Experiment", "Measured", "SEEDS", "Setting", "Text", "canvas", "setting", "EXPERIMENT"}
QUICK_ONES = ("activation-gradients", "logic-gates", "network-figure", "worked-answers")


def code_cells(content):
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_notebook_is_nbformat_4_and_has_public_names_only(name, language):
    experiment, setting = load(name), Setting(quick=True, language=language)
    content = json.loads(notebook(experiment, setting))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in content["cells"][1:]:
        assert set(cell) == {"cell_type", "metadata", "source", "execution_count", "outputs", "id"}
        assert (cell["execution_count"], cell["outputs"]) == (None, [])
    tree = ast.parse("\n".join(code_cells(content)))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {each.partition(".")[0] for each in imported} <= PUBLIC
    # The module from scratch is there to be read; it is no part of the kit of experiments.
    assert {each for each in imported if each.startswith("lamina.")} <= {"lamina.textbook.scratch"}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names & INNER == set()
    attributes = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lamina"
    }
    assert attributes <= set(lamina.__all__)
    first = "".join(content["cells"][0]["source"])
    assert content["cells"][0]["cell_type"] == "markdown"
    assert all(setting.say(claim.statement) in first for claim in experiment.claims)
    # A student reads one language.
    assert language == "zh" or not re.search("[\u4e00-\u9fff]", code_without(name, content))


def code_without(name, content):
    # The names of clothing are a table of both languages, from which one is taken.
    return re.sub(r"(CLOTHING|DRAWN) = {.*?}", "", "\n".join(code_cells(content)), flags=re.DOTALL)


def run_notebook(name, monkeypatch, seeds=None):
    """Run every cell, with other seeds where some are given, and return what the names in it stand for."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    namespace: dict = {}
    with mpl.rc_context():
        for source in code_cells(json.loads(notebook(load(name), QUICK))):
            if seeds is not None:
                source = re.sub(r"(?<=for seed in )\([\d, ]+\)", repr(seeds), source)
            exec(compile(source, name, "exec"), namespace)
    plt.close("all")
    return namespace


@pytest.mark.parametrize("name", QUICK_ONES)
def test_a_notebook_runs_to_its_end_with_the_verdicts_of_the_page(name, capsys, monkeypatch):
    run_notebook(name, monkeypatch)
    printed = capsys.readouterr().out.splitlines()
    outcome = run_one(load(name), QUICK)
    verdicts = [(line.split(": ")[0], line.split(": ")[-1]) for line in printed[: len(outcome.judged)]]
    assert verdicts == [(each.claim.name, each.verdict) for each in outcome.judged]
    assert printed[len(outcome.judged) :] == [drawn.caption.en for drawn in outcome.drawn]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in QUICK_ONES])
def test_a_notebook_measures_what_its_experiment_measures(name, monkeypatch):
    seed = load(name).seeds[0]
    (measured,) = run_notebook(name, monkeypatch, seeds=(seed,))["measured"]
    expected = load(name).measure(seed, QUICK).figures
    assert measured.figures.keys() == expected.keys()
    for key in expected:
        assert key.endswith("_seconds") or measured.figures[key] == expected[key], key


def test_an_experiment_in_public_names():
    source = '''"""Doc."""

import lamina
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import Claim, Drawing, Experiment, Measured, Setting, Text

NAME = Text("a", "甲")  # of it


# How much.
def amount(setting: Setting, x: int) -> int:
    return 1 if setting.quick else x


def measure(seed: int, setting: Setting) -> Measured:
    return Measured({"value": amount(setting, seed)})


def draw(measured: list[Measured], setting: Setting) -> list[Drawing]:
    figure, axes = canvas(2, height=3)
    axes[0].set_title(setting.say(NAME))
    axes[1].set_title(f"{NAME.en}: {setting.quick}" if setting.quick else setting.say(Text("b", f"乙{NAME.zh}")))
    return [Drawing("one", figure, Text("a caption", "图注"))]


def labels() -> dict[str, Text]:
    return {"value": Text("value", "值")}


EXPERIMENT = Experiment(figures=labels())
'''
    expected = '''"""Doc."""

import lamina

NAME = "甲"  # of it


# How much.
def amount(x: int) -> int:
    return 1 if QUICK else x


def measure(seed: int) -> SimpleNamespace:
    return SimpleNamespace(figures={"value": amount(seed)}, kept={})


def draw(measured: list[SimpleNamespace]) -> list[tuple]:
    figure, axes = plt.subplots(2, figsize=(5.4, 3), layout="constrained")
    axes[0].set_title(NAME)
    axes[1].set_title(f"{NAME}: {setting.quick}" if QUICK else f"乙{NAME}")
    return [(figure, "图注")]
'''
    # What an f-string holds is not rewritten, except for the language: see the check of names above.
    assert in_public_names(source, "zh") == expected
    assert 'NAME = "a"  # of it' in in_public_names(source, "en")


def test_a_source_file_is_cut_at_its_functions():
    source = (
        '"""Doc."""\n\nimport a\n\nB = 1  # b\n\n\n# of f\ndef f():\n    return 1\n\n\n@g\ndef h(): ...\n\n\nC = f()\n'
    )
    assert pieces(source) == [
        '"""Doc."""\n\nimport a\n\nB = 1  # b',
        "# of f\ndef f():\n    return 1",
        "@g\ndef h(): ...",
        "C = f()",
    ]
