"""Temperature and calibration error: known answers, hand-worked examples, independent implementations."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import log_loss

import lamina
from lamina.calibration import (
    MIN_CALIBRATION_ROWS,
    best_temperature,
    calibration_curve,
    calibration_error,
    calibration_error_of_perfect,
    scaled,
    temperature_of_all,
)


def drawn(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a class for each row, drawn from the softmax of its logits."""
    return (rng.random(len(logits))[:, None] > softmax(logits, axis=1).cumsum(1)[:, :-1]).sum(1)


def loss_of(logits: np.ndarray, y: np.ndarray):
    return lambda t: -float(log_softmax(logits / t, axis=1)[np.arange(len(y)), y].mean())


# -- the temperature


@pytest.mark.parametrize("temperature", [0.4, 0.8, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("k", [2, 5])
def test_a_known_temperature_is_recovered(temperature, k):
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(60_000, k)) * 2
    loss = loss_of(honest * temperature, drawn(honest, rng))
    found, value = best_temperature(loss)
    assert found == pytest.approx(temperature, rel=0.02)
    assert value == loss(found) <= loss(1.0)
    # The parabola is near the same minimum, and never above the grid.
    rough, near = best_temperature(loss, refine=False)
    assert near == loss(rough)
    assert value - 1e-12 <= near <= value + 2e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0.2, 6.0))
def test_it_is_the_minimum_and_never_worse_than_no_temperature(seed, k, size):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(80, k)) * size
    loss = loss_of(logits, drawn(logits / rng.uniform(0.3, 3), rng))
    found, value = best_temperature(loss)
    assert 0.25 <= found <= 8
    assert value <= loss(1.0)
    assert value <= best_temperature(loss, refine=False)[1] + 1e-9
    bounds = (np.log(0.25), np.log(8))
    expected = minimize_scalar(lambda u: loss(np.exp(u)), bounds=bounds, method="bounded", options={"xatol": 1e-9})
    assert value == pytest.approx(expected.fun, rel=1e-6, abs=1e-9)


def test_a_perfect_ranking_ends_at_the_lowest_temperature_and_noise_at_the_highest():
    y = np.arange(100) % 2
    sure = np.where(y[:, None] == np.arange(2), 3.0, -3.0)
    assert best_temperature(loss_of(sure, y))[0] == pytest.approx(0.25, rel=1e-3)
    assert best_temperature(loss_of(-sure, y))[0] == pytest.approx(8.0, rel=1e-3)


@pytest.mark.parametrize("refine", [True, False])
def test_losses_that_are_not_finite_are_passed_over(refine):
    found, value = best_temperature(lambda t: float("nan") if t < 1 else (np.log(t) - 1) ** 2, refine)
    assert found == pytest.approx(np.e, rel=1e-3 if refine else 0.2)
    assert np.isfinite(value)


def test_the_temperature_of_all_by_hand():
    # a + b / n through T(1) = 3 and T(2) = 2 is 1 + 2 / n: 1.25 for eight, 1.5 for four.
    assert temperature_of_all(3.0, 2.0, 2, 8) == pytest.approx(1.25)
    assert temperature_of_all(3.0, 2.0, 2, 4) == pytest.approx(1.5)
    assert temperature_of_all(3.0, 2.0, 2, 2) == pytest.approx(2.0)
    assert temperature_of_all(3.0, 3.0, 2, 8) == pytest.approx(3.0)
    # Of one unseen member b is 2/3 of what is above 1: 1.6 - 0.4 (1 - 1/n).
    assert [temperature_of_all(1.6, 1.6, 1, n) for n in (1, 4)] == pytest.approx([1.6, 1.3])
    assert temperature_of_all(0.9, 0.9, 1, 4) == 0.9
    assert temperature_of_all(2.0, 0.9, 2, 8) == 0.25  # never below the lowest


def test_scaled_logits_are_divided_exactly():
    z = torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(scaled(z, 1.7), z / 1.7)
    assert scaled(z, 1.0) is z


# -- the calibration error


HAND_Y = np.array([0, 1, 1, 0, 1])
HAND_P = np.array([[0.9, 0.1], [0.95, 0.05], [0.45, 0.55], [0.42, 0.58], [0.3, 0.7]])


def test_a_hand_worked_curve_and_error():
    # Ten bins. (0.9, 1]: 0.9 right and 0.95 wrong. [0.5, 0.6): 0.55 right, 0.58 wrong. [0.7, 0.8): 0.7 right.
    curve = calibration_curve(HAND_Y, HAND_P, bins=10)
    assert curve["rows"] == [2.0, 1.0, 2.0]
    assert curve["confidence"] == pytest.approx([0.565, 0.7, 0.925])
    assert curve["accuracy"] == pytest.approx([0.5, 1.0, 0.5])
    expected = (2 * 0.065 + 1 * 0.3 + 2 * 0.425) / 5
    assert calibration_error(HAND_Y, HAND_P, bins=10) == pytest.approx(expected)


def direct_error(y: np.ndarray, p: np.ndarray, bins: int) -> float:
    """Guo et al. 2017, eq. 3, row by row."""
    groups: dict[int, list[tuple[float, bool]]] = {}
    for target, row in zip(y.tolist(), p.tolist(), strict=True):
        sure = max(row)
        groups.setdefault(min(int(sure * bins), bins - 1), []).append((sure, row.index(sure) == target))
    gaps = [abs(sum(s for s, _ in g) / len(g) - sum(r for _, r in g) / len(g)) * len(g) for g in groups.values()]
    return sum(gaps) / len(y)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(2, 5), st.integers(1, 20))
def test_the_error_agrees_with_a_direct_implementation(seed, n, k, bins):
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(size=(n, k)) * 3, axis=1)
    y = rng.integers(0, k, n)
    assert calibration_error(y, p, bins) == pytest.approx(direct_error(y, p, bins), abs=1e-12)
    curve = calibration_curve(y, p, bins)
    assert sum(curve["rows"]) == n


def test_certainty_is_in_the_last_bin():
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert calibration_curve(np.array([0, 0]), p) == {"rows": [2.0], "confidence": [1.0], "accuracy": [0.5]}
    assert calibration_error(np.array([0, 1]), p) == 0.0
    assert calibration_error(np.array([1, 0]), p) == 1.0


@pytest.mark.parametrize("k", [2, 4])
def test_a_perfectly_calibrated_model_has_the_error_that_chance_gives_it(k):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2_000, k)) * 1.5
    p = softmax(logits, axis=1)
    measured = [calibration_error(drawn(logits, rng), p) for _ in range(50)]
    expected = calibration_error_of_perfect(p, np.random.default_rng(2))
    assert expected == pytest.approx(np.mean(measured), rel=0.1)
    assert expected > 0.005
    bold = softmax(logits * 2, axis=1)
    wrong = calibration_error(drawn(logits, rng), bold)
    assert wrong > 5 * calibration_error_of_perfect(bold, np.random.default_rng(3))


# -- in a model


def noisy(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    return x, drawn(np.column_stack([x[:, 0], -x[:, 0], x[:, 1]]), rng)


OPTIONS = {"hidden_units": (16,), "epochs": 8, "learning_rate": 0.05, "dtype": "float64", "baselines": False}


@pytest.mark.parametrize("members", [1, 3])
def test_a_folded_temperature_divides_the_logits_and_changes_no_decision(members):
    data = noisy()
    held = noisy(150)
    options = {name: value for name, value in OPTIONS.items() if name != "baselines"}
    run = lamina.prepare(data, members=members, validation=held, linear_share=False, **options)
    for _ in run.train():
        pass
    run.state.restore_best()
    plain = copy.deepcopy(run.current())
    folded = run.finish(baselines=False)
    t = folded.report.calibration["temperature"]
    assert abs(t - 1) > 0.02
    for one, other in zip(plain.network.members(), folded.network.members(), strict=True):
        np.testing.assert_allclose(other.output.weight.detach(), one.output.weight.detach() / t, rtol=1e-14)
        np.testing.assert_allclose(other.output.bias.detach(), one.output.bias.detach() / t, rtol=1e-14)
    for i in range(members):
        one, other = plain.member(i), folded.member(i)
        np.testing.assert_allclose(other.predict_logits(data), one.predict_logits(data) / t, rtol=1e-12)
        assert (one.predict(data) == other.predict(data)).all()
    # The temperature is that of least loss on the validation rows, which the model's own predictions have.
    before, after = (log_loss(held[1], model.predict_proba(held[0])) for model in (plain, folded))
    assert (before, after) == pytest.approx(
        (folded.report.calibration["loss_before"], folded.report.calibration["loss_after"]), rel=1e-9
    )
    assert after < before
    assert folded.report.scores["validation"]["log_loss"] == pytest.approx(after, rel=1e-9)


def test_one_network_decides_as_before():
    data = noisy()
    plain, folded = (lamina.fit(data, members=1, calibrate=each, **OPTIONS) for each in (False, True))
    assert (plain.predict(data) == folded.predict(data)).all()
    assert (plain.predict_proba(data) != folded.predict_proba(data)).any()


def test_logits_that_were_divided_need_no_other_temperature():
    data, held = noisy(), noisy(150)
    first = lamina.fit(data, members=1, validation=held, **OPTIONS)
    assert 0.3 < first.report.calibration["temperature"] < 7
    options = {**OPTIONS, "epochs": 1, "learning_rate": 1e-9, "validation": held}
    again = lamina.fit(data, start=first, **options).report.calibration
    assert again["temperature"] == pytest.approx(1.0, abs=1e-3)
    assert again["loss_before"] == pytest.approx(first.report.calibration["loss_after"], rel=1e-5)


def test_numbers_and_few_rows_have_no_temperature():
    assert lamina.fit("diabetes", members=1, hidden_units=(4,), epochs=1).report.calibration == {}
    x, y = noisy(MIN_CALIBRATION_ROWS - 1)
    held = (x, y)
    assert lamina.fit(noisy(), validation=held, **OPTIONS).report.calibration == {}
    held = noisy(MIN_CALIBRATION_ROWS)
    model = lamina.fit(noisy(), validation=held, **OPTIONS)
    found = model.report.calibration
    assert sorted(found) == ["loss_after", "loss_before", "temperature"]
    p = model.predict_proba(held[0])
    assert found["loss_after"] == pytest.approx(log_loss(held[1], p), rel=1e-9)

    # What is least at this temperature is the loss with the labels smoothed by a share of 1 / (n + 2).
    def smoothed(temperature: float) -> float:
        logits = np.log(p) / temperature
        of_all = -(logits - logsumexp(logits, axis=1, keepdims=True))
        s = 1 / (len(p) + 2)
        return float(np.mean((1 - s) * of_all[np.arange(len(p)), held[1]] + s * of_all.mean(axis=1)))

    assert smoothed(1.0) < min(smoothed(0.98), smoothed(1.02))


def test_labels_are_calibrated_by_their_own_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = (rng.random((300, 2)) < 1 / (1 + np.exp(-x[:, :2]))).astype(int)
    held = (x[200:], y[200:])
    model = lamina.fit((x[:200], y[:200]), members=1, validation=held, **OPTIONS)
    p = np.clip(model.predict_proba(held[0]), 1e-12, 1 - 1e-12)
    expected = -(held[1] * np.log(p) + (1 - held[1]) * np.log(1 - p)).mean()
    assert model.report.calibration["loss_after"] == pytest.approx(expected, rel=1e-9)
    assert model.report.calibration["loss_after"] < model.report.calibration["loss_before"]


# -- rows that count by weights, and members that see unequal numbers of rows


def test_a_weight_of_two_is_the_row_twice_in_curve_and_error():
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(size=(200, 3)) * 2, axis=1)
    y, w = rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    twice = np.repeat(np.arange(200), w)
    weighted, repeated = calibration_curve(y, p, weights=w), calibration_curve(y[twice], p[twice])
    assert weighted.keys() == repeated.keys()
    for name, values in weighted.items():
        assert values == pytest.approx(repeated[name], rel=1e-12), name
    assert weighted["rows"] != calibration_curve(y, p)["rows"]
    expected = direct_error(y[twice], p[twice], 15)
    assert calibration_error(y, p, weights=w) == pytest.approx(expected, abs=1e-12)
    assert calibration_error(y, p) != pytest.approx(expected, abs=1e-4)


def test_chance_is_larger_where_few_rows_have_the_weight():
    p = np.full((400, 2), 0.5) + np.array([0.01, -0.01])
    w = np.where(np.arange(400) < 40, 1000.0, 1.0)
    even = calibration_error_of_perfect(p, np.random.default_rng(0))
    few = calibration_error_of_perfect(p, np.random.default_rng(0), weights=w)
    assert few == pytest.approx(np.sqrt(10) * even, rel=0.25)  # of 40 rows rather than 400


@pytest.mark.parametrize("members", [5, 6])
def test_the_temperature_of_unequal_folds_does_not_hang_on_the_first_row(members):
    # Of five members two hold out the rows of the first fold, and one those of each other fold.
    run = lamina.prepare(noisy(), members=members, hidden_units=(16,), epochs=3, learning_rate=0.05, dtype="float64")
    for _ in run.train():
        pass
    part, state = run.parts["validation"], copy.deepcopy(run.state.network.state_dict())
    found = []
    for fold in (0, 3):
        run.state.network.load_state_dict(state)
        order = np.argsort(part.folds != fold, kind="stable")
        run.parts = {**run.parts, "validation": part.rows(order)}
        found.append(run._calibrated(run.current())[0]["temperature"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert 0.25 <= found[0] <= 8


def test_unequally_many_members_count_by_their_harmonic_mean():
    # A temperature a + b / n of n members: over rows that one or two have not seen, b goes with the mean of 1 / n.
    a, b = 1.2, 0.8
    counts = np.array([2, 1, 1, 1])
    of_some = np.mean(a + b / counts)
    assert temperature_of_all(a + b, of_some, 1 / np.mean(1 / counts), 5) == pytest.approx(a + b / 5)
