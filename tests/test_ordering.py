"""A row's hash says what the row is: not where it stands, nor how its source writes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lamina.data.ordering import column_hashes, row_hashes
from lamina.data.table import Column, Table, text_column

NAN = float("nan")
RNG = np.random.default_rng(0)


def numbers(values) -> Column:
    return Column("number", np.asarray(values))


def block(values) -> Column:
    return Column("sparse", sparse.csr_array(np.asarray(values)))


def hashes(*columns: Column, y=None) -> np.ndarray:
    n = len(columns[0])
    table = Table({f"x{i}": column for i, column in enumerate(columns)}, n)
    return row_hashes(table, np.zeros(n) if y is None else np.asarray(y))


def assert_alike(*columns: Column) -> None:
    first, *others = (column_hashes(column).tolist() for column in columns)
    assert len(first) == len(columns[0])
    assert others == [first] * len(others)


def assert_all_differ(found: np.ndarray) -> None:
    assert found.dtype == np.uint64
    assert len(np.unique(found)) == len(found)


cell = st.one_of(st.none(), st.integers(-3, 3), st.floats(-1e6, 1e6))
word = st.sampled_from(["red", "green", "3", "", None])
mixed_rows = st.lists(st.tuples(cell, word, st.integers(0, 2), st.floats(-5, 5)), min_size=1, max_size=20)


def of_mixed(rows) -> np.ndarray:
    a = numbers([NAN if row[0] is None else float(row[0]) for row in rows])
    s = block([[row[2], 0, row[3]] for row in rows])
    return hashes(a, text_column([row[1] for row in rows]), s, y=[row[2] for row in rows])


@given(mixed_rows, st.randoms())
def test_a_hash_goes_with_its_row(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    assert of_mixed([rows[i] for i in order]).tolist() == of_mixed(rows)[order].tolist()
    assert of_mixed([*rows, rows[0]])[-1] == of_mixed(rows)[0] == of_mixed(rows[:1])[0]


@given(mixed_rows)
def test_rows_hash_alike_where_they_are_equal_and_only_there(rows):
    values = [(NAN if a is None else float(a) + 0.0, b, c, d + 0.0) for a, b, c, d in rows]
    texts = [repr(row) for row in values]  # NaN is NaN there
    found = of_mixed(rows).tolist()
    assert len(set(found)) == len(set(texts)) == len(set(zip(found, texts, strict=True)))


def test_numbers_of_any_dtype():
    values = [0, 1, 3, 127]
    dtypes = (np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, np.float32, np.float64, ">f8", ">i4")
    assert_alike(*(numbers(np.array(values, dtype)) for dtype in dtypes))
    assert_alike(numbers(np.array([0.5, -2.25], np.float32)), numbers([0.5, -2.25]))


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_a_float32_is_the_float64_of_the_same_value(values):
    assert_alike(numbers(np.array(values, np.float32)), numbers(np.array(values, np.float64)))


def test_the_two_zeros_and_all_nan_are_one_each():
    assert_alike(numbers([0.0]), numbers([-0.0]))
    payloads = np.array([0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    assert len(set(column_hashes(numbers(payloads)).tolist())) == 1
    assert_alike(numbers(payloads[1:2]), numbers([NAN]), Column("datetime", np.array([NAN])))
    assert_alike(block([[-3.0, 1]]), block([[-3.0, 1]]))


@pytest.mark.parametrize("strided", [np.arange(10.0)[::2], np.arange(20.0).reshape(10, 2)[::2, 0] / 2])
def test_numbers_need_not_lie_side_by_side(strided):
    assert_alike(numbers(strided), numbers([0, 2, 4, 6, 8]))


def test_texts_count_by_their_text():
    texts = ["b", None, "a", "b"]
    column = text_column(texts)
    other_order = Column("text", np.array([1, -1, 0, 1], np.int32), ("a", "b"))
    unused = Column("text", np.array([2, -1, 1, 2], np.int32), ("x", "a", "b", "y"))
    assert_alike(column, other_order, unused)
    assert len(set(column_hashes(column).tolist())) == 3


@pytest.mark.parametrize(
    "spellings", [("true", "True", "TRUE"), ("false", "False"), ("3", "3.0"), ("-2", "-2.0"), ("1e5", "1e5")]
)
def test_texts_that_sources_spell_differently(spellings):
    assert_alike(*(text_column([spelling]) for spelling in spellings))


def test_booleans_are_their_texts():
    column = Column("boolean", np.array([1, 0, -1], np.int32), ("False", "True"))
    assert_alike(column, text_column(["true", "false", None]), text_column(["True", "False", None]))


def test_texts_that_differ():
    assert_all_differ(column_hashes(text_column(["a", "A", "a ", "", "3", "30", "3.00", "yes", "Yes", "true", None])))


def test_a_changed_cell_and_exchanged_columns():
    one = hashes(numbers([1.0]), numbers([2.0]), text_column(["a"]), y=[0])[0]
    others = [
        hashes(numbers([1.5]), numbers([2.0]), text_column(["a"]), y=[0])[0],
        hashes(numbers([1.0]), numbers([NAN]), text_column(["a"]), y=[0])[0],
        hashes(numbers([1.0]), numbers([2.0]), text_column(["b"]), y=[0])[0],
        hashes(numbers([1.0]), numbers([2.0]), text_column([None]), y=[0])[0],
        hashes(numbers([1.0]), numbers([2.0]), text_column(["a"]), y=[1])[0],
        hashes(numbers([2.0]), numbers([1.0]), text_column(["a"]), y=[0])[0],
        hashes(numbers([np.nextafter(1, 2)]), numbers([2.0]), text_column(["a"]), y=[0])[0],
    ]
    assert_all_differ(np.array([one, *others]))


def test_targets_of_any_shape():
    a = numbers([1.0, 2.0])
    assert hashes(a, y=[[0.0], [1.0]]).tolist() == hashes(a, y=[0, 1]).tolist()
    two = hashes(a, y=[[0, 5], [0, 6]])
    assert_all_differ(np.concatenate([two, hashes(a, y=[[5, 0], [6, 0]]), hashes(a)]))


@given(st.lists(st.integers(-2, 2), min_size=6, max_size=6), st.randoms())
def test_entries_of_a_sparse_row_count_in_any_order(row, random):
    (columns,) = np.nonzero(row)
    order = random.sample(range(len(columns)), len(columns))
    picked = columns[order].astype(np.int32)
    entries = sparse.csr_array((np.array(row, float)[picked], picked, np.array([0, len(picked)])), shape=(1, 6))
    assert_alike(Column("sparse", entries), block([row]))


def test_sparse_rows_that_differ_and_dtypes_that_do_not_matter():
    rows = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [1, 1, 0], [1, 0, 1], [1, 2, 0]])
    assert_all_differ(column_hashes(block(rows)))
    wide = sparse.csr_array(rows.astype(float))
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert_alike(block(rows), block(rows.astype(np.float32)), Column("sparse", wide))
    assert_alike(block(np.zeros((2, 3))), block(np.zeros((2, 5))))


def test_sparse_rows_with_their_entries_exchanged_differ():
    assert_all_differ(column_hashes(block([[1, 2, 0], [2, 1, 0]])))


def test_sparse_rows_of_two_words_each_differ():
    left, right = np.triu_indices(1000, 1)
    words = np.stack([left, right], axis=1).ravel()
    pairs = sparse.csr_array((np.ones(len(words)), words, np.arange(0, len(words) + 1, 2)), shape=(len(left), 1000))
    assert_all_differ(column_hashes(Column("sparse", pairs)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 4)])
def test_images_count_by_their_pixels(shape, dtype):
    images = RNG.integers(0, 256, (50, *shape)).astype(dtype)
    images = np.unique(images, axis=0)
    assert_all_differ(column_hashes(Column("image", images)))
    order = RNG.permutation(len(images))
    found, permuted = (column_hashes(Column("image", each)) for each in (images, images[order]))
    assert permuted.tolist() == found[order].tolist()
    turned = np.ascontiguousarray(images.transpose(0, 2, 1)).transpose(0, 2, 1)  # the same values, laid out otherwise
    assert_alike(Column("image", images), Column("image", turned))


def test_one_pixel_more_or_less():
    images = np.zeros((7, 2, 3), np.uint8)
    for i in range(6):
        images[i].flat[i] = 1
    assert_all_differ(column_hashes(Column("image", images)))


def test_no_two_of_200_000_rows_hash_alike():
    n = 200_000
    random = hashes(*(numbers(RNG.normal(size=n)) for _ in range(3)), y=RNG.integers(0, 2, n))
    assert_all_differ(random)
    grid = np.stack(np.meshgrid(np.arange(100), np.arange(50), np.arange(40)), axis=-1).reshape(-1, 3).T
    assert_all_differ(hashes(*(numbers(each) for each in grid)))
    bits = (np.arange(2**17)[:, None] >> np.arange(17) & 1).T
    assert_all_differ(hashes(*(numbers(each) for each in bits)))


def test_the_order_of_the_hashes_is_as_good_as_random():
    ranks = np.argsort(np.argsort(hashes(numbers(np.arange(2000.0)))))
    assert abs(np.corrcoef(ranks, np.arange(2000))[0, 1]) < 0.1
    assert abs(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) < 0.1


def test_blanks_around_a_text_do_not_count_where_nothing_else_is_the_same():
    blank, bare = text_column([" a", "b", " a", "c\t", None]), text_column(["a", "b", "a", "c", None])
    np.testing.assert_array_equal(column_hashes(blank), column_hashes(bare))
