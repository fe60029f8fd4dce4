import json

import numpy as np
import pytest

from lamina.data.table import Column, Table, text_column
from lamina.data.target import Target
from lamina.errors import ConfigError, DataError, SchemaError

NAN = float("nan")
BOOLEANS = Column("boolean", np.array([1, 0, 1], np.int32), ("False", "True"))


def numbers(values) -> Column:
    return Column("number", np.asarray(values))


def table(**columns: Column) -> Table:
    return Table(columns, len(next(iter(columns.values()))), "t.csv")


def infer(column: Column, task: str = "auto", classes=None) -> Target:
    return Target.infer(table(y=column), ["y"], task, classes)


def infer_all(task: str = "auto", **columns: Column) -> Target:
    return Target.infer(table(**columns), list(columns), task)


def encode(target: Target, column: Column) -> list:
    return target.encode(table(y=column)).tolist()


def refused(call, *arguments, error: type[Exception] = DataError, **options) -> str:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "task", "classes"),
    [
        (text_column(["b", "a", "b"]), "classification", ("a", "b")),
        (text_column(["b", None, "a"]), "classification", ("a", "b")),
        (BOOLEANS, "classification", (False, True)),
        (numbers([3, 1, 3]), "classification", (1, 3)),
        (numbers([3.0, 1.0, NAN]), "classification", (1.0, 3.0)),
        (numbers([-1.0, 1.0]), "classification", (-1.0, 1.0)),
        (Column("number", np.array([3.0, 1.0, NAN]), integers=True), "classification", (1, 3)),
        (Column("text", np.array([1, 0, 1]), ("1.5", "2.0"), labels=(1.5, 2.0)), "classification", (1.5, 2.0)),
        (Column("text", np.array([1, 0, 1]), ("True", "False"), labels=(True, False)), "classification", (False, True)),
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
    assert (target.names, target.name, target.threshold) == (("y",), "y", 0.5)
    assert target.positive == (1 if len(classes) == 2 else None)


def test_the_task_can_be_told():
    assert infer(numbers([1, 2, 3]), "regression") == Target(("y",), "regression")
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
    chunk = Table({"y": numbers([0.5, 1.5, np.inf])}, 3, "t.csv", first_row=101)
    assert "is infinite in row 103;" in refused(Target(("y",), "regression").encode, chunk)


@pytest.mark.parametrize(
    "column",
    [
        BOOLEANS,
        text_column(["true", "false", "true"]),
        text_column(["TRUE", "False", "True"]),
    ],
)
def test_booleans_are_recognised_in_any_source(column):
    assert encode(Target(("y",), "classification", (False, True)), column) == [1, 0, 1]
    assert encode(Target(("y",), "classification", ("false", "true")), column) == [1, 0, 1]
    assert encode(Target(("y",), "classification", ("False", "True")), column) == [1, 0, 1]


@pytest.mark.parametrize("column", [numbers([3, 1, 2]), numbers([3.0, 1.0, 2.0]), text_column(["3", "1", "2"])])
def test_whole_numbers_are_recognised_in_any_source(column):
    assert encode(Target(("y",), "classification", (1, 2, 3)), column) == [2, 0, 1]
    assert encode(Target(("y",), "classification", ("1", "2", "3")), column) == [2, 0, 1]


def test_classes_that_differ_in_capitals_alone_stay_apart():
    target = infer(text_column(["true", "True", "yes", "YES"]))
    assert target.classes == ("True", "YES", "true", "yes")
    assert encode(target, text_column(["true", "True", "yes", "YES"])) == [2, 0, 3, 1]


def test_levels_that_no_row_has_are_no_classes():
    column = text_column(["a", "b", "c"]).rows(np.array([0, 2, 0]))
    target = infer(column)
    assert target.classes == ("a", "c")
    assert encode(target, column) == [0, 1, 0]


def test_regression_targets_are_float64_of_one_column():
    target = Target(("y",), "regression")
    encoded = target.encode(table(y=numbers(np.array([1, 2], np.int8))))
    assert (encoded.dtype, encoded.tolist()) == (np.float64, [[1.0], [2.0]])
    assert encode(target, numbers([7.0])) == [[7.0]]


def test_a_new_class_is_refused_with_its_row():
    target = Target(("income",), "classification", ("<=50K", ">50K"))
    chunk = Table({"income": text_column([">50K", "> 50K"])}, 2, "test.csv", first_row=11)
    assert refused(target.encode, chunk, error=SchemaError) == (
        "test.csv, column 'income', row 12: '> 50K' is not a class of the model. "
        "Did you mean '>50K'? Classes: <=50K, >50K."
    )


def test_missing_targets_are_counted():
    data = table(y=numbers([1.0, NAN, NAN]))
    assert refused(Target(("y",), "regression").encode, data) == (
        "t.csv: the target 'y' is missing in 2 rows, the first is row 2; drop them first."
    )
    assert "the first is row 3" in refused(Target(("y",), "regression").encode, data.rows(np.array([0, 2])))


def test_the_target_may_have_another_name_where_the_data_says_which():
    target = Target(("y",), "classification", (0, 1))
    data = Table({"a": numbers([5, 5]), "label": numbers([1, 0])}, 2, targets=("label",))
    assert (target.columns_in(data), target.encode(data).tolist()) == (("label",), [1, 0])
    # One that has the name is the target, whatever else the data calls so.
    both = Table({"y": numbers([0, 0]), "label": numbers([1, 0])}, 2, targets=("label",))
    assert (target.columns_in(both), target.encode(both).tolist()) == (("y",), [0, 0])
    two = Target(("y", "z"), "regression")
    pair = Table({"y0": numbers([1, 2]), "y1": numbers([3, 4])}, 2, targets=("y0", "y1"))
    assert (two.columns_in(pair), two.encode(pair).tolist()) == (("y0", "y1"), [[1, 3], [2, 4]])
    assert two.columns_in(data) == ("y", "z")
    assert refused(two.encode, table(y=numbers([1]))) == "t.csv has no column 'z'. Columns: y."


def test_decoding_is_the_way_back():
    probabilities = np.array([[0.2, 0.8], [0.7, 0.3]])
    for classes in (("a", "b"), (False, True), (3, 5), (0.5, 1.5)):
        decoded = Target(("y",), "classification", classes).decode(probabilities)
        assert decoded.tolist() == [classes[1], classes[0]]
        assert decoded.dtype == np.array(classes).dtype
    assert Target(("y",), "regression").decode(np.array([[1.5], [2.5]])).tolist() == [1.5, 2.5]
    assert Target(("y", "z"), "regression").decode(np.array([[1.5, 0], [2.5, 9]])).tolist() == [[1.5, 0], [2.5, 9]]


# -- several columns


def test_several_targets_are_numbers_unless_all_are_labels():
    a, b = numbers([0.5, 1.5, 2.0]), numbers([3, 4, 5])
    target = infer_all(a=a, b=b)
    assert (target, target.name, target.n_outputs) == (Target(("a", "b"), "regression"), "a, b", 2)
    assert target.encode(table(b=b, a=a)).tolist() == [[0.5, 3], [1.5, 4], [2, 5]]
    assert infer_all(a=numbers([0, 1, 1]), b=numbers([0, 1, 2])).task == "regression"
    assert infer_all("regression", a=numbers([0, 1, 1]), b=numbers([1, 1, 0])) == Target(("a", "b"), "regression")


@pytest.mark.parametrize(
    "column",
    [
        BOOLEANS,
        numbers([1, 0, 1]),
        numbers([1.0, 0.0, 1.0]),
        text_column(["true", "False", "TRUE"]),
        text_column(["1", "0", "1"]),
    ],
)
def test_columns_of_0_and_1_in_any_source_are_labels(column):
    target = infer_all(a=column, b=numbers([0, 0, 1]))
    assert (target, target.n_outputs, target.class_array().tolist()) == (Target(("a", "b"), "multilabel"), 2, [])
    encoded = target.encode(table(a=column, b=numbers([0, 0, 1])))
    assert (encoded.dtype, encoded.tolist()) == (np.float64, [[1, 0], [0, 0], [1, 1]])
    assert infer(column, "multilabel") == Target(("y",), "multilabel")


def test_a_label_may_have_one_value_only():
    assert infer_all(a=numbers([0, 0, 0]), b=numbers([1, 1, 1])).task == "multilabel"


def test_labels_decided_at_the_threshold():
    target = Target(("a", "b"), "multilabel")
    probabilities = np.array([[0.5, 0.49], [0.2, 0.8]])
    assert target.decode(probabilities).tolist() == [[1, 0], [0, 1]]
    assert target.deciding(None, 0.8).decode(probabilities).tolist() == [[0, 0], [0, 1]]
    assert target.deciding(None, 0.2).decode(probabilities).tolist() == [[1, 1], [1, 1]]
    assert target.decode(probabilities).dtype == np.int64


@pytest.mark.parametrize(
    ("columns", "task", "expected"),
    [
        (
            {"a": text_column(["x", "y"]), "b": numbers([0, 1])},
            "classification",
            "t.csv: several targets of classes, a, b, cannot be one model; "
            "train one for each, or use the task multilabel for columns of 0 and 1.",
        ),
        (
            {"a": numbers([0, 1]), "b": numbers([1, 2])},
            "multilabel",
            "t.csv, column 'b', row 2: '2' is no label; a multilabel target holds 0 and 1, or false and true.",
        ),
        (
            {"a": text_column(["x", "y"]), "b": numbers([1, 2])},
            "auto",
            "t.csv: the target 'a' holds text, 'x'; regression needs numbers.",
        ),
        (
            {"a": numbers([1.5, 2]), "b": numbers([2.5, 2.5])},
            "auto",
            "t.csv: every value of the target 'b' is 2.5; nothing can be learned.",
        ),
        ({"a": numbers([1.5, 2]), "b": numbers([NAN] * 2)}, "auto", "t.csv: every value of the target 'b' is missing."),
    ],
)  # fmt: skip
def test_several_columns_that_cannot_be_learned(columns, task, expected):
    assert refused(infer_all, task, **columns) == expected


def test_a_label_that_is_missing_or_new_is_refused_with_its_row():
    target = Target(("a", "b"), "multilabel")
    assert refused(target.encode, table(a=numbers([0, 1]), b=numbers([0, NAN]))) == (
        "t.csv: the target 'b' is missing in 1 rows, the first is row 2; drop them first."
    )
    assert "t.csv, column 'a', row 2: '7' is no label;" in refused(
        target.encode, table(a=numbers([0, 7]), b=numbers([0, 1]))
    )
    assert "t.csv, column 'b', row 1: 'maybe' is no label;" in refused(
        target.encode, table(a=numbers([0]), b=text_column(["maybe"]))
    )


# -- classes given in advance, the positive class and the threshold


def test_classes_given_in_advance_need_not_be_there():
    target = infer(numbers([1, 3, 1]), classes=[3, 1, 2])
    assert (target.classes, target.positive, target.n_outputs) == ((1, 2, 3), None, 3)
    assert encode(target, numbers([1, 3, 1])) == [0, 2, 0]
    assert infer(text_column(["a", "a"]), classes=np.array(["b", "a"])).classes == ("a", "b")
    assert infer(numbers([0.0, 1.0]), classes=np.array([0.0, 1.0, 2.0])).classes == (0, 1, 2)
    assert infer(BOOLEANS, classes=[False, True]).positive == 1


def test_a_positive_class_and_a_threshold():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6]])
    target = Target(("y",), "classification", ("no", "yes"), positive=1)
    assert target.decide(probabilities).tolist() == [0, 0, 0, 1]
    assert target.deciding(None, 0.4).decode(probabilities).tolist() == ["no", "yes", "yes", "yes"]
    assert target.deciding("yes", 0.4) == target.deciding(None, 0.4)
    no = target.deciding("no", 0.9)
    assert (no.positive, no.threshold) == (0, 0.9)
    assert no.decode(probabilities).tolist() == ["no", "yes", "yes", "yes"]
    assert no.deciding("no", 0.3).decode(probabilities).tolist() == ["no"] * 4
    # At 0.5 it is the more probable class, whichever of the two is looked for.
    assert target.deciding("no", 0.5).decide(probabilities).tolist() == target.decide(probabilities).tolist()


@pytest.mark.parametrize(("classes", "name"), [((False, True), "true"), ((0, 1), "1"), ((0, 1), 1), ((0.5, 2), "2")])
def test_a_positive_class_is_recognised_in_any_form(classes, name):
    target = Target(("y",), "classification", classes, positive=1)
    assert target.deciding(name, 0.7).positive == 1


def test_a_positive_class_that_differs_in_capitals_alone():
    target = Target(("y",), "classification", ("True", "true"), positive=1)
    assert target.deciding("True", 0.5).positive == 0


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        (
            Target(("y",), "classification", ("no", "yes"), positive=1),
            ("maybe", 0.5),
            "positive_class names 'maybe', which is no class. Classes: no, yes.",
        ),
        (
            Target(("y",), "classification", ("a", "b", "c")),
            ("a", 0.5),
            "positive_class is for a target of two classes, which this is not; leave it out.",
        ),
        (
            Target(("y",), "regression"),
            ("a", 0.5),
            "positive_class is for a target of two classes, which this is not; leave it out.",
        ),
        (
            Target(("y",), "classification", ("a", "b", "c")),
            (None, 0.6),
            "threshold is for two classes or for labels, which the target is not; leave it out.",
        ),
        (
            Target(("y",), "regression"),
            (None, 0.6),
            "threshold is for two classes or for labels, which the target is not; leave it out.",
        ),
    ],
)
def test_a_positive_class_or_threshold_that_does_not_fit(target, options, expected):
    assert refused(target.deciding, *options, error=ConfigError) == expected


@pytest.mark.parametrize("classes", [("a", "b"), (False, True), (1, 2), (0.5, 2), ()])
def test_json_round_trip(classes):
    target = Target(("y",), "classification" if classes else "regression", classes)
    back = Target.from_json(json.loads(json.dumps(target.as_json())))
    assert back == target
    assert [type(value) for value in back.classes] == [type(value) for value in classes]


def test_json_round_trip_of_decisions_and_of_several_columns():
    for target in (
        Target(("y",), "classification", ("no", "yes"), positive=0, threshold=0.2),
        Target(("a", "b"), "multilabel", threshold=0.7),
        Target(("a", "b"), "regression"),
    ):
        assert Target.from_json(json.loads(json.dumps(target.as_json()))) == target


def test_the_row_of_an_infinite_target_is_that_of_the_source():
    data = Table({"y": numbers([1.5, NAN, np.inf, 2.5])}, 4, "t.csv").rows(np.array([0, 2, 3]))
    message = "t.csv: the target 'y' is infinite in row 3; correct or drop the row."
    assert refused(Target.infer, data, ["y"], "regression") == message
    assert refused(Target(("y",), "regression").encode, data) == message
