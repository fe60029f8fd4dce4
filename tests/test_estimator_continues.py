"""Training that goes on: partial_fit, batch by batch, and warm starts."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import log_loss, mean_squared_error

import lamina
from lamina import MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier, MLPRegressor]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
# Minibatches in the order of the rows, without noise, at one learning rate.
ORDERLY = {"shuffle": False, "dropout": 0.0, "solver": "sgd", "learning_rate": "constant", "random_state": 0}
# One minibatch of all 150 rows, so that an epoch's loss is that of the weights before it.
WHOLE = {"batch_size": 150, "dropout": 0.0, "early_stopping": False, "random_state": 0}


def data_for(estimator: type) -> tuple[np.ndarray, np.ndarray]:
    """Return 150 shuffled rows with a target."""
    X, y = (load_iris if estimator is MLPClassifier else load_diabetes)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:150]
    return X[order], y[order]


def first_call(estimator: type) -> dict:
    return {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}


def outputs(fitted, X) -> np.ndarray:
    return fitted.predict_proba(X) if isinstance(fitted, MLPClassifier) else fitted.predict(X)


def assert_same(one, other, X) -> None:
    np.testing.assert_array_equal(outputs(one, X), outputs(other, X))


def loss_of(fitted, X, y) -> float:
    """Return the training loss of the weights as they are; a number target is standardised."""
    if isinstance(fitted, MLPClassifier):
        return log_loss(y, fitted.predict_proba(X))
    return mean_squared_error(y, fitted.predict(X)) / np.var(y)


def labels_of(X: np.ndarray) -> np.ndarray:
    return (X[:, :3] > X[:, :3].mean(axis=0)).astype(int)


# -- partial_fit


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_each_batch_goes_on_from_the_one_before(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK).partial_fit(X, y, **first_call(estimator))
    encoder, seen = fitted.model_.encoder, [(fitted.n_iter_, fitted.t_, len(fitted.loss_curve_))]
    for _ in range(29):
        assert fitted.partial_fit(X, y) is fitted
        seen.append((fitted.n_iter_, fitted.t_, len(fitted.loss_curve_)))
    assert seen == [(i, i * 150, i) for i in range(1, 31)]
    assert fitted.loss_curve_[-1] < 0.6 * fitted.loss_curve_[0]
    assert (fitted.loss_, fitted.best_loss_) == (fitted.loss_curve_[-1], min(fitted.loss_curve_))
    assert fitted.model_.encoder == encoder


def test_batches_learn_what_a_fit_learns():
    X, y = data_for(MLPClassifier)
    classifier = MLPClassifier((16,), random_state=0, dropout=0.0, learning_rate_init=0.01)
    for _ in range(20):
        for rows in np.array_split(np.arange(150), 5):
            classifier.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert classifier.score(X, y) > 0.95
    assert classifier.t_ == 20 * 150


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_two_halves_are_the_two_minibatches_of_the_whole(estimator):
    X, y = data_for(estimator)
    base = estimator((8,), batch_size=75, dtype="float64", **ORDERLY)
    fitted = [pickle.loads(pickle.dumps(base)).partial_fit(X, y, **first_call(estimator)) for _ in range(2)]
    fitted[0].partial_fit(X, y)
    fitted[1].partial_fit(X[:75], y[:75]).partial_fit(X[75:], y[75:])
    for one, other in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)
    assert [each.t_ for each in fitted] == [300, 300]
    assert [each.n_iter_ for each in fitted] == [2, 3]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_first_batch_settles_the_encoding(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK).partial_fit(X, y, **first_call(estimator))
    encoder, scaler, shapes = fitted.model_.encoder, fitted.model_.scaler, [w.shape for w in fitted.coefs_]
    fitted.partial_fit(X * 1000 + 5000, y)
    assert (fitted.model_.encoder, fitted.model_.scaler, [w.shape for w in fitted.coefs_]) == (encoder, scaler, shapes)
    assert np.isfinite(outputs(fitted, X * 1000 + 5000)).all()
    assert np.isfinite(outputs(fitted, X)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_batch_of_one_row_is_enough(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK)
    for i in range(5):
        fitted.partial_fit(X[i : i + 1], y[i : i + 1], **(first_call(estimator) if i == 0 else {}))
    assert (fitted.t_, fitted.n_iter_) == (5, 5)
    assert np.isfinite(outputs(fitted, X)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_pickle_between_two_batches_changes_nothing(estimator):
    X, y = data_for(estimator)
    straight, pickled = (estimator((8,), random_state=0).partial_fit(X, y, **first_call(estimator)) for _ in range(2))
    for _ in range(3):  # dropout, the order of the rows and the optimizer's moments go on where they were
        straight.partial_fit(X, y)
        pickled = pickle.loads(pickle.dumps(pickled)).partial_fit(X, y)
    assert straight.loss_curve_ == pickled.loss_curve_
    assert_same(straight, pickled, X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_batches_have_weights(estimator):
    X, y = data_for(estimator)
    weight = (np.arange(150) % 3 > 0).astype(float)
    first = first_call(estimator)
    weighted = estimator(**QUICK).partial_fit(X, y, **first).partial_fit(X, y, sample_weight=weight)
    absent = estimator(**QUICK).partial_fit(X, y, **first).partial_fit(X[weight > 0], y[weight > 0])
    assert_same(weighted, absent, X)
    # In the first call too, and a batch without weights after one with them.
    fitted = estimator(**QUICK).partial_fit(X, y, sample_weight=weight + 0.5, **first).partial_fit(X, y)
    assert (fitted.n_features_in_, fitted.n_iter_) == (X.shape[1], 2)
    assert not np.allclose(
        outputs(fitted, X), outputs(estimator(**QUICK).partial_fit(X, y, **first).partial_fit(X, y), X)
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_batches_go_on_from_a_fit(estimator):
    X, y = data_for(estimator)
    fitted = estimator((8,), max_iter=60, **WHOLE).fit(X, y)
    expected, first = loss_of(fitted, X, y), fitted.loss_curve_[0]
    fitted.partial_fit(X, y)
    assert fitted.loss_curve_[-1] == pytest.approx(expected, rel=1e-5)
    assert expected < 0.6 * first
    assert (fitted.n_iter_, len(fitted.loss_curve_), fitted.t_) == (61, 61, 61 * 150)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_several_batches_go_on_from_a_fit(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK).fit(X, y)
    counts = [(fitted.partial_fit(X, y).n_iter_, len(fitted.loss_curve_)) for _ in range(3)]
    assert counts == [(5, 5), (6, 6), (7, 7)]


def test_scores_after_a_fit_and_a_batch_agree():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(**QUICK).fit(X, y).partial_fit(X, y)
    assert (fitted.validation_scores_ is None) == (fitted.best_validation_score_ is None)


def test_a_fit_after_batches_starts_anew():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2]).fit(X, y)
    assert_same(fitted, MLPClassifier(**QUICK).fit(X, y), X)
    assert fitted.n_iter_ == 4


def test_labels_come_in_batches_too():
    X, _ = data_for(MLPClassifier)
    labels = labels_of(X)
    fitted = MLPClassifier((16,), random_state=0, learning_rate_init=0.01, dropout=0.0)
    fitted.partial_fit(X, labels, classes=[0, 1, 2])
    for _ in range(60):
        fitted.partial_fit(X, labels)
    assert fitted.n_iter_ == 61
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert fitted.score(X, labels) > 0.9


def test_batches_that_do_not_fit_are_refused():
    X, y = data_for(MLPClassifier)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        MLPClassifier(**QUICK).partial_fit(X, y)
    fitted = MLPClassifier(**QUICK).partial_fit(X[y < 2], y[y < 2], classes=[0, 1])
    before = fitted.predict_proba(X)
    with pytest.raises(ValueError, match=r"'2' is not a class of the model. Classes: 0, 1"):
        fitted.partial_fit(X, y)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        fitted.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"^X has 3 features, but MLPClassifier is expecting 4 features as input.$"):
        fitted.partial_fit(X[:, :3], y)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)  # a refused batch leaves the model as it was
    frames = MLPRegressor(**QUICK).partial_fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="lacks the column 'd'"):
        frames.partial_fit(pd.DataFrame(X[:, :3], columns=list("abc")), y)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_lbfgs_takes_no_batches(estimator):
    assert not hasattr(estimator(solver="lbfgs"), "partial_fit")
    assert all(hasattr(estimator(solver=name), "partial_fit") for name in ("adamw", "adam", "sgd"))
    with pytest.raises(AttributeError) as raised:
        _ = estimator(solver="lbfgs").partial_fit
    assert str(raised.value.__cause__) == (
        "partial_fit needs minibatches, but the solver 'lbfgs' takes all rows at once."
    )


def test_batches_hold_nothing_out():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(validation_fraction=0.2, **QUICK).partial_fit(X, y, classes=[0, 1, 2])
    assert fitted.model_.report.rows == {"train": 150}
    assert fitted.partial_fit(X[:1], y[:1]).t_ == 151


def test_many_classes_may_be_told_with_few_rows():
    X, _ = data_for(MLPClassifier)
    classes = np.array([f"c{i:02}" for i in range(30)])
    fitted = MLPClassifier(**QUICK).partial_fit(X[:10], classes[:10], classes=classes)
    assert fitted.predict_proba(X).shape == (150, 30)


def test_a_first_batch_of_equal_targets_is_enough():
    X, y = data_for(MLPRegressor)
    assert MLPRegressor(**QUICK).partial_fit(X[:2], [1.0, 1.0]).partial_fit(X, y).t_ == 152


# -- warm_start


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("solver", ["adamw", "sgd", "lbfgs"])
def test_a_warm_start_goes_on_where_the_last_fit_ended(estimator, solver):
    X, y = data_for(estimator)
    options = {"hidden_layer_sizes": (8,), "max_iter": 40, "solver": solver, "alpha": 0.0, **WHOLE}
    fitted = estimator(warm_start=True, **options).fit(X, y)
    first, expected = list(fitted.loss_curve_), loss_of(fitted, X, y)
    n_first = fitted.n_iter_
    fitted.fit(X, y)
    assert fitted.loss_curve_[:n_first] == first
    assert fitted.loss_curve_[n_first] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert expected < 0.6 * first[0]
    assert loss_of(fitted, X, y) <= expected
    assert fitted.n_iter_ == len(fitted.loss_curve_) == fitted.t_ / 150 > n_first
    assert fitted.model_.report.best_epoch == fitted.n_iter_
    assert estimator(**options).fit(X, y).fit(X, y).loss_curve_ == first


def test_a_warm_start_needs_the_same_classes_width_and_layers():
    X, y = data_for(MLPClassifier)
    fitted = MLPClassifier(warm_start=True, **QUICK).fit(X, y)
    said = r"`self.classes_` has the same values.*Previously got \[0, 1, 2\], now \[0, 1\]"
    with pytest.raises(ValueError, match=said):
        fitted.fit(X[y < 2], y[y < 2])
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4 features"):
        fitted.fit(X[:, :3], y)
    with pytest.raises(ValueError, match=r"hidden_units = \(9,\), but the model to start from was trained with \(8,\)"):
        fitted.set_params(hidden_layer_sizes=(9,)).fit(X, y)
    with pytest.raises(ValueError, match="has no column"):
        MLPRegressor(warm_start=True, **QUICK).fit(X, np.column_stack([y, -y])).fit(X, y)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_without_a_warm_start_a_second_fit_is_the_first(estimator):
    X, y = data_for(estimator)
    fitted = estimator(**QUICK).fit(X[:, :3], y).fit(X, y)  # another width is no obstacle
    assert fitted.n_iter_ == 4
    assert_same(fitted, estimator(**QUICK).fit(X, y), X)


def test_a_warm_start_keeps_the_loss_whose_scaling_the_weights_know():
    X, y = data_for(MLPRegressor)
    fitted = MLPRegressor(warm_start=True, **QUICK).fit(X, y).set_params(loss="poisson")
    with pytest.raises(lamina.ConfigError, match="loss = 'poisson', but the model to start from was trained with 'sq"):
        fitted.fit(X, y)
