"""Layers that learn fewer numbers: values and gradients against the dense matrix that they stand for."""

import re

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.data.encoder import Encoder, NumberCode
from lamina.network.layers import Affine
from lamina.network.mlp import MLP
from lamina.network.saving_layers import AFFINE_LAYERS, PHM, LowRank
from lamina.training.optimizers import split_parameters

F64 = torch.float64
SAVING = ["phm", "low_rank"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(
    kind: str, fan_in: int, fan_out: int, *, phm_n: int = 4, rank: int = 3, seed: int = 0, rule: str = "he", **more
):
    options = {"initializer": rule, "gain": 1.0, "dtype": F64, **more}
    return AFFINE_LAYERS[kind].make(fan_in, fan_out, phm_n=phm_n, rank=rank, generator=seeded(seed), **options)


def randomized(layer: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    """The layer with every number drawn anew, the biases and A included."""
    generator = seeded(seed)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=generator)
    return layer


def rows(n_rows: int, width: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(n_rows, width, generator=seeded(seed), dtype=F64)


def network(layer: str = "dense", **options) -> MLP:
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(6)), (), ())
    options = {"hidden_units": (8, 4), "dtype": F64, **options}
    return MLP(encoder, 3, layer=layer, generator=seeded(), **options)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 6), fan_in=st.integers(1, 14), blocks=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_weight_is_the_sum_of_kronecker_products_and_the_input_continues_with_zeros(n, fan_in, blocks, seed):
    layer = randomized(made("phm", fan_in, n * blocks, phm_n=n), seed)
    A, S, bias = (parameter.detach().numpy() for parameter in (layer.A, layer.S, layer.bias))
    whole = sum(np.kron(a, s) for a, s in zip(A, S, strict=True))
    padding = -fan_in % n
    assert whole.shape == (fan_in + padding, n * blocks)
    np.testing.assert_allclose(layer.weight.detach().numpy(), whole[:fan_in], rtol=1e-13, atol=1e-13)
    x = rows(5, fan_in)
    padded = np.pad(x.numpy(), ((0, 0), (0, padding)))
    np.testing.assert_allclose(layer(x).detach().numpy(), padded @ whole + bias, rtol=1e-11, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(fan_in=st.integers(1, 9), fan_out=st.integers(1, 9), rank=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_low_rank_weight_has_its_rank(fan_in, fan_out, rank, seed):
    layer = randomized(made("low_rank", fan_in, fan_out, rank=rank), seed)
    r = min(rank, fan_in, fan_out)
    assert (tuple(layer.U.shape), tuple(layer.V.shape)) == ((fan_in, r), (r, fan_out))
    weight = layer.U.detach().numpy() @ layer.V.detach().numpy()
    assert np.linalg.matrix_rank(weight) == r
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-13, atol=1e-13)
    x = rows(5, fan_in)
    expected = x.numpy() @ weight + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-11, atol=1e-12)


def test_n_1_is_the_dense_layer():
    dense, phm = network("dense"), network("phm", phm_n=1)
    for ours, theirs in zip(phm.hidden, dense.hidden, strict=True):
        assert ours.affine.A.tolist() == [[[1.0]]]
        assert torch.equal(ours.affine.weight, theirs.affine.weight)
    assert torch.equal(phm.output.weight, dense.output.weight)
    x = rows(7, 6)
    assert torch.equal(phm({"numbers": x}), dense({"numbers": x}))


def test_n_2_starts_as_the_multiplication_of_complex_numbers():
    layer = made("phm", 6, 4, phm_n=2)
    x = rows(5, 6)
    factors = torch.complex(layer.S[0], layer.S[1]).detach()
    product = torch.complex(x[:, :3], x[:, 3:]) @ factors
    expected = torch.cat([product.real, product.imag], dim=1)
    torch.testing.assert_close(layer(x).detach(), expected, rtol=1e-13, atol=1e-14)


def hamilton(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The product of two quaternions a + bi + cj + dk, written out."""
    a, b, c, d = p
    e, f, g, h = q
    return np.array(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ]
    )


def test_n_4_can_be_the_multiplication_of_quaternions():
    layer = randomized(made("phm", 8, 12, phm_n=4))
    # Row a of A_i holds the signs of (unit a) times (unit i): 1, i, j, k on the right.
    one, i, j, k = np.eye(4)
    for number, unit in enumerate((one, i, j, k)):
        table = np.stack([hamilton(left, unit) for left in (one, i, j, k)])
        layer.A.data[number] = torch.from_numpy(table)
    assert layer.A[1].tolist() == [[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]]
    layer.bias.data.zero_()
    x = rows(1, 8)
    left, right = x.numpy().reshape(4, 2), layer.S.detach().numpy()
    expected = np.zeros((4, 3))
    for s in range(2):
        for t in range(3):
            expected[:, t] += hamilton(left[:, s], right[:, s, t])
    np.testing.assert_allclose(layer(x).detach().numpy().reshape(4, 3), expected, rtol=1e-13, atol=1e-14)
    # The length of a product of quaternions is the product of their lengths.
    single = randomized(made("phm", 4, 4, phm_n=4))
    single.A.data.copy_(layer.A)
    single.bias.data.zero_()
    y = rows(9, 4)
    lengths = y.norm(dim=1) * single.S.norm()
    torch.testing.assert_close(single(y).norm(dim=1), lengths, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("rule", ["he", "xavier", "lecun"])
@pytest.mark.parametrize(
    ("kind", "options"), [("phm", {"phm_n": 3}), ("phm", {"phm_n": 8}), ("low_rank", {"rank": 20})]
)
def test_initial_weights_have_the_variance_of_the_rule(kind, options, rule):
    fan_in, fan_out, gain = 200, 240, 1.7
    wanted = {"he": gain**2 / fan_in, "xavier": 2 / (fan_in + fan_out), "lecun": 1 / fan_in}[rule]
    weights = [
        made(kind, fan_in, fan_out, rule=rule, gain=gain, seed=seed, **options).weight.detach() for seed in range(20)
    ]
    variances = torch.stack(weights).square().mean(dim=0)
    assert float(variances.mean()) == pytest.approx(wanted, rel=0.02)
    # No part of the matrix is larger than another: halves of it, by rows and by columns.
    for half in (variances[:100], variances[100:], variances[:, :120], variances[:, 120:]):
        assert float(half.mean()) == pytest.approx(wanted, rel=0.04)
    assert float(torch.stack(weights).mean()) == pytest.approx(0, abs=0.01 * wanted**0.5)


def test_a_phm_weight_is_distributed_as_the_rule_is():
    layer = made("phm", 203, 120, phm_n=4, rule="xavier")
    bound = (6 / 323) ** 0.5
    weight = layer.weight.detach()
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert float((weight.abs() < bound / 2).double().mean()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", SAVING)
def test_a_signal_keeps_its_size_through_ten_layers(kind):
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(256)), (), ())
    deep = MLP(encoder, 1, hidden_units=(256,) * 10, layer=kind, rank=64, generator=seeded(), dtype=F64)
    h = deep.hidden(rows(100, 256))
    assert 0.3 < float(h.detach().square().mean()) < 3.0


@pytest.mark.parametrize("fan_in", [8, 7, 2])
def test_gradients_of_phm_are_those_of_the_dense_matrix(fan_in):
    layer = randomized(made("phm", fan_in, 8, phm_n=4))
    x, g = rows(5, fan_in), rows(5, 8, seed=3)
    torch.autograd.backward(layer(x), g)
    dense = torch.zeros(8, 8, dtype=F64)  # the rows behind fan_in meet zeros: their gradient is 0
    dense[:fan_in] = x.T @ g
    p = layer.S.shape[1]
    blocks = dense[: 4 * p].reshape(4, p, 4, 2)
    torch.testing.assert_close(
        layer.A.grad, torch.einsum("asct,ist->iac", blocks, layer.S.detach()), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        layer.S.grad, torch.einsum("asct,iac->ist", blocks, layer.A.detach()), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(layer.bias.grad, g.sum(0), rtol=1e-13, atol=1e-13)


def test_gradients_of_low_rank_are_those_of_the_dense_matrix():
    layer = randomized(made("low_rank", 7, 5, rank=3))
    x, g = rows(6, 7), rows(6, 5, seed=3)
    torch.autograd.backward(layer(x), g)
    dense = x.T @ g
    torch.testing.assert_close(layer.U.grad, dense @ layer.V.detach().T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.V.grad, layer.U.detach().T @ dense, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.bias.grad, g.sum(0), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", SAVING)
def test_gradients_agree_with_central_differences(kind):
    layer = randomized(made(kind, 6, 8, phm_n=4, rank=2))
    x = rows(4, 6)
    step = 1e-6
    torch.autograd.backward(torch.tanh(layer(x)).sum())
    for parameter in layer.parameters():
        flat, by_autograd = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(len(flat)):
            value = float(flat[i])
            ends = []
            for shifted in (value + step, value - step):
                flat[i] = shifted
                ends.append(float(torch.tanh(layer(x)).detach().sum()))
            flat[i] = value
            assert float(by_autograd[i]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, about its own state
@pytest.mark.parametrize("kind", SAVING)
def test_sparse_rows_give_what_dense_ones_do(kind):
    x = rows(6, 7) * (rows(6, 7, seed=5) > 0.5)
    dense, sparse = (randomized(made(kind, 7, 8)) for _ in range(2))
    torch.testing.assert_close(sparse(x.to_sparse_csr()), dense(x), rtol=1e-12, atol=1e-13)
    for layer, given_x in ((dense, x), (sparse, x.to_sparse_csr())):
        torch.autograd.backward(layer(given_x).square().sum())
    for ours, theirs in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-12)


def test_a_number_of_units_that_n_does_not_divide_is_refused():
    with pytest.raises(lamina.ConfigError) as caught:
        network("phm", hidden_units=(8, 130))
    assert str(caught.value) == (
        "hidden_units = 130 is no multiple of phm_n = 4, as the layer phm needs it; take 128 or 132 units, "
        "or another phm_n."
    )
    with pytest.raises(lamina.ConfigError, match=r"hidden_units = 3 is no multiple of phm_n = 4.*; take 4 units, or"):
        lamina.fit("iris", layer="phm", hidden_units=(3,))


def test_counts_follow_the_formulas_of_the_records():
    counts = {kind: sum(p.numel() for p in made(kind, 784, 256, rank=16).parameters()) for kind in ("dense", *SAVING)}
    assert counts == {"dense": 784 * 256 + 256, "phm": 4**3 + 784 * 256 // 4 + 256, "low_rank": (784 + 256) * 16 + 256}
    names = {"fan_in": 784, "fan_out": 256, "n": 4, "r": 16}
    for record in AFFINE_LAYERS:
        formula = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", record.n_parameters.replace("^", "**"))
        assert eval(formula, {}, names) == counts[record.name], record.name
        assert record.source


def test_matrices_decay_and_biases_do_not():
    for kind, names in (("phm", {"A", "S"}), ("low_rank", {"U", "V"})):
        saving = network(kind)
        matrices, others = split_parameters(saving)
        decaying = {name for name, p in saving.named_parameters() if any(p is m for m in matrices)}
        assert decaying == {f"hidden.{i}.affine.{name}" for i in (0, 1) for name in names} | {"output.weight"}
        assert len(others) == 3


@pytest.mark.parametrize(("kind", "module"), [("dense", Affine), ("phm", PHM), ("low_rank", LowRank)])
def test_hidden_layers_are_of_the_kind_and_the_output_is_dense(kind, module):
    ours = network(kind, phm_n=2, rank=2)
    assert [type(block.affine) for block in ours.hidden] == [module, module]
    assert type(ours.output) is Affine
    assert [row.kind for row in ours.summary()][1::2] == [kind if kind in SAVING else "affine"] * 2 + ["affine"]
    assert [row.output for row in ours.summary()] == [(6,), (8,), (8,), (4,), (4,), (3,)]
    assert [tuple(block.affine.weight.shape) for block in ours.hidden] == [(6, 8), (8, 4)]


def test_layers_describe_themselves():
    assert repr(made("phm", 6, 8)) == "PHM(6 -> 8, n = 4)"
    assert repr(made("low_rank", 6, 8, rank=2)) == "LowRank(6 -> 8, rank 2)"


@pytest.mark.parametrize("kind", SAVING)
def test_a_model_learns_and_is_saved_with_what_it_learned(kind, tmp_path):
    model = lamina.fit("digits", layer=kind, phm_n=4, rank=12, hidden_units=(64,), epochs=15, seed=0)
    dense = lamina.fit("digits", hidden_units=(64,), epochs=1, baselines=False)
    assert model.report.scores["validation"]["accuracy"] > 0.93
    loaded = lamina.load(model.save(tmp_path / "m"))
    assert (loaded.config.layer, loaded.config.phm_n, loaded.config.rank) == (kind, 4, 12)
    np.testing.assert_array_equal(loaded.predict_proba("digits"), model.predict_proba("digits"))
    assert loaded.summary() == model.summary()
    learned = {"phm": 64 + 64 * 64 // 4 + 64, "low_rank": 128 * 12 + 64}[kind]
    assert [row.n_parameters for row in model.network.summary()][1] == learned
    assert f"{kind:<14}{64:>10}{learned:>14,}" in model.summary()
    assert len(model.summary().splitlines()) == len(dense.summary().splitlines())


@pytest.mark.parametrize("kind", SAVING)
def test_a_prediction_is_that_of_the_composed_matrices(kind):
    model = lamina.fit("iris", layer=kind, numeric="standard", hidden_units=(8, 8), rank=2, epochs=3, seed=0)
    estimator = lamina.MLPClassifier()
    estimator.model_ = model
    (W1, W2, W3), (b1, b2, b3) = estimator.coefs_, estimator.intercepts_
    assert [W.shape for W in (W1, W2, W3)] == [(4, 8), (8, 8), (8, 3)]
    x = model.encoder.transform(model.schema.check(model.read("iris"))[0], "float64")["numbers"]
    h = np.maximum(np.maximum(x @ W1 + b1, 0) @ W2 + b2, 0)
    # coefs_ are composed in float32, predictions in float64.
    np.testing.assert_allclose(h @ W3 + b3, model.predict_logits("iris"), rtol=1e-5, atol=1e-5)


def test_training_goes_on_with_the_layers_of_the_model_that_it_starts_from():
    first = lamina.fit("iris", layer="low_rank", rank=3, epochs=2, seed=0)
    second = lamina.fit("iris", start=first, epochs=1, seed=0)
    assert (second.config.layer, second.config.rank) == ("low_rank", 3)
    with pytest.raises(
        lamina.ConfigError, match=r"^layer = 'phm', but the model to start from was trained with 'low_rank'"
    ):
        lamina.fit("iris", start=first, layer="phm")


@pytest.mark.parametrize("kind", SAVING)
@pytest.mark.parametrize("options", [{"optimizer": "lbfgs"}, {"normalization": "batch"}, {"activation": "prelu"}])
def test_other_options_go_with_it(kind, options):
    model = lamina.fit("iris", layer=kind, hidden_units=(8,), epochs=30, seed=0, **options)
    assert model.history[-1].train_loss < 0.5 * model.history[0].train_loss


@pytest.mark.parametrize("kind", SAVING)
def test_a_sparse_matrix_is_learned_from(kind):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((300, 30), density=0.2, rng=rng, format="csr")
    y = np.where(X[:, [0]].toarray()[:, 0] + X[:, [1]].toarray()[:, 0] > 0, "yes", "no")
    model = lamina.fit((X, y), layer=kind, hidden_units=(16,), epochs=60, seed=0)
    assert (model.predict(X) == y).mean() > 0.9
