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
