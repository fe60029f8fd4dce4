"""A row and its copies are on one side of every split, whether a weight makes them or the file holds them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score, roc_auc_score

import lamina
from lamina.cli.main import run
from lamina.comparison import bootstrap_interval
from lamina.cross_validation import fold_runs
from lamina.data.copies import by_first_row, equal_rows, first_rows
from lamina.data.splits import folds, holdout
from lamina.data.weights import common_factor, whole_multiples
from lamina.linear_share import best_share

OPTIONS = {"hidden_units": (16,), "epochs": 10, "seed": 0}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def waves(n: int, seed: int = 0) -> pl.DataFrame:
    """y = x0 + sin(2 x1) + noise: the best R² there is lies near 0.6."""
    x = rng(seed).normal(size=(n, 4))
    y = x[:, 0] + np.sin(2 * x[:, 1]) + rng(seed + 1).normal(size=n)
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(4)}, "y": y})


def coins(n: int, seed: int = 0) -> pl.DataFrame:
    """Labels that nothing tells anything of, half of each."""
    columns = {f"x{i}": values for i, values in enumerate(rng(seed).normal(size=(6, n)))}
    return pl.DataFrame({**columns, "y": rng(seed + 1).permutation(np.arange(n) % 2)})


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame])


# -- which rows are copies


def test_rows_of_equal_features_have_one_number():
    hashes = np.array([7, 5, 7, 9, 5, 3], dtype=np.uint64)
    assert equal_rows(hashes, np.array([0, 1, 0, 1, 1, 0])).tolist() == [0, 1, 0, 2, 1, 3]
    assert equal_rows(np.arange(6, dtype=np.uint64), np.arange(6)) is None
    assert equal_rows(np.zeros(0, np.uint64), np.zeros(0)) is None


def test_rows_that_repeat_by_nature_are_no_copies():
    levels = rng().integers(0, 10, 1000).astype(np.uint64)
    noise = rng(1).integers(0, 2, 1000)
    assert equal_rows(levels, noise) is None
    assert equal_rows(levels, rng(2).normal(size=(1000, 1))) is None  # of numbers nearly all differ
    assert equal_rows(levels, np.stack([np.zeros(1000), noise], axis=1)) is None
    rare = (rng(3).random(1000) < 0.03).astype(int)
    assert equal_rows(levels, rare) is None  # a rare class differs rarely, and still as often as by chance
    assert equal_rows(levels, (levels % 2).astype(int)).max() == 9  # of equal targets: copies


def test_a_few_copies_with_another_target_do_not_make_it_natural():
    hashes = np.repeat(np.arange(500, dtype=np.uint64), 2)
    y = np.repeat(rng().integers(0, 2, 500), 2)
    y[:40:2] = 1 - y[:40:2]  # 20 of 500 pairs differ, where chance makes 250
    assert equal_rows(hashes, y).max() == 499
    y[:200:2] = 1 - y[:200:2]
    assert equal_rows(hashes, y) is None


def test_one_large_group_does_not_outvote_a_thousand_copies():
    hashes = np.concatenate([np.repeat(np.arange(1000), 2), np.full(200, 5000)]).astype(np.uint64)
    y = np.concatenate([np.repeat(rng().integers(0, 2, 1000), 2), np.arange(200) % 2])
    assert equal_rows(hashes, y).max() == 1000


# -- splits


units_of = st.lists(st.integers(0, 30), min_size=2, max_size=80).filter(lambda each: len(set(each)) > 3)


@settings(max_examples=200, deadline=None)
@given(codes=units_of, seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.6))
def test_units_never_cross(codes, seed, fraction):
    units = by_first_row(np.array(codes))
    y = rng(seed).integers(0, 3, len(codes))
    kept, held = holdout(fraction, y, rng(seed), is_class=True, units=units)
    assert sorted([*kept, *held]) == list(range(len(codes)))
    assert not set(units[kept]) & set(units[held])
    assert set(y[first_rows(units)]) == set(y[first_rows(units)][np.unique(units[kept])])  # each class stays
    parts = folds(3, y, rng(seed), units=units)
    assert sorted(np.concatenate(parts)) == list(range(len(codes)))
    for part in parts:
        assert not set(units[part]) & set(np.delete(units, part))


@pytest.mark.parametrize("extra", [{"group": "g"}, {"time": "t"}, {"group": "g", "time": "t"}])
def test_copies_of_another_group_or_time_are_left_out(extra):
    for seed in range(5):
        frame = doubled(coins(200, seed)).with_columns(
            g=pl.Series(rng(seed).integers(0, 300, 400)), t=pl.Series(rng(seed + 9).integers(0, 50, 400))
        )
        frame = frame.drop([name for name in ("g", "t") if name not in extra.values()])
        options = {**OPTIONS, "members": 4, "seed": seed}
        run = lamina.prepare(frame, "y", test=0.2, validation=0.2, **options, **extra)
        assert 60 <= len(run.parts["test"]) <= 130  # a fifth of 400, and ties and groups beyond it
        assert any("left out of training, as copies of test rows, which" in note for note in run.notes)
        runs = [run] if "time" in extra else [run, *fold_runs(frame, "y", folds=4, **options, **extra)]
        for each in runs:
            test, train = (each.parts[name].positions for name in ("test", "train"))
            if each is not run:  # positions there are those in two tables of their own
                assert not {*map(tuple, each.parts["test"].arrays["numbers"])} & {
                    *map(tuple, each.parts["train"].arrays["numbers"])
                }
                continue
            assert not set(test % 200) & set(train % 200)
            if "group" in extra:
                groups = frame["g"].to_numpy()
                assert not set(groups[test]) & set(groups[train])


def test_a_few_copies_do_not_join_the_groups():
    frame = waves(400).with_columns(g=pl.Series(np.arange(400) // 20))
    columns = frame.columns[:-1]
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 20 == 0).then(0.0).otherwise(pl.col(name)).alias(name) for name in columns
    )
    for seed in range(4):
        run = lamina.prepare(frame, "y", group="g", test=0.2, **{**OPTIONS, "members": 4, "seed": seed})
        assert (len(run.parts["test"]), len(run.parts["train"])) == (80, 304)
        assert "16 rows are left out of training, as copies of test rows, which have another 'g'" in run.notes
    scores = lamina.cross_validate(frame, "y", group="g", folds=4, baselines=False, **OPTIONS)
    assert scores["MLP"]["r2"]["mean"] < 0.7


@pytest.mark.parametrize("extra", [{"group": "g"}, {"time": "g"}])
def test_a_table_of_copies_in_every_group_is_refused(extra):
    frame = pl.concat([coins(60)] * 3).with_columns(g=pl.Series(np.repeat([0, 1, 2], 60)))
    with pytest.raises(lamina.DataError, match=r"is a copy of one of the test rows, which .*; take the copies out"):
        lamina.prepare(frame, "y", test=0.2, **OPTIONS, **extra)
    if "group" in extra:
        with pytest.raises(lamina.DataError, match="every row outside of a fold is a copy"):
            list(fold_runs(frame, "y", folds=3, **OPTIONS, **extra))


def test_nothing_is_found_in_noise_that_comes_twice():
    claimed = []
    for seed in range(8):
        frame = doubled(coins(160, 10 * seed)).with_columns(t=pl.Series(np.arange(320)))
        model = lamina.fit(frame, "y", time="t", test=0.25, baselines=False, **{**OPTIONS, "epochs": 25, "seed": seed})
        claimed.append(model.report.scores["test"]["roc_auc"])
    assert abs(np.mean(claimed) - 0.5) < 0.07  # it was 0.79


def test_a_table_that_repeats_by_nature_given_twice():
    hashes, y = rng().integers(0, 12, 500).astype(np.uint64), rng(1).integers(0, 2, 500)
    assert equal_rows(hashes, y) is None
    for k in (2, 3):
        order = rng(2).permutation(500 * k)
        units = equal_rows(np.tile(hashes, k)[order], np.tile(y, k)[order])
        assert np.bincount(units).tolist() == [k] * 500
        for values in (np.tile(hashes, k)[order], np.tile(y, k)[order]):
            assert (values == values[first_rows(units)][units]).all()
    once_more = np.append(np.tile(hashes, 2), hashes[0])
    assert equal_rows(once_more, np.append(np.tile(y, 2), y[0])) is None


@given(n=st.integers(8, 60), seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.6))
def test_without_copies_rows_are_divided_as_they_were(n, seed, fraction):
    y, each = rng(seed).integers(0, 2, n), np.arange(n)
    for one, other in zip(
        holdout(fraction, y, rng(seed), is_class=False),
        holdout(fraction, y, rng(seed), is_class=False, units=each),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(folds(4, y, rng(seed)), folds(4, y, rng(seed), units=each), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_row_that_would_fill_the_part_stays():
    units = by_first_row(np.array([0] * 400 + list(range(1, 201))))
    for seed in range(20):
        _, held = holdout(0.2, np.zeros(600), rng(seed), is_class=False, units=units)
        assert 0 not in units[held]
        assert 30 <= len(held) <= 50  # a fifth of the 201 distinct rows


# -- weights


@pytest.mark.parametrize(
    ("weights", "factor", "multiples"),
    [
        ([2, 2, 2], 2, [1, 1, 1]),
        ([0.5, 1, 1.5], 0.5, [1, 2, 3]),
        ([0.1, 0.2, 0.3], 0.1, [1, 2, 3]),  # 0.1 + 0.2 is not 0.3 in float64
        ([6, 10, 15], 1, [6, 10, 15]),
        ([0, 2, 4], 2, [0, 1, 2]),
        ([1e-12, 3e-12], 1e-12, [1, 3]),
        ([np.pi, 2 * np.pi], np.pi, [1, 2]),
        ([1, 1 + 1e-12], 1, [1, 1]),
        ([1, 1.37, np.sqrt(2)], 0, None),
        ([1, 2 + 1e-6], 0, None),
        ([1, 1, 1e10], 0, None),  # the ones are not nothing
        ([1e-300, 1e300], 0, None),
        ([0, 0], 0, None),
    ],
)
def test_the_common_factor_of_weights(weights, factor, multiples):
    weights = np.array(weights, dtype=np.float64)
    assert common_factor(weights) == pytest.approx(factor, rel=1e-8)
    found = whole_multiples(weights)
    assert found is None if multiples is None else found.tolist() == multiples


@pytest.mark.parametrize("task", ["y", "kind"])
def test_a_constant_changes_nothing(task):
    frame = waves(300).with_columns(kind=(pl.col("y") > 0).cast(pl.String))
    frame = frame.drop("kind" if task == "y" else "y")
    whole, broken = rng(3).integers(1, 4, 300), rng(4).random(300) + 0.1
    for weights, constants in ((whole, (2, 0.3, 7.7)), (broken, (1000.0, 1e-3)), (np.ones(300), (2, 0.1))):
        models = [
            lamina.fit(frame.with_columns(w=pl.Series(weights * c)), task, weight="w", **OPTIONS, test=0.2)
            for c in (1, *constants)
        ]
        for model in models[1:]:
            np.testing.assert_allclose(model.predict_outputs(frame), models[0].predict_outputs(frame), rtol=1e-6)
            assert model.report.rows == models[0].report.rows
            for name, scores in models[0].report.baselines.items():
                assert model.report.baselines[name] == pytest.approx(scores, rel=1e-6)
    plain = lamina.fit(frame, task, **OPTIONS, test=0.2)
    np.testing.assert_array_equal(models[1].predict_outputs(frame), plain.predict_outputs(frame))


# -- nothing is scored on what it has learned


@pytest.mark.parametrize("source", ["weights", "file"])
def test_the_claimed_score_is_that_of_new_rows(source):
    frame, new = waves(600), waves(4000, seed=10)
    options = {"preset": "fast", "seed": 0, "test": 0.2}
    if source == "weights":
        weights = pl.Series(rng(5).integers(1, 3, 600) * 2)
        model = lamina.fit(frame.with_columns(w=weights), "y", weight="w", **options)
    else:
        model = lamina.fit(doubled(frame), "y", **options)
        assert "600 of 1,200 rows are copies of another row" in " ".join(model.report.notes)
    true = r2_score(new["y"], model.predict(new))
    assert 0.4 < true < 0.6
    for part in ("validation", "test"):
        assert abs(model.report.scores[part]["r2"] - true) < 0.12  # it was 0.97 against 0.49
    low, high = model.predict_interval(new, 0.9).T
    assert 0.86 < ((low < new["y"].to_numpy()) & (new["y"].to_numpy() < high)).mean() < 0.94  # it was 0.31


def test_nothing_is_found_in_noise_that_is_weighted():
    frame = coins(300).with_columns(w=pl.Series(rng(2).integers(1, 3, 300)))
    model = lamina.fit(frame, "y", weight="w", seed=0, preset="fast", test=0.25)
    new = coins(4000, seed=20)
    assert abs(roc_auc_score(new["y"], model.predict_proba(new)[:, 1]) - 0.5) < 0.03
    assert abs(model.report.scores["test"]["roc_auc"] - 0.5) < 0.15
    assert abs(model.report.scores["validation"]["roc_auc"] - 0.5) < 0.1
    assert model.report.comparison["improvement"]["constant"]["low"] < 0


def test_the_command_reports_what_is_true(tmp_path):
    coins(300).with_columns(w=pl.lit(2)).write_csv(tmp_path / "coins.csv")
    folder = str(tmp_path / "m")
    arguments = ["train", str(tmp_path / "coins.csv"), "--target", "y", "--weight", "w", "--test", "0.2"]
    assert run([*arguments, "-o", folder, "--preset", "fast", "-q"]) == 0
    assert lamina.load(folder).report.rows["test"] == 60
    assert abs(lamina.load(folder).report.scores["test"]["roc_auc"] - 0.5) < 0.2  # it was 0.91


@pytest.mark.parametrize("extra", [{}, {"weight": "w"}, {"group": "g"}])
def test_no_part_and_no_fold_shares_a_row(extra):
    frame = doubled(coins(200)).with_columns(
        w=pl.Series(rng(3).integers(1, 4, 400)), g=pl.Series(np.tile(rng(4).integers(0, 50, 200), 2))
    )
    frame = frame.drop([name for name in ("w", "g") if name not in extra.values()])
    whole = lamina.prepare(frame, "y", test=0.2, **{**OPTIONS, "members": 4}, **extra)
    row_of = {name: set(part.positions % 200) for name, part in whole.parts.items()}
    assert not row_of["test"] & row_of["train"]
    train = whole.parts["train"]
    for fold in range(4):
        assert not set(train.positions[train.folds == fold] % 200) & set(train.positions[train.folds != fold] % 200)
    for one in fold_runs(frame, "y", folds=4, **OPTIONS, **extra):
        row_of = {name: set(part.positions % 200) for name, part in one.parts.items()}
        assert not row_of["test"] & row_of["train"]


@pytest.mark.parametrize(
    ("frame", "target"),
    [
        (
            lambda n, seed: pl.DataFrame({"a": rng(seed).integers(0, 10, n)}),
            lambda f, r: f["a"] / 10 > r.random(len(f)),
        ),
        (
            lambda n, seed: pl.DataFrame(dict(zip("abc", rng(seed).integers(0, 2, (3, n)), strict=True))),
            lambda f, r: (f["a"] + f["b"] - f["c"]).to_numpy() / 2 + r.normal(size=len(f)) > 0.5,
        ),
    ],
    ids=["ten levels", "three yes/no columns"],
)
def test_tables_that_repeat_by_nature_have_the_score_of_new_rows(frame, target):
    def rows(n, seed):
        features = frame(n, seed).with_columns(pl.all().cast(pl.String))
        numbers = features.with_columns(pl.all().cast(pl.Int64))
        return features.with_columns(y=pl.Series(np.asarray(target(numbers, rng(seed + 1)))))

    new = rows(20_000, 50)
    claimed, true = [], []
    for seed in range(4):
        model = lamina.fit(rows(800, 100 * seed), "y", preset="fast", seed=seed, test=0.25, baselines=False)
        claimed.append(model.report.scores["test"]["roc_auc"])
        true.append(model.evaluate(new)["roc_auc"])
    error = 0.5 / np.sqrt(200 / 4) / 2  # of the mean of four areas, each of 200 rows: at most
    assert abs(np.mean(claimed) - np.mean(true)) < 2 * error


def test_few_distinct_rows_hold_nothing_out():
    frame = coins(15).with_columns(y=pl.Series(np.arange(15) % 2))
    many = pl.concat([frame] * 20)
    model = lamina.fit(many, "y", test=0.2, members=4, **OPTIONS)
    assert model.report.rows == {"train": 300}
    assert model.report.scores == {}
    notes = " ".join(model.report.notes)
    assert "no test rows are held out: the 300 rows are copies of 15 distinct ones" in notes
    assert "no validation rows" in notes
    other = lamina.fit(many, "y", test=coins(50), members=4, **OPTIONS)
    assert other.report.rows == {"train": 300, "test": 50}
    twenty = lamina.fit(pl.concat([coins(24)] * 3), "y", members=4, **OPTIONS)
    assert twenty.report.rows == {"train": 72, "validation": 72}
    assert lamina.fit(frame, "y", test=0.2, members=4, **OPTIONS).report.rows == {"train": 12, "test": 3}
    timed = many.with_columns(t=pl.Series(np.arange(300)))
    assert lamina.fit(timed, "y", time="t", test=0.2, members=4, **OPTIONS).report.rows == {"train": 300}
    x, y = frame.drop("y").to_numpy(), frame["y"].to_numpy()
    estimator = lamina.MLPClassifier((4,), scoring="accuracy", early_stopping=True, validation_fraction=0.2)
    with pytest.raises(ValueError, match=r"copies of 15 distinct ones.*; pass X_val and y_val, or leave scoring out"):
        estimator.fit(x, y, sample_weight=1 + y)


def test_few_copies_are_not_told_of():
    frame = coins(400)
    notes = lamina.prepare(pl.concat([frame, frame[:4]]), "y", **OPTIONS).notes
    assert not any("copies" in note for note in notes)
    notes = lamina.prepare(pl.concat([frame, frame[:5]]), "y", **OPTIONS).notes
    assert any("5 of 405 rows are copies of another row, with the same features" in note for note in notes)


# -- what is said of held-out copies


def test_copies_say_no_more_than_the_row():
    values = rng().normal(size=200)
    units = np.repeat(np.arange(200), 3)
    plain = bootstrap_interval(values, rng=rng(1))
    copied = bootstrap_interval(np.repeat(values, 3), rng=rng(1), units=units)
    assert copied.mean == pytest.approx(plain.mean, rel=1e-12)
    assert (copied.low, copied.high) == pytest.approx((plain.low, plain.high), rel=1e-12)
    naive = bootstrap_interval(np.repeat(values, 3), rng=rng(1))
    assert naive.high - naive.low < 0.7 * (plain.high - plain.low)


def test_a_share_must_gain_as_much_with_copies_as_without():
    networks, linear, y = (rng(i).normal(size=(60, 1)) for i in range(3))
    linear = 0.25 * y + 0.1 * linear

    def of(copies):
        each = [np.repeat(values, copies, axis=0) for values in (networks, linear, y)]
        units = np.repeat(np.arange(60), copies)
        return best_share(each[0], each[1], lambda z: ((z - each[2]) ** 2)[:, 0], None, units)

    assert of(1) == pytest.approx(of(5), rel=1e-12)


def test_copies_make_no_column_a_leak():
    # Trees on one column know a row's copy by heart, and the column looked like the target's own.
    frame = doubled(doubled(coins(120)))
    model = lamina.fit(frame, "y", test=0.25, **OPTIONS)
    assert "target leak" not in [finding["name"] for finding in model.report.diagnosis]


def test_few_distinct_rows_have_no_folds():
    many = pl.concat([coins(15).with_columns(y=pl.Series(np.arange(15) % 2))] * 20)
    with pytest.raises(lamina.DataError, match="the 300 rows are copies of 15 distinct ones, and of fewer than 20 too"):
        next(fold_runs(many, "y", folds=3, **OPTIONS))
