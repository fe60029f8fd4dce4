"""Figures hold the numbers that they should show, and are written whole."""

import sys

import numpy as np
import pytest
import torch

import lamina
from lamina.activations import ACTIVATIONS
from lamina.analysis.plots import backward_with_ones


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_function_and_gradient_are_drawn_and_both_gradients_agree(name):
    figure = lamina.plot_activation(name)
    left, right = figure.axes
    record = ACTIVATIONS[name]
    parameter = () if record.parameter is None else (torch.tensor([record.parameter.initial], dtype=torch.float64),)
    x, y = (torch.as_tensor(np.array(part)) for part in left.lines[0].get_data())
    torch.testing.assert_close(y, record.function(x, *parameter))
    assert (float(x[0]), float(x[-1])) == pytest.approx((-8, 8))
    x, gradient = (torch.as_tensor(np.array(part)) for part in right.lines[0].get_data())
    torch.testing.assert_close(gradient, backward_with_ones(record, x), rtol=1e-12, atol=1e-14)
    assert x[400] == 0
    assert all(len(line) <= 46 for line in left.get_title().splitlines())
    assert left.get_xlabel() == "x"
    assert left.get_ylabel() == f"{name}(x)"
    assert right.get_ylabel() == f"grad of {name}"
    assert float(right.get_title().split()[-1].rstrip(")")) < 1e-12


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_file_has_the_format_of_its_suffix(tmp_path, suffix, magic):
    lamina.plot_activation("relu", tmp_path / f"relu.{suffix}")
    assert (tmp_path / f"relu.{suffix}").read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [f"relu.{suffix}"]


def test_bad_arguments(tmp_path):
    with pytest.raises(lamina.ConfigError, match=r"Did you mean 'relu'\?"):
        lamina.plot_activation("rel")
    with pytest.raises(lamina.ConfigError, match="low = 3 must be below high = 1"):
        lamina.plot_activation("relu", low=3, high=1)
    with pytest.raises(lamina.ConfigError, match="cannot draw to"):
        lamina.plot_activation("relu", tmp_path / "relu.xyz")
    with pytest.raises(lamina.ConfigError, match="there is no folder"):
        lamina.plot_activation("relu", tmp_path / "nowhere" / "relu.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_message_holds_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(lamina.MissingExtraError, match=r"drawing needs matplotlib: pip install 'lamina\[plot\]'"):
        lamina.plot_activation("relu")


def drawn(figure) -> list[tuple[list[float], list[float]]]:
    (axes,) = figure.axes
    return [tuple(np.asarray(part).tolist() for part in line.get_data()) for line in axes.lines]


def test_plot_draws_one_curve_or_several_from_anything():
    x = torch.arange(-2.0, 3.0, requires_grad=True)
    y = torch.relu(x)
    values = ([-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0, 2.0])
    for form in (x, x.detach().numpy(), values[0], tuple(values[0]), [v.detach() for v in x], list(x)):
        assert drawn(lamina.plot(form, y)) == [values]
    for several in ([y, y], [y, values[1]], np.stack([y.detach(), y.detach()]), torch.stack([y, y])):
        assert drawn(lamina.plot(x, several)) == [values, values]
    two = lamina.plot([x, [0, 1]], [y, [5, 6]], labels=["long", "short"])
    assert drawn(two) == [values, ([0.0, 1.0], [5.0, 6.0])]


def test_plot_writes_what_it_is_told():
    figure = lamina.plot(
        [1, 10, 100],
        [[1, 2, 3], [3, 2, 1]],
        ["up", "down"],
        "epoch",
        "loss",
        (1, 200),
        (0.5, 4),
        "log",
        "log",
        "Losses",
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["up", "down"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("epoch", "loss", "Losses")
    assert (axes.get_xlim(), axes.get_ylim()) == ((1, 200), (0.5, 4))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    plain = lamina.plot([1, 2], [3, 4]).axes[0]
    assert (plain.get_legend(), plain.get_xlabel(), plain.get_xscale()) == (None, "", "linear")
    assert [text.get_text() for text in lamina.plot([1, 2], [3, 4], "one").axes[0].get_legend().get_texts()] == ["one"]


def test_plot_tells_curves_apart_without_colour():
    lines = lamina.plot(range(30), np.arange(360).reshape(12, 30)).axes[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 12
    assert {line.get_marker() for line in lines[:4]} == {""}


def test_plot_into_given_axes():
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert lamina.plot([0, 1], [2, 3], ax=right) is figure
    assert (len(left.lines), len(right.lines)) == (0, 1)
    assert lamina.plot([0, 1], [2, 3], ax=right, ylabel="y") is figure
    assert (len(right.lines), right.get_ylabel()) == (2, "y")


@pytest.mark.parametrize(
    ("x", "ys", "message"),
    [
        ([1, 2, 3], [[1, 2, 3], [1, 2]], "curve 1 of ys has 2 values for 3 values of x; give as many of both."),
        ([1, 2], [1, 2, 3], "curve 0 of ys has 3 values for 2 values of x; give as many of both."),
        ([1], np.zeros((2, 1, 1)), "a curve of ys has the shape (2, 1, 1); expected (n,), one number for each point."),
        (3, [1], "a curve of x has the shape (); expected (n,), one number for each point."),
        (["a"], [1], "x holds what is no number; expected numbers in arrays or tensors of shape (n,)."),
        ([1, 2], [1, [2]], "ys holds what is no number; expected numbers in arrays or tensors of shape (n,)."),
    ],
)
def test_plot_refuses_curves_that_are_none(x, ys, message):
    with pytest.raises(lamina.DataError) as caught:
        lamina.plot(x, ys)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [[1], [2], [3]]}, "x has 3 arrays for 2 curves; give one for all, or one for each."),
        ({"labels": ["a"]}, "labels holds 1 for 2 curves; give a list with one for each."),
        ({"labels": "ab"}, "labels holds 1 for 2 curves; give a list with one for each."),
        ({"xscale": "lin"}, "xscale = 'lin' is not known. Did you mean 'linear'? Known: linear, log, symlog, logit."),
        ({"yscale": 3}, "yscale = 3 is not known. Known: linear, log, symlog, logit."),
        ({"ylim": (1, float("inf"))}, "ylim = (1, inf) is not two numbers; give the two ends of the axis."),
        ({"ylim": ("a", "b")}, "ylim = ('a', 'b') is not two numbers; give the two ends of the axis."),
        ({"xlim": 3}, "xlim = 3 is not two numbers; give the two ends of the axis."),
    ],
)
def test_plot_refuses_what_does_not_fit_the_curves(arguments, message):
    axes = lamina.plot([0], [0]).axes[0]
    with pytest.raises(lamina.ConfigError) as caught:
        lamina.plot(**{"x": [1], "ys": [[1], [2]], "ax": axes, **arguments})
    assert str(caught.value) == message
    assert len(axes.lines) == 1, "nothing is drawn before all is checked"


def test_plot_without_matplotlib_says_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(lamina.MissingExtraError, match=r"drawing needs matplotlib: pip install 'lamina\[plot\]'"):
        lamina.plot([1], [1])
