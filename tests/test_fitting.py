"""The whole way from data to a model, on real data."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import root_mean_squared_error
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
    assert model.report.rows == {"train": 600, "validation": 600, "test": 200}  # each member holds out a quarter
    alone = lamina.prepare(toy(800), "label", test=0.25, seed=1, members=1)
    assert {name: len(part) for name, part in alone.parts.items()} == {"train": 480, "validation": 120, "test": 200}


def test_the_report_scores_are_those_of_evaluate():
    frame, held = toy(300), toy(100, seed=5)
    model = lamina.fit(frame, "label", test=held, epochs=3, dtype="float64")
    assert model.report.scores["test"] == model.evaluate(held)
    assert model.report.rows["test"] == 100
    # Rows that were encoded for training in float32 have its digits.
    single = lamina.fit(frame, "label", test=held, epochs=3)
    assert single.report.scores["test"] == pytest.approx(single.evaluate(held), rel=1e-7)


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
        lamina.ConfigError, match="class_weight is for one target of classes, which this is not; leave it out"
    ):
        lamina.fit("diabetes", class_weight="balanced")
    model = lamina.fit(toy(30), "label", epochs=1)
    with pytest.raises(lamina.DataError, match="the data frame has no rows to score"):
        model.evaluate(toy(30)[:0])


def test_groups_and_times_are_kept_apart():
    n = 300
    rng = np.random.default_rng(0)
    frame = toy(n).with_columns(who=pl.Series(rng.integers(0, 30, n)), when=pl.Series(np.arange(n) * 2.0))
    who = frame["who"].to_numpy()
    run = lamina.prepare(frame, "label", group="who", test=0.2, drop=["when"], members=1)
    assert {c.name: c.role for c in run.schema.columns}["who"] == "group"
    assert sum(len(part) for part in run.parts.values()) == n
    groups = [set(who[part.positions]) for part in run.parts.values()]
    assert len(groups) == 3
    assert sum(len(each) for each in groups) == len(set.union(*groups)) == 30
    run = lamina.prepare(frame, "label", group="who", test=0.2, drop=["when"])
    train, test = run.parts["train"], run.parts["test"]
    assert len(train) + len(test) == n
    assert not set(who[train.positions]) & set(who[test.positions])
    assert sorted(run.parts["validation"].positions) == sorted(train.positions)
    assert sorted(set(train.folds)) == [0, 1, 2, 3]
    assert len(set(zip(who[train.positions], train.folds, strict=True))) == len(set(who[train.positions]))
    run = lamina.prepare(frame.sample(fraction=1, shuffle=True, seed=1), "label", time="when", test=0.2, drop=["who"])
    assert [len(run.parts[name]) for name in ("train", "validation", "test")] == [192, 48, 60]


def test_one_network_holds_no_rows_out_below_a_hundred():
    model = lamina.fit(toy(60), "label", epochs=2, members=1)
    assert model.report.rows == {"train": 60}
    assert (model.report.scores, model.report.scored_on, model.config.patience) == ({}, "", None)
    assert lamina.fit(toy(100), "label", epochs=2, members=1).report.rows == {"train": 80, "validation": 20}


def test_members_hold_folds_out_from_twenty_rows_on():
    assert lamina.fit(toy(20), "label", epochs=2).report.rows == {"train": 20, "validation": 20}
    model = lamina.fit(toy(19), "label", epochs=2)
    assert len(model.network.members()) == 8
    assert model.report.rows == {"train": 19}
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
    assert len(run.parts["train"]) == len(run.parts["validation"]) == 120 - n_missing
    alone = lamina.prepare(frame, "label", drop_missing_targets=True, members=1)
    assert sum(len(part) for part in alone.parts.values()) == 120 - n_missing


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

    def interrupted(run, score=None):
        for record in original(run, score):
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


@pytest.mark.parametrize(
    ("members", "sharing", "counts"),
    [(1, "layer", [1, 1]), (1, "unit", [256, 128]), (3, "layer", [1, 1]), (3, "unit", [3 * 128, 3 * 128])],
)
def test_learned_slopes_are_learned(members, sharing, counts):
    options = {"activation": "prelu", "activation_parameters": sharing, "members": members}
    model = lamina.fit(toy(300), "label", epochs=5, **options)
    slopes = [p for name, p in model.network.named_parameters() if name.endswith("activation.parameter")]
    assert [len(p) for p in slopes] == counts
    assert all((p != 0.25).any() for p in slopes)


# -- the order of the rows


def shuffled(frame: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    return frame.sample(fraction=1, shuffle=True, seed=seed)


@pytest.mark.parametrize("target", ["label", "b"])
def test_the_order_of_the_rows_does_not_matter(target):
    frame = toy(250).with_columns(a=pl.when(pl.col("a") > 1).then(None).otherwise(pl.col("a")))
    frame = pl.concat([frame, frame[:30]])  # some of them twice
    one, other = (lamina.fit(each, target, test=0.2, epochs=4) for each in (frame, shuffled(frame)))
    np.testing.assert_array_equal(one.predict_outputs(frame), other.predict_outputs(frame))
    assert (one.encoder, one.report.rows, one.report.scores) == (other.encoder, other.report.rows, other.report.scores)
    assert one.report.baselines == other.report.baselines


def test_the_order_of_images_and_of_several_targets_does_not_matter():
    table = read_table("digits")
    order = np.random.default_rng(0).permutation(table.n_rows)
    one, other = (lamina.fit(each, epochs=1) for each in (table, table.rows(order)))
    np.testing.assert_array_equal(one.predict_proba(table), other.predict_proba(table))
    x, y = two_numbers(150)
    order = np.random.default_rng(0).permutation(150)
    one, other = (lamina.fit(each, epochs=4) for each in ((x, y), (x[order], y[order])))
    np.testing.assert_array_equal(one.predict(x), other.predict(x))


@pytest.mark.parametrize("members", [1, 8])
def test_where_the_rows_of_each_part_come_from(members):
    frame = toy(200)
    run = lamina.prepare(frame, "label", test=0.2, members=members)
    positions = {name: part.positions for name, part in run.parts.items()}
    # Of several members each holds out a fold of the training rows, which are all validation rows.
    apart = [positions[name] for name in (positions if members == 1 else ("train", "test"))]
    assert sorted(np.concatenate(apart)) == list(range(200))
    assert members == 1 or sorted(positions["validation"]) == sorted(positions["train"])
    is_same = (frame["label"] == "same").to_numpy()
    for name, part in run.parts.items():
        np.testing.assert_array_equal(part.y, is_same[positions[name]])
    assert (np.diff(positions["train"]) < 0).any()


def test_without_shuffling_rows_stay_in_the_order_of_the_file():
    frame, options = toy(150), {"shuffle": False, "epochs": 2}
    run = lamina.prepare(frame, "label", validation=0.0, **options)
    assert run.parts["train"].positions.tolist() == list(range(150))
    run = lamina.prepare(frame, "label", test=0.2, **options)
    assert all((np.diff(part.positions) > 0).all() for part in run.parts.values())
    again, other = (lamina.fit(each, "label", **options).predict_proba(frame) for each in (frame, shuffled(frame)))
    np.testing.assert_array_equal(lamina.fit(frame, "label", **options).predict_proba(frame), again)
    assert np.abs(again - other).max() > 1e-4


def test_weights_repeat_positions_and_dropped_targets_leave_them_as_they_were():
    frame = toy(60).with_columns(w=pl.Series(np.arange(60) % 3))
    run = lamina.prepare(frame, "label", weight="w", shuffle=False)
    assert run.parts["train"].positions.tolist() == np.repeat(np.arange(60), np.arange(60) % 3).tolist()
    missing = frame.with_columns(label=pl.when(pl.col("w") == 1).then(None).otherwise(pl.col("label")))
    run = lamina.prepare(missing, "label", drop_missing_targets=True, shuffle=False, drop=["w"])
    assert run.parts["train"].positions.tolist() == [i for i in range(60) if i % 3 != 1]


def test_nothing_is_held_out_without_early_stopping_unless_asked_for():
    rows = [
        lamina.fit(toy(200), "label", early_stopping=False, epochs=3, **options).report.rows
        for options in ({}, {"validation": 0.25}, {"test": 0.5})
    ]
    assert rows == [{"train": 200}, {"train": 150, "validation": 50}, {"train": 100, "test": 100}]
    model = lamina.fit(toy(200), "label", early_stopping=False, epochs=3, validation=0.25)
    assert (model.report.best_epoch, model.config.patience) == (3, None)
    assert [record.validation_loss is None for record in model.history] == [False] * 3


# -- several targets


def two_numbers(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Neither is linear in x; their units are far apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = np.column_stack([1000 + 50 * x[:, 0] * x[:, 1], 0.01 * np.abs(x[:, 2])])
    return x, y + rng.normal(size=(n, 2)) * [1, 1e-4]


def two_labels(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = two_numbers(n, seed)
    return x, (y > [1000, 0.007]).astype(np.int64)


def test_several_numbers_end_to_end():
    x, y = two_numbers(900)
    model = lamina.fit((x, y), test=0.2, epochs=60)
    assert (model.task, model.schema.target.names, model.schema.target.n_outputs) == ("regression", ("y0", "y1"), 2)
    predicted = model.predict(x)
    assert (predicted.shape, predicted.dtype) == ((900, 2), np.float64)
    np.testing.assert_array_equal(predicted, model.predict_outputs(x))
    explained = 1 - ((predicted - y) ** 2).mean(axis=0) / y.var(axis=0)
    assert (explained > 0.9).all()
    scores, baselines = model.report.scores["test"], model.report.baselines
    assert list(scores) == ["rmse", "mae", "r2"]
    assert scores["r2"] > 0.85
    assert baselines["linear"]["r2"] < 0.3
    assert model.evaluate((x, y))["r2"] == pytest.approx(explained.mean(), rel=1e-9)
    frame = pl.DataFrame(np.column_stack([x, y]), schema=["a", "b", "c", "price", "share"])
    named = lamina.fit(frame, ["price", "share"], test=0.2, epochs=60)
    np.testing.assert_array_equal(named.predict(frame.drop("price", "share")), predicted)
    assert named.evaluate(frame) == model.evaluate((x, y))


def test_labels_end_to_end():
    x, y = two_labels(900)
    model = lamina.fit((x, y), test=0.2, epochs=40)
    assert (model.task, model.config.loss, model.scaler) == ("multilabel", "binary_cross_entropy", None)
    predicted, probabilities = model.predict(x), model.predict_proba(x)
    assert (predicted.shape, predicted.dtype) == ((900, 2), np.int64)
    np.testing.assert_array_equal(predicted, probabilities >= 0.5)
    assert (predicted == y).mean() > 0.9
    scores, baselines = model.report.scores["test"], model.report.baselines
    assert list(scores) == ["accuracy", "log_loss", "roc_auc"]
    assert scores["accuracy"] > 0.8 > 0.5 > baselines["linear"]["accuracy"]
    assert model.evaluate((x, y))["accuracy"] == (predicted == y).all(axis=1).mean()
    frame = pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(
        big=pl.Series(y[:, 0] > 0), sold=pl.Series(y[:, 1].astype(str))
    )
    named = lamina.fit(frame, ["big", "sold"], test=0.2, epochs=40)
    np.testing.assert_array_equal(named.predict_proba(frame), probabilities)
    assert named.evaluate(frame) == model.evaluate((x, y))


def test_several_targets_are_saved_and_loaded(tmp_path):
    for x, y in (two_numbers(120), two_labels(120)):
        model = lamina.fit((x, y), epochs=2)
        loaded = lamina.load(model.save(tmp_path / "m"))
        np.testing.assert_array_equal(loaded.predict_outputs(x), model.predict_outputs(x))
        assert loaded.schema == model.schema


# -- what a probability comes to


def test_threshold_and_positive_class_change_decisions_and_nothing_else():
    frame = toy(250)
    options = {"test": 0.2, "epochs": 4}
    plain = lamina.fit(frame, "label", **options)
    probabilities = plain.predict_proba(frame)
    for positive, threshold in (("same", 0.3), ("other", 0.3), ("other", 0.8)):
        model = lamina.fit(frame, "label", positive_class=positive, threshold=threshold, **options)
        np.testing.assert_array_equal(model.predict_proba(frame), probabilities)
        is_positive = probabilities[:, model.classes.tolist().index(positive)] >= threshold
        other = "other" if positive == "same" else "same"
        assert model.predict(frame).tolist() == np.where(is_positive, positive, other).tolist()
        scores = model.evaluate(frame)
        actual = (frame["label"] == positive).to_numpy()
        assert scores["recall"] == pytest.approx(is_positive[actual].mean())
        assert scores["precision"] == pytest.approx(actual[is_positive].mean())
        assert scores["accuracy"] == pytest.approx((actual == is_positive).mean())
        assert scores["log_loss"] == plain.evaluate(frame)["log_loss"]
        assert scores["roc_auc"] == plain.evaluate(frame)["roc_auc"]


def test_a_threshold_of_labels():
    x, y = two_labels(200)
    model = lamina.fit((x, y), epochs=3, threshold=0.2)
    np.testing.assert_array_equal(model.predict(x), model.predict_proba(x) >= 0.2)
    assert (model.predict(x) != (model.predict_proba(x) >= 0.5)).any()
    with pytest.raises(lamina.ConfigError, match="positive_class is for a target of two classes, which this is not"):
        lamina.fit((x, y), epochs=1, positive_class="1")
    with pytest.raises(lamina.ConfigError, match="threshold is for two classes or for labels, which the target is not"):
        lamina.fit("iris", epochs=1, threshold=0.3)


# -- number targets on their way


def heavy_tail(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    return x, np.exp(3 + 2 * x[:, 0] + 0.1 * rng.normal(size=n))


@pytest.mark.parametrize("transform", ["log", "log1p", "quantile"])
def test_a_target_transform_is_undone_in_predictions(transform):
    x, y = heavy_tail()
    plain = lamina.fit((x, y), epochs=25, target_transform="none")
    model = lamina.fit((x, y), epochs=25, target_transform=transform)
    np.testing.assert_allclose(model.predict(x), model.scaler.inverse(model.predict_logits(x))[:, 0], rtol=1e-12)
    off, plainly_off = (np.abs(np.log(np.maximum(each.predict(x), 1e-3) / y)).mean() for each in (model, plain))
    assert off < 0.3 < plainly_off
    assert model.report.scores["validation"]["mae"] < model.report.baselines["linear"]["mae"]
    if transform == "quantile":
        assert y.min() <= model.predict(10 * x).min() <= model.predict(10 * x).max() <= y.max()


def test_a_target_transform_needs_values_that_it_takes():
    x, y = heavy_tail(100)
    with pytest.raises(lamina.DataError, match="the target 'y' has 1 values such as 0, but the transform log needs"):
        lamina.fit((x, np.where(y == y.min(), 0, y)), target_transform="log", epochs=1)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_validation_rows_too_have_values_that_a_target_transform_takes():
    x, y = heavy_tail(120)
    held = (x[100:], np.where(np.arange(20) == 3, 0, y[100:]))
    with pytest.raises(lamina.DataError, match="has 1 values such as 0, but the transform log needs values above 0"):
        lamina.fit((x[:100], y[:100]), validation=held, target_transform="log", epochs=1)


def test_poisson_predicts_positive_rates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 2))
    rate = np.exp(0.5 + x[:, 0])
    counts = rng.poisson(rate)
    model = lamina.fit((x, counts), task="regression", loss="poisson", epochs=15)
    predicted = model.predict(x)
    assert predicted.min() > 0
    np.testing.assert_allclose(predicted, model.scaler.columns[0].scale * np.exp(model.predict_logits(x))[:, 0])
    assert predicted.mean() == pytest.approx(counts.mean(), rel=0.1)
    assert np.corrcoef(np.log(predicted), np.log(rate))[0, 1] > 0.95
    line = root_mean_squared_error(counts, LinearRegression().fit(x, counts).predict(x))
    assert model.report.scores["validation"]["rmse"] < line
    # The baseline minimises the Poisson loss, too, and here it is of the true form.
    assert model.report.baselines["linear"]["rmse"] < line
    with pytest.raises(lamina.DataError, match="the target 'y' has 1 values such as -1, but this loss needs counts"):
        lamina.fit((x, np.where(np.arange(800) == 5, -1, counts)), task="regression", loss="poisson", epochs=1)


def test_a_quantile_covers_its_share():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 1))
    y = 100 + 10 * x[:, 0] + (1 + np.abs(x[:, 0])) * rng.normal(size=6000)
    # Dropout spreads the outputs in training, and with them the quantiles.
    for share, dropout, off in ((0.9, 0.0, 0.025), (0.2, 0.0, 0.025), (0.9, None, 0.05)):
        options = {"loss": "quantile", "quantile": share, "dropout": dropout, "epochs": 20, "hidden_units": (32,)}
        model = lamina.fit((x[:3000], y[:3000]), **options)
        assert (y[3000:] <= model.predict(x[3000:])).mean() == pytest.approx(share, abs=off)


# -- from a model on


def test_a_fit_starts_from_the_weights_of_a_model(tmp_path):
    frame = toy(300)
    # Without a temperature, which each fit would find anew.
    first = lamina.fit(frame, "label", epochs=4, calibrate=False)
    before = first.predict_proba(frame)
    nearly = lamina.fit(frame, "label", start=first, epochs=1, learning_rate=1e-8, calibrate=False)
    np.testing.assert_allclose(nearly.predict_proba(frame), before, atol=1e-5)
    assert nearly.history[:4] == first.history
    assert [record.epoch for record in nearly.history[4:]] == [1]
    assert nearly.report.best_epoch == 5
    assert (nearly.schema, nearly.encoder, nearly.scaler) == (first.schema, first.encoder, first.scaler)
    loaded = lamina.load(first.save(tmp_path / "m"))
    further = [lamina.fit(toy(200, seed=3), "label", start=start, epochs=3) for start in (first, loaded)]
    np.testing.assert_array_equal(further[0].predict_proba(frame), further[1].predict_proba(frame))
    assert np.abs(further[0].predict_proba(frame) - before).max() > 0.01
    np.testing.assert_array_equal(first.predict_proba(frame), before)  # as it was


def test_a_number_target_keeps_the_scaling_of_the_model_that_a_fit_starts_from():
    x, y = heavy_tail(200)
    first = lamina.fit((x, y), epochs=3, target_transform="log", linear_share=False)
    later = lamina.fit((x, 1000 * y), start=first, epochs=1, learning_rate=1e-8, linear_share=False)
    assert (later.scaler, later.config.target_transform) == (first.scaler, "log")
    np.testing.assert_allclose(later.predict(x), first.predict(x), rtol=1e-4)


def test_counts_keep_the_loss_of_the_model_that_a_fit_starts_from():
    x, y = heavy_tail(120)
    first = lamina.fit((x, np.round(y)), loss="poisson", task="regression", epochs=3)
    later = lamina.fit((x, np.round(y)), start=first, epochs=1, learning_rate=1e-8)
    np.testing.assert_allclose(later.predict(x), first.predict(x), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_targets_that_the_scaling_of_the_model_to_start_from_does_not_take():
    x, y = heavy_tail(100)
    first = lamina.fit((x, y), epochs=1, target_transform="log")
    with pytest.raises(lamina.DataError, match="has 1 values such as 0, but the transform log needs values above 0"):
        lamina.fit((x, np.where(np.arange(100) == 3, 0, y)), start=first, epochs=1, validation=0.0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"hidden_units": (8,)}, r"hidden_units = \(8,\), but the model to start from was trained with \(16,\); leave"),
        ({"activation": "tanh"}, "activation = 'tanh', but the model to start from was trained with 'relu'; leave it"),
        ({"bins": 5}, "bins = 5, but the model to start from was trained with 24; leave it out, or train anew"),
        ({"numeric": "standard"}, "numeric = 'standard', but the model to start from was trained with 'piecewise_"),
    ],
)  # fmt: skip
def test_an_option_that_the_model_to_start_from_has_settled_is_refused(options, expected):
    first = lamina.fit(toy(100), "label", epochs=1, hidden_units=(16,))
    same = lamina.fit(toy(100), "label", start=first, epochs=1, hidden_units=(16,), numeric="auto", bins=24)
    assert (same.config.hidden_units, same.config.numeric, same.config.bins) == ((16,), "piecewise_linear", 24)
    with pytest.raises(lamina.ConfigError, match=expected):
        lamina.fit(toy(100), "label", start=first, epochs=1, **options)


def test_data_that_do_not_fit_the_model_to_start_from_are_refused():
    first = lamina.fit(toy(100), "label", epochs=1, hidden_units=(16,))
    with pytest.raises(lamina.SchemaError, match="the data frame lacks the column 'b'"):
        lamina.fit(toy(100).drop("b"), "label", start=first, epochs=1)
    with pytest.raises(lamina.SchemaError, match="'third' is not a class of the model"):
        lamina.fit(toy(100).with_columns(label=pl.lit("third")), "label", start=first, epochs=1)


# -- inside the network


def test_hidden_outputs_and_logits_are_the_forward_pass_by_hand():
    frame = toy(200).drop("c")
    model = lamina.fit(frame, "label", epochs=3, hidden_units=(7, 5), activation=("tanh", "relu"), numeric="standard")
    x = frame.select("a", "b").to_numpy()
    x = (x - [code.mean for code in model.encoder.numbers]) / [code.scale for code in model.encoder.numbers]
    w = {name: p.numpy().astype(np.float64) for name, p in model.network.state_dict().items()}
    first = np.tanh(x @ w["hidden.0.affine.weight"] + w["hidden.0.affine.bias"])
    second = np.maximum(first @ w["hidden.1.affine.weight"] + w["hidden.1.affine.bias"], 0)
    logits = second @ w["output.weight"] + w["output.bias"]
    for layer, expected in ((0, first), (1, second), (-1, second), (-2, first)):
        found = model.hidden_outputs(frame, layer)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(model.hidden_outputs(frame), model.hidden_outputs(frame, 1))
    np.testing.assert_allclose(model.predict_logits(frame), logits, rtol=1e-9, atol=1e-12)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(model.predict_proba(frame), odds / odds.sum(axis=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("layer", [2, -3])
def test_a_hidden_layer_that_is_not_there(layer):
    model = lamina.fit(toy(100), "label", epochs=1, hidden_units=(7, 5))
    with pytest.raises(lamina.ConfigError, match=f"layer = {layer}, but the network has 2 hidden layers"):
        model.hidden_outputs(toy(3), layer)


def test_a_row_is_predicted_the_same_alone_and_among_others():
    frame = toy(150)
    model = lamina.fit(frame, "label", epochs=3)
    together = model.predict_proba(frame)
    assert together.dtype == np.float64
    alone = np.concatenate([model.predict_proba(frame[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together[:20], rtol=1e-12)
