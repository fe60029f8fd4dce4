"""The formula around a row is what the model computes, up to a border that is there."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from random_models import NUMBERS, by_hand, frame, outputs, random_model, shapes

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}
NONLINEAR = ("relu", "leaky_relu", "hard_tanh")


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=60, deadline=None)
@given(options=shapes(), i=st.integers(0, 59))
def test_the_formula_holds_for_every_row_within_the_distance(task, options, i):
    data = FRAMES[task]
    model = random_model(data, **options)
    row = data[i]
    formula = lamina.local_formula(model, row)
    columns = list(formula.weights)
    assert columns == [name for name in NUMBERS if not np.isnan(row[name][0])]
    rng = np.random.default_rng(i)
    directions = rng.normal(size=(30, len(columns)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    deviations = np.array([formula.deviations[name] for name in columns])
    steps = min(formula.distance, 3.0) * rng.uniform(0, 1, (30, 1)) * directions * deviations
    rows = pl.concat([row] * 30).with_columns(
        pl.lit(row[name][0] + steps[:, j]).alias(name) for j, name in enumerate(columns)
    )
    expected = outputs(model, rows)
    found = np.array([formula.at(each) for each in rows.to_dicts()])
    size = 1 + np.abs(expected).max() + max(np.abs(formula.bias))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * size)


@settings(max_examples=60, deadline=None)
@given(options=shapes(), i=st.integers(0, 59))
def test_the_nearest_border_is_the_first_that_a_line_there_meets(options, i):
    model = random_model(**options)
    row = frame(seed=1)[i].to_dicts()[0]  # rows of the training data lie on the edges of bins
    formula = lamina.local_formula(model, row)
    if formula.distance > 1e3:  # only the encoder's clipping
        assert formula.distance == pytest.approx(1e9, rel=1e-5) or formula.border == ""
        return
    steps = [(formula.nearest[name] - row[name]) / formula.deviations[name] for name in NUMBERS]
    np.testing.assert_allclose(np.linalg.norm(steps), formula.distance, rtol=1e-6)
    beyond = {name: row[name] + 2 * (formula.nearest[name] - row[name]) for name in NUMBERS}
    pieces = lamina.linear_pieces(model, row, beyond)
    np.testing.assert_allclose(pieces.positions[0], 0.5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(options=shapes(NONLINEAR, max_depth=1), i=st.integers(0, 59))
def test_behind_the_border_the_model_is_another(options, i):
    model = random_model(**{**options, "hidden_units": (5,), "activation": "leaky_relu", "numeric": "standard"})
    row = frame()[i].to_dicts()[0]
    formula = lamina.local_formula(model, row)
    beyond = {name: row[name] + 1.5 * (formula.nearest[name] - row[name]) for name in NUMBERS}
    there = lamina.local_formula(model, beyond)
    change = [np.abs(there.weights[name] - formula.weights[name]).max() * formula.deviations[name] for name in NUMBERS]
    assert max(change) > 1e-6
    assert formula.border.startswith("unit ")
    assert formula.border.endswith(" of hidden layer 1")


def test_a_linear_model_is_its_formula():
    model = random_model(hidden_units=(), numeric="standard")
    formula = lamina.local_formula(model, frame()[:1])
    scale = model.scaler.columns[0].scale
    weight = model.network.output.weight.detach().numpy()[:, 0]
    for name, each, code in zip(NUMBERS, weight, model.encoder.numbers, strict=True):
        np.testing.assert_allclose(formula.weights[name], [each * scale / code.scale], rtol=1e-13)
    assert formula.distance == pytest.approx(1e9, rel=1e-5)
    assert formula.border.split(" = ")[0] in NUMBERS


def test_a_formula_by_hand():
    # y = 2 relu(x0 - 1) - 3 relu(x1) + 0.5 at (3, -4): relu(x1) is off, and x1 = 0 is further than x0 = 1.
    model = by_hand([np.eye(2), [[2.0], [-3.0]]], [[-1.0, 0.0], [0.5]])
    formula = lamina.local_formula(model, [[3.0, -4.0]])
    assert {name: weight.tolist() for name, weight in formula.weights.items()} == {"x0": [2.0], "x1": [0.0]}
    assert formula.bias.tolist() == [-1.5]
    assert (formula.distance, formula.border) == (2.0, "unit 1 of hidden layer 1")
    assert formula.nearest == {"x0": 1.0, "x1": -4.0}
    assert formula.at({"x0": 2.0, "x1": 0.0}).tolist() == [2.5]
    assert str(formula) == ("y = -1.5 + 2 x0\nholds within 2 standard deviations; bounded by unit 1 of hidden layer 1")


@pytest.mark.parametrize(("activation", "slopes"), [("relu", [0.0]), ("leaky_relu", [0.01]), ("hard_tanh", [1.0])])
def test_on_a_kink_the_declared_derivative_decides(activation, slopes):
    formula = lamina.local_formula(by_hand([[[1.0]], [[1.0]]], [[0.0], [0.0]], activation), [[0.0]])
    assert formula.weights["x0"].tolist() == slopes
    assert formula.distance == (1.0 if activation == "hard_tanh" else 0.0)
    for edge in (-1.0, 1.0):
        at_edge = lamina.local_formula(by_hand([[[1.0]], [[1.0]]], [[0.0], [0.0]], "hard_tanh"), [[edge]])
        assert (at_edge.weights["x0"].tolist(), at_edge.distance) == ([0.0], 0.0)


def test_at_the_edge_of_two_bins_the_left_one_decides():
    model = random_model(hidden_units=(), numeric="piecewise_linear")
    code = model.encoder.numbers[0]
    # A column whose edges are the standardised values themselves, so that the row is on the edge exactly.
    edges = tuple(range(-2, 2 * len(code.edges) - 2, 2))
    numbers = (replace(code, mean=0.0, scale=1.0, edges=edges), *model.encoder.numbers[1:])
    model.encoder = replace(model.encoder, numbers=numbers)
    left = lamina.local_formula(model, {"age": 1.9, "size": 1e3, "year": 1e4})
    edge = lamina.local_formula(model, {"age": 2.0, "size": 1e3, "year": 1e4})
    right = lamina.local_formula(model, {"age": 2.1, "size": 1e3, "year": 1e4})
    np.testing.assert_allclose(edge.weights["age"], left.weights["age"], rtol=1e-12)
    assert abs(edge.weights["age"][0] - right.weights["age"][0]) > 1e-3
    assert (edge.distance, edge.border) == (0.0, "age = 2")
    assert (left.border, right.border) == ("age = 2", "age = 2")
    assert left.distance == pytest.approx(0.1)
    assert right.distance == pytest.approx(0.1)


def test_a_constant_unit_on_its_kink_is_no_border():
    # relu(0 * x) behind relu(x): its pre-activation is 0 everywhere.
    model = by_hand([[[1.0, 0.0]], [[2.0], [1.0]]], [[0.0, 0.0], [0.0]])
    formula = lamina.local_formula(model, [[3.0]])
    assert (formula.distance, formula.border) == (3.0, "unit 1 of hidden layer 1")


def test_a_slope_that_is_rounding_is_none():
    # 0.1 x + 0.2 x - 0.3 x is 5.6e-17 x, and would meet its kink at 3.1, beside the row.
    model = by_hand(
        [[[1.0, 1.0, 1.0]], [[0.1], [0.2], [-0.3]], [[1.0]]], [[0.0, 0.0, 0.0], [-3.1 * (0.1 + 0.2 - 0.3)], [0.0]]
    )
    formula = lamina.local_formula(model, [[3.0]])
    assert (formula.distance, formula.border) == (3.0, "unit 1 of hidden layer 1")
    # 1.001 x - x is no rounding.
    model = by_hand([[[1.0, 1.0]], [[1.001], [-1.0]], [[1.0]]], [[0.0, 0.0], [-0.002], [0.0]])
    formula = lamina.local_formula(model, [[3.0]])
    assert (formula.distance, formula.border) == (pytest.approx(1.0), "unit 1 of hidden layer 2")


def test_classes_have_a_line_each_and_many_columns_are_shortened():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 15)), rng.integers(0, 3, 40)
    lines = str(lamina.local_formula(random_model((x, y), hidden_units=(6,), numeric="standard"), x[:1])).splitlines()
    assert [line.split(" = ")[0] for line in lines[:3]] == ["logit(0)", "logit(1)", "logit(2)"]
    assert all(line.count("x") == 12 and line.endswith(" + 3 smaller terms") for line in lines[:3])
    assert lines[3].startswith("holds within 0.")


def test_a_formula_that_holds_everywhere():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 2, 2), dtype=np.uint8), rng.integers(0, 2, 30)
    formula = lamina.local_formula(random_model((images, labels), hidden_units=()), images[:1])
    assert (formula.distance, formula.border, formula.nearest) == (np.inf, "", {})
    assert list(formula.weights) == ["image[0,0]", "image[0,1]", "image[1,0]", "image[1,1]"]
    assert str(formula).endswith("\nholds everywhere")


def test_a_row_that_lacks_a_column_is_refused():
    formula = lamina.local_formula(random_model(hidden_units=(2,)), frame()[:1])
    with pytest.raises(lamina.DataError) as error:
        formula.at({"age": 1.0, "year": 2.0})
    assert str(error.value) == "row lacks the column 'size', which the formula needs; give it a number."


def test_a_curved_network_is_refused():
    with pytest.raises(lamina.ConfigError, match="the activation 'gelu' of hidden layer 1 is not piecewise linear"):
        lamina.local_formula(random_model(hidden_units=(2,), activation="gelu"), frame()[:1])
