"""Layers and network: values against independent references, shapes, parameters, initial weights."""

import numpy as np
import pytest
import torch

from lamina.data.encoder import CategoryCode, Encoder, ImageCode, NumberCode, SparseCode
from lamina.network.embeddings import CategoryInput, InputLayer, PiecewiseLinear
from lamina.network.layers import NORMALIZATIONS, Activate, Affine, Dropout
from lamina.network.mlp import MLP

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers_encoder(n: int) -> Encoder:
    return Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(n)), (), ())


def test_affine_is_x_w_plus_b():
    layer = Affine(3, 2, initializer="he", gain=1.0, generator=seeded(), dtype=F64)
    layer.bias.data.copy_(torch.tensor([0.5, -1.0]))
    x = torch.randn(4, 3, generator=seeded(1), dtype=F64)
    expected = x.numpy() @ layer.weight.detach().numpy() + np.array([0.5, -1.0])
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-14)


def test_dropout_keeps_the_mean_and_draws_from_its_own_generator():
    layer = Dropout(0.3).train()
    layer.generator = seeded(5)
    x = torch.ones(200, 500)
    before = torch.get_rng_state()
    y = layer(x)
    assert torch.equal(before, torch.get_rng_state())
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    layer.train().generator = seeded(5)
    assert torch.equal(layer(x), y)
    assert layer.eval()(x) is x


def test_learned_parameter_by_layer_or_by_unit():
    by_layer, by_unit = Activate("prelu", 4, "layer"), Activate("prelu", 4, "unit")
    assert by_layer.parameter.tolist() == [0.25]
    assert by_unit.parameter.shape == (4,)
    by_unit.parameter.data.copy_(torch.tensor([0.0, 0.1, 0.2, 1.0]))
    x = torch.full((2, 4), -2.0)
    torch.testing.assert_close(by_unit(x), torch.tensor([[0.0, -0.2, -0.4, -2.0]] * 2))
    torch.testing.assert_close(by_layer(x), torch.full((2, 4), -0.5))


def test_piecewise_linear_encoding_by_hand():
    layer = PiecewiseLinear([(-1.0, 0.0, 2.0), (0.0, 10.0)], F64)
    x = torch.tensor([[-5.0, 5.0], [-0.5, 0.0], [0.5, 100.0], [2.0, -3.0]], dtype=F64)
    expected = [[0, 0, 0.5], [0.5, 0, 0], [1, 0.25, 1], [1, 1, 0]]
    assert layer(x).tolist() == expected


def test_a_narrow_bin_keeps_its_digits_in_float32():
    low, high = float(np.float32(1.0)), float(np.nextafter(np.float32(1.0), np.float32(2.0)))
    layer = PiecewiseLinear([(low, high)], torch.float32)
    assert layer(torch.tensor([[low], [high]])).flatten().tolist() == [0.0, 1.0]


def test_categories_one_hot_and_embedded():
    layer = CategoryInput([3, 5, 2], [True, False, True], 2, seeded(), F64)
    codes = torch.tensor([[1, 4, 0], [2, 0, 1], [0, 2, 1]], dtype=torch.int32)
    y = layer(codes)
    assert layer.width == 2 + 1 + 2 == y.shape[1]
    assert y[:, :3].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    table = layer.tables[0]
    torch.testing.assert_close(y[:, 3:], table[torch.tensor([4, 0, 2])])
    assert table[0].tolist() == [0.0, 0.0], "a level that was never seen says nothing"


def test_the_input_layer_puts_everything_side_by_side():
    encoder = Encoder(
        (NumberCode("a", 0, 1, 0, True),),
        (CategoryCode("c", ("x", "y"), True, False),),
        (ImageCode("i", (1, 2), 100.0, 50.0),),
    )
    layer = InputLayer(encoder, embedding_width=4, generator=seeded(), dtype=F64)
    y = layer(
        {
            "numbers": torch.tensor([[0.5]], dtype=F64),
            "flags": torch.tensor([[1.0]], dtype=F64),
            "codes": torch.tensor([[2]], dtype=torch.int32),
            "pixels": torch.tensor([[0, 150]], dtype=torch.uint8),
        }
    )
    assert y.tolist() == [[0.5, 1.0, 0.0, 1.0, -2.0, 1.0]]
    assert layer.width == 6


def test_the_network_agrees_with_numpy():
    network = MLP(
        numbers_encoder(3), 2, hidden_units=(4, 5), activation=("tanh", "sigmoid"), generator=seeded(), dtype=F64
    )
    x = torch.randn(6, 3, generator=seeded(1), dtype=F64)
    p = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    h = np.tanh(x.numpy() @ p["hidden.0.affine.weight"] + p["hidden.0.affine.bias"])
    h = 1 / (1 + np.exp(-(h @ p["hidden.1.affine.weight"] + p["hidden.1.affine.bias"])))
    expected = h @ p["output.weight"] + p["output.bias"]
    np.testing.assert_allclose(network({"numbers": x}).detach().numpy(), expected, rtol=1e-12)


def test_batch_norm_agrees_with_its_formula():
    network = MLP(
        numbers_encoder(3), 1, hidden_units=(4,), normalization="batch", generator=seeded(), dtype=F64
    ).train()
    x = torch.randn(8, 3, generator=seeded(1), dtype=F64)
    z = x.numpy() @ network.hidden[0].affine.weight.detach().numpy()
    normal = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    expected = np.maximum(normal, 0) @ network.output.weight.detach().numpy()
    np.testing.assert_allclose(network({"numbers": x}).detach().numpy(), expected, rtol=1e-10)
    assert network.needs_two_rows


def test_layer_norm_agrees_with_its_formula():
    network = MLP(
        numbers_encoder(3), 1, hidden_units=(4,), normalization="layer", generator=seeded(), dtype=F64
    ).train()
    norm = network.hidden[0].norm
    assert norm.weight.tolist() == [1.0] * 4
    assert norm.bias.tolist() == [0.0] * 4
    gamma, beta = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.0, 0.1, 0.7, -0.2])
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(gamma))
        norm.bias.copy_(torch.from_numpy(beta))
    # The last two rows are all but constant after the affine map, so that ε counts.
    x = torch.randn(8, 3, generator=seeded(1), dtype=F64) * torch.tensor([1.0] * 6 + [1e-3] * 2, dtype=F64)[:, None]
    z = x.numpy() @ network.hidden[0].affine.weight.detach().numpy()
    normal = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    assert np.abs(normal[6:]).max() < 1 < np.abs(normal[:6]).max()
    expected = np.maximum(gamma * normal + beta, 0)
    np.testing.assert_allclose(network.hidden_output({"numbers": x}, 0).detach().numpy(), expected, rtol=1e-10)
    output = expected @ network.output.weight.detach().numpy()
    np.testing.assert_allclose(network({"numbers": x}).detach().numpy(), output, rtol=1e-10)
    assert torch.equal(network.eval()({"numbers": x}), network.train()({"numbers": x}))


@pytest.mark.parametrize(("name", "depends"), [("batch", True), ("layer", False), ("none", False)])
def test_whether_a_row_depends_on_the_others_in_training(name, depends):
    network = MLP(numbers_encoder(3), 2, hidden_units=(4, 4), normalization=name, generator=seeded(), dtype=F64).train()
    x = torch.randn(6, 3, generator=seeded(1), dtype=F64)
    among_others, among_fewer = network({"numbers": x}).detach()[:2], network({"numbers": x[:2]}).detach()
    assert (float((among_others - among_fewer).abs().max()) > 0.1) is depends
    if not depends:
        torch.testing.assert_close(among_others, among_fewer, rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(network({"numbers": x[:1]}).detach(), among_others[:1], rtol=1e-13, atol=1e-15)
    network.eval()
    torch.testing.assert_close(network({"numbers": x})[:1], network({"numbers": x[:1]}), rtol=1e-13, atol=1e-15)


def test_two_rows_are_needed_where_a_hidden_layer_looks_across_rows():
    def needs(hidden_units, normalization) -> bool:
        options = {"hidden_units": hidden_units, "normalization": normalization}
        return MLP(numbers_encoder(3), 2, **options, generator=seeded()).needs_two_rows

    assert [needs((4,), name) for name in ("none", "layer", "batch")] == [False, False, True]
    assert needs((), "batch") is False
    assert {n.name: n.across_rows for n in NORMALIZATIONS} == {"batch": True, "layer": False}


def test_hidden_outputs_lead_to_the_output():
    network = MLP(
        numbers_encoder(3), 2, hidden_units=(4, 5), activation=("tanh", "relu"), normalization="layer",
        generator=seeded(), dtype=F64,
    ).eval()  # fmt: skip
    x = torch.randn(6, 3, generator=seeded(1), dtype=F64)
    first, second = (network.hidden_output({"numbers": x}, layer) for layer in (0, 1))
    assert (first.shape, second.shape) == ((6, 4), (6, 5))
    assert torch.equal(first, torch.tanh(network.hidden[0].norm(x @ network.hidden[0].affine.weight)))
    assert torch.equal(second, network.hidden[1](first))
    assert torch.equal(network({"numbers": x}), network.output(second))
    assert float(second.detach().min()) == 0.0


def test_a_normalization_is_listed_and_counted():
    network = MLP(numbers_encoder(4), 3, hidden_units=(5,), normalization="layer", dropout=0.1, generator=seeded())
    assert [(row.name, row.kind, row.output, row.n_parameters) for row in network.summary()] == [
        ("inputs", "input", (4,), 0),
        ("hidden 1", "affine", (5,), 25),
        ("hidden 1", "norm", (5,), 10),
        ("hidden 1", "relu", (5,), 0),
        ("hidden 1", "dropout", (5,), 0),
        ("output", "affine", (3,), 18),
    ]


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, about its own state
def test_sparse_inputs_stay_sparse_up_to_the_first_affine_map():
    encoder = Encoder((), (), (), (SparseCode("x", (1.0,) * 3),))
    layer = InputLayer(encoder, embedding_width=4, generator=seeded(), dtype=F64)
    x = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, -3.0]])
    y = layer({"sparse": x.to_sparse_csr()})
    assert (layer.width, y.layout, y.dtype) == (3, torch.sparse_csr, F64)
    assert torch.equal(y.to_dense(), x.double())


def test_layers_and_parameters_are_counted_as_the_text_does():
    network = MLP(numbers_encoder(4), 3, hidden_units=(5,), generator=seeded())
    assert network.n_layers == 2
    assert sum(row.n_parameters for row in network.summary()) == 4 * 5 + 5 + 5 * 3 + 3
    rows = [(row.name, row.kind, row.output, row.n_parameters) for row in network.summary()]
    assert rows == [
        ("inputs", "input", (4,), 0),
        ("hidden 1", "affine", (5,), 25),
        ("hidden 1", "relu", (5,), 0),
        ("output", "affine", (3,), 18),
    ]


def test_without_hidden_units_it_is_linear():
    network = MLP(numbers_encoder(2), 3, hidden_units=(), generator=seeded(), dtype=F64)
    x, y = torch.randn(2, 1, 2, generator=seeded(1), dtype=F64)
    at = lambda v: network({"numbers": v})  # noqa: E731
    torch.testing.assert_close(at(0.3 * x + 0.7 * y), 0.3 * at(x) + 0.7 * at(y), rtol=1e-12, atol=1e-14)
    assert network.n_layers == 1


@pytest.mark.parametrize(("name", "rule"), [("relu", "he"), ("tanh", "xavier"), ("identity", "lecun")])
def test_the_activation_chooses_the_initial_weights(name, rule):
    auto = MLP(numbers_encoder(30), 2, hidden_units=(40,), activation=name, generator=seeded())
    told = MLP(numbers_encoder(30), 2, hidden_units=(40,), activation=name, initial_weights=rule, generator=seeded())
    assert torch.equal(auto.hidden[0].affine.weight, told.hidden[0].affine.weight)
    assert auto.hidden[0].affine.bias.tolist() == [0.0] * 40


def test_a_signal_keeps_its_size_through_twenty_relu_layers():
    network = MLP(numbers_encoder(256), 1, hidden_units=(256,) * 20, generator=seeded(), dtype=F64)
    x = torch.randn(100, 256, generator=seeded(1), dtype=F64)
    h = network.hidden(x)
    assert 0.5 < float(h.detach().square().mean()) < 2.0
