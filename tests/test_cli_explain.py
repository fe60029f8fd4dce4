"""``lamina explain``: the numbers of the library, as a table, with bars on a terminal, and as JSON."""

import io
import json
import sys

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.cli.main import run
from random_models import frame

QUICK = ("--epochs", "3", "--hidden-units", "16", "--seed", "7")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    data = frame(150, task="classification", mixed=True).with_columns(
        kind=pl.Series([["red", "green", "00007"][i % 3] for i in range(150)])
    )
    data = data.with_columns(y=pl.when(pl.col("size") > 3).then(pl.lit("yes")).otherwise(pl.lit("no")))
    data.write_csv(folder / "shop.csv")
    return str(folder / "shop.csv")


@pytest.fixture(scope="module")
def several(shop, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("several") / "m")
    assert run(["train", shop, "--target", "y", "-o", out, "-q", *QUICK, "--members", "2"]) == 0
    return out


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("single") / "m")
    assert run(["train", "diabetes", "-o", out, "-q", *QUICK, "--members", "1", "--numeric", "standard"]) == 0
    return out


def test_importances_as_json_and_as_a_table(several, shop, capsys):
    capsys.readouterr()
    assert run(["explain", several, shop, "--repeats", "3", "--seed", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = lamina.permutation_importance(lamina.load(several), shop, 3, 2)
    assert list(result) == ["rows", "metric", "score", "repeats", "importances"]
    assert (result["rows"], result["metric"], result["repeats"]) == (150, "log_loss", 3)
    assert result["score"] == found.score
    assert [tuple(each.values()) for each in result["importances"]] == found.ordered()
    assert result["importances"][0]["column"] == "size"
    assert run(["explain", several, shop, "--repeats", "3", "--seed", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (f"log_loss {found.score:.4f} on 150 rows; by how much worse where a column is shuffled:")
    expected = [[name, f"{mean:.4f}", "±", f"{deviation:.4f}"] for name, mean, deviation in found.ordered()]
    assert [line.split() for line in lines[1:]] == expected


def test_bars_on_a_terminal(several, shop, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert run(["explain", several, shop, "--metric", "accuracy"]) == 0
    lines = sys.stdout.getvalue().splitlines()
    found = lamina.permutation_importance(lamina.load(several), shop, metric="accuracy").ordered()
    assert lines[0].startswith("accuracy ")
    assert lines[1].endswith("  " + "█" * 24)
    for line, (_, mean, _) in zip(lines[1:], found, strict=True):
        full = line.count("█")
        if mean <= 0:
            assert full == 0
        else:
            assert abs(full - 24 * mean / found[0][1]) <= 1


def test_one_row_as_json(several, shop, capsys):
    assert run(["explain", several, shop, "--row", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    model, data = lamina.load(several), pl.read_csv(shop, schema_overrides={"kind": pl.String})
    probabilities = model.predict_proba(data[3])[0]
    assert list(result) == [
        "row", "prediction", "probabilities", "output", "value", "baseline_value", "gap", "contributions", "formula"
    ]  # fmt: skip
    assert (result["row"], result["formula"]) == (4, None)
    assert result["prediction"] == {"y": model.predict(data[3])[0]}
    assert result["probabilities"] == pytest.approx(dict(zip(("no", "yes"), probabilities, strict=True)))
    assert result["output"] == f"logit({model.predict(data[3])[0]})"
    assert result["value"] == pytest.approx(np.log(probabilities.max() / probabilities.min()), rel=1e-9)
    total = sum(each["contribution"] for each in result["contributions"])
    assert total + result["gap"] == pytest.approx(result["value"] - result["baseline_value"], rel=1e-12)
    cells = {each["column"]: each["value"] for each in result["contributions"]}
    assert set(cells) == {"age", "size", "year", "kind", "day"}
    assert (float(cells["size"]), cells["kind"]) == (data["size"][3], "red")
    sizes = [abs(each["contribution"]) for each in result["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert run(["explain", several, shop, "--row", "4", "--output", "no", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["value"] == pytest.approx(np.log(probabilities[0] / probabilities[1]), rel=1e-9)


def test_one_row_as_a_table(several, shop, capsys):
    assert run(["explain", several, shop, "--row", "3", "--output", "yes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    model, rows = lamina.load(several), lamina.read_table(shop, text_columns={"kind"})
    found = lamina.attributions(model, rows.rows(np.array([2])), rows, output="yes")
    prediction = model.predict(shop)[2]
    assert lines[0] == f"y: {prediction} (probability {model.predict_proba(shop)[2].max():.4f})"
    assert lines[2].split("  ")[0] == "column"
    assert lines[2].endswith("adds to logit(yes)")
    body = [line.split() for line in lines[3:8]]
    assert [(line[0], line[-1]) for line in body] == [(name, f"{part:+.4g}") for name, part in found.ordered()]
    (kind,) = [line for line in body if line[0] == "kind"]
    assert kind[1] == "00007"  # a category is written as it is
    assert lines[8].split() == ["all", "columns", f"{sum(found.contributions.values()):+.4g}"]
    assert lines[10] == f"logit(yes) = {found.value:.4g}; for the typical row {found.baseline_value:.4g}"
    assert len(lines) == 11


def test_the_formula_of_a_single_piecewise_linear_network(single, capsys):
    assert run(["explain", single, "diabetes", "--row", "1"]) == 0
    out = capsys.readouterr().out
    model, rows = lamina.load(single), lamina.read_table("diabetes")
    formula = lamina.local_formula(model, rows.rows(np.array([0])))
    assert out.splitlines()[0] == f"progression: {model.predict(rows)[0]:.6g}"
    assert out.endswith(f"\n\n{formula}\n")
    assert run(["explain", single, "diabetes", "--row", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["formula"]
    assert result["weights"] == {name: weight.tolist() for name, weight in formula.weights.items()}
    assert (result["bias"], result["distance"]) == (formula.bias.tolist(), formula.distance)
    assert (result["border"], result["outputs"]) == (formula.border, ["progression"])


def test_rows_without_a_target_are_dropped_and_counted(several, tmp_path, shop, capsys):
    data = pl.read_csv(shop, schema_overrides={"kind": pl.String})
    data.with_columns(y=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise("y")).write_csv(tmp_path / "some.csv")
    assert run(["explain", several, str(tmp_path / "some.csv"), "--repeats", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rows"] == 145
    assert captured.err == "note: dropped 5 rows without a value of the target\n"
    data.drop("y").write_csv(tmp_path / "none.csv")
    assert run(["explain", several, str(tmp_path / "none.csv"), "--row", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["row"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--row", "151"], 3, "has no row 151; its rows are 1 to 150."),
        (["--row", "0"], 3, "has no row 0; its rows are 1 to 150."),
        (["--row", "1", "--output", "yess"], 2, "output = 'yess' is no output of the model. Did you mean 'yes'?"),
        (["--output", "yes"], 2, "--output goes with --row"),
        (["--repeats", "0"], 2, "repeats = 0 is no whole number above 0; give one."),
        (["--metric", "rmse"], 2, "metric = 'rmse' is not for classification; the metrics of this model are"),
        (["--seed", "x"], 2, "Invalid value for '--seed'"),
    ],
)
def test_wrong_usage(several, shop, arguments, code, message, capsys):
    assert run(["explain", several, shop, *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
