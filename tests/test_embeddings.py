"""The periodic embedding of numbers: its formula, its gradients, its initial numbers, and its place in a network."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import lamina
from lamina.data.encoder import Encoder, NumberCode
from lamina.network.embeddings import InputLayer, Periodic, PiecewiseEmbedding
from lamina.network.mlp import MLP

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def periodic(d: int = 3, **more) -> Periodic:
    layer = Periodic(d, **{"n_frequencies": 5, "width": 2, "generator": seeded(), "dtype": F64, **more})
    layer.bias.data.normal_(generator=seeded(1))
    return layer


def by_formula(x: np.ndarray, f: np.ndarray, p: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """W^T cos(2π f s + p) + b for each column, those of a column side by side, and then s = x / sqrt(1 + (x / 3)²)."""
    s = x / np.sqrt(1 + (x / 3) ** 2)
    mixed = []
    for i in range(x.shape[1]):
        waves = np.cos(2 * np.pi * np.outer(s[:, i], f[i]) + p[i])
        mixed.append(waves @ w[i] + b[i])
    return np.concatenate([*mixed, s], axis=1)


def numbers_of(layer: Periodic) -> list[np.ndarray]:
    return [each.detach().numpy() for each in (layer.frequency, layer.phase, layer.mixture, layer.bias)]


def test_the_embedding_is_that_of_the_formula():
    layer, x = periodic(), torch.randn(20, 3, generator=seeded(2), dtype=F64) * 3
    y = layer(x).detach()
    assert layer.width == 3 * (2 + 1) == y.shape[1]
    np.testing.assert_allclose(y, by_formula(x.numpy(), *numbers_of(layer)), rtol=0, atol=1e-12)


def test_by_hand():
    layer = periodic(1, n_frequencies=1, width=1)
    for parameter, value in zip(layer.parameters(), (0.5, math.pi / 2, 3.0, 10.0), strict=True):
        parameter.data.fill_(value)
    # cos(π s + π/2) = -sin(π s), and s = 4 / sqrt(1 + (4 / 3)²) = 12 / 5 for x = 4.
    expected = [[10 - 3 * math.sin(math.pi * 2.4), 2.4], [10.0, 0.0]]
    np.testing.assert_allclose(layer(torch.tensor([[4.0], [0.0]], dtype=F64)).detach(), expected, atol=1e-12)


def test_a_value_far_outside_is_bounded_and_the_middle_is_left_alone():
    layer = periodic(1)
    x = torch.tensor([[-1e9], [-1e30], [1e9], [0.01]], dtype=F64)
    s = layer(x)[:, -1].tolist()
    assert s == pytest.approx([-3.0, -3.0, 3.0, 0.01], rel=1e-5)
    single = Periodic(1, generator=seeded(), dtype=torch.float32)(torch.tensor([[1e9], [-1e9]]))
    assert single.isfinite().all()
    assert single[:, -1].tolist() == pytest.approx([3.0, -3.0])


def test_gradients_agree_with_central_differences():
    layer, step = periodic(2, n_frequencies=3), 1e-6
    x = torch.randn(6, 2, generator=seeded(3), dtype=F64).requires_grad_()
    outer = torch.randn(6, layer.width, generator=seeded(4), dtype=F64)

    def value() -> Tensor:
        return (layer(x) * outer).sum()

    inputs = [x, *layer.parameters()]
    gradients = torch.autograd.grad(value(), inputs)
    assert [g.shape for g in gradients[1:]] == [(2, 3), (2, 3), (2, 3, 2), (2, 2)]
    for tensor, gradient in zip(inputs, gradients, strict=True):
        flat = tensor.data.view(-1)
        for i in range(len(flat)):
            middle = float(flat[i])
            ends = []
            for moved in (middle + step, middle - step):
                flat[i] = moved
                ends.append(float(value().detach()))
            flat[i] = middle
            assert float(gradient.reshape(-1)[i]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-7)


def test_initial_numbers_are_spread_as_the_paper_says():
    layer = Periodic(200, n_frequencies=50, width=4, deviation=0.7, generator=seeded(), dtype=F64)
    f, p, w, b = numbers_of(layer)
    assert (f.mean(), f.std()) == pytest.approx((0.0, 0.7), abs=0.02)
    assert -math.pi <= p.min() < -3.1
    assert 3.1 < p.max() <= math.pi
    assert p.std() == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.02)
    assert w.std() == pytest.approx(1 / math.sqrt(50), rel=0.02)
    assert not b.any()
    again = Periodic(200, n_frequencies=50, width=4, deviation=0.7, generator=seeded(), dtype=F64)
    assert all(torch.equal(one, other) for one, other in zip(layer.parameters(), again.parameters(), strict=True))


def test_flags_stand_beside_the_embedding_and_edges_have_no_effect():
    encoder = Encoder(
        (NumberCode("a", 0.0, 1.0, 0.0, True, (-1.0, 0.0, 1.0)), NumberCode("b", 0.0, 1.0, 0.0, False)), (), ()
    )
    layer = InputLayer(encoder, numbers="periodic", embedding_width=8, generator=seeded(), dtype=F64)
    x = torch.randn(5, 2, generator=seeded(1), dtype=F64)
    flags = torch.tensor([[1.0], [0.0], [0.0], [1.0], [0.0]], dtype=F64)
    y = layer({"numbers": x, "flags": flags}).detach()
    assert layer.width == 2 * 5 + 1 == y.shape[1]
    np.testing.assert_allclose(y[:, :10], by_formula(x.numpy(), *numbers_of(layer.pieces)), rtol=0, atol=1e-12)
    assert torch.equal(y[:, 10:], flags)


def test_the_network_agrees_with_numpy():
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(2)), (), ())
    network = MLP(encoder, 1, hidden_units=(4,), activation="tanh", numbers="periodic", generator=seeded(), dtype=F64)
    x = torch.randn(6, 2, generator=seeded(1), dtype=F64)
    p = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    hidden = by_formula(x.numpy(), *numbers_of(network.inputs.pieces)) @ p["hidden.0.affine.weight"]
    expected = np.tanh(hidden + p["hidden.0.affine.bias"]) @ p["output.weight"] + p["output.bias"]
    np.testing.assert_allclose(network({"numbers": x}).detach(), expected, rtol=1e-11)


def test_a_model_learns_its_frequencies_and_is_saved_with_them(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (400, 1))
    y = np.sin(5 * x[:, 0])
    options = {"hidden_units": (), "epochs": 60, "learning_rate": 0.02, "weight_decay": 0.0}
    model = lamina.fit((x, y), numeric="periodic", **options)
    straight = lamina.fit((x, y), numeric="standard", **options)
    # A line on waves follows a sine, which a line on the number itself cannot.
    assert np.sqrt(np.mean((model.predict(x) - y) ** 2)) < 0.1 < 0.6 < np.sqrt(np.mean((straight.predict(x) - y) ** 2))
    untrained = lamina.prepare((x, y), numeric="periodic", **options).current()
    frequencies = [each.network.inputs.pieces.frequency.detach() for each in (model, untrained)]
    assert float((frequencies[0] - frequencies[1]).abs().max()) > 0.01
    again = lamina.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_pieces_that_are_learned_from_are_those_of_the_formula():
    edges = [(-1.0, 0.0, 2.0), (0.0, 10.0), (-3.0, -1.0, 1.0, 3.0)]  # fewer bins than another column's are filled up
    layer = PiecewiseEmbedding(edges, width=2, generator=seeded(), dtype=F64)
    layer.bias.data.normal_(generator=seeded(1))
    x = torch.randn(30, 3, generator=seeded(2), dtype=F64) * 3
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = []
    for j, bounds in enumerate(edges):
        column = x[:, j].numpy()
        pieces = np.stack([np.clip((column - a) / (b - a), 0, 1) for a, b in pairwise(bounds)], axis=1)
        expected.append(np.maximum(0, pieces @ weight[j, : len(bounds) - 1] + bias[j]))
    assert layer.width == 6
    np.testing.assert_allclose(layer(x).detach(), np.concatenate(expected, axis=1), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(layer, (x.clone().requires_grad_(),))  # central differences
