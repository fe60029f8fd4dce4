"""Rows that a model learned from, and that the training which starts from it holds out: no verdict stands on them."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import lamina
from lamina.cli.main import run
from lamina.errors import LaminaWarning
from lamina.older_scores import faults_of_scores

OPTIONS = {"members": 4, "hidden_units": (32,), "seed": 0, "epochs": 30}


def coins(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {f"c{i}": rng.normal(size=n) for i in range(8)}
    return pl.DataFrame({**columns, "y": rng.choice(["p", "q"], n)})


@pytest.fixture(scope="module")
def first() -> lamina.Model:
    return lamina.fit(coins(300, 0), "y", test=0.25, early_stopping=False, **OPTIONS)


@pytest.fixture(scope="module")
def second(first: lamina.Model) -> lamina.Model:
    more = pl.concat([coins(300, 0), coins(30, 1)])
    return lamina.fit(more, "y", start=first, test=0.25, **{**OPTIONS, "epochs": 2, "learning_rate": 1e-4})


def test_scores_of_seen_rows_are_marked(first, second):
    assert second.report.scores["test"]["roc_auc"] > 0.7  # of coin flips: what no verdict may stand on
    assert first.report.seen == ()
    assert second.report.seen == ("validation", "test")
    assert any("validation and test rows are marked as seen" in note for note in second.report.notes)
    page = second.page()
    for words in ("test, seen (", "validation, seen (", "These rows are <strong>seen</strong>", "test rows (seen)"):
        assert words in page
        assert words not in first.page()


def test_no_verdict_stands_on_them(second):
    assert second.report.comparison == {}
    assert "It was not compared with simpler models, which have not seen these rows." in second.page()
    assert "Worth it" not in second.page()
    assert "overfitting" not in [finding["name"] for finding in second.report.diagnosis]


def test_the_mark_is_kept(second, tmp_path, capsys):
    folder = str(second.save(tmp_path / "m"))
    assert lamina.load(folder).report.seen == ("validation", "test")
    assert run(["show", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seen"] == ["validation", "test"]
    assert run(["show", folder]) == 0
    assert "test, seen (" in capsys.readouterr().out


def test_another_table_is_scored_as_ever(first):
    new, held = coins(400, 5), coins(400, 6)
    settings = {**OPTIONS, "epochs": 2, "start": first}
    model = lamina.fit(coins(300, 0), "y", test=new, validation=held, **settings)
    assert model.report.seen == ()
    expected = roc_auc_score(new["y"] == "q", model.predict_proba(new)[:, 1])
    assert model.report.scores["test"]["roc_auc"] == pytest.approx(expected)
    assert abs(expected - 0.5) < 0.1
    assert set(model.report.comparison["improvement"]) == {"linear", "constant"}
    half = lamina.fit(coins(300, 0), "y", test=new, **settings)
    assert half.report.seen == ("validation",)
    assert half.report.comparison["scored_on"] == "test"


def test_intervals_on_seen_rows_warn(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = x[:, 0] + rng.normal(size=200)
    first = lamina.fit((x, y), **OPTIONS)
    second = lamina.fit((x, y), start=first, **OPTIONS)
    assert first.predict_interval(x).shape == (200, 2)
    with pytest.warns(LaminaWarning, match="the intervals rest on rows that the model which training started from may"):
        second.predict_interval(x)
    with pytest.warns(LaminaWarning, match="may be too narrow"):
        lamina.load(second.save(tmp_path / "m")).predict_interval(x)
    new = rng.normal(size=(200, 2))
    third = lamina.fit((x, y), start=first, validation=(new, new[:, 0] + rng.normal(size=200)), **OPTIONS)
    assert third.predict_interval(x).shape == (200, 2)


def test_an_estimator_that_starts_again_marks_them_too():
    x, y = coins(200, 0).drop("y").to_numpy(), coins(200, 0)["y"].to_numpy()
    estimator = lamina.MLPClassifier((8,), max_iter=3, random_state=0, warm_start=True)
    assert estimator.fit(x, y).model_.report.seen == ()
    assert estimator.fit(x, y).model_.report.seen == ("validation",)


def test_training_pass_by_pass_has_a_page():
    x, y = coins(60, 0).drop("y").to_numpy(), coins(60, 0)["y"].to_numpy()
    estimator = lamina.MLPClassifier((8,), random_state=0)
    for _ in range(2):
        estimator.partial_fit(x, y, classes=["p", "q"])
    assert "How to reproduce it" in estimator.model_.page()
    assert estimator.model_.report.seen == ()


# -- folders of versions that did not keep what was seen


def older(model: lamina.Model) -> lamina.Model:
    """The model as an older version kept it."""
    origin = {name: value for name, value in model.report.origin.items() if name != "seen"}
    return replace(model, report=replace(model.report, origin=origin))


def faults(model: lamina.Model) -> str:
    return " ".join(faults_of_scores(model.config, model.report, model.history))


@pytest.fixture(scope="module")
def weighted() -> dict[str, lamina.Model]:
    rng = np.random.default_rng(0)
    data = coins(200, 0).with_columns(
        w=pl.Series(rng.integers(1, 4, 200)), v=pl.Series(rng.random(200) + 0.1), one=pl.lit(1)
    )
    quick = {**OPTIONS, "epochs": 2, "test": 0.2}
    names = {"w", "v", "one"}
    models = {name: lamina.fit(data.drop(names - {name}), "y", weight=name, **quick) for name in sorted(names)}
    models["classes"] = lamina.fit(data.drop(names), "y", class_weight="balanced", **quick)
    models["plain"] = lamina.fit(data.drop(names), "y", **quick)
    models["none held"] = lamina.fit(data.drop("v", "one"), "y", weight="w", **{**quick, "test": None}, validation=0.0)
    return models


def test_older_scores_are_said_to_be_too_good(weighted, second):
    assert "its scores are too good: an older version made whole weights, column 'w'" in faults(older(weighted["w"]))
    assert "its scores are too good, if its weights are whole numbers" in faults(older(weighted["v"]))
    assert "its scores are too good: training started from another model" in faults(older(second))
    assert "compared a network of weighted classes with models of unweighted ones" in faults(older(weighted["classes"]))


def test_nothing_is_said_of_scores_that_are_right(weighted, first, second):
    for model in (*weighted.values(), first, second):
        assert faults(model) == ""
    for name in ("plain", "none held"):
        assert faults(older(weighted[name])) == ""
    assert faults(older(first)) == ""


def test_rows_of_a_table_of_their_own_were_scored_right(first):
    data = coins(200, 0).with_columns(w=pl.Series(np.arange(200) % 2 + 1))
    options = {**OPTIONS, "epochs": 2, "test": coins(50, 3).with_columns(w=pl.lit(1))}
    other = lamina.fit(data, "y", weight="w", validation=0.0, **options)
    assert faults(older(other)) == ""
    assert "its validation scores are too good" in faults(older(lamina.fit(data, "y", weight="w", **options)))
    assert faults(older(lamina.fit(coins(200, 0), "y", start=first, validation=0.0, **options))) == ""


def test_show_report_and_evaluate_say_so(weighted, tmp_path, capsys):
    folder = str(older(weighted["w"]).save(tmp_path / "m"))
    coins(50, 3).write_csv(tmp_path / "new.csv")
    words = "its scores are too good: an older version made whole weights, column 'w'"
    assert run(["show", folder]) == 0
    assert words in capsys.readouterr().out
    assert run(["show", folder, "--json"]) == 0
    assert words in json.loads(capsys.readouterr().out)["faults_of_scores"][0]
    assert run(["report", folder, "-o", "-"]) == 0
    page = capsys.readouterr().out
    assert "Its scores are too good: an older version made whole weights" in page
    assert "verdict good" not in page
    assert run(["evaluate", folder, str(tmp_path / "new.csv")]) == 0
    said = capsys.readouterr()
    assert words in said.err
    assert words not in said.out
