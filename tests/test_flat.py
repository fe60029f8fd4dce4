"""Flat weights: windows on one piece of memory, with nothing lost on the way in or out."""

import copy

import pytest
import torch
from torch import nn

from lamina.training.flat import FlatWeights


def network_of() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).double()


def test_the_network_keeps_its_values_and_becomes_windows():
    network = network_of()
    before = copy.deepcopy(network.state_dict())
    flat = FlatWeights(network)
    flat.attach()
    state = network.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())
    # Matrices first (15 and 10 numbers, in 16 each), then the vectors, then the statistics of the normalization.
    assert flat.n_matrices == 32
    assert flat.gradient.shape == (32 + 4 * 16,)
    assert flat.weights.shape == (32 + 4 * 16 + 2 * 16,)
    assert flat.weights[:15].tolist() == before["0.weight"].flatten().tolist()
    assert float(flat.weights.abs().sum()) == pytest.approx(
        sum(float(tensor.abs().sum()) for tensor in before.values() if tensor.is_floating_point()), rel=1e-14
    )
    flat.weights.fill_(7.0)
    floats = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    assert len(floats) == 8
    assert all(bool((tensor == 7.0).all()) for tensor in floats.values())
    network.load_state_dict(before)
    assert flat.weights[:15].tolist() == before["0.weight"].flatten().tolist()


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_step_on_the_flat_vectors_is_one_on_the_tensors(name):
    from lamina.training.optimizers import OPTIMIZERS, parameter_groups

    # A bias before a batch normalization has a gradient of rounding errors alone, which a small epsilon would enlarge.
    make = {"momentum": 0.9, "nesterov": True, "betas": (0.9, 0.95), "epsilon": 1e-3, "tol": 1e-4}
    alone, network = network_of(), network_of()
    flat = FlatWeights(network)
    flat.attach()
    optimizers = [
        OPTIMIZERS[name].make(groups, 0.1, **make) for groups in (parameter_groups(alone, 0.5), flat.groups(0.5))
    ]
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for _ in range(5):
        for each, optimizer in zip((alone, network), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=False)
            each(x).square().mean().backward()
            optimizer.step()
    for (key, one), other in zip(alone.state_dict().items(), network.state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-14, msg=key)
    assert not torch.equal(network.state_dict()["0.weight"], network_of().state_dict()["0.weight"])


def test_weights_without_matrices_and_the_other_way_round():
    assert [len(FlatWeights(each).groups(0.1)) for each in (nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))] == [1, 1]


def test_detached_tensors_are_the_networks_own_and_attached_again_they_are_windows():
    network = network_of()
    flat = FlatWeights(network)
    flat.attach()
    flat.detach()
    assert not flat.is_attached
    assert all(parameter.grad is None for parameter in network.parameters())
    values = network.state_dict()
    assert len({tensor.untyped_storage().data_ptr() for tensor in values.values()}) == len(values)
    flat.weights.zero_()
    assert float(network[0].weight.detach().abs().min()) > 0
    with torch.no_grad():
        network[0].bias.fill_(3.0)
        network[1].running_var.fill_(2.0)
    flat.attach()
    assert flat.is_attached
    assert network.state_dict()["0.bias"].tolist() == [3.0] * 5
    flat.weights.mul_(2)
    assert network[0].bias.tolist() == [6.0] * 5
    assert network[1].running_var.tolist() == [4.0] * 5
