"""A linear model's share: chosen on rows that nobody has seen, counted the same wherever the model goes."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

import lamina
from lamina import linear_share
from lamina.comparison import row_losses
from lamina.errors import ModelFileError
from lamina.export import runtime
from lamina.export.onnx import to_onnx
from lamina.linear_part import LinearPart, taken_from
from lamina.linear_share import Linear, Linears, best_share

OPTIONS = {"members": 4, "hidden_units": (16,), "epochs": 15, "seed": 0, "baselines": False}


def linear_table(n: int = 400, task: str = "classification", seed: int = 0) -> pd.DataFrame:
    """Return numbers (one with gaps), a flag, a category of three levels, one of 30, and a target that is linear."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, n))
    kind, many = rng.integers(0, 3, n), rng.integers(0, 30, n)
    gap = rng.random(n) < 0.1
    z = 2 * a - b + 0.5 * c * ~gap + np.array([-1.0, 0.0, 1.0])[kind] + gap + 0.05 * (many - 15)
    y = np.where(z + 0.5 * rng.logistic(size=n) > 0, "up", "down") if task == "classification" else 10 * z + 100
    if task == "regression":
        y = y + 3 * rng.normal(size=n)
    c[gap] = np.nan
    return pd.DataFrame(
        {"a": a, "b": b, "c": c, "kind": np.array(list("pqr"))[kind], "many": [f"m{i}" for i in many], "y": y}
    )


@pytest.fixture(scope="module", params=["classification", "regression"])
def fitted(request) -> tuple[lamina.Model, pd.DataFrame]:
    model = lamina.fit(linear_table(task=request.param), "y", **OPTIONS)
    assert model.linear is not None
    return model, linear_table(300, request.param, seed=1)


# -- the share


def squared(z: np.ndarray) -> np.ndarray:
    return (z[:, 0] - 1) ** 2


def test_the_share_is_that_of_least_loss():
    networks, linear = np.array([[0.0], [0.2], [0.1]]), np.array([[2.0], [2.1], [1.9]])
    share, before, after = best_share(networks, linear, squared, None)
    assert share == pytest.approx(0.45)  # 0.9 / 1.9 = 0.474 would have least; shares are twentieths
    # 0.9, 1.055 and 0.91
    assert after == pytest.approx((0.1**2 + 0.055**2 + 0.09**2) / 3)
    assert before == pytest.approx((1 + 0.64 + 0.81) / 3)
    # Rows of weight 0 do not count, and a row of weight 2 counts twice.
    weights = np.array([2.0, 1.0, 0.0])
    twice = best_share(networks[[0, 0, 1]], linear[[0, 0, 1]], squared, None)
    assert best_share(networks, linear, squared, weights) == pytest.approx(twice)


def test_a_gain_within_its_standard_error_gives_no_share():
    # By a share of 0.95 one row of 100 gains 1 - 0.05², and the others lose 0.00095²: on average 0.00997, and the
    # standard error of that is 0.00993. A little more loss of the others, and it is luck.
    networks, linear = np.ones((100, 1)), np.ones((100, 1))
    networks[0] = 2.0
    for off, share in ((0.001, 0.95), (0.02, 0.0)):
        linear[1:] = 1 + off
        found, before, after = best_share(networks, linear, squared, None)
        assert found == pytest.approx(share)
        assert before == pytest.approx(0.01)
        assert after == pytest.approx(0.01 if not share else (0.05**2 + 99 * (0.95 * off) ** 2) / 100)


def test_outputs_that_are_not_finite_get_no_share():
    networks = np.array([[0.0], [0.5]])
    assert best_share(networks, np.full((2, 1), np.nan), squared, None)[0] == 0.0


# -- the linear model


def test_it_is_scikit_learns(fitted):
    model, _ = fitted
    task = model.task
    run = lamina.prepare(linear_table(task=task), "y", **{k: v for k, v in OPTIONS.items() if k != "baselines"})
    train = run.parts["train"]
    y = train.y if task == "classification" else run._rows(train).target.double().numpy()
    linear = Linear.fitted(run.encoder, train.arrays, y, None, 2 if task == "classification" else 0)
    columns = linear.at(1.0).columns(train.arrays)
    found = linear.outputs(train.arrays)
    np.testing.assert_allclose(found, columns @ linear.weight + linear.bias, rtol=0, atol=1e-10)
    if task == "classification":
        reference = LogisticRegression(max_iter=100).fit(columns, y).predict_log_proba(columns)
        found = log_softmax(found, axis=1)
    else:
        reference = Ridge(tol=1e-6).fit(columns, y).predict(columns).reshape(-1, 1)
    np.testing.assert_allclose(found, reference, rtol=0, atol=2e-3)  # two solvers' tolerances
    assert len(linear.at(1.0).owners(run.encoder)) == columns.shape[1]
    assert columns.shape[1] == 3 + 1 + 3 + 30


def test_a_class_that_a_fold_lacks_is_improbable_but_not_impossible():
    run = lamina.prepare("iris", **{k: v for k, v in OPTIONS.items() if k != "baselines"})
    part = run.parts["train"].rows(run.parts["train"].y < 2)
    linear = Linear.fitted(run.encoder, part.arrays, part.y, None, 3)
    log_p = log_softmax(linear.outputs(part.arrays), axis=1)
    assert np.isfinite(log_p).all()
    assert log_p[:, 2].max() < -10
    expected = (
        LogisticRegression(max_iter=100).fit(part.arrays["numbers"], part.y).predict_proba(part.arrays["numbers"])
    )
    np.testing.assert_allclose(np.exp(log_p[:, :2]), expected, atol=1e-4)


def test_each_row_is_said_of_by_a_model_of_the_other_folds():
    run = lamina.prepare(linear_table(), "y", **{k: v for k, v in OPTIONS.items() if k != "baselines"})
    train = run.parts["train"]
    linears = Linears.fitted(run.encoder, train.arrays, train.y, None, 2, train.folds)
    found = linears.unseen(train.arrays, train.folds)
    for fold in range(4):
        outside, inside = train.rows(train.folds != fold), train.rows(train.folds == fold)
        expected = Linear.fitted(run.encoder, outside.arrays, outside.y, None, 2).outputs(inside.arrays)
        np.testing.assert_array_equal(found[train.folds == fold], expected)
    assert not np.allclose(found, linears.whole.outputs(train.arrays))
    np.testing.assert_array_equal(linears.unseen(train.arrays, None), linears.whole.outputs(train.arrays))


# -- in a model


def test_what_is_linear_is_predicted_better_with_it(fitted):
    model, new = fitted
    without = lamina.fit(linear_table(task=model.task), "y", linear_share=False, **OPTIONS)
    assert without.linear is None
    assert 0.3 <= model.linear.share <= 0.95
    y = model.schema.target.encode(model.read(new))
    losses = [row_losses(model.task, y, each.predict_outputs(new)).mean() for each in (model, without)]
    assert losses[0] < 0.97 * losses[1]
    (note,) = [note for note in model.report.notes if "linear" in note]
    assert note.startswith(f"a linear model counts for {model.linear.share:.0%} of each output: on rows that were held")
    assert f"counts for {model.linear.share:.0%} of each output" in model.summary()
    assert "linear" not in without.summary()


def test_outputs_are_shared_as_the_formula_says(fitted):
    model, new = fitted
    arrays, n = model._encoded(new)
    alone = lamina.Model(model.schema, model.encoder, model.network, model.config, model.scaler).predict_logits(new)
    part = model.linear
    expected = (1 - part.share) * alone + part.columns(arrays) @ part.weight + part.bias
    np.testing.assert_allclose(model.predict_logits(new), expected, rtol=0, atol=1e-12)
    assert n == len(new)
    if model.task == "classification":
        np.testing.assert_allclose(np.log(model.predict_proba(new)), log_softmax(expected, axis=1), atol=1e-9)


def test_scores_of_held_out_rows_are_of_models_that_have_not_seen_them():
    data = linear_table()
    run = lamina.prepare(data, "y", **{k: v for k, v in OPTIONS.items() if k != "baselines"})
    for _ in run.train():
        pass
    model = run.finish(baselines=False)
    part = run.parts["validation"]
    assert run.linears.share == model.linear.share
    found = run._of_unseen(part)  # networks scaled by the temperature of all, not of the few
    assert log_loss(part.y, found) == pytest.approx(model.report.scores["validation"]["log_loss"], abs=0.02)
    shown = model.outputs_of(part.arrays, len(part))  # all have learned from these rows
    assert log_loss(part.y, shown) < model.report.scores["validation"]["log_loss"]
    pure = run.linears.unseen(part.arrays, part.folds)
    assert np.abs(pure - run.linears.whole.outputs(part.arrays)).max() > 1e-3


def test_intervals_cover_what_they_promise(fitted):
    model, new = fitted
    if model.task == "classification":
        with pytest.raises(lamina.ConfigError, match="predict_interval is for numbers"):
            model.predict_interval(new)
        return
    low, high = model.predict_interval(new, 0.9).T
    covered = ((new["y"] >= low) & (new["y"] <= high)).mean()
    assert 0.85 < covered < 0.97
    np.testing.assert_allclose((low + high) / 2, model.predict(new), rtol=1e-9)


def test_the_model_is_the_same_wherever_it_goes(fitted, tmp_path):
    model, new = fitted
    new = new.copy()
    new.loc[3, "kind"], new.loc[4, "many"] = "never seen", None
    warnings.simplefilter("ignore", lamina.errors.LaminaWarning)
    expected = model.predict_outputs(new)
    model.save(tmp_path / "m")
    for other in (lamina.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        assert other.linear.share == model.linear.share
        np.testing.assert_array_equal(other.predict_outputs(new), expected)
    light = runtime.load(tmp_path / "m")
    scale = np.abs(expected).max()
    features = new.drop(columns="y")
    rows = features.astype(object).where(features.notna(), None).to_dict("records")
    np.testing.assert_allclose(light.predict_outputs(rows), expected, rtol=0, atol=1e-11 * scale)
    for i in (0, 3, 4, 5):
        np.testing.assert_allclose(light.predict_outputs(rows[i])[0], expected[i], rtol=0, atol=1e-11 * scale)
    assert to_onnx(model, tmp_path / "m.onnx", sample=new) < 1e-11


def test_contributions_add_up_to_the_difference(fitted):
    model, new = fitted
    why = lamina.attributions(model, new.drop(columns="y").iloc[[7]], linear_table(task=model.task))
    assert abs(why.gap) <= 1e-4 * abs(why.value - why.baseline_value)
    assert list(why.contributions) == ["a", "b", "c", "kind", "many"]
    row = model.predict_logits(new.iloc[[7]])[0]
    if model.task == "classification":
        chosen = int(model.predict_logits(new.iloc[[7]])[0].argmax())
        assert why.value == pytest.approx(row[chosen] - row[1 - chosen], rel=1e-9)
        sign = 1 if chosen == 1 else -1
    else:
        assert why.value == pytest.approx(model.predict(new.iloc[[7]])[0], rel=1e-9)
        sign = 1
    # What is linear in the truth is about so in the model: a has twice the weight of b, of the other sign.
    assert np.sign(why.contributions["a"]) == sign * np.sign(new["a"][7] - np.median(new["a"]))


def test_a_member_is_a_network_alone(fitted):
    model, new = fitted
    member = model.member(1)
    assert member.linear is None
    each = [model.member(i).predict_outputs(new) for i in range(4)]
    mean = np.mean(each, axis=0)
    assert np.abs(mean - model.predict_outputs(new)).max() > 1e-3


def test_training_goes_on_from_a_model_with_a_share(fitted):
    model, _ = fitted
    again = lamina.fit(linear_table(task=model.task), "y", start=model, **{**OPTIONS, "epochs": 2})
    assert again.linear is not None


@pytest.mark.parametrize(
    "options",
    [{"members": 1}, {"linear_share": False}, {"hidden_units": ()}, {"loss": "poisson"}, {"loss": "absolute_error"}],
)
def test_where_it_has_no_share(options):
    data = linear_table(task="regression")
    data["y"] = data["y"] - data["y"].min() + 1
    if options.get("loss") == "poisson":
        data["y"] = data["y"].round()
    assert lamina.fit(data, "y", **{**OPTIONS, "epochs": 3, **options}).linear is None


def test_neither_where_nothing_is_linear_nor_of_many_rows(monkeypatch):
    X, y = make_moons(400, noise=0.15, random_state=0)
    assert lamina.fit((X, y), **{**OPTIONS, "epochs": 40}).linear is None
    monkeypatch.setattr(linear_share, "MAX_ROWS", 399)
    assert lamina.fit(linear_table(400), "y", **OPTIONS).linear is None


@pytest.mark.parametrize("broken", ["linear.keep", "linear.weight", "linear.bias", "more"])
def test_numbers_that_are_not_of_the_columns_are_refused(fitted, broken):
    model, _ = fitted
    tensors = model.tensors()
    if broken == "more":
        tensors["linear.more"] = np.zeros(1)
    else:
        tensors[broken] = tensors[broken][:-1]
    with pytest.raises(ModelFileError, match="the linear part of the weights is not of the model's columns; train or"):
        taken_from(tensors, model.encoder, model.schema.target.n_outputs)
    missing = {name: each for name, each in model.tensors().items() if name != "linear.bias"}
    with pytest.raises(ModelFileError, match="the linear part of the weights"):
        taken_from(missing, model.encoder, model.schema.target.n_outputs)


def test_a_part_by_hand():
    part = LinearPart(0.25, np.array([[1.0], [10.0], [3.0], [5.0], [7.0]]), np.array([0.5]), 1, 1, (2, 3))
    arrays = {
        "numbers": np.array([[2.0], [0.0]]), "flags": np.array([[0.0], [1.0]]),
        "codes": np.array([[1, 2], [0, 1]], dtype=np.int32),
    }  # fmt: skip
    # 0.25 * 4 + 0.5 + 2 * 1 + 3 + 7, and 0.25 * 8 + 0.5 + 10 + 0 + 5
    assert part.blended(np.array([[4.0], [8.0]]), arrays).tolist() == [[13.5], [17.5]]
    assert part.columns(arrays).tolist() == [[2, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    assert part.share == 0.75
