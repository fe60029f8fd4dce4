"""Initial weights have the variance that their formula says, and come from the given generator alone."""

import math

import pytest
import torch

from lamina.initializers import INITIALIZERS

FAN_IN, FAN_OUT, GAIN = 400, 300, 1.7


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("he", GAIN / math.sqrt(FAN_IN)),
        ("xavier", math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("lecun", 1 / math.sqrt(FAN_IN)),
    ],
)
def test_deviation(name, deviation):
    weight = torch.empty(FAN_IN, FAN_OUT, dtype=torch.float64)
    INITIALIZERS[name].fill(weight, GAIN, torch.Generator().manual_seed(0))
    assert float(weight.std()) == pytest.approx(deviation, rel=0.01)
    assert float(weight.mean()) == pytest.approx(0, abs=deviation * 0.01)


def test_xavier_is_uniform_within_its_bound():
    weight = torch.empty(FAN_IN, FAN_OUT)
    INITIALIZERS["xavier"].fill(weight, 1.0, torch.Generator().manual_seed(0))
    bound = math.sqrt(6 / (FAN_IN + FAN_OUT))
    assert bound * 0.99 < float(weight.abs().max()) <= bound


@pytest.mark.parametrize("name", INITIALIZERS.names())
def test_the_generator_decides_and_the_global_source_is_untouched(name):
    before = torch.get_rng_state()
    first, second = torch.empty(5, 5), torch.empty(5, 5)
    INITIALIZERS[name].fill(first, 1.0, torch.Generator().manual_seed(1))
    INITIALIZERS[name].fill(second, 1.0, torch.Generator().manual_seed(1))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
