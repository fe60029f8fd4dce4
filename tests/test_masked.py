"""What a masked array hides is missing: it is never learned from, whatever door it comes through."""

import numpy as np
import pytest

import lamina
from lamina.data.masked import unmasked
from lamina.data.readers import read_table
from lamina.errors import DataError
from lamina.export.runtime import load as load_runtime

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
Y = X[:, 0] * 2
HIDDEN = np.zeros((N, 2), dtype=bool)
HIDDEN[::7, 0] = True
WRONG = np.where(HIDDEN, 1e9, X)
MASKED, AS_NAN = np.ma.array(WRONG, mask=HIDDEN), np.where(HIDDEN, np.nan, X)
FEW = {"hidden_units": (4,), "epochs": 3, "seed": 0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.ma.array([1.0, 2.0], mask=[0, 1]), [1.0, np.nan]),
        (np.ma.array([1, 2], mask=[0, 1]), [1.0, np.nan]),
        (np.ma.array([1, 2], mask=[0, 0]), [1, 2]),
        (np.ma.array([True, False], mask=[0, 1]), [True, None]),
        (np.ma.array([[True, False]], mask=[[0, 1]]), [[1.0, np.nan]]),
        (np.ma.array(["a", "b"], mask=[0, 1]), ["a", None]),
        (np.ma.array([b"a", b"b"], mask=[0, 1]), ["a", None]),
        (np.ma.array(["a", 2], mask=[0, 1], dtype=object), ["a", None]),
        (np.ma.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]", mask=[0, 1]), None),
        ([np.ma.array([1, 2], mask=[0, 1]), np.ma.array([3, 4], mask=[1, 0])], [[1.0, np.nan], [np.nan, 4.0]]),
    ],
)
def test_what_is_masked_becomes_missing(values, expected):
    found = unmasked(values, "X")
    assert type(found) is np.ndarray
    if expected is None:
        assert np.isnat(found).tolist() == [False, True]
    elif found.dtype == object:
        assert found.tolist() == expected
    else:
        np.testing.assert_array_equal(found, np.array(expected))
        assert found.dtype == np.array(expected).dtype
    assert not isinstance(values, np.ma.MaskedArray) or values.data.dtype.kind in "fiubUSOM", "the caller's stays"


def test_anything_else_comes_back_as_it_is():
    for values in ([1, 2], np.arange(2), None, "a.csv", ({"a": 1},)):
        assert unmasked(values, "X") is values


def test_a_masked_pixel_is_refused():
    images = np.ma.array(np.ones((3, 2, 2)), mask=np.arange(12).reshape(3, 2, 2) == 6)
    with pytest.raises(DataError, match="X, row 2: a pixel is masked, but an image has no missing pixels; fill it"):
        lamina.fit((images, [0, 1, 0]), **FEW)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool, str, object])
def test_features_of_every_type(dtype):
    plain = (X * 10).astype(int).astype(dtype) if dtype is not bool else X > 0
    table = read_table((np.ma.array(plain, mask=HIDDEN), Y))
    assert table["x0"].is_missing().tolist() == HIDDEN[:, 0].tolist()
    assert not table["x1"].is_missing().any()


def test_the_model_is_that_of_missing_values(tmp_path):
    masked, as_nan = lamina.fit((MASKED, Y), **FEW), lamina.fit((AS_NAN, Y), **FEW)
    expected = as_nan.predict(AS_NAN)
    np.testing.assert_array_equal(masked.predict(AS_NAN), expected)
    np.testing.assert_array_equal(masked.predict(MASKED), expected)
    assert masked.evaluate((MASKED, Y)) == as_nan.evaluate((AS_NAN, Y))
    runtime = load_runtime(masked.save(tmp_path / "m"))
    np.testing.assert_allclose(runtime.predict(MASKED), expected, atol=1e-9)
    np.testing.assert_allclose(runtime.predict({"x0": MASKED[:, 0], "x1": MASKED[:, 1]}), expected, atol=1e-9)
    np.testing.assert_allclose(
        [runtime.predict({"x0": row[0], "x1": row[1]})[0] for row in MASKED], expected, atol=1e-9
    )
    np.testing.assert_allclose(runtime.logits(MASKED), runtime.logits(AS_NAN), atol=1e-12)
    np.testing.assert_allclose(runtime.logits(MASKED[0]), runtime.logits(AS_NAN[0]), atol=1e-12)


def test_estimators_and_cross_validation():
    def regressor():
        return lamina.MLPRegressor((4,), max_iter=3, random_state=0)

    as_nan = regressor().fit(AS_NAN, Y).predict(AS_NAN)
    np.testing.assert_array_equal(regressor().fit(MASKED, Y).predict(MASKED), as_nan)
    np.testing.assert_array_equal(
        regressor().partial_fit(MASKED, Y).predict(MASKED), regressor().partial_fit(AS_NAN, Y).predict(AS_NAN)
    )
    options = {**FEW, "folds": 3, "baselines": False}
    assert lamina.cross_validate((MASKED, Y), **options) == lamina.cross_validate((AS_NAN, Y), **options)


@pytest.mark.parametrize(
    "y",
    [Y, (Y > 0).astype(int), Y > 0, np.where(Y > 0, "a", "b"), np.where(Y > 0, "a", "b").astype(object)],
    ids=lambda y: y.dtype.name,
)
def test_a_masked_target_is_a_missing_one(y):
    masked = np.ma.array(y, mask=np.arange(N) == 4)
    message = "the target 'y' is missing in 1 rows, the first is row 5"
    with pytest.raises(DataError, match=message):
        lamina.fit((X, masked), **FEW)
    model = lamina.fit((X, y), **FEW)
    with pytest.raises(DataError, match=message):
        model.evaluate((X, masked))
    estimator = lamina.MLPRegressor if y.dtype == float else lamina.MLPClassifier
    with pytest.raises(ValueError, match=message):
        estimator((4,), max_iter=3).fit(X, masked)


def test_a_masked_weight_is_a_missing_one():
    weights = np.ma.array(np.ones(N), mask=np.arange(N) == 4)
    with pytest.raises(ValueError, match="NaN"):
        lamina.MLPRegressor((4,), max_iter=3).fit(X, Y, sample_weight=weights)


def test_a_masked_constant_among_objects_is_missing():
    cells = np.array([[np.ma.masked if hidden else value for value, hidden in zip(*row, strict=True)]
                      for row in zip(X, HIDDEN, strict=True)], dtype=object)  # fmt: skip
    assert np.isnan(read_table(cells)["x0"].values).tolist() == HIDDEN[:, 0].tolist()
