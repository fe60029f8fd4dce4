"""Without a hidden layer, or with the identity in every one of them, what is learned is a linear model."""

import json
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lamina
from lamina import MLPClassifier, MLPRegressor
from lamina.cli.main import run

LINEAR = [
    {"hidden_units": ()},
    {"hidden_units": (), "members": 4},
    {"activation": "identity"},
    {"hidden_units": (16, 8), "activation": ("identity", "identity")},
    {"activation": "identity", "members": 4},
]


def parabola(n=800):
    x = np.random.default_rng(0).uniform(-1, 1, size=(n, 1))
    return x, x[:, 0] ** 2


def circle(n=1000):
    x = np.random.default_rng(1).normal(size=(n, 2))
    return x, ((x**2).sum(axis=1) > 1.4).astype(int)


def straight(n=500):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 0, 1, 0]
    return x, x @ [1, -0.2, 5, 0.3, 0] + 0.5 * rng.normal(size=n)


@pytest.mark.parametrize("options", LINEAR, ids=str)
def test_a_linear_model_does_not_bend(options):
    x, y = parabola()
    model = lamina.fit((x, y), seed=0, baselines=False, **options)
    assert r2_score(y, model.predict(x)) < 0.05
    assert (model.config.numeric, model.config.target_transform) == ("standard", "none")
    assert model.config.members == options.get("members", 1)


@pytest.mark.parametrize("parameters", [{"hidden_layer_sizes": ()}, {"activation": "identity"}], ids=str)
def test_nor_do_the_estimators(parameters):
    assert MLPRegressor(**parameters, random_state=0).fit(*parabola()).score(*parabola()) < 0.05
    x, y = circle()
    linear = LogisticRegression().fit(x, y).score(x, y)
    assert linear < 0.6
    classifier = MLPClassifier(**parameters, random_state=0).fit(x, y)
    assert classifier.score(x, y) < 0.6
    assert MLPClassifier((16,), random_state=0).fit(x, y).score(x, y) > 0.95


@pytest.mark.parametrize("flags", [["--hidden-units", "none"], ["--activation", "identity"]], ids=str)
def test_nor_does_the_command(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y = parabola()
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x[:, 0], y, strict=True)))
    assert run(["train", "t.csv", "--target", "y", "--test", "0.2", "-o", "m", "--json", *flags]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["scores"]["test"]["r2"] < 0.05
    assert lamina.load(tmp_path / "m").config.numeric == "standard"


def test_who_names_the_encoding_the_members_or_the_transform_gets_them():
    x, y = parabola()
    bent = lamina.fit((x, y), hidden_units=(), numeric="piecewise_linear", seed=0, baselines=False)
    assert bent.config.numeric == "piecewise_linear"
    assert r2_score(y, bent.predict(x)) > 0.95
    told = lamina.fit(
        (x, y + 0.1), hidden_units=(), numeric="mixed", members=4, target_transform="log", epochs=2, baselines=False
    )
    assert (told.config.numeric, told.config.members, told.config.target_transform) == ("mixed", 4, "log")


def test_a_skewed_target_is_not_transformed_by_itself():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    y = np.exp(2 * x[:, 0] + x[:, 1] + 0.1 * rng.normal(size=600))
    options = {"epochs": 2, "seed": 0, "members": 4, "baselines": False}
    assert lamina.fit((x, y), **options).config.target_transform in ("log", "quantile")
    for linear in ({"hidden_units": ()}, {"activation": "identity"}):
        assert lamina.fit((x, y), **linear, **options).config.target_transform == "none"


@pytest.mark.parametrize("encoding", ["piecewise_linear", "standard"])
def test_a_model_to_start_from_keeps_its_encoding(encoding):
    x, y = parabola()
    options = {"hidden_units": (), "epochs": 3, "seed": 0, "baselines": False}
    first = lamina.fit((x, y), numeric=encoding, **options)
    second = lamina.fit((x, y), start=first, **options)
    assert (second.config.numeric, second.config.members) == (encoding, 1)
    assert second.network.members()[0].output.weight.shape == first.network.members()[0].output.weight.shape


def test_predictions_are_those_of_linear_regression():
    """Within 0.001 of the target's standard deviation by L-BFGS, and within 0.01 by AdamW with its decay of 0.01."""
    x, y = straight()
    expected = LinearRegression().fit(x, y).predict(x)
    exact = MLPRegressor((), solver="lbfgs", alpha=0.0, early_stopping=False, random_state=0).fit(x, y)
    assert np.abs(exact.predict(x) - expected).max() < 0.001 * y.std()
    default = MLPRegressor((), early_stopping=False, random_state=0).fit(x, y)
    assert np.abs(default.predict(x) - expected).max() < 0.01 * y.std()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_those_of_logistic_regression(n_classes):
    """Within 0.002 of the unpenalised model's by L-BFGS, and within 0.02 by AdamW with its decay of 0.01."""
    x, y = straight()
    y = y + 2 * np.random.default_rng(3).normal(size=len(y))
    labels = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=1e8, max_iter=1000)).fit(x, labels)
    expected = reference.predict_proba(x)
    exact = MLPClassifier((), solver="lbfgs", alpha=0.0, early_stopping=False, random_state=0).fit(x, labels)
    assert np.abs(exact.predict_proba(x) - expected).max() < 0.002
    default = MLPClassifier((), early_stopping=False, random_state=0).fit(x, labels)
    assert np.abs(default.predict_proba(x) - expected).max() < 0.02
