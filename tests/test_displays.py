"""Displays hold and draw the numbers that they are made from, into given axes or new ones."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import lamina
from lamina.activations import ACTIVATIONS


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def classifier():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return lamina.MLPClassifier((8,), max_iter=6, random_state=0).fit(X, y), X, y


def lines(axes) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): tuple(np.asarray(part).tolist() for part in line.get_data()) for line in axes.lines}


def test_training_curves(classifier):
    estimator, _, _ = classifier
    display = lamina.TrainingCurveDisplay.from_estimator(estimator)
    assert display.figure_ is display.ax_.figure
    assert display.train_loss == estimator.loss_curve_
    drawn = lines(display.ax_)
    epochs = [float(i) for i in range(1, estimator.n_iter_ + 1)]
    assert drawn["training"] == (epochs, estimator.loss_curve_)
    assert drawn["validation"] == (epochs, estimator.validation_curve_)
    best = estimator.model_.report.best_epoch
    assert drawn[f"kept: epoch {best}"][0] == [best, best]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "validation", f"kept: epoch {best}"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss")


@pytest.mark.parametrize(("losses", "scale"), [([1.0, 0.051], "linear"), ([1.0, 0.049], "log"), ([1.0, 0.0], "linear")])
def test_the_axis_of_the_loss_is_logarithmic_where_it_falls_far(losses, scale):
    assert lamina.TrainingCurveDisplay(train_loss=losses).plot().ax_.get_yscale() == scale
    assert lamina.TrainingCurveDisplay(train_loss=[1.0, 1.0], validation_loss=losses).plot().ax_.get_yscale() == scale


def test_whiskers_have_the_colour_of_the_text_on_dark_ground_too(classifier):
    estimator, X, y = classifier
    for style, colour in (("default", (0.0, 0.0, 0.0, 1.0)), ("dark_background", (1.0, 1.0, 1.0, 1.0))):
        with plt.style.context(style):
            axes = lamina.PermutationImportanceDisplay.from_estimator(estimator, X, y, n_repeats=2).ax_
        (whiskers,) = axes.collections
        assert whiskers.get_color().tolist() == [list(colour)]


def test_training_curves_of_a_model_without_validation_rows():
    model = lamina.fit("iris", epochs=2, validation=0.0, hidden_units=(4,), members=1)
    display = lamina.TrainingCurveDisplay.from_estimator(model)
    assert display.validation_loss is None
    assert list(lines(display.ax_))[:1] == ["training"]
    assert "validation" not in lines(display.ax_)
    negative = lamina.TrainingCurveDisplay(train_loss=[1.0, -0.5], validation_loss=[2.0, 1.0]).plot()
    assert negative.ax_.get_yscale() == "linear"
    assert list(lines(negative.ax_)) == ["training", "validation"]


@pytest.mark.parametrize("name", ["relu", "tanh", "swish"])
def test_activations(name):
    display = lamina.ActivationDisplay.from_name(name, low=-2, high=2)
    record = ACTIVATIONS[name]
    drawn = lines(display.ax_)
    assert list(drawn) == [name, "derivative"]
    x, y = (np.array(part) for part in drawn[name])
    slope = np.array(drawn["derivative"][1])
    assert (x[0], x[400], x[-1]) == (-2, 0, 2)
    central = (y[2:] - y[:-2]) / (x[2:] - x[:-2])
    smooth = np.abs(x[1:-1]) > 0.01 if record.kinks else np.ones(799, dtype=bool)
    np.testing.assert_allclose(slope[1:-1][smooth], central[smooth], atol=1e-4)
    assert (display.name, display.ax_.get_xlabel()) == (name, "x")


def test_importances(classifier):
    estimator, X, y = classifier
    display = lamina.PermutationImportanceDisplay.from_estimator(estimator, X, y, n_repeats=3, random_state=1)
    found = lamina.permutation_importance(estimator.model_, (X, y), 3, 1)
    assert np.array_equal(display.importance.drops, found.drops)
    bars = [patch.get_width() for patch in display.ax_.patches]
    assert bars == [mean for _, mean, _ in found.ordered()]
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [name for name, _, _ in found.ordered()]
    low, high = display.ax_.get_ylim()
    assert low > high, "the most important column is on top"
    (whiskers,) = [container for container in display.ax_.containers if hasattr(container, "has_xerr")]
    lengths = [np.ptp(segment[:, 0]) for segment in whiskers[2][0].get_segments()]
    np.testing.assert_allclose(lengths, [2 * deviation for _, _, deviation in found.ordered()], atol=1e-12)
    assert display.ax_.get_xlabel() == "log loss worse by,\nwhere the column is shuffled"


def test_few_columns_of_many(classifier):
    estimator, X, y = classifier
    importance = lamina.permutation_importance(estimator.model_, (X, y), 1)
    display = lamina.PermutationImportanceDisplay(importance).plot(max_columns=2)
    assert len(display.ax_.patches) == 2
    assert display.ax_.get_title() == "the 2 most important of 4 columns"


def test_given_axes_are_drawn_into(classifier):
    estimator, X, y = classifier
    figure = Figure()
    first, second, third = figure.subplots(1, 3)
    displays = [
        lamina.TrainingCurveDisplay.from_estimator(estimator, ax=first),
        lamina.ActivationDisplay.from_name("relu", ax=second),
        lamina.PermutationImportanceDisplay.from_estimator(estimator, X, y, n_repeats=1, ax=third),
    ]
    assert [display.ax_ for display in displays] == [first, second, third]
    assert {display.figure_ for display in displays} == {figure}
    assert plt.get_fignums() == []
    again = displays[0].plot()
    assert again is displays[0]
    assert again.figure_ is not figure
    assert len(plt.get_fignums()) == 1


def test_refusals(monkeypatch):
    with pytest.raises(NotFittedError):
        lamina.TrainingCurveDisplay.from_estimator(lamina.MLPClassifier())
    with pytest.raises(NotFittedError):
        lamina.PermutationImportanceDisplay.from_estimator(lamina.MLPRegressor(), [[1.0]], [1.0])
    with pytest.raises(lamina.ConfigError, match=r"the model has no history of epochs; train it with lamina\.fit"):
        lamina.TrainingCurveDisplay.from_estimator(lamina.prepare("iris", members=1).current())
    with pytest.raises(lamina.ConfigError, match=r"Did you mean 'relu'\?"):
        lamina.ActivationDisplay.from_name("rel")
    with pytest.raises(lamina.ConfigError, match="low = 3 must be below high = 1"):
        lamina.ActivationDisplay.from_name("relu", low=3, high=1)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    with pytest.raises(lamina.MissingExtraError, match=r"drawing needs matplotlib: pip install 'lamina\[plot\]'"):
        lamina.ActivationDisplay.from_name("relu")
