"""Sigmoid and tanh are one function up to affine maps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import lamina
from random_models import frame, random_model, shapes

FRAMES = {task: frame(task=task, mixed=True) for task in ("regression", "classification")}
MIXED = ("sigmoid", "tanh", "relu", "prelu")


def assert_alike(model: lamina.Model, other: lamina.Model, data, tolerance: float = 1e-12) -> None:
    expected = model.predict_logits(data)
    np.testing.assert_allclose(
        other.predict_logits(data), expected, rtol=0, atol=tolerance * (1 + np.abs(expected).max())
    )


@pytest.mark.parametrize("task", FRAMES)
@settings(max_examples=50, deadline=None)
@given(options=shapes(MIXED).filter(lambda options: {"sigmoid", "tanh"} <= set(options["activation"])))
def test_the_converted_model_predicts_the_same(task, options):
    data = FRAMES[task]
    model = random_model(data, **options)
    for convert, old, new in ((lamina.to_tanh, "sigmoid", "tanh"), (lamina.to_sigmoid, "tanh", "sigmoid")):
        converted = convert(model)
        assert_alike(model, converted, data)
        expected = [new if name == old else name for name in options["activation"]]
        assert [block.activation.record.name for block in converted.network.hidden] == expected
        assert [block.activation.record.name for block in model.network.hidden] == list(options["activation"])


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("layer", ["dense", "phm", "low_rank"])
def test_every_normalization_and_every_kind_of_layer(normalization, layer):
    options = {"hidden_units": (8, 6, 4), "normalization": normalization, "layer": layer, "phm_n": 2, "rank": 3}
    model = random_model(activation="sigmoid", **options)
    converted = lamina.to_tanh(model)
    assert_alike(model, converted, frame())
    assert converted.config.activation == "tanh"
    assert converted.config.layer == layer
    assert_alike(model, lamina.to_sigmoid(converted), frame())


def test_there_and_back_again():
    model = random_model(hidden_units=(5, 4, 3), activation=("sigmoid", "relu", "sigmoid"))
    back = lamina.to_sigmoid(lamina.to_tanh(model))
    assert back.config.activation == ("sigmoid", "relu", "sigmoid")
    for name, tensor in model.network.state_dict().items():
        torch.testing.assert_close(back.network.state_dict()[name], tensor, rtol=1e-14, atol=1e-15)


def test_one_unit_by_hand():
    # 3 sigmoid(2 x + 1) + 4 = 1.5 tanh(x + 0.5) + 5.5
    data = (np.arange(20.0)[:, None], np.arange(20.0) + 0.5)
    model = random_model(data, hidden_units=(1,), activation="sigmoid", numeric="standard")
    state = {"hidden.0.affine.weight": [[2.0]], "hidden.0.affine.bias": [1.0],
             "output.weight": [[3.0]], "output.bias": [4.0]}  # fmt: skip
    model.network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    converted = {name: tensor.tolist() for name, tensor in lamina.to_tanh(model).network.state_dict().items()}
    assert converted == {"hidden.0.affine.weight": [[1.0]], "hidden.0.affine.bias": [0.5],
                         "output.weight": [[1.5]], "output.bias": [5.5]}  # fmt: skip


@pytest.mark.parametrize("convert", [lamina.to_tanh, lamina.to_sigmoid])
def test_in_float32_and_through_a_folder(tmp_path, convert):
    data = FRAMES["classification"]
    old = "sigmoid" if convert is lamina.to_tanh else "tanh"
    model = random_model(data, hidden_units=(8, 8), activation=old, dtype="float32", normalization="batch")
    converted = convert(model)
    assert converted.config.dtype == "float32"
    assert_alike(model, converted, data, 1e-6)
    converted.save(tmp_path / "converted")
    again = lamina.load(tmp_path / "converted")
    np.testing.assert_array_equal(again.predict_proba(data), converted.predict_proba(data))


def test_far_outside_both_are_saturated_alike():
    model = random_model(hidden_units=(4, 4), activation="sigmoid", numeric="standard")
    rows = frame()[:3].with_columns(age=1e7, size=-1e9)
    assert_alike(model, lamina.to_tanh(model), rows)


def test_nothing_to_convert_is_an_error():
    model = random_model(hidden_units=(4, 3), activation=("tanh", "relu"))
    with pytest.raises(lamina.ConfigError) as error:
        lamina.to_tanh(model)
    assert str(error.value) == (
        "the model has no hidden layer with the activation 'sigmoid' to convert; it has: tanh, relu."
    )
    with pytest.raises(lamina.ConfigError) as error:
        lamina.to_sigmoid(random_model(hidden_units=()))
    assert str(error.value) == (
        "the model has no hidden layer with the activation 'tanh' to convert; it has: no hidden layer."
    )
