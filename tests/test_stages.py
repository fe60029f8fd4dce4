"""A network taken apart into affine maps and elementwise pieces is the network."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings

import lamina
from lamina.activations import ACTIVATIONS, Activation, Kink
from lamina.analysis.row_function import CLIP, row_function
from lamina.analysis.stages import ROUNDING, Elementwise, Stage, elementwise_of
from lamina.network.layers import Activate
from random_models import PIECEWISE_LINEAR, frame, outputs, random_model, shapes

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}


@pytest.fixture
def registered():
    """Register activations for one test."""
    names = []

    def register(record: Activation) -> str:
        ACTIVATIONS.register(record)
        names.append(record.name)
        return record.name

    yield register
    for name in names:
        del ACTIVATIONS._records[name]


def bend(name: str, kinks: tuple[Kink, ...]) -> Activation:
    """min(|x|, 2): kinks at -2, 0 and 2."""
    return Activation(
        name=name, formula="min(|x|, 2)", derivative_formula="", source="", gain=1.0, initializer="he",
        limits=(2.0, 2.0),
        function=lambda x: x.abs().clamp(max=2),
        derivative=lambda x: torch.where(x.abs() < 2, torch.sign(x), torch.zeros_like(x)),
        kinks=kinks, piecewise_linear=True,
    )  # fmt: skip


def test_every_piecewise_linear_activation_is_tested():
    assert {record.name for record in ACTIVATIONS if record.piecewise_linear} == set(PIECEWISE_LINEAR)


@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_pieces_are_the_function_and_its_declared_derivative_kinks_included(name):
    activate = Activate(name, 3, "unit", torch.float64)
    if activate.parameter is not None:
        activate.parameter.data = torch.tensor([0.25, -0.5, 1.75], dtype=torch.float64)
    parameter = () if activate.parameter is None else (activate.parameter,)
    z = (torch.arange(-600, 601, dtype=torch.float64) / 200)[:, None].repeat(1, 3)
    assert {-1.0, 0.0, 1.0} <= set(z[:, 0].tolist())
    pieces = elementwise_of(activate, 3)
    np.testing.assert_allclose(pieces(z.numpy()), activate(z).detach().numpy(), rtol=1e-15, atol=1e-15)
    slopes, _ = pieces.pieces_at(z.numpy())
    np.testing.assert_array_equal(slopes, activate.record.derivative(z, *parameter).detach().numpy())


@pytest.mark.parametrize("name", [each for each in ACTIVATIONS.names() if each not in PIECEWISE_LINEAR])
def test_a_curved_activation_has_no_pieces(name):
    assert elementwise_of(Activate(name, 2), 2) is None


def test_an_activation_of_ones_own_has_the_pieces_that_its_kinks_name(registered):
    kinks = (Kink(2.0, "right"), Kink(-2.0, "left"), Kink(0.0, "left"))
    name = registered(bend("tent", kinks))
    pieces = elementwise_of(Activate(name, 1), 1)
    np.testing.assert_array_equal(pieces.kinks[:, 0], [-2, 0, 2])
    z = np.linspace(-5, 5, 101)[:, None]
    np.testing.assert_allclose(pieces(z), np.minimum(np.abs(z), 2), atol=1e-15)
    model = random_model(hidden_units=(5, 4), activation=name)
    row = frame()[:1]
    np.testing.assert_allclose(
        row_function(model, row)(row_function(model, row).point[None]), model.predict_outputs(row)
    )


@pytest.mark.parametrize("kinks", [(), (Kink(0.0, "left"),)])
def test_kinks_that_the_record_forgets_are_found(registered, kinks):
    name = registered(bend("hidden_bend", kinks))
    model = random_model(hidden_units=(5, 4), activation=("relu", name))
    with pytest.raises(lamina.ConfigError) as error:
        row_function(model, frame()[:1])
    assert str(error.value) == (
        "the activation 'hidden_bend' of hidden layer 2 calls itself piecewise linear, but bends or jumps where its "
        "record has no kink; register a lamina.activations.Activation whose kinks name every bend."
    )


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=40, deadline=None)
@given(options=shapes())
def test_the_function_of_a_row_is_the_model(task, options):
    data = FRAMES[task]
    model = random_model(data, **options)
    fixed = data[3]
    function = row_function(model, fixed)
    assert function.columns == ("age", "size", "year")
    assert function.fixed == {"kind": fixed["kind"][0], "day": str(fixed["day"][0])[:10]}
    rows = pl.concat([fixed] * 20).with_columns(
        age=pl.lit(np.linspace(0, 80, 20)),
        size=pl.lit(np.linspace(-2, 15, 20)),
        year=pl.lit(np.linspace(1900, 2050, 20)),
    )
    x = rows.select("age", "size", "year").to_numpy()
    np.testing.assert_allclose(function(x), outputs(model, rows), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear"])
def test_a_missing_number_is_no_coordinate(numeric):
    model = random_model(FRAMES["regression"], hidden_units=(6,), numeric=numeric)
    row = FRAMES["regression"][7]
    assert np.isnan(row["age"][0])
    function = row_function(model, row)
    assert function.columns == ("size", "year")
    assert function.fixed["age"] == ""
    np.testing.assert_allclose(function(function.point[None]), model.predict_outputs(row), rtol=1e-12)


def test_pixels_are_coordinates_alone_and_beside_numbers():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 3, 4), dtype=np.uint8), rng.integers(0, 3, 40)
    alone = random_model((images, labels), hidden_units=(6, 5))
    function = row_function(alone, images[:1])
    assert function.columns[:5] == ("image[0,0]", "image[0,1]", "image[0,2]", "image[0,3]", "image[1,0]")
    assert len(function.stages) == 3
    others = images.reshape(40, -1).astype(float)
    np.testing.assert_allclose(function(others), alone.predict_logits(images), rtol=1e-12, atol=1e-12)

    table = lamina.read_table(frame(40)).with_column("picture", lamina.read_table(images).columns["image"])
    for numeric in ("standard", "piecewise_linear"):
        beside = random_model(table, hidden_units=(6, 5), numeric=numeric, normalization="batch")
        function = row_function(beside, {**frame(1).to_dicts()[0], "picture": images[5]})
        assert function.columns[2:5] == ("year", "picture[0,0]", "picture[0,1]")
        numbers = frame(40).select("age", "size", "year").to_numpy()
        found = function(np.concatenate([numbers, others], axis=1))
        np.testing.assert_allclose(found, beside.predict_outputs(table), rtol=1e-12, atol=1e-12)


def test_values_far_away_are_clipped_as_in_the_encoder():
    model = random_model(hidden_units=(3,), numeric="standard")
    code = model.encoder.numbers[0]
    rows = pl.concat([frame()[:1]] * 4).with_columns(
        age=pl.lit(np.array([0.5, 0.999, 1.001, 5.0]) * CLIP * code.scale + code.mean)
    )
    expected = model.predict_outputs(rows)
    assert expected[2] == expected[3]
    function = row_function(model, frame()[:1])
    found = function(rows.select("age", "size", "year").to_numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_how_far_rounding_goes_is_known_from_what_a_bias_was_summed_from():
    stage = Stage(
        np.array([[3.0], [4.0]]), np.array([-2.0]), Elementwise.identity(1), shift=np.array([10.0, 0.0]), size=5.0
    )
    np.testing.assert_allclose(stage.affine(np.array([[11.0, 1.0]])), [[5.0]])
    along = stage.along(np.array([8.0, 2.0]), np.array([[1.0, 1.0]]))
    np.testing.assert_allclose(along.affine(np.array([[3.0]])), stage.affine(np.array([[11.0, 5.0]])))
    # |8 - 10| * 3 + |2| * 4 + |-2| + 5 = 21 and the bias itself, -6 + 8 - 2 = 0; slope 3 + 4.
    np.testing.assert_allclose(along.noise(np.array([[3.0]])), [[ROUNDING * (3 * 7 + 0 + 21)]])


def test_a_row_may_be_a_frame_an_array_or_a_mapping():
    x = frame().select("age", "size", "year").to_numpy()
    unnamed = random_model((x, frame()["y"].to_numpy()), hidden_units=(4,))
    expected = unnamed.predict_outputs(x[:1])
    shuffled = {"x2": x[0, 2], "x0": x[0, 0], "x1": str(x[0, 1])}
    for row in (x[:1], x[0], [x[0].tolist()], shuffled):
        function = row_function(unnamed, row)
        np.testing.assert_allclose(function(function.point[None]), expected, rtol=1e-12)

    model = random_model(FRAMES["regression"], hidden_units=(4,))
    row = FRAMES["regression"][0].to_dicts()[0]
    assert isinstance(row["day"], datetime)
    for each in (row, {**row, "day": row["day"].isoformat()}, {**row, "age": None, "kind": None}):
        function = row_function(model, each)
        same = pl.DataFrame({key: [value] for key, value in each.items()})
        np.testing.assert_allclose(function(function.point[None]), model.predict_outputs(same), rtol=1e-12)


def test_outputs_have_names():
    names = {
        task: row_function(random_model(data, hidden_units=(3,)), data[:1]).outputs for task, data in FRAMES.items()
    }
    assert names == {"regression": ("y",), "classification": ("logit(no)", "logit(perhaps)", "logit(yes)")}
    counts = frame().with_columns(pl.col("y").abs().round())
    log = random_model(counts, hidden_units=(3,), target_transform="log1p")
    poisson = random_model(counts, hidden_units=(3,), loss="poisson")
    for model in (log, poisson):
        function = row_function(model, counts[:1])
        assert function.outputs == ("output(y)",)
        np.testing.assert_allclose(function(function.point[None]), model.predict_logits(counts[:1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"activation": ("relu", "tanh")},
            "the activation 'tanh' of hidden layer 2 is not piecewise linear; "
            "train with one that is: identity, relu, leaky_relu, prelu, hard_tanh.",
        ),
        (
            {"normalization": "layer"},
            "the normalization of hidden layer 1 is not piecewise linear; train with normalization='none' or 'batch'.",
        ),
    ],
)
def test_what_is_not_piecewise_linear_is_refused(options, text):
    model = random_model(hidden_units=(4, 3), **options)
    with pytest.raises(lamina.ConfigError) as error:
        row_function(model, frame()[:1])
    assert str(error.value) == text


def test_sparse_input_is_refused():
    x = scipy.sparse.random_array((30, 6), density=0.4, rng=np.random.default_rng(0), format="csr")
    model = random_model((x, np.arange(30.0)), hidden_units=(4,))
    with pytest.raises(
        lamina.ConfigError, match=r"trained on a sparse matrix, which this does not follow; train on X\.toa"
    ):
        row_function(model, x[:1])


def test_a_row_without_numbers_is_refused():
    data = pl.DataFrame({"kind": ["a", "b", "c"] * 10, "y": np.arange(30) % 7 + 0.5})
    model = random_model(data, hidden_units=(4,))
    with pytest.raises(lamina.ConfigError, match="row has no number that could vary: the model has neither"):
        row_function(model, data[:1])


def test_a_row_that_is_none_is_refused():
    model = random_model(hidden_units=(4,))
    with pytest.raises(lamina.DataError) as error:
        row_function(model, frame()[:2], "a")
    assert str(error.value) == "a holds 2 rows, expected one; pass one, such as data[:1]."
    with pytest.raises(lamina.SchemaError, match=r"a lacks the column 'year'\."):
        row_function(model, {"age": 1.0, "size": 2.0}, "a")
    with pytest.raises(lamina.SchemaError, match="row is no mapping from column to value"):
        row_function(model, {"age": [1, "x"], "size": 2.0, "year": 3.0})
    with pytest.warns(lamina.LaminaWarning, match="ignored the columns that the model does not know: extra"):
        row_function(model, {**frame()[0].to_dicts()[0], "extra": 1})


def test_the_schema_is_not_changed_by_a_mapping():
    x = frame().select("age", "size").to_numpy()
    model = random_model((x, frame()["y"].to_numpy()), hidden_units=(2,))
    before = replace(model.schema)
    row_function(model, {"x0": 1.0, "x1": 2.0})
    assert model.schema == before
    assert not model.schema.named
