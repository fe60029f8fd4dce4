import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lamina.data.encoder import RARE, Encoder, NumberCode, SparseCode, weighted_mean_and_deviation, weighted_quantiles
from lamina.data.readers import read_table
from lamina.data.schema import ColumnSchema, Schema
from lamina.data.table import Column, Table, text_column
from lamina.data.target import Target

NAN = float("nan")


def numbers(values) -> Column:
    return Column("number", np.asarray(values))


def dates(first: str, seconds) -> Column:
    return Column("datetime", np.datetime64(first, "s").astype(np.float64) + np.asarray(seconds, dtype=np.float64))


def table(**columns: Column) -> Table:
    return Table(columns, len(next(iter(columns.values()))))


def fit(data: Table, weights=None, **options) -> Encoder:
    kinds = {"text": "category", "boolean": "category"}
    features = [
        ColumnSchema(name, kinds.get(column.type, column.type), "feature") for name, column in data.columns.items()
    ]
    return Encoder.fit(Schema(tuple(features), Target(("y",), "regression")), data, weights, **options)


def number_code(values, weights=None, **options) -> NumberCode:
    (code,) = fit(table(a=numbers(values)), weights, **options).numbers
    return code


def levels(texts, weights=None, **options) -> tuple:
    (code,) = fit(table(a=text_column(texts)), weights, **options).categories
    return code.levels


def codes(encoder: Encoder, column: Column) -> list[int]:
    return encoder.transform(table(a=column))["codes"][:, 0].tolist()


def test_numbers_are_standardised():
    data = table(a=numbers([1.0, 2.0, 3.0, 4.0]), b=numbers(np.array([0, 0, 0, 8], np.uint8)))
    encoder = fit(data)
    a, b = encoder.numbers
    assert (a.mean, a.scale, a.median, a.flag) == (2.5, pytest.approx(np.sqrt(1.25)), 2.0, False)
    assert (b.mean, b.scale) == (2.0, pytest.approx(np.sqrt(12)))
    arrays = encoder.transform(data)
    assert list(arrays) == ["numbers"]
    assert arrays["numbers"].dtype == np.float32
    expected = np.array([[-1.5, -2], [-0.5, -2], [0.5, -2], [1.5, 6]]) / [a.scale, b.scale]
    np.testing.assert_allclose(arrays["numbers"], expected, rtol=1e-6)
    np.testing.assert_array_equal(encoder.transform(data, "float64")["numbers"], expected)


def test_missing_numbers_are_at_the_median_and_flagged():
    data = table(a=numbers([1.0, NAN, 3.0, 8.0]), b=numbers([0.0, 1.0, 2.0, 3.0]), c=numbers([NAN, 5.0, 5.0, 7.0]))
    encoder = fit(data)
    assert [(code.median, code.flag) for code in encoder.numbers] == [(3.0, True), (1.0, False), (5.0, True)]
    arrays = encoder.transform(data)
    assert arrays["flags"].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]
    assert arrays["numbers"][1, 0] == pytest.approx((3 - 4) / encoder.numbers[0].scale)
    # A value that is missing only now: at the median, with no flag to say so.
    later = encoder.transform(table(a=numbers([1.0]), b=numbers([NAN]), c=numbers([1.0])))
    assert later["numbers"][0, 1] == pytest.approx((1.0 - 1.5) / np.sqrt(1.25))


def test_a_column_that_is_missing_in_all_training_rows():
    code = number_code([NAN, NAN])
    assert code == NumberCode("a", 0.0, 1.0, 0.0, True, (0.0, 1.0))
    arrays = fit(table(a=numbers([NAN, NAN]))).transform(table(a=numbers([NAN, 5.0])))
    assert (arrays["numbers"].tolist(), arrays["flags"].tolist()) == ([[0.0], [5.0]], [[1.0], [0.0]])


def test_bin_edges_are_quantiles_in_standardised_units():
    values = np.arange(100.0)
    code = number_code(values, bins=4)
    np.testing.assert_allclose(np.array(code.edges) * code.scale + code.mean, [0, 24, 49, 74, 99], atol=1e-4)
    assert number_code(values, bins=4, numeric="standard").edges == ()
    assert len(number_code(values, bins=200).edges) == 100


def test_bin_edges_of_a_column_with_few_values():
    constant = number_code([2.0, NAN, 2.0])
    assert (constant.mean, constant.scale, constant.edges) == (2.0, 1.0, (0.0, 1.0))
    two = number_code([0.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(two.edges, [-np.sqrt(3), np.sqrt(1 / 3)], rtol=1e-6)


def test_few_whole_numbers_with_many_rows_each_have_an_edge_each():
    values = np.tile(np.arange(50.0) * 7 + 100, 40)

    def edges(values, n_columns: int = 1, **options):
        columns = {f"a{i}": numbers(values) for i in range(n_columns)}
        code = fit(table(**columns), bins=24, **options).numbers[0]
        return np.array(code.edges) * code.scale + code.mean

    np.testing.assert_allclose(edges(values, codes=True), np.arange(50) * 7 + 100, rtol=1e-6)
    assert len(edges(values)) == 25
    assert len(edges(values[: 50 * 31], codes=True)) == 25  # too few rows for each value
    assert len(edges(values / 2, codes=True)) == 25
    assert len(edges(np.tile(np.arange(65.0), 40), codes=True)) == 25
    assert len(edges(values, n_columns=20, codes=True)) == 50
    assert len(edges(values, n_columns=21, codes=True)) == 25


def test_a_value_with_most_of_the_mass_leaves_bins_to_the_others():
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    code = number_code(values, bins=20)
    edges = np.array(code.edges) * code.scale + code.mean
    assert len(edges) >= 15
    assert (edges > 0.5).sum() >= 14  # the plain quantiles would be 0 but for the last two
    np.testing.assert_allclose([edges[0], edges[-1]], [0, 100], atol=1e-4)


def test_capital_gain_has_many_bins(lamina_data):
    adult = read_table(lamina_data / "tables" / "adult-train.csv")
    gain = adult["capital_gain"].values
    assert (gain == 0).mean() > 0.9
    assert len(number_code(gain, bins=48).edges) >= 25


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), st.integers(1, 10))
def test_bin_edges_ascend_in_float32_and_are_at_most_one_more_than_bins(values, bins):
    edges = np.array(number_code(values, bins=bins).edges, np.float32)
    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= bins + 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1e300, -1e300, 0.0], [1e300, 1.0, 2.0], [1e-300, 2e-300, 3e-300], [1e300] * 3])
def test_huge_and_tiny_values_stay_finite(values):
    code = number_code(values)
    assert np.isfinite([code.mean, code.scale, code.median, *code.edges]).all()
    assert code.scale > 0
    encoded = fit(table(a=numbers(values))).transform(table(a=numbers([*values, 1.7e308, -1.7e308])))["numbers"]
    assert np.isfinite(np.square(encoded)).all()


def heavy_tailed(n: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.exp(2.5 * rng.normal(size=n)) * (rng.random(n) < 0.5)


@pytest.mark.parametrize("numeric", ["mixed", "periodic", "piecewise_embedding"])
def test_a_heavy_tail_is_bent_and_others_are_not(numeric):
    values = heavy_tailed()
    code = number_code(values, numeric=numeric)
    assert code.bent
    # The zeros count as one bin's share, a 48th of all values.
    positive = np.sort(values[values > 0])
    low, middle, high = np.quantile(np.concatenate([np.zeros(round(len(values) / 48)), positive]), [0.25, 0.5, 0.75])
    assert code.mean == pytest.approx(middle, rel=0.05)
    assert code.scale == pytest.approx((high - low) / 1.349, rel=0.05)
    x = fit(table(a=numbers(values)), numeric=numeric).transform(table(a=numbers(values)), "float64")["numbers"][:, 0]
    np.testing.assert_allclose(x, np.arcsinh((values - code.mean) / code.scale), rtol=1e-15)
    assert x.std() < 2 < 8 < ((values - values.mean()) / values.std()).max()
    if numeric != "periodic":
        inner = np.array(code.edges[1:-1])
        assert np.isin(inner, x.astype(np.float32)).all()
    rng = np.random.default_rng(1)
    for ordinary in (rng.normal(size=500), rng.exponential(size=500), rng.lognormal(size=500), rng.integers(0, 2, 500)):
        assert not number_code(ordinary, numeric=numeric).bent
    assert not number_code(np.r_[np.zeros(99), 5.0], numeric=numeric).bent  # two values have no middle half


@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear"])
def test_what_exact_tools_read_is_never_bent(numeric):
    values = heavy_tailed()
    code = number_code(values, numeric=numeric)
    assert (code.bent, code.mean) == (False, pytest.approx(values.mean()))


def test_bent_columns_of_weights_are_those_of_repeated_rows():
    values = heavy_tailed(400)
    counts = np.random.default_rng(2).integers(1, 4, 400)
    weighted = number_code(values, counts.astype(float), numeric="mixed")
    repeated = number_code(np.repeat(values, counts), numeric="mixed")
    assert weighted.bent
    assert (weighted.mean, weighted.scale, weighted.edges) == (repeated.mean, repeated.scale, repeated.edges)


def test_new_values_far_outside_are_clipped():
    encoder = fit(table(a=numbers([0.0, 2.0])))
    assert encoder.transform(table(a=numbers([1e300, -1e300])))["numbers"][:, 0].tolist() == [1e9, -1e9]


def test_times_a_minute_apart_keep_their_distance_in_float32():
    seconds = 1.7e9 + 60.0 * np.arange(100)
    encoded = fit(table(a=numbers(seconds))).transform(table(a=numbers(seconds)))["numbers"][:, 0]
    np.testing.assert_allclose(np.diff(encoded), 60 / seconds.std(), rtol=1e-4)


def test_a_date_becomes_the_parts_that_differ():
    def parts(column: Column) -> list[str]:
        return [code.part for code in fit(table(a=column)).numbers]

    days = ["elapsed", "month", "day", "weekday", "day_of_year"]
    assert parts(dates("2024-01-30", 3600 * np.arange(72))) == [*days, "hour"]
    assert parts(dates("2024-01-30", 86400 * np.arange(5))) == days
    assert parts(dates("2024-01-01", 7 * 86400 * np.arange(3))) == ["elapsed", "day", "day_of_year"]
    assert parts(dates("2024-01-01", 60 * np.arange(3))) == ["elapsed", "hour"]
    assert parts(dates("2024-01-01", [0, 0])) == ["elapsed"]
    assert parts(dates("2024-01-01", [0, NAN])) == ["elapsed"]
    assert parts(dates("2024-01-01", [NAN, NAN])) == ["elapsed"]


def test_the_parts_of_a_date_are_standardised_numbers_in_the_units_of_their_names():
    column = dates("2024-02-28", 3600 * np.array([0, 18, 30.25, 54]))
    encoder = fit(table(n=numbers([1.0, 2.0, 3.0, 4.0]), a=column))
    assert [(code.name, code.part) for code in encoder.numbers] == [
        ("n", ""), *(("a", part) for part in ("elapsed", "month", "day", "weekday", "day_of_year", "hour"))
    ]  # fmt: skip
    encoded = encoder.transform(table(n=numbers([1.0, 2.0, 3.0, 4.0]), a=column), "float64")["numbers"]
    values = encoded * [code.scale for code in encoder.numbers] + [code.mean for code in encoder.numbers]
    expected = [
        [1, 19781.0, 2, 28, 2, 59, 0],
        [2, 19781.75, 2, 28, 2, 59, 18],
        [3, 19782 + 6.25 / 24, 2, 29, 3, 60, 6.25],
        [4, 19783.25, 3, 1, 4, 61, 6],
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


def test_missing_dates_have_one_flag_for_all_of_their_parts():
    column = dates("2024-01-30", [0, NAN, 90000, 180000])
    encoder = fit(table(a=column, n=numbers([NAN, 1.0, 2.0, 3.0])))
    assert [(code.name, code.part) for code in encoder.numbers if code.flag] == [("a", "elapsed"), ("n", "")]
    arrays = encoder.transform(table(a=column, n=numbers([NAN, 1.0, 2.0, 3.0])))
    assert arrays["flags"].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]
    medians = [(code.median - code.mean) / code.scale for code in encoder.numbers[:-1]]
    np.testing.assert_allclose(arrays["numbers"][1, :-1], medians, rtol=1e-6)


def test_dates_that_are_all_missing_in_training_are_a_flag():
    encoder = fit(table(a=dates("2024-01-01", [NAN, NAN])))
    assert encoder.numbers == (NumberCode("a", 0.0, 1.0, 0.0, True, (0.0, 1.0), "elapsed"),)
    assert encoder.transform(table(a=dates("2024-01-01", [NAN, 0])))["flags"].tolist() == [[1], [0]]


@pytest.mark.parametrize("bins", [24, 48])
def test_every_weekday_has_an_edge_of_its_own(bins):
    column = dates("2024-01-01", 86400 * np.arange(500))
    (code,) = [code for code in fit(table(a=column), bins=bins).numbers if code.part == "weekday"]
    np.testing.assert_allclose(np.array(code.edges) * code.scale + code.mean, np.arange(7), atol=1e-6)


def test_weighted_mean_and_deviation():
    assert weighted_mean_and_deviation(np.array([1.0, 3.0]), None) == (2.0, 1.0)
    assert weighted_mean_and_deviation(np.array([1.0, 5.0]), np.array([3.0, 1.0])) == pytest.approx((2.0, np.sqrt(3)))
    assert weighted_mean_and_deviation(np.array([7.0, 7.0]), None) == (7.0, 1.0)
    assert weighted_mean_and_deviation(np.zeros(3), None) == (0.0, 1.0)
    assert weighted_mean_and_deviation(np.full(10, 0.1), None) == pytest.approx((0.1, 1.0))


def test_a_deviation_that_underflows_is_1():
    assert weighted_mean_and_deviation(np.array([0.0, 5e-324]), None)[1] == 1


def test_weighted_quantiles_are_values_that_occur():
    values = np.array([4.0, 1.0, 3.0, 2.0])
    assert weighted_quantiles(values, np.array([0, 0.5, 0.75, 1]), None).tolist() == [1, 2, 3, 4]
    assert weighted_quantiles(values, np.array([0.5]), np.array([5.0, 1, 1, 1])).tolist() == [4]


rows = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.sampled_from(["x", "y", "z", None]), st.integers(1, 4)),
    min_size=1,
    max_size=25,
)


@given(rows=rows, bins=st.integers(1, 8))
def test_a_weight_of_two_is_the_row_twice(rows, bins):
    values = np.array([NAN if row[0] is None else float(row[0]) for row in rows])
    pixels = np.array([[[0 if row[0] is None else row[0] + 5, 7]] for row in rows], np.uint8)
    data = table(n=numbers(values), c=text_column([row[1] for row in rows]), i=Column("image", pixels))
    weights = np.array([row[2] for row in rows])
    weighted = fit(data, weights.astype(np.float64), bins=bins)
    repeated = fit(data.rows(np.repeat(np.arange(len(rows)), weights)), bins=bins)
    assert weighted.categories == repeated.categories
    for one, other in zip(weighted.numbers + weighted.images, repeated.numbers + repeated.images, strict=True):
        assert (one.mean, one.scale) == pytest.approx((other.mean, other.scale))
    (one,), (other,) = weighted.numbers, repeated.numbers
    assert (one.median, one.flag) == (other.median, other.flag)
    np.testing.assert_allclose(one.edges, other.edges, rtol=1e-5, atol=1e-6)


def test_levels_are_sorted_and_a_missing_value_is_a_level():
    encoder = fit(table(a=text_column(["b"] * 4 + ["a"] * 4 + [None] * 4)))
    (code,) = encoder.categories
    assert (code.levels, code.n_codes, code.one_hot, code.has_rare) == (("a", "b", None), 4, True, False)
    assert codes(encoder, text_column(["a", "b", None, "c"])) == [1, 2, 3, RARE]
    assert encoder.transform(table(a=text_column(["a"])))["codes"].dtype == np.int32


def test_rare_levels_share_the_code_of_unseen_ones():
    encoder = fit(table(a=text_column(["a"] * 4 + ["b"] * 4 + ["c"] * 3 + [None])))
    assert (encoder.categories[0].levels, encoder.categories[0].has_rare) == (("a", "b"), True)
    assert codes(encoder, text_column(["c", None, "new", "b"])) == [RARE, RARE, RARE, 2]
    assert levels(["a", "a", "b", "b", "c"], min_level_rows=2) == ("a", "b")
    assert levels(["a", "b", "c"], np.array([4.0, 4.0, 3.9])) == ("a", "b")


def test_a_handful_of_rows_has_no_rare_levels():
    encoder = fit(table(a=text_column(["a", "b", None])))
    assert (encoder.categories[0].levels, encoder.categories[0].has_rare) == (("a", "b", None), False)


def test_one_hot_up_to_the_limit():
    texts = [f"k{i}" for i in range(9)] * 4
    assert not fit(table(a=text_column(texts))).categories[0].one_hot
    assert fit(table(a=text_column(texts)), one_hot_levels=9).categories[0].one_hot


@pytest.mark.parametrize(
    ("trained", "given", "expected"),
    [
        (["true", "false"], ["True", "FALSE", "true"], [2, 1, 2]),
        (["TRUE", "FALSE"], ["True", "False", "TRUE"], [2, 1, 2]),
        (["True", "true", "x"], ["True", "true", "TRUE"], [1, 2, 1]),
        (["3", "4"], ["3.0", "4", "5.0"], [1, 2, RARE]),
        (["3.0", "4.0"], ["3", "4.0", "5"], [1, 2, RARE]),
    ],
)
def test_levels_are_recognised_as_other_sources_write_them(trained, given, expected):
    assert codes(fit(table(a=text_column(trained * 4))), text_column(given)) == expected


def test_unseen_levels_are_reported():
    encoder = fit(table(a=text_column(["x", "y"] * 4), b=text_column(["u"] * 4 + ["v"] * 4)))
    data = table(a=text_column(["x", "new", "other", None]), b=text_column(["u", "v", "u", "v"]))
    assert encoder.unseen(data) == [
        "column 'a': 2 rows hold a category that was not there in training, such as 'new'; it counts as `rare`"
    ]
    with_rare = fit(table(a=text_column(["x", "y"] * 4 + ["z"])))
    assert with_rare.unseen(table(a=text_column(["new"]))) == []


def test_images_keep_their_bytes_and_know_the_mean_and_scale_of_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 2, 3)).astype(np.uint8)  # more than one block
    data = table(a=Column("image", images))
    encoder = fit(data)
    (code,) = encoder.images
    assert code.shape == (2, 3)
    assert (code.mean, code.scale) == pytest.approx((images.mean(), images.std()))
    pixels = encoder.transform(data)["pixels"]
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, images.reshape(5000, 6))
    (black,) = fit(table(a=Column("image", np.zeros((2, 2, 2))))).images
    assert (black.mean, black.scale) == (0.0, 1.0)


BLOCK = np.array([[0, -4.0, 0, 0], [0.5, 2, 0, 0], [0, 0, 0, 1e300]])


def sparse_column(values) -> Column:
    return Column("sparse", sparse.csr_array(np.asarray(values)))


def test_a_sparse_block_is_divided_by_its_largest_absolute_values_and_zeros_stay():
    encoder = fit(table(x=sparse_column(BLOCK)))
    assert encoder.blocks == (SparseCode("x", (0.5, 4.0, 1.0, 1e300)),)
    arrays = encoder.transform(table(x=sparse_column(BLOCK)))
    assert list(arrays) == ["sparse"]
    assert (arrays["sparse"].dtype, arrays["sparse"].nnz) == (np.float32, 4)
    assert arrays["sparse"].toarray().tolist() == [[0, -1, 0, 0], [1, 0.5, 0, 0], [0, 0, 0, 1]]
    later = encoder.transform(table(x=sparse_column([[1.0, 0, 3, 0]])), "float64")["sparse"]
    assert (later.dtype, later.toarray().tolist()) == (np.float64, [[2, 0, 3, 0]])


@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=10), st.integers(0, 2**30))
def test_a_sparse_block_is_never_centred_and_its_largest_is_1(rows, factor):
    column = sparse_column(np.array(rows) * float(factor))
    encoded = fit(table(x=column)).transform(table(x=column), "float64")["sparse"].toarray()
    np.testing.assert_array_equal(encoded == 0, column.values.toarray() == 0)
    largest = np.abs(encoded).max(axis=0)
    np.testing.assert_array_equal(largest, (column.values.toarray() != 0).any(axis=0))


def test_weights_leave_a_sparse_block_as_it_is_and_so_do_the_rows_order():
    data = table(x=sparse_column(BLOCK))
    assert fit(data, np.array([1.0, 2.5, 7])).blocks == fit(data).blocks
    assert fit(data.rows(np.array([2, 1, 1, 0]))).blocks == fit(data).blocks


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_a_sparse_block_of_any_dtype(dtype):
    column = sparse_column(np.array([[0, 1], [1, 0]], dtype))
    assert fit(table(x=column)).transform(table(x=column))["sparse"].toarray().tolist() == [[0, 1], [1, 0]]


def test_the_smallest_integer_of_a_sparse_block_is_divided_too():
    column = sparse_column(np.array([[0, -128], [0, 5]], np.int8))
    assert fit(table(x=column)).transform(table(x=column))["sparse"].toarray().tolist() == [[0, -1], [0, 5 / 128]]


def test_json_round_trip_of_sparse_blocks_and_of_encoders_from_before_there_were_any():
    encoder = fit(table(x=sparse_column(BLOCK)))
    assert Encoder.from_json(json.loads(json.dumps(encoder.as_json()))) == encoder
    without = fit(table(n=numbers([1.0, 2.0])))
    old = without.as_json()
    del old["blocks"]
    assert Encoder.from_json(old) == without


def test_json_round_trip_is_exact():
    rng = np.random.default_rng(1)
    data = table(
        a=numbers(rng.normal(size=200) * 1e-7),
        b=numbers(np.where(rng.random(200) < 0.2, NAN, rng.exponential(size=200) * 1e300)),
        c=text_column([["é", '"', None][i % 3] for i in range(200)]),
        d=Column("image", rng.random((200, 2, 2))),
    )
    encoder = fit(data)
    back = Encoder.from_json(json.loads(json.dumps(encoder.as_json())))
    assert back == encoder
    for name, array in encoder.transform(data).items():
        np.testing.assert_array_equal(back.transform(data)[name], array)


def test_json_round_trip_of_dates_and_of_codes_from_before_there_were_any():
    data = table(a=dates("2024-01-01", 5000.0 * np.arange(50)), n=numbers(np.arange(50.0)))
    encoder = fit(data)
    plain = json.loads(json.dumps(encoder.as_json()))
    assert Encoder.from_json(plain) == encoder
    without = fit(table(n=data["n"]))
    old = without.as_json()
    del old["numbers"][0]["part"]
    assert Encoder.from_json(old) == without
