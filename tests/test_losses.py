"""Losses: values against independent formulas, gradients against autograd and differences, two classes as sigmoid."""

import math

import pytest
import torch
from torch.nn import functional as F

from lamina.losses import LOSSES, weighted_mean

N, K = 7, 4


def example(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    outputs = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    if LOSSES[name].task == "classification":
        return outputs, torch.randint(0, K, (N,), generator=generator)
    return outputs, torch.randn(N, K, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", LOSSES.names())
def test_gradient_agrees_with_autograd_and_central_differences(name):
    outputs, target = example(name)
    loss = LOSSES[name]
    closed = loss.gradient(outputs, target)
    leaf = outputs.clone().requires_grad_()
    (autograd,) = torch.autograd.grad(loss.per_row(leaf, target).sum(), leaf)
    torch.testing.assert_close(closed, autograd, rtol=1e-12, atol=1e-14)
    step = 1e-6
    for column in range(K):
        up, down = outputs.clone(), outputs.clone()
        up[:, column] += step
        down[:, column] -= step
        central = (loss.per_row(up, target) - loss.per_row(down, target)) / (2 * step)
        torch.testing.assert_close(closed[:, column], central, rtol=1e-6, atol=1e-8)


def test_cross_entropy_by_hand():
    outputs = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64)
    total = math.exp(1.0) + math.exp(2.0) + math.exp(0.5)
    value = LOSSES["cross_entropy"].per_row(outputs, torch.tensor([2]))
    assert float(value) == pytest.approx(math.log(total) - 0.5, rel=1e-14)
    probabilities = LOSSES["cross_entropy"].output_map(outputs)
    assert probabilities[0].tolist() == pytest.approx([math.exp(z) / total for z in (1.0, 2.0, 0.5)], rel=1e-14)


def test_sigmoid_is_the_two_class_case_of_softmax():
    loss = LOSSES["cross_entropy"]
    z = torch.tensor([-30.0, -2.0, 0.0, 0.3, 5.0, 30.0], dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 0, 1, 0])
    logits = torch.stack([torch.full_like(z, 0.7), z + 0.7], dim=1)
    torch.testing.assert_close(loss.output_map(logits)[:, 1], torch.sigmoid(z), rtol=1e-14, atol=1e-16)
    binary = F.binary_cross_entropy_with_logits(z, y.double(), reduction="none")
    torch.testing.assert_close(loss.per_row(logits, y), binary, rtol=1e-12, atol=1e-14)
    # The derivative by z1 - z0 is that of the sigmoid's cross-entropy, p - y.
    torch.testing.assert_close(loss.gradient(logits, y)[:, 1], torch.sigmoid(z) - y, rtol=1e-10, atol=1e-14)


def test_cross_entropy_is_finite_for_large_logits():
    outputs = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    values = LOSSES["cross_entropy"].per_row(outputs, torch.tensor([0, 0]))
    assert values.tolist() == [0.0, 2e4]


def test_squared_error_by_hand():
    outputs = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    target = torch.tensor([[0.0, 0.0], [4.0, 3.0]])
    assert LOSSES["squared_error"].per_row(outputs, target).tolist() == [2.5, 8.0]
    assert LOSSES["squared_error"].gradient(outputs, target).tolist() == [[1.0, -2.0], [-4.0, 0.0]]
    assert LOSSES["squared_error"].output_map(outputs) is outputs


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_weight_of_two_is_the_row_twice_and_zero_its_absence(name):
    outputs, target = example(name)
    loss = LOSSES[name]
    counts = torch.tensor([2, 1, 0, 1, 3, 0, 1])
    weights = counts.double() / counts.double().mean()
    weighted = weighted_mean(loss.per_row(outputs, target), weights)
    repeated = loss.per_row(outputs.repeat_interleave(counts, 0), target.repeat_interleave(counts, 0))
    torch.testing.assert_close(weighted, weighted_mean(repeated, None), rtol=1e-13, atol=0)
