"""What a cell means among the texts that a model knows: exactly, by its value, without the blanks around it."""

import pytest

from lamina.data.spelling import Spelling, text_of


@pytest.mark.parametrize(
    ("texts", "cell", "found"),
    [
        (("a", "b"), "b", 1),
        ((None, "a"), "a", 1),
        ((None, "a"), "", None),
        (("True", "true"), "true", 1),
        (("True", "False"), "TRUE", 0),
        (("3", "4"), "3.0", 0),
        (("3.0", "4"), "3", 0),
        (("3", "3.0"), "3.0", 1),
        ((" >50K", "<=50K"), ">50K", 0),
        ((">50K", "<=50K"), " >50K\t", 0),
        ((" True", "False"), "true", 0),
        (("3",), " 3.0", 0),
        (("a", " a"), " a", 1),
        (("a", " a"), "a", 0),
        ((" a", "a "), "a", None),
        (("a", " a"), "  a", None),
        ((" 3", "3 ", "3.0"), "\t3", None),
        (("a",), "b", None),
        (("A",), "a", None),
    ],
)
def test_a_cell_is_found(texts, cell, found):
    assert Spelling(texts).find(cell) == found


@pytest.mark.parametrize(
    ("texts", "cell", "missing"),
    [
        (("DE",), "NA", True),
        (("DE", "NA"), "NA", False),
        (("DE", " NA"), "NA", False),
        (("DE", "NA"), "nan", True),
        (("DE",), " ", True),
        (("DE", ""), " ", False),
        (("DE",), "?", True),
        (("DE", "?"), "?", False),
        (("w" * 41,), "?", False),
        (("w" * 41,), "NA", True),
        (("DE",), "None", False),
    ],
)
def test_a_token_is_missing_where_it_is_none_of_the_texts(texts, cell, missing):
    assert Spelling(texts).is_missing(cell) is missing


@pytest.mark.parametrize(("value", "text"), [(" x", " x"), (True, "True"), (3, "3"), (3.0, "3"), (0.5, "0.5")])
def test_the_text_of_a_class(value, text):
    assert text_of(value) == text
