"""The regions on a plane are those of the model: their number, their shapes, and what is computed in each."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

import lamina
from lamina.analysis.regions import LinearRegions
from random_models import by_hand, frame, outputs, random_model, shapes

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}
AGES, YEARS = (10.0, 70.0), (1940.0, 2030.0)


def inside(regions: LinearRegions, rng: np.random.Generator) -> np.ndarray:
    """One random point (n, 2) inside each polygon."""
    return np.array([rng.dirichlet(np.ones(len(polygon))) @ polygon for polygon in regions.polygons])


def at(regions: LinearRegions, points: np.ndarray) -> np.ndarray:
    return np.einsum("nki,ni->nk", regions.weights, points) + regions.biases


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=40, deadline=None)
@given(options=shapes(max_depth=3))
def test_the_regions_fill_the_rectangle_and_are_the_model(task, options):
    data = FRAMES[task]
    model = random_model(data, **options)
    row = data[2]
    regions = lamina.linear_regions(model, AGES, YEARS, columns=("age", "year"), row=row)
    np.testing.assert_allclose(regions.areas.sum(), 60 * 90, rtol=1e-12)
    assert (regions.areas >= 0).all()
    corners = np.concatenate(regions.polygons)
    assert (corners.min(axis=0), corners.max(axis=0)) == (pytest.approx([10, 1940]), pytest.approx([70, 2030]))
    points = inside(regions, np.random.default_rng(0))
    rows = pl.concat([row] * len(points)).with_columns(age=pl.lit(points[:, 0]), year=pl.lit(points[:, 1]))
    expected = outputs(model, rows)
    np.testing.assert_allclose(at(regions, points), expected, rtol=0, atol=1e-10 * (1 + np.abs(expected).max()))


@settings(max_examples=25, deadline=None)
@given(options=shapes(("relu", "leaky_relu", "hard_tanh"), max_depth=3))
def test_a_line_through_the_map_meets_the_pieces_along_it(options):
    model = random_model(**options)
    regions = lamina.linear_regions(model, AGES, YEARS, columns=("age", "year"))
    a = {"age": AGES[0] + 7.123, "size": model.encoder.numbers[1].median, "year": YEARS[0]}
    b = {**a, "age": AGES[1] - 11.77, "year": YEARS[1]}
    pieces = lamina.linear_pieces(model, a, b)
    start, end = np.array([a["age"], a["year"]]), np.array([b["age"], b["year"]])
    crossed = 0
    for polygon in regions.polygons:
        # Of a convex polygon, the part of the line that is left of every edge.
        along, across = np.roll(polygon, -1, axis=0) - polygon, start - polygon
        offset = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
        slope = along[:, 0] * (end - start)[1] - along[:, 1] * (end - start)[0]
        low = max([0.0, *(-offset[slope > 0] / slope[slope > 0])])
        high = min([1.0, *(-offset[slope < 0] / slope[slope < 0])])
        crossed += high - low > 1e-9 and (offset[slope == 0] >= 0).all()
    narrow = (np.diff(np.concatenate([[0.0], pieces.positions, [1.0]])) <= 1e-9).sum()
    assert crossed == pieces.n_pieces - narrow


@pytest.mark.parametrize("seed", range(8))
def test_one_layer_has_the_regions_of_an_arrangement_of_lines(seed):
    rng = np.random.default_rng(seed)
    n = 9
    W, b = rng.normal(size=(2, n)), rng.normal(size=n) * 0.7
    model = by_hand([W, np.ones((n, 1))], [b, [0.0]])
    regions = lamina.linear_regions(model, (-1.0, 1.0), (-1.5, 0.5))
    corners = np.array([(x, y) for x in (-1, 1) for y in (-1.5, 0.5)]) @ W + b
    crossing = int(((corners > 0).any(axis=0) & (corners < 0).any(axis=0)).sum())
    meetings = 0
    for i in range(n):
        for j in range(i):
            x, y = np.linalg.solve(W[:, [i, j]].T, -b[[i, j]])
            meetings += -1 < x < 1 and -1.5 < y < 0.5
    assert regions.n_regions == 1 + crossing + meetings
    assert crossing >= 3


def test_lines_through_one_point_and_lines_twice():
    # Three lines through (1/3, 2/3), the first of them three times.
    W = np.array([[1.0, 1.0, 1.0, 3.0, -0.1], [1.0, -1.0, 2.0, 3.0, -0.1]])
    b = -W.T @ [1 / 3, 2 / 3]
    model = by_hand([W, np.ones((5, 1))], [b, [0.0]])
    regions = lamina.linear_regions(model, (0.0, 1.0), (0.0, 1.0))
    assert regions.n_regions == 6
    assert (regions.areas > 0.01).all()


def test_a_map_by_hand():
    # y = relu(x0) + 10 relu(x1) + 1
    model = by_hand([np.eye(2), [[1.0], [10.0]]], [[0.0, 0.0], [1.0]])
    regions = lamina.linear_regions(model, (-1.0, 2.0), (-3.0, 1.0))
    found = {
        tuple(weights.tolist()): (area, bias, sorted(map(tuple, polygon.tolist())))
        for weights, area, bias, polygon in zip(
            regions.weights[:, 0], regions.areas.tolist(), regions.biases[:, 0].tolist(), regions.polygons, strict=True
        )
    }
    assert found == {
        (0.0, 0.0): (3.0, 1.0, [(-1, -3), (-1, 0), (0, -3), (0, 0)]),
        (1.0, 0.0): (6.0, 1.0, [(0, -3), (0, 0), (2, -3), (2, 0)]),
        (0.0, 10.0): (1.0, 1.0, [(-1, 0), (-1, 1), (0, 0), (0, 1)]),
        (1.0, 10.0): (2.0, 1.0, [(0, 0), (0, 1), (2, 0), (2, 1)]),
    }
    assert regions.columns == ("x0", "x1")
    assert regions.outputs == ("y",)


def test_columns_in_the_other_order_and_medians():
    model = random_model(hidden_units=(6,), numeric="standard")
    here = lamina.linear_regions(model, YEARS, AGES, columns=("year", "age"))
    there = lamina.linear_regions(model, AGES, YEARS, columns=("age", "year"))
    assert here.columns == ("year", "age")
    assert here.n_regions == there.n_regions > 3
    np.testing.assert_allclose(np.sort(here.areas), np.sort(there.areas), rtol=1e-9)
    median = float(np.quantile(frame()["size"], 0.5, method="inverted_cdf"))
    given_row = lamina.linear_regions(model, AGES, YEARS, ("age", "year"), {"age": 0.0, "size": median, "year": 0.0})
    np.testing.assert_allclose(given_row.biases, there.biases, rtol=1e-9)


def test_two_pixels_span_a_plane():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 3, 3), dtype=np.uint8), rng.integers(0, 3, 30)
    model = random_model((images, labels), hidden_units=(12, 6))
    regions = lamina.linear_regions(model, (0, 255), (0, 255), ("image[0,1]", "image[2,2]"), images[:1])
    assert regions.n_regions > 3
    points = inside(regions, rng)
    rows = np.repeat(images[:1].astype(float), len(points), axis=0)
    rows[:, 0, 1], rows[:, 2, 2] = points.T
    np.testing.assert_allclose(at(regions, points), model.predict_logits(rows), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "name two number columns with columns=: there are 3: age, size, year."),
        ({"columns": ("age", "age")}, "columns = ('age', 'age') must name two different columns."),
        ({"columns": "age"}, "columns = 'age' must name two different columns."),
        (
            {"columns": ("age", "years")},
            "there is no number column 'years'. Did you mean 'year'? Known: age, size, year.",
        ),
        ({"x_range": (3.0, 3.0)}, "x_range = (3.0, 3.0) must be two finite numbers, the smaller one first."),
        ({"x_range": 3.0}, "x_range = 3.0 must be two finite numbers, the smaller one first."),
        ({"y_range": (0.0, float("inf"))}, "y_range = (0.0, inf) must be two finite numbers, the smaller one first."),
        ({"y_range": ("a", 2)}, "y_range = ('a', 2) must be two finite numbers, the smaller one first."),
        (
            {"columns": ("age", "size"), "max_regions": 10},
            "there are more than max_regions = 10 linear regions; take smaller ranges, a smaller network, fewer bins "
            "or numeric='standard', or raise max_regions.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, text):
    model = random_model(hidden_units=(8, 8))
    with pytest.raises(lamina.ConfigError) as error:
        lamina.linear_regions(model, **{"x_range": (0.0, 90.0), "y_range": (0.0, 20.0), **arguments})
    assert str(error.value) == text


def test_a_row_is_needed_where_there_is_no_median():
    data = FRAMES["regression"]
    model = random_model(data, hidden_units=(4,))
    with pytest.raises(lamina.ConfigError) as error:
        lamina.linear_regions(model, AGES, YEARS, columns=("age", "year"))
    assert str(error.value) == (
        "say with row= what stays as it is: the columns 'kind', 'day' are no numbers and have no median."
    )
    with pytest.raises(lamina.DataError) as error:
        lamina.linear_regions(model, AGES, YEARS, columns=("age", "year"), row=data[7])
    assert str(error.value) == "column 'age' is no number, or has no value in row; name another or give it one."
