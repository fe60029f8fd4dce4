"""The command line: results on stdout, talk on stderr, exit codes, and the same model as from Python."""

import csv
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import lamina
from lamina.activations import ACTIVATIONS
from lamina.cli.main import run
from lamina.config import Config

QUICK = ("--epochs", "3", "--hidden-units", "16", "--seed", "7")
HEADER = ("age", "income", "city", "bought")


def shop_rows(n: int, seed: int = 0) -> list[list[str]]:
    """Rows of two numbers, one of them missing now and then, a category, and a target that depends on all three."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        age, income, city = int(rng.integers(18, 80)), rng.normal(30, 8), str(rng.choice(["Bonn", "Köln", "Ulm"]))
        bought = "yes" if (age - 49) / 18 + (income - 30) / 8 + (city == "Ulm") > rng.normal(0, 0.3) else "no"
        rows.append([str(age), "" if i % 17 == 5 else f"{income:.3f}", city, bought])
    return rows


def write_csv(path: Path, header: tuple[str, ...], rows: list[list[str]]) -> str:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return str(path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_csv(tmp_path_factory.mktemp("data") / "shop.csv", HEADER, shop_rows(240))


@pytest.fixture(scope="module")
def model(shop: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("models") / "shop.lamina")
    assert run(["train", shop, "--target", "bought", "-o", folder, "-q", *QUICK]) == 0
    return folder


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def roles(folder: str | Path) -> dict[str, tuple[str, str]]:
    return {column.name: (column.kind, column.role) for column in lamina.load(folder).schema.columns}


# -- train

MORE = ["comparison", "diagnosis"]


def test_train_json_is_one_object_with_the_documented_keys(shop, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(["train", shop, "--target", "bought", "-o", out, "--test", "0.25", "--json", *QUICK]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert list(result) == [
        "model",
        "task",
        "rows",
        "seconds",
        "scores",
        "baselines",
        *MORE,
        "positive_class",
        "threshold",
    ]
    assert (result["model"], result["task"]) == (out, "classification")
    assert result["rows"] == {"train": 144, "validation": 36, "test": 60}
    assert list(result["seconds"]) == ["fit", "total"]
    assert 0 < result["seconds"]["fit"] <= result["seconds"]["total"]
    assert set(result["scores"]) == {"validation", "test"}
    assert set(result["baselines"]) == {"linear", "constant"}
    scores = [*result["scores"].values(), *result["baselines"].values()]
    metrics = ["accuracy", "log_loss", "roc_auc", "precision", "recall", "f1"]
    assert [list(values) for values in scores] == [metrics] * 4
    assert result["scores"] == lamina.load(out).report.scores
    assert (result["positive_class"], result["threshold"]) == ("yes", 0.5)
    assert captured.err.startswith(
        "classification of 'bought' (2 classes) from 3 columns; 'yes' is predicted from probability 0.5 on\n"
        "rows: 144 train, 36 validation, 60 test\n"
    )


def test_train_prints_scores_beside_baselines_and_the_folder(tmp_path, capsys):
    out = str(tmp_path / "d.lamina")
    assert run(["train", "diabetes", "-o", out, *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rmse", "mae", "r2"]
    assert lines[1].startswith("MLP, validation (89 rows)")
    assert [line.split(",")[0] for line in lines[2:4]] == ["linear", "constant"]
    assert lines[4:] == [f"model: {out}"]
    scores = lamina.load(out).report.scores["validation"]
    assert lines[1].split()[-3:] == [f"{scores[name]:.4f}" for name in ("rmse", "mae", "r2")]


def test_train_writes_to_the_name_of_the_data_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "iris", "-q", *QUICK]) == 0
    assert capsys.readouterr().out.endswith("model: iris.lamina\n")
    assert lamina.load("iris.lamina").classes.tolist() == ["setosa", "versicolor", "virginica"]


def test_quiet_says_nothing_on_stderr(shop, model, tmp_path, capsys):
    assert run(["train", shop, "--target", "bought", "-o", str(tmp_path / "m"), "-q", *QUICK]) == 0
    assert run(["evaluate", model, shop, "-q"]) == 0
    assert run(["predict", model, shop, "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_few_rows_are_all_trained_on_and_there_is_no_score(tmp_path, capsys):
    data = write_csv(tmp_path / "few.csv", HEADER, shop_rows(60))
    assert run(["train", data, "--target", "bought", "-o", str(tmp_path / "m"), "--json", *QUICK]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["rows"], result["scores"], result["baselines"]) == ({"train": 60}, {}, {})
    assert "no rows were held out" not in captured.out


def test_hidden_units_none_is_a_linear_model(shop, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(["train", shop, "--target", "bought", "-o", out, "-q", "--hidden-units", "none", "--epochs", "2"]) == 0
    loaded = lamina.load(out)
    assert (loaded.config.hidden_units, loaded.network.n_layers) == ((), 1)
    capsys.readouterr()
    assert run(["show", out]) == 0
    assert "\n1 layer, " in capsys.readouterr().out


def test_test_and_validation_are_fractions_or_files(shop, tmp_path, capsys):
    held = write_csv(tmp_path / "held.csv", HEADER, shop_rows(50, seed=1))
    seen = write_csv(tmp_path / "seen.csv", HEADER, shop_rows(30, seed=2))
    command = ["train", shop, "--target", "bought", "-o", str(tmp_path / "m"), "-q", "--json", *QUICK]
    assert run([*command, "--test", held, "--validation", seen]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == {"train": 240, "validation": 30, "test": 50}
    assert result["scores"]["test"] == pytest.approx(lamina.load(tmp_path / "m").evaluate(held), abs=1e-12)
    assert run([*command, "--validation", "0.1"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"train": 216, "validation": 24}
    assert run([*command, "--validation", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"train": 240}


def test_the_score_of_the_report_is_that_of_evaluate(shop, tmp_path):
    held = write_csv(tmp_path / "held.csv", HEADER, shop_rows(50, seed=1))
    model = lamina.fit(shop, "bought", test=held, epochs=3, hidden_units=(16,), seed=7)
    assert model.report.scores["test"] == pytest.approx(model.evaluate(held), abs=1e-12)


def test_without_early_stopping_rows_are_held_out_where_asked_for_only(shop, tmp_path, capsys):
    out = str(tmp_path / "m")
    command = ["train", shop, "--target", "bought", "-o", out, "-q", "--json", "--no-early-stopping", *QUICK]
    assert run(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["scores"]) == ({"train": 240}, {})
    assert run([*command, "--validation", "0.1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], list(result["scores"])) == ({"train": 216, "validation": 24}, ["validation"])
    assert lamina.load(out).report.best_epoch == 3


def test_columns_get_the_roles_that_flags_give_them(tmp_path):
    rows = [
        [*row[:3], str(i % 3), str(1 + i % 2), f"h{i % 40}", str(i // 4), row[3]]
        for i, row in enumerate(shop_rows(200))
    ]
    header = ("age", "income", "city", "code", "w", "house", "day", "bought")
    data = write_csv(tmp_path / "roles.csv", header, rows)
    flags = ["--kind", "code=category", "--drop", "city", "--drop", "age", "--weight", "w", "--group", "house"]
    assert run(["train", data, "--target", "bought", "-o", str(tmp_path / "m"), "-q", *flags, *QUICK]) == 0
    assert roles(tmp_path / "m") == {
        "age": ("number", "left out"), "income": ("number", "feature"), "city": ("category", "left out"),
        "code": ("category", "feature"), "w": ("number", "weight"), "house": ("category", "group"),
        "day": ("number", "feature"), "bought": ("category", "target"),
    }  # fmt: skip
    flags = ["--time", "day", "--drop", "house", "--drop", "w"]
    assert run(["train", data, "--target", "bought", "-o", str(tmp_path / "t"), "-q", *flags, *QUICK]) == 0
    assert roles(tmp_path / "t")["day"] == ("number", "time")


# -- the same model by every door


def test_command_python_and_estimators_predict_the_same(shop, model):
    expected = lamina.load(model).predict_proba(shop)
    assert expected.shape == (240, 2)
    by_python = lamina.fit(shop, "bought", epochs=3, hidden_units=(16,), seed=7)
    assert np.array_equal(by_python.predict_proba(shop), expected)
    pandas, polars = pd.read_csv(shop), pl.read_csv(shop)
    for X, y in ((pandas.drop(columns="bought"), pandas["bought"]), (polars.drop("bought"), polars["bought"])):
        estimator = lamina.MLPClassifier(hidden_layer_sizes=(16,), max_iter=3, random_state=7).fit(X, y)
        assert np.array_equal(estimator.predict_proba(X), expected)
        assert estimator.classes_.tolist() == ["no", "yes"]


def test_a_seed_decides_every_weight(shop, model):
    options = {"epochs": 3, "hidden_units": (16,)}
    weights = lamina.load(model).network.state_dict()
    again = lamina.fit(shop, "bought", seed=7, **options).network.state_dict()
    other = lamina.fit(shop, "bought", seed=8, **options).network.state_dict()
    assert weights.keys() == again.keys() == other.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    trained = [name for name in weights if name.endswith("weight")]
    assert trained
    assert not any(torch.equal(weights[name], other[name]) for name in trained)


# -- configuration


def test_flags_overrule_set_and_set_overrules_the_file(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text("epochs = 5\ndropout = 0.3\nseed = 1\nearly_stopping = true\nhidden_units = [8, 4]\n")
    flags = ["--set", "epochs=4", "--set", "seed=2", "--seed", "3", "--no-early-stopping"]
    assert run(["train", "--config", str(file), *flags, "--print-config"]) == 0
    values = tomllib.loads(capsys.readouterr().out)
    found = {name: values[name] for name in ("epochs", "dropout", "seed", "early_stopping", "hidden_units")}
    assert found == {"epochs": 4, "dropout": 0.3, "seed": 3, "early_stopping": False, "hidden_units": [8, 4]}


def test_print_config_round_trips(tmp_path, capsys):
    flags = ["--kind", "a=number", "--drop", "b c", "--class-weight", "yes=3,no=1", "--activation", "tanh,relu"]
    assert run(["train", "--print-config", *flags, "--hidden-units", "8,4", "--learning-rate", "1e-5"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "c.toml").write_text(first, encoding="utf-8")
    assert run(["train", "--print-config", "--config", str(tmp_path / "c.toml")]) == 0
    assert capsys.readouterr().out == first
    assert Config.of(**tomllib.loads(first)) == Config.of(
        kind={"a": "number"}, drop=("b c",), class_weight={"yes": 3, "no": 1}, activation=("tanh", "relu"),
        hidden_units=(8, 4), learning_rate=1e-5,
    )  # fmt: skip


# -- evaluate


def test_evaluate_scores_as_python_does(shop, model, capsys):
    assert run(["evaluate", model, shop, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    loaded = lamina.load(model)
    assert result == {"rows": 240, "scores": loaded.evaluate(shop)}
    truth = [row[3] for row in shop_rows(240)]
    assert result["scores"]["accuracy"] == pytest.approx(np.mean(loaded.predict(shop) == truth), abs=1e-12)
    assert run(["evaluate", model, shop]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [[name, f"{value:.6g}"] for name, value in result["scores"].items()]


def test_requirements_decide_the_exit_code(shop, model, capsys):
    assert run(["evaluate", model, shop, "--require", "accuracy>=0.5", "--require", "log_loss < 5"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["evaluate", model, shop, "--require", "accuracy>0.5", "--require", "log_loss<=0.001"]) == 4
    captured = capsys.readouterr()
    assert captured.err.startswith("error: the requirement log_loss<=0.001 is missed: the value is 0.")
    assert captured.out.startswith("accuracy")


@pytest.mark.parametrize("requirement", ["rmse<=1", "accuracy", "accuracy=1", "accuracy>=high"])
def test_a_requirement_that_makes_no_sense_is_wrong_usage(shop, model, requirement, capsys):
    assert run(["evaluate", model, shop, "--require", requirement]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"--require {requirement!r}" in captured.err


# -- predict


def test_predict_writes_what_the_model_predicts(shop, model, capsys):
    assert run(["predict", model, shop, "--proba", "--keep", "city", "--keep", "age"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[0] == "city,age,bought,p_no,p_yes"
    table, loaded = table_of(captured.out), lamina.load(model)
    assert [row["bought"] for row in table] == loaded.predict(shop).tolist()
    probabilities = np.array([[float(row["p_no"]), float(row["p_yes"])] for row in table])
    assert probabilities == pytest.approx(loaded.predict_proba(shop), rel=1e-12)  # NumPy's sums, and torch's
    assert [[row["age"], row["city"]] for row in table] == [[row[0], row[2]] for row in shop_rows(240)]


def test_predict_json_is_one_object_a_line(shop, model, capsys):
    assert run(["predict", model, shop, "--json", "--proba", "--keep", "city"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    loaded = lamina.load(model)
    assert [row["bought"] for row in rows] == loaded.predict(shop).tolist()
    assert [row["p_yes"] for row in rows] == pytest.approx(loaded.predict_proba(shop)[:, 1], rel=1e-12)
    assert [row["city"] for row in rows] == [row[2] for row in shop_rows(240)]


def test_predict_needs_no_target_and_no_order_of_columns(model, tmp_path, capsys):
    rows = shop_rows(40, seed=3)
    whole = write_csv(tmp_path / "whole.csv", HEADER, rows)
    shuffled = write_csv(tmp_path / "shuffled.csv", ("city", "age", "income"), [[r[2], r[0], r[1]] for r in rows])
    assert run(["predict", model, whole]) == 0
    expected = capsys.readouterr().out
    assert len(expected.splitlines()) == 41
    assert run(["predict", model, shuffled]) == 0
    assert capsys.readouterr().out == expected


def test_keeping_the_target_leaves_both_columns_apart(shop, model, capsys):
    assert run(["predict", model, shop, "--keep", "bought", "--keep", "bought"]) == 0
    table = table_of(capsys.readouterr().out)
    assert list(table[0]) == ["bought", "predicted_bought"]
    assert [row["bought"] for row in table] == [row[3] for row in shop_rows(240)]
    assert [row["predicted_bought"] for row in table] == lamina.load(model).predict(shop).tolist()


def test_predict_to_a_file_and_through_a_link(shop, model, tmp_path, capsys):
    target, link = tmp_path / "p.csv", tmp_path / "link.csv"
    link.symlink_to(target)
    assert run(["predict", model, shop]) == 0
    expected = capsys.readouterr().out
    for out in (target, link):
        assert run(["predict", model, shop, "-o", str(out)]) == 0
        assert capsys.readouterr().out == ""
        assert target.read_text() == expected
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "p.csv"]


def test_predict_reads_standard_input(shop, model, monkeypatch, capsys):
    assert run(["predict", model, shop]) == 0
    expected = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(shop).read_bytes())))
    assert run(["predict", model, "-", "-o", "-"]) == 0
    assert capsys.readouterr().out == expected
    command = [sys.executable, "-m", "lamina", "predict", model, "-"]
    done = subprocess.run(command, input=Path(shop).read_bytes(), capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, expected, b"")


def test_regression_predicts_numbers_and_has_no_probabilities(tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(["train", "diabetes", "-o", out, "-q", *QUICK]) == 0
    capsys.readouterr()
    assert run(["predict", out, "diabetes"]) == 0
    values = [float(row["progression"]) for row in table_of(capsys.readouterr().out)]
    assert values == pytest.approx(lamina.load(out).predict("diabetes"), rel=1e-12)
    assert run(["predict", out, "diabetes", "--proba"]) == 2
    assert capsys.readouterr().err == "error: --proba is for classification; this model predicts numbers.\n"


# -- show, inspect, activations


def test_show_describes_the_model(model, capsys):
    assert run(["show", model, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["target"] == {
        "name": "bought", "names": ["bought"], "task": "classification", "classes": ["no", "yes"], "positive": 1,
        "threshold": 0.5,
    }  # fmt: skip
    assert (shown["n_layers"], shown["rows"], shown["best_epoch"]) == (2, {"train": 192, "validation": 48}, 3)
    loaded = lamina.load(model)
    assert shown["n_parameters"] == sum(p.numel() for p in loaded.network.parameters())
    assert shown["config"]["hidden_units"] == [16]
    assert [column["name"] for column in shown["columns"]] == list(HEADER)
    assert run(["show", model]) == 0
    text = capsys.readouterr().out
    assert text.startswith("classification of 'bought' of 2 classes; 'yes' is predicted from probability 0.5 on\n")
    assert f"2 layers, {shown['n_parameters']:,} parameters" in text
    assert "hidden_units = [16]" in text.splitlines()


def test_inspect_shows_kinds_and_counts(shop, capsys):
    assert run(["inspect", shop, "--target", "bought", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["task"], result["classes"]) == (240, "classification", ["no", "yes"])
    facts = {fact["name"]: fact for fact in result["columns"]}
    assert [facts[name]["kind"] for name in HEADER] == ["number", "number", "category", "category"]
    assert facts["income"]["n_missing"] == sum(row[1] == "" for row in shop_rows(240)) > 0
    assert (facts["city"]["n_distinct"], facts["bought"]["role"]) == (3, "target")
    assert run(["inspect", shop, "--drop", "age"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{shop}: 240 rows, 4 columns"
    assert lines[1].split() == ["column", "kind", "role", "missing", "distinct", "values"]
    assert lines[2].split()[:2] == ["age", "number"]
    assert lines[2].endswith("[dropped]")


def test_activations_are_listed_described_and_drawn(tmp_path, capsys):
    assert run(["activations", "--json"]) == 0
    assert [fact["name"] for fact in json.loads(capsys.readouterr().out)] == list(ACTIVATIONS.names())
    assert run(["activations"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(ACTIVATIONS.names())
    assert run(["activations", "tanh"]) == 0
    assert ACTIVATIONS["tanh"].formula in capsys.readouterr().out
    plot = tmp_path / "relu.png"
    assert run(["activations", "relu", "--plot", str(plot)]) == 0
    assert capsys.readouterr().out == f"{plot}\n"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert run(["activations", "--plot", str(plot)]) == 2
    assert run(["activations", "rellu"]) == 2
    assert "unknown activation 'rellu'. Did you mean 'relu'?" in capsys.readouterr().err
