import json

import numpy as np
import pytest

from lamina.data.table import Column, Table, text_column
from lamina.data.target import Target
from lamina.errors import DataError, SchemaError

NAN = float("nan")
BOOLEANS = Column("boolean", np.array([1, 0, 1], np.int32), ("False", "True"))


def numbers(values) -> Column:
    return Column("number", np.asarray(values))


def infer(column: Column, task: str = "auto") -> Target:
    return Target.infer(column, "y", task, "t.csv")


def encode(target: Target, column: Column) -> list:
    return target.encode(Table({"y": column}, len(column), "t.csv")).tolist()


def refused(call, *arguments) -> str:
    with pytest.raises(DataError) as error:
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    ("column", "task", "classes"),
    [
        (text_column(["b", "a", "b"]), "classification", ("a", "b")),
        (text_column(["b", None, "a"]), "classification", ("a", "b")),
        (BOOLEANS, "classification", (False, True)),
        (numbers([3, 1, 3]), "classification", (1, 3)),
        (numbers([3.0, 1.0, NAN]), "classification", (1, 3)),
        (numbers([-1.0, 1.0]), "classification", (-1, 1)),
        (numbers(np.arange(20)), "classification", tuple(range(20))),
        (numbers(np.arange(21)), "regression", ()),
        (numbers([0.5, 1.0, 1.0]), "regression", ()),
    ],
)
def test_task_and_classes(column, task, classes):
    target = infer(column)
    assert (target.task, target.classes, [type(value) for value in target.classes]) == (
        task, classes, [type(value) for value in classes],
    )  # fmt: skip
    assert target.n_outputs == (len(classes) or 1)


def test_the_task_can_be_told():
    assert infer(numbers([1, 2, 3]), "regression") == Target("y", "regression")
    assert infer(numbers(np.arange(30)), "classification").classes == tuple(range(30))
    assert infer(numbers([0.5, 1.5, 2.0]), "classification").classes == (0.5, 1.5, 2)


@pytest.mark.parametrize(
    ("column", "task", "expected"),
    [
        (text_column(["a", "a"]), "auto", "has one class only, 'a'; classification needs rows of at least two."),
        (numbers([1, 1]), "auto", "has one class only, 1; classification needs rows of at least two."),
        (
            BOOLEANS.rows(np.array([0, 2])),
            "auto",
            "has one class only, True; classification needs rows of at least two.",
        ),
        (numbers([2.5, 2.5]), "auto", "every value of the target 'y' is 2.5; nothing can be learned."),
        (text_column(["a", "b"]), "regression", "the target 'y' holds text, 'a'; regression needs numbers."),
        (numbers([1.0, np.inf, 2.0]), "auto", "the target 'y' is infinite in row 2; correct or drop the row."),
        (numbers([0.5, np.inf]), "auto", "the target 'y' is infinite in row 2; correct or drop the row."),
        (
            text_column([f"k{i}" for i in range(30)]),
            "auto",
            "has 30 distinct texts in 30 rows; is it the right column?",
        ),
        (numbers([NAN, NAN]), "auto", "every value of the target 'y' is missing."),
        (Column("image", np.zeros((2, 2, 2))), "auto", "the target 'y' holds images; expected classes or numbers."),
        (Column("datetime", np.zeros(2)), "auto", "the target 'y' holds datetimes; expected classes or numbers."),
    ],
)
def test_targets_that_cannot_be_learned(column, task, expected):
    message = refused(infer, column, task)
    assert message.startswith("t.csv: ")
    assert message.endswith(expected)


def test_an_infinite_value_is_found_at_its_row_behind_missing_ones():
    assert "is infinite in row 4;" in refused(infer, numbers([0.5, NAN, 1.5, np.inf]))
    table = Table({"y": numbers([0.5, 1.5, np.inf])}, 3, "t.csv", first_row=101)
    assert "is infinite in row 103;" in refused(Target("y", "regression").encode, table)


@pytest.mark.parametrize(
    "column",
    [
        BOOLEANS,
        text_column(["true", "false", "true"]),
        text_column(["TRUE", "False", "True"]),
    ],
)
def test_booleans_are_recognised_in_any_source(column):
    assert encode(Target("y", "classification", (False, True)), column) == [1, 0, 1]
    assert encode(Target("y", "classification", ("false", "true")), column) == [1, 0, 1]
    assert encode(Target("y", "classification", ("False", "True")), column) == [1, 0, 1]


@pytest.mark.parametrize("column", [numbers([3, 1, 2]), numbers([3.0, 1.0, 2.0]), text_column(["3", "1", "2"])])
def test_whole_numbers_are_recognised_in_any_source(column):
    assert encode(Target("y", "classification", (1, 2, 3)), column) == [2, 0, 1]
    assert encode(Target("y", "classification", ("1", "2", "3")), column) == [2, 0, 1]


def test_classes_that_differ_in_capitals_alone_stay_apart():
    target = infer(text_column(["true", "True", "yes", "YES"]))
    assert target.classes == ("True", "YES", "true", "yes")
    assert encode(target, text_column(["true", "True", "yes", "YES"])) == [2, 0, 3, 1]


def test_levels_that_no_row_has_are_no_classes():
    column = text_column(["a", "b", "c"]).rows(np.array([0, 2, 0]))
    target = infer(column)
    assert target.classes == ("a", "c")
    assert encode(target, column) == [0, 1, 0]


def test_regression_targets_are_float64():
    target = Target("y", "regression")
    encoded = target.encode(Table({"y": numbers(np.array([1, 2], np.int8))}, 2))
    assert (encoded.dtype, encoded.tolist()) == (np.float64, [1.0, 2.0])
    assert encode(target, numbers([7.0])) == [7.0]


def test_a_new_class_is_refused_with_its_row():
    target = Target("income", "classification", ("<=50K", ">50K"))
    table = Table({"income": text_column([">50K", "> 50K"])}, 2, "test.csv", first_row=11)
    with pytest.raises(SchemaError) as error:
        target.encode(table)
    assert str(error.value) == (
        "test.csv, column 'income', row 12: '> 50K' is not a class of the model. "
        "Did you mean '>50K'? Classes: <=50K, >50K."
    )


def test_missing_targets_are_counted():
    table = Table({"y": numbers([1.0, NAN, NAN])}, 3, "t.csv")
    assert refused(Target("y", "regression").encode, table) == (
        "t.csv: the target 'y' is missing in 2 rows, the first is row 2; drop them first."
    )
    assert "the first is row 3" in refused(Target("y", "regression").encode, table.rows(np.array([0, 2])))


def test_the_target_may_have_another_name():
    table = Table({"label": numbers([1, 0])}, 2)
    assert Target("y", "classification", (0, 1)).encode(table, "label").tolist() == [1, 0]


def test_decoding_is_the_way_back():
    probabilities = np.array([[0.2, 0.8], [0.7, 0.3]])
    for classes in (("a", "b"), (False, True), (3, 5), (0.5, 1.5)):
        decoded = Target("y", "classification", classes).decode(probabilities)
        assert decoded.tolist() == [classes[1], classes[0]]
        assert decoded.dtype == np.array(classes).dtype
    assert Target("y", "regression").decode(np.array([[1.5], [2.5]])).tolist() == [1.5, 2.5]


@pytest.mark.parametrize("classes", [("a", "b"), (False, True), (1, 2), (0.5, 2), ()])
def test_json_round_trip(classes):
    target = Target("y", "classification" if classes else "regression", classes)
    back = Target.from_json(json.loads(json.dumps(target.as_json())))
    assert back == target
    assert [type(value) for value in back.classes] == [type(value) for value in classes]
