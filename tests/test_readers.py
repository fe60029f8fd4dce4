import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from lamina.data.readers import read_table, read_tables, target_columns
from lamina.data.table import Column, Table
from lamina.errors import DataError


def cells(column: Column) -> list[str]:
    return [column.cell(row) for row in range(len(column))]


def contents(table: Table) -> dict[str, list[str]]:
    return {name: cells(column) for name, column in table.columns.items()}


def refused(data, **options) -> str:
    with pytest.raises(DataError) as error:
        read_table(data, **options)
    return str(error.value)


def test_a_file_a_frame_and_an_array_of_the_same_numbers_agree(tmp_path):
    numbers = np.array([[1.0, 0.25], [np.nan, -3.0]])
    frame = pl.DataFrame(numbers, schema=["x0", "x1"])
    frame.fill_nan(None).write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    expected = {"x0": ["1", ""], "x1": ["0.25", "-3"]}
    for data in (numbers, numbers.tolist(), frame, frame.to_pandas(), tmp_path / "t.csv", str(tmp_path / "t.parquet")):
        assert contents(read_table(data)) == expected
    assert read_table(frame).named
    assert not read_table(numbers).named


def test_a_table_is_itself():
    table = Table({"a": Column("number", np.arange(2))}, 2)
    assert read_table(table) is table


def test_arrays_of_three_axes_are_images():
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    column = read_table(images)["image"]
    assert (column.type, column.values.dtype) == ("image", np.uint8)
    np.testing.assert_array_equal(column.values, images)


def test_arrays_of_objects_keep_texts_numbers_and_missing_values():
    table = read_table(np.array([["x", 1, None], ["NA", 2.5, "b"]], dtype=object))
    assert contents(table) == {"x0": ["x", "NA"], "x1": ["1", "2.5"], "x2": ["", "b"]}
    assert [column.type for column in table.columns.values()] == ["text", "number", "text"]


def test_arrays_of_texts_and_of_bytes():
    assert contents(read_table(np.array([["x", "nan"], ["", "y"]]))) == {"x0": ["x", ""], "x1": ["nan", "y"]}
    assert contents(read_table(np.array([[b"x"], [b"y"]]))) == {"x0": ["x", "y"]}


@pytest.mark.parametrize(
    ("y", "type", "texts"),
    [
        (np.array([1, 0]), "number", ["1", "0"]),
        (np.array([[1.5], [0.5]]), "number", ["1.5", "0.5"]),
        ([True, False], "boolean", ["True", "False"]),
        (["b", "a"], "text", ["b", "a"]),
        (np.array(["b", None], dtype=object), "text", ["b", ""]),
        (np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"), "datetime", ["2024-01-01", ""]),
    ],
)
def test_a_target_given_apart(y, type, texts):
    table = read_table((np.zeros((2, 1)), y))
    assert (table.targets, table["y"].type, cells(table["y"])) == (("y",), type, texts)


def test_a_target_as_a_series_keeps_its_name():
    features = pd.DataFrame({"a": [1, 2]})
    table = read_table((features, pd.Series(["x", "y"], name="label")))
    assert (table.targets, contents(table)) == (("label",), {"a": ["1", "2"], "label": ["x", "y"]})
    assert list(target_columns(pl.Series([1, 2]))) == ["y"]
    assert read_table((features, pd.Series([1, 2]))).targets == ("y",)


def test_a_pair_without_a_target_is_its_features():
    assert read_table((np.zeros((2, 1)), None)).targets == ()


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array([[1, 2.5], [3, 4]]), {"y0": ["1", "3"], "y1": ["2.5", "4"]}),
        ([[1, 0, 0], [0, 1, 1]], {"y0": ["1", "0"], "y1": ["0", "1"], "y2": ["0", "1"]}),
        (sparse.csr_array(np.array([[1, 0], [0, 2]])), {"y0": ["1", "0"], "y1": ["0", "2"]}),
        (sparse.csc_matrix(np.array([[1], [3]])), {"y": ["1", "3"]}),
        (pd.DataFrame({"price": [1.5, 2], "kind": ["a", "b"]}), {"price": ["1.5", "2"], "kind": ["a", "b"]}),
        (pl.DataFrame({"price": [1.5, 2]}), {"price": ["1.5", "2"]}),
    ],
)
def test_several_targets_given_apart(y, expected):
    table = read_table((np.zeros((2, 1)), y))
    assert table.targets == tuple(expected)
    assert contents(table) == {"x0": ["0", "0"], **expected}


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 0), ()])
def test_targets_of_another_shape_are_refused(shape):
    assert refused((np.zeros((3, 1)), np.zeros(shape))) == (
        f"y has the shape {shape}, expected (n,), or (n, k) for k targets."
    )


def test_pairs_that_do_not_fit():
    assert refused((np.zeros((3, 1)), [1, 2])) == "X has 3 rows, but y has 2; they must agree."


def test_a_target_given_apart_may_be_called_like_a_column():
    table = read_table((pd.DataFrame({"label": [1, 2], "label_": [3, 4]}), pd.Series([5, 6], name="label")))
    assert table.targets == ("label__",)
    assert table["label__"].values.tolist() == [5, 6]


def test_objects_that_are_no_table():
    assert refused(np.zeros(3)) == "X: expected an array of shape (n, d) or (n, height, width), got (3,)."
    assert refused(np.zeros((2, 2, 2, 2))).endswith("got (2, 2, 2, 2).")
    assert refused(3 + 4j).startswith("X of type complex is not understood (dtype complex128, shape ()); pass a path,")
    assert refused([[1, 2], [3]]).startswith("X is no array of numbers: ")
    assert refused({"a": 1}).startswith("X of type dict is not understood")


BLOCK = np.array([[0, 2.0, 0], [1, 0, 0], [0, 0, -3]])
LAYOUTS = ["csr_array", "csc_array", "coo_array", "lil_array", "csr_matrix", "csc_matrix", "coo_matrix", "dok_matrix"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sparse_matrices_become_one_block(layout):
    table = read_table(getattr(sparse, layout)(BLOCK))
    assert (list(table.columns), table.n_rows, table.named) == (["x"], 3, False)
    assert (table["x"].type, type(table["x"].values)) == ("sparse", sparse.csr_array)
    np.testing.assert_array_equal(table["x"].values.toarray(), BLOCK)


def test_sparse_entries_are_added_up_and_zeros_among_them_leave():
    entries = sparse.coo_array(([1.0, 2.0, 0.0, 5.0], ([0, 0, 0, 1], [2, 2, 0, 1])), shape=(2, 3))
    block = read_table(entries)["x"].values
    assert (block.indices.tolist(), block.data.tolist()) == ([2, 1], [3.0, 5.0])
    assert read_table(sparse.csr_array(np.eye(2, dtype=np.int8)))["x"].values.toarray().tolist() == [[1, 0], [0, 1]]


def unsorted_block() -> sparse.csr_array:
    """One row with an entry of 0, its columns not in order."""
    return sparse.csr_array((np.array([0.0, 1.0]), np.array([1, 0]), np.array([0, 2])), shape=(1, 3))


def test_a_sparse_matrix_that_is_read_stays_as_it_was():
    given = unsorted_block()
    read_table(given)
    assert (given.indices.tolist(), given.data.tolist(), given.indptr.tolist()) == ([1, 0], [0.0, 1.0], [0, 2])


def test_a_sparse_matrix_in_read_only_memory_is_read():
    given = unsorted_block()
    for array in (given.data, given.indices, given.indptr):
        array.flags.writeable = False
    assert read_table(given)["x"].values.toarray().tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sparse_matrices_have_no_missing_or_infinite_values(value):
    assert refused(sparse.csr_array(np.array([[0, value]]))) == (
        "X is a sparse matrix with NaN or infinity in it; a sparse matrix has no missing values."
    )


def test_sparse_matrices_of_other_than_real_numbers():
    assert refused(sparse.csr_array(np.array([[1j]]))) == (
        "X is a sparse array of dtype complex128 and shape (1, 1); expected numbers (n, d)."
    )


def test_names_of_files_that_are_not_there(tmp_path):
    assert refused("fashon-mnist") == (
        "there is no file 'fashon-mnist'. Did you mean 'fashion-mnist'? "
        "Built-in sets: digits, iris, wine, breast-cancer, diabetes, fashion-mnist, fashion-mnist:test."
    )
    for name in ("no.csv", "no.parquet", "no.npz", "no-images-idx3-ubyte"):
        assert refused(tmp_path / name) == f"there is no file '{tmp_path}/{name}'; check the path."


def test_a_file_of_no_known_format(tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"PK")
    assert refused(tmp_path / "data.xlsx") == (
        f"'{tmp_path}/data.xlsx' is of no known format; expected .csv, .tsv, .parquet, .npz or an IDX file."
    )


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "T.CSV", "a.b.csv"])
def test_suffixes_of_csv_files(tmp_path, name):
    (tmp_path / name).write_text("a,b\n1,2\n")
    assert contents(read_table(tmp_path / name)) == {"a": ["1"], "b": ["2"]}


def test_parquet_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"not parquet at all")
    assert refused(path).startswith(f"{path} is not a Parquet file that can be read: ")
    pl.DataFrame({"a": []}, schema={"a": pl.Int64}).write_parquet(path)
    assert refused(path) == f"{path} has no rows."
    pl.DataFrame({"a": [[1]]}).write_parquet(path)
    assert refused(path).startswith(f"{path}: column 'a' has the type List(Int64)")


def test_chunks_of_every_format_together_are_the_whole(tmp_path):
    frame = pl.DataFrame({"x0": np.arange(7.0), "x1": np.arange(7.0) ** 2})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", X=frame.to_numpy())
    for file in ("t.csv", "t.parquet", "t.npz"):
        chunks = list(read_tables(str(tmp_path / file), chunk_rows=3))
        assert [chunk.n_rows for chunk in chunks] == [3, 3, 1]
        together = {name: [cell for chunk in chunks for cell in cells(chunk[name])] for name in ("x0", "x1")}
        assert together == contents(read_table(tmp_path / file))
        assert [chunk.row_number(0) for chunk in chunks] == [1, 4, 7], file


def test_text_columns_reach_the_csv_reader(tmp_path):
    (tmp_path / "t.csv").write_text("zip\n02134\n")
    assert cells(read_table(tmp_path / "t.csv", text_columns={"zip"})["zip"]) == ["02134"]
    assert cells(read_table(tmp_path / "t.csv")["zip"]) == ["2134"]


def test_real_tables_are_read(lamina_data):
    adult = read_table(lamina_data / "tables" / "adult-train.csv")
    assert (adult.n_rows, list(adult.columns)[:2], adult["age"].values[:3].tolist()) == (
        32561, ["age", "workclass"], [39, 50, 38],
    )  # fmt: skip
    missing = {name: int(column.is_missing().sum()) for name, column in adult.columns.items()}
    assert {name: n for name, n in missing.items() if n} == {
        "workclass": 1836, "occupation": 1843, "native_country": 583,
    }  # fmt: skip
    housing = read_table(lamina_data / "tables" / "california-housing.csv")
    assert (housing.n_rows, int(housing["total_bedrooms"].is_missing().sum())) == (20640, 207)
    assert re.fullmatch(r".*california-housing\.csv", housing.source)


@pytest.mark.parametrize(
    "name", ["a*.parquet", "a?.parquet", "a[1].parquet", "**.parquet", "~.parquet", "*.csv", "a[1].npz"]
)
def test_a_file_is_the_one_of_its_name_whatever_a_pattern_would_match(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for i, each in enumerate(("a1", "ab", "b")):
        pl.DataFrame({"x": [i, i]}).write_parquet(tmp_path / f"{each}.parquet")
        pl.DataFrame({"x": [i, i]}).write_csv(tmp_path / f"{each}.csv")
    with pytest.raises(DataError, match="there is no file"):
        read_table(name)
    with open(tmp_path / name, "wb") as file:
        if name.endswith("npz"):
            np.savez(file, X=np.array([[7.0]]))
        else:
            frame = pl.DataFrame({"x": [7]})
            (frame.write_csv if name.endswith("csv") else frame.write_parquet)(file)
    for path in (name, str(tmp_path / name), tmp_path / name):
        (column,) = read_table(path).columns.values()
        assert column.values.tolist() == [7.0]


def test_a_folder_of_a_parquet_file_is_no_column(tmp_path):
    (tmp_path / "year=2020").mkdir()
    pl.DataFrame({"x": [7]}).write_parquet(tmp_path / "year=2020" / "a.parquet")
    assert list(read_table(tmp_path / "year=2020" / "a.parquet").columns) == ["x"]
