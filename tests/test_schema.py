import json
import shlex

import numpy as np
import pytest
from scipy import sparse

from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.data.table import Column, Table, text_column
from lamina.errors import DataError, SchemaError

N = 40
RNG = np.random.default_rng(0)
Y = text_column(["no", "yes"] * (N // 2))
Y_OF_256 = text_column(["no", "yes"] * 128)
WORDS = [f"the parcel number {i} came late and was open" for i in range(N)]


def numbers(values) -> Column:
    return Column("number", np.asarray(values))


def dates(seconds, date_format: str = "") -> Column:
    return Column("datetime", np.asarray(seconds), date_format=date_format)


def table(source: str = "train.csv", **columns: Column) -> Table:
    return Table(columns, len(next(iter(columns.values()))), source)


def feature(column: Column, name: str = "a", **options) -> tuple[str, str, str]:
    """Return kind, role and reason of one column beside a good one."""
    schema = Schema.infer(
        table(**{name: column}, good=numbers(RNG.normal(size=len(column))), y=Y.rows(np.arange(len(column)) % N)),
        "y",
        **options,
    )
    return schema.columns[0].kind, schema.columns[0].role, schema.columns[0].reason


def trained() -> Schema:
    return Schema.infer(table(age=numbers(RNG.normal(size=N)), city=text_column(["Ulm", "Bonn"] * 20), y=Y), "y")


def refused(schema: Schema, data: Table, kind: type[Exception] = SchemaError) -> str:
    with pytest.raises(kind) as error:
        schema.check(data)
    return str(error.value)


KEPT = "{}, as in an identifier; --drop a leaves it out, --kind a=number says that it is meant"
ID = "nearly every row has its own value, as in an identifier; --kind a={} keeps it"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (numbers(RNG.normal(size=N)), ("number", "feature", "")),
        (numbers([1.0, 2.0] * 20), ("number", "feature", "")),
        (numbers(RNG.integers(0, 9, N)), ("number", "feature", "")),
        (numbers(np.array([True, False] * 20)), ("number", "feature", "")),
        (numbers(RNG.permutation(N) + 7), ("number", "feature", KEPT.format("every row has its own whole number"))),
        (numbers(np.arange(N) + 7), ("number", "feature", KEPT.format("it counts 7, 8, 9, ... down the file"))),
        (
            numbers(np.append(np.arange(N - 1.0), np.nan)),
            ("number", "feature", KEPT.format("every row with a value has its own whole number")),
        ),
        (numbers(np.arange(19)), ("number", "feature", "")),
        (numbers(np.append(np.arange(19.0), [np.nan] * 21)), ("number", "feature", "")),
        (numbers(np.full(N, 20240131)), ("constant", "left out", "every value is 20240131")),
        (numbers([3.0] * (N - 1) + [np.nan]), ("number", "feature", "")),
        (numbers([np.nan] * N), ("constant", "left out", "every value is missing")),
        (text_column([None] * N), ("constant", "left out", "every value is missing")),
        (text_column(["x"] * N), ("constant", "left out", "every value is 'x'")),
        (text_column(["x"] * (N - 1) + [None]), ("category", "feature", "")),
        (text_column(["x", "y"] * 20), ("category", "feature", "")),
        (Column("boolean", np.arange(N) % 2, ("False", "True")), ("category", "feature", "")),
        (text_column([f"k{i}" for i in range(N)]), ("identifier", "left out", ID.format("category"))),
        (text_column([f"k{i % 30}" for i in range(N)]), ("category", "feature", "")),
        (
            text_column(WORDS),
            ("text", "left out", "free text of 9 words on average; --kind a=category keeps it"),
        ),
        (text_column(WORDS[:10] * 4), ("category", "feature", "")),
        (dates(np.arange(N) * 86400.0), ("datetime", "feature", "")),
        (dates([0.0] * (N - 1) + [np.nan]), ("datetime", "feature", "")),
        (dates([1704067200.0] * N), ("constant", "left out", "every value is 2024-01-01")),
        (dates([1704067230.0] * N), ("constant", "left out", "every value is 2024-01-01T00:00:30")),
        (dates([np.nan] * N), ("constant", "left out", "every value is missing")),
        (Column("image", np.zeros((N, 2, 3), np.uint8)), ("image", "feature", "")),
    ],
)
def test_what_is_inferred_of_a_column(column, expected):
    assert feature(column) == expected


@pytest.mark.parametrize(
    "name",
    [
        "id", "ID", "Id", "key", "uuid", "UUID", "index", "row", "rownames", "instant", "No", "nr", "obs", "",
        "Unnamed: 0", "Unnamed: 0.1", "unnamed_1", "Row ID", "row_id", "customer_id", "CustomerId", "customerID",
        "CustomerID", "order-id", "order.ID", "größe_id", "x1Id",
    ],
)  # fmt: skip
def test_distinct_whole_numbers_under_the_name_of_an_identifier(name):
    distinct = RNG.permutation(N) * 17
    option = shlex.quote(f"{name}=number")
    reason = f"every row has its own number, as in an identifier; --kind {option} keeps it"
    assert feature(numbers(distinct), name) == ("identifier", "left out", reason)
    assert feature(numbers(np.append(distinct, [np.nan] * 2)[2:]), name)[:2] == ("identifier", "left out")
    assert feature(numbers(distinct + 0.5), name) == ("number", "feature", "")
    assert feature(numbers(distinct % 20), name) == ("number", "feature", "")
    assert feature(numbers(distinct[:19]), name) == ("number", "feature", "")
    assert feature(numbers(distinct), name, kind={name: "number"}) == ("number", "feature", "as told")


@pytest.mark.parametrize(
    "name",
    ["PAID", "paid", "humid", "heat_index", "valid", "row_number", "ids", "year", "no_rooms", "id_type"],
)
def test_distinct_whole_numbers_under_another_name_are_kept_with_a_note(name):
    schema = Schema.infer(table(**{name: numbers(RNG.permutation(N) * 17)}, y=Y), "y")
    assert [(column.kind, column.role) for column in schema.features] == [("number", "feature")]
    assert schema.notes() == [
        f"column {name!r} is taken for a number: every row has its own whole number, as in an identifier; "
        f"--drop {name} leaves it out, --kind {name}=number says that it is meant"
    ]
    assert Schema.infer(table(**{name: numbers(RNG.permutation(N) * 17)}, y=Y), "y", every_column=True).notes() == []


def test_every_column_is_a_feature_where_whoever_made_the_table_chose_them():
    columns = {
        "counter": numbers(np.arange(N)), "customer_id": numbers(RNG.permutation(N)), "same": numbers(np.ones(N)),
        "none": numbers([np.nan] * N), "text": text_column(WORDS), "code": text_column([f"k{i}" for i in range(N)]),
        "word": text_column(["x"] * N), "nothing": text_column([None] * N), "day": dates(np.zeros(N)),
        "flag": Column("boolean", np.zeros(N, np.int32), ("False", "True")), "dropped": numbers(np.arange(N)),
    }  # fmt: skip
    options = {"every_column": True, "drop": ["dropped"]}
    schema = Schema.infer(table(**columns, y=Y), "y", **options)
    kinds = ["number"] * 4 + ["category"] * 4 + ["datetime", "category"]
    assert [(column.name, column.kind) for column in schema.features] == list(zip(columns, kinds, strict=False))
    assert (schema.left_out, schema.notes()) == ((), [])


def test_narrow_integers_do_not_overflow_where_their_range_is_measured():
    values = np.arange(-128, 128).astype(np.int8)
    schema = Schema.infer(table(id=numbers(values), b=numbers(values % 7), c=numbers(values), y=Y_OF_256), "y")
    assert [column.kind for column in schema.columns] == ["identifier", "number", "number", "category"]
    assert schema.columns[2].reason.startswith("it counts -128, -127, -126, ... down the file")
    mixed = np.roll(values, 1)  # from 127 to -128 is a step of 1 in 8 bits
    schema = Schema.infer(table(c=numbers(mixed), b=numbers(values % 7), y=Y_OF_256), "y")
    assert schema.columns[0].reason.startswith("every row has its own whole number")


def test_a_column_of_texts_that_look_like_numbers_says_so():
    prices = text_column([f"{i + 1},{i:03d}" for i in range(N)])
    reason = "its values look like numbers, but '1,000' is not written as one, with digits and a point"
    assert feature(prices) == ("identifier", "left out", reason)
    rates = text_column([f"{i}%" for i in range(N // 2)] * 2)
    kept = Schema.infer(table(a=rates, good=numbers(RNG.normal(size=N)), y=Y), "y")
    assert (kept.columns[0].kind, kept.columns[0].role) == ("category", "feature")
    reason = "its values look like numbers, but '0%' is not written as one, with digits and a point"
    assert kept.notes() == [f"column 'a' is taken for a category: {reason}"]
    told = Schema.infer(table(a=rates, good=numbers(RNG.normal(size=N)), y=Y), "y", kind={"a": "category"})
    assert told.notes() == []


def test_texts_that_are_numbers_throughout_can_be_taken_for_numbers():
    assert feature(text_column([str(i / 8) for i in range(N)])) == ("identifier", "left out", ID.format("number"))


def test_few_rows_make_no_identifiers():
    few = table(a=numbers(np.arange(10)), b=text_column(list("abcdefghij")), y=numbers([0, 1] * 5))
    assert [column.kind for column in Schema.infer(few, "y").features] == ["number", "category"]


def test_kind_overrules_the_inference():
    assert feature(text_column(WORDS), kind={"a": "category"}) == ("category", "feature", "as told")
    assert feature(numbers([1, 2] * 20), kind={"a": "category"}) == ("category", "feature", "as told")
    assert feature(numbers(np.arange(N)), kind={"a": "number"}) == ("number", "feature", "as told")


def test_kind_and_drop_of_dates():
    days = dates(np.arange(N) * 86400.0)
    assert feature(days, kind={"a": "category"}) == ("category", "feature", "as told")
    assert feature(days, drop=["a"]) == ("datetime", "left out", "dropped")
    assert feature(text_column(["2024-05-31", "soon"] * 20), kind={"a": "datetime"}) == (
        "datetime", "feature", "as told",
    )  # fmt: skip
    for kind in ({}, {"a": "datetime"}):
        american = Schema.infer(table(a=dates(np.arange(N) * 86400.0, "%m/%d/%Y"), y=Y), "y", kind=kind)
        assert american.features[0].date_format == "%m/%d/%Y"
        assert Schema.from_json(json.loads(json.dumps(american.as_json()))) == american


@pytest.mark.parametrize("role", ["weight", "group", "time"])
def test_dates_with_a_role_of_their_own_are_no_features(role):
    data = table(a=numbers(RNG.normal(size=N)), when=dates(np.arange(N) * 86400.0), y=Y)
    schema = Schema.infer(data, "y", **{role: "when"})
    assert [(column.name, column.role) for column in schema.columns if column.kind == "datetime"] == [("when", role)]
    assert [column.name for column in schema.features] == ["a"]


def test_drop_and_columns_with_a_role_of_their_own():
    columns = {name: numbers(RNG.normal(size=N)) for name in ("a", "w", "g", "t", "d")}
    schema = Schema.infer(table(**columns, y=Y), "y", drop=["d"], weight="w", group="g", time="t")
    assert {column.name: column.role for column in schema.columns} == {
        "a": "feature", "w": "weight", "g": "group", "t": "time", "d": "left out", "y": "target",
    }  # fmt: skip
    assert schema.notes() == []
    with pytest.raises(DataError, match="column 'y' cannot be both the target and the weight"):
        Schema.infer(table(**columns, y=Y), "y", weight="y")
    with pytest.raises(DataError, match="column 'y' is the target and cannot be dropped"):
        Schema.infer(table(**columns, y=Y), "y", drop=["y"])


@pytest.mark.parametrize("options", [{"kind": {"agee": "number"}}, {"drop": ["agee"]}, {"weight": "agee"}])
def test_options_that_name_no_column(options):
    with pytest.raises(DataError, match=r"train\.csv has no column 'agee'\. Did you mean 'age'\? Columns: age, y\."):
        Schema.infer(table(age=numbers(np.arange(N)), y=Y), "y", **options)


def test_the_target_is_asked_for_or_named_by_the_source():
    data = table(age=numbers(RNG.normal(size=N)), y=Y)
    with pytest.raises(DataError) as error:
        Schema.infer(data)
    assert str(error.value) == "say which column is the target (--target, target=). Columns: age, y."
    assert Schema.infer(read_table("iris")).target.name == "species"


def test_nothing_to_learn_from():
    with pytest.raises(DataError) as error:
        Schema.infer(table(a=numbers(np.full(N, 2)), y=Y), "y")
    assert str(error.value) == "train.csv has no column to learn from: column 'a' is left out: every value is 2."
    with pytest.raises(DataError, match="there is no other column than the target"):
        Schema.infer(table(y=Y), "y")


def test_text_columns_are_the_columns_that_stay_text_and_what_they_may_hold():
    assert trained().text_columns({"city": ("Ulm", None, "NA")}) == {"city": {"Ulm", "NA"}, "y": {"no", "yes"}}
    assert trained().text_columns({}) == {"city": frozenset(), "y": {"no", "yes"}}
    numeric = Schema.infer(table(a=numbers(RNG.normal(size=N)), y=numbers([0, 1] * 20)), "y")
    assert numeric.text_columns({}) == {}
    truth = Schema.infer(
        table(a=numbers(RNG.normal(size=N)), y=Column("boolean", np.arange(N) % 2, ("False", "True"))), "y"
    )
    assert truth.text_columns({}) == {"y": {"False", "True"}}


def test_json_round_trip():
    images = Schema.infer(read_table("digits"))
    for schema in (trained(), images):
        assert Schema.from_json(json.loads(json.dumps(schema.as_json()))) == schema
    assert images.features[0].shape == (8, 8)


def test_check_reorders_columns_and_notes_those_it_ignores():
    data = table("new.csv", extra=numbers([1]), city=text_column(["Ulm"]), other=numbers([1]), age=numbers([5]))
    checked, notes = trained().check(data)
    assert list(checked.columns) == ["age", "city"]
    assert (checked["age"].values.tolist(), checked["city"].cell(0)) == ([5], "Ulm")
    assert notes == ["new.csv: ignored the columns that the model does not know: extra, other"]


def test_check_names_missing_columns_and_the_closest_ones():
    data = table("new.csv", City=text_column(["Ulm"]), height=numbers([1]))
    assert refused(trained(), data) == "new.csv lacks the columns 'age', 'city'. Is 'city' called 'City'?"
    data = table("new.csv", city=text_column(["Ulm"]))
    assert refused(trained(), data) == "new.csv lacks the column 'age'."
    data = table("new.csv", cement=numbers([1]), water=numbers([1]))  # another table: nothing in it is meant
    said = "new.csv lacks the columns 'age', 'city'. It has other ones: cement, water."
    assert refused(trained(), data) == said


def test_text_among_numbers_is_refused_with_its_row():
    data = table("new.csv", age=text_column(["1", "2", "old"]), city=text_column(["Ulm"] * 3))
    expected = (
        "new.csv, column 'age', row {}: 'old' is not a number; correct it, or leave it empty for a missing value."
    )
    assert refused(trained(), data) == expected.format(3)
    chunk = Table(data.columns, 3, "new.csv", first_row=1001)
    assert refused(trained(), chunk.rows(np.array([1, 2]))) == expected.format(1003)
    fine, _ = trained().check(data.rows(np.array([1, 0])))  # the level is there, but in none of these rows
    assert fine["age"].values.tolist() == [2, 1]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_refused_with_their_row(value):
    data = table("new.csv", age=numbers([1.0, np.nan, value]), city=text_column(["Ulm"] * 3))
    assert refused(trained(), data, DataError) == (
        "new.csv, column 'age', row 3: the value is infinite; "
        "replace it by a number, or leave it empty for a missing value."
    )


def test_columns_come_back_as_the_kind_that_they_had():
    data = table(
        age=Column("boolean", np.array([1, -1, 0]), ("False", "True")), city=numbers([3.0, np.nan, 0.5])
    )  # fmt: skip
    checked, _ = trained().check(data)
    np.testing.assert_array_equal(checked["age"].values, [1, np.nan, 0])
    assert [checked["city"].cell(row) for row in range(3)] == ["3", "", "0.5"]


def test_dates_and_images_in_the_place_of_numbers():
    city = text_column(["Ulm"])
    dates = table("new.csv", age=Column("datetime", np.zeros(1)), city=city)
    assert refused(trained(), dates) == "new.csv, column 'age': expected numbers, got dates."
    images = table("new.csv", age=Column("image", np.zeros((1, 2, 2))), city=city)
    assert refused(trained(), images) == "new.csv, column 'age': expected a number, got images."


def dated(date_format: str = "", kind=None) -> Schema:
    return Schema.infer(table(when=dates(np.arange(N) * 86400.0, date_format), y=Y), "y", kind=kind)


def test_dates_come_back_as_dates():
    for given in (dates([0.0, 86400.5, np.nan]), text_column(["1970-01-01", "1970-01-02 00:00:00.5", None])):
        checked, _ = dated().check(table("new.csv", when=given))
        assert checked["when"].type == "datetime"
        np.testing.assert_array_equal(checked["when"].values, [0.0, 86400.5, np.nan])
    for given in (text_column([None, None]), numbers([np.nan, np.nan]), dates([np.nan, np.nan])):
        checked, _ = dated().check(table("new.csv", when=given))
        assert (checked["when"].type, np.isnan(checked["when"].values).tolist()) == ("datetime", [True, True])
    empty, _ = dated().check(table("new.csv", when=numbers(np.empty(0))))
    assert (empty["when"].type, empty.n_rows) == ("datetime", 0)


NO_DATE = (
    "new.csv, column 'when', row {}: {!r} is not a date such as {}; correct it, or leave it empty for a missing value."
)


@pytest.mark.parametrize(
    ("given", "row", "cell"),
    [
        (text_column(["2024-05-31", None, "soon"]), 3, "soon"),
        (text_column(["2024-05-31", "31.05.2024", "2024-06-01"]), 2, "31.05.2024"),
        (text_column(["2024-02-30"]), 1, "2024-02-30"),
        (text_column(["20240531"]), 1, "20240531"),
        (numbers([np.nan, 20240531.0]), 2, "20240531"),
        (numbers([2.5, 1.0]), 1, "2.5"),
        (Column("boolean", np.array([-1, 1]), ("False", "True")), 2, "True"),
    ],
)
def test_what_is_no_date_is_refused_with_its_row_and_cell(given, row, cell):
    data = table("new.csv", when=given)
    assert refused(dated(), data) == NO_DATE.format(row, cell, "2024-05-31")
    chunk = Table(data.columns, data.n_rows, "new.csv", first_row=1001)
    assert refused(dated(kind={"when": "datetime"}), chunk) == NO_DATE.format(1000 + row, cell, "2024-05-31")


def test_a_cell_that_is_no_date_does_not_matter_in_rows_that_are_not_there():
    data = table("new.csv", when=text_column(["2024-05-31", "soon"])).rows(np.array([0]))
    assert dated().check(data)[0]["when"].values.tolist() == [1717113600.0]


def test_day_and_month_keep_the_order_that_they_had_in_training():
    # 3 April and 4 March: read alone, 03/04/2024 does not say which.
    april, march = 1712102400.0, 1709510400.0
    for trained, expected in (("%m/%d/%Y", march), ("%d/%m/%Y", april), ("", april), ("%d.%m.%Y", april)):
        for given in (dates([april], "%d/%m/%Y"), text_column(["03/04/2024"])):
            checked, _ = dated(trained).check(table("new.csv", when=given))
            assert checked["when"].values.tolist() == [expected], trained
        as_iso = dated(trained).check(table("new.csv", when=text_column(["2024-03-04"])))[0]
        assert as_iso["when"].values.tolist() == [march]
    impossible = table("new.csv", when=dates([1711843200.0], "%d/%m/%Y"))
    assert refused(dated("%m/%d/%Y"), impossible) == NO_DATE.format(1, "31/03/2024", "05/31/2024")


def test_infinite_dates_are_refused():
    data = table("new.csv", when=dates([0.0, np.inf]))
    assert "column 'when', row 2: the value is infinite" in refused(dated(), data, DataError)
    images = table("new.csv", when=Column("image", np.zeros((1, 2, 2))))
    assert refused(dated(), images) == "new.csv, column 'when': expected a datetime, got images."


def test_a_schema_written_before_dates_were_features_is_read():
    data = trained().as_json()
    for column in data["columns"]:
        del column["date_format"]
    assert Schema.from_json(data) == trained()


def test_images_of_another_size_are_refused():
    schema = Schema.infer(read_table((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])))
    assert (
        refused(schema, read_table(np.zeros((1, 28, 28)))) == "X, column 'image': expected images (8, 8), got (28, 28)."
    )
    other = table("new.csv", image=numbers([1.0]))
    assert refused(schema, other) == "new.csv, column 'image': expected images (8, 8), got number."


def test_several_targets():
    columns = {name: numbers(RNG.normal(size=N)) for name in ("a", "p", "q")}
    schema = Schema.infer(table(**columns), ["q", "p"])
    assert {column.name: column.role for column in schema.columns} == {"a": "feature", "p": "target", "q": "target"}
    assert (schema.target.names, schema.target.task) == (("q", "p"), "regression")
    assert Schema.from_json(json.loads(json.dumps(schema.as_json()))) == schema
    with pytest.raises(DataError, match="column 'p' cannot be both the target and the group"):
        Schema.infer(table(**columns), ["q", "p"], group="p")
    with pytest.raises(DataError, match="column 'p' is the target and cannot be dropped"):
        Schema.infer(table(**columns), ["q", "p"], drop=["p"])
    with pytest.raises(DataError, match=r"train\.csv has no column 'r'"):
        Schema.infer(table(**columns), ["q", "r"])


def test_several_targets_that_the_data_calls_otherwise_are_no_features():
    x, y = RNG.normal(size=(N, 2)), RNG.normal(size=(N, 2))
    schema = Schema.infer(read_table((x, y)))
    assert (schema.target.names, [column.name for column in schema.features]) == (("y0", "y1"), ["x0", "x1"])
    named = Table({"a": numbers([1]), "p": numbers([5]), "b": numbers([2]), "q": numbers([6])}, 1, targets=("p", "q"))
    checked, _ = schema.check(named)
    assert [checked[name].values[0] for name in checked.columns] == [1, 2]


def test_a_sparse_block_is_one_feature():
    block = sparse.random_array((N, 5), density=0.5, rng=RNG)
    schema = Schema.infer(read_table((block, np.arange(N) % 2)))
    (feature,) = schema.features
    assert (feature.name, feature.kind, feature.shape, schema.named) == ("x", "sparse", (5,), False)
    assert Schema.from_json(json.loads(json.dumps(schema.as_json()))) == schema
    checked, notes = schema.check(read_table(block))
    assert (notes, (checked["x"].values != block).nnz) == ([], 0)


def test_sparse_and_dense_rows_fit_models_of_either():
    block = sparse.random_array((N, 5), density=0.5, rng=RNG).tocsr()
    y = np.arange(N) % 2
    on_sparse, on_dense = (Schema.infer(read_table((x, y))) for x in (block, block.toarray()))
    from_dense = on_sparse.check(read_table(block.toarray()))[0]["x"]
    assert (from_dense.type, (from_dense.values != block).nnz) == ("sparse", 0)
    from_sparse, _ = on_dense.check(read_table(block))
    assert list(from_sparse.columns) == ["x0", "x1", "x2", "x3", "x4"]
    np.testing.assert_array_equal([c.values for c in from_sparse.columns.values()], block.toarray().T)


def test_sparse_rows_of_another_width_are_refused():
    block = sparse.random_array((N, 5), density=0.5, rng=RNG).tocsr()
    y = np.arange(N) % 2
    on_sparse, on_dense = (Schema.infer(read_table((x, y))) for x in (block, block.toarray()))
    for narrow in (block[:, :4], block.toarray()[:, :4]):
        assert refused(on_sparse, read_table(narrow)) == "X, column 'x': expected sparse rows (5,), got (4,)."
    assert refused(on_dense, read_table(block[:, :4])) == "X has 4 columns, but the model was trained on 5."
    images = read_table(np.zeros((2, 2, 2)))
    assert refused(on_sparse, images) == "X, column 'x': expected sparse rows (5,), got image."


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_dense_rows_for_a_sparse_block_have_no_missing_or_infinite_values(value):
    block = sparse.random_array((N, 5), density=0.5, rng=RNG)
    schema = Schema.infer(read_table((block, np.arange(N) % 2)))
    assert refused(schema, read_table(np.array([[0, 0, value, 0, 0]])), DataError) == (
        "X, row 1: a value is missing or infinite, but the model was trained on a sparse matrix, which has none such; "
        "replace it by a number."
    )


def test_arrays_are_matched_by_position():
    x = RNG.normal(size=(N, 3))
    named = Schema.infer(table(a=numbers(x[:, 0]), b=numbers(x[:, 1]), y=Y, c=numbers(x[:, 2])), "y")
    checked, _ = named.check(read_table(x[:2]))
    np.testing.assert_array_equal([checked[name].values for name in "abc"], x[:2].T)
    with_its_target, _ = named.check(read_table((x[:2], [0, 1])))
    np.testing.assert_array_equal([with_its_target[name].values for name in "abc"], x[:2].T)
    assert refused(named, read_table(x[:, :2])) == "X has 2 columns, but the model was trained on 3."
    positional = Schema.infer(read_table((x, np.arange(N) % 2)))
    frame = table(c=numbers([1]), b=numbers([2]), a=numbers([3]))
    assert [positional.check(frame)[0][name].values[0] for name in ("x0", "x1", "x2")] == [1, 2, 3]
    with_target = table(x0=numbers([1]), x1=numbers([2]), x2=numbers([3]), y=numbers([0]))
    assert [positional.check(with_target)[0][name].values[0] for name in ("x0", "x1", "x2")] == [1, 2, 3]


def test_a_text_among_numbers_is_named_with_the_first_row_that_has_one():
    schema = Schema.infer(table(a=numbers(RNG.normal(size=N)), y=Y), "y")
    data = table("new.csv", a=text_column(["1", "z", "2", "b", "a", "z"]))
    assert refused(schema, data) == (
        "new.csv, column 'a', row 2: 'z' is not a number; correct it, or leave it empty for a missing value."
    )
    by_level = table("new.csv", a=Column("text", np.array([2, 1, 0]), ("a", "b", "1")))
    assert "row 2: 'b' is not a number" in refused(schema, by_level)
    assert "row 3: 'a' is not a number" in refused(schema, by_level.rows(np.array([0, 2])))


def test_a_token_among_texts_that_are_numbers_or_dates_is_missing():
    schema = Schema.infer(table(a=numbers(RNG.normal(size=N)), d=dates(np.arange(N) * 86400.0), y=Y), "y")
    cells = ["NA", " 2 ", "?", "", "nan", None]
    days = ["NA", " 1970-01-02 ", "?", "", "nan", None]
    found, _ = schema.check(table(a=text_column(cells), d=text_column(days)))
    nan = np.nan
    np.testing.assert_array_equal(found["a"].values, [nan, 2.0, nan, nan, nan, nan])
    np.testing.assert_array_equal(found["d"].values, [nan, 86400.0, nan, nan, nan, nan])


def test_options_to_paste_are_quoted_for_the_shell():
    n = np.arange(30.0)
    columns = {"Row ID": Column("number", n * 7), "x": Column("number", np.sin(n)), "y": Column("number", n % 2)}
    (note,) = Schema.infer(Table(columns, 30), "y").notes()
    assert "--kind 'Row ID=number' keeps it" in note
