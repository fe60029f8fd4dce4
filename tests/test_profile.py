import numpy as np

from lamina.data.profile import ColumnFacts, describe
from lamina.data.readers import read_table
from lamina.data.schema import ColumnSchema, Schema
from lamina.data.table import Column, Table, text_column

NAN = float("nan")
COLUMNS = {
    "age": Column("number", np.array([30.0, NAN, 20.0, 20.5, 50.0])),
    "gain": Column("number", np.array([0, 0, 99999, 12345, 23456])),
    "empty": Column("number", np.full(5, NAN)),
    "city": text_column(["Ulm", "Ulm", None, "Bonn", "Ulm"]),
    "code": text_column(["a", "b", "c", "d", "a"]),
    "member": Column("boolean", np.array([1, 0, 1, -1, 1]), ("False", "True")),
    "day": Column("datetime", np.array([86400.0, NAN, 0.0, 1704067200.5, 86400.0])),
    "y": text_column(["no", "yes", "no", "yes", "no"]),
}


def facts() -> dict[str, ColumnFacts]:
    table = Table(COLUMNS, 5)
    return {fact.name: fact for fact in describe(table, Schema.infer(table, "y").columns)}


def test_every_column_is_described_in_order():
    assert list(facts()) == list(COLUMNS)


def test_numbers_texts_booleans_and_dates():
    seen = {name: (fact.n_missing, fact.n_distinct, fact.values) for name, fact in facts().items()}
    assert seen == {
        "age": (1, 4, "20 to 50, median 25.25"),
        "gain": (0, 4, "0 to 99999, median 12345"),
        "empty": (5, 0, ""),
        "city": (1, 2, "Ulm (75%), Bonn (25%)"),
        "code": (0, 4, "a (40%), b (20%), c (20%), ..."),
        "member": (1, 2, "True (75%), False (25%)"),
        "day": (1, 3, "1970-01-01T00:00:00 to 2024-01-01T00:00:00"),
        "y": (0, 2, "no (60%), yes (40%)"),
    }


def test_kind_role_and_reason_are_those_of_the_schema():
    seen = facts()
    assert (seen["age"].kind, seen["age"].role, seen["age"].reason) == ("number", "feature", "")
    assert (seen["empty"].kind, seen["empty"].role, seen["empty"].reason) == (
        "constant", "left out", "every value is missing",
    )  # fmt: skip
    assert (seen["y"].kind, seen["y"].role) == ("category", "target")


def test_images():
    table = read_table("digits")
    image, digit = describe(table, Schema.infer(table).columns)
    assert (image.values, image.n_missing) == ("8 x 8 pixels, 0 to 16", 0)
    assert (digit.values, digit.n_distinct) == ("0 to 9, median 4", 10)


def test_long_texts_are_cut():
    table = Table({"t": text_column(["x" * 33, "x" * 32, "x" * 33])}, 3)
    (fact,) = describe(table, [ColumnSchema("t", "category", "feature")])
    assert fact.values == f"{'x' * 29}... (67%), {'x' * 32} (33%)"
