"""An estimator uses every column of X: whoever made X chose them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

import lamina
from lamina.errors import LaminaWarning

N = 200
RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=N)
Y = (SIGNAL > 0).astype(int)


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "counter": np.arange(N),
            "floats": np.arange(N) + 1.0,
            "station_id": RNG.permutation(N) * 17,
            "id": RNG.permutation(N),
            "same": np.ones(N),
            "none": np.full(N, np.nan),
            "word": ["x"] * N,
            "nothing": [None] * N,
            "code": [f"k{i}" for i in range(N)],
            "text": [f"the parcel number {i} came late and was open" for i in range(N)],
            "day": pd.to_datetime(["2024-01-01"] * N),
            "flag": np.zeros(N, bool),
            "signal": SIGNAL,
        }
    )


def classifier() -> lamina.MLPClassifier:
    return lamina.MLPClassifier(max_iter=30, members=4, random_state=0)


@pytest.mark.parametrize("how", ["fit", "partial_fit", "warm_start", "weights"])
def test_every_column_is_a_feature(how):
    x = frame()
    found = classifier()
    if how == "partial_fit":
        found.partial_fit(x, Y, classes=[0, 1])
    elif how == "weights":
        found.fit(x, Y, sample_weight=np.linspace(0.5, 1.5, N))
    else:
        found.fit(x, Y)
        if how == "warm_start":
            found.set_params(warm_start=True).fit(x, Y)
    assert [column.name for column in found.model_.schema.features] == list(x.columns)
    assert found.model_.schema.left_out == ()
    assert found.model_.report.notes == [note for note in found.model_.report.notes if "column" not in note]
    assert found.n_features_in_ == len(x.columns)
    assert found.score(x, Y) > 0.9 or how == "partial_fit"


@pytest.mark.parametrize("name", ["counter", "floats", "id", "code", "text", "same", "none", "word", "day"])
def test_one_column_of_any_sort_is_enough(name):
    x = frame()[[name]]
    assert classifier().fit(x, Y).predict(x).shape == (N,)
    assert [column.name for column in classifier().fit(x, Y).model_.schema.features] == [name]


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_a_counter_predicts_what_goes_with_it(dtype):
    """A counter and a year decide; left out, nothing would be left to learn from."""
    x = pd.DataFrame({"year": np.arange(1800, 1800 + N).astype(dtype), "noise": RNG.normal(size=N)})
    y = np.arange(N) >= 120
    order = RNG.permutation(N)
    search = GridSearchCV(classifier(), {"max_iter": [40]}, cv=3).fit(x.iloc[order], y[order])
    assert search.best_score_ > 0.9
    assert search.best_estimator_.score(x, y) > 0.9
    as_array = classifier().set_params(max_iter=40).fit(x.to_numpy(), y).predict_proba(x.to_numpy())
    np.testing.assert_array_equal(classifier().set_params(max_iter=40).fit(x, y).predict_proba(x), as_array)


def test_unique_texts_beside_a_signal_do_no_harm():
    x = frame()[["code", "text", "signal"]]
    fitted = classifier().fit(x[:150], Y[:150])
    with pytest.warns(LaminaWarning, match="was not there in training"):
        assert fitted.score(x[150:], Y[150:]) > 0.9


def test_lamina_fit_leaves_out_what_is_called_an_identifier_and_says_so():
    x = frame()[["counter", "station_id", "code", "signal"]].assign(y=Y)
    with pytest.warns(LaminaWarning, match="left out of the features: 'station_id', 'code';"):
        model = lamina.fit(x, "y", hidden_units=(4,), epochs=1, baselines=False)
    assert [column.name for column in model.schema.features] == ["counter", "signal"]
    assert model.report.notes[:3] == [
        "column 'station_id' is left out: every row has its own number, as in an identifier; "
        "--kind station_id=number keeps it",
        "column 'code' is left out: nearly every row has its own value, as in an identifier; "
        "--kind code=category keeps it",
        "column 'counter' is taken for a number: it counts 0, 1, 2, ... down the file, as in an identifier; "
        "--drop counter leaves it out, --kind counter=number says that it is meant",
    ]
