"""The estimators among scikit-learn's: its own checks, its tools, its warnings, and its fitted attributes."""

import pickle
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_estimator,
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
)

import lamina
from lamina import MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier, MLPRegressor]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}


def data_for(estimator: type, rows: int = 150) -> tuple[np.ndarray, np.ndarray]:
    X, y = (load_iris if estimator is MLPClassifier else load_diabetes)(return_X_y=True)
    return X[:rows], y[:rows]


# -- scikit-learn's checks


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("chosen", [{}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=["default", "lbfgs", "sgd"])
def test_every_check_of_scikit_learn_passes(estimator, chosen):
    results = check_estimator(estimator(**chosen), on_fail=None, on_skip=None)
    others = {each["check_name"]: each["status"] for each in results if each["status"] != "passed"}
    assert others in ({"check_array_api_input": "skipped"}, {})
    assert len(results) > 60


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "check", [check_sample_weight_equivalence_on_dense_data, check_sample_weight_equivalence_on_sparse_data]
)
def test_weights_are_rows_without_noise_and_early_stopping_too(estimator, check):
    plain = estimator(early_stopping=False, dropout=0.0, dtype="float64", max_iter=20)
    assert check(estimator.__name__, plain) is None  # it raises where they are not


# -- the same fit as the core's


def test_the_classifier_is_the_core_fit():
    X, y = load_iris(return_X_y=True)
    estimator = MLPClassifier((16,), max_iter=10, random_state=3).fit(X, y)
    model = lamina.fit((X, y), hidden_units=(16,), epochs=10, seed=3)
    np.testing.assert_array_equal(estimator.predict_proba(X), model.predict_proba(X))
    assert estimator.classes_.tolist() == [0, 1, 2]
    assert estimator.n_features_in_ == 4
    assert estimator.n_iter_ == 10
    assert not hasattr(estimator, "feature_names_in_")


def test_the_regressor_is_the_core_fit():
    X, y = load_diabetes(return_X_y=True)
    estimator = MLPRegressor((16,), max_iter=5, random_state=3, solver="sgd").fit(X, y)
    model = lamina.fit((X, y), hidden_units=(16,), epochs=5, seed=3, optimizer="sgd")
    np.testing.assert_array_equal(estimator.predict(X), model.predict(X))


def test_no_baseline_is_fitted_unasked():
    X, y = load_iris(return_X_y=True)
    report = MLPClassifier(max_iter=1, random_state=0).fit(X, y).model_.report
    assert (report.baselines, report.scored_on) == ({}, "validation")
    assert set(lamina.fit((X, y), epochs=1).report.baselines) == {"linear", "constant"}


def test_a_regressor_on_a_frame_learns_and_takes_columns_in_any_order():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    estimator = MLPRegressor(max_iter=60, random_state=0, dropout=0.2).fit(X, y)
    assert estimator.feature_names_in_.tolist() == X.columns.tolist()
    assert estimator.score(X, y) > 0.4
    np.testing.assert_array_equal(estimator.predict(X), estimator.predict(X[X.columns[::-1]]))


def test_text_categories_and_missing_values_need_no_preparation():
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame({"n": rng.normal(size=n), "c": rng.choice(["u", "v", None], n), "b": rng.random(n) > 0.5})
    X.loc[::10, "n"] = np.nan
    y = np.where(X["c"].isna() ^ X["b"], "yes", "no")
    estimator = MLPClassifier(random_state=0).fit(X, y)
    assert estimator.score(X, y) > 0.97


# -- fitted attributes


def test_fitted_attributes_of_a_classifier():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier((7, 5), max_iter=6, random_state=0, numeric="standard").fit(X, y)
    assert [weight.shape for weight in fitted.coefs_] == [(4, 7), (7, 5), (5, 3)]
    assert [bias.shape for bias in fitted.intercepts_] == [(7,), (5,), (3,)]
    assert (fitted.n_layers_, fitted.n_outputs_, fitted.out_activation_) == (4, 3, "softmax")
    assert (fitted.n_iter_, len(fitted.loss_curve_), len(fitted.validation_curve_)) == (6, 6, 6)
    assert fitted.loss_curve_ == [record.train_loss for record in fitted.model_.history]
    assert fitted.validation_curve_ == [record.validation_loss for record in fitted.model_.history]
    assert (fitted.loss_, fitted.best_loss_) == (fitted.loss_curve_[-1], None)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.t_ == 6 * 120  # a fifth of 150 rows is held out
    assert isinstance(fitted.model_, lamina.Model)


def test_fitted_attributes_without_validation_rows():
    X, y = data_for(MLPRegressor)
    fitted = MLPRegressor(early_stopping=False, **QUICK).fit(X, np.column_stack([y, -y, y]))
    assert (fitted.validation_curve_, fitted.validation_scores_, fitted.best_validation_score_) == (None, None, None)
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    assert (fitted.n_layers_, fitted.n_outputs_, fitted.out_activation_, fitted.t_) == (3, 3, "identity", 4 * 150)
    assert not hasattr(fitted, "classes_")


def test_weights_and_biases_are_copies():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(**QUICK).fit(X, y)
    before = fitted.predict_proba(X)
    for array in [*fitted.coefs_, *fitted.intercepts_]:
        array[:] = 0.0
    assert all(np.any(weight) for weight in fitted.coefs_)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda estimator, X, y: estimator.predict(X),
        lambda estimator, X, y: estimator.transform(X),
        lambda estimator, X, y: estimator.score(X, y),
        lambda estimator, X, y: estimator.get_feature_names_out(),
        lambda estimator, X, y: estimator.coefs_,
    ],
    ids=["predict", "transform", "score", "get_feature_names_out", "coefs_"],
)
def test_nothing_is_answered_before_fit(estimator, ask):
    with pytest.raises(NotFittedError, match=r"This MLP(Classifier|Regressor) instance is not fitted yet"):
        ask(estimator(), *data_for(estimator))


# -- outputs beside predictions


def test_log_probabilities_are_logarithms_and_stay_finite_where_a_probability_is_0():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(numeric="standard", **QUICK).fit(X, y)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)), atol=1e-12)
    far = X * 1e6
    assert (fitted.predict_proba(far) == 0).any()
    logarithms = fitted.predict_log_proba(far)
    assert np.isfinite(logarithms).all()
    np.testing.assert_allclose(logarithms, log_softmax(fitted.decision_function(far), axis=1))


def test_the_decision_function_is_the_log_odds_of_two_classes_and_ranks_several():
    X, y = data_for(MLPClassifier)
    several = MLPClassifier(**QUICK).fit(X, y)
    assert several.decision_function(X).shape == (150, 3)
    np.testing.assert_array_equal(several.decision_function(X).argmax(axis=1), several.predict(X))
    two = MLPClassifier(**QUICK).fit(X, np.where(y == 1, "yes", "no"))
    p = two.predict_proba(X)
    np.testing.assert_allclose(two.decision_function(X), np.log(p[:, 1] / p[:, 0]), atol=1e-12)
    assert (np.where(two.decision_function(X) > 0, "yes", "no") == two.predict(X)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_hidden_outputs_have_names_and_go_into_a_frame(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK).fit(X, y)
    names = [f"{estimator.__name__.lower()}{i}" for i in range(8)]
    assert fitted.get_feature_names_out().tolist() == names
    plain = fitted.transform(X)
    np.testing.assert_array_equal(plain, fitted.model_.hidden_outputs(X))
    given = pd.DataFrame(X, index=range(7, 157)).add_prefix("c")
    shown = estimator(**QUICK).set_output(transform="pandas").fit(given, y).transform(given)
    assert isinstance(shown, pd.DataFrame)
    assert (shown.columns.tolist(), shown.index.tolist()) == (names, given.index.tolist())
    np.testing.assert_array_equal(shown.to_numpy(), plain)


def test_without_a_hidden_layer_there_are_no_hidden_outputs_and_no_names():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier((), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="the network has 0 hidden layers"):
        fitted.transform(X)
    with pytest.raises(ValueError, match="0 hidden layers"):
        fitted.get_feature_names_out()


@pytest.mark.parametrize(("estimator", "last"), [(MLPClassifier, LogisticRegression()), (MLPRegressor, Ridge())])
def test_hidden_outputs_feed_the_next_step_of_a_pipeline(estimator, last):
    X, y = data_for(estimator)
    piped = make_pipeline(StandardScaler(), estimator(**QUICK), last).fit(X, y)
    hidden = piped[:-1].transform(X)
    assert hidden.shape == (150, 8)
    np.testing.assert_allclose(piped.predict(X), clone(last).fit(hidden, y).predict(hidden))


# -- scikit-learn's tools


def test_clone_pipeline_and_cross_validation():
    X, y = load_breast_cancer(return_X_y=True)
    estimator = MLPClassifier((32,), max_iter=20, random_state=0)
    assert clone(estimator).get_params() == estimator.get_params()
    scores = cross_val_score(make_pipeline(StandardScaler(), estimator), X, y, cv=3)
    assert scores.mean() > 0.94


def test_a_grid_search_finds_the_better_value_and_refits_it():
    X, y = data_for(MLPClassifier)
    grid = {"hidden_layer_sizes": [(8,)], "max_iter": [1, 40], "learning_rate_init": [0.01]}
    search = GridSearchCV(MLPClassifier(random_state=0), grid, cv=3).fit(X, y)
    assert search.best_params_["max_iter"] == 40
    assert search.best_score_ > 0.9
    direct = MLPClassifier(random_state=0, **search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))


@pytest.mark.slow
def test_a_grid_search_in_two_processes_is_that_in_one(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    X, y = data_for(MLPRegressor)
    scores = []
    for n_jobs in (1, 2):
        with joblib.parallel_backend("loky"):
            search = GridSearchCV(MLPRegressor(**QUICK), {"alpha": [0.0, 3.0]}, cv=2, n_jobs=n_jobs).fit(X, y)
        scores.append(search.cv_results_["mean_test_score"].tolist())
    assert scores[0] == scores[1]
    assert scores[0][0] != scores[0][1]


def test_weights_are_routed_through_a_pipeline_and_a_grid_search():
    X, y = data_for(MLPClassifier)
    weight = np.random.default_rng(0).random(150) + 0.1
    with config_context(enable_metadata_routing=True):
        estimator = MLPClassifier(**QUICK).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), estimator)
        search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.0, 1.0]}, cv=2).fit(X, y, sample_weight=weight)
        assert clone(estimator).get_metadata_routing().fit.requests["sample_weight"] is True
        chosen = search.best_params_["mlpclassifier__alpha"]
        direct = clone(pipeline).set_params(mlpclassifier__alpha=chosen).fit(X, y, sample_weight=weight)
        unweighted = clone(pipeline).set_params(mlpclassifier__alpha=chosen).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))
    assert not np.array_equal(direct.predict_proba(X), unweighted.predict_proba(X))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pickle_joblib_and_the_model_folder_predict_the_same(estimator, tmp_path):
    X, y = data_for(estimator)
    frame = pd.DataFrame(X).add_prefix("c")
    frame["c0"] = np.where(frame["c0"] > frame["c0"].median(), "high", "low")
    fitted = estimator(**QUICK).fit(frame, y)
    joblib.dump(fitted, tmp_path / "estimator.joblib")
    expected = fitted.predict(frame).tolist()
    assert joblib.load(tmp_path / "estimator.joblib").predict(frame).tolist() == expected
    assert pickle.loads(pickle.dumps(fitted)).predict(frame).tolist() == expected
    model = lamina.load(fitted.model_.save(tmp_path / "m"))
    assert model.predict(frame).tolist() == expected
    np.testing.assert_array_equal(model.predict_outputs(frame), fitted.model_.predict_outputs(frame))


def test_what_a_notebook_shows_names_the_class_and_what_was_chosen():
    shown = MLPClassifier(alpha=0.125)._repr_html_()
    assert "MLPClassifier" in shown
    assert re.search(r"alpha.*0\.125", shown, re.DOTALL)
    assert repr(MLPRegressor(alpha=0.125)) == "MLPRegressor(alpha=0.125)"


# -- warnings and refusals


@pytest.mark.parametrize("named", [True, False])
def test_feature_names_are_warned_of_in_scikit_learns_words(named):
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    given = (X, frame) if named else (frame, X)
    said = []
    for estimator in (LogisticRegression(max_iter=500), MLPClassifier(**QUICK)):
        fitted = estimator.fit(given[0], y)
        with pytest.warns(UserWarning, match="feature names") as caught:
            fitted.predict(given[1])
        said.append([str(w.message).replace(type(estimator).__name__, "it") for w in caught])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted.predict(given[0])
    assert said[0] == said[1]
    assert len(said[0]) == 1


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_another_number_of_features_is_refused_in_scikit_learns_words(estimator):
    X, y = data_for(estimator)
    width, name = X.shape[1], estimator.__name__
    said = f"^X has {width - 1} features, but {name} is expecting {width} features as input.$"
    with pytest.raises(ValueError, match=said):
        estimator(**QUICK).fit(X, y).predict(X[:, 1:])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_column_target_is_flattened_with_a_warning(estimator):
    X, y = data_for(estimator)
    flat = estimator(**QUICK).fit(X, y)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        column = estimator(**QUICK).fit(X, y.reshape(-1, 1))
    np.testing.assert_array_equal(flat.predict(X), column.predict(X))
    assert column.predict(X).shape == (150,)


def test_several_targets_of_classes_are_refused_and_of_numbers_fitted():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"y has the shape \(150, 2\) and is no indicator of labels.*one estimator"):
        MLPClassifier(**QUICK).fit(X, np.column_stack([y, y]))
    assert MLPRegressor(**QUICK).fit(X, np.column_stack([y, y])).predict(X).shape == (150, 2)


@pytest.mark.parametrize("y_name", ["y", "target"])
def test_a_column_of_x_may_have_the_name_of_y(y_name):
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=["a", "b", "c", y_name])
    target = y if y_name == "y" else pd.Series(y, name=y_name)
    assert MLPClassifier(**QUICK).fit(frame, target).n_features_in_ == 4


# -- verbose


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_verbose_prints_a_line_an_epoch(estimator, capsys):
    X, y = data_for(estimator)
    fitted = estimator(verbose=True, **QUICK).fit(X, y)
    expected = [
        f"Iteration {i}, loss = {loss:.8f}, validation loss = {held:.8f}"
        for i, (loss, held) in enumerate(zip(fitted.loss_curve_, fitted.validation_curve_, strict=True), start=1)
    ]
    assert len(expected) == 4
    assert capsys.readouterr().out.splitlines() == expected
    classes = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    partial = estimator(verbose=True, **QUICK).partial_fit(X, y, **classes).partial_fit(X, y)
    losses = [f"Iteration {i}, loss = {loss:.8f}" for i, loss in enumerate(partial.loss_curve_, start=1)]
    assert capsys.readouterr().out.splitlines() == losses


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_is_printed_unasked(estimator, capsys):
    X, y = data_for(estimator)
    estimator(**QUICK).fit(X, y).predict(X)
    assert capsys.readouterr() == ("", "")


def test_scores_are_scikit_learns():
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).random(150)
    classifier, regressor = MLPClassifier(**QUICK).fit(X, y), MLPRegressor(**QUICK).fit(X, X[:, 0])
    assert classifier.score(X, y) == accuracy_score(y, classifier.predict(X))
    assert classifier.score(X, y, weight) == pytest.approx(weight[classifier.predict(X) == y].sum() / weight.sum())
    residual = weight * (X[:, 0] - regressor.predict(X)) ** 2
    spread = weight * (X[:, 0] - np.average(X[:, 0], weights=weight)) ** 2
    assert regressor.score(X, X[:, 0], weight) == pytest.approx(1 - residual.sum() / spread.sum())
