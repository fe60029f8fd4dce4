"""Frames of pandas, polars and pyarrow become the table that the same rows in a CSV file become."""

import datetime as dt
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lamina.data.frames import from_objects, is_frame, is_series, read_frame, read_series
from lamina.data.readers import read_table
from lamina.data.table import Column, Table
from lamina.errors import DataError

CSV = """whole,part,word,flag,day,kind
1,0.5,x,True,2024-01-01,red
,,,,,
3,-2.5,z,False,2024-01-03,blue
"""
DAYS = [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)]


def cells(column: Column) -> list[str]:
    return [column.cell(row) for row in range(len(column))]


def contents(table: Table) -> dict[str, list[str]]:
    return {name: cells(column) for name, column in table.columns.items()}


def types(table: Table) -> list[str]:
    return [column.type for column in table.columns.values()]


def pandas_frame(backend: str) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "part": [0.5, np.nan, -2.5],
            "word": ["x", None, "z"],
            "flag": pd.array([True, None, False], dtype="boolean"),
            "day": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "kind": pd.Categorical(["red", None, "blue"]),
        }
    )
    return frame if backend == "numpy" else frame.convert_dtypes(dtype_backend=backend)


def polars_frame() -> pl.DataFrame:
    data = {"whole": [1, None, 3], "part": [0.5, None, -2.5], "word": ["x", None, "z"], "flag": [True, None, False]}
    return pl.DataFrame({**data, "day": DAYS, "kind": pl.Series(["red", None, "blue"], dtype=pl.Categorical)})


def test_every_library_gives_the_table_of_the_csv_file(tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    from_csv = read_table(tmp_path / "t.csv")
    frames = {
        "pandas": pandas_frame("numpy"),
        "pandas nullable": pandas_frame("numpy_nullable"),
        "pandas on arrow": pandas_frame("pyarrow"),
        "polars": polars_frame(),
        "pyarrow": polars_frame().to_arrow(),
    }
    for library, frame in frames.items():
        table = read_table(frame)
        assert contents(table) == contents(from_csv), library
        # Only a frame can say that True and False are booleans; their texts are the same.
        assert types(table) == ["number", "number", "text", "boolean", "datetime", "text"], library
        assert (table.n_rows, table.named, table.source) == (3, True, "the data frame"), library


def test_a_parquet_file_gives_the_table_of_its_frame(tmp_path):
    polars_frame().write_parquet(tmp_path / "t.parquet")
    assert contents(read_table(tmp_path / "t.parquet")) == contents(read_table(polars_frame()))


def test_what_is_a_frame_and_what_is_a_series():
    frame = pl.DataFrame({"a": [1]})
    assert [is_frame(data) for data in (frame, pd.DataFrame(), pa.table({"a": [1]}))] == [True] * 3
    assert [is_frame(data) for data in (frame.lazy(), frame["a"], np.zeros((2, 2)), "t.csv", [[1]])] == [False] * 5
    assert [is_series(data) for data in (frame["a"], pd.Series([1]), pa.chunked_array([[1]]))] == [True] * 3
    assert [is_series(data) for data in (frame, np.zeros(2), [1])] == [False] * 3


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int64, pl.Float32, pl.Float64, pl.Decimal(10, 2)])
def test_numbers_of_every_type(dtype):
    series = pl.Series([1, 2, 100]).cast(dtype)
    assert cells(read_series(series, "a", "t")) == ["1", "2", "100"]
    with_null = read_series(pl.Series([1, None, 100]).cast(dtype), "a", "t")
    assert (with_null.type, cells(with_null)) == ("number", ["1", "", "100"])


def test_large_integers_are_exact():
    column = read_series(pl.Series([2**53, 2**53 + 1]), "a", "t")
    assert column.values.tolist() == [2**53, 2**53 + 1]


def test_text_stays_text_but_for_missing_tokens():
    column = read_frame(pd.DataFrame({"zip": ["02134", "NA", "10001", ""]}))["zip"]
    assert (column.type, cells(column)) == ("text", ["02134", "", "10001", ""])


def test_a_question_mark_among_texts_of_numbers_makes_them_numbers():
    column = read_frame(pl.DataFrame({"horsepower": ["130", "?", "95.5"]}))["horsepower"]
    assert (column.type, cells(column)) == ("number", ["130", "", "95.5"])


def test_dates_in_any_unit_and_zone_are_utc_seconds():
    moment = pd.Timestamp("2024-01-01 12:00:00.5", tz="Europe/Berlin")
    for unit in ("s", "ms", "us", "ns"):
        values = read_frame(pd.DataFrame({"t": pd.Series([moment]).astype(f"datetime64[{unit}, Europe/Berlin]")}))["t"]
        assert values.values.tolist() == [1704106800.5 if unit != "s" else 1704106800.0]
    arrow = pa.table({"t": pa.array([moment.to_pydatetime(), None], pa.timestamp("us", "Europe/Berlin"))})
    np.testing.assert_array_equal(read_frame(arrow)["t"].values, [1704106800.5, np.nan])


def test_objects_of_python():
    nan = float("nan")
    assert from_objects([True, None, np.False_], "a", "t").type == "boolean"
    assert cells(from_objects([True, None, np.False_], "a", "t")) == ["True", "", "False"]
    numbers = from_objects([1, pd.NA, 2.5, nan], "a", "t")
    assert (numbers.type, cells(numbers)) == ("number", ["1", "", "2.5", ""])
    mixed = from_objects(["x", 1, None, pd.NaT, True], "a", "t")
    assert (mixed.type, cells(mixed)) == ("text", ["x", "1", "", "", "True"])
    assert from_objects([None, nan], "a", "t").type == "number"


@pytest.mark.parametrize("value", [[1], {"a": 1}, np.zeros(2), Decimal("1.5")])
def test_objects_without_a_plain_text_are_refused(value):
    with pytest.raises(DataError) as error:
        from_objects(["x", value], "a", "the data frame")
    assert str(error.value) == (
        f"the data frame, column 'a', row 2: a value of type {type(value).__name__}, "
        "expected a number, text or a boolean; drop the column or convert it."
    )


def test_columns_of_lists_and_times_of_day_are_refused():
    with pytest.raises(DataError, match=re.escape("column 'a' has the type List(Int64), expected numbers, text,")):
        read_frame(pl.DataFrame({"a": [[1], [2]]}))
    with pytest.raises(DataError, match="column 'a' has the type Time, expected numbers, text, booleans, dates or dur"):
        read_frame(pl.DataFrame({"a": [dt.time(1), dt.time(2)]}))


def test_durations_are_numbers_of_seconds():
    spans = [dt.timedelta(hours=1), None, dt.timedelta(milliseconds=1500)]
    frames = (
        pd.DataFrame({"a": pd.to_timedelta(spans)}), pd.DataFrame({"a": pd.Series(spans, dtype=object)}),
        pl.DataFrame({"a": spans}), pl.DataFrame({"a": spans}).cast(pl.Duration("ns")), pa.table({"a": spans}),
    )  # fmt: skip
    for frame in frames:
        column = read_frame(frame)["a"]
        assert column.type == "number"
        np.testing.assert_array_equal(column.values, [3600.0, np.nan, 1.5])


def test_decimals_are_numbers():
    prices = [Decimal("1.50"), None, Decimal("-3")]
    for frame in (pd.DataFrame({"a": prices}), pl.DataFrame({"a": prices}), pa.table({"a": prices})):
        column = read_frame(frame)["a"]
        assert column.type == "number"
        np.testing.assert_array_equal(column.values, [1.5, np.nan, -3.0])


def test_columns_of_nulls_alone_are_missing_numbers():
    for frame in (pl.DataFrame({"a": [None, None]}), pa.table({"a": pa.nulls(2)}), pd.DataFrame({"a": [None, None]})):
        column = read_frame(frame)["a"]
        assert (column.type, cells(column)) == ("number", ["", ""])


def test_equal_columns_of_an_arrow_table_are_two_columns():
    assert contents(read_frame(pa.table({"a": [1, 2], "b": [1, 2]}))) == {"a": ["1", "2"], "b": ["1", "2"]}


def test_a_name_that_appears_twice_is_refused():
    frames = (
        pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    )
    for frame in frames:
        with pytest.raises(DataError) as error:
            read_table(frame)
        assert str(error.value) == "the data frame: column 'a' appears 2 times; rename all but one."
    with pytest.raises(DataError, match="column '1' appears 2 times"):
        read_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_pandas_columns_without_names_are_numbered():
    assert contents(read_frame(pd.DataFrame(np.arange(4).reshape(2, 2)))) == {"0": ["0", "2"], "1": ["1", "3"]}


def test_a_pandas_index_does_not_reorder_rows():
    frame = pd.DataFrame({"a": [10, 20, 30]}, index=[2, 0, 1])
    assert cells(read_frame(frame)["a"]) == ["10", "20", "30"]
