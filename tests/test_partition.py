"""Folds that members hold out, and that nobody is scored on what it has learned from."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, root_mean_squared_error

import lamina
from lamina.partition import N_FOLDS, Part, held_out_by
from lamina.run import Run

OPTIONS = {"hidden_units": (4,), "epochs": 2, "seed": 0}


def frame(n: int = 160, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    return pl.DataFrame({
        "a": a, "b": b, "c": [f"level{i}" for i in rng.integers(0, 20, n)], "who": rng.integers(0, n // 5, n),
        "when": np.arange(n) * 1.0, "y": np.where(a + rng.normal(size=n) > 0, "yes", "no"), "z": a + b,
    })  # fmt: skip


def prepared(n: int = 160, target: str = "y", members: int | None = 8, **options) -> Run:
    drop = [name for name in ("who", "when", "y", "z") if name not in (target, *options.values())]
    return lamina.prepare(frame(n), target, drop=drop, members=members, **{**OPTIONS, **options})


# -- which member holds out which row


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, N_FOLDS - 1), min_size=1, max_size=50), st.integers(1, 17))
def test_folds_are_held_out_in_turn(folds, members):
    held = held_out_by(np.array(folds), members)
    assert held.shape == (len(folds), members)
    for row, fold in zip(held, folds, strict=True):
        assert np.flatnonzero(row).tolist() == list(range(fold, members, N_FOLDS))
    if members % N_FOLDS == 0:
        assert (held.sum(axis=1) == members // N_FOLDS).all()


@pytest.mark.parametrize("target", ["y", "z"])
def test_of_eight_members_two_hold_out_each_row_one_of_each_encoding(target):
    run = prepared(target=target)
    train, held = run.parts["train"], run.parts["validation"]
    holding = held_out_by(train.folds, 8)
    assert (holding.sum(axis=1) == 2).all()
    encodings = np.array(run.state.network.encodings)
    assert all(sorted(encodings[row]) == ["periodic", "piecewise_embedding"] for row in holding)
    assert np.abs(holding.sum(axis=0) - 40).max() <= 2  # a quarter each
    assert len(train) == len(held) == 160
    fold_of = dict(zip(train.positions, train.folds, strict=True))
    assert [fold_of[position] for position in held.positions] == held.folds.tolist()
    if target == "y":
        shares = [train.y[train.folds == fold].mean() for fold in range(N_FOLDS)]
        assert max(shares) - min(shares) < 0.05  # stratified


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 30))
def test_groups_are_never_split(seed, n_groups):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=60)
    data = pl.DataFrame({"x": x, "y": x + 0.1, "g": rng.permutation(np.arange(60) % n_groups)})
    run = lamina.prepare(data, "y", group="g", members=4, **OPTIONS)
    train = run.parts["train"]
    groups = data["g"].to_numpy()[train.positions]
    assert sorted(set(train.folds)) == list(range(N_FOLDS))
    for fold in range(N_FOLDS):
        assert not set(groups[train.folds == fold]) & set(groups[train.folds != fold])


def test_rows_in_order_of_time_are_held_out_once_for_all():
    run = prepared(time="when")
    assert [len(run.parts[name]) for name in ("train", "validation")] == [128, 32]
    assert run.parts["train"].folds is None
    assert run.parts["validation"].folds is None
    assert run.parts["validation"].positions.min() == 128 > run.parts["train"].positions.max()


@pytest.mark.parametrize(
    ("n", "options", "rows"),
    [
        (19, {}, {"train": 19}),
        (20, {}, {"train": 20, "validation": 20}),
        (160, {"members": 3}, {"train": 128, "validation": 32}),
        (160, {"members": 4}, {"train": 160, "validation": 160}),
        (160, {"validation": 0.25}, {"train": 120, "validation": 40}),
        (160, {"validation": 0.0}, {"train": 160}),
        (160, {"early_stopping": False}, {"train": 160}),
        (160, {"test": 0.25}, {"train": 120, "validation": 120, "test": 40}),
    ],
)
def test_when_there_are_folds(n, options, rows):
    run = prepared(n, **options)
    assert {name: len(part) for name, part in run.parts.items()} == rows
    folded = rows["train"] == rows.get("validation")
    assert all((part.folds is not None) == (folded and name != "test") for name, part in run.parts.items())


def test_members_share_the_images_that_are_held_out():
    rng = np.random.default_rng(0)
    pixels, digits = rng.integers(0, 256, (160, 4, 4), dtype=np.uint8), np.arange(160) % 2
    run = lamina.prepare((pixels, digits), members=8, **OPTIONS)
    assert {name: len(part) for name, part in run.parts.items()} == {"train": 128, "validation": 32}
    assert run.parts["train"].folds is None


def test_fewer_groups_than_folds_are_held_out_as_for_one_network():
    data = frame().with_columns(g=pl.Series(np.arange(160) % 3))
    run = lamina.prepare(data, "z", group="g", drop=["who", "when", "y"], members=8, **OPTIONS)
    assert run.parts["train"].folds is None
    groups = [set(data["g"].to_numpy()[part.positions]) for part in run.parts.values()]
    assert len(groups) == 2
    assert not groups[0] & groups[1]


def test_of_many_rows_twenty_thousand_are_watched():
    x = np.random.default_rng(0).normal(size=(20_500, 1))
    run = lamina.prepare((x, x[:, 0]), members=4, hidden_units=(), **{"epochs": 1, "seed": 0})
    train, held = run.parts["train"], run.parts["validation"]
    assert (len(train), len(held)) == (20_500, 20_000)
    assert len(set(held.positions)) == 20_000
    assert set(held.positions) <= set(train.positions)
    assert np.bincount(train.folds).tolist() == [5125] * 4


def test_rows_and_their_folds_are_taken_together():
    part = Part(
        {"numbers": np.arange(6.0)[:, None]}, np.arange(6), None, np.arange(6) * 10, np.array([0, 1, 2, 3, 0, 1])
    )
    for index in (np.array([4, 1]), np.array([False, True, False, False, True, False])):
        chosen = part.rows(index)
        assert sorted(zip(chosen.positions, chosen.folds, chosen.y, strict=True)) == [(10, 1, 1), (40, 0, 4)]
    assert part.rows(np.array([2])).weights is None


# -- honesty


def with_targets(run: Run, change) -> Run:
    """Change the targets of the training rows of fold 1, after everything was prepared."""
    train = run.parts["train"]
    y = train.y.copy()
    y[train.folds == 1] = change(y[train.folds == 1])
    run.parts = {**run.parts, "train": Part(train.arrays, y, train.weights, train.positions, train.folds)}
    return run


@pytest.mark.parametrize(
    ("target", "change", "options"),
    [
        ("y", lambda y: 1 - y, {}),
        ("y", lambda y: 1 - y, {"one_hot_levels": 0, "normalization": "batch", "dropout": 0.3}),
        ("y", lambda y: 1 - y, {"normalization": "layer", "activation": "prelu", "activation_parameters": "unit"}),
        ("z", lambda y: y[::-1] * 3 + 1, {"numeric": "periodic"}),
        ("z", lambda y: y[::-1] * 3 + 1, {"hidden_units": (), "optimizer": "sgd"}),
    ],
)
def test_what_a_member_holds_out_has_no_influence_on_its_weights(target, change, options):
    """Standardisation of the target and the order of the rows depend on all rows, so they are settled beforehand."""
    one = prepared(target=target, **options)
    other = with_targets(prepared(target=target, **options), change)
    for run in (one, other):
        assert len(list(run.train())) == 2
    members = zip(one.state.network.members(), other.state.network.members(), strict=True)
    for m, (mine, theirs) in enumerate(members):
        same = [
            torch.equal(a, b) for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        ]
        if m % N_FOLDS == 1:
            assert all(same)
        else:
            assert not torch.equal(mine.output.weight, theirs.output.weight)


def test_nothing_is_found_in_noise():
    """Levels of few rows, whose embeddings would know the targets of all rows if members shared them."""
    rng = np.random.default_rng(0)
    data = {name: [f"{name}{i}" for i in rng.integers(0, 60, 500)] for name in ("c", "d")}
    data["y"] = rng.choice(["yes", "no"], 500)
    model = lamina.fit(pl.DataFrame(data), "y", seed=0, members=8, hidden_units=(32,), epochs=30, patience=30)
    scores = model.report.scores["validation"]
    assert 0.4 < scores["roc_auc"] < 0.6
    assert 0.4 < scores["accuracy"] < 0.6
    assert scores["log_loss"] > 0.685
    assert model.evaluate(pl.DataFrame(data))["accuracy"] > 0.6  # on rows that most members have learned


def test_validation_scores_are_those_of_the_members_that_have_not_seen_the_row():
    data = frame().drop("who", "when", "z")
    model = lamina.fit(data, "y", members=8, calibrate=False, linear_share=False, dtype="float64", **OPTIONS)
    run = lamina.prepare(data, "y", members=8, calibrate=False, linear_share=False, dtype="float64", **OPTIONS)
    part = run.parts["validation"]
    each = np.stack([model.member(m).predict_proba(data)[part.positions] for m in range(8)], axis=1)
    held = held_out_by(part.folds, 8)
    p = (each * held[:, :, None]).sum(1) / 2
    scores = model.report.scores["validation"]
    assert scores["log_loss"] == pytest.approx(log_loss(part.y, p), rel=1e-9)
    assert scores["accuracy"] == pytest.approx((p.argmax(1) == part.y).mean())
    best = model.history[model.report.best_epoch - 1]
    assert best.validation_loss == pytest.approx(scores["log_loss"], rel=1e-9)
    assert model.evaluate(data)["log_loss"] != pytest.approx(scores["log_loss"], rel=1e-3)


def test_weights_of_rows_count_for_each_member():
    data = frame().with_columns(w=pl.Series(np.random.default_rng(3).random(160) + 0.1)).drop("who", "when", "y")
    run = lamina.prepare(data, "z", weight="w", members=8, **OPTIONS)
    train = run.parts["train"]
    rows = run._rows(train)
    expected = ~held_out_by(train.folds, 8) * data["w"].to_numpy()[train.positions][:, None]
    np.testing.assert_allclose(rows.weights, expected / expected.mean(), rtol=1e-6)
    assert rows.held is None
    watched = run._rows(run.parts["validation"], watched=True)
    np.testing.assert_array_equal(watched.held, held_out_by(run.parts["validation"].folds, 8))
    assert watched.weights.shape == (160,)


def test_baselines_are_fitted_without_the_rows_that_they_are_scored_on():
    data = frame().select("a", "b", "z").with_columns(z=pl.col("z") ** 2)
    run = lamina.prepare(data, "z", members=8, numeric="standard", **OPTIONS)
    train = run.parts["train"]
    found = lamina.fit(data, "z", members=8, numeric="standard", **OPTIONS).report
    assert found.scored_on == "validation"
    x = data.select("a", "b").to_numpy()[train.positions]
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), train.y[:, 0]
    constant, linear = np.empty(160), np.empty(160)
    for fold in range(N_FOLDS):
        held = train.folds == fold
        constant[held] = y[~held].mean()
        linear[held] = Ridge().fit(x[~held], y[~held]).predict(x[held])
    assert found.baselines["constant"]["rmse"] == pytest.approx(root_mean_squared_error(y, constant), rel=1e-9)
    assert found.baselines["linear"]["rmse"] == pytest.approx(root_mean_squared_error(y, linear), rel=1e-6)
    assert found.baselines["constant"]["rmse"] > y.std()  # which the mean of all rows would have


def test_other_groups_are_another_run():
    # Neither rows nor options differ, only who holds out what.
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    groups = np.arange(60) % 10
    runs = [
        lamina.prepare(pl.DataFrame({"x": x, "y": x + 0.1, "g": g}), "y", group="g", members=4, **OPTIONS)
        for g in (groups, groups, rng.permutation(groups))
    ]
    same, again, other = (run.parts["train"] for run in runs)
    assert same.arrays["numbers"].tobytes() == other.arrays["numbers"].tobytes()
    assert (same.folds == again.folds).all()
    assert (same.folds != other.folds).any()
    fingerprints = [run.fingerprint() for run in runs]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
