"""A collapsed model predicts what the model did, and is as small as it can be."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.activations import ACTIVATIONS
from random_models import NUMBERS, frame, random_model, shapes
from test_stages import bend, registered  # noqa: F401  (a fixture)

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}


def n_parameters(model: lamina.Model) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())


def assert_alike(model: lamina.Model, other: lamina.Model, data, tolerance: float = 1e-12) -> None:
    for predict in (lamina.Model.predict_outputs, lamina.Model.predict_logits):
        if predict is lamina.Model.predict_logits and model.task == "regression":
            continue  # in the network's own unit, which the target's scaling changes
        expected = predict(model, data)
        size = 1 + np.abs(expected).max()
        np.testing.assert_allclose(predict(other, data), expected, rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=50, deadline=None)
@given(options=shapes(("identity", "identity", "relu", "tanh", "prelu")))
def test_the_collapsed_model_predicts_the_same(task, options):
    data = FRAMES[task]
    model = random_model(data, **options)
    result = lamina.collapse(model, data)
    assert_alike(model, result.model, data, 1e-11)  # columns such as 1985 ± 20 lose a hundredth of the digits
    names = options["activation"] if options["hidden_units"] else ()
    kept = [(units, name) for units, name in zip(options["hidden_units"], names) if name != "identity"]  # noqa: B905
    assert result.model.config.hidden_units == tuple(units for units, _ in kept)
    assert [block.activation.record.name for block in result.model.network.hidden] == [name for _, name in kept]
    assert result.model.config.normalization == "none"
    assert result.parameters_saved == n_parameters(model) - n_parameters(result.model)
    assert result.max_difference == np.abs(result.model.predict_outputs(data) - model.predict_outputs(data)).max()


@settings(max_examples=30, deadline=None)
@given(options=shapes(("identity", "relu"), max_depth=2), shift=st.sampled_from([0.0, 1e2, 1e3]))
def test_in_float32_as_many_digits_are_lost_as_the_mean_has_deviations(options, shift):
    rng = np.random.default_rng(options["seed"])
    data = pl.DataFrame({name: rng.normal(shift, 1, 60) for name in NUMBERS} | {"y": rng.normal(0, 1, 60)})
    model = random_model(data, **{**options, "numeric": "standard"}, dtype="float32")
    result = lamina.collapse(model, data)
    assert result.model.config.dtype == "float32"
    assert_alike(model, result.model, data, 1e-6 * (1 + shift) * 10)
    tighter = lamina.collapse(random_model(data, **{**options, "numeric": "standard"}), data)
    assert tighter.max_difference <= 1e-13 * (1 + shift) * 10


def test_a_deep_linear_network_is_a_linear_model_of_raw_columns():
    data = frame()
    model = random_model(data, hidden_units=(8, 8), activation="identity", numeric="standard", normalization="batch")
    result = lamina.collapse(model, data)
    small = result.model
    assert small.network.n_layers == 1
    assert small.config.hidden_units == ()
    assert [(code.mean, code.scale) for code in small.encoder.numbers] == [(0.0, 1.0)] * 3
    assert [(column.mean, column.scale) for column in small.scaler.columns] == [(0.0, 1.0)]
    assert (n_parameters(small), result.parameters_saved) == (4, 3 * 8 + 8 + 2 * 8 + 8 * 8 + 8 + 2 * 8 + 8 + 1 - 4)
    weight = small.network.output.weight.detach().numpy()
    bias = small.network.output.bias.detach().numpy()
    by_hand = data.select(NUMBERS).to_numpy() @ weight + bias
    np.testing.assert_allclose(by_hand, model.predict_outputs(data), rtol=1e-11)
    assert result.notes == (
        "2 hidden layers without a nonlinearity folded into the affine map behind",
        "batch normalization is folded into the affine maps before it",
        "the standardisation is in the first layer, which takes the columns as they are",
        "the scaling of the target is in the last layer",
    )
    assert small.report.notes[-4:] == list(result.notes)


def test_identity_and_relu_share_their_affine_maps():
    model = random_model(hidden_units=(5, 4), activation=("identity", "relu"), numeric="standard")
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    small = lamina.collapse(model).model
    assert (small.config.hidden_units, small.config.activation) == ((4,), "relu")
    assert small.network.hidden[0].affine.weight.shape == (3, 4)
    assert_alike(model, small, frame())
    assert all((before[name] == tensor).all() for name, tensor in model.network.state_dict().items())
    assert lamina.collapse(model).max_difference is None


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_units": (6, 5, 4), "activation": ("relu", "identity", "prelu"), "activation_parameters": "unit"},
        {"hidden_units": (6,), "activation": "identity", "numeric": "standard"},
        {"hidden_units": (6, 3), "activation": ("tanh", "identity"), "normalization": "batch"},
        {"hidden_units": (6, 3), "activation": ("tanh", "identity"), "normalization": "layer"},
    ],
)
@pytest.mark.parametrize("task", FRAMES)
def test_it_is_saved_and_loaded_and_trained_on(tmp_path, options, task):
    data = FRAMES[task]
    small = lamina.collapse(random_model(data, **options)).model
    small.save(tmp_path / "small")
    again = lamina.load(tmp_path / "small")
    np.testing.assert_array_equal(again.predict_outputs(data), small.predict_outputs(data))
    assert again.summary() == small.summary()
    options = {"epochs": 1, "validation": 0.0, "learning_rate": 1e-12, "dtype": "float64"}
    more = lamina.fit(data, "y", start=again, baselines=False, **options)
    np.testing.assert_allclose(more.predict_outputs(data), small.predict_outputs(data), rtol=1e-7, atol=1e-7)


def test_missing_values_keep_their_median():
    data = FRAMES["regression"]
    model = random_model(data, hidden_units=(4,), numeric="standard", activation="identity")
    small = lamina.collapse(model).model
    assert small.encoder.numbers[0].median == model.encoder.numbers[0].median
    missing = data.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in NUMBERS)
    assert_alike(model, small, missing)


def test_the_piecewise_linear_encoding_keeps_its_standardisation():
    model = random_model(hidden_units=(5, 4), activation="identity", numeric="piecewise_linear")
    result = lamina.collapse(model, frame())
    assert result.model.encoder == model.encoder
    assert result.model.network.n_layers == 1
    assert result.notes[1] == (
        "the standardisation of numbers stays: the piecewise-linear encoding is behind it, unlike with "
        "numeric='standard'"
    )
    assert result.max_difference < 1e-11


def test_columns_that_cannot_come_as_they_are_stay_standardised():
    rng = np.random.default_rng(0)
    data = frame().with_columns(
        age=pl.lit(rng.normal(1.7e9, 1e7, 60)),
        size=pl.lit(rng.normal(1e6, 1, 60)),
        year=pl.lit(rng.normal(0, 1e-12, 60)),
    )
    model = random_model(data, hidden_units=(4,), activation="identity", numeric="standard", dtype="float32")
    result = lamina.collapse(model, data)
    assert result.notes[1:-1] == (
        "column 'age' stays standardised: as they are, its values may be clipped",
        "column 'size' stays standardised: as they are, its values differ too little",
        "column 'year' stays standardised: as they are, its values differ too little",
    )
    assert result.model.encoder == model.encoder
    assert_alike(model, result.model, data, 1e-5)
    exact = lamina.collapse(random_model(data, hidden_units=(), numeric="standard"), data)
    assert exact.model.encoder.numbers[1].mean == 0
    assert exact.max_difference < 1e-7


def test_pixels_and_sparse_columns_come_as_they_are():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 3, 3), dtype=np.uint8), rng.integers(0, 3, 30)
    model = random_model((images, labels), hidden_units=(6, 4), normalization="batch")
    small = lamina.collapse(model).model
    assert (small.encoder.images[0].mean, small.encoder.images[0].scale) == (0.0, 1.0)
    assert_alike(model, small, images)

    x = scipy.sparse.random_array((30, 6), density=0.4, rng=rng, format="csr") * 7
    model = random_model((x, labels), hidden_units=(6, 4), activation="identity")
    small = lamina.collapse(model).model
    assert small.encoder.blocks[0].scales == (1.0,) * 6
    assert_alike(model, small, x)


@pytest.mark.parametrize(
    "options", [{"target_transform": "log1p"}, {"target_transform": "quantile"}, {"loss": "huber"}]
)
def test_the_scaling_of_the_target_goes_into_the_last_layer_under_any_transform(options):
    data = frame().with_columns(pl.col("y").abs())
    model = random_model(data, hidden_units=(4,), **options)
    small = lamina.collapse(model).model
    assert [(column.mean, column.scale) for column in small.scaler.columns] == [(0.0, 1.0)]
    assert small.scaler.columns[0].knots == model.scaler.columns[0].knots
    assert_alike(model, small, data)


def test_an_output_map_keeps_the_scaling_of_the_target():
    data = frame().with_columns(pl.col("y").abs().round())
    model = random_model(data, hidden_units=(4,), loss="poisson")
    result = lamina.collapse(model, data)
    assert result.model.scaler == model.scaler
    assert result.notes[-1] == "the scaling of the target stays: the output map of the loss poisson is before it"
    assert_alike(model, result.model, data)


def test_several_targets_and_labels():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 2, (40, 3))
    for y in (rng.normal([0, 100], [1, 30], (40, 2)), rng.integers(0, 2, (40, 2))):
        model = random_model((x, y), hidden_units=(4, 4), activation=("identity", "relu"), numeric="standard")
        assert_alike(model, lamina.collapse(model).model, x)


def test_layer_normalization_stays():
    model = random_model(hidden_units=(5, 4), activation="identity", normalization="layer", numeric="standard")
    result = lamina.collapse(model, frame())
    assert result.model.config.hidden_units == (5, 4)
    assert result.model.config.normalization == "layer"
    assert result.parameters_saved == 0
    assert result.notes[0] == "the normalization of the hidden layers is not affine, so that they stay as they are"
    assert result.max_difference < 1e-11


@pytest.mark.parametrize("layer", ["phm", "low_rank"])
def test_layers_of_fewer_numbers_become_dense(layer):
    model = random_model(
        hidden_units=(8, 4), activation=("relu", "identity"), layer=layer, phm_n=2, rank=2, numeric="standard"
    )
    result = lamina.collapse(model, frame())
    assert (result.model.config.layer, result.model.config.hidden_units) == ("dense", (8,))
    assert_alike(model, result.model, frame())


def test_a_bottleneck_costs_what_it_saved():
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(40, 12)), rng.normal(size=(40, 12)))
    model = random_model(data, hidden_units=(2,), activation="identity", numeric="standard")
    assert lamina.collapse(model).parameters_saved == (12 * 2 + 2 + 2 * 12 + 12) - (12 * 12 + 12)


def test_an_affine_activation_of_ones_own_is_folded(registered):  # noqa: F811
    record = replace(
        ACTIVATIONS["identity"],
        name="doubled",
        function=lambda x: 2 * x + 1,
        derivative=lambda x: torch.full_like(x, 2),
    )
    model = random_model(hidden_units=(5, 4), activation=(registered(record), "relu"), numeric="standard")
    small = lamina.collapse(model).model
    assert small.config.hidden_units == (4,)
    assert_alike(model, small, frame())


def test_an_activation_that_hides_its_kinks_stays(registered):  # noqa: F811
    name = registered(bend("secretly_bent", ()))
    model = random_model(hidden_units=(5, 4), activation=name)
    assert lamina.collapse(model).model.config.hidden_units == (5, 4)
    assert_alike(model, lamina.collapse(model).model, frame())


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(lamina.SchemaError, match=r"lacks the column 'year'"):
        lamina.collapse(random_model(hidden_units=(2,)), frame().drop("year"))


def test_what_the_data_makes_the_model_say_is_said_once():
    data = frame().with_columns(extra=pl.lit(1))
    with pytest.warns(lamina.LaminaWarning) as said:
        lamina.collapse(random_model(hidden_units=(2,)), data)
    assert len(said) == 1
