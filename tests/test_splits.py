import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.data.splits import folds, holdout
from lamina.data.table import Column, text_column
from lamina.errors import DataError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def numbers(values) -> Column:
    return Column("number", np.asarray(values, dtype=np.float64))


def assert_parts_of(n: int, kept: np.ndarray, held: np.ndarray) -> None:
    assert sorted([*kept, *held]) == list(range(n))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held) > 0).all()


fractions = st.floats(0.01, 0.9)
seeds = st.integers(0, 1000)


@given(y=st.lists(st.integers(0, 3), min_size=1, max_size=60), fraction=fractions, seed=seeds)
def test_random_parts_are_disjoint_and_complete_and_each_class_stays(y, fraction, seed):
    kept, held = holdout(fraction, np.array(y), rng(seed), is_class=True)
    assert_parts_of(len(y), kept, held)
    assert set(np.array(y)[kept]) == set(y)
    assert len(held) <= len(y) * fraction + 1


@given(counts=st.lists(st.integers(5, 40), min_size=2, max_size=4), fraction=st.floats(0.1, 0.7), seed=seeds)
def test_each_class_gives_its_share(counts, fraction, seed):
    y = rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    _, held = holdout(fraction, y, rng(seed), is_class=True)
    for code, count in enumerate(counts):
        assert abs((y[held] == code).sum() - count * fraction) <= 1


@given(fraction=st.floats(0.1, 0.7), seed=seeds)
def test_each_stretch_of_a_regression_target_gives_its_share(fraction, seed):
    y = rng(seed).normal(size=200)
    kept, held = holdout(fraction, y, rng(seed), is_class=False)
    assert_parts_of(200, kept, held)
    for quarter in np.split(np.argsort(y), 4):
        assert abs(np.isin(quarter, held).sum() - 50 * fraction) <= 1


@given(fraction=st.floats(0.1, 0.7), seed=seeds)
def test_one_number_in_a_column_of_its_own_gives_the_same_share(fraction, seed):
    y = rng(seed).normal(size=60)
    parts = [holdout(fraction, each, rng(seed), is_class=False) for each in (y, y[:, None])]
    for one, other in zip(*parts, strict=True):
        np.testing.assert_array_equal(one, other)


@given(n=st.integers(1, 60), fraction=fractions, seed=seeds)
def test_several_targets_are_held_out_without_regard_to_any_of_them(n, fraction, seed):
    y = rng(seed).normal(size=(n, 2))
    kept, held = holdout(fraction, y, rng(seed), is_class=False)
    assert_parts_of(n, kept, held)
    assert abs(len(held) - n * fraction) < 1
    for other in (y[::-1], y[:, ::-1], np.zeros((n, 3))):
        assert holdout(fraction, other, rng(seed), is_class=False)[1].tolist() == held.tolist()


def test_several_targets_with_groups_and_times():
    y = np.zeros((6, 2))
    time = holdout(0.3, y, rng(), is_class=False, time=numbers([5, 1, 4, 2, 3, 0]))
    assert [part.tolist() for part in time] == [[1, 3, 4, 5], [0, 2]]
    kept, held = holdout(0.3, y, rng(), is_class=False, group=text_column(list("aabbcc")))
    assert held.tolist() in ([0, 1], [2, 3], [4, 5])
    assert_parts_of(6, kept, held)


def test_the_number_of_held_out_rows():
    assert len(holdout(0.25, np.zeros(100), rng(), is_class=False)[1]) == 25
    assert len(holdout(0.2, np.repeat([0, 1], 50), rng(), is_class=True)[1]) == 20


def test_the_seed_decides_alone():
    y = np.arange(50) % 3
    first, again, other = (holdout(0.2, y, rng(seed), is_class=True)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_class_of_one_row_is_kept():
    y = np.array([0] * 20 + [1])
    for seed in range(20):
        assert 20 in holdout(0.5, y, rng(seed), is_class=True)[0]


@given(
    group=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=60).filter(lambda group: len(set(group)) > 1),
    fraction=fractions,
    seed=seeds,
)
def test_groups_never_cross(group, fraction, seed):
    kept, held = holdout(fraction, np.zeros(len(group)), rng(seed), is_class=False, group=text_column(group))
    assert_parts_of(len(group), kept, held)
    assert len(kept)
    assert len(held)
    assert not {group[row] for row in kept} & {group[row] for row in held}


def test_as_many_groups_are_held_out_as_the_fraction_needs():
    group = numbers(np.repeat(np.arange(10), 10))
    assert len(holdout(0.3, np.zeros(100), rng(), is_class=False, group=group)[1]) == 30
    assert len(holdout(0.01, np.zeros(100), rng(), is_class=False, group=group)[1]) == 10


def test_the_same_groups_are_held_out_whatever_the_source():
    values = [3, 1, 2, 3, 2, 1, 4, 5]
    columns = (
        numbers(values),
        text_column([str(value) for value in values]),
        text_column([str(value) for value in sorted(values)]).rows(np.array([4, 0, 2, 5, 3, 1, 6, 7])),
    )
    held = [holdout(0.4, np.zeros(8), rng(3), is_class=False, group=column)[1].tolist() for column in columns]
    assert held[0] == held[1] == held[2]


@given(
    time=st.lists(st.integers(0, 20), min_size=2, max_size=60).filter(lambda time: len(set(time)) > 1),
    fraction=fractions,
)
def test_the_latest_rows_are_held_out(time, fraction):
    for type in ("number", "datetime"):
        column = Column(type, np.array(time, dtype=np.float64))
        kept, held = holdout(fraction, np.zeros(len(time)), rng(), is_class=True, time=column)
        assert_parts_of(len(time), kept, held)
        assert max(time[row] for row in kept) < min(time[row] for row in held)


def test_as_many_late_rows_as_the_fraction_needs_and_ties_stay_together():
    time = numbers([5, 1, 4, 2, 3])
    assert holdout(0.4, np.zeros(5), rng(), is_class=False, time=time)[1].tolist() == [0, 2]
    assert holdout(0.3, np.zeros(5), rng(), is_class=False, time=time)[1].tolist() == [0, 2]
    assert holdout(0.2, np.zeros(5), rng(), is_class=False, time=numbers([1, 2, 9, 9, 3]))[1].tolist() == [2, 3]
    assert holdout(0.9, np.zeros(4), rng(), is_class=False, time=numbers([1, 1, 1, 2]))[1].tolist() == [3]


def test_rows_without_a_time_are_the_earliest():
    time = numbers([np.nan, 3, 1, 2])
    assert holdout(0.5, np.zeros(4), rng(), is_class=False, time=time)[1].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"group": text_column(["a"] * 4)}, "the group column has one value only, 'a'; groups cannot be held out."),
        (
            {"group": text_column(["a", None, "b", "c"])},
            "the group column has no value in row 2; fill it or drop the row.",
        ),
        ({"time": numbers([2] * 4)}, "the time column has one value only; the latest rows cannot be held out."),
        (
            {"time": text_column(list("abcd"))},
            "the time column holds text; expected numbers or dates such as 2024-05-31.",
        ),
    ],
)
def test_what_cannot_be_held_out(options, expected):
    with pytest.raises(DataError, match=re.escape(expected)):
        holdout(0.5, np.zeros(4), rng(), is_class=False, **options)


def test_rows_are_divided_as_ever():
    """By value, so that the same seed gives the same split in every version."""
    y = np.arange(24) * 7 % 5
    group = text_column([f"g{i * 5 % 9}" for i in range(24)])
    assert [fold.tolist() for fold in folds(3, y, rng(4))] == [
        [2, 6, 11, 15, 17, 18, 19, 20], [7, 8, 10, 12, 13, 14, 16, 21], [0, 1, 3, 4, 5, 9, 22, 23],
    ]  # fmt: skip
    assert holdout(0.25, y, rng(4), is_class=True)[1].tolist() == [0, 1, 15, 17, 19, 23]
    assert [fold.tolist() for fold in folds(3, y, rng(4), group=group)] == [
        [0, 3, 7, 9, 12, 16, 18, 21], [2, 5, 6, 11, 14, 15, 20, 23], [1, 4, 8, 10, 13, 17, 19, 22],
    ]  # fmt: skip
    assert holdout(0.25, y, rng(4), is_class=True, group=group)[1].tolist() == [0, 2, 9, 11, 18, 20]
