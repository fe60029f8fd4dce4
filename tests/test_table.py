import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lamina.data.table import Column, Table, number_text, text_column
from lamina.errors import DataError

NAN = float("nan")


def cells(column: Column) -> list[str]:
    return [column.cell(row) for row in range(len(column))]


def small_table() -> Table:
    return Table({"a": Column("number", np.array([1.0, NAN, 3.5])), "b": text_column(["x", None, "y"])}, 3, "small.csv")


def test_number_text_is_short_and_whole_numbers_have_no_point():
    assert [number_text(value) for value in (3.0, -2, 0.1, 1e300)] == ["3", "-2", "0.1", "1e+300"]
    assert number_text(float("inf")) == "inf"


def test_number_text_keeps_every_digit_of_large_integers():
    assert number_text(np.int64(2**53 + 1)) == "9007199254740993"


@given(st.floats(allow_nan=False))
def test_number_text_reads_back_as_the_same_number(value):
    assert float(number_text(value)) == value


def test_text_column_has_levels_in_order_of_first_row_and_none_is_missing():
    column = text_column(["b", None, "a", "b"])
    assert column.levels == ("b", "a")
    assert column.values.tolist() == [0, -1, 1, 0]
    assert column.is_missing().tolist() == [False, True, False, False]


def test_missing_values_of_each_type():
    assert Column("number", np.array([1.0, NAN])).is_missing().tolist() == [False, True]
    assert Column("number", np.array([1, 2])).is_missing().tolist() == [False, False]
    assert Column("boolean", np.array([-1, 1], np.int32), ("False", "True")).is_missing().tolist() == [True, False]
    assert Column("datetime", np.array([NAN, 0.0])).is_missing().tolist() == [True, False]
    assert Column("image", np.zeros((2, 1, 1))).is_missing().tolist() == [False, False]


def test_numbers_as_text_join_equal_values_and_keep_missing_ones():
    column = Column("number", np.array([3.0, NAN, 0.5, 3.0])).as_text()
    assert column.levels == ("0.5", "3")
    assert cells(column) == ["3", "", "0.5", "3"]


def test_integers_that_differ_stay_apart_as_text():
    column = Column("number", np.array([2**53, 2**53 + 1])).as_text()
    assert column.levels == ("9007199254740992", "9007199254740993")


def test_dates_as_text_are_iso_8601():
    column = Column("datetime", np.array([1704067200.0, NAN, 1704067201.5]))
    assert cells(column) == ["2024-01-01", "", "2024-01-01T00:00:01.500"]
    assert cells(column.as_text()) == cells(column)


def test_text_and_booleans_as_text_are_themselves_and_images_and_sparse_blocks_are_refused():
    column = text_column(["x"])
    assert column.as_text() is column
    for blocks in (Column("image", np.zeros((1, 2, 2))), Column("sparse", sparse.csr_array(np.eye(2)))):
        with pytest.raises(DataError, match=rf"a column of type {blocks.type} cannot be read as text\."):
            blocks.as_text()


def test_rows_by_position_and_by_mask():
    by_position = small_table().rows(np.array([2, 0]))
    assert (by_position.n_rows, cells(by_position["a"]), cells(by_position["b"])) == (2, ["3.5", "1"], ["y", "x"])
    by_mask = small_table().rows(np.array([False, True, True]))
    assert (by_mask.n_rows, cells(by_mask["a"]), cells(by_mask["b"])) == (2, ["", "3.5"], ["", "y"])


def test_picked_rows_keep_their_number_in_the_source():
    chunk = Table({"a": Column("number", np.arange(5))}, 5, first_row=101)
    assert chunk.row_number(4) == 105
    picked = chunk.rows(np.array([4, 1, 3])).rows(np.array([True, False, True]))
    assert [picked.row_number(row) for row in (0, 1)] == [105, 104]


def test_rows_with_a_value_in_a_column():
    table, n_missing = small_table().rows_with(["a"])
    assert (n_missing, cells(table["b"]), table.row_number(1)) == (1, ["x", "y"], 3)
    assert table.rows_with(["a"]) == (table, 0)


def test_rows_with_a_value_in_each_of_several_columns():
    columns = {"a": Column("number", np.array([1.0, NAN, 3.0, NAN])), "b": text_column([None, None, "y", "z"])}
    table, n_missing = Table(columns, 4).rows_with(["a", "b"])
    assert (n_missing, cells(table["a"]), cells(table["b"])) == (3, ["3"], ["y"])
    assert Table(columns, 4).rows_with(["b"])[1] == 2


def test_rows_of_a_sparse_block_by_position_and_by_mask():
    block = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    table = Table({"x": Column("sparse", sparse.csr_array(block))}, 3)
    assert table["x"].is_missing().tolist() == [False, False, False]
    for index in (np.array([2, 0, 0]), np.array([True, False, True])):
        np.testing.assert_array_equal(table.rows(index)["x"].values.toarray(), block[index])


def test_with_column_with_target_and_without():
    table = small_table().with_column("c", Column("number", np.arange(3)))
    assert (list(table.columns), table.targets, table.source) == (["a", "b", "c"], (), "small.csv")
    table = table.with_target("d", Column("number", np.arange(3)))
    assert (list(table.columns), table.targets) == (["a", "b", "c", "d"], ("d",))
    assert table.with_target("e", Column("number", np.arange(3))).targets == ("d", "e")
    assert list(table.without("b").columns) == ["a", "c", "d"]
    with pytest.raises(DataError, match=re.escape("small.csv has a column 'b' already; rename one of the two.")):
        table.with_column("b", Column("number", np.arange(3)))


def test_a_column_that_is_not_there_is_named_with_the_closest_one():
    table = Table({"income": Column("number", np.arange(2)), "age": Column("number", np.arange(2))}, 2, "adult.csv")
    with pytest.raises(DataError) as error:
        table["incme"]
    assert str(error.value) == "adult.csv has no column 'incme'. Did you mean 'income'? Columns: income, age."
    assert "age" in table
    assert "incme" not in table


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError) as error:
        Table({"a": Column("number", np.arange(2))}, 3, "odd.csv")
    assert str(error.value) == "odd.csv: column 'a' has 2 rows, expected 3."
