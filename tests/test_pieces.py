"""The pieces along a line are those of the model: as many, as long, as steep."""

import doctest
import importlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from random_models import NUMBERS, by_hand, frame, outputs, random_model, shapes

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}


def segment(data: pl.DataFrame, t: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Two rows that differ in numbers, and the rows at ``t`` between them."""
    a = data[2]
    b = a.with_columns(age=pl.lit(71.0), size=pl.lit(9.5), year=pl.lit(1944.0))
    between = pl.concat([a] * len(t)).with_columns(
        pl.lit(a[name][0] + t * (b[name][0] - a[name][0])).alias(name) for name in NUMBERS
    )
    return a, b, between


def tent(depth: int) -> lamina.Model:
    """The tent map 2 relu(x) - 4 relu(x - 1/2) on [0, 1], applied ``depth`` times (Telgarsky 2016)."""
    inner = [[[2.0, 2.0], [-4.0, -4.0]]] * (depth - 1)
    return by_hand([[[1.0, 1.0]], *inner, [[2.0], [-4.0]]], [[0.0, -0.5]] * depth + [[0.0]])


@pytest.mark.parametrize("depth", range(1, 13))
def test_the_sawtooth_has_two_to_the_depth_pieces(depth):
    pieces = lamina.linear_pieces(tent(depth), [[0.0]], [[1.0]])
    n = 2**depth
    assert pieces.n_pieces == pieces.n_distinct == n
    np.testing.assert_array_equal(pieces.positions, np.arange(1, n) / n)
    np.testing.assert_array_equal(pieces.slopes[:, 0], n * (-1.0) ** np.arange(n))
    np.testing.assert_array_equal(pieces.values[:, 0], np.arange(n + 1) % 2)


@pytest.mark.parametrize("depth", [3, 8, 13])
def test_the_sawtooth_is_counted_where_its_teeth_are_no_round_numbers(depth):
    # From -1/3 to 1 + 1/7: the teeth, a flat piece to the left, and a steep one down to the right.
    pieces = lamina.linear_pieces(tent(depth), [[-1 / 3]], [[1 + 1 / 7]])
    n = 2**depth
    teeth = (np.arange(n + 1) / n + 1 / 3) / (1 + 1 / 7 + 1 / 3)
    assert pieces.n_distinct == n + 2
    np.testing.assert_allclose(pieces.merged().positions, teeth, rtol=0, atol=1e-14)


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=60, deadline=None)
@given(options=shapes())
def test_the_pieces_are_the_model_at_their_ends_and_middles(task, options):
    data = FRAMES[task]
    model = random_model(data, **options)
    a, b, _ = segment(data, np.zeros(1))
    pieces = lamina.linear_pieces(model, a, b)
    assert (np.diff(pieces.positions) > 0).all()
    assert pieces.slopes.shape == (pieces.n_pieces, len(pieces.outputs))
    ends = np.concatenate([[0.0], pieces.positions, [1.0]])
    for t, found in ((ends, pieces.values), ((ends[1:] + ends[:-1]) / 2, (pieces.values[1:] + pieces.values[:-1]) / 2)):
        expected = outputs(model, segment(data, t)[2])
        size = 1 + np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * size)
        np.testing.assert_allclose(pieces.at(t), expected, rtol=0, atol=1e-11 * size)
        np.testing.assert_allclose(pieces.merged().at(t), expected, rtol=0, atol=1e-9 * size)
    assert pieces.merged().n_pieces == pieces.n_distinct <= pieces.n_pieces


@settings(max_examples=30, deadline=None)
@given(options=shapes())
def test_there_is_a_bend_where_sampling_sees_one_and_only_there(options):
    data = FRAMES["regression"]
    model = random_model(data, **options)
    t = np.arange(8193) / 8192
    a, b, between = segment(data, t)
    pieces = lamina.linear_pieces(model, a, b).merged()
    sampled = model.predict_outputs(between)[:, 0]
    # A bend between two samples shows in the second difference, the more the nearer it is.
    expected = np.zeros(len(t) - 2)
    for position, change in zip(pieces.positions, np.diff(pieces.slopes[:, 0]), strict=True):
        expected += change * np.maximum(1 / 8192 - np.abs(t[1:-1] - position), 0)
    np.testing.assert_allclose(np.diff(sampled, 2), expected, rtol=0, atol=1e-9 * (1 + np.abs(sampled).max()))


def test_bends_of_several_units_at_one_place_are_one_bend():
    # At 1/3: relu(3x - 1), relu(1 - 3x) and relu(0.3x - 0.1); at 2/3 one that cancels with its twin.
    weights = [[3.0, -3.0, 0.3, 1.0, 1.0]]
    model = by_hand([weights, [[1.0], [1.0], [2.0], [5.0], [-5.0]]], [[-1.0, 1.0, -0.1, -2 / 3, -2 / 3], [0.5]])
    pieces = lamina.linear_pieces(model, [[0.0]], [[1.0]])
    np.testing.assert_allclose(pieces.positions, [1 / 3, 2 / 3], rtol=1e-15)
    np.testing.assert_allclose(pieces.slopes[:, 0], [-3, 3.6, 3.6], rtol=1e-14)
    np.testing.assert_allclose(pieces.values[:, 0], [1.5, 0.5, 1.7, 2.9], rtol=1e-14)
    assert (pieces.n_pieces, pieces.n_distinct) == (3, 2)
    np.testing.assert_allclose(pieces.merged().positions, [1 / 3], rtol=1e-15)


def test_a_steep_unit_beside_a_flat_one_is_not_lost():
    # Of the second layer: relu((1e-6 t + 100) - 100 - 5e-7), whose kink at 0.5 is blurred to 1e-6 by the 100s, and
    # relu(1000 (t - 0.5000001)) beside it.
    W = [[[1e-6, 0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0], [0.0, 1e3]], [[1.0], [1.0]]]
    model = by_hand(W, [[100.0, 100.0, 0.0], [-5e-7, -500.0001], [0.0]])
    pieces = lamina.linear_pieces(model, [[0.0]], [[1.0]])
    np.testing.assert_allclose(pieces.at(0.75), model.predict_outputs([[0.75]]), rtol=1e-12)
    np.testing.assert_allclose(pieces.positions, [0.5000001], rtol=1e-12)


def test_two_positions_are_two_numbers():
    # The second layer bends at 0.5 + 3e-17, which is no other number than 0.5, where the first one does.
    model = by_hand([[[1.0, 1.0]], [[1.0], [0.0]], [[1.0]]], [[-0.5, -0.501], [-3e-17], [0.0]])
    pieces = lamina.linear_pieces(model, [[0.0]], [[1.0]])
    np.testing.assert_allclose(pieces.positions, [0.5, 0.501], rtol=1e-15)
    np.testing.assert_allclose(pieces.slopes[:, 0], [0, 1, 1], rtol=1e-15)


@pytest.mark.parametrize("seed", range(40))
def test_units_that_bend_where_the_unit_before_does_bend_once(seed):
    # leaky(leaky(... leaky(w (x - c)) ...)) bends at c alone, and nowhere beside it.
    rng = np.random.default_rng(seed)
    depth, c, w = 5, rng.uniform(0.1, 0.9), rng.uniform(0.3, 30, 6)
    weights = [[[each]] for each in w]
    model = by_hand(weights, [[-c * w[0]], *[[0.0]] * depth], "leaky_relu")
    pieces = lamina.linear_pieces(model, [[0.0]], [[1.0]])
    np.testing.assert_allclose(pieces.positions, [c], rtol=1e-15)
    regions = lamina.linear_regions(
        by_hand([[[w[0]], [w[1]]], *weights[1:]], [[-c * w[0]], *[[0.0]] * depth], "leaky_relu"), (0.0, 1.0), (0.0, 1.0)
    )
    assert regions.n_regions == 2


def test_what_is_constantly_on_its_kink_cuts_nothing():
    # relu(x) - relu(x) = 0 goes through a relu of its own.
    model = by_hand([[[1.0, 0.1]], [[0.1], [-1.0]], [[1.0]]], [[0.0, 0.0], [0.0], [0.0]])
    pieces = lamina.linear_pieces(model, [[-1.0]], [[2.0]])
    np.testing.assert_allclose(pieces.positions, [1 / 3], rtol=1e-15)
    assert pieces.n_distinct == 1


def test_a_bin_of_the_encoding_is_a_piece():
    model = random_model(hidden_units=(), numeric="piecewise_linear")
    code = model.encoder.numbers[1]
    row = {"age": 40.0, "year": 2000.0}
    edges = np.array(code.edges) * code.scale + code.mean
    low, high = edges[0] - 1, edges[-1] + 1
    pieces = lamina.linear_pieces(model, {**row, "size": low}, {**row, "size": high})
    np.testing.assert_allclose(low + pieces.positions * (high - low), edges, rtol=1e-12)
    assert (pieces.slopes[[0, -1]] == 0).all()


def test_values_far_from_zero_lose_no_digits():
    # Seconds since 1970: a thousandth of a deviation is the 1e-10th part of the value.
    data = frame().with_columns(pl.lit(1.7e9 + np.linspace(0, 1000, 60)).alias("year"))
    model = random_model(data, hidden_units=(8,), numeric="standard")
    row = data[0].to_dicts()[0]
    b = {**row, "year": row["year"] + 1.0}
    pieces = lamina.linear_pieces(model, row, b)
    np.testing.assert_allclose(pieces.values[-1:], model.predict_outputs(pl.DataFrame([b])), rtol=1e-13)


def test_images_are_joined_pixel_by_pixel():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 4, 4), dtype=np.uint8), rng.integers(0, 3, 30)
    model = random_model((images, labels), hidden_units=(16, 8), normalization="batch")
    pieces = lamina.linear_pieces(model, images[:1], images[1:2])
    assert pieces.n_pieces > 4
    np.testing.assert_allclose(pieces.values[[0, -1]], model.predict_logits(images[:2]), rtol=1e-11, atol=1e-11)
    middle = images[:1] + 0.5 * (images[1:2].astype(float) - images[:1])
    np.testing.assert_allclose(pieces.at(0.5), model.predict_logits(middle), rtol=1e-11, atol=1e-11)


@given(t=st.floats(allow_nan=True).filter(lambda t: not 0 <= t <= 1))
@settings(max_examples=20)
def test_a_position_off_the_segment_is_refused(t):
    pieces = lamina.linear_pieces(tent(1), [[0.0]], [[1.0]])
    with pytest.raises(lamina.DataError, match="is not on the segment; a is at t = 0 and b at t = 1"):
        pieces.at(t)


def test_rows_that_differ_in_more_than_numbers_are_refused():
    data = FRAMES["regression"]
    model = random_model(data, hidden_units=(4,))
    row = {**data[2].to_dicts()[0], "kind": "red"}
    for other, text in [
        (
            {**row, "kind": "blue", "age": 3.0},
            "a and b differ in column 'kind': 'red' and 'blue' ('' is a missing value); "
            "give both the same value there: only numbers can vary along a line.",
        ),
        (
            {**row, "age": None},
            "a and b differ in column 'age': a number and '' ('' is a missing value); "
            "give both the same value there: only numbers can vary along a line.",
        ),
        (dict(row), "a and b are the same row in every number; give two that differ."),
    ]:
        with pytest.raises(lamina.DataError) as error:
            lamina.linear_pieces(model, row, other)
        assert str(error.value) == text
    later = {**row, "age": 1.0, "day": row["day"].replace(year=2026)}
    with pytest.raises(lamina.DataError, match="a and b differ in column 'day': '2024"):
        lamina.linear_pieces(model, row, later)


def test_a_curved_network_and_two_rows_are_refused():
    with pytest.raises(lamina.ConfigError, match="'sigmoid' of hidden layer 1 is not piecewise linear; train with one"):
        lamina.linear_pieces(random_model(hidden_units=(2,), activation="sigmoid"), frame()[:1], frame()[1:2])
    with pytest.raises(lamina.DataError, match="b holds 2 rows, expected one"):
        lamina.linear_pieces(random_model(hidden_units=(2,)), frame()[:1], frame()[1:3])


@pytest.mark.parametrize("module", ["pieces", "regions", "formula", "collapse"])
def test_docstring_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"lamina.analysis.{module}"))
    assert result.failed == 0
    assert result.attempted >= 3
