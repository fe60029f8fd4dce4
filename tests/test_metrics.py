"""Metrics: worked by hand, agreed with scikit-learn, weights as rows, and undefined ones left out."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from lamina.cli.present import score_table
from lamina.metrics import METRICS, one_score, score

Y = np.array([0, 1, 1, 0])
P = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])


def two_classes(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, probabilities and weights of rows that are mostly right."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, n)
    p = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.25, n), 0.01, 0.99)
    return y, np.stack([1 - p, p], axis=1), rng.uniform(0.1, 3, n)


def three_labels(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and weights."""
    rng = np.random.default_rng(5)
    y = (rng.uniform(size=(n, 3)) < (0.2, 0.5, 0.7)).astype(np.float64)
    return y, np.clip(0.3 + 0.4 * y + rng.normal(0, 0.25, (n, 3)), 0.01, 0.99), rng.uniform(0.1, 3, n)


def test_classification_by_hand():
    scores = score("classification", Y, P)
    assert scores["accuracy"] == 0.75
    assert scores["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4)
    assert scores["roc_auc"] == 0.75  # of the four pairs, (0.3, 0.4) is in the wrong order
    assert list(scores) == ["accuracy", "log_loss", "roc_auc"]


def test_the_positive_class_adds_precision_recall_and_f1():
    scores = score("classification", Y, P, positive=1)
    assert list(scores) == ["accuracy", "log_loss", "roc_auc", "precision", "recall", "f1"]
    assert (scores["precision"], scores["recall"], scores["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    other = score("classification", Y, P, positive=0)
    assert (other["precision"], other["recall"], other["f1"]) == (pytest.approx(2 / 3), 1.0, 0.8)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_precision_recall_and_f1_agree_with_scikit_learn(positive, weighted):
    y, p, weights = two_classes()
    weights = weights if weighted else None
    decisions = (p[:, 1] >= 0.65).astype(np.int64)
    scores = score("classification", y, p, weights, decisions=decisions, positive=positive)
    given = {"pos_label": positive, "sample_weight": weights}
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        assert scores[name] == pytest.approx(function(y, decisions, **given), rel=1e-12)
        assert 0.3 < scores[name] < 1
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(y, decisions, sample_weight=weights), rel=1e-12)


def test_decisions_stand_in_the_place_of_the_most_probable_class():
    assert one_score("accuracy", Y, P, decisions=np.array([0, 1, 1, 1])) == 0.75
    assert one_score("accuracy", Y, P, decisions=np.array([1, 0, 0, 1])) == 0.0
    scores = score("classification", Y, P, decisions=np.array([1, 1, 1, 1]), positive=1)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 1.0, pytest.approx(2 / 3))
    assert scores["log_loss"] == score("classification", Y, P)["log_loss"]


def test_labels_by_hand():
    y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    p = np.array([[0.9, 0.2], [0.5, 0.8], [0.7, 0.6], [0.4, 0.3]])
    scores = score("multilabel", y, p)
    assert list(scores) == ["accuracy", "log_loss", "roc_auc"]
    assert scores["accuracy"] == 0.75  # 0.5 counts as the label, so that the second row has one that is wrong
    logs = [(0.9, 0.8), (0.5, 0.8), (0.7, 0.6), (0.6, 0.7)]
    assert scores["log_loss"] == pytest.approx(-sum(math.log(a) + math.log(b) for a, b in logs) / 8)
    assert scores["roc_auc"] == 1.0
    assert one_score("accuracy", y, p, decisions=p >= 0.55) == 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_labels_agree_with_scikit_learn(weighted):
    y, p, weights = three_labels()
    given = {"sample_weight": weights if weighted else None}
    scores = score("multilabel", y, p, given["sample_weight"])
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(y, p >= 0.5, **given), rel=1e-12)
    assert scores["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p, average="macro", **given), rel=1e-12)
    each = [sk.log_loss(y[:, i], p[:, i], **given) for i in range(3)]
    assert scores["log_loss"] == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_agree_with_scikit_learn(weighted):
    rng = np.random.default_rng(6)
    y, p, weights = rng.integers(0, 4, 80), rng.dirichlet(np.ones(4), 80), rng.uniform(0.1, 3, 80)
    given = {"sample_weight": weights if weighted else None}
    scores = score("classification", y, p, given["sample_weight"])
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(y, p.argmax(axis=1), **given), rel=1e-12)
    assert scores["log_loss"] == pytest.approx(sk.log_loss(y, p, **given), rel=1e-12)
    each = [sk.roc_auc_score(y == code, p[:, code], **given) for code in range(4)]
    assert scores["roc_auc"] == pytest.approx(np.mean(each), rel=1e-12)


def test_regression_by_hand():
    scores = score("regression", np.array([1.0, 2.0, 4.0]), np.array([[1.0], [3.0], [2.0]]))
    assert scores["rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert scores["mae"] == 1.0
    assert scores["r2"] == pytest.approx(1 - 5 / (14 / 3))


def test_several_targets_are_averaged():
    y = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 60.0]])
    prediction = np.array([[1.0, 10.0], [3.0, 26.0], [2.0, 60.0]])
    scores = score("regression", y, prediction)
    assert scores["rmse"] == pytest.approx((math.sqrt(5 / 3) + math.sqrt(36 / 3)) / 2)
    assert scores["mae"] == pytest.approx((1.0 + 2.0) / 2)
    assert scores["r2"] == pytest.approx(1 - (5 / (14 / 3) + 36 / 1400) / 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_targets_agree_with_scikit_learn(weighted):
    rng = np.random.default_rng(7)
    y, noise, weights = rng.normal(size=(40, 3)), 0.3 * rng.normal(size=(40, 3)), rng.uniform(0.1, 3, 40)
    given = {"sample_weight": weights if weighted else None}
    assert score("regression", y, y + noise, given["sample_weight"]) == pytest.approx(
        {
            "rmse": np.mean([sk.root_mean_squared_error(y[:, i], y[:, i] + noise[:, i], **given) for i in range(3)]),
            "mae": np.average(np.abs(noise).mean(axis=1), weights=weights if weighted else None),
            "r2": np.mean([sk.r2_score(y[:, i], y[:, i] + noise[:, i], **given) for i in range(3)]),
        },
        rel=1e-12,
    )


def test_three_classes_average_one_against_the_rest():
    y = np.array([0, 1, 2, 2])
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
    # Class 0: 1; class 1: its 0.5 is above 0.1, 0.1 and below 0.6: 2/3; class 2: 0.3 ties with 0.3 once in four: 7/8.
    assert score("classification", y, p)["roc_auc"] == pytest.approx((1 + 2 / 3 + 7 / 8) / 3)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_weights_are_rows(task):
    counts = np.array([2, 0, 1, 3])
    y, p = (Y, P) if task == "classification" else (np.array([1.0, 2.0, 4.0, 8.0]), np.array([[1.0], [3], [2], [9]]))
    if task == "multilabel":
        y, p = np.stack([Y, 1 - Y], axis=1), P
    positive = 0 if task == "classification" else None
    weighted = score(task, y, p, counts.astype(float), positive=positive)
    repeated = score(task, np.repeat(y, counts, axis=0), np.repeat(p, counts, axis=0), positive=positive)
    assert weighted == pytest.approx(repeated)
    assert len(weighted) == sum(task in metric.tasks for metric in METRICS)


def test_what_is_not_defined_is_left_out():
    assert "roc_auc" not in score("classification", np.array([1, 1]), P[:2])
    assert "roc_auc" not in score("multilabel", np.array([[0, 1], [1, 1]]), P[:2])
    assert "r2" not in score("regression", np.array([1.0]), np.array([[2.0]]))
    decided = {"decisions": np.array([0, 0, 0, 0]), "positive": 1}
    assert one_score("precision", Y, P, **decided) is None
    assert one_score("recall", Y, P, **decided) == one_score("f1", Y, P, **decided) == 0.0
    none_is = {"decisions": Y, "positive": 1}
    assert one_score("recall", np.zeros(4, dtype=int), P, **none_is) is None
    assert one_score("precision", np.zeros(4, dtype=int), P, **none_is) == 0.0
    nothing = score("classification", np.zeros(4, dtype=int), P, decisions=np.zeros(4, dtype=int), positive=1)
    assert set(nothing) == {"accuracy", "log_loss"}
    assert all(one_score(name, Y, P) is None for name in ("precision", "recall", "f1"))


@pytest.mark.parametrize(("name", "weights"), [("precision", [1.0, 0, 1, 1]), ("recall", [1.0, 0, 0, 1])])
def test_rows_of_weight_zero_are_absent_where_they_are_all_there_is(name, weights):
    assert one_score(name, Y, P, np.array(weights), positive=1) is None


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_one_score_is_the_one_of_all_scores(task):
    y, p, weights = two_classes() if task == "classification" else three_labels()
    given = {"decisions": (p[:, 1] >= 0.6).astype(int), "positive": 1} if task == "classification" else {}
    scores = score(task, y, p, weights, **given)
    assert scores == {name: one_score(name, y, p, weights, **given) for name in scores}
    assert list(scores) == [metric.name for metric in METRICS if task in metric.tasks]
    assert all(type(value) is float for value in scores.values())


def test_float32_probabilities_do_not_warn(recwarn):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 500).astype(np.float32) * np.float32(1 + 1e-6)
    assert score("classification", rng.integers(0, 5, 500), p)["log_loss"] > 1
    assert not recwarn.list


def test_directions():
    assert {m.name: m.greater_is_better for m in METRICS} == {
        "accuracy": True, "log_loss": False, "roc_auc": True, "precision": True, "recall": True, "f1": True,
        "rmse": False, "mae": False, "r2": True,
    }  # fmt: skip


def test_a_table_of_scores_has_its_columns_in_one_order():
    """A network that predicts no positive has no precision, which must not put the others in another order."""
    every = ["accuracy", "log_loss", "roc_auc", "precision", "recall", "f1"]
    without = {name: 0.5 for name in every if name != "precision"}
    complete = dict.fromkeys(every, 0.25)
    for rows in ({"MLP": without, "linear": complete}, {"linear": complete, "MLP": without}):
        header, *lines = score_table(rows).splitlines()
        assert header.split() == every
        assert [len(line.split()) - 1 for line in lines] == [len(scores) for scores in rows.values()]
    assert score_table({"MLP": {"r2": 1.0, "rmse": 2.0}}).split() == ["rmse", "r2", "MLP", "2.0000", "1.0000"]
    folds = {"MLP, 3 folds": {"f1": "0.1 ± 0.2", "recall": "0.3 ± 0.4"}}
    assert score_table(folds).splitlines()[0].split() == ["recall", "f1"]
