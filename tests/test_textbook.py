"""``lamina textbook``: verdicts, the command, and the experiments that need no other tool."""

import importlib
import json
import re
import sys
import types
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.cli.main import run
from lamina.errors import ConfigError, DataError, MissingExtraError, TrainingError
from lamina.textbook import runner
from lamina.textbook.drawing import canvas
from lamina.textbook.experiment import SEEDS, Claim, Experiment, Measured, Setting, Text
from lamina.textbook.notebooks import source_of
from lamina.textbook.runner import EXPERIMENTS, Range, judge, load, run_one
from textbook_fakes import QUICK, draw_curves, fake, value_by_seed

CJK = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"


@pytest.fixture
def registered(monkeypatch):
    """Return a function that makes the command know only the given experiments."""

    def register(*experiments: Experiment) -> None:
        monkeypatch.setattr(runner, "EXPERIMENTS", {each.name: f"fake_module_{each.name}" for each in experiments})
        for each in experiments:
            module = types.ModuleType(f"fake_module_{each.name}")
            module.EXPERIMENT = each
            monkeypatch.setitem(sys.modules, module.__name__, module)

    return register


# -- verdicts


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"at_most": 3}, "held"),
        ({"at_least": 1}, "held"),
        ({"at_least": 1, "at_most": 3}, "held"),
        ({"at_most": 0.9}, "refuted"),
        ({"at_least": 3.1}, "refuted"),
        ({"at_least": 4, "at_most": 5}, "refuted"),
        ({"at_most": 2}, "inconclusive"),
        ({"at_least": 3}, "inconclusive"),
    ],
)
def test_a_claim_is_held_by_all_seeds_refuted_by_none_and_else_inconclusive(bounds, verdict):
    (judged,) = run_one(fake(**bounds), QUICK).judged
    assert judged.verdict == verdict
    assert (judged.measured.mean, judged.measured.low, judged.measured.high) == (2, 1, 3)
    assert judged.unexpected == (verdict == "refuted")
    (reverse,) = run_one(fake(**bounds, expected="refuted"), QUICK).judged
    assert reverse.unexpected == (verdict == "held")


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.integers(0, 2),
)
def test_the_verdict_counts_the_values_within_the_bounds(values, low, high, which):
    bounds = [{"at_least": low}, {"at_most": high}, {"at_least": low, "at_most": high}][which]
    n = sum(bounds.get("at_least", value) <= value <= bounds.get("at_most", value) for value in values)
    verdict = "held" if n == len(values) else "refuted" if n == 0 else "inconclusive"
    assert judge(Claim("c", Text("", ""), "f", **bounds), values).verdict == verdict


def test_bounds_and_ranges_as_text():
    bounds = [{"at_least": 0.9}, {"at_most": 1e-12}, {"at_least": 0.25, "at_most": 0.25}, {"at_least": 1, "at_most": 2}]
    shown = [Claim("c", Text("", ""), "f", **each).bound for each in bounds]
    assert shown == ["≥ 0.9", "≤ 1e-12", "= 0.25", "1 … 2"]
    assert str(Range((0.25, 0.25, 0.25))) == "0.25"
    assert str(Range((1.0, 2.0, 3.0))) == "2 (1 … 3)"


def test_a_claim_needs_a_bound_a_figure_and_a_name_of_its_own():
    with pytest.raises(ConfigError, match=r"the claim 'low' has no bound; give it at_least, at_most or both\."):
        fake()
    wrong = Claim("c", Text("", ""), "valeu", at_most=1)
    with pytest.raises(
        ConfigError, match=r"'c' of the experiment 'fake' is decided by 'valeu', which is not among its"
    ):
        fake(claims=(wrong,))
    claim = Claim("c", Text("", ""), "value", at_most=1)
    with pytest.raises(ConfigError, match=r"'fake' has two claims called 'c'; rename one of them\."):
        fake(claims=(claim, claim))


def test_figures_are_those_declared_and_finite():
    with pytest.raises(TrainingError, match="with seed 0 measured other figures than it declares: other, valeu;"):
        run_one(fake(measure=lambda seed, setting: Measured({"value": 1.0, "valeu": 1.0}), at_most=1), QUICK)
    with pytest.raises(TrainingError, match=r"'fake' with seed 2 measured nan as 'value'; measure a finite number\."):
        run_one(
            fake(measure=lambda s, _: Measured({"value": float("nan") if s == 2 else 1.0, "other": 0.0}), at_most=1),
            QUICK,
        )
    with pytest.raises(ConfigError, match="draws two figures of one name"):
        run_one(fake(draw=lambda measured, setting: 2 * draw_curves(measured, setting), at_most=3), QUICK)


def test_every_seed_is_measured_with_the_setting_and_announced():
    seen, announced = [], []

    def measure(seed, setting):
        seen.append((seed, setting))
        return value_by_seed(seed, setting)

    setting = Setting(quick=True, data_dir="somewhere", language="zh")
    run_one(
        fake(measure=measure, at_most=3), setting, lambda experiment, seed: announced.append((experiment.name, seed))
    )
    assert seen == [(seed, setting) for seed in SEEDS]
    assert announced == [("fake", seed) for seed in SEEDS]


# -- the command


def test_the_command_writes_the_folder_and_prints_the_table(tmp_path, registered, capsys):
    registered(fake(at_most=3), fake("second", at_least=4, expected="refuted"), fake("third", at_most=2))
    out = tmp_path / "deep" / "book"
    assert run(["textbook", "--out", str(out), "--quick"]) == 0
    printed = capsys.readouterr()
    counts = ("1 held", "1 refuted", "1 inconclusive")
    assert [line.split() for line in printed.out.splitlines()] == [
        ["claim", "measured", "bound", "kind", "verdict"],
        ["fake/low", "2", "(1", "…", "3)", "≤", "3", "measured", "held"],
        ["second/low", "2", "(1", "…", "3)", "≥", "4", "measured", "refuted,", "as", "expected"],
        ["third/low", "2", "(1", "…", "3)", "≤", "2", "measured", "inconclusive"],
        *(f"data of {name}, quick: digits; in a full run: clothing".split() for name in ("fake", "second", "third")),
        f"Of {len(counts)} claims: {', '.join(counts)}; none had the opposite of the expected result.".split(),
        ["page:", str(out / "index.html")],
    ]
    assert printed.err == ""
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    names = ("fake", "second", "third")
    assert files == {
        "index.html",
        *(f"figures/{name}-curves.svg" for name in names),
        *(f"notebooks/{name}.ipynb" for name in names),
    }
    svg = (out / "figures" / "fake-curves.svg").read_text(encoding="utf-8")
    assert ET.fromstring(svg.encode()).tag.endswith("svg")
    assert 'id="third.low"' in (out / "index.html").read_text(encoding="utf-8")


def test_the_command_speaks_chinese(tmp_path, registered, capsys):
    registered(fake(at_most=0.5), fake("second", at_least=4, expected="refuted", kind="identity"))
    assert run(["textbook", "--out", str(tmp_path), "--lang", "zh"]) == 4
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "论断        实测       界限   类别        结论",
        "fake/low    2 (1 … 3)  ≤ 0.5  实测        不成立（与预期相反）",
        "second/low  2 (1 … 3)  ≥ 4    定义或证明  不成立（如预期）",
        "2 条论断：2 条不成立；1 条的结果与预期相反。其中 1 条由定义或证明就能判定。",
        f"页面：{tmp_path / 'index.html'}",
    ]
    assert printed.err == "错误：论断 fake/low 不成立，与预期相反：实测 2 (1 … 3)，界限 ≤ 0.5。\n"


@pytest.mark.parametrize(
    ("bounds", "verdict"), [({"at_most": 0.5}, "refuted"), ({"at_most": 5, "expected": "refuted"}, "held")]
)
def test_an_unexpected_verdict_gives_4(tmp_path, registered, capsys, bounds, verdict):
    registered(fake(**bounds), fake("fine", at_most=3))
    assert run(["textbook", "--out", str(tmp_path)]) == 4
    measured = f"measured 2 (1 … 3), bound ≤ {bounds['at_most']}"
    assert capsys.readouterr().err == f"error: the claim fake/low is {verdict} against expectation: {measured}.\n"
    assert (tmp_path / "index.html").is_file()


def test_the_json_object(tmp_path, registered, capsys):
    registered(fake(at_most=0.5), fake("second", at_least=1))
    assert run(["textbook", "--out", str(tmp_path), "--json", "--lang", "zh"]) == 4
    printed = json.loads(capsys.readouterr().out)
    assert printed["page"] == str(tmp_path / "index.html")
    assert (printed["language"], printed["quick"], printed["unexpected"]) == ("zh", False, ["fake/low"])
    first, second = printed["experiments"]
    assert first.pop("seconds") <= printed["seconds"]
    assert first == {
        "name": "fake",
        "title": "假实验",
        "source": "4.1",
        "data": "服装",
        "seeds": [0, 1, 2],
        "failure": None,
        "claims": [
            {
                "name": "low",
                "statement": "值 <很> 小。",
                "figure": "value",
                "at_least": None,
                "at_most": 0.5,
                "kind": "measurement",
                "expected": "held",
                "verdict": "refuted",
                "mean": 2.0,
                "min": 1.0,
                "max": 3.0,
            }
        ],
        "figures": {"value": [1.0, 2.0, 3.0], "other": [7.0, 7.0, 7.0]},
        "drawings": [str(tmp_path / "figures" / "fake-curves.svg")],
        "notebook": str(tmp_path / "notebooks" / "fake.ipynb"),
    }
    assert second["claims"][0]["verdict"] == "held"


def test_the_json_object_says_what_a_quick_run_was_measured_on(tmp_path, registered, capsys):
    registered(fake(at_most=3, kind="identity"))
    assert run(["textbook", "--out", str(tmp_path), "--json", "--quick"]) == 0
    (experiment,) = json.loads(capsys.readouterr().out)["experiments"]
    assert experiment["data"] == "digits"
    assert experiment["claims"][0]["kind"] == "identity"


def test_only_the_named_experiments_run(tmp_path, registered, capsys):
    registered(fake(at_most=3), fake("second", at_most=3))
    assert run(["textbook", "second", "second", "--out", str(tmp_path), "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["experiments"]] == ["second"]


def test_what_fails_gives_3_for_data_and_1_else_and_nothing_is_lost(tmp_path, registered, capsys):
    def no_data(seed, setting):
        raise DataError("there is no file; name another.")

    registered(fake("broken", measure=no_data, at_most=3), fake(at_most=3))
    assert run(["textbook", "--out", str(tmp_path)]) == 3
    printed = capsys.readouterr()
    assert printed.err == "error: broken: there is no file; name another.\n"
    assert "fake/low" in printed.out
    nan = fake("broken", measure=lambda seed, setting: Measured({"value": float("inf"), "other": 0.0}), at_most=3)
    registered(nan)
    assert run(["textbook", "--out", str(tmp_path)]) == 1
    assert "measured inf as 'value'" in capsys.readouterr().err


def test_an_interrupted_run_leaves_the_page_of_what_was_finished(tmp_path, registered):
    def interrupt(seed, setting):
        raise KeyboardInterrupt

    registered(fake(at_most=3), fake("second", measure=interrupt, at_most=3))
    assert run(["textbook", "--out", str(tmp_path)]) == 130
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'id="fake"' in html
    assert 'id="second"' not in html


def test_a_page_takes_its_name_when_it_is_whole(tmp_path, registered, monkeypatch):
    registered(fake(at_most=3))
    (tmp_path / "index.html").write_text("the old page")
    monkeypatch.setattr(
        "lamina.textbook.folder.os.replace", lambda source, target: (_ for _ in ()).throw(OSError("full"))
    )
    assert run(["textbook", "--out", str(tmp_path)]) == 1
    assert (tmp_path / "index.html").read_text() == "the old page"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["index.html"]


def test_usage_errors(tmp_path, registered, capsys, monkeypatch):
    registered(fake(at_most=3), fake("second", at_most=3))
    assert run(["textbook", "secnd", "--out", str(tmp_path)]) == 2
    error = "error: there is no experiment 'secnd'. Did you mean 'second'? Known: fake, second.\n"
    assert capsys.readouterr().err == error
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert run(["textbook", "--out", str(taken)]) == 2
    assert capsys.readouterr().err == (
        f"error: cannot write the textbook to {str(taken)!r}, which is a file; name a folder with --out.\n"
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["textbook", "--out", str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err == "error: the textbook's figures need matplotlib: pip install 'lamina[plot]'.\n"
    assert not (tmp_path / "new").exists()
    with pytest.raises(MissingExtraError):
        canvas()


def test_the_list(tmp_path, registered, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registered(fake(at_most=3), fake("second", at_most=3))
    assert run(["textbook", "--list", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "名称    节   论断  标题",
        "fake    4.1     1  假实验",
        "second  4.1     1  假实验",
    ]
    assert run(["textbook", "fake", "--list"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["name", "section", "claims", "title"],
        ["fake", "4.1", "1", "A", "fake", "&", "its", "<title>"],
    ]
    assert run(["textbook", "second", "--list", "--json"]) == 0
    expected = [{"name": "second", "section": "4.1", "claims": 1, "title": "A fake & its <title>"}]
    assert json.loads(capsys.readouterr().out) == expected
    assert list(tmp_path.iterdir()) == []


# -- the experiments


def texts(value):
    """Every ``Text`` in an experiment."""
    claims = [claim.statement for claim in value.claims]
    data = [each for each in (value.data, value.quick_data) if each is not None]
    return [value.title, value.about, *claims, *value.figures.values(), *data]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_whole(name):
    module = importlib.import_module(EXPERIMENTS[name])
    experiment = load(name)
    assert experiment.name == name
    assert module.__doc__
    assert experiment.claims
    assert re.fullmatch(r"4\.1(\.\d+)*(, 4\.1(\.\d+)*)*", experiment.source)
    assert Path(module.__file__).read_text(encoding="utf-8") == source_of(experiment)
    for text in texts(experiment):
        assert text.en.strip()
        assert text.zh.strip()
        assert not re.search(CJK, text.en)
        # Chinese has punctuation marks of its own.
        assert not re.search(rf"{CJK}[,;:!?.](?!\d)|[,;:!?](?={CJK})", text.zh), text.zh
    for text in (experiment.title, experiment.about):
        assert re.search(CJK, text.zh)


@pytest.mark.parametrize("name", ["activation-gradients", "worked-answers"])
def test_claims_that_need_no_training_have_the_declared_verdict(name):
    outcome = run_one(load(name), QUICK)
    assert [(each.claim.name, each.verdict) for each in outcome.judged] == [
        (claim.name, claim.expected) for claim in load(name).claims
    ]


def test_what_the_textbook_got_wrong():
    outcome = run_one(load("worked-answers"), QUICK)
    refuted = {each.claim.name for each in outcome.judged if each.verdict == "refuted"}
    assert refuted == {"tanh-text", "tanh-text-at-0", "prelu-linear"}
    assert outcome.figures["text_at_zero"].values == (0.25, 0.25, 0.25)
    assert outcome.figures["right_at_zero"].values == (1.0, 1.0, 1.0)
    # The grid's step is 0.1 and the least bend is that of α = 0.25: (1 - α²) / 10.
    assert outcome.figures["bend_at_zero"].mean == pytest.approx((1 - 0.25**2) / 10, abs=1e-12)


def test_why_the_textbook_got_it_wrong():
    # 2e - e² = 1 - (1 - e)², and the right numerator is (1 + e)² - (1 - e)² = 4e: exactly, for whole numbers e.
    for e in range(-9, 10):
        assert 2 * e - e**2 == 1 - (1 - e) ** 2
        assert (1 + e) ** 2 - (1 - e) ** 2 == 4 * e
    outcome = run_one(load("worked-answers"), QUICK)
    assert max(outcome.figures["reason_error"].values) < 1e-12
    for text in (load("worked-answers").about.en, load("worked-answers").about.zh):
        assert "2e - e²" in text
        assert "1 - (1 - e)²" in text


def test_an_experiment_runs_with_its_own_seeds():
    outcome = run_one(replace(fake(at_most=3), seeds=(2, 0, 1, 1)), QUICK)
    assert outcome.figures["value"].values == (3.0, 1.0, 2.0, 2.0)


# Words that mean something else, or that stand for two things. What is quoted keeps its own.
WRONG = ("课文", "准确率", "拐点", "节点", "品种", "未定", "让参数通过", "参数为正", "之所得", "之所失", "者为")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_chinese_terms_are_those_of_the_field(name):
    for text in texts(load(name)):
        found = [word for word in WRONG if word in re.sub("“[^”]*”", "", text.zh)]
        assert found == [], text.zh


def test_identities_are_told_from_measurements():
    kinds = {name: {claim.name: claim.kind for claim in load(name).claims} for name in EXPERIMENTS}
    assert set(kinds["network-figure"].values()) == {"identity"}
    assert set(kinds["vanishing-gradients"].values()) == {"measurement"}
    assert (kinds["ten-kinds"]["probabilities-sum"], kinds["ten-kinds"]["mlp"]) == ("identity", "measurement")
    assert kinds["linear-monotonic"]["monotonic"] == "identity"


def test_the_maxima_of_the_gradients():
    figures = run_one(load("activation-gradients"), QUICK).figures
    assert (figures["sigmoid_top"].mean, figures["tanh_top"].mean, figures["relu_at_zero"].mean) == (0.25, 1.0, 0.0)
