import numpy as np
import pytest

from lamina.data.table import Column, text_column
from lamina.data.text_values import (
    MISSING_TOKENS,
    as_number,
    as_written,
    nearly_numbers,
    read_dates,
    recoded,
    same_order,
    typed,
)

LONG = "a sentence that is certainly longer than forty characters"


def cells(column: Column) -> list[str]:
    return [column.cell(row) for row in range(len(column))]


@pytest.mark.parametrize("token", sorted(MISSING_TOKENS))
def test_every_missing_token_is_missing_among_numbers_and_among_texts(token):
    numbers = typed(text_column(["1", token, " 2.5 "]))
    assert (numbers.type, cells(numbers)) == ("number", ["1", "", "2.5"])
    texts = typed(text_column(["x", f" {token} ", "y"]))
    assert (texts.type, cells(texts), texts.levels) == ("text", ["x", "", "y"], ("x", "y"))


def test_words_that_only_look_like_missing_tokens_stay():
    column = typed(text_column(["none", "na", "missing", "-"]))
    assert cells(column) == ["none", "na", "missing", "-"]


def test_question_mark_is_missing_among_numbers_and_short_strings():
    numbers = typed(text_column(["1", "?", "2"]))
    assert (numbers.type, cells(numbers)) == ("number", ["1", "", "2"])
    assert cells(typed(text_column(["Private", "?", "State-gov"]))) == ["Private", "", "State-gov"]


def test_question_mark_stays_in_free_text():
    assert cells(typed(text_column([LONG, "?", "short"]))) == [LONG, "?", "short"]


def test_a_column_of_missing_values_is_a_number_column():
    column = typed(text_column(["", "NA", None, "?"]))
    assert column.type == "number"
    assert np.isnan(column.values).tolist() == [True] * 4


def test_numbers_stay_text_where_told():
    assert cells(typed(text_column(["02134", "1"]), parse_numbers=False)) == ["02134", "1"]
    dates = typed(text_column(["2024-01-01"]), parse_dates=False)
    assert (dates.type, cells(dates)) == ("text", ["2024-01-01"])


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e3", 1000.0), ("-.5", -0.5), ("+7", 7.0), ("inf", float("inf")), ("1_000", None), ("1,5", None), ("x", None)],
)
def test_as_number(text, number):
    assert as_number(text) == number


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-01-02", "1970-01-01"),
        ("2024-01-02T00:00:00", "1970-01-01 00:00:00"),
        ("2024-01-02T01:00:00+01:00", "1970-01-01T00:00:00Z"),
        ("02.01.2024", "01.01.1970"),
        ("02/01/2024", "01/01/1970"),
        ("2024/01/02", "1970/01/01"),
        ("2024/01/02 00:00", "1970/01/01 00:00"),
        ("02.01.2024 00:00:00", "01.01.1970 00:00:00"),
        ("2/1/2024 0:00", "1/1/1970 0:00"),
    ],
)
def test_dates_of_one_format_are_seconds_since_1970(first, second):
    column = typed(text_column([first, "NA", second]))
    assert column.type == "datetime"
    np.testing.assert_array_equal(column.values, [1704153600.0, np.nan, 0.0])


def test_month_before_day_is_recognised_where_the_other_order_is_impossible():
    assert typed(text_column(["01/02/2024", "01/31/2024"])).values.tolist() == [1704153600.0, 1706659200.0]


@pytest.mark.parametrize(
    ("texts", "date_format"),
    [
        (["2024-01-31", "2024-02-01T10:00:00"], ""),
        (["31.01.2024", "01.02.2024"], "%d.%m.%Y"),
        (["01/02/2024"], "%d/%m/%Y"),
        (["01/31/2024", "02/01/2024"], "%m/%d/%Y"),
        (["2024/01/31"], "%Y/%m/%d"),
        (["1/31/2024 9:05", "2/1/2024 14:30"], "%m/%d/%Y %H:%M"),
        (["31.01.2024 09:05:07"], "%d.%m.%Y %H:%M:%S"),
        (["31-Jan-2024", "01-MAY-2024"], "%d-%b-%Y"),
        (["31-Jan-24", "1-sep-98"], "%d-%b-%y"),
        (["31 Jan 2024", "1 Feb 2024"], "%d %b %Y"),
        (["31 January 2024", "1 May 2024"], "%d %B %Y"),
        (["Jan 31, 2024", "Feb 1, 2024"], "%b %d, %Y"),
        (["January 31, 2024 14:30", "May 1, 2024 00:00"], "%B %d, %Y %H:%M"),
    ],
)
def test_dates_know_how_they_were_written(texts, date_format):
    column = typed(text_column(texts))
    assert (column.type, column.date_format, column.rows(np.array([0])).date_format) == (
        "datetime", date_format, date_format,
    )  # fmt: skip
    assert read_dates(texts, date_format) == column.values.tolist()


@pytest.mark.parametrize(
    "texts",
    [
        ["01/02/2024", "31/12/0999"],
        ["01/31/2024", "02/01/2024"],
        ["01/31/2024 00:00", "02/01/2024 14:30"],
        ["31/01/2024 00:00:00", "01/02/2024 14:30:00", "01/02/2024 14:30:07"],
    ],
)
def test_dates_as_written(texts):
    assert cells(as_written(typed(text_column([*texts, None])))) == [*texts, ""]
    iso = ["2024-01-31", "2024-02-01T10:00"]
    assert cells(as_written(typed(text_column(iso)))) == iso


def test_the_order_of_day_and_month_is_all_that_two_formats_can_disagree_on():
    assert not same_order("%d/%m/%Y", "%m/%d/%Y")
    assert not same_order("%m/%d/%Y", "%d/%m/%Y")
    assert not same_order("%m/%d/%Y %H:%M", "%d/%m/%Y")
    for other in ("", "%d.%m.%Y", "%Y/%m/%d", "%m/%d/%Y", "%m/%d/%Y %H:%M:%S"):
        assert same_order("%m/%d/%Y", other)
        assert same_order(other, "%m/%d/%Y")


def test_read_dates_leaves_out_what_the_most_common_format_does_not_read():
    assert read_dates(["31.05.2024", "2024-05-31", "01.06.2024"]) == [1717113600.0, None, 1717200000.0]
    assert read_dates(["20240531", "soon", ""]) == [None, None, None]
    assert read_dates([]) == []


@pytest.mark.parametrize("other", ["tomorrow", "31.12.2024", "2024-13-01"])
def test_dates_beside_anything_else_are_text(other):
    column = typed(text_column(["2024-01-02", other]))
    assert (column.type, cells(column)) == ("text", ["2024-01-02", other])


def test_dates_with_the_name_of_the_month():
    expected = [1706659200.0, 1714521600.0]  # 2024-01-31 and 2024-05-01
    for texts in (
        ["31-Jan-2024", "01-May-2024"], ["31-Jan-24", "01-May-24"], ["31 January 2024", "1 May 2024"],
        ["Jan 31, 2024", "May 1, 2024"],
    ):  # fmt: skip
        assert typed(text_column(texts)).values.tolist() == expected
        assert read_dates(texts, "%d/%m/%Y") == expected
    assert typed(text_column(["may 7"])).type == "text"
    assert typed(text_column(["March 2024"])).type == "text"
    assert typed(text_column(["Marcel 12", "Janet 7"])).type == "text"
    assert typed(text_column(["31-Foo-2024"])).type == "text"
    # The format that is known is tried first: 03/04/2024 is in April.
    assert read_dates(["03/04/2024"], "%d/%m/%Y") == read_dates(["2024-04-03"])


def test_recoded_joins_levels_that_became_equal():
    column = recoded(text_column(["a", "A", None, "b"]), ["a", "a", None])
    assert (column.levels, column.values.tolist()) == (("a",), [0, 0, -1, -1])


@pytest.mark.parametrize("form", ["{},{:03d}", "${}.{}", "{}.{}%", "{},{:02d}", "{} {:03d}", "€ {}.{}"])
def test_numbers_that_are_written_otherwise_are_recognised_as_such(form):
    levels = [form.format(i + 1, i) for i in range(30)]
    why = "its values look like numbers, but {!r} is not written as one, with digits and a point"
    assert nearly_numbers(levels) == why.format(levels[0])
    assert nearly_numbers(levels[:19]) == ""


def test_a_few_texts_among_numbers_are_named():
    levels = [*(str(i / 8) for i in range(40)), "n.a.", "unknown"]
    assert nearly_numbers(levels) == "40 of its 42 distinct values are numbers, but 'n.a.' is not"
    for form in ("{}-b", "k{}", "{0}:{0}"):
        assert nearly_numbers([form.format(i) for i in range(30)]) == ""
    assert nearly_numbers([str(i) for i in range(40)]) == ""
