"""Targets at the command line: several numbers, labels, a positive class, its threshold; what they are trained by."""

import contextlib
import csv
import io
import json
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.metrics

import lamina
from lamina.cli.main import run
from lamina.training.schedules import SCHEDULES

QUICK = ("--epochs", "3", "--hidden-units", "8", "--seed", "1")
OTHERS = ("size", "cost", "hot", "wet", "kind", "level")


def frame(n: int = 160) -> pl.DataFrame:
    """Two numbers and a day; two numbers, two labels, two classes and three to predict."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, n)).round(4)
    day = np.datetime64("2024-01-01") + rng.integers(0, 300, n)
    return pl.DataFrame(
        {
            "x": x,
            "z": z,
            "day": day.astype(str),
            "size": (2 * x + 0.1 * z).round(4),
            "cost": (100 - z + 0.1 * x).round(4),
            "hot": (x + rng.normal(0, 0.5, n) > 0).astype(int),
            "wet": (z + rng.normal(0, 0.5, n) > 0.4).astype(int),
            "kind": np.where(x + rng.normal(0, 0.7, n) > 0.5, "yes", "no"),
            "level": np.where(x > 0.5, "high", np.where(z > 0, "mid", "low")),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "data.csv"
    frame().write_csv(path)
    return str(path)


def command(data: str, out: object, *targets: str, flags: tuple[str, ...] = ()) -> list[str]:
    """``lamina train`` on x, z and day alone."""
    drops = [flag for name in OTHERS if name not in targets for flag in ("--drop", name)]
    wanted = [flag for name in targets for flag in ("--target", name)]
    return ["train", data, *wanted, *drops, "-o", str(out), *QUICK, *flags]


@pytest.fixture(scope="module")
def models(data: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return the folder of the model of some targets, trained once."""
    folder, known = tmp_path_factory.mktemp("models"), {}

    def of(*targets: str) -> str:
        if targets not in known:
            out = str(folder / "-".join(targets))
            with contextlib.redirect_stdout(io.StringIO()):
                assert run([*command(data, out, *targets), "-q"]) == 0
            known[targets] = out
        return known[targets]

    return of


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def printed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Any:
    """What a command prints as one JSON object."""
    capsys.readouterr()
    assert run(arguments) == 0
    return json.loads(capsys.readouterr().out)


# -- several numbers


def test_several_numbers_are_trained_and_shown(data, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(command(data, out, "size", "cost", flags=("--json", "--test", "0.25"))) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("regression of 'size, cost' (numbers) from 3 columns\nrows: 96 train, 24 validation")
    result = json.loads(captured.out)
    assert (result["task"], result["rows"]) == ("regression", {"train": 96, "validation": 24, "test": 40})
    assert [list(scores) for scores in result["scores"].values()] == [["rmse", "mae", "r2"]] * 2
    assert "positive_class" not in result
    shown = printed(capsys, ["show", out, "--json"])
    assert shown["target"] == {
        "name": "size, cost", "names": ["size", "cost"], "task": "regression", "classes": [], "positive": None,
        "threshold": 0.5,
    }  # fmt: skip
    assert {column["name"]: column["role"] for column in shown["columns"]} == {
        **dict.fromkeys(["x", "z", "day"], "feature"), **dict.fromkeys(["size", "cost"], "target"),
        **dict.fromkeys(["hot", "wet", "kind", "level"], "left out"),
    }  # fmt: skip
    assert run(["show", out]) == 0
    assert capsys.readouterr().out.startswith("regression of 'size, cost'\n")


def test_the_order_of_the_targets_is_that_of_the_flags(data, models, capsys):
    one, other = models("size", "cost"), models("cost", "size")
    assert run(["predict", one, data]) == 0
    assert capsys.readouterr().out.startswith("size,cost\n")
    assert run(["predict", other, data]) == 0
    assert capsys.readouterr().out.startswith("cost,size\n")
    assert lamina.load(other).predict(data)[:, 0].mean() == pytest.approx(100, abs=5)
    assert lamina.load(one).predict(data)[:, 1].mean() == pytest.approx(100, abs=5)


def test_several_numbers_are_scored_as_by_scikit_learn(data, models, capsys):
    folder = models("size", "cost")
    result = printed(capsys, ["evaluate", folder, data, "--json"])
    y, predicted = frame()["size", "cost"].to_numpy(), lamina.load(folder).predict(data)
    assert result["rows"] == 160
    assert result["scores"] == pytest.approx(
        {
            "rmse": sklearn.metrics.root_mean_squared_error(y, predicted),
            "mae": sklearn.metrics.mean_absolute_error(y, predicted),
            "r2": sklearn.metrics.r2_score(y, predicted),
        }
    )


def test_several_numbers_are_predicted_in_csv_and_json(data, models, tmp_path, capsys):
    folder = models("size", "cost")
    expected = lamina.load(folder).predict(data)
    features = tmp_path / "features.csv"
    frame()["day", "z", "x"].write_csv(features)  # neither the targets nor the order of the columns are needed
    for source in (data, str(features)):
        assert run(["predict", folder, source]) == 0
        table = table_of(capsys.readouterr().out)
        assert list(table[0]) == ["size", "cost"]
        assert np.array([[float(cell) for cell in row.values()] for row in table]) == pytest.approx(expected, rel=1e-12)
    assert run(["predict", folder, data, "--json", "--keep", "cost", "--keep", "x"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(rows[0]) == ["cost", "x", "size", "predicted_cost"]
    # The command predicts by NumPy, `expected` is torch's: equal but for the last digit of float64.
    assert np.array([[row["size"], row["predicted_cost"]] for row in rows]) == pytest.approx(expected, rel=1e-14)
    assert [float(row["cost"]) for row in rows] == frame()["cost"].to_list()
    assert run(["predict", folder, data, "--proba"]) == 2
    assert capsys.readouterr().err == "error: --proba is for classification; this model predicts numbers.\n"


# -- labels


def test_labels_are_trained_and_shown(data, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(command(data, out, "hot", "wet", flags=("--json",))) == 0
    captured = capsys.readouterr()
    said = "multilabel of 'hot, wet' (labels) from 3 columns; a label is predicted from probability 0.5 on\n"
    assert captured.err.startswith(said)
    result = json.loads(captured.out)
    assert result["task"] == "multilabel"
    assert list(result["scores"]["validation"]) == ["accuracy", "log_loss", "roc_auc"]
    assert "threshold" not in result
    assert run(["show", out]) == 0
    said = "multilabel of 'hot, wet'; a label is predicted from probability 0.5 on\n"
    assert capsys.readouterr().out.startswith(said)


def test_labels_are_scored_as_by_scikit_learn(data, models, capsys):
    result = printed(capsys, ["evaluate", models("hot", "wet"), data, "--json"])
    y, proba = frame()["hot", "wet"].to_numpy(), lamina.load(models("hot", "wet")).predict_proba(data)
    each = [sklearn.metrics.log_loss(y[:, i], proba[:, i]) for i in range(2)]
    assert result["scores"] == pytest.approx(
        {
            "accuracy": sklearn.metrics.accuracy_score(y, proba >= 0.5),
            "log_loss": np.mean(each),
            "roc_auc": sklearn.metrics.roc_auc_score(y, proba),
        }
    )


def test_labels_are_predicted_with_their_probabilities(data, models, capsys):
    folder = models("hot", "wet")
    proba = lamina.load(folder).predict_proba(data)
    assert proba.shape == (160, 2)
    assert run(["predict", folder, data, "--proba", "--keep", "hot"]) == 0
    table = table_of(capsys.readouterr().out)
    assert list(table[0]) == ["hot", "predicted_hot", "wet", "p_hot", "p_wet"]
    assert [[int(row["predicted_hot"]), int(row["wet"])] for row in table] == (proba >= 0.5).astype(int).tolist()
    found = np.array([[float(row["p_hot"]), float(row["p_wet"])] for row in table])
    assert found == pytest.approx(proba, rel=1e-12)
    assert [int(row["hot"]) for row in table] == frame()["hot"].to_list()
    assert run(["predict", folder, data, "--proba", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {
        "hot": int(proba[0, 0] >= 0.5), "wet": int(proba[0, 1] >= 0.5), "p_hot": pytest.approx(proba[0, 0], rel=1e-12),
        "p_wet": pytest.approx(proba[0, 1], rel=1e-12),
    }  # fmt: skip


def test_a_threshold_decides_on_labels(data, models, tmp_path, capsys):
    folder = models("hot", "wet")
    proba = lamina.load(folder).predict_proba(data)
    threshold = float(np.quantile(proba, 0.8).round(3))
    assert run(["predict", folder, data, "--threshold", str(threshold)]) == 0
    predicted = [[int(row["hot"]), int(row["wet"])] for row in table_of(capsys.readouterr().out)]
    assert predicted == (proba >= threshold).astype(int).tolist()
    assert 0 < np.sum(predicted) < (proba >= 0.5).sum()
    scores = printed(capsys, ["evaluate", folder, data, "--threshold", str(threshold), "--json"])["scores"]
    truth = frame()["hot", "wet"].to_numpy()
    assert scores["accuracy"] == pytest.approx((truth == predicted).all(axis=1).mean())
    out = str(tmp_path / "m")
    assert run(command(data, out, "hot", "wet", flags=("--threshold", str(threshold)))) == 0
    assert f"; a label is predicted from probability {threshold:g} on\n" in capsys.readouterr().err
    assert lamina.load(out).predict(data).tolist() == predicted  # trained no otherwise
    assert run(["show", out]) == 0
    assert f"; a label is predicted from probability {threshold:g} on\n" in capsys.readouterr().out


def test_labels_may_be_called_numbers_and_inspect_says_what_they_are(data, tmp_path, capsys):
    result = printed(capsys, command(data, tmp_path / "m", "hot", "wet", flags=("--task", "regression", "--json")))
    assert (result["task"], list(result["baselines"]["linear"])) == ("regression", ["rmse", "mae", "r2"])
    targets = ["--target", "hot", "--target", "wet"]
    about = printed(capsys, ["inspect", data, *targets, "--json"])
    assert (about["target"], about["task"], about["classes"]) == (["hot", "wet"], "multilabel", [])
    assert [fact["name"] for fact in about["columns"] if fact["role"] == "target"] == ["hot", "wet"]
    assert run(["inspect", data, *targets]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "target: 'hot, wet', multilabel"
    one = printed(capsys, ["inspect", data, "--target", "level", "--json"])
    assert (one["target"], one["classes"]) == ("level", ["high", "low", "mid"])


def test_one_label_alone_is_a_label_where_that_is_said(data, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert printed(capsys, command(data, out, "hot", flags=("--task", "multilabel", "--json")))["task"] == "multilabel"
    assert run(["predict", out, data, "--proba"]) == 0
    assert capsys.readouterr().out.startswith("hot,p_hot\n")


def test_a_target_named_twice_is_one_target_or_refused(data, tmp_path, capsys):
    out = str(tmp_path / "m")
    code = run([*command(data, out, "size", "cost"), "--target", "size", "-q"])
    assert code in (0, 2, 3)
    assert code != 0 or lamina.load(out).schema.target.names == ("size", "cost")


# -- the positive class and its threshold


def test_the_positive_class_is_the_last_one_and_the_threshold_a_half(data, models, capsys):
    folder = models("kind")
    loaded = lamina.load(folder)
    scores = printed(capsys, ["evaluate", folder, data, "--json"])["scores"]
    is_yes, found = frame()["kind"].to_numpy() == "yes", loaded.predict(data) == "yes"
    assert scores["precision"] == pytest.approx(is_yes[found].mean())
    assert scores["recall"] == pytest.approx(found[is_yes].mean())
    assert scores["f1"] == pytest.approx(sklearn.metrics.f1_score(is_yes, found))
    assert np.array_equal(found, loaded.predict_proba(data)[:, 1] > 0.5)


@pytest.mark.parametrize(("positive", "column"), [("no", 0), ("yes", 1)])
def test_positive_class_and_threshold_are_said_kept_and_heeded(data, models, tmp_path, positive, column, capsys):
    out = str(tmp_path / "m")
    flags = ("--positive-class", positive, "--threshold", "0.3")
    assert run(command(data, out, "kind", flags=(*flags, "--json"))) == 0
    captured = capsys.readouterr()
    said = f"; {positive!r} is predicted from probability 0.3 on\n"
    assert captured.err.startswith(f"classification of 'kind' (2 classes) from 3 columns{said}")
    result = json.loads(captured.out)
    assert (result["positive_class"], result["threshold"]) == (positive, 0.3)
    assert run(["show", out]) == 0
    assert capsys.readouterr().out.startswith(f"classification of 'kind' of 2 classes{said}")
    shown = printed(capsys, ["show", out, "--json"])
    assert (shown["target"]["positive"], shown["target"]["threshold"]) == (column, 0.3)
    assert (shown["config"]["positive_class"], shown["config"]["threshold"]) == (positive, 0.3)

    proba = lamina.load(models("kind")).predict_proba(data)
    assert np.array_equal(lamina.load(out).predict_proba(data), proba)  # trained no otherwise
    expected = np.where((proba[:, column] >= 0.3) == (positive == "yes"), "yes", "no").tolist()
    assert run(["predict", out, data]) == 0
    assert [row["kind"] for row in table_of(capsys.readouterr().out)] == expected
    assert expected != lamina.load(models("kind")).predict(data).tolist()
    scores = printed(capsys, ["evaluate", out, data, "--json"])["scores"]
    truth = frame()["kind"].to_list()
    assert scores["recall"] == pytest.approx(sklearn.metrics.recall_score(truth, expected, pos_label=positive))
    assert scores["precision"] == pytest.approx(sklearn.metrics.precision_score(truth, expected, pos_label=positive))
    assert scores["accuracy"] == pytest.approx(np.mean(np.array(truth) == expected))


def test_evaluate_and_predict_take_another_threshold_and_keep_the_positive_class(data, models, tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(command(data, out, "kind", flags=("--positive-class", "no", "--threshold", "0.2", "-q"))) == 0
    p_no = lamina.load(out).predict_proba(data)[:, 0]
    truth = frame()["kind"].to_numpy() == "no"
    recalls = []
    capsys.readouterr()
    for threshold in ("0", "0.45", "0.7", "1"):
        assert run(["predict", out, data, "--threshold", threshold]) == 0
        found = np.array([row["kind"] == "no" for row in table_of(capsys.readouterr().out)])
        assert np.array_equal(found, p_no >= float(threshold))
        scores = printed(capsys, ["evaluate", out, data, "--threshold", threshold, "--json"])["scores"]
        assert scores["recall"] == pytest.approx(found[truth].mean())
        assert ("precision" in scores) == found.any()
        recalls.append(scores["recall"])
    assert recalls == sorted(recalls, reverse=True)
    assert (recalls[0], recalls[-1]) == (1.0, 0.0)
    assert lamina.load(out).schema.target.threshold == 0.2  # the folder stays as it is


def test_a_requirement_is_checked_at_the_threshold(data, models, capsys):
    folder = models("kind")
    assert run(["evaluate", folder, data, "--threshold", "0", "--require", "recall>=1", "-q"]) == 0
    assert run(["evaluate", folder, data, "--threshold", "1", "--require", "recall>=0.5", "-q"]) == 4
    assert "the requirement recall>=0.5 is missed: the value is 0." in capsys.readouterr().err


def test_a_requirement_of_a_score_that_is_not_defined_is_missed(data, models):
    assert run(["evaluate", models("kind"), data, "--threshold", "1", "--require", "precision>=0.5"]) == 4


def test_a_class_may_be_a_number_or_a_truth_value(data, tmp_path, capsys):
    result = printed(capsys, command(data, tmp_path / "m", "hot", flags=("--positive-class", "0", "--json")))
    assert result["positive_class"] == 0
    truth = frame().with_columns(pl.col("hot") == 1)
    truth.write_csv(tmp_path / "truth.csv")
    truth.write_parquet(tmp_path / "truth.parquet")
    # In a CSV file they are texts, and stay as they are there.
    for name, given, expected in (("csv", "False", "false"), ("parquet", "false", False)):
        flags = ("--positive-class", given, "--json")
        result = printed(capsys, command(str(tmp_path / f"truth.{name}"), tmp_path / "m", "hot", flags=flags))
        assert result["positive_class"] == expected


@pytest.mark.parametrize(
    ("target", "flags", "said"),
    [
        ("kind", ["--positive-class", "maybe"], "positive_class names 'maybe', which is no class. Classes: no, yes."),
        ("kind", ["--threshold", "1.5"], "threshold = '1.5' is out of bounds: it must be at most 1.0."),
        ("kind", ["--threshold", "-0.1"], "threshold = '-0.1' is out of bounds: it must be at least 0.0."),
        ("kind", ["--threshold", "nan"], "threshold = 'nan' is not a finite number."),
        ("level", ["--positive-class", "mid"], "positive_class is for a target of two classes, which this is not; lea"),
        ("level", ["--threshold", "0.3"], "threshold is for two classes or for labels, which the target is not; leave"),
        ("size", ["--threshold", "0.3"], "threshold is for two classes or for labels, which the target is not; leave"),
        ("size", ["--positive-class", "1"], "positive_class is for a target of two classes, which this is not; leave"),
        ("size", ["--watch", "roc_auc"], "the metric 'roc_auc' is not for regression; watch loss, or one of rmse, mae"),
        ("size", ["--class-weight", "balanced"], "class_weight is for one target of classes, which this is not; leave"),
        ("kind", ["--loss", "quantile"], "the loss 'quantile' is for regression, but the task is classification; leav"),
        ("kind", ["--target-transform", "log1p"], "target_transform is for numbers, but the target is classes; leave"),
        ("size", ["--quantile", "1"], "quantile = '1' is out of bounds: it must be below 1.0."),
        ("size", ["--loss", "quantil"], "unknown loss 'quantil'. Did you mean 'quantile'?"),
        ("kind", ["--optimizer", "lbfgs", "--dropout", "0.2"], "line search of lbfgs cannot follow it; use dropout 0."),
        ("kind", ["--optimizer", "lbfgs", "--clip-norm", "1"], "clip_norm has no meaning for lbfgs, which searches fo"),
        ("kind", ["--schedule", "adaptiv"], "unknown schedule 'adaptiv'. Did you mean 'adaptive'?"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_the_target_are_wrong_usage(data, tmp_path, target, flags, said, capsys):
    assert run(command(data, tmp_path / "m", target, flags=("-q", *flags))) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert (captured.out, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_threshold_that_does_not_fit_the_model_is_wrong_usage(data, models, name, capsys):
    for target, threshold, said in (
        ("kind", "1.5", "threshold = '1.5' is out of bounds: it must be at most 1.0."),
        ("kind", "half", "threshold = 'half' is not a finite number."),
        ("level", "0.3", "threshold is for two classes or for labels, which the target is not; leave it out."),
        ("size", "0.3", "threshold is for two classes or for labels, which the target is not; leave it out."),
    ):
        folder = models(target)
        capsys.readouterr()
        assert run([name, folder, data, "--threshold", threshold]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", f"error: {said}\n")


# -- losses, watched metrics, transforms


def test_a_watched_metric_chooses_the_epoch(data, tmp_path):
    out = tmp_path / "m"
    flags = ("--watch", "roc_auc", "--epochs", "12", "--learning-rate", "0.05", "--patience", "12", "-q")
    assert run(command(data, out, "kind", flags=flags)) == 0
    loaded = lamina.load(out)
    scores = [record.validation_score for record in loaded.history]
    assert len(scores) == 12
    assert loaded.report.best_epoch == 1 + next(i for i, value in enumerate(scores) if value >= max(scores) - 1e-4)
    assert loaded.report.scores["validation"]["roc_auc"] == pytest.approx(scores[loaded.report.best_epoch - 1])
    assert loaded.config.watch == "roc_auc"


def test_the_quantile_loss_leaves_its_share_below(data, tmp_path):
    shares = {}
    for quantile in ("0.1", "0.9"):
        flags = (
            "--loss",
            "quantile",
            "--quantile",
            quantile,
            "--drop",
            "z",
            "--epochs",
            "40",
            "--validation",
            "0",
            "-q",
        )
        assert run(command(data, tmp_path / quantile, "cost", flags=flags)) == 0
        loaded = lamina.load(tmp_path / quantile)
        shares[quantile] = float(np.mean(frame()["cost"].to_numpy() <= loaded.predict(data)))
        assert (loaded.config.loss, loaded.config.quantile) == ("quantile", float(quantile))
    assert shares == pytest.approx({"0.1": 0.1, "0.9": 0.9}, abs=0.08)


def test_a_transform_of_the_target_is_undone_in_predictions(data, tmp_path, capsys):
    skewed = frame().with_columns(cost=(5 * pl.col("x")).exp())
    skewed.write_csv(tmp_path / "skewed.csv")
    flags = ("--target-transform", "log", "--epochs", "40", "-q")
    assert run(command(str(tmp_path / "skewed.csv"), tmp_path / "m", "cost", flags=flags)) == 0
    predicted = lamina.load(tmp_path / "m").predict(tmp_path / "skewed.csv")
    assert (predicted > 0).all()
    assert np.corrcoef(np.log(predicted), np.log(skewed["cost"].to_numpy()))[0, 1] > 0.95


def test_a_target_that_its_transform_does_not_allow_is_named(data, tmp_path, capsys):
    assert run(command(data, tmp_path / "m", "size", flags=("--target-transform", "log", "-q"))) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("error: the target 'size' has ")
    assert captured.err.endswith(", but the transform log needs values above 0; correct them or choose another.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [("--target-transform", "log"), ("--loss", "poisson")], ids=["log", "poisson"])
def test_a_watched_row_that_the_transform_does_not_allow_is_named(tmp_path, flags, capsys):
    frame().write_csv(tmp_path / "train.csv")
    frame(20).with_columns(cost=-pl.col("cost")).write_csv(tmp_path / "watched.csv")
    out, watched = tmp_path / "m", ("--validation", str(tmp_path / "watched.csv"), "-q")
    assert run(command(str(tmp_path / "train.csv"), out, "cost", flags=(*flags, *watched))) == 3
    assert "the target 'cost' has 20 values such as -" in capsys.readouterr().err


# -- optimizers, schedules, dates, aliases


def test_lbfgs_needs_no_learning_rate_and_finds_a_linear_model(data, tmp_path):
    flags = (
        "--optimizer",
        "lbfgs",
        "--hidden-units",
        "none",
        "--weight-decay",
        "0",
        "--drop",
        "day",
        "--epochs",
        "100",
    )
    more = ("--numeric", "standard", "--validation", "0", "--dtype", "float64", "--tol", "1e-9", "-q")
    assert run(command(data, tmp_path / "m", "size", "cost", flags=(*flags, *more))) == 0
    loaded = lamina.load(tmp_path / "m")
    design = np.c_[np.ones(160), frame()["x", "z"].to_numpy()]
    y = frame()["size", "cost"].to_numpy()
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(loaded.predict(data), expected, atol=1e-5)
    assert (loaded.config.schedule, loaded.config.dropout, len(loaded.history) < 100) == ("constant", 0.0, True)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_runs(data, tmp_path, name):
    flags = ("--schedule", name, "--epochs", "8", "--learning-rate", "0.01", "--validation", "0", "-q")
    patience = ("--patience", "1", "--tol", "0.5") if name == "adaptive" else ()
    assert run(command(data, tmp_path / "m", "kind", flags=(*flags, *patience))) == 0
    loaded = lamina.load(tmp_path / "m")
    rates = [record.learning_rate for record in loaded.history]
    assert (loaded.config.schedule, len(rates)) == (name, 8)
    assert np.isfinite([record.train_loss for record in loaded.history]).all()
    n_steps = 10  # of an epoch: 160 rows in minibatches of 16
    expected = {
        "constant": [0.01] * 8,
        "step": [0.01] * 4 + [0.001] * 2 + [0.0001] * 2,
        "inverse_scaling": [0.01 / np.sqrt(n_steps * epoch) for epoch in range(1, 9)],
        "adaptive": [0.01, 0.01, 0.002, 0.0004, 0.00008, 0.000016, 0.0000032, 0.00000064],
    }
    if name in expected:
        assert rates == pytest.approx(expected[name], rel=1e-6)
    elif name == "warm_up":
        assert rates[0] < rates[1] == rates[-1] == 0.01
    else:
        assert rates[-1] == pytest.approx(0, abs=1e-12)
        assert max(rates) == pytest.approx(0.01, rel=0.06)


def test_a_column_of_dates_is_learned_from(tmp_path, capsys):
    data = frame().with_columns(cost=pl.col("day").str.to_date().dt.weekday().cast(float) + 0.5)
    data.write_csv(tmp_path / "data.csv")
    flags = ("--drop", "x", "--drop", "z", "--epochs", "60")
    assert run(command(str(tmp_path / "data.csv"), tmp_path / "m", "cost", flags=flags)) == 0
    shown = printed(capsys, ["show", str(tmp_path / "m"), "--json"])
    assert {c["name"]: (c["kind"], c["role"]) for c in shown["columns"]}["day"] == ("datetime", "feature")
    assert shown["scores"]["validation"]["r2"] > 0.8
    (tmp_path / "new.csv").write_text("day\n2024-03-04\n2024-03-10\n")  # a Monday and a Sunday
    assert run(["predict", str(tmp_path / "m"), str(tmp_path / "new.csv")]) == 0
    monday, sunday = [float(row["cost"]) for row in table_of(capsys.readouterr().out)]
    assert monday == pytest.approx(1.5, abs=1.5)
    assert sunday == pytest.approx(7.5, abs=1.5)
    (tmp_path / "bad.csv").write_text("day\n2024-03-04\nsoon\n")
    assert run(["predict", str(tmp_path / "m"), str(tmp_path / "bad.csv")]) == 3
    assert "bad.csv, column 'day', row 2: 'soon' is not a date such as 2024-05-31" in capsys.readouterr().err


def test_names_of_other_libraries_are_understood(data, tmp_path, capsys):
    flags = ("--activation", "logistic", "--schedule", "invscaling", "-q")
    assert run(command(data, tmp_path / "m", "kind", flags=flags)) == 0
    config = lamina.load(tmp_path / "m").config
    assert (config.activation, config.schedule) == ("sigmoid", "inverse_scaling")
    capsys.readouterr()
    assert run(["train", "--print-config", "--activation", "logistic,relu", "--hidden-units", "4,4"]) == 0
    assert 'activation = ["sigmoid", "relu"]\n' in capsys.readouterr().out


def test_a_prediction_is_written_as_parquet_where_the_file_is_called_so(tmp_path, capsys):
    dates = [datetime(2024, 1, day + 1) for day in range(20)]
    frame = pl.DataFrame(
        {
            "x": [float(i) for i in range(20)], "day": dates, "ok": [True, False] * 10, "word": ["a", None] * 10,
            "y": [0.5 * i for i in range(20)],
        }
    )  # fmt: skip
    frame.write_parquet(tmp_path / "t.parquet")
    model = lamina.fit(frame, "y", hidden_units=(), members=1, epochs=2, seed=0, baselines=False)
    model.save(tmp_path / "m")
    keep = ["--keep", "y", "--keep", "day", "--keep", "ok", "--keep", "word"]
    arguments = ["predict", str(tmp_path / "m"), str(tmp_path / "t.parquet"), *keep]
    assert run([*arguments, "-o", str(tmp_path / "p[1].parquet")]) == 0
    found = pl.read_parquet(tmp_path / "p[1].parquet", glob=False)
    assert found.columns == ["y", "day", "ok", "word", "predicted_y"]
    assert found[["y", "day", "ok", "word"]].equals(frame[["y", "day", "ok", "word"]])
    np.testing.assert_allclose(found["predicted_y"], model.predict(frame), atol=1e-9)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".writing-")] == []
    assert run([*arguments, "--json", "-o", str(tmp_path / "q.parquet")]) == 2
    assert "--json writes lines of text, but " in capsys.readouterr().err
    assert run([*arguments[:3], "--keep", "predicted_y", "-o", str(tmp_path / "q.parquet")]) == 3
    frame.rename({"word": "predicted_y"}).write_parquet(tmp_path / "t.parquet")
    model = lamina.fit(frame.drop("word"), "y", hidden_units=(), members=1, epochs=2, seed=0, baselines=False)
    model.save(tmp_path / "m")
    twice = [*arguments[:3], "--keep", "y", "--keep", "predicted_y", "-q", "-o", str(tmp_path / "q.parquet")]
    with warnings.catch_warnings(action="ignore"):
        assert run(twice) == 2
    assert "the output has 2 columns 'predicted_y', which Parquet does not take; write CSV" in capsys.readouterr().err
    assert not (tmp_path / "q.parquet").exists()
