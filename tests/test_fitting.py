"""The whole way from data to a model, on real data."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

import lamina
from lamina.data.readers import read_table

# Enough epochs for full-batch gradient descent to reach the optimum of a convex problem.
CONVEX = {
    "hidden_units": (), "numeric": "standard", "dropout": 0.0, "validation": 0.0, "weight_decay": 0.0,
    "dtype": "float64", "batch_size": 1000, "epochs": 4000,
}  # fmt: skip


def toy(n: int = 200, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    label = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": rng.choice(["u", "v", "w"], n), "label": label})


def weights_of(model: lamina.Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


def test_no_hidden_layer_is_softmax_regression():
    X, y = load_iris(return_X_y=True)
    y = y.copy()
    y[::7] = (y[::7] + 1) % 3  # not separable, so that the optimum is finite
    model = lamina.fit((X, y), **CONVEX, learning_rate=0.05, schedule="cosine")
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(StandardScaler().fit_transform(X), y)
    expected = reference.predict_proba(StandardScaler().fit_transform(X))
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=2e-3)
    assert model.network.n_layers == 1
    assert sum(p.numel() for p in model.network.parameters()) == 4 * 3 + 3


def test_no_hidden_layer_with_two_classes_is_logistic_regression():
    X, y = load_iris(return_X_y=True)
    X, y = X[:100, :2], y[:100].copy()
    y[::9] = 1 - y[::9]
    model = lamina.fit((X, y), **CONVEX, learning_rate=0.05, schedule="cosine")
    scaled = StandardScaler().fit_transform(X)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(scaled, y)
    np.testing.assert_allclose(model.predict_proba(X), reference.predict_proba(scaled), atol=1e-4)


def test_no_hidden_layer_is_linear_regression():
    X, y = load_diabetes(return_X_y=True)
    model = lamina.fit((X, y), **CONVEX, learning_rate=0.05, schedule="cosine")
    expected = LinearRegression().fit(X, y).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=0.05 * y.std() / 10)


def test_a_network_learns_what_a_line_cannot():
    model = lamina.fit(toy(800), "label", test=0.25, seed=1)
    assert model.report.scores["test"]["accuracy"] > 0.9
    assert model.report.baselines["linear"]["accuracy"] < 0.65
    assert model.report.scored_on == "test"
    assert model.report.rows == {"train": 480, "validation": 120, "test": 200}


def test_the_report_scores_are_those_of_evaluate():
    frame, held = toy(300), toy(100, seed=5)
    model = lamina.fit(frame, "label", test=held, epochs=3)
    assert model.report.scores["test"] == model.evaluate(held)
    assert model.report.rows["test"] == 100


def test_weight_zero_is_absence_and_class_weights_shift_the_answer():
    frame = toy(150)
    keep = np.arange(150) % 3 > 0
    weighted = frame.with_columns(w=pl.Series(keep.astype(float)))
    one = lamina.fit(weighted, "label", weight="w", epochs=3, validation=0.0)
    other = lamina.fit(frame.filter(keep), "label", epochs=3, validation=0.0)
    np.testing.assert_array_equal(one.predict_proba(frame), other.predict_proba(frame))
    plain = lamina.fit(frame, "label", epochs=5, seed=2)
    shifted = lamina.fit(frame, "label", epochs=5, seed=2, class_weight={"same": 50.0})
    assert shifted.predict_proba(frame)[:, 1].mean() > plain.predict_proba(frame)[:, 1].mean() + 0.1


def test_weights_are_rows_in_one_full_batch_epoch():
    frame = toy(120)
    counts = np.random.default_rng(3).integers(1, 4, 120)
    options = {"validation": 0.0, "dropout": 0.0, "epochs": 1, "batch_size": 10_000, "dtype": "float64"}
    weighted = lamina.fit(frame.with_columns(w=pl.Series(counts)), "label", weight="w", **options)
    repeated = lamina.fit(frame[np.repeat(np.arange(120), counts).tolist()], "label", **options)
    assert weighted.history[0].train_loss == pytest.approx(repeated.history[0].train_loss, rel=1e-9)
    np.testing.assert_allclose(weighted.predict_proba(frame), repeated.predict_proba(frame), rtol=1e-6)


def test_balanced_class_weights_are_those_of_sklearn():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.2, "rare", "often")
    X = rng.normal(size=(120, 2))
    options = {"validation": 0.0, "epochs": 2}
    balanced = lamina.fit((X, y), class_weight="balanced", **options)
    classes = np.array(["often", "rare"])
    ratios = dict(zip(classes, compute_class_weight("balanced", classes=classes, y=y), strict=True))
    told = lamina.fit((X, y), class_weight=ratios, **options)
    torch.testing.assert_close(weights_of(told), weights_of(balanced), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(weights_of(balanced), weights_of(lamina.fit((X, y), **options)))


def test_class_weights_need_classes_and_scores_need_rows():
    with pytest.raises(
        lamina.ConfigError, match="class_weight is for classes, but the target 'progression' is a number"
    ):
        lamina.fit("diabetes", class_weight="balanced")
    model = lamina.fit(toy(30), "label", epochs=1)
    with pytest.raises(lamina.DataError, match="the data frame has no rows to score"):
        model.evaluate(toy(30)[:0])


def test_groups_and_times_are_kept_apart():
    n = 300
    rng = np.random.default_rng(0)
    frame = toy(n).with_columns(who=pl.Series(rng.integers(0, 30, n)), when=pl.Series(np.arange(n) * 2.0))
    run = lamina.prepare(frame, "label", group="who", test=0.2, drop=["when"])
    assert {c.name: c.role for c in run.schema.columns}["who"] == "group"
    assert sum(len(part) for part in run.parts.values()) == n
    run = lamina.prepare(frame.sample(fraction=1, shuffle=True, seed=1), "label", time="when", test=0.2, drop=["who"])
    assert [len(run.parts[name]) for name in ("train", "validation", "test")] == [192, 48, 60]


def test_no_rows_are_held_out_below_a_hundred():
    model = lamina.fit(toy(60), "label", epochs=2)
    assert model.report.rows == {"train": 60}
    assert (model.report.scores, model.report.scored_on, model.config.patience) == ({}, "", None)


def test_fewer_rows_than_a_minibatch():
    model = lamina.fit(toy(5), "label", epochs=2, batch_size=64)
    assert model.predict(toy(3)).shape == (3,)


def test_a_missing_target_is_an_error_in_python_and_dropped_on_request():
    frame = toy(120).with_columns(label=pl.when(pl.col("a") > 1).then(None).otherwise(pl.col("label")))
    n_missing = frame["label"].null_count()
    with pytest.raises(lamina.DataError, match=f"the target 'label' is missing in {n_missing} rows, the first is row"):
        lamina.fit(frame, "label")
    run = lamina.prepare(frame, "label", drop_missing_targets=True)
    assert run.notes == [f"the data frame: dropped {n_missing} rows without a value of the target 'label'"]
    assert sum(len(part) for part in run.parts.values()) == 120 - n_missing


def test_python_warns_of_columns_that_are_lost_but_not_of_constants_or_dropped_ones():
    n = 60
    frame = toy(n).with_columns(id=pl.Series(range(n)), one=pl.lit(1), code=pl.Series([f"k{i}" for i in range(n)]))
    with pytest.warns(lamina.LaminaWarning) as caught:
        model = lamina.fit(frame, "label", epochs=1, drop=["code"])
    assert [str(w.message) for w in caught] == ["left out of the features: 'id'; model.report.notes says why."]
    assert [note.split(":")[0] for note in model.report.notes] == [
        "column 'id' is left out",
        "column 'one' is left out",
    ]


def test_classes_keep_their_type():
    frame = toy(120)
    same = frame["label"] == "same"
    for values, kind in ((same, np.bool_), (same.cast(pl.Int64) * 2 + 5, np.integer), (frame["label"], np.str_)):
        model = lamina.fit(frame.with_columns(label=values), "label", epochs=2)
        predicted = model.predict(frame)
        assert issubclass(predicted.dtype.type, kind)
        assert set(predicted.tolist()) <= set(values.to_list())


def test_regression_is_in_the_unit_of_the_target():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = 1e6 + 1e4 * x[:, 0] + 100 * rng.normal(size=400)
    model = lamina.fit((x, y), seed=0)
    assert model.task == "regression"
    assert np.abs(model.predict(x) - y).mean() < 4000
    with pytest.raises(lamina.ConfigError, match="predict_proba is for classification"):
        model.predict_proba(x)


def test_an_interrupted_fit_keeps_the_best_weights(monkeypatch):
    from lamina import fitting

    original = fitting.Run.train

    def interrupted(run):
        for record in original(run):
            yield record
            if record.epoch == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(fitting.Run, "train", interrupted)
    with pytest.warns(lamina.LaminaWarning, match="training ended early: interrupted in epoch 4"):
        model = lamina.fit(toy(200), "label")
    assert len(model.history) == 3
    assert 1 <= model.report.best_epoch <= 3


def test_pixels_stay_bytes_and_images_must_have_their_size():
    run = lamina.prepare("digits")
    assert run.parts["train"].arrays["pixels"].dtype == np.uint8
    model = lamina.fit("digits", epochs=2)
    with pytest.raises(lamina.SchemaError, match=r"expected images \(8, 8\), got \(9, 9\)"):
        model.predict(np.zeros((2, 9, 9), np.uint8))


def test_a_loaded_model_predicts_the_same(tmp_path):
    for data, target in (("digits", None), (toy(150), "label"), ("diabetes", None)):
        model = lamina.fit(data, target, epochs=3, activation="prelu")
        loaded = lamina.load(model.save(tmp_path / "m"))
        table = read_table(data)
        np.testing.assert_array_equal(model.predict_outputs(table), loaded.predict_outputs(table))
        assert loaded.report == model.report
        assert loaded.history == model.history
        assert loaded.config.as_json() == model.config.as_json()
        assert loaded.summary() == model.summary()


def test_the_summary_counts_layers_and_parameters():
    model = lamina.fit("iris", hidden_units=(5,), numeric="standard", epochs=1)
    assert model.summary().splitlines()[-1] == "2 layers, 43 parameters"
    assert model.summary().splitlines()[1].split() == ["inputs", "input", "4", "0"]


def test_unseen_categories_and_extra_columns_are_noted():
    model = lamina.fit(toy(150), "label", epochs=2)
    new = toy(4).with_columns(c=pl.Series(["u", "new", "v", "new"]), more=pl.lit(1))
    with pytest.warns(lamina.LaminaWarning) as caught:
        model.predict(new.drop("label"))
    texts = [str(w.message) for w in caught]
    assert texts == [
        "the data frame: ignored the columns that the model does not know: more",
        "column 'c': 2 rows hold a category that was not there in training, such as 'new'; it counts as `rare`",
    ]


@pytest.mark.parametrize("sharing", ["layer", "unit"])
def test_learned_slopes_are_learned(sharing):
    model = lamina.fit(toy(300), "label", activation="prelu", activation_parameters=sharing, epochs=5)
    slopes = [p for name, p in model.network.named_parameters() if name.endswith("activation.parameter")]
    assert [len(p) for p in slopes] == ([1, 1] if sharing == "layer" else [256, 128])
    assert all((p != 0.25).any() for p in slopes)
