"""Products in bfloat16: as exact as their rounding, on float32 weights, and only where flags and sizes say so."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import lamina
from lamina.errors import ConfigError
from lamina.training import processor
from lamina.training.affine_stages import AffineStage, NarrowAffineStage, OneAffineStage
from lamina.training.bfloat16 import Bfloat16AffineStage
from lamina.training.passes import passes_of


def a_stage(kind: type, m: int = 3, n: int = 16, fan_in: int = 40, fan_out: int = 24):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(m, fan_in, fan_out, generator=generator) / fan_in**0.5
    bias = torch.randn(m, 1, fan_out, generator=generator)
    return kind(weight, bias, torch.zeros_like(weight), torch.zeros_like(bias), n)


def test_a_product_is_that_of_the_rounded_operands():
    stage = a_stage(Bfloat16AffineStage)
    generator = torch.Generator().manual_seed(1)
    x, gradient = torch.randn(3, 16, 40, generator=generator), torch.randn(3, 16, 24, generator=generator)
    rounded = [each.bfloat16().double() for each in (x, stage.weight, gradient)]
    expected = {
        "product": rounded[0] @ rounded[1],
        "by_input": rounded[2] @ rounded[1].transpose(1, 2),
        "by_weight": rounded[0].transpose(1, 2) @ rounded[2],
    }
    product = stage.forward(x) - stage.bias
    found = {"product": product, "by_input": stage.backward(gradient), "by_weight": stage.by_weight}
    for name, value in found.items():
        assert value.dtype == torch.float32
        # A result has 8 binary digits; sums are float32's.
        torch.testing.assert_close(value.double(), expected[name], rtol=2**-8, atol=1e-4, msg=name)
    torch.testing.assert_close(stage.by_bias, gradient.sum(1, keepdim=True))
    exact = a_stage(AffineStage)
    torch.testing.assert_close(stage.out, exact.forward(x), rtol=0.02, atol=0.02)
    assert not torch.equal(stage.out, exact.out)


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_what_the_flags_say_and_the_model_remembers_it(monkeypatch, tmp_path, fast):
    monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: fast)
    options = {"hidden_units": (4,), "epochs": 1, "baselines": False}
    model = lamina.fit("iris", **options)
    assert model.config.precision == ("bfloat16" if fast else "float32")
    model.save(tmp_path / "m")
    assert lamina.load(tmp_path / "m").config.precision == model.config.precision
    assert lamina.fit("iris", dtype="float64", **options).config.precision == "float64"
    assert lamina.fit("iris", layer="low_rank", rank=2, **options).config.precision == "float32"
    assert lamina.fit("iris", precision="float32", **options).config.precision == "float32"


def test_only_large_layers_take_it(loops):
    run = lamina.prepare("digits", hidden_units=(256, 256, 8), batch_size=256)
    network, state = run.state.network, run.state
    state.flat.attach()
    kinds = {
        precision: [
            type(stage)
            for stage in [
                passes_of(network, 256, precision).first.parts[0][1],
                *passes_of(network, 256, precision).stages,
            ]
            if hasattr(stage, "by_weight") or hasattr(stage, "by_matrix")
        ]
        for precision in ("float32", "bfloat16")
    }
    narrow = NarrowAffineStage if loops == "compiled" else OneAffineStage
    assert kinds["float32"] == [OneAffineStage, OneAffineStage, narrow, narrow]
    # 256 x 64 x 256 and 256 x 256 x 8 are too few.
    assert kinds["bfloat16"] == [OneAffineStage, Bfloat16AffineStage, narrow, narrow]


def test_a_fit_in_bfloat16_is_as_good_and_its_weights_are_float32():
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8).astype(np.uint8)
    right = {}
    for precision in ("float32", "bfloat16"):
        model = lamina.fit(
            (X[:1400], y[:1400]), hidden_units=(512, 512), batch_size=128, epochs=10, precision=precision,
            baselines=False,
        )  # fmt: skip
        assert {each.dtype for each in model.network.parameters()} == {torch.float32}
        right[precision] = float((model.predict(X[1400:]) == y[1400:]).mean())
    assert min(right.values()) > 0.9
    assert right["bfloat16"] == pytest.approx(right["float32"], abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "phm"}, "precision = 'bfloat16' is for minibatches of dense layers on the CPU, which these are not"),
        ({"optimizer": "lbfgs"}, "precision = 'bfloat16' is for minibatches of dense layers on the CPU"),
        ({"dtype": "float64"}, "precision = 'bfloat16', but dtype = 'float64'; leave precision out."),
    ],
)
def test_what_it_cannot_do_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        lamina.fit("iris", hidden_units=(8,), precision="bfloat16", **options)
    with pytest.raises(ConfigError, match="precision = 'float64', but dtype = 'float32'"):
        lamina.fit("iris", hidden_units=(8,), precision="float64")
