"""The commonest failures of other systems, one test each; the numbers are those of the project's list of them."""

import inspect
import json
import os
import pickle
import random
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

import lamina
from lamina import MLPClassifier, MLPRegressor
from lamina.config import options
from lamina.training import loop, rows
from lamina.training.rows import Rows

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
CORE = {"hidden_units": (8,), "epochs": 4, "seed": 0}
ESTIMATORS = [MLPClassifier, MLPRegressor]


def table(rows: int = 150, seed: int = 0) -> pd.DataFrame:
    """Return a frame whose target, yes or no, follows from the sign of ``a``, or of ``b`` where ``city`` is Ulm."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    frame["city"] = rng.choice(["Bonn", "Ulm", "Trier"], rows)
    frame["y"] = np.where(np.where(frame["city"] == "Ulm", frame["b"], frame["a"]) > 0, "yes", "no")
    return frame


def core_probabilities(train: pd.DataFrame, new: pd.DataFrame, **more) -> np.ndarray:
    return lamina.fit(train, "y", **{**CORE, **more}).predict_proba(new)


def estimator_probabilities(train: pd.DataFrame, new: pd.DataFrame, **more) -> np.ndarray:
    fitted = MLPClassifier(**{**QUICK, **more}).fit(train.drop(columns="y"), train["y"])
    return fitted.predict_proba(new.drop(columns="y", errors="ignore"))


both_doors = pytest.mark.parametrize("probabilities", [core_probabilities, estimator_probabilities])


# -- 1. Pins that break installs


def test_dependencies_have_no_upper_bounds():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    needed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(each for extra in extras.values() for each in extra),
    ]
    assert len(needed) > 15
    assert [each for each in needed if not re.fullmatch(r"[\w-]+(\[[\w,]+\]|>=[\d.]+)", each)] == []
    assert re.fullmatch(r">=3\.\d+", project["project"]["requires-python"])


# -- 2. Targets of shape (n, 1) broadcast silently


def test_targets_of_shape_n_1_are_not_broadcast():
    X, y = load_diabetes(return_X_y=True)
    flat, column = (lamina.fit((X, target), **CORE) for target in (y, y[:, None]))
    np.testing.assert_array_equal(flat.predict(X), column.predict(X))
    assert column.predict(X).shape == (442,)
    assert [r.train_loss for r in flat.history] == [r.train_loss for r in column.history]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators_do_not_broadcast_targets_of_shape_n_1(estimator):
    X, y = load_iris(return_X_y=True)
    classes = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    with pytest.warns(DataConversionWarning):
        column = estimator(**QUICK).fit(X, y[:, None])
    with pytest.warns(DataConversionWarning):
        batch = estimator(**QUICK).partial_fit(X, y[:, None], **classes)
    np.testing.assert_array_equal(column.predict(X), estimator(**QUICK).fit(X, y).predict(X))
    np.testing.assert_array_equal(batch.predict(X), estimator(**QUICK).partial_fit(X, y, **classes).predict(X))
    assert column.predict(X).shape == batch.predict(X).shape == (150,)


def test_a_frame_of_one_target_is_a_target():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    fitted = MLPRegressor(max_iter=60, random_state=0, dropout=0.2).fit(X, y.to_frame())
    assert fitted.predict(X).shape == (442,)
    assert fitted.score(X, y) > 0.4


# -- 3. Saved models that break between versions


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_a_model_of_an_older_format_predicts_the_same(name):
    folder = Path(__file__).parent / "data" / "format-1"
    expected = json.loads((folder / "expected.json").read_text())[name]
    model = lamina.load(folder / name)
    assert json.loads((folder / name / "model.json").read_text())["format_version"] == 1
    np.testing.assert_allclose(model.predict_outputs(folder / "rows.csv"), expected["outputs"], rtol=1e-5)
    if name == "classification":
        assert model.predict(folder / "rows.csv").tolist() == expected["predict"]


def test_a_saved_model_holds_no_code_and_a_pickle_what_the_folder_holds(tmp_path):
    model = lamina.fit(table(), "y", **CORE)
    folder = model.save(tmp_path / "m")
    assert sorted(path.suffix for path in folder.iterdir()) == [".html", ".json", ".safetensors"]
    again, unpickled = lamina.load(folder), pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(table()), model.predict_proba(table()))
    np.testing.assert_array_equal(unpickled.predict_proba(table()), model.predict_proba(table()))


# -- 4. NaN without a cause


@both_doors
def test_an_infinite_value_is_named_by_column_and_row(probabilities):
    bad = table()
    bad.loc[6, "b"] = np.inf
    said = "column 'b', row 7: the value is infinite; replace it by a number, or leave it empty for a missing value"
    with pytest.raises(ValueError, match=said):
        probabilities(bad, table())
    with pytest.raises(ValueError, match=said):
        probabilities(table(), bad)


def test_an_infinite_value_in_an_array_is_refused():
    X, y = load_iris(return_X_y=True)
    X[6, 1] = -np.inf
    with pytest.raises(ValueError, match="column 'x1', row 7: the value is infinite"):
        lamina.fit((X, y), **CORE)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        MLPClassifier(**QUICK).fit(X, y)


@pytest.mark.parametrize(("value", "said"), [(np.nan, "is missing in 1 rows, the first is row 6"), (np.inf, "row 6")])
def test_a_target_that_is_no_number_is_named_by_row(value, said):
    X, y = load_diabetes(return_X_y=True)
    y[5] = value
    with pytest.raises(ValueError, match=f"the target 'y' .*{said}"):
        MLPRegressor(**QUICK).fit(X, y)
    with pytest.raises(ValueError, match=f"the target 'y' .*{said}"):
        lamina.fit((X, y), **CORE)


def test_a_missing_class_in_an_array_is_named_by_row():
    X, y = load_iris(return_X_y=True)
    y = np.array(["a", "b", "c"], dtype=object)[y]
    y[5] = None
    with pytest.raises(ValueError, match="is missing in 1 rows, the first is row 6"):
        MLPClassifier(**QUICK).fit(X, y)


def test_a_huge_learning_rate_is_named():
    X, y = load_diabetes(return_X_y=True)
    said = r"the loss was not finite in epoch 1; the learning rate 1e\+06 is likely too high: try 100000"
    with pytest.raises(lamina.TrainingError, match=said):
        lamina.fit((X, y), **CORE, optimizer="sgd", learning_rate=1e6)
    with pytest.raises(lamina.TrainingError, match=said):
        MLPRegressor(**QUICK, solver="sgd", learning_rate_init=1e6).fit(X, y)


@both_doors
def test_constant_column_with_missing_values(probabilities):
    frame = table()
    frame["c"] = np.where(np.arange(150) % 3 == 0, np.nan, 5.0)
    new = frame.assign(c=np.arange(150.0))  # another value than the only one that was there
    assert np.isfinite(probabilities(frame, frame)).all()
    assert np.isfinite(probabilities(frame, new)).all()
    assert np.isfinite(probabilities(frame.assign(c=frame["c"].astype(str).where(frame["c"].notna())), frame)).all()


@both_doors
def test_missing_values_in_training_and_only_later(probabilities):
    gaps = table()
    gaps.loc[::3, "a"] = np.nan
    gaps.loc[::5, "city"] = None
    assert np.isfinite(probabilities(gaps, gaps)).all()
    assert np.isfinite(probabilities(gaps, table())).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lamina.LaminaWarning)
        assert np.isfinite(probabilities(table(), gaps)).all()


def test_values_of_any_size_stay_finite():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) * [1e-200, 1.0, 1e200]
    y = X[:, 1] * 1e30
    fitted = MLPRegressor(**QUICK).fit(X, y)
    assert np.isfinite(fitted.predict(X)).all()
    assert np.isfinite(fitted.predict(X * 1e50)).all()


# -- 5. Floods of convergence warnings


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("solver", ["adamw", "adam", "sgd", "lbfgs"])
def test_no_flood_of_convergence_warnings(estimator, solver):
    X, y = load_iris(return_X_y=True)
    base = estimator((4,), solver=solver, max_iter=1, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_val_score(base, X, y, cv=2)
        search = GridSearchCV(base, {"alpha": [0.0, 0.1]}, cv=2).fit(X, y)
    assert issubclass(ConvergenceWarning, UserWarning)
    assert [str(each.message) for each in caught if issubclass(each.category, UserWarning)] == []
    assert search.best_estimator_.n_iter_ == 1


# -- 6. Labels


@pytest.mark.parametrize("labels", [(5, 7), (-1, 1), (0.5, 2.0), ("no", "yes"), (False, True)], ids=str)
def test_labels_5_and_7_and_others_are_kept(labels):
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], np.array(labels)[y[50:] - 1]
    options = {"task": "classification", "hidden_units": (8,), "epochs": 60, "learning_rate": 0.02}
    model = lamina.fit((X, y), **options)
    assert model.classes.tolist() == list(labels)
    assert set(model.predict(X).tolist()) == set(labels)
    assert (model.predict(X) == y).mean() > 0.9


@pytest.mark.parametrize("labels", [(5, 7), (-1, 1), ("no", "yes"), (False, True)], ids=str)
def test_estimators_keep_labels_5_and_7_and_others(labels):
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], np.array(labels)[y[50:] - 1]
    fitted = MLPClassifier((8,), max_iter=60, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert fitted.classes_.tolist() == list(labels)
    assert fitted.classes_.dtype == y.dtype
    assert set(fitted.predict(X).tolist()) == set(labels)
    assert fitted.score(X, y) > 0.9


@pytest.mark.parametrize("scoring", [None, "accuracy", "roc_auc", "neg_log_loss"])
def test_string_labels_with_early_stopping(scoring):
    X, y = load_iris(return_X_y=True)
    X, y = np.tile(X[50:], (2, 1)), np.tile(np.array(["no", "yes"])[y[50:] - 1], 2)
    fitted = MLPClassifier(
        (8,), max_iter=60, learning_rate_init=0.02, random_state=0, early_stopping=True, scoring=scoring,
        n_iter_no_change=5,
    ).fit(X, y)  # fmt: skip
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert fitted.score(X, y) > 0.85


# -- 7. Parameters that do nothing


def test_weights_decide_between_contradictory_rows():
    X, y = np.tile([[0.0], [1.0]], (100, 1)), np.repeat(["no", "yes"], 100)  # every row with either class
    heavy = np.where(y == "yes", 9.0, 1.0)
    options = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0.0, "early_stopping": False, "random_state": 0}
    plain, classes = MLPClassifier(**options), MLPClassifier(class_weight={"yes": 9.5}, **options)
    for fitted, odds in (
        (plain.fit(X, y), 1.0),
        (classes.fit(X, y), 9.5),
        (MLPClassifier(**options).fit(X, y, sample_weight=heavy), 9.0),
        (MLPClassifier(**options).fit(X, y, sample_weight=10 - heavy), 1 / 9),
        (clone(classes).fit(X, y, sample_weight=heavy), 9.0 * 9.5),
    ):
        np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], odds / (1 + odds), atol=2e-3)


def of_training(model: lamina.Model, frame: pd.DataFrame):
    return model.predict_outputs(frame).tolist()


def of_columns(model: lamina.Model, frame: pd.DataFrame):
    return [(column.name, column.kind, column.role) for column in model.schema.columns]


def of_rows(model: lamina.Model, frame: pd.DataFrame):
    return dict(model.report.rows)


def of_scores(model: lamina.Model, frame: pd.DataFrame):
    return [record.validation_score for record in model.history]


def of_learned_numbers(model: lamina.Model, frame: pd.DataFrame):
    return sum(parameter.numel() for parameter in model.network.parameters())


# Options of the core beside the estimators' parameters, which tests/test_estimator_parameters.py goes through.
# option: (the other options, its changed value, where the change shows)
CHANGES = {
    "task": ({"target": "few", "drop": ("y",)}, "regression", lambda model, frame: model.task),
    "kind": ({}, {"few": "category"}, of_columns),
    "drop": ({}, ("city",), of_columns),
    "weight": ({}, "w", of_training),
    "group": ({}, "who", of_training),
    "time": ({}, "w", of_training),
    "test": ({}, 0.2, of_rows),
    "bins": ({}, 2, of_learned_numbers),
    "features": ({"target": None}, "gradients", of_learned_numbers),
    "one_hot_levels": ({}, 0, of_learned_numbers),
    "embedding_width": ({"one_hot_levels": 0}, 3, of_learned_numbers),
    "min_level_rows": ({}, 9, lambda model, frame: model.encoder.categories),
    "input_dropout": ({}, 0.3, of_training),
    "activation_parameters": ({"activation": "prelu"}, "unit", of_learned_numbers),
    "initial_weights": ({}, "xavier", of_training),
    "layer": ({}, "low_rank", of_training),
    "phm_n": ({"layer": "phm"}, 2, of_learned_numbers),
    "rank": ({"layer": "low_rank"}, 2, of_learned_numbers),
    "watch": ({}, "log_loss", of_scores),
}


def test_the_table_names_every_other_option():
    parameters = {*inspect.signature(MLPClassifier).parameters, *inspect.signature(MLPRegressor).parameters}
    others = [name for name, option in options().items() if (option.sklearn_name or name) not in parameters]
    assert sorted(CHANGES) == sorted(others)


@pytest.mark.parametrize("name", list(CHANGES))
def test_no_option_does_nothing(name):
    rng = np.random.default_rng(1)
    frame = table().assign(few=rng.integers(0, 5, 150), who=rng.integers(0, 30, 150), w=rng.random(150) + 0.1)
    frame.loc[:4, "city"] = "Jena"
    others, value, shown = CHANGES[name]
    base = {"target": "y", **CORE, **others}
    data = "digits" if name == "features" else frame  # which is about images
    plain, again, changed = (shown(lamina.fit(data, **each), frame) for each in (base, base, {**base, name: value}))
    assert plain == again  # so that a difference is the option's
    assert plain != changed


def test_unknown_options_and_contradictions_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(lamina.ConfigError, match=r"unknown option 'epoch'. Did you mean 'epochs'"):
        lamina.fit((X, y), epoch=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        MLPClassifier(epochs=3)
    with pytest.raises(ValueError, match="dropout makes the loss random"):
        MLPClassifier(solver="lbfgs", dropout=0.5).fit(X, y)
    with pytest.raises(ValueError, match="threshold is for two classes or for labels"):
        MLPClassifier(threshold=0.9, max_iter=1).fit(X, y)


# -- 8. Frames


@both_doors
def test_unseen_category(probabilities):
    new = table(20, seed=1).assign(city="Atlantis")
    with pytest.warns(lamina.LaminaWarning, match=r"column 'city': 20 rows hold a category that was not there.*Atlan"):
        p = probabilities(table(), new)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert len(np.unique(p[:, 0])) == 20  # the other columns still count


@both_doors
def test_unused_category_of_pandas(probabilities):
    plain = table()
    unused = plain.assign(city=pd.Categorical(plain["city"], ["never", "Bonn", "Trier", "Ulm", "never again"]))
    expected = probabilities(plain, plain)
    np.testing.assert_array_equal(probabilities(unused, plain), expected)
    np.testing.assert_array_equal(probabilities(plain, unused), expected)
    np.testing.assert_array_equal(
        probabilities(unused, unused[unused["city"] == "Ulm"]), expected[plain["city"] == "Ulm"]
    )


@both_doors
def test_all_missing_column(probabilities):
    plain = table()
    for gone in (np.nan, None, pd.NaT):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lamina.LaminaWarning)
            # A column of no dates is one of dates to an estimator, which leaves none out.
            new = pd.Timestamp("2024-01-01") if gone is pd.NaT and probabilities is estimator_probabilities else 7.0
            p = probabilities(plain.assign(gone=gone), plain.assign(gone=new))
        if probabilities is core_probabilities:
            np.testing.assert_array_equal(p, probabilities(plain, plain))
        assert np.isfinite(p).all(), "an estimator leaves no column out"


def test_all_missing_and_constant_columns_of_an_array():
    X, y = load_iris(return_X_y=True)
    wider = np.column_stack([X, np.full(150, np.nan), np.full(150, 3.0)])
    fitted = MLPClassifier(**QUICK).fit(wider, y)
    assert fitted.n_features_in_ == 6
    assert np.isfinite(fitted.predict_proba(np.column_stack([X, np.ones((150, 2))]))).all()


@both_doors
def test_constant_column(probabilities):
    plain = table()
    for value in (3.0, "same", True):
        p = probabilities(plain.assign(one=value), plain.assign(one=value))
        if probabilities is core_probabilities:
            np.testing.assert_array_equal(p, probabilities(plain, plain))
        assert np.isfinite(p).all(), "an estimator leaves no column out"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lamina.LaminaWarning)
            assert np.isfinite(probabilities(plain.assign(one=value), plain.assign(one=plain["a"]))).all()


@both_doors
def test_columns_in_another_order(probabilities):
    train, new = table(), table(30, seed=1)
    expected = probabilities(train, new)
    np.testing.assert_array_equal(probabilities(train, new[["city", "y", "b", "a"]]), expected)
    with pytest.raises(ValueError, match=r"lacks the column 'b'"):
        probabilities(train, new.drop(columns="b"))


# -- 9. Few rows, or a last batch of one


@pytest.mark.parametrize("rows", [17, 33, 49])
def test_last_batch_of_one_with_batch_norm(rows):
    X, y = np.random.default_rng(0).normal(size=(rows, 3)), np.arange(rows) % 2
    options = {"normalization": "batch", "batch_size": 16, **QUICK}
    for estimator in ESTIMATORS:
        fitted = estimator(**options).fit(X, y)
        assert fitted.t_ == 4 * rows  # no row is left out to evade it
        assert np.isfinite(fitted.loss_curve_).all()
    model = lamina.fit((X, y), normalization="batch", batch_size=16, **CORE)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_few_rows_are_enough(rows, normalization):
    X, y = np.random.default_rng(0).normal(size=(rows, 3)), np.arange(rows) % 2
    for estimator in ESTIMATORS:
        fitted = estimator(normalization=normalization, batch_size=64, **QUICK).fit(X, y)
        assert fitted.predict(X[:1]).shape == (1,)
        assert np.isfinite(fitted.predict(X).astype(float)).all()
    model = lamina.fit((X, y), normalization=normalization, task="classification", **CORE)
    assert np.isfinite(model.predict_proba(X)).all()


def test_one_row_is_too_few_and_says_so():
    with pytest.raises(ValueError, match="X has 1 usable row; at least 2 are needed to learn from"):
        lamina.fit((np.ones((1, 3)), np.ones(1)))
    with pytest.raises(ValueError, match="a minimum of 2 is required"):
        MLPRegressor().fit(np.ones((1, 3)), np.ones(1))


def test_a_class_of_one_row_is_enough():
    X, y = load_iris(return_X_y=True)
    y = np.where(np.arange(150) == 70, 9, y)
    fitted = MLPClassifier(**QUICK).fit(X, y)
    assert fitted.classes_.tolist() == [0, 1, 2, 9]
    assert np.isfinite(fitted.validation_curve_).all()


# -- 10. Same seed, another result


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_same_seed_same_result_whatever_the_global_seed(estimator):
    X, y = load_iris(return_X_y=True)
    results = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        random.seed(seed)
        fitted = estimator(**QUICK).fit(X, y)
        model = lamina.fit((X, y), task=fitted.model_.task, **CORE)
        results.append((fitted.predict(X).tolist(), fitted.loss_curve_, [r.train_loss for r in model.history]))
    assert results[0] == results[1]
    assert results[0][1] == results[0][2]


def test_same_rows_in_another_order_same_result():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    one, other = MLPClassifier(**QUICK).fit(X, y), MLPClassifier(**QUICK).fit(X[order], y[order])
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_global_random_state_is_untouched():
    X, y = load_iris(return_X_y=True)
    before = (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), random.getstate())
    MLPClassifier(**QUICK).fit(X, y).predict(X)
    MLPRegressor((4,), max_iter=2).partial_fit(X, y).predict(X)
    lamina.fit((X, y), **CORE).predict(X)
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), random.getstate()) == before


@pytest.mark.slow
def test_same_result_in_another_process_and_with_more_threads():
    program = (
        "import hashlib, lamina; model = lamina.fit('iris', hidden_units=(8,), epochs=4, seed=0); "
        "print(hashlib.sha256(model.predict_proba('iris').tobytes()).hexdigest())"
    )
    printed = set()
    for hash_seed, threads in (("1", "1"), ("2", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        printed.add(done.stdout)
    assert len(printed) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", printed.pop())


# -- 11. Slow by construction


def test_no_dataloader_is_used(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a DataLoader fetches row by row")

    monkeypatch.setattr(torch.utils.data.DataLoader, "__init__", refuse)
    X, y = load_iris(return_X_y=True)
    assert lamina.fit((X, y), **CORE).predict(X).shape == (150,)
    assert MLPRegressor(**QUICK).fit(X, y).predict(X).shape == (150,)


def test_rows_are_fetched_a_few_minibatches_at_a_time(monkeypatch):
    X, y = load_iris(return_X_y=True)
    fetched, at = [], Rows.at

    def counting(of, index):
        fetched.append(len(index))
        return at(of, index)

    monkeypatch.setattr(loop.Rows, "at", counting)
    for most, expected in ((1, [30] * 15), (2 * 30 * 4 * 4, [60, 60, 30] * 3)):  # bytes of 4 float32 numbers a row
        monkeypatch.setattr(rows, "_BYTES_AT_ONCE", most)
        MLPClassifier((8,), max_iter=3, batch_size=30, early_stopping=False).fit(X, y)
        assert fetched == expected
        fetched.clear()


def test_only_what_is_asked_for_is_imported():
    program = (
        "import sys, lamina.config; print([name for name in ('torch', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
