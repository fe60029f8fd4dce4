"""Prediction by compiled loops: what the network itself says, for any number of rows, copies and threads."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

import lamina
from lamina.native import library
from lamina.training.prediction import Predictor, predict_unseen, predictors_of

needs_loops = pytest.mark.skipif(
    library.load() is None or library.matrix_products() is None,
    reason="installed without the compiled loops, or torch's products are not MKL's",
)
pytestmark = pytest.mark.usefixtures("loops")


def frame(n: int = 1300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    letter = rng.integers(0, 20, n)
    few = np.array(list("pqr"))[rng.integers(0, 3, n)]
    y = np.sin(2 * a) + b + 0.1 * letter
    letters = np.array(list("abcdefghijklmnopqrst"))[letter]
    return pd.DataFrame({"a": a, "b": np.where(b > 1, np.nan, b), "letter": letters, "few": few, "y": y})


def run_of(**options):
    given = {"hidden_units": (20, 12), "members": 4, "dropout": 0.3, "dtype": "float64", "seed": 0, **options}
    return lamina.prepare(frame(), "y", **given)


def inputs_of(run, n: int) -> dict[str, torch.Tensor]:
    return dict(run._rows(run.parts["train"]).at(torch.arange(n)).inputs)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 600])
@pytest.mark.parametrize("options", [{}, {"members": 1, "numeric": "periodic"}, {"hidden_units": ()}])
def test_outputs_are_the_networks(n, options):
    run = run_of(**options)
    inputs = inputs_of(run, n)
    network = copy.deepcopy(run.state.network).eval()
    with torch.no_grad():
        expected, each = network(inputs), network.outputs_of_each(inputs)
    predictor = Predictor(run.state.network)
    torch.testing.assert_close(predictor.outputs(inputs, n), expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(predictor.outputs_of_each(inputs, n), each, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(Predictor(network, by_loops=False).outputs(inputs, n), expected, rtol=0, atol=1e-13)
    assert n == 1 or float(expected.std()) > 1e-3
    # New weights are taken notice of, and a copy has its own.
    other = copy.deepcopy(predictor)
    with torch.no_grad():
        for parameter in predictor.network.parameters():
            parameter.mul_(1.5)
        expected_now = copy.deepcopy(predictor.network)(inputs)
    torch.testing.assert_close(predictor.outputs(inputs, n), expected_now, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(other.outputs(inputs, n), expected, rtol=1e-12, atol=1e-13)
    assert not torch.allclose(expected, expected_now)


@needs_loops
def test_the_loops_are_used_where_they_are_known(loops):
    assert (Predictor(run_of().state.network).loops is None) == (loops != "compiled")
    for options in ({"activation": "tanh"}, {"normalization": "batch"}):
        assert Predictor(run_of(**options).state.network).loops is None


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("members", [1, 3])
def test_images(members, folded, loops):
    run = lamina.prepare("digits", hidden_units=(20,), normalization="none", dtype="float64", members=members)
    pixels = dict(run._rows(run.parts["train"]).at(torch.arange(300)).inputs)
    with torch.no_grad():
        expected = copy.deepcopy(run.state.network).eval()(pixels)
    predictor = Predictor(run.state.network)
    assert (predictor.loops is not None) == (loops == "compiled" and library.matrix_products() is not None)
    if folded:
        with torch.no_grad():
            predictor.network.fold_scaling()
    torch.testing.assert_close(predictor.outputs(pixels, 300), expected, rtol=1e-11, atol=1e-12)
    assert float(expected.std()) > 0.01


def test_members_that_have_not_seen_a_row():
    run = run_of()
    rows = run._rows(run.parts["validation"], watched=True)
    assert rows.held is not None
    found, weights = predict_unseen(run.state.network, rows)
    again, _ = predict_unseen(run.state.network, rows, predictors_of(run.state.network))
    torch.testing.assert_close(found, again, rtol=0, atol=0)
    network = copy.deepcopy(run.state.network).eval()
    with torch.no_grad():
        each = network.outputs_of_each(dict(rows.inputs))
    assert weights.sum(1).tolist() == rows.held.sum(1).tolist() == [1.0] * len(rows)
    torch.testing.assert_close(found[:, 0], each[rows.held > 0], rtol=1e-12, atol=1e-13)


def products_know_no_position(width: int) -> bool:
    """Whether a row times a matrix is the same wherever the row stands among others.

    With torch 2.13.0 and its MKL on an AMD EPYC it is not, in the last digit, where the matrix's width is no multiple
    of 8; on Intel's processors it is.
    """
    generator = torch.Generator().manual_seed(0)
    rows, matrix = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((128, 50), (50, width)))
    every = rows @ matrix
    return all(torch.equal(torch.roll(torch.roll(rows, k, 0) @ matrix, -k, 0), every) for k in range(1, 128))


@needs_loops
def test_a_row_is_the_same_to_the_last_digit_alone_and_among_others(loops):
    if loops != "compiled":
        return
    for units in ((64, 32), (65, 33)):
        run = run_of(hidden_units=units)
        inputs, predictor = inputs_of(run, 900), Predictor(run.state.network)
        assert predictor.loops is not None
        every = predictor.outputs(inputs, 900)
        for start, n in ((0, 1), (130, 7), (255, 300), (899, 1)):
            part = {name: values[start : start + n] for name, values in inputs.items()}
            found = predictor.outputs(part, n)
            torch.testing.assert_close(found, every[start : start + n], rtol=1e-12, atol=1e-15)
            if units == (64, 32) or products_know_no_position(65):
                assert torch.equal(found, every[start : start + n])
    assert predictor.outputs({name: values[:0] for name, values in inputs.items()}, 0).shape == (0, 1)


def test_a_model_that_has_predicted_can_be_copied_and_sent():
    model = lamina.fit(frame(), "y", epochs=1, hidden_units=(8,), members=4, seed=0)
    expected = model.predict(frame())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(other.predict(frame()), expected, rtol=1e-12)


@pytest.mark.parametrize("of_images", [False, True])
def test_several_threads_predict_with_one_model(of_images):
    if of_images:
        images = load_digits().images
        model = lamina.fit("digits", epochs=1, hidden_units=(64, 64), seed=0)
        parts = [images[i * 150 : i * 150 + 150] for i in range(4)]
    else:
        model = lamina.fit(frame(), "y", epochs=1, hidden_units=(64, 64), members=4, seed=0)
        parts = [frame().iloc[i * 150 : i * 150 + 150] for i in range(4)]
    expected = [model.predict_outputs(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            for found, wanted in zip(pool.map(model.predict_outputs, parts), expected, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-12)
