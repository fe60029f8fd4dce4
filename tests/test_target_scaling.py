"""A number target on its way to the network and back, against NumPy and SciPy."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lamina.data.target_scaling import TRANSFORMS, ColumnScaling, TargetScaler
from lamina.errors import DataError

RNG = np.random.default_rng(0)
NAMES = [record.name for record in TRANSFORMS]

positive = st.lists(st.floats(0.01, 1e6), min_size=2, max_size=30)


def column(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


def there(scaler: TargetScaler, values) -> np.ndarray:
    return scaler.forward(column(values))[:, 0]


def back(scaler: TargetScaler, values) -> np.ndarray:
    return scaler.inverse(column(values))[:, 0]


def refused(y, **options) -> str:
    with pytest.raises(DataError) as error:
        TargetScaler.fit(column(y), **options)
    return str(error.value)


def standardised(values) -> np.ndarray:
    return (values - np.mean(values)) / np.std(values)


def test_the_transforms():
    assert NAMES == ["none", "log", "log1p", "quantile"]


@pytest.mark.parametrize(
    ("transform", "reference"),
    [
        ("none", lambda y: y),
        ("log", np.log),
        ("log1p", np.log1p),
        ("quantile", lambda y: stats.norm.ppf((stats.rankdata(y) - 0.5) / len(y))),
    ],
)
def test_a_transform_is_standardised(transform, reference):
    y = np.concatenate([RNG.lognormal(3, 2, 300), np.repeat([5.0, 7.0], [40, 3])])
    scaler = TargetScaler.fit(column(y), transform=transform)
    np.testing.assert_allclose(there(scaler, y), standardised(reference(y)), rtol=1e-9, atol=1e-12)
    (scaling,) = scaler.columns
    assert (scaling.mean, scaling.scale) == pytest.approx((reference(y).mean(), reference(y).std()), abs=1e-12)


@pytest.mark.parametrize("transform", NAMES)
@given(values=positive)
def test_back_again(transform, values):
    scaler = TargetScaler.fit(column(values), transform=transform)
    forward = there(scaler, values)
    assert forward.dtype == np.float64
    # Values much smaller than the others lose digits where the mean is taken off: the error is relative to the largest.
    lost = 0 if transform == "log" else 1e-12 * max(values)
    np.testing.assert_allclose(back(scaler, forward), values, rtol=1e-12, atol=lost)


@pytest.mark.parametrize(("transform", "low"), [("none", -1e6), ("log1p", -0.999), ("quantile", -1e6)])
@given(data=st.data())
def test_back_again_from_below_zero(transform, low, data):
    values = data.draw(st.lists(st.floats(low, 1e6, allow_subnormal=False), min_size=2, max_size=30))
    scaler = TargetScaler.fit(column(values), transform=transform)
    lost = 1e-12 * np.abs(values).max() + 1e-15
    np.testing.assert_allclose(back(scaler, there(scaler, values)), values, rtol=1e-12, atol=lost)


@given(positive, st.floats(0, 1))
def test_quantiles_are_inverted_between_the_training_values_too(values, share):
    scaler = TargetScaler.fit(column(values), transform="quantile")
    between = min(values) + share * (max(values) - min(values))
    assert back(scaler, there(scaler, [between]))[0] == pytest.approx(between, rel=1e-9, abs=1e-12 * max(values))


def test_quantiles_never_leave_the_training_values():
    scaler = TargetScaler.fit(column([1.0, 2.0, 5.0]), transform="quantile")
    assert back(scaler, [-100.0, 100.0]).tolist() == [1, 5]
    assert there(scaler, [-7.0, 9.0]).tolist() == there(scaler, [1.0, 5.0]).tolist()


def test_a_thousand_knots_stand_for_more_values():
    y = RNG.exponential(size=20_000)
    scaler = TargetScaler.fit(column(y), transform="quantile")
    values, scores = (np.array(each) for each in scaler.columns[0].knots)
    assert 900 < len(values) <= 1000
    assert (values[0], values[-1]) == (y.min(), y.max())
    assert (np.diff(values) > 0).all()
    assert (np.diff(scores) > 0).all()
    exact = standardised(stats.norm.ppf((stats.rankdata(y) - 0.5) / len(y)))
    middle = np.argsort(y)[200:-200]
    np.testing.assert_allclose(there(scaler, y)[middle], exact[middle], atol=0.02)
    np.testing.assert_allclose(back(scaler, there(scaler, y)), y, rtol=1e-9)


@pytest.mark.parametrize("transform", NAMES)
@pytest.mark.parametrize("centred", [True, False])
@given(rows=st.lists(st.tuples(st.integers(8, 8000), st.integers(1, 4)), min_size=2, max_size=20))
def test_weights_are_rows(transform, centred, rows):
    y, weights = (np.array(each) for each in zip(*rows, strict=True))
    y = y / 8
    options = {"transform": transform, "centred": centred or transform == "quantile"}
    weighted = TargetScaler.fit(column(y), weights.astype(np.float64), **options)
    repeated = TargetScaler.fit(column(np.repeat(y, weights)), **options)
    doubled = TargetScaler.fit(column(y), 2.0 * weights, **options)
    assert doubled == weighted
    for one, other in zip(weighted.columns, repeated.columns, strict=True):
        assert (one.mean, one.scale) == pytest.approx((other.mean, other.scale), rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(np.array(one.knots), np.array(other.knots), rtol=1e-9, atol=1e-12)


def test_a_constant_target_has_the_scale_1():
    for transform in NAMES:
        scaler = TargetScaler.fit(column([3.0, 3.0, 3.0]), transform=transform)
        assert scaler.columns[0].scale == 1
        assert there(scaler, [3.0]) == pytest.approx([0], abs=1e-15)
        assert back(scaler, [0.0]) == pytest.approx([3])


def test_counts_are_divided_by_their_mean_and_not_centred():
    y = np.array([0.0, 1, 2, 5])
    scaler = TargetScaler.fit(column(y), centred=False)
    assert scaler.columns == (ColumnScaling(0.0, 2.0),)
    assert there(scaler, y).tolist() == [0, 0.5, 1, 2.5]
    assert back(scaler, [0, 0.5, 1, 2.5]).tolist() == y.tolist()
    weighted = TargetScaler.fit(column(y), np.array([1.0, 0.5, 0.5, 2]), centred=False)
    assert weighted.columns[0].scale == pytest.approx(11.5 / 4)
    assert TargetScaler.fit(column([0.0, 0.0]), centred=False).columns == (ColumnScaling(0.0, 1.0),)


def test_several_targets_have_a_scaling_each():
    y = np.column_stack([RNG.normal(1e6, 1, 50), RNG.lognormal(size=50), np.full(50, 2.0)])
    y[:, 0] = np.abs(y[:, 0])
    for transform in NAMES:
        together = TargetScaler.fit(y, transform=transform)
        alone = [TargetScaler.fit(y[:, [i]], transform=transform) for i in range(3)]
        assert together.columns == tuple(each.columns[0] for each in alone)
        expected = np.column_stack([each.forward(y[:, [i]])[:, 0] for i, each in enumerate(alone)])
        np.testing.assert_array_equal(together.forward(y), expected)
        np.testing.assert_allclose(together.inverse(together.forward(y)), y, rtol=1e-9)


@pytest.mark.parametrize(
    ("y", "options", "expected"),
    [
        (
            [1.0, 0.0, -2.0],
            {"transform": "log", "names": ["price"]},
            "the target 'price' has 2 values such as 0, but the transform log needs values above 0; ",
        ),
        (
            [-1.0, 3.0],
            {"transform": "log1p"},
            "the target number 1 has 1 values such as -1, but the transform log1p needs values above -1; ",
        ),
        (
            [4.0, -0.5],
            {"centred": False, "names": ["visits"]},
            "the target 'visits' has 1 values such as -0.5, but this loss needs counts, which are at least 0; ",
        ),
    ],
)
def test_values_that_a_transform_does_not_take(y, options, expected):
    assert refused(y, **options) == f"{expected}correct them or choose another."


def test_the_target_that_does_not_fit_is_named():
    with pytest.raises(DataError, match="the target 'b' has 1 values such as -3"):
        TargetScaler.fit(np.array([[1.0, 2.0], [2.0, -3.0]]), names=["a", "b"], transform="log")


@pytest.mark.parametrize("transform", NAMES)
def test_json_round_trip_is_exact(transform):
    y = RNG.lognormal(size=(3000, 2)) * [1e-7, 1e9]
    scaler = TargetScaler.fit(y, transform=transform)
    again = TargetScaler.from_json(json.loads(json.dumps(scaler.as_json())))
    assert again == scaler
    np.testing.assert_array_equal(again.inverse(scaler.forward(y)), scaler.inverse(scaler.forward(y)))


def test_a_scaling_without_knots_is_read():
    scaler = TargetScaler.from_json({"transform": "none", "columns": [{"mean": 1, "scale": 2.0}]})
    assert scaler == TargetScaler("none", (ColumnScaling(1.0, 2.0),))
    assert back(scaler, [3.0]).tolist() == [7]
