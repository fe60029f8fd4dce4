"""The first layer of pixels in 8-bit integers: exact but for the rounding it says, right on average, and only there."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import lamina
from lamina.errors import ConfigError
from lamina.network.layers import Dropout
from lamina.run import Run
from lamina.training import int8, processor
from lamina.training.affine_stages import NarrowAffineStage, OneAffineStage
from lamina.training.int8 import PixelAffineStage, PixelStage, is_exact, suits_int8
from lamina.training.passes import passes_of

pytestmark = pytest.mark.usefixtures("loops")

N, PIXELS, UNITS = 64, 100, 24

needs_int8 = pytest.mark.skipif(
    not is_exact(N, PIXELS, UNITS), reason="torch has no exact product of uint8 and int8 on this processor"
)


def prepared(members: int = 1, units: int = 768, n: int = 300, **options) -> Run:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 16, 16), dtype=np.uint8)
    y = (images[:, :8].mean((1, 2)) > images[:, 8:].mean((1, 2))).astype(int)
    given = {"validation": 0.0, "precision": "int8", "batch_size": 128, "seed": 0, "input_dropout": 0.0, **options}
    return lamina.prepare((images, y), members=members, hidden_units=(units, 8), **given)


def stages_of(run: Run, n: int) -> tuple[PixelStage, PixelAffineStage]:
    run.state.flat.attach()
    passes = passes_of(run.state.network.train(), n, "int8")
    return passes.inputs[0], passes.first.parts[0][1]


def images_of(run: Run, n: int) -> dict[str, torch.Tensor]:
    return dict(run._rows(run.parts["train"]).at(torch.arange(n)).inputs)


@needs_int8
@pytest.mark.parametrize("members", [1, 3])
def test_the_product_is_that_of_the_rounded_weights(members):
    run = prepared(members, n=N + 1, normalization="none")
    pixels, stage = stages_of(run, N)
    with torch.no_grad():
        stage.bias.normal_()
    batch = images_of(run, N)
    found = stage.forward(pixels.forward(batch)).double()
    scaled = batch["pixels"].double() * pixels.scale + pixels.shift
    weight = stage.weight.double()
    step = stage.weight.abs().amax(1, keepdim=True) / 126
    rounded = (stage.weight * step.reciprocal()).round().double() * step
    # Sums of integers are exact; the steps are float32.
    torch.testing.assert_close(found, scaled @ rounded + stage.bias.double(), rtol=1e-4, atol=1e-4)
    exact = scaled @ weight + stage.bias.double()
    off = float((found - exact).std() / exact.std())
    assert 0.001 < off < 0.02


@needs_int8
@pytest.mark.parametrize("members", [1, 3])
def test_the_gradient_is_that_of_a_rounded_one_which_is_right_on_average(members):
    run = prepared(members, n=N + 1)
    pixels, stage = stages_of(run, N)
    batch = images_of(run, N)
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(members, N, stage.weight.shape[2], generator=generator) ** 3
    gradient[:, :, 3] = 0  # a dead unit
    scaled = (batch["pixels"].double() * pixels.scale + pixels.shift).t()
    exact, sums = scaled @ gradient.double(), []
    rounds = 200
    for i in range(rounds):
        # Rows meet other noise in another order; the gradient of the weights does not depend on it.
        order = torch.randperm(N, generator=generator) if i else torch.arange(N)
        stage.forward(pixels.forward({"pixels": batch["pixels"][order]}))
        stage.backward_to_weights(gradient[:, order].contiguous())
        by_weight = stage.by_matrix.view(len(stage.by_matrix), members, -1).transpose(0, 1).double()
        sums.append(by_weight.clone())
        if not i:
            torch.testing.assert_close(stage.by_bias, gradient.sum(1, keepdim=True))
            step = gradient.double().abs().amax(1, keepdim=True).clamp(min=1e-30) / 126
            rounded = (gradient.double() / step + stage.noise.double()).floor() * step
            centred = scaled - pixels.shift
            expected = centred @ rounded + pixels.shift * gradient.double().sum(1, keepdim=True)
            torch.testing.assert_close(by_weight, expected, rtol=1e-4, atol=1e-4)
    assert not by_weight[:, :, 3].any()
    one = float((sums[0] - exact).std())
    mean = float((torch.stack(sums).mean(0) - exact).std())
    assert one / float(exact.std()) < 0.05
    assert mean < 1.5 * one / rounds**0.5
    assert bool((stage.noise.sort(1).values.diff(dim=1) - 1 / N).abs().max() < 1e-6)


@needs_int8
def test_dropout_takes_the_mean_for_what_it_drops_and_draws_as_dropout_does():
    run = prepared(input_dropout=0.3)
    pixels, _ = stages_of(run, N)
    batch = images_of(run, N)
    before = batch["pixels"].clone()
    pixels.dropout.generator = torch.Generator().manual_seed(7)
    found = pixels.forward(batch)[0]
    assert torch.equal(batch["pixels"], before)
    other = Dropout(0.3).train()
    other.generator = torch.Generator().manual_seed(7)
    kept = other(torch.ones(N, 256)) > 0
    assert torch.equal(found[kept], before[kept])
    assert set(found[~kept].tolist()) == {pixels.mean}
    # What is dropped is 0 to half a grey level; what is kept is divided by 1 - p.
    code = run.encoder.images[0]
    assert abs(pixels.mean * pixels.scale + pixels.shift) <= 0.5 * pixels.scale + 1e-6
    assert pixels.scale == pytest.approx(1 / code.scale / 0.7, rel=1e-6)
    assert pixels.shift == pytest.approx(-code.mean / code.scale / 0.7, rel=1e-6)


@needs_int8
def test_only_the_first_layer_of_large_images_takes_it(monkeypatch, loops):
    run = prepared()
    run.state.flat.attach()
    network = run.state.network
    kinds = {p: type(passes_of(network, 128, p).first.parts[0][1]) for p in ("int8", "float32")}
    assert kinds == {"int8": PixelAffineStage, "float32": OneAffineStage}
    others = [stage for stage in passes_of(network, 128, "int8").stages if hasattr(stage, "weight")]
    assert [type(stage) for stage in others] == [NarrowAffineStage if loops == "compiled" else OneAffineStage] * 2
    layer = network.inputs
    assert suits_int8(layer, 128, 512)
    assert not suits_int8(layer, 8, 512)  # 8 x 256 x 512 is too few
    assert not suits_int8(layer, 2**20, 8)
    monkeypatch.setattr(layer, "pixel_scale", torch.linspace(1, 2, 256))
    assert not suits_int8(layer, 128, 512)
    monkeypatch.undo()
    table = lamina.prepare("iris", hidden_units=(512,))
    assert not suits_int8(table.state.network.inputs, 2**20, 512)


def test_where_torch_cannot_multiply_them_the_products_are_of_float32(monkeypatch):
    def refused(*given: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("expected Char but got Byte")

    run = prepared()
    run.state.flat.attach()
    for wrong in (refused, lambda a, b: torch.zeros(len(a), b.shape[1], dtype=torch.int32)):
        is_exact.cache_clear()
        monkeypatch.setattr(torch, "_int_mm", wrong)
        assert not is_exact(128, 256, 512)
        assert type(passes_of(run.state.network, 128, "int8").first.parts[0][1]) is OneAffineStage
    is_exact.cache_clear()


@needs_int8
def test_a_fit_is_as_good_repeats_and_its_weights_are_float32():
    X, y = load_digits(return_X_y=True)
    X = np.kron((X.reshape(-1, 8, 8) * 15).astype(np.uint8), np.ones((1, 3, 3), dtype=np.uint8))
    right, outputs = {}, []
    for precision in ("float32", "int8", "int8"):
        model = lamina.fit(
            (X[:1400], y[:1400]), hidden_units=(256, 64), batch_size=128, epochs=20, precision=precision,
            baselines=False,
        )  # fmt: skip
        assert {each.dtype for each in model.network.parameters()} == {torch.float32}
        right[precision] = float((model.predict(X[1400:]) == y[1400:]).mean())
        outputs.append(model.predict_outputs(X[1400:]))
    assert min(right.values()) > 0.9
    assert right["int8"] == pytest.approx(right["float32"], abs=0.02)
    np.testing.assert_array_equal(outputs[1], outputs[2])
    assert not np.array_equal(outputs[0], outputs[1])


@needs_int8
@pytest.mark.parametrize("members", [1, 2])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(members):
    whole, first, second = (prepared(members, epochs=4, input_dropout=0.1) for _ in range(3))
    for _ in whole.train():
        pass
    for record in first.train():
        if record.epoch == 2:
            break
    second.resume(first.checkpoint())
    for _ in second.train():
        pass
    assert torch.equal(second.state.flat.weights, whole.state.flat.weights)


@needs_int8
def test_numbers_that_are_not_finite_stay_so():
    run = prepared(n=N + 1)
    pixels, stage = stages_of(run, N)
    with torch.no_grad():
        stage.matrix[5, 2] = torch.inf
    outputs = stage.forward(pixels.forward(images_of(run, N)))[0]
    assert not outputs[:, 2].isfinite().any()
    assert outputs[:, 3:].isfinite().all()
    gradient = torch.ones(1, N, 768)
    gradient[0, 4, 6] = torch.nan
    stage.backward_to_weights(gradient)
    assert not stage.by_matrix[:, 6].isfinite().any()
    assert stage.by_matrix[:, 7:].isfinite().all()


def test_auto_takes_it_for_images_where_the_flags_say_so_and_the_model_remembers_it(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(processor, "multiplies_int8", lambda: True)
    options = {"hidden_units": (4,), "epochs": 1, "baselines": False}
    model = lamina.fit("digits", **options)
    assert model.config.precision == "int8"
    model.save(tmp_path / "m")
    assert lamina.load(tmp_path / "m").config.precision == "int8"
    assert lamina.fit("iris", **options).config.precision == "float32"
    assert lamina.fit("digits", dtype="float64", **options).config.precision == "float64"
    assert lamina.fit("digits", features="gradients", **options).config.precision == "float32"
    assert lamina.fit("digits", precision="float32", **options).config.precision == "float32"
    monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: True)
    assert lamina.fit("digits", **options).config.precision == "bfloat16"


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("iris", {}, "precision = 'int8' is for the pixels of images, and none enter here; leave it out"),
        ("digits", {"features": "gradients"}, "precision = 'int8' is for the pixels of images, and none enter here"),
        ("digits", {"layer": "phm"}, "precision = 'int8' is for minibatches of dense layers on the CPU, which these"),
        ("digits", {"optimizer": "lbfgs"}, "precision = 'int8' is for minibatches of dense layers on the CPU"),
        ("digits", {"dtype": "float64"}, "precision = 'int8', but dtype = 'float64'; leave precision out."),
    ],
)
def test_what_it_cannot_do_is_refused(data, options, message):
    with pytest.raises(ConfigError, match=message):
        lamina.fit(data, hidden_units=(8,), precision="int8", **options)


def test_levels_leave_room_for_the_noise():
    x = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, 0.0], [-0.25, 0.5, 0.0]])
    step = int8._step(x)
    assert step.tolist() == pytest.approx([1 / 126, 2 / 126, 1e-30])
    largest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert ((x / step + largest).floor().abs() <= 127).all()
    assert torch.equal(int8._step(x.repeat(2, 1)), step)
