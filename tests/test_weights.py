"""Acceptance: a weight of 2 is the row twice and 0 its absence, in everything from the split to the last epoch."""

import warnings

import numpy as np
import polars as pl
import pytest

import lamina

OPTIONS = {"dtype": "float64", "hidden_units": (32, 16), "epochs": 6, "seed": 3}
N = 240


def mixed(n: int = N, seed: int = 0) -> pl.DataFrame:
    """Numbers with missing values, categories with missing and rare levels, dates, two targets."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.integers(0, 9, n)
    colour = rng.choice(["red", "green", "blue", None, "rare"], n, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    size = 3 * a + b * (colour == "red") + rng.normal(size=n)
    return pl.DataFrame(
        {
            "a": [None if value > 1.5 else value for value in a.tolist()],
            "b": b,
            "colour": pl.Series(colour.tolist(), dtype=pl.String),
            "day": pl.Series(rng.integers(0, 500, n)).cast(pl.Int32).cast(pl.Date),
            "kind": np.where(size + rng.normal(size=n) > 2, "big", "small"),
            "size": size,
        }
    )


def weights(n: int = N, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, n)


def with_weights(frame: pl.DataFrame, values) -> pl.DataFrame:
    return frame.with_columns(w=pl.Series(np.asarray(values)))


def repeated(frame: pl.DataFrame, counts: np.ndarray) -> pl.DataFrame:
    return frame[np.repeat(np.arange(len(frame)), counts).tolist()]


def shuffled(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame[np.random.default_rng(seed).permutation(len(frame)).tolist()]


def fit(frame: pl.DataFrame, target: str, **options) -> lamina.Model:
    other = {"kind": "size", "size": "kind"}[target]
    return lamina.fit(frame, target, drop=[other], **{**OPTIONS, **options})


def assert_same_model(one: lamina.Model, other: lamina.Model, rtol: float = 0) -> None:
    assert one.history[0].train_loss == pytest.approx(other.history[0].train_loss, rel=rtol / 1000)
    assert len(one.history) == len(other.history)
    frame = mixed(50, seed=9)
    with warnings.catch_warnings(action="ignore"):  # of a level that only held-out rows have
        np.testing.assert_allclose(one.predict_outputs(frame), other.predict_outputs(frame), rtol=rtol)
    assert one.encoder.categories == other.encoder.categories
    assert rtol or one.encoder == other.encoder
    assert (one.report.rows, one.report.best_epoch) == (other.report.rows, other.report.best_epoch)
    for part, scores in one.report.scores.items():
        assert scores == pytest.approx(other.report.scores[part], rel=rtol)


@pytest.mark.parametrize("target", ["kind", "size"])
@pytest.mark.parametrize("options", [{}, {"test": 0.2}, {"early_stopping": False}, {"numeric": "standard", "seed": 8}])
def test_whole_weights_are_rows(target, options):
    frame, counts = mixed(), weights()
    weighted = fit(with_weights(frame, counts), target, weight="w", **options)
    assert sum(weighted.report.rows.values()) == counts.sum()
    assert ("validation" in weighted.report.rows) == options.get("early_stopping", True)
    assert weighted.config.dropout == 0.2
    assert_same_model(weighted, fit(repeated(frame, counts), target, **options))


@pytest.mark.parametrize("target", ["kind", "size"])
def test_whole_weights_are_rows_in_whatever_order_they_come(target):
    frame, counts = mixed(), weights()
    weighted = fit(shuffled(with_weights(frame, counts), seed=5), target, weight="w")
    again = fit(shuffled(repeated(frame, counts), seed=6), target)
    assert_same_model(weighted, again)
    assert weighted.report.baselines == again.report.baselines


def test_weights_of_1_are_no_weights():
    frame = mixed()
    assert_same_model(fit(with_weights(frame, np.ones(N)), "kind", weight="w"), fit(frame, "kind"))


def test_weights_are_rows_with_groups_times_class_weights_and_target_transforms():
    rng = np.random.default_rng(7)
    frame = mixed().with_columns(g=pl.Series(rng.integers(0, 30, N)))
    counts = weights()
    for target, options in (
        ("kind", {"group": "g"}),
        ("size", {"time": "g"}),
        ("kind", {"class_weight": "balanced"}),
        ("size", {"target_transform": "quantile"}),
    ):
        dropped = {} if {"group", "time"} & options.keys() else {"kind": {"g": "number"}}
        weighted = fit(with_weights(frame, counts), target, weight="w", **options, **dropped)
        again = fit(repeated(frame, counts), target, **options, **dropped)
        new = frame.head(40)
        np.testing.assert_allclose(weighted.predict_outputs(new), again.predict_outputs(new), rtol=1e-6)


@pytest.mark.parametrize("target", ["kind", "size"])
def test_weights_of_held_out_rows_are_rows_in_the_scores(target):
    frame, held, counts = mixed(), mixed(80, seed=8), weights(80)
    ones = with_weights(frame, np.ones(N))
    model = fit(ones, target, weight="w", test=with_weights(held, counts))
    again = fit(ones, target, weight="w", test=with_weights(repeated(held, counts), np.ones(counts.sum())))
    assert model.report.scores["test"] == pytest.approx(again.report.scores["test"], rel=1e-9)
    assert model.evaluate(with_weights(held, counts)) == pytest.approx(model.evaluate(repeated(held, counts)), rel=1e-9)


def test_broken_weights_stay_weights_and_only_their_ratios_count():
    frame = mixed()
    broken = np.random.default_rng(2).choice([0.0, 0.3, 1.3, 2.45], len(frame))
    for target in ("kind", "size"):
        options = {"weight": "w", "min_level_rows": 1}  # what is rare is a matter of the weights' sum
        one = fit(with_weights(frame, broken), target, **options)
        assert sum(one.report.rows.values()) == (broken > 0).sum()
        assert_same_model(one, fit(with_weights(frame, 2 * broken), target, **options))
        plain = fit(frame.filter(pl.Series(broken > 0)), target, min_level_rows=1)
        new = mixed(50, seed=9)
        assert np.abs(one.predict_outputs(new) - plain.predict_outputs(new)).max() > 1e-3


def test_whole_weights_become_copies_up_to_four_times_the_rows():
    frame = mixed(40)
    at_limit = np.repeat([1, 3, 4, 8], 10)
    beyond = np.where(np.arange(40) == 0, at_limit + 1, at_limit)
    options = {"weight": "w", "epochs": 1}
    run = lamina.prepare(with_weights(frame, at_limit), "size", drop=["kind"], **{**OPTIONS, **options})
    train, held = run.parts["train"], run.parts["validation"]
    assert len(train) + len(held) == 160
    assert not set(train.positions) & set(held.positions)  # a row and its copies are on one side
    assert len(set(held.positions)) == 8  # a fifth of 40
    counts = np.bincount(np.concatenate([train.positions, held.positions]), minlength=40)
    assert counts.tolist() == at_limit.tolist()
    assert fit(with_weights(frame, beyond), "size", **options).report.rows == {"train": 40}


def test_huge_whole_weights_stay_weights():
    frame = mixed()
    huge = np.random.default_rng(4).integers(0, 1_000_000, len(frame))
    options = {"weight": "w", "min_level_rows": 1}
    for target in ("kind", "size"):
        one = fit(with_weights(frame, huge), target, **options)
        assert sum(one.report.rows.values()) == (huge > 0).sum()
        assert_same_model(one, fit(with_weights(frame, huge / 1000), target, **options), rtol=1e-6)


def test_a_full_batch_of_weights_is_the_full_batch_of_their_rows():
    # Too heavy for copies, so that the weights themselves are at work, in the encoding and in the loss.
    frame, counts = mixed(120), 3 + 3 * np.arange(120) % 7
    assert counts.sum() > 4 * 120
    options = {"dropout": 0.0, "validation": 0.0, "epochs": 3, "batch_size": 10_000, "min_level_rows": 1}
    for target in ("kind", "size"):
        weighted = fit(with_weights(frame, counts), target, weight="w", **options)
        assert weighted.report.rows == {"train": 120}
        again = fit(repeated(frame, counts), target, **options)
        assert weighted.history[-1].train_loss == pytest.approx(again.history[-1].train_loss, rel=1e-9)
        new = mixed(50, seed=9)
        np.testing.assert_allclose(weighted.predict_outputs(new), again.predict_outputs(new), rtol=1e-6)


def test_the_order_of_equal_rows_with_other_broken_weights_does_not_matter():
    rng = np.random.default_rng(0)
    few = pl.DataFrame({"a": rng.integers(0, 3, N), "kind": rng.choice(["p", "q"], N), "w": 0.1 + rng.random(N)})
    one, other = (lamina.fit(each, "kind", weight="w", **OPTIONS) for each in (few, shuffled(few, seed=5)))
    np.testing.assert_allclose(one.predict_proba(few), other.predict_proba(few), rtol=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0] * 20, "the data frame: every weight in column 'w' is 0; nothing can be learned."),
        ([1.0] + [0.0] * 19, "the data frame has 1 usable row; at least 2 are needed to learn from."),
        (
            [1.0] * 10 + [-1.0] * 10,
            "the data frame, column 'w', row 11: the weight is -1; expected a finite number of at least 0.",
        ),
        (
            [1.0, np.nan] * 10,
            "the data frame, column 'w', row 2: the weight is nan; expected a finite number of at least 0.",
        ),
        (
            [1.0, 2.0, np.inf, 1.0] * 5,
            "the data frame, column 'w', row 3: the weight is inf; expected a finite number of at least 0.",
        ),
    ],
)
def test_weights_that_cannot_be(values, expected):
    with pytest.raises(lamina.DataError) as error:
        lamina.fit(with_weights(mixed(20), values), "size", weight="w", drop=["kind"])
    assert str(error.value) == expected


def test_weights_are_numbers():
    frame = mixed(20).with_columns(w=pl.lit("heavy"))
    with pytest.raises(lamina.DataError, match="the weight column 'w' holds text; expected numbers of at least 0"):
        lamina.fit(frame, "size", weight="w", drop=["kind"])


def test_weights_of_true_and_false():
    frame, keep = mixed(), np.random.default_rng(0).random(N) < 0.7
    assert_same_model(fit(with_weights(frame, keep), "size", weight="w"), fit(frame.filter(keep), "size"))
    with pytest.raises(lamina.DataError, match="the weight column 'day' holds dates"):
        fit(frame, "size", weight="day")


def test_a_row_of_enormous_weight_drops_no_other():
    weights = np.append(np.ones(N - 1), 1e10)
    run = lamina.prepare(with_weights(mixed(), weights), "size", drop=["kind"], weight="w", **OPTIONS)
    assert sum(len(part) for part in run.parts.values()) == N
