"""Every activation: closed form, autograd and central differences agree; kinks, limits and gains are as declared."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

import lamina
from lamina.activation_functions import LEAKY_SLOPE, PRELU_INITIAL_SLOPE, SELU_ALPHA, SELU_SCALE
from lamina.activations import ACTIVATIONS, Activation, register_activation
from lamina.errors import ConfigError

RECORDS = list(ACTIVATIONS)
POINTS = [-400.0, -30.0, -8.0, -2.3, -1.0, -0.1, -1e-3, 1e-3, 0.1, 0.7, 1.0, 2.3, 8.0, 30.0, 400.0]
STEP = 1e-6


def parameter(record: Activation, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    return () if record.parameter is None else (torch.tensor([record.parameter.initial], dtype=dtype),)


def value(record: Activation, x: float) -> float:
    return float(record.function(torch.tensor([x], dtype=torch.float64), *parameter(record)))


def by_autograd(record: Activation, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    y = record.function(x, *parameter(record, x.dtype))
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_three_derivatives_agree_away_from_kinks(record):
    points = [p for p in POINTS if p not in {kink.at for kink in record.kinks}]
    x = torch.tensor(points, dtype=torch.float64)
    closed = record.derivative(x, *parameter(record))
    central = torch.tensor([(value(record, p + STEP) - value(record, p - STEP)) / (2 * STEP) for p in points])
    torch.testing.assert_close(closed, by_autograd(record, x), rtol=1e-6, atol=1e-8)
    # A difference of two numbers near 400 keeps 400 * 1e-16 / 1e-6 = 4e-8 of its digits.
    scale = torch.tensor([max(abs(value(record, p)), 1.0) for p in points], dtype=torch.float64)
    torch.testing.assert_close(closed / scale, central.double() / scale, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_at_a_kink_the_declared_side_is_the_derivative(record):
    for kink in record.kinks:
        at = torch.tensor([kink.at], dtype=torch.float64)
        toward = -STEP if kink.side == "left" else STEP
        one_sided = (value(record, kink.at + toward) - value(record, kink.at)) / toward
        other_sided = (value(record, kink.at - toward) - value(record, kink.at)) / -toward
        declared = float(record.derivative(at, *parameter(record)))
        assert declared == pytest.approx(one_sided, rel=1e-6, abs=1e-8)
        assert declared == float(by_autograd(record, at))
        assert abs(declared - other_sided) > 0.5, "no kink there"


def test_smooth_activations_declare_no_kink_and_piecewise_linear_ones_do():
    kinked = {r.name for r in RECORDS if r.kinks}
    assert kinked == {"relu", "leaky_relu", "prelu", "threshold", "selu", "hard_tanh"}
    assert {r.name for r in RECORDS if r.piecewise_linear} == kinked - {"threshold", "selu"} | {"identity"}
    assert [r.name for r in RECORDS if not r.trainable] == ["threshold"]


def test_the_textbook_values():
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(ACTIVATIONS["relu"].derivative(zero)) == 0.0
    assert float(ACTIVATIONS["sigmoid"].derivative(zero)) == 0.25
    assert float(ACTIVATIONS["tanh"].derivative(zero)) == 1.0
    x = torch.linspace(-8, 8, 161, dtype=torch.float64)
    torch.testing.assert_close(
        ACTIVATIONS["tanh"].function(x) + 1, 2 * ACTIVATIONS["sigmoid"].function(2 * x), rtol=1e-14, atol=1e-15
    )
    assert value(ACTIVATIONS["leaky_relu"], -2.0) == -2 * LEAKY_SLOPE
    assert value(ACTIVATIONS["prelu"], -2.0) == -2 * PRELU_INITIAL_SLOPE


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_independent_formula(record):
    reference = {
        "identity": lambda x: x,
        "relu": lambda x: max(x, 0.0),
        "leaky_relu": lambda x: max(x, 0.0) + 0.01 * min(x, 0.0),
        "prelu": lambda x: max(x, 0.0) + 0.25 * min(x, 0.0),
        "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
        "tanh": lambda x: (1 - math.exp(-2 * x)) / (1 + math.exp(-2 * x)),
        "silu": lambda x: x / (1 + math.exp(-x)),
        "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
        "threshold": lambda x: float(x > 0),
        "elu": lambda x: x if x > 0 else math.expm1(x),
        "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
        "swish": lambda x: x / (1 + math.exp(-x)),
        "softplus": lambda x: math.log1p(math.exp(x)),
        "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
        "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
        "softsign": lambda x: x / (1 + abs(x)),
    }[record.name]
    for x in (-30.0, -2.5, -0.3, 0.0, 0.4, 1.7, 12.0):
        assert value(record, x) == pytest.approx(reference(x), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_float32_is_safe_far_out_and_at_infinity(record):
    far = torch.tensor([-math.inf, -1e4, -88.0, 88.0, 1e4, math.inf])
    y = record.function(far, *parameter(record, torch.float32))
    assert (float(y[0]), float(y[-1])) == pytest.approx(record.limits, rel=1e-6)
    assert torch.isfinite(y[1:-1]).all()
    slope = record.derivative(far, *parameter(record, torch.float32))
    assert torch.isfinite(slope).all()
    torch.testing.assert_close(slope, by_autograd(record, far), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope[0], slope[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(slope[-1], slope[-2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_nan_is_not_hidden(record):
    x = torch.tensor([math.nan], dtype=torch.float64)
    assert record.function(x, *parameter(record)).isnan().all()


@pytest.mark.parametrize("record", [r for r in RECORDS if r.parameter], ids=lambda r: r.name)
def test_derivative_by_the_learned_parameter(record):
    x = torch.tensor([*POINTS, 0.0], dtype=torch.float64)
    for at in (record.parameter.initial, -0.5, 1.7):
        alpha = torch.tensor([at], dtype=torch.float64, requires_grad=True)
        closed = record.parameter.derivative(x, alpha.detach())
        each = [torch.autograd.grad(record.function(x[i : i + 1], alpha), alpha)[0] for i in range(len(x))]
        torch.testing.assert_close(closed, torch.cat(each), rtol=1e-6, atol=1e-8)
        up, down = (record.function(x, alpha.detach() + d) for d in (STEP, -STEP))
        torch.testing.assert_close(closed, (up - down) / (2 * STEP), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_gain_keeps_the_size_of_a_standard_normal_signal(record):
    def integrand(z):
        return value(record, z) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    second_moment = quad(integrand, -12, 0)[0] + quad(integrand, 0, 12)[0]
    assert record.gain == pytest.approx(1 / math.sqrt(second_moment), rel=1e-4)


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(ConfigError, match=r"unknown activation 'rleu'\. Did you mean 'relu'\? Known: identity, relu"):
        ACTIVATIONS["rleu"]
    with pytest.raises(ConfigError, match="'relu' is registered already"):
        ACTIVATIONS.register(ACTIVATIONS["relu"])


def test_names_are_unique_and_every_record_is_complete():
    assert len(set(ACTIVATIONS.names())) == len(RECORDS) == 16
    assert all(r.formula and r.derivative_formula and r.source and np.isfinite(r.gain) for r in RECORDS)


@pytest.fixture
def registered():
    """Registers, and takes back at the end."""
    before = dict(ACTIVATIONS._records)
    yield register_activation
    ACTIVATIONS._records.clear()
    ACTIVATIONS._records.update(before)


def test_an_activation_of_your_own_works_by_its_name(registered, tmp_path):
    record = registered("bent", lambda x: (torch.sqrt(x * x + 1) - 1) / 2 + x, formula="bent identity")
    x = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(record.derivative(x), x / (2 * torch.sqrt(x * x + 1)) + 1)
    model = lamina.fit("iris", activation="bent", epochs=2, seed=0)
    loaded = lamina.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict_proba("iris"), model.predict_proba("iris"))


def test_the_derivative_of_your_own_is_used_and_its_gain_computed(registered):
    record = registered("double", lambda x: 2 * x, lambda x: torch.full_like(x, 2.0))
    assert record.derivative(torch.zeros(3)).tolist() == [2.0, 2.0, 2.0]
    assert record.gain == pytest.approx(0.5, rel=1e-6)
    assert record.limits == (-math.inf, math.inf)


def test_a_name_that_is_taken_and_a_function_that_is_none_are_refused(registered):
    with pytest.raises(ConfigError, match="'relu' is registered already"):
        registered("relu", torch.relu)
    with pytest.raises(ConfigError, match="'logistic' is registered already"):
        registered("logistic", torch.sigmoid)  # what others call our sigmoid
    with pytest.raises(ConfigError, match="'log' must give a finite number for every number"):
        registered("log", torch.log)
    assert "log" not in ACTIVATIONS
