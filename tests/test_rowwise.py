"""Whether a row's output depends on the others of its minibatch: from the layers, and as measured."""

import doctest
import importlib

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch

import lamina
from lamina.activations import ACTIVATIONS

PLAIN = "every layer computes each row by itself"


def untrained(data="iris", target=None, **options) -> lamina.Model:
    return lamina.prepare(data, target, **{"hidden_units": (8, 8), **options}).current()


@pytest.fixture
def own_activations():
    before = dict(ACTIVATIONS._records)
    yield
    ACTIVATIONS._records.clear()
    ACTIVATIONS._records.update(before)


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_plain_layers_take_each_row_by_itself(normalization):
    answer = lamina.rowwise(untrained(normalization=normalization, dropout=0.0))
    assert answer.is_rowwise is answer.training.is_rowwise is answer.evaluation.is_rowwise is True
    assert answer.max_difference == max(answer.training.max_difference, answer.evaluation.max_difference) < 1e-12
    assert answer.training.reason == answer.evaluation.reason == PLAIN
    assert answer.reason == f"in training, {PLAIN}; in evaluation, {PLAIN}"


def test_batch_normalization_looks_across_rows_in_training_only():
    answer = lamina.rowwise(untrained(normalization="batch"))
    assert (answer.is_rowwise, answer.training.is_rowwise, answer.evaluation.is_rowwise) == (False, False, True)
    assert answer.training.max_difference == answer.max_difference > 0.1
    assert answer.evaluation.max_difference < 1e-12
    assert answer.training.reason == (
        "the normalization 'batch' looks across the minibatch: γ (x - mean) / sqrt(variance + ε) + β, "
        "mean and variance of a unit over the minibatch"
    )
    assert answer.evaluation.reason == (
        "the normalization 'batch' uses what it has seen in training, the same for every minibatch"
    )


def test_the_measured_difference_is_that_of_the_model_in_training():
    run = lamina.prepare(
        "iris", normalization="batch", hidden_units=(8,), dropout=0.0, numeric="standard", dtype="float64"
    )
    x = torch.from_numpy(run.parts["train"].arrays["numbers"])
    network = run.state.network.train()
    among, alone = network({"numbers": x})[:2], network({"numbers": x[:2]})
    # Two rows, standardised over themselves, are at ±1 in every unit: their own values are lost.
    assert float((among - alone).detach().abs().max()) > 0.1
    assert not lamina.rowwise(run.current()).training.is_rowwise


def test_without_hidden_layers_there_is_no_batch_normalization():
    answer = lamina.rowwise(untrained(normalization="batch", hidden_units=()))
    assert (answer.is_rowwise, answer.training.reason) == (True, PLAIN)


def test_dropout_is_random_and_still_row_by_row():
    answer = lamina.rowwise(untrained(dropout=0.5))
    assert answer.training.is_rowwise
    assert answer.training.max_difference < 1e-12
    assert answer.training.reason == f"{PLAIN}, and dropout draws for each row anew"
    assert answer.evaluation.reason == PLAIN


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, about its own state
@pytest.mark.parametrize("kind", ["images", "sparse", "mixed"])
def test_every_kind_of_input(kind):
    rng = np.random.default_rng(0)
    n = 200
    y = np.arange(n) % 2
    target = None
    if kind == "images":
        data = (rng.integers(0, 256, (n, 5, 4)).astype(np.uint8), y)
    elif kind == "sparse":
        data = (scipy.sparse.random_array((n, 12), density=0.3, rng=rng, format="csr"), y)
    else:
        target = "y"
        number = [None if i % 9 == 0 else float(v) for i, v in enumerate(rng.normal(size=n))]
        many = [f"l{i % 15}" for i in range(n)]
        data = pl.DataFrame({"a": number, "few": ["u", "v"] * (n // 2), "many": many, "y": y})
    answer = lamina.rowwise(untrained(data, target, normalization="none"))
    assert (answer.is_rowwise, answer.max_difference < 1e-12) == (True, True)
    assert lamina.rowwise(untrained(data, target, normalization="batch")).training.max_difference > 0.1


def test_an_activation_that_looks_across_rows_is_found_by_measuring(own_activations):
    def across(x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0, keepdim=True) if x.ndim == 2 else x

    lamina.register_activation("centred", across)
    answer = lamina.rowwise(untrained(activation="centred", dropout=0.0))
    for mode in (answer.training, answer.evaluation):
        assert not mode.is_rowwise
        assert mode.max_difference > 0.01
        assert mode.reason == (
            f"no layer should look across rows, but outputs of the same rows differ by {mode.max_difference:.2g}: "
            "an activation or normalization of your own does"
        )


@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_several_members_are_answered_for_together(normalization):
    model = untrained(members=4, normalization=normalization)
    answer = lamina.rowwise(model)
    alone = [lamina.rowwise(model.member(i)) for i in range(4)]
    modes = (answer.training.is_rowwise, answer.evaluation.is_rowwise)
    assert modes == (normalization != "batch", True)
    assert {(each.training.is_rowwise, each.evaluation.is_rowwise) for each in alone} == {modes}
    assert {each.reason for each in alone} == {answer.reason}
    # Of each member's outputs in training; one of them has the largest difference.
    largest = max(each.training.max_difference for each in alone)
    assert answer.training.max_difference == pytest.approx(largest, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("members", [1, 3])
def test_the_model_is_left_as_it_is(members):
    model = lamina.fit("iris", members=members, normalization="batch", epochs=2, dtype="float64", baselines=False)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    first, second = lamina.rowwise(model), lamina.rowwise(model)
    assert first == second
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    assert not model.network.training


def test_the_example_runs():
    assert doctest.testmod(importlib.import_module("lamina.analysis.rowwise")) == (0, 2)
