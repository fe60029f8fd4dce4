"""Cross-validation: folds that divide the rows, scores that are what NumPy makes of them, and the command's --folds."""

import io
import itertools
import json
import re
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lamina
from lamina import cross_validation
from lamina.cli.main import run
from lamina.cross_validation import cross_validate, fold_runs, summary
from lamina.data.splits import folds
from lamina.data.table import Column, text_column
from lamina.errors import ConfigError, DataError

QUICK = {"epochs": 3, "hidden_units": (8,), "seed": 5}
FLAGS = ("--epochs", "3", "--hidden-units", "8", "--seed", "5")
seeds = st.integers(0, 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_each_row_is_in_one_fold(n: int, found: list[np.ndarray]) -> None:
    assert np.sort(np.concatenate(found)).tolist() == list(range(n))
    assert all((np.diff(fold) > 0).all() for fold in found)


def frame(n: int = 60, n_groups: int = 12) -> pl.DataFrame:
    """Two numbers, a group, a class and a number to predict, which no two rows have the same of."""
    x, z = rng().normal(size=(2, n))
    return pl.DataFrame(
        {"x": x, "z": z, "g": [f"g{i % n_groups}" for i in range(n)], "c": np.where(x > z, "high", "low"), "y": x + z}
    )


# -- folds


@given(y=st.lists(st.integers(0, 3), min_size=2, max_size=60), data=st.data(), seed=seeds)
def test_folds_divide_rows_and_classes_evenly(y, data, seed):
    k = data.draw(st.integers(2, len(y)))
    found = folds(k, np.array(y), rng(seed))
    assert len(found) == k
    assert_each_row_is_in_one_fold(len(y), found)
    for counts in ([len(fold) for fold in found], *([(np.array(y)[f] == c).sum() for f in found] for c in set(y))):
        assert max(counts) - min(counts) <= 1


@given(k=st.integers(2, 10), seed=seeds, shape=st.sampled_from([(), (1,)]))
def test_each_stretch_of_a_number_is_divided_evenly(k, seed, shape):
    y = rng(seed).normal(size=(80, *shape))
    found = folds(k, y, rng(seed))
    assert_each_row_is_in_one_fold(80, found)
    for quarter in np.split(np.argsort(y.ravel()), 4):
        assert max(abs(np.isin(quarter, fold).sum() - 20 / k) for fold in found) < 1 + 1e-9


@given(n=st.integers(2, 60), data=st.data(), seed=seeds)
def test_several_targets_are_divided_without_regard_to_any_of_them(n, data, seed):
    k = data.draw(st.integers(2, n))
    y = rng(seed).normal(size=(n, 2))
    found = folds(k, y, rng(seed))
    assert_each_row_is_in_one_fold(n, found)
    assert {len(fold) for fold in found} <= {n // k, -(-n // k)}
    assert [fold.tolist() for fold in folds(k, y[::-1], rng(seed))] == [fold.tolist() for fold in found]


@given(
    group=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60).filter(lambda group: len(set(group)) > 1),
    data=st.data(),
    seed=seeds,
)
def test_groups_stay_whole_and_are_balanced(group, data, seed):
    sizes = np.unique(group, return_counts=True)[1]
    k = data.draw(st.integers(2, len(sizes)))
    found = folds(k, np.zeros(len(group)), rng(seed), group=text_column(group))
    assert_each_row_is_in_one_fold(len(group), found)
    assert sum(len({group[row] for row in fold}) for fold in found) == len(sizes)
    counts = [len(fold) for fold in found]
    assert min(counts) > 0
    assert max(counts) - min(counts) <= sizes.max()


def test_the_largest_groups_are_placed_first():
    # 6 | 5, 6 | 5 + 4, 6 + 3 | 9, and the last 3 to the first of two equal folds.
    group = np.repeat(list("abcde"), [4, 3, 6, 3, 5]).tolist()
    for seed in range(10):
        found = folds(2, np.zeros(21), rng(seed), group=text_column(group))
        assert [sorted({group[row] for row in fold}) for fold in found] == [["b", "c", "d"], ["a", "e"]]


def test_the_seed_decides_alone():
    y = np.arange(50) % 3
    first, again, other = ([fold.tolist() for fold in folds(4, y, rng(seed))] for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("k", "group", "what"),
    [
        (1, None, "rows, 6"), (0, None, "rows, 6"), (-2, None, "rows, 6"), (7, None, "rows, 6"),
        (4, text_column(list("aabbcc")), "groups, 3"), (1, text_column(list("aabbcc")), "groups, 3"),
        (2, Column("number", np.ones(6)), "groups, 1"),
    ],
)  # fmt: skip
def test_a_number_of_folds_that_cannot_be(k, group, what):
    said = f"folds = {k}, but it must be at least 2 and at most the number of {what}."
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        folds(k, np.zeros(6), rng(), group=group)


def test_a_group_must_be_known():
    with pytest.raises(DataError, match="the group column has no value in row 3; fill it or drop the row"):
        folds(2, np.zeros(4), rng(), group=text_column(["a", "b", None, "b"]))


# -- runs


def rows_of(run_: lamina.fitting.Run, data: pl.DataFrame) -> dict[str, list[int]]:
    """The rows of ``data`` in each part, told by their target."""
    where = {value: row for row, value in enumerate(data["y"].to_list())}
    return {name: [where[value] for value in part.y[:, 0].tolist()] for name, part in run_.parts.items()}


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("n", [60, 160])  # 45 rows to learn from, and 120, of which 24 are for early stopping
def test_each_row_is_tested_once_and_not_trained_on_then(n, group):
    data = frame(n)
    drop = ("c", "g") if group is None else ("c",)
    tested = []
    for each in fold_runs(data, "y", folds=4, group=group, drop=drop, **QUICK):
        rows = rows_of(each, data)
        assert sorted(itertools.chain(*rows.values())) == list(range(n))
        assert ("validation" in rows) == (n == 160)
        for name in set(rows) - {"test"}:  # the positions of these are those in the data
            assert each.parts[name].positions.tolist() == rows[name]
        if group is not None:
            seen = {data["g"][row] for name in set(rows) - {"test"} for row in rows[name]}
            assert not seen & {data["g"][row] for row in rows["test"]}
        tested += rows["test"]
    assert sorted(tested) == list(range(n))


def test_the_positions_of_the_test_rows_are_those_in_the_data():
    data = frame()
    for each in fold_runs(data, "y", folds=3, drop=("c", "g"), **QUICK):
        assert each.parts["test"].positions.tolist() == rows_of(each, data)["test"]


def test_columns_and_classes_are_those_of_all_rows():
    data = frame(40).with_columns(c=pl.Series(["high"] * 13 + ["low"] * 26 + ["none"]))
    runs = list(fold_runs(data, "c", folds=5, drop=("y",), **QUICK))
    assert [run_.schema.target.classes for run_ in runs] == [("high", "low", "none")] * 5
    assert [run_.schema.columns for run_ in runs] == [runs[0].schema.columns] * 5
    shares = [np.bincount(run_.parts["test"].y, minlength=3) for run_ in runs]
    assert np.ptp(shares, axis=0).tolist() == [1, 1, 1]


def test_rows_without_a_target_are_dropped_where_that_is_asked_for():
    data = frame().with_columns(c=pl.when(pl.int_range(pl.len()) % 10 == 3).then(None).otherwise(pl.col("c")))
    runs = list(fold_runs(data, "c", folds=3, drop_missing_targets=True, drop=("y",), **QUICK))
    assert sum(len(run_.parts["test"]) for run_ in runs) == 54
    with pytest.raises(DataError, match="the target 'c' is missing in 6 rows, the first is row 4"):
        next(fold_runs(data, "c", folds=3, **QUICK))


def test_rows_ordered_by_time_have_no_folds():
    said = "folds take rows from all times, which `time` rules out; leave one of the two out."
    with pytest.raises(ConfigError, match=re.escape(said)):
        cross_validate(frame(), "y", folds=3, time="z", **QUICK)


# -- scores


def test_mean_and_standard_error_are_those_of_the_folds():
    options = {**QUICK, "drop": ("y",)}
    reports = []
    for each in fold_runs(frame(90), "c", folds=4, **options):
        for _ in each.train():
            pass
        reports.append(each.finish().report)
    found = cross_validate(frame(90), "c", folds=4, **options)
    assert list(found) == ["MLP", "linear", "constant"]
    by_name = {
        "MLP": [report.scores["test"] for report in reports],
        "linear": [report.baselines["linear"] for report in reports],
        "constant": [report.baselines["constant"] for report in reports],
    }
    for name, scores in by_name.items():
        assert set(found[name]) == set.intersection(*(set(each) for each in scores))
        for metric, value in found[name].items():
            values = np.array([each[metric] for each in scores])
            error = np.sqrt(((values - values.mean()) ** 2).sum() / 3 / 4)
            assert value == pytest.approx({"mean": values.mean(), "standard_error": error}, abs=1e-12)
    assert found["MLP"]["accuracy"]["standard_error"] > 0
    assert {"accuracy", "log_loss", "roc_auc", "recall"} <= set(found["MLP"])
    assert [set(report.scores) for report in reports] == [{"test"}] * 4


def test_summary_by_hand():
    scores = [
        {"MLP": {"rmse": 1.0, "r2": 0.5}, "constant": {"rmse": 4.0}},
        {"MLP": {"rmse": 2.0}, "constant": {"rmse": 4.0}},
        {"MLP": {"rmse": 6.0, "r2": 0.1}, "constant": {"rmse": 4.0}},
    ]
    assert summary(scores) == {
        "MLP": {"rmse": pytest.approx({"mean": 3.0, "standard_error": np.sqrt(7 / 3)})},  # r2: not in every fold
        "constant": {"rmse": {"mean": 4.0, "standard_error": 0.0}},
    }


def test_the_seed_decides_every_score_and_the_order_of_the_rows_none():
    data = frame()

    def scores(data: pl.DataFrame = data, seed: int = 5) -> dict[tuple[str, str], float]:
        found = cross_validate(data, "y", folds=3, drop=("c", "g"), **{**QUICK, "seed": seed})
        return {(name, metric): each["mean"] for name, values in found.items() for metric, each in values.items()}

    assert scores() == scores()
    assert scores(data[::-1]) == pytest.approx(scores(), rel=1e-6)  # the linear baseline rounds to float32
    assert scores(seed=6)["MLP", "rmse"] != pytest.approx(scores()["MLP", "rmse"], rel=1e-3)


def test_five_folds_by_default_and_baselines_where_wanted():
    done = []
    options = {"epochs": 1, "hidden_units": (4,), "each": lambda: done.append("fold")}
    scores = lamina.cross_validate("iris", baselines=False, **options)
    assert (list(scores), done) == (["MLP"], ["fold"] * 5)


def test_folds_side_by_side_have_the_scores_of_folds_in_turn():
    done = []
    options = {"folds": 3, "dtype": "float64", **QUICK}
    alone = cross_validate(frame(90), "c", **options)
    together = cross_validate(frame(90), "c", n_jobs=2, each=lambda: done.append("fold"), **options)
    assert done == ["fold"] * 3
    for name, scores in alone.items():
        for metric, value in scores.items():
            assert together[name][metric] == pytest.approx(value, rel=1e-9), (name, metric)
    for n_jobs in (0, -2):
        with pytest.raises(ConfigError, match=f"n_jobs = {n_jobs}; give a number of processes, or -1 for one a core."):
            cross_validate(frame(90), "c", n_jobs=n_jobs, **options)


def test_a_class_without_training_rows_in_a_fold_is_handled():
    c = ["high"] * 20 + ["low"] * 19 + ["none"]
    scores = cross_validate(frame(40).with_columns(c=pl.Series(c)), "c", folds=4, drop=("y",), **QUICK)
    assert all(set(values) == {"accuracy", "log_loss"} for values in scores.values())  # roc_auc is not defined
    assert all(np.isfinite(list(value.values())).all() for values in scores.values() for value in values.values())
    assert scores["constant"]["accuracy"]["mean"] < 0.6


def test_one_class_only_in_the_training_rows_of_a_fold_is_handled():
    c = ["common"] * 39 + ["rare"]
    scores = cross_validate(frame(40).with_columns(c=pl.Series(c)), "c", folds=4, drop=("y",), **QUICK)
    assert scores["constant"]["accuracy"]["mean"] == pytest.approx(39 / 40)
    assert list(scores) == ["MLP", "linear", "constant"]


def test_labels_and_weights_are_cross_validated():
    data = frame(90).with_columns(
        a=(pl.col("x") > 0).cast(int), b=(pl.col("z") > 1).cast(int), w=1.0 + pl.col("x") ** 2
    )
    options = {**QUICK, "drop": ("c", "y", "g"), "weight": "w"}
    scores = cross_validate(data, ["a", "b"], folds=3, **options)["MLP"]
    assert set(scores) == {"accuracy", "log_loss", "roc_auc"}
    runs = list(fold_runs(data, ["a", "b"], folds=3, **options))
    assert sorted(np.concatenate([run_.parts["test"].weights for run_ in runs])) == sorted(data["w"])


def test_it_is_public():
    assert lamina.cross_validate is cross_validation.cross_validate
    assert "cross_validate" in lamina.__all__


# -- the command line


def test_folds_are_in_json_text_and_the_model(tmp_path, capsys):
    out = str(tmp_path / "m")
    assert run(["train", "iris", "-o", out, "--folds", "3", "--json", *FLAGS]) == 0
    result = json.loads(capsys.readouterr().out)
    keys = ["model", "task", "rows", "seconds", "scores", "baselines", "comparison", "diagnosis", "folds"]
    assert list(result) == keys
    assert result["folds"] == {"k": 3, "scores": cross_validate("iris", folds=3, **QUICK)}
    assert list(result["folds"]["scores"]["MLP"]["accuracy"]) == ["mean", "standard_error"]
    assert result["rows"] == {"train": 120, "validation": 30}  # the model itself is trained as without folds
    assert run(["show", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folds"] == result["folds"]

    assert run(["train", "iris", "-o", out, "--folds", "3", *FLAGS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["accuracy", "log_loss", "roc_auc"]
    assert [line.split("  ")[0] for line in lines[1:4]] == ["MLP, 3 folds", "linear, 3 folds", "constant, 3 folds"]
    value = result["folds"]["scores"]["linear"]["log_loss"]
    assert f"{value['mean']:.4f} ± {value['standard_error']:.4f}" in lines[2]
    assert lines[4].startswith("MLP, validation (30 rows)")
    assert run(["show", out]) == 0
    assert [line.rstrip() for line in lines[1:4]] == [
        line for line in capsys.readouterr().out.splitlines() if "±" in line
    ]


def test_with_folds_there_is_a_score_though_no_rows_are_held_out(tmp_path, capsys):
    assert run(["train", "iris", "-o", str(tmp_path / "m"), "--folds", "2", "--validation", "0", *FLAGS]) == 0
    captured = capsys.readouterr()
    assert [line.split(",")[0] for line in captured.out.splitlines()[1:-1]] == ["MLP", "linear", "constant"]
    assert captured.out.count("±") == 9
    assert "no rows were held out" not in captured.err
    assert run(["train", "iris", "-o", str(tmp_path / "m"), "--validation", "0", *FLAGS]) == 0
    said = "no rows were held out, so there is no score; --folds K or --test FRACTION|FILE gives one\n"
    assert said in capsys.readouterr().err
    assert lamina.load(tmp_path / "m").report.folds == {}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--folds", "1"], "folds = 1, but it must be at least 2 and at most the number of rows, 60."),
        (["--folds", "61"], "folds = 61, but it must be at least 2 and at most the number of rows, 60."),
        (["--folds", "13", "--group", "g"], "at least 2 and at most the number of groups, 12."),
        (["--folds", "3", "--time", "z"], "folds take rows from all times, which `time` rules out; leave one"),
        (["--folds", "many"], "'many' is not a valid integer"),
    ],
)
def test_folds_that_make_no_sense_are_wrong_usage(tmp_path, flags, said, capsys):
    frame().write_csv(tmp_path / "data.csv")
    assert run(["train", str(tmp_path / "data.csv"), "--target", "c", "-o", str(tmp_path / "m"), *FLAGS, *flags]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert not (tmp_path / "m").exists()


def test_no_jobs_are_wrong_usage(tmp_path, capsys):
    assert run(["train", "iris", "--folds", "3", "--jobs", "0", "-o", str(tmp_path / "m")]) == 2
    assert "n_jobs = 0; give a number of processes, or -1 for one a core." in capsys.readouterr().err


def test_jobs_without_folds_are_wrong_usage(capsys):
    assert run(["train", "iris", "--jobs", "2"]) == 2
    assert "--jobs is for the folds of cross-validation; add --folds K, or leave it out." in capsys.readouterr().err


def test_folds_of_standard_input(tmp_path, monkeypatch, capsys):
    content = frame().write_csv().encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    flags = ["--target", "c", "--drop", "y", "--drop", "g", "--folds", "3", "--json"]
    assert run(["train", "-", "-o", str(tmp_path / "m"), *flags, *FLAGS]) == 0
    (tmp_path / "data.csv").write_bytes(content)
    expected = cross_validate(tmp_path / "data.csv", "c", folds=3, drop=("y", "g"), **QUICK)
    assert json.loads(capsys.readouterr().out)["folds"]["scores"] == expected
