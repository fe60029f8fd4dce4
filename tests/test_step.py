"""One training step of the 4-5-3 network of the textbook's figure, worked by hand, and the parts of a step."""

import numpy as np
import pytest
import torch

from lamina.data.encoder import Encoder, NumberCode
from lamina.losses import LOSSES
from lamina.network.mlp import MLP
from lamina.training.optimizers import OPTIMIZERS, parameter_groups
from lamina.training.step import make_step

pytestmark = pytest.mark.usefixtures("loops")

LEARNING_RATE = 0.1


def numbers_encoder(n: int) -> Encoder:
    return Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(n)), (), ())


def network_4_5_3(dtype=torch.float64, **options) -> MLP:
    generator = torch.Generator().manual_seed(0)
    return MLP(numbers_encoder(4), 3, hidden_units=(5,), generator=generator, dtype=dtype, **options)


def state_as_numpy(network: MLP) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def test_one_step_of_sgd_by_hand():
    # Two rows, two layers: H = max(X W1 + b1, 0), O = H W2 + b2, softmax, mean cross-entropy with weights 0.5 and 1.5.
    network = network_4_5_3()
    X = np.array([[1.0, -2.0, 0.5, 3.0], [0.3, 1.0, -1.0, 2.0]])
    y, w = np.array([2, 0]), np.array([0.5, 1.5])
    p = state_as_numpy(network)
    W1, b1 = p["hidden.0.affine.weight"], p["hidden.0.affine.bias"]
    W2, b2 = p["output.weight"], p["output.bias"]
    assert W1.shape == (4, 5)
    assert W2.shape == (5, 3)

    # Forward.
    Z = X @ W1 + b1
    H = np.maximum(Z, 0)
    O = H @ W2 + b2  # noqa: E741
    E = np.exp(O)
    P = E / E.sum(axis=1, keepdims=True)
    loss = (w * -np.log(P[[0, 1], y])).mean()

    # Backward: dL/dO = w (P - onehot) / n, then the chain rule through W2, max(., 0) and W1.
    dO = P.copy()
    dO[[0, 1], y] -= 1
    dO *= w[:, None] / 2
    dW2, db2 = H.T @ dO, dO.sum(axis=0)
    dZ = (dO @ W2.T) * (Z > 0)
    dW1, db1 = X.T @ dZ, dZ.sum(axis=0)

    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    step = make_step(network, LOSSES["cross_entropy"], optimizer, clip_norm=None)
    value = step({"numbers": torch.tensor(X)}, torch.tensor(y), torch.tensor(w))

    assert float(value) == pytest.approx(loss, rel=1e-14)
    after = state_as_numpy(network)
    for name, before, gradient in (
        ("hidden.0.affine.weight", W1, dW1),
        ("hidden.0.affine.bias", b1, db1),
        ("output.weight", W2, dW2),
        ("output.bias", b2, db2),
    ):
        assert np.abs(gradient).max() > 0.01, name
        np.testing.assert_allclose(after[name], before - LEARNING_RATE * gradient, rtol=1e-13, atol=1e-15)


def made(name: str, groups, learning_rate: float, **changes) -> torch.optim.Optimizer:
    usual = {"momentum": 0.9, "nesterov": True, "betas": (0.9, 0.999), "epsilon": 1e-8, "tol": 1e-4}
    return OPTIMIZERS[name].make(groups, learning_rate, **{**usual, **changes})


def run_step(network: MLP, optimizer: torch.optim.Optimizer, clip_norm: float | None = None) -> None:
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.3, 1.0, -1.0, 2.0]], dtype=torch.float64)
    make_step(network, LOSSES["cross_entropy"], optimizer, clip_norm)({"numbers": x}, torch.tensor([2, 0]), None)


def test_clipping_shortens_the_whole_gradient_to_the_norm():
    before = network_4_5_3()
    free, clipped = network_4_5_3(), network_4_5_3()
    run_step(free, torch.optim.SGD(free.parameters(), lr=1.0))
    run_step(clipped, torch.optim.SGD(clipped.parameters(), lr=1.0), clip_norm=0.01)
    moved_free = torch.cat([(a - b).flatten() for a, b in zip(free.parameters(), before.parameters(), strict=True)])
    moved = torch.cat(
        [(a - b).detach().flatten() for a, b in zip(clipped.parameters(), before.parameters(), strict=True)]
    )
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(moved / moved.norm(), moved_free / moved_free.norm(), rtol=1e-9, atol=1e-12)


def test_adamw_moves_each_weight_as_its_formula_says():
    # After one step m / sqrt(v) of Adam is the sign of the gradient; the decay takes learning_rate * weight_decay off.
    network, reference = network_4_5_3(), network_4_5_3()
    rate, decay = 0.01, 0.1
    run_step(network, made("adamw", parameter_groups(network, decay), rate))
    inputs = {"numbers": torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.3, 1.0, -1.0, 2.0]], dtype=torch.float64)}
    LOSSES["cross_entropy"].per_row(reference(inputs), torch.tensor([2, 0])).mean().backward()
    for new, old in zip(network.parameters(), reference.parameters(), strict=True):
        shrink = 1 - rate * decay if old.ndim > 1 else 1.0
        expected = old.detach() * shrink - rate * old.grad / (old.grad.abs() + 1e-8)
        torch.testing.assert_close(new.detach(), expected, rtol=1e-9, atol=1e-12)


def test_sgd_with_nesterov_momentum_by_hand():
    weight = torch.nn.Parameter(torch.tensor([[1.0]]))
    optimizer = made("sgd", [{"params": [weight], "weight_decay": 0.0}], 0.1, momentum=0.5)
    for gradient, expected in ((2.0, 1.0 - 0.1 * (2.0 + 0.5 * 2.0)), (1.0, 0.7 - 0.1 * (1.0 + 0.5 * 2.0))):
        weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        assert weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_only_matrices_decay(normalization):
    network = network_4_5_3(activation="prelu", normalization=normalization)
    groups = parameter_groups(network, 0.3)
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert {tuple(p.shape) for p in groups[0]["params"]} == {(4, 5), (5, 3)}
    assert sorted(tuple(p.shape) for p in groups[1]["params"]) == [(1,), (3,), (5,), (5,), (5,)]
