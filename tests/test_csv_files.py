import csv
import gzip
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.data.csv_files import read_csv
from lamina.data.table import Table
from lamina.errors import DataError

on_disk = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, content: bytes, name: str = "t.csv", **options) -> Table:
    path = folder / name
    path.write_bytes(content)
    return next(read_csv(str(path), **options))


def rows(*tables: Table) -> list[list[str]]:
    return [[column.cell(i) for column in table.columns.values()] for table in tables for i in range(table.n_rows)]


def message(folder: Path, content: bytes) -> str:
    """Return what is wrong with a file of this content, without the folder."""
    (folder / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read_csv(str(folder / "t.csv")))
    return str(error.value).replace(f"{folder}/", "")


def test_numbers_texts_dates_and_missing_values(tmp_path):
    table = read(tmp_path, b"n,s,d,m\n1,x,2024-01-01,\n,?,NA,NA\n2.5,y,2024-01-02,null\n")
    assert [column.type for column in table.columns.values()] == ["number", "text", "datetime", "number"]
    assert rows(table) == [["1", "x", "2024-01-01", ""], ["", "", "", ""], ["2.5", "y", "2024-01-02", ""]]
    assert (table.n_rows, table.named, table.targets, table.first_row) == (3, True, (), 1)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x y\n2,z\n",
        b"\xef\xbb\xbfa,b\n1,x y\n2,z\n",
        b"a,b\r\n1,x y\r\n2,z\r\n",
        b"a;b\n1;x y\n2;z\n",
        b"a\tb\n1\tx y\n2\tz\n",
        b"a|b\n1|x y\n2|z\n",
        b"a,b\n1,x y\n2,z",
        b"a,b\n\n1,x y\n  \n2,z\n\n",
        b" a , b \n 1 , x y \n 2 , z \n",
        b'"a","b"\n"1","x y"\n"2","z"\n',
        gzip.compress(b"a,b\n1,x y\n2,z\n", mtime=0),
    ],
    ids=["plain", "bom", "crlf", "semicolon", "tab", "bar", "no-last-newline", "blank", "spaces", "quoted", "gzip"],
)
def test_one_table_in_many_dialects(tmp_path, content):
    table = read(tmp_path, content)
    assert list(table.columns) == ["a", "b"]
    assert rows(table) == [["1", "x y"], ["2", "z"]]
    assert table["a"].type == "number"


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(tmp_path):
    table = read(tmp_path, b'a,b\r\n1,"x\r\ny"\r\n2,"say ""hi"", you"\r\n3,5" pipe 6"\r\n')
    assert rows(table) == [["1", "x\r\ny"], ["2", 'say "hi", you'], ["3", '5" pipe 6"']]


def test_a_quoted_field_may_be_longer_than_the_csv_modules_limit(tmp_path):
    text = "x" * (csv.field_size_limit() + 1)
    assert rows(read(tmp_path, f'a,b\n1,"{text}"\n'.encode())) == [["1", text]]


def test_the_delimiter_is_looked_for_outside_quotes(tmp_path):
    table = read(tmp_path, b'"a, b, c";d\n1;2\n')
    assert (list(table.columns), rows(table)) == (["a, b, c", "d"], [["1", "2"]])


def test_a_line_of_tabs_is_a_row_of_missing_values(tmp_path):
    assert rows(read(tmp_path, b"a\tb\n1\t2\n\t\n3\t4\n")) == [["1", "2"], ["", ""], ["3", "4"]]


def test_columns_without_a_name_are_called_by_their_position(tmp_path):
    assert list(read(tmp_path, b",b,\n1,2,3\n").columns) == ["unnamed_1", "b", "unnamed_3"]


def test_text_columns_stay_text(tmp_path):
    content = b"code,day\n02134,2024-01-01\n1.0,NA\n"
    table = read(tmp_path, content, text_columns={"code", "day"})
    assert [column.type for column in table.columns.values()] == ["text", "text"]
    assert rows(table) == [["02134", "2024-01-01"], ["1.0", ""]]


def test_infinite_and_huge_numbers_are_numbers(tmp_path):
    column = read(tmp_path, b"a\ninf\n-Infinity\n1e300\n1e-300\n")["a"]
    assert column.values.tolist() == [np.inf, -np.inf, 1e300, 1e-300]


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    (table,) = read_csv("-")
    assert (rows(table), table.source) == ([["1", "2"]], "standard input")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "t.csv is empty; expected a header row with the columns' names, then the rows."),
        (b"\xef\xbb\xbf \r\n", "t.csv is empty; expected a header row with the columns' names, then the rows."),
        (b"a,b\n", "t.csv has a header and no rows; add rows below the header."),
        (b"a,b,a\n1,2,3\n", "t.csv: column 'a' appears 2 times (fields 1 and 3); rename all but one."),
        (
            b"a,b\n1,2\n3\n",
            "t.csv, line 3: 1 fields, but the header has 2; complete the line, or quote a field that holds the "
            "delimiter.",
        ),
        (
            b'a,b\n"1\n",2\n\n3,4,5\n',
            "t.csv, line 5: 3 fields, but the header has 2; complete the line, or quote a field that holds the "
            "delimiter.",
        ),
        (b'a,b\n1,2\n3,"x\n4,y\n', "t.csv, line 3: a quote is opened there and never closed."),
        (
            b'a,b\n1,"x"y\n',
            "t.csv, line 2: a quote stands amid a field; quote the whole field and double the quotes in it.",
        ),
        (
            b'a,b\n1,5" x\n2,6" y\n',
            "t.csv, line 2: a quote stands amid a field; quote the whole field and double the quotes in it.",
        ),
        (b"a,b\n1,x\n2,caf\xe9\n", "t.csv, line 3: byte 0xe9 is not UTF-8; save the file as UTF-8."),
        (b'a,b\n1,"x\ncaf\xe9"\n', "t.csv, line 3: byte 0xe9 is not UTF-8; save the file as UTF-8."),
        (b"caf\xe9,b\n1,x\n", "t.csv, line 1: byte 0xe9 is not UTF-8; save the file as UTF-8."),
        (b"a,b\n1,\0\n", "t.csv is not a text file: line 2 holds a zero byte. Expected CSV in UTF-8."),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv is not a text file: line 1 holds a zero byte. Expected CSV in UTF-8."),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, content, expected):
    assert message(tmp_path, content) == expected


def test_a_gzip_file_cut_short_or_damaged(tmp_path):
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    cut = re.compile(r"t\.csv is a gzip file that is cut short or damaged after line \d+\.")
    assert cut.fullmatch(message(tmp_path, content[:-12]))
    assert cut.fullmatch(message(tmp_path, content[:-8] + b"\0" * 8))


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(DataError) as error:
        next(read_csv(str(tmp_path / "no.csv")))
    assert str(error.value) == f"there is no file '{tmp_path}/no.csv'; check the path."
    with pytest.raises(DataError) as error:
        next(read_csv(str(tmp_path)))
    assert str(error.value) == f"{tmp_path} is a folder, not a data file."


def test_a_quote_that_is_never_closed_is_found_in_a_long_file(tmp_path):
    assert message(tmp_path, b'a,b\n1,"x\n' + b"2,yyyyyyyy\n" * 200_000).endswith(
        "a quote is opened there and never closed."
    )


def test_an_error_in_a_later_chunk_comes_after_the_chunks_before(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n3,4\n5,6\n7\n")
    chunks = read_csv(str(tmp_path / "t.csv"), chunk_rows=2)
    assert rows(next(chunks)) == [["1", "2"], ["3", "4"]]
    with pytest.raises(DataError, match="line 5: 1 fields, but the header has 2"):
        next(chunks)


def test_chunks_know_their_first_row(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a\n1\n2\n3\n4\n5\n")
    chunks = list(read_csv(str(tmp_path / "t.csv"), chunk_rows=2))
    assert [(chunk.first_row, chunk.n_rows) for chunk in chunks] == [(1, 2), (3, 2), (5, 1)]
    assert chunks[1].row_number(1) == 4


field = st.text(st.sampled_from('ab"\n\r,;\t |é?1.'), max_size=6)
random_tables = st.lists(st.tuples(field, field, field), min_size=1, max_size=12)


@on_disk
@given(table=random_tables, delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back(tmp_path, table, delimiter, end):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("x", "y", "z"), *table])
    read_back = read(tmp_path, text.getvalue().encode(), text_columns={"x", "y", "z"})
    expected = [[cell.strip() for cell in row] for row in table]
    assert rows(read_back) == [["" if cell == "?" else cell for cell in row] for row in expected]


@on_disk
@given(table=random_tables, chunk_rows=st.integers(1, 5))
def test_chunks_together_are_the_whole(tmp_path, table, chunk_rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("x", "y", "z"), *table])
    whole = read(tmp_path, text.getvalue().encode(), text_columns={"x", "y", "z"})
    chunks = list(read_csv(str(tmp_path / "t.csv"), text_columns={"x", "y", "z"}, chunk_rows=chunk_rows))
    assert rows(*chunks) == rows(whole)
    assert all(chunk.n_rows == chunk_rows for chunk in chunks[:-1])
