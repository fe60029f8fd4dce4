"""How the estimators fit: weights, validation rows and scorers of one's own, sparse rows, several targets."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import get_scorer, log_loss

import lamina
from lamina import MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier, MLPRegressor]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}


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


def labels_of(X: np.ndarray) -> np.ndarray:
    return (X[:, :3] > X[:, :3].mean(axis=0)).astype(int)


# -- weights


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_weights_are_rows(estimator):
    X, y = data_for(estimator)
    weight = np.arange(150) % 3
    weighted = estimator(**QUICK).fit(X, y, sample_weight=weight)
    assert_same(weighted, estimator(**QUICK).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)), X)
    assert weighted.n_features_in_ == X.shape[1]
    absent = estimator(**QUICK).fit(X, y, sample_weight=(weight > 0).astype(float))
    assert_same(absent, estimator(**QUICK).fit(X[weight > 0], y[weight > 0]), X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_only_the_ratio_of_weights_counts(estimator):
    X, y = data_for(estimator)
    weight = np.random.default_rng(1).random(150) + 0.2
    # In one order, since weights have a part in the order of the rows.
    options = {**QUICK, "dtype": "float64", "shuffle": False, "early_stopping": False, "dropout": 0.0}
    once, thrice = (estimator(**options).fit(X, y, sample_weight=weight * factor) for factor in (1.0, 3.0))
    np.testing.assert_allclose(outputs(once, X), outputs(thrice, X), rtol=1e-6)
    assert not np.allclose(outputs(once, X), outputs(estimator(**options).fit(X, y), X), rtol=1e-3)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.zeros(150), "must contain at least one non-zero|expected at least one non-zero sample weight"),
        (np.full(150, -1.0), "Negative values in data passed to `sample_weight`"),
        (np.ones(149), r"sample_weight.shape == \(149,\), expected \(150,\)"),
        (np.full(150, np.nan), "sample_weight contains NaN"),
    ],
)
def test_weights_that_are_none_are_refused(weight, said):
    X, y = data_for(MLPClassifier)
    with pytest.raises(ValueError, match=said):
        MLPClassifier(**QUICK).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=said):
        MLPClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2], sample_weight=weight)


# -- own validation rows, and what early stopping watches


@pytest.mark.parametrize(("estimator", "task"), [(MLPClassifier, "classification"), (MLPRegressor, "regression")])
def test_own_validation_rows_are_those_that_are_watched(estimator, task):
    X, y = data_for(estimator)
    held = (X[100:], y[100:])
    options = {"hidden_layer_sizes": (8,), "max_iter": 12, "random_state": 0}
    fitted = estimator(**options).fit(X[:100], y[:100], X_val=held[0], y_val=held[1])
    model = lamina.fit((X[:100], y[:100]), task=task, hidden_units=(8,), epochs=12, seed=0, validation=held)
    assert fitted.validation_curve_ == [record.validation_loss for record in model.history]
    assert fitted.model_.report.rows == {"train": 100, "validation": 50}
    assert fitted.model_.report.best_epoch == int(np.argmin(fitted.validation_curve_)) + 1
    best = fitted.validation_curve_[fitted.model_.report.best_epoch - 1]
    if estimator is MLPClassifier:
        plain = estimator(calibrate=False, **options).fit(X[:100], y[:100], X_val=held[0], y_val=held[1])
        assert plain.validation_curve_ == fitted.validation_curve_
        assert log_loss(held[1], plain.predict_proba(held[0])) == pytest.approx(best, rel=1e-5)
        # The temperature is found on the same rows.
        calibration = fitted.model_.report.calibration
        assert calibration["loss_before"] == pytest.approx(best, rel=1e-5)
        after = log_loss(held[1], fitted.predict_proba(held[0]))
        assert after == pytest.approx(calibration["loss_after"], rel=1e-5)
        assert after < best
    other = estimator(**options).fit(X[:100], y[:100], X_val=X[:100], y_val=y[:100])
    assert other.validation_curve_ != fitted.validation_curve_


@pytest.mark.parametrize("given", ["X_val", "y_val"])
def test_validation_rows_come_with_their_target(given):
    X, y = data_for(MLPClassifier)
    with pytest.raises(ValueError, match="X_val and y_val go together; pass both or none"):
        MLPClassifier(**QUICK).fit(X, y, **{given: {"X_val": X, "y_val": y}[given]})


def test_validation_rows_that_do_not_fit_are_refused():
    X, y = data_for(MLPClassifier)
    with pytest.raises(ValueError, match="X has 3 columns, but the model was trained on 4"):
        MLPClassifier(**QUICK).fit(X, y, X_val=X[:, :3], y_val=y)
    with pytest.raises(ValueError, match="'2' is not a class of the model"):
        MLPClassifier(**QUICK).fit(X[y < 2], y[y < 2], X_val=X, y_val=y)


def test_validation_rows_have_weights():
    X, y = data_for(MLPClassifier)
    weight = np.where(y[100:] == 1, 5.5, 0.5)
    fitted = MLPClassifier(**{**QUICK, "tol": 0.0, "calibrate": False}).fit(
        X[:100], y[:100], np.ones(100), X_val=X[100:], y_val=y[100:], sample_weight_val=weight
    )
    expected = log_loss(y[100:], fitted.predict_proba(X[100:]), sample_weight=weight)
    assert min(fitted.validation_curve_) == pytest.approx(expected, rel=1e-5)


def test_validation_rows_alone_may_have_weights():
    X, y = data_for(MLPClassifier)
    held = {"X_val": X[100:], "y_val": y[100:], "sample_weight_val": np.where(y[100:] == 1, 5.5, 0.5)}
    alone = MLPClassifier(**QUICK).fit(X[:100], y[:100], **held)
    assert (
        alone.validation_curve_ == MLPClassifier(**QUICK).fit(X[:100], y[:100], np.ones(100), **held).validation_curve_
    )


def brier(estimator, X, y):
    """A scorer of one's own: greater is better."""
    return -float(np.mean((estimator.predict_proba(X)[:, 1] - y) ** 2))


# A temperature changes what is made of the best epoch's probabilities, and no ranking or decision.
@pytest.mark.parametrize(
    ("scoring", "calibrate"),
    [("roc_auc", True), ("balanced_accuracy", True), ("roc_auc", False), ("neg_log_loss", False), (brier, False)],
)
def test_the_scorer_chooses_the_best_epoch(scoring, calibrate):
    X, y = load_breast_cancer(return_X_y=True)
    options = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0, "tol": 0.0, "scoring": scoring}
    fitted = MLPClassifier(calibrate=calibrate, **options).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    scorer = scoring if callable(scoring) else get_scorer(scoring)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.model_.report.best_epoch == int(np.argmax(fitted.validation_scores_)) + 1
    assert scorer(fitted, X[300:], y[300:]) == pytest.approx(fitted.best_validation_score_, abs=1e-12)


def test_every_epoch_is_scored_on_the_rows_that_were_held_out():
    X, y = data_for(MLPRegressor)
    seen = []

    def scorer(estimator, held_X, held_y):
        seen.append((held_X, held_y, estimator.predict(held_X)))
        return get_scorer("r2")(estimator, held_X, held_y)

    fitted = MLPRegressor(scoring=scorer, **QUICK).fit(X, y)
    assert len(seen) == 4
    held_X, held_y, first = seen[0]
    rows = [int(np.flatnonzero((X - row == 0).all(axis=1))[0]) for row in held_X]
    assert (len(set(rows)), y[rows].tolist()) == (30, held_y.tolist())
    assert not np.array_equal(first, seen[1][2])
    expected = [1 - ((held_y - p) ** 2).sum() / ((held_y - held_y.mean()) ** 2).sum() for _, _, p in seen]
    assert fitted.validation_scores_ == pytest.approx(expected)


def test_the_scorer_sees_names_and_weights():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    weight = np.random.default_rng(0).random(269) + 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MLPClassifier(scoring="accuracy", tol=0.0, **QUICK).fit(
            X[:300], y[:300], X_val=X[300:], y_val=y[300:], sample_weight=np.ones(300), sample_weight_val=weight
        )
    right = fitted.predict(X[300:]) == y[300:]
    assert fitted.best_validation_score_ == pytest.approx(np.average(right, weights=weight))


def test_scores_with_whole_weights_are_those_of_repeated_rows():
    X, y = load_breast_cancer(return_X_y=True)
    weight = np.arange(len(y)) % 3
    weighted = MLPClassifier(scoring="accuracy", **QUICK).fit(X, y, sample_weight=weight)
    repeated = MLPClassifier(scoring="accuracy", **QUICK).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_same(weighted, repeated, X)
    assert weighted.validation_scores_ == pytest.approx(repeated.validation_scores_)


def test_labels_are_scored_by_their_probabilities():
    X, _ = data_for(MLPClassifier)
    fitted = MLPClassifier(scoring="roc_auc", **QUICK).fit(X, labels_of(X))
    assert len(fitted.validation_scores_) == 4


# -- sparse rows


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("what", ["matrix", "array"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_sparse_rows_are_fitted_and_dense_ones_predicted(estimator, what, kind):
    X, y = data_for(estimator)
    X = np.maximum(X - np.median(X, axis=0), 0.0)
    fitted = estimator(**QUICK).fit(getattr(sparse, f"{kind}_{what}")(X), y)
    assert fitted.n_features_in_ == X.shape[1]
    assert fitted.coefs_[0].shape == (X.shape[1], 8)  # one weight a column and unit: nothing was made dense
    assert_same(fitted, estimator(**QUICK).fit(sparse.csr_array(X), y), X)
    np.testing.assert_array_equal(fitted.predict(getattr(sparse, f"{kind}_{what}")(X)), fitted.predict(X))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_dense_fits_predict_sparse_rows_and_sparse_batches_go_on(estimator):
    X, y = data_for(estimator)
    dense = estimator(**QUICK).fit(X, y)
    np.testing.assert_array_equal(dense.predict(sparse.csr_array(X)), dense.predict(X))
    batches = estimator(**QUICK).partial_fit(sparse.csr_array(X), y, **first_call(estimator))
    assert batches.partial_fit(sparse.coo_array(X[:1]), y[:1]).partial_fit(X, y).t_ == 301


# -- several targets


def test_several_numbers():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    several = pd.DataFrame({"up": y, "down": 1000 - 3 * y})
    fitted = MLPRegressor((16,), max_iter=40, random_state=0, dropout=0.0).fit(X, several)
    assert fitted.predict(X).shape == (442, 2)
    assert fitted.n_outputs_ == 2
    assert fitted.score(X, several) > 0.4
    from_array = MLPRegressor((16,), max_iter=40, random_state=0, dropout=0.0).fit(X, several.to_numpy())
    np.testing.assert_array_equal(from_array.predict(X), fitted.predict(X))


def test_labels_that_do_not_exclude_one_another():
    X, _ = data_for(MLPClassifier)
    labels = labels_of(X)
    fitted = MLPClassifier((16,), max_iter=80, random_state=0, learning_rate_init=0.01).fit(X, labels)
    predicted, p = fitted.predict(X), fitted.predict_proba(X)
    assert (predicted.shape, predicted.dtype, p.shape) == ((150, 3), np.int64, (150, 3))
    np.testing.assert_array_equal(predicted, p >= 0.5)
    assert (p.sum(axis=1) > 1.5).any()  # they are no distribution
    np.testing.assert_allclose(expit(fitted.decision_function(X)), p, atol=1e-12)
    assert fitted.score(X, labels) == (predicted == labels).all(axis=1).mean()
    assert fitted.score(X, labels) > 0.8
    assert (fitted.out_activation_, fitted.n_outputs_, fitted.classes_.tolist()) == ("logistic", 3, [0, 1, 2])


@pytest.mark.parametrize("form", [lambda y: pd.DataFrame(y, columns=["u", "v"]), lambda y: y > 0, sparse.csr_array])
def test_labels_may_be_a_frame_booleans_or_sparse(form):
    X, _ = data_for(MLPClassifier)
    labels = labels_of(X)[:, :2]
    assert_same(MLPClassifier(**QUICK).fit(X, form(labels)), MLPClassifier(**QUICK).fit(X, labels), X)


# -- several members


def members_of(estimator: type, k: int = 3, **options):
    X, y = data_for(estimator)
    layers = {
        "hidden_layer_sizes": (7, 5),
        "activation": "tanh",
        "numeric": "standard",
        "dtype": "float64",
        "linear_share": False,
    }
    return estimator(members=k, max_iter=4, random_state=0, **{**layers, **options}).fit(X, y), X, y


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_of_several_members_each_has_its_weights_and_biases(estimator):
    fitted, X, _ = members_of(estimator)
    n_outputs = 3 if estimator is MLPClassifier else 1
    shapes = [(X.shape[1], 7), (7, 5), (5, n_outputs)]
    assert [[weight.shape for weight in each] for each in fitted.coefs_] == [shapes] * 3
    assert [[bias.shape for bias in each] for each in fitted.intercepts_] == [[(7,), (5,), (n_outputs,)]] * 3
    assert fitted.n_layers_ == 4
    # By hand from these numbers, on columns that are standardised as the encoder says.
    codes = fitted.model_.encoder.numbers
    x = (X - [code.mean for code in codes]) / [code.scale for code in codes]
    hidden, predictions = [], []
    for weights, biases in zip(fitted.coefs_, fitted.intercepts_, strict=True):
        h = np.tanh(np.tanh(x @ weights[0] + biases[0]) @ weights[1] + biases[1])
        z = h @ weights[2] + biases[2]
        hidden.append(h)
        predictions.append(softmax(z, axis=1) if estimator is MLPClassifier else z[:, 0])
    np.testing.assert_allclose(fitted.transform(X), np.hstack(hidden), atol=1e-12)
    mean = np.mean(predictions, axis=0)
    if estimator is MLPRegressor:
        mean = fitted.model_.scaler.inverse(mean[:, None])[:, 0]
    np.testing.assert_allclose(outputs(fitted, X), mean, rtol=1e-10)
    names = fitted.get_feature_names_out().tolist()
    assert names == [f"{estimator.__name__.lower()}{i}" for i in range(15)]
    for array in [*fitted.coefs_[0], *fitted.intercepts_[2]]:
        array[:] = 0.0
    np.testing.assert_allclose(outputs(fitted, X), mean, rtol=1e-10)


def test_one_member_has_a_plain_list_as_in_scikit_learn():
    fitted, _, _ = members_of(MLPClassifier, k=1)
    assert [weight.shape for weight in fitted.coefs_] == [(4, 7), (7, 5), (5, 3)]
    assert len(fitted.get_feature_names_out()) == 5


def test_a_scorer_is_asked_about_rows_that_no_member_has_seen():
    X, y = data_for(MLPRegressor)
    seen = []

    def scorer(estimator, held_X, held_y):
        seen.append(held_X)
        return estimator.score(held_X, held_y)

    fitted = MLPRegressor(max_iter=2, members=4, scoring=scorer, random_state=0).fit(X, y)
    assert fitted.model_.report.rows == {"train": 120, "validation": 30}
    assert all(len(held) == 30 for held in seen)
    assert fitted.t_ == 2 * 120
    assert MLPRegressor(max_iter=2, members=4, random_state=0).fit(X, y).model_.report.rows["train"] == 150
    own = MLPRegressor(max_iter=2, members=4, scoring=scorer, random_state=0, validation_fraction=0.4).fit(X, y)
    assert own.model_.report.rows == {"train": 90, "validation": 60}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_several_members_go_on_where_they_were(estimator):
    X, y = data_for(estimator)
    streamed = estimator((4,), members=3, random_state=0, numeric="standard")
    streamed.partial_fit(X[:100], y[:100], **first_call(estimator))
    before = streamed.coefs_
    assert (len(before), streamed.t_) == (3, 100)
    streamed.partial_fit(X[100:], y[100:])
    assert streamed.t_ == 150
    assert all((one[0] != other[0]).any() for one, other in zip(before, streamed.coefs_, strict=True))
    warm = estimator((4,), members=3, max_iter=2, random_state=0, warm_start=True).fit(X, y).fit(X, y)
    assert (warm.n_iter_, len(warm.coefs_)) == (4, 3)
