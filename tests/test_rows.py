"""Rows as tensors: sparse ones equal dense ones, slices equal the whole, hidden outputs equal NumPy's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lamina
import lamina.training.prediction
from lamina.data.encoder import Encoder, NumberCode, SparseCode
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.training.prediction import Predictor, predict_hidden, predict_unseen
from lamina.training.rows import Rows, mean_loss, rows_at

F64 = torch.float64
pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, about its own state


def network(d: int, sparse: bool = False, **options) -> MLP:
    numbers = () if sparse else tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(d))
    encoder = Encoder(numbers, (), (), (SparseCode("x", (1.0,) * d),) if sparse else ())
    options = {"hidden_units": (5, 3), "activation": "tanh", "dtype": F64, **options}
    return MLP(encoder, 2, generator=torch.Generator().manual_seed(0), **options)


def mostly_zeros(n: int, d: int, dtype: torch.dtype = F64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(n, d, generator=generator, dtype=dtype)
    return values * (torch.rand(n, d, generator=generator) < 0.3)


@st.composite
def matrices_and_positions(draw):
    """A matrix with many zeros, all of a row's at times, and positions of rows, in any order and more than once."""
    n, d = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    values = draw(hnp.arrays(np.float64, (n, d), elements=st.sampled_from([0.0, 0.0, 0.0, 1.5, -2.0, 1e-9])))
    return values, draw(st.lists(st.integers(0, n - 1), max_size=12))


@given(matrices_and_positions())
def test_rows_of_a_sparse_matrix_are_those_of_the_dense_one(case):
    values, positions = case
    dense, index = torch.from_numpy(values), torch.tensor(positions, dtype=torch.int64)
    chosen = rows_at(dense.to_sparse_csr(), index)
    assert chosen.layout == torch.sparse_csr
    assert chosen.shape == (len(positions), values.shape[1])
    assert torch.equal(chosen.to_dense(), dense[index])
    assert len(chosen.values()) == np.count_nonzero(values[positions])
    assert torch.equal(rows_at(dense, index), dense[index])


def test_rows_are_chosen_with_their_target_and_weights():
    x = mostly_zeros(6, 4)
    rows = Rows({"sparse": x.to_sparse_csr(), "numbers": 2 * x}, torch.arange(6), torch.arange(6.0) / 2.5)
    index = torch.tensor([5, 0, 0, 3])
    chosen = rows.at(index)
    assert (len(rows), len(chosen)) == (6, 4)
    assert torch.equal(chosen.inputs["sparse"].to_dense(), x[index])
    assert torch.equal(chosen.inputs["numbers"], 2 * x[index])
    assert chosen.target.tolist() == [5, 0, 0, 3]
    assert chosen.weights.tolist() == pytest.approx([2.0, 0.0, 0.0, 1.2])
    assert Rows(rows.inputs, rows.target).at(index).weights is None


@pytest.mark.parametrize("sparse", [False, True])
def test_prediction_in_slices_equals_prediction_at_once(monkeypatch, sparse):
    mlp, x = network(6, sparse, normalization="batch", dropout=0.5), mostly_zeros(50, 6)
    inputs = {"sparse": x.to_sparse_csr()} if sparse else {"numbers": x}
    with torch.inference_mode():
        whole = mlp.eval()({"sparse": x.to_sparse_csr()} if sparse else {"numbers": x})
    mlp.train()
    for n in (7, 25, 49, 50, 51):
        monkeypatch.setattr(lamina.training.prediction, "_PREDICTION_ROWS", n)
        torch.testing.assert_close(Predictor(mlp, by_loops=False).outputs(inputs, 50), whole, rtol=1e-13, atol=1e-15)
        with torch.inference_mode():
            from_hidden = mlp.output(predict_hidden(mlp, inputs, 50, 1))
        torch.testing.assert_close(from_hidden, whole, rtol=1e-13, atol=1e-15)
    assert not mlp.training


def test_more_rows_than_one_slice_holds():
    mlp, x = network(2, dtype=torch.float32), mostly_zeros(20_000, 2, torch.float32)
    with torch.inference_mode():
        whole = mlp.eval()({"numbers": x})
    torch.testing.assert_close(
        Predictor(mlp, by_loops=False).outputs({"numbers": x}, 20_000), whole, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_no_rows_give_no_outputs(sparse):
    x = torch.zeros(0, 6, dtype=F64)
    inputs = {"sparse": x.to_sparse_csr()} if sparse else {"numbers": x}
    assert Predictor(network(6, sparse), by_loops=False).outputs(inputs, 0).shape == (0, 2)
    assert predict_hidden(network(6, sparse), inputs, 0, 0).shape == (0, 5)


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_a_sparse_network_computes_and_learns_what_a_dense_one_does(dtype):
    x = mostly_zeros(30, 6, dtype)
    dense, sparse = network(6, dtype=dtype), network(6, sparse=True, dtype=dtype)
    sparse.load_state_dict(dense.state_dict())
    by_dense, by_sparse = dense({"numbers": x}), sparse({"sparse": x.to_sparse_csr()})
    torch.testing.assert_close(by_sparse, by_dense)
    by_dense.square().mean().backward()
    by_sparse.square().mean().backward()
    for one, other in zip(sparse.parameters(), dense.parameters(), strict=True):
        assert float(other.grad.abs().max()) > 1e-3
        torch.testing.assert_close(one.grad, other.grad)


def test_hidden_outputs_agree_with_numpy():
    mlp, x = network(4, normalization="layer", dropout=0.4).train(), mostly_zeros(9, 4)
    p = {name: tensor.numpy() for name, tensor in mlp.state_dict().items()}
    h = x.numpy()
    for layer in (0, 1):
        z = h @ p[f"hidden.{layer}.affine.weight"] + p[f"hidden.{layer}.affine.bias"]
        h = np.tanh((z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5))
        hidden = predict_hidden(mlp, {"numbers": x}, 9, layer)
        np.testing.assert_allclose(hidden.numpy(), h, rtol=1e-11, atol=1e-13)
    outputs = Predictor(mlp, by_loops=False).outputs({"numbers": x}, 9)
    np.testing.assert_allclose(outputs.numpy(), h @ p["output.weight"] + p["output.bias"], rtol=1e-11, atol=1e-13)


def test_the_mean_loss_by_hand():
    loss = LOSSES["squared_error"]
    outputs, target = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[0.0], [0.0], [0.0]])
    assert mean_loss(outputs, Rows({}, target), loss) == 7.0
    assert mean_loss(outputs, Rows({}, target, torch.tensor([1.0, 0.0, 3.0])), loss) == 49 / 4


@pytest.mark.parametrize("at_once", [1, 100, 2**20])
@pytest.mark.parametrize("sparse", [False, True])
def test_minibatches_are_the_rows_in_their_order_however_many_are_copied_at_once(monkeypatch, at_once, sparse):
    monkeypatch.setattr(lamina.training.rows, "_BYTES_AT_ONCE", at_once)
    n, n_batches = 23, 5
    x = mostly_zeros(n, 3)
    inputs = {"sparse": x.to_sparse_csr()} if sparse else {"numbers": x, "codes": torch.arange(n)[:, None]}
    rows = Rows(inputs, torch.arange(n), torch.rand(n, 2), torch.rand(n, 2))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    found = list(rows.minibatches(order, n_batches))
    assert [len(each) for each in found] == [5, 5, 5, 4, 4]
    for each, index in zip(found, order.tensor_split(n_batches), strict=True):
        expected = rows.at(index)
        assert each.inputs.keys() == expected.inputs.keys()
        for name, values in expected.inputs.items():
            assert torch.equal(each.inputs[name].to_dense(), values.to_dense())
        assert torch.equal(each.target, index)
        assert torch.equal(each.weights, expected.weights)
        assert torch.equal(each.held, expected.held)
    rows.inputs[next(iter(inputs))].values().zero_() if sparse else x.zero_()
    assert any(each.inputs[next(iter(inputs))].to_dense().any() for each in found)  # copies


@pytest.mark.parametrize("members", [8, 6])
def test_members_that_have_not_seen_a_row_compute_it_and_no_others(members):
    run = lamina.prepare("wine", members=members, epochs=2, dtype="float64")
    list(run.train())
    rows, network = run._rows(run.parts["validation"], watched=True), run.state.network
    every, held = Predictor(network, by_loops=False).outputs_of_each(rows.inputs, len(rows)), rows.held > 0
    each, counted = predict_unseen(network, rows)
    assert counted.sum(1).tolist() == held.sum(1).tolist()
    assert each.shape[1] == int(held.sum(1).max()) == 2
    assert {1, 2} >= set(held.sum(1).tolist()) == ({2} if members == 8 else {1, 2})
    for i in range(len(rows)):
        torch.testing.assert_close(each[i][counted[i] > 0], every[i][held[i]], rtol=1e-12, atol=1e-12)
        assert float(each[i][counted[i] == 0].abs().sum()) == 0
    expected = network.combine(every, rows.held)
    torch.testing.assert_close(network.combine(each, counted), expected, rtol=1e-12, atol=1e-12)
    unwatched = Rows(rows.inputs, rows.target)
    each, counted = predict_unseen(network, unwatched)
    assert counted is None
    assert torch.equal(each, every)
