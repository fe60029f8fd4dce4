"""The estimators' parameters: scikit-learn's names and values with scikit-learn's meaning, and none without effect."""

import inspect

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.preprocessing import StandardScaler

import lamina
from lamina import MLPClassifier, MLPRegressor
from lamina.config import default, options
from lamina.estimator_parts import DOOR, config_values

ESTIMATORS = [MLPClassifier, MLPRegressor]
ONLY_CLASSIFIER = ["class_weight", "label_smoothing", "positive_class", "threshold", "calibrate"]
ONLY_REGRESSOR = ["quantile", "huber_delta", "target_transform"]

# All rows are trained on, standardised, without noise: what a textbook computes.
TEXTBOOK = {"numeric": "standard", "early_stopping": False, "dropout": 0.0, "dtype": "float64", "random_state": 0}


def parameters(estimator: type) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(estimator).parameters)


def iris() -> tuple[np.ndarray, np.ndarray]:
    return load_iris(return_X_y=True)


# -- names and defaults


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_of_scikit_learn_is_there(estimator):
    theirs = parameters(getattr(neural_network, estimator.__name__))
    assert len(theirs) >= 23
    assert [name for name in theirs if name not in parameters(estimator)] == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_options_with_their_defaults(estimator):
    names = {option.sklearn_name or name: name for name, option in options().items()}
    for name, parameter in parameters(estimator).items():
        if name in DOOR:
            assert parameter.default in (False, None), name
        elif name == "random_state":
            assert (names[name], parameter.default) == ("seed", None)
        else:
            assert parameter.default == default(names[name]), name


def test_both_estimators_have_the_same_parameters_but_those_of_their_task():
    classifier, regressor = (list(parameters(each)) for each in ESTIMATORS)
    assert classifier[: -len(ONLY_CLASSIFIER)] == regressor[: -len(ONLY_REGRESSOR)]
    assert classifier[-len(ONLY_CLASSIFIER) :] == ONLY_CLASSIFIER
    assert regressor[-len(ONLY_REGRESSOR) :] == ONLY_REGRESSOR
    common = classifier[: -len(ONLY_CLASSIFIER)]
    assert [parameters(MLPClassifier)[name] for name in common] == [parameters(MLPRegressor)[name] for name in common]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_stored_as_they_are(estimator):
    given = {name: object() for name in parameters(estimator)}
    assert estimator(**given).get_params(deep=False) == given


def test_bad_values_are_refused_by_fit_with_the_option_named():
    X, y = iris()
    with pytest.raises(ValueError, match=r"hidden_units = \(0,\): every hidden layer needs at least 1 unit"):
        MLPClassifier(hidden_layer_sizes=(0,)).fit(X, y)
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'. Did you mean 'relu'"):
        MLPClassifier(activation="rleu").fit(X, y)
    with pytest.raises(lamina.ConfigError, match=r"unknown optimizer 'sdg'. Did you mean 'sgd'"):
        MLPRegressor(solver="sdg").fit(X, y)
    with pytest.raises(lamina.ConfigError, match="weight_decay = -1 is out of bounds: it must be at least 0"):
        MLPClassifier(alpha=-1).fit(X, y)


# -- values of scikit-learn, and what they mean


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("identity", lambda z: z),
        ("logistic", expit),
        ("tanh", np.tanh),
        ("relu", lambda z: np.maximum(z, 0)),
    ],
)
def test_activations_of_scikit_learn_are_the_functions_of_that_name(name, function):
    X, y = iris()
    fitted = MLPClassifier((6, 5), activation=name, max_iter=5, **TEXTBOOK).fit(X, y)
    hidden = (X - X.mean(axis=0)) / X.std(axis=0)
    for weight, bias in zip(fitted.coefs_[:-1], fitted.intercepts_[:-1], strict=True):
        hidden = function(hidden @ weight + bias)
    np.testing.assert_allclose(fitted.transform(X), hidden, atol=1e-12)
    expected = softmax(hidden @ fitted.coefs_[-1] + fitted.intercepts_[-1], axis=1)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-12)


def test_logistic_is_another_name_of_sigmoid():
    X, y = iris()
    one, other = (MLPClassifier((6,), activation=name, max_iter=3, random_state=0) for name in ("logistic", "sigmoid"))
    np.testing.assert_array_equal(one.fit(X, y).predict_proba(X), other.fit(X, y).predict_proba(X))


def test_lbfgs_finds_the_penalised_optimum_of_logistic_regression():
    X, y = iris()
    fitted = MLPClassifier((), solver="lbfgs", alpha=1.0, tol=1e-9, max_iter=500, **TEXTBOOK).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(scaled, y)
    np.testing.assert_allclose(fitted.predict_proba(X), reference.predict_proba(scaled), atol=2e-5)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_one_step_of_sgd_and_of_adam_is_that_of_the_formula(solver):
    X, y = iris()
    estimator = MLPClassifier(
        (), solver=solver, alpha=2.0, batch_size=150, learning_rate="constant", learning_rate_init=0.1, max_iter=1,
        warm_start=True, **TEXTBOOK,
    ).fit(X, y)  # fmt: skip
    weight, bias, scaled = estimator.coefs_[0], estimator.intercepts_[0], StandardScaler().fit_transform(X)
    wrong = softmax(scaled @ weight + bias, axis=1) - np.eye(3)[y]
    # As in scikit-learn the penalty is α ‖W‖² / 2 over the rows of the minibatch, without the biases.
    gradients = [scaled.T @ wrong / 150 + 2.0 * weight / 150, wrong.mean(axis=0)]
    if solver == "sgd":  # the first step with Nesterov's momentum of 0.9
        steps = [0.1 * (1 + 0.9) * gradient for gradient in gradients]
    else:  # both means of Adam are the gradient itself at first
        steps = [0.1 * gradient / (np.abs(gradient) + 1e-8) for gradient in gradients]
    estimator.fit(X, y)
    np.testing.assert_allclose(estimator.coefs_[0], weight - steps[0], atol=1e-12)
    np.testing.assert_allclose(estimator.intercepts_[0], bias - steps[1], atol=1e-12)


@pytest.mark.parametrize(
    ("chosen", "rates"),
    [
        ({"learning_rate": "constant"}, [0.1] * 5),
        ({"learning_rate": "invscaling", "power_t": 0.7}, [0.1 / t**0.7 for t in range(1, 6)]),
        ({"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2}, [0.1, 0.1, 0.1, 0.02, 0.02]),
    ],
)
def test_learning_rates_of_scikit_learn_take_their_course(chosen, rates):
    X, y = iris()
    estimator = MLPClassifier((4,), solver="sgd", learning_rate_init=0.1, batch_size=150, max_iter=5, **TEXTBOOK)
    history = estimator.set_params(**chosen).fit(X, y).model_.history
    assert [record.learning_rate for record in history] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("estimator", "value", "same"),
    [
        (MLPClassifier, {"batch_size": "auto"}, {}),
        (MLPClassifier, {"hidden_layer_sizes": 8}, {"hidden_layer_sizes": [8]}),
        (MLPClassifier, {"loss": "cross_entropy"}, {}),
        (MLPRegressor, {"loss": "squared_error"}, {}),
        (MLPRegressor, {"target_transform": "none"}, {}),
    ],
)
def test_spellings_that_mean_the_same(estimator, value, same):
    X, y = iris()
    one, other = (
        estimator(**{"hidden_layer_sizes": (8,), **each}, max_iter=2, random_state=0) for each in (value, same)
    )
    np.testing.assert_array_equal(one.fit(X, y).predict(X), other.fit(X, y).predict(X))
    assert one.loss_curve_ == other.loss_curve_


def test_the_loss_poisson_finds_the_optimum_of_poisson_regression():
    X, y = load_diabetes(return_X_y=True)
    fitted = MLPRegressor((), loss="poisson", solver="lbfgs", alpha=0.0, tol=1e-9, max_iter=500, **TEXTBOOK).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    reference = PoissonRegressor(alpha=0, tol=1e-10, max_iter=10_000).fit(scaled, y)
    np.testing.assert_allclose(fitted.predict(X), reference.predict(scaled), rtol=1e-5)
    assert fitted.out_activation_ == "exp"


# -- none does nothing


def predictions(estimator, X, y, capsys):
    fitted = estimator.fit(X, y)
    return (fitted.predict_proba if hasattr(fitted, "predict_proba") else fitted.predict)(X).tolist()


def decisions(estimator, X, y, capsys):
    return estimator.fit(X, y).predict(X).tolist()


def iterations(estimator, X, y, capsys):
    return estimator.fit(X, y).n_iter_


def iterations_of_two_fits(estimator, X, y, capsys):
    return estimator.fit(X, y).fit(X, y).n_iter_


def predictions_of_what_is_linear(estimator, X, y, capsys):
    X = (X - X.mean(0)) / X.std(0)
    z = X @ np.arange(1.0, X.shape[1] + 1) + 3 * np.random.default_rng(0).normal(size=len(X))
    return predictions(estimator, X, z > np.median(z) if hasattr(estimator, "predict_proba") else z, capsys)


def scores(estimator, X, y, capsys):
    return estimator.fit(X, y).validation_scores_


def printed(estimator, X, y, capsys):
    estimator.fit(X, y)
    return capsys.readouterr().out


def refusal(estimator, X, y, capsys):
    try:
        estimator.fit(X, y)
    except lamina.ConfigError as error:
        return str(error)
    return None


# A device that no machine has beside the other.
ABSENT = "mps" if torch.cuda.is_available() else "cuda"
SGD, LBFGS = {"solver": "sgd"}, {"solver": "lbfgs"}
ALL_ROWS = {"early_stopping": False}

WIDE = {"hidden_layer_sizes": (1024, 1024), "batch_size": 64}

# parameter: the other parameters, its changed value, and where the change shows
BOTH = {
    "hidden_layer_sizes": ({}, (5,), predictions),
    "activation": ({}, "tanh", predictions),
    "solver": ({}, "adam", predictions),
    "alpha": ({}, 5.0, predictions),
    "batch_size": ({}, 64, predictions),
    "learning_rate": ({}, "constant", predictions),
    "learning_rate_init": ({}, 0.05, predictions),
    "power_t": ({**SGD, "learning_rate": "invscaling"}, 0.1, predictions),
    "max_iter": ({}, 2, iterations),
    "shuffle": ({}, False, predictions),
    "random_state": ({}, 1, predictions),
    "tol": ({**ALL_ROWS, "n_iter_no_change": 1}, 10.0, iterations),
    "verbose": ({}, True, printed),
    "warm_start": ({}, True, iterations_of_two_fits),
    "momentum": (SGD, 0.5, predictions),
    "nesterovs_momentum": (SGD, False, predictions),
    "early_stopping": ({}, False, predictions),
    "validation_fraction": ({}, 0.4, predictions),
    "beta_1": ({}, 0.5, predictions),
    "beta_2": ({}, 0.5, predictions),
    "epsilon": ({}, 0.1, predictions),
    "n_iter_no_change": ({**ALL_ROWS, "tol": 10.0}, 2, iterations),
    "max_fun": (LBFGS, 1, iterations),
    "numeric": ({}, "standard", predictions),
    "dropout": ({}, 0.5, predictions),
    "normalization": ({}, "batch", predictions),
    "preset": ({"hidden_layer_sizes": None}, "fast", predictions),
    "members": ({}, 2, predictions),
    "averaging": ({}, 0.9, predictions),
    "linear_share": ({"hidden_layer_sizes": None, "members": 4}, False, predictions_of_what_is_linear),
    "clip_norm": (SGD, 0.01, predictions),
    "time_limit": ({}, 1e-9, iterations),
    "device": ({}, ABSENT, refusal),
    "dtype": ({}, "float64", predictions),
    "precision": (
        {"hidden_layer_sizes": (512, 512), "batch_size": 64, "precision": "float32"},
        "bfloat16",
        predictions,
    ),
}
TABLES = {
    MLPClassifier: {
        **BOTH,
        "scoring": ({}, "neg_log_loss", scores),
        "loss": ({}, "squared_error", refusal),
        "class_weight": ({}, {0: 9.0}, predictions),
        "label_smoothing": ({}, 0.3, predictions),
        "positive_class": ({"threshold": 0.9}, 0, decisions),
        "threshold": ({}, 0.9, decisions),
        "calibrate": ({}, False, predictions),
    },
    MLPRegressor: {
        **BOTH,
        "scoring": ({}, "neg_mean_absolute_error", scores),
        "loss": ({}, "absolute_error", predictions),
        "quantile": ({"loss": "quantile"}, 0.9, predictions),
        "huber_delta": ({"loss": "huber"}, 0.1, predictions),
        "target_transform": ({}, "log", predictions),
    },
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_table_names_every_parameter(estimator):
    assert sorted(TABLES[estimator]) == sorted(parameters(estimator))


@pytest.mark.parametrize(("estimator", "name"), [(each, name) for each in ESTIMATORS for name in TABLES[each]])
def test_no_parameter_does_nothing(estimator, name, capsys):
    X, y = (load_breast_cancer if estimator is MLPClassifier else load_diabetes)(return_X_y=True)
    X, y = X[:160, :4], y[:160]
    others, value, shown = TABLES[estimator][name]
    base = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, **others}
    plain, again, changed = (shown(estimator(**each), X, y, capsys) for each in (base, base, {**base, name: value}))
    assert plain == again  # so that a difference is the parameter's
    assert plain != changed


def test_scoring_without_validation_rows_is_refused():
    X, y = iris()
    with pytest.raises(ValueError, match="scoring"):
        MLPClassifier((4,), scoring="no scorer", early_stopping=False, max_iter=1).fit(X, y)


def test_class_weights_know_classes_that_are_floats():
    X, y = iris()
    options = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    of_ints = MLPClassifier(class_weight={0: 5.0}, **options).fit(X, y)
    of_floats = MLPClassifier(class_weight={0.0: 5.0}, **options).fit(X, y.astype(float))
    np.testing.assert_array_equal(of_ints.predict_proba(X), of_floats.predict_proba(X))


# -- random_state


def test_random_state_may_be_none_a_number_or_a_generator():
    assert config_values({"random_state": 7})["seed"] == 7
    assert 0 <= config_values({"random_state": None})["seed"] < 2**31
    for make in (np.random.RandomState, np.random.default_rng):
        source = make(3)
        drawn = [config_values({"random_state": source})["seed"] for _ in range(3)]
        assert len(set(drawn)) == 3  # each fit draws its own
        same = make(3)
        assert drawn == [config_values({"random_state": same})["seed"] for _ in range(3)]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fits_repeat_with_a_random_state_and_differ_without(estimator):
    X, y = iris()

    def weights(state):
        return estimator((4,), max_iter=1, random_state=state).fit(X, y).coefs_[0]

    np.testing.assert_array_equal(weights(5), weights(5))
    np.testing.assert_array_equal(weights(np.random.RandomState(5)), weights(np.random.RandomState(5)))
    np.testing.assert_array_equal(weights(np.random.default_rng(5)), weights(np.random.default_rng(5)))
    assert not np.array_equal(weights(None), weights(None))
