"""The compiled loops: each against torch's operations in other words, at sizes that fill no vector and no block."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lamina.activations import ACTIVATIONS
from lamina.native import kernels, library

ROOT = Path(__file__).parents[1]
F64 = torch.float64
COMPILER = shutil.which("cc") or shutil.which("gcc")

needs_loops = pytest.mark.skipif(library.load() is None, reason="installed without the compiled loops")
needs_compiler = pytest.mark.skipif(
    COMPILER is None or not sys.platform.startswith("linux"), reason="there is no C compiler, or this is not Linux"
)
# (members, rows, units): less than a vector, no multiple of one, more columns than a block, enough for threads.
SHAPES = [(1, 1, 1), (1, 5, 3), (3, 7, 17), (2, 33, 515), (1, 70, 601), (5, 40, 200)]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# -- the library


@needs_compiler
@pytest.mark.skipif(os.environ.get(library.SWITCH) == "0", reason=f"{library.SWITCH} is 0")
def test_where_there_is_a_compiler_there_are_loops():
    assert library.load() is not None


def test_slopes_are_those_of_the_activations():
    z = torch.linspace(-3, 3, 13, dtype=F64)
    known = [record for record in ACTIVATIONS if record.slope is not None]
    assert {record.name for record in known} == {"identity", "leaky_relu", "relu"}
    for record in known:
        close(record.function(z), torch.where(z > 0, z, record.slope * z))


@pytest.mark.parametrize("way", ["switch", "missing", "stale", "openmp"])
def test_without_the_right_library_there_is_none(way, monkeypatch, tmp_path):
    if library.load() is None:
        pytest.skip("installed without the compiled loops")
    beside = tmp_path / "_kernels.so"
    for each in library._LIBRARY.parent.iterdir():
        if each.suffix in (".c", ".h", ".so"):
            shutil.copy(each, tmp_path)
    monkeypatch.setattr(library, "_LIBRARY", beside)
    library.load.cache_clear()
    assert library.load() is not None
    if way == "switch":
        monkeypatch.setenv(library.SWITCH, "0")
    elif way == "missing":
        beside.unlink()
    elif way == "stale":
        (tmp_path / "kernels.c").write_text("/* changed */\n")
    else:
        monkeypatch.setattr(library, "_OPENMP", "libgomp-of-another.so.1")
    library.load.cache_clear()
    assert library.load() is None
    monkeypatch.undo()
    library.load.cache_clear()
    assert library.load() is not None


@needs_loops
def test_the_smallest_numbers_are_still_there():
    """A library linked with -ffast-math makes the whole process round them to 0."""
    assert isinstance(library.load(), ctypes.CDLL)
    smallest = np.float32(1e-40)
    assert smallest * np.float32(0.5) > 0
    assert float(torch.tensor(1e-40) * 0.5) > 0


def test_suits_what_is_dense_and_real_and_on_the_cpu(monkeypatch):
    x = torch.ones(4, 4)
    assert kernels.suits(x) == (library.load() is not None)
    assert not kernels.suits(x.t()[:, :2])
    assert not kernels.suits(x.half())
    assert not kernels.suits(x.to("meta"))
    monkeypatch.setattr(kernels, "load", lambda: None)
    assert not kernels.suits(x)


# -- how it is built


def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for each in (ROOT / "src/lamina/native").glob("*.[ch]"):
        shutil.copy(each, tmp_path)
    return tmp_path


@needs_compiler
def test_it_is_compiled_without_a_warning_and_knows_its_sources(sources):
    assert hook().compile_library(sources) == ""
    made = ctypes.CDLL(str(sources / "_kernels.so"))
    made.lamina_source.restype = ctypes.c_char_p
    assert made.lamina_source().decode() == library.source_hash(sources)
    command = ["cc", *hook().FLAGS, "-Werror", '-DLAMINA_SOURCE=""', str(sources / "kernels.c"), "-o", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("compiler", "reason"), [("", "no C compiler was found"), ("false", "false failed"), ("/no/cc", "could not be run")]
)
def test_without_a_compiler_the_reason_is_said_and_nothing_is_left(compiler, reason, sources, monkeypatch):
    module = hook()
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert reason in module.compile_library(sources)
    assert not list(sources.glob("_kernels*"))


def test_elsewhere_than_on_linux_nothing_is_compiled(sources, monkeypatch):
    module = hook()
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert module.compile_library(sources) == "the loops are compiled on Linux only, not on darwin"


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("compiler", ["cc", "false"])
def test_a_wheel_has_the_library_where_there_is_a_compiler(compiler, tmp_path, monkeypatch):
    copy = tmp_path / "source"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.so", "docs", "tests", "benchmarks", "*.lamina"))
    monkeypatch.setenv("CC", compiler)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert ("lamina/native/_kernels.so" in names) == (compiler == "cc")
    assert ("-py3-none-linux_" in wheel.name) == (compiler == "cc")
    assert ("-py3-none-any" in wheel.name) == (compiler == "false")
    assert "lamina/native/kernels.c" in names


# -- the loops


@needs_loops
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
def test_forward_and_backward(shape, slope, threads):
    m, _, units = shape
    z, bias, gradient = random(*shape), random(m, 1, units, seed=1), random(*shape, seed=2)
    leaf, of_bias = z.clone().requires_grad_(), bias.clone().requires_grad_()
    shifted = leaf + of_bias
    y = torch.where(shifted > 0, shifted, slope * shifted)
    expected = torch.autograd.grad(y, (leaf, of_bias), gradient)
    found = kernels.forward_(z.clone(), bias, slope)
    close(found, y.detach())
    by_bias = torch.empty_like(bias)
    close(kernels.backward_(gradient.clone(), found, by_bias, slope), expected[0])
    close(by_bias, expected[1])
    close(kernels.forward_(z.clone(), None, slope), torch.where(z > 0, z, slope * z))


@needs_loops
@pytest.mark.parametrize("shape", SHAPES)
def test_dropout_of_some_members(shape, threads):
    m, n, units = shape
    bits = torch.randint(-(2**15), 2**15, (n, m + 2, units), dtype=torch.int16)
    z = random(*shape)
    found = kernels.forward_(z.clone(), None, 0.0, bits[:, 1 : m + 1], 1000, 1.5)
    kept = (bits[:, 1 : m + 1] >= 1000).transpose(0, 1)
    close(found, 1.5 * z.relu() * kept)
    gradient = random(*shape, seed=2)
    close(kernels.backward_(gradient.clone(), found, None, 0.0, 1.5), 1.5 * gradient * kept * (z > 0))


@needs_loops
@pytest.mark.parametrize("shape", [each for each in SHAPES if each[1] > 1])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_batch_normalization(shape, offset, threads):
    m, n, units = shape
    x, gradient = random(*shape) + offset, random(*shape, seed=1)
    columns = [random(m * units, seed=2 + i) for i in range(5)] + [random(m * units, seed=8).abs() + 0.1]
    weight, bias = columns[0].clone().requires_grad_(), columns[1].clone().requires_grad_()
    leaf, running = x.clone().requires_grad_(), (columns[4].clone(), columns[5].clone())
    flat = leaf.transpose(0, 1).reshape(n, -1)
    normal = torch.nn.functional.batch_norm(flat, *running, weight, bias, training=True, momentum=0.1, eps=1e-5)
    y = normal.relu().view(n, m, units).transpose(0, 1)
    expected = torch.autograd.grad(y, (leaf, weight, bias), gradient)
    out = torch.empty_like(x)
    tolerance = {"rtol": 1e-11, "atol": 1e-12 if not offset else 1e-8}
    torch.testing.assert_close(kernels.normalize(x, out, columns, 0.1, 1e-5, 0.0), y.detach(), **tolerance)
    for mine, theirs in zip(columns[4:], running, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    by_weight, by_bias = torch.empty(2, m * units, dtype=F64)
    back = [columns[0], columns[2], columns[3], by_weight, by_bias]
    found = kernels.normalize_backward_(gradient.clone(), out, x, back, 0.0)
    for mine, theirs in zip((found, by_weight, by_bias), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10 if not offset else 1e-7)


@needs_loops
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 2, 4, 5, 16])
def test_maps_to_few_outputs(shape, k, threads):
    m, n, units = shape
    x, weight, bias = random(*shape), random(m, units, k, seed=1), random(m, 1, k, seed=2)
    gradient, out = random(m, n, k, seed=3), torch.empty(m, n, k, dtype=F64)
    close(kernels.narrow_forward(x, weight, bias, out), torch.baddbmm(bias, x, weight))
    by_x, by_weight, by_bias = (torch.full_like(each, torch.nan) for each in (x, weight, bias))
    found = kernels.narrow_backward(gradient, x, weight, by_x, by_weight, by_bias)
    close(found, gradient @ weight.transpose(1, 2))
    close(by_weight, x.transpose(1, 2) @ gradient)
    close(by_bias, gradient.sum(1, keepdim=True))


@needs_loops
def test_only_few_outputs_are_few():
    assert kernels.is_narrow(torch.empty(2, 1024, 16))
    assert not kernels.is_narrow(torch.empty(2, 1025, 16))
    assert not kernels.is_narrow(torch.empty(2, 8, 17))
    assert kernels.is_narrow(torch.empty(1, 4096, 1))  # a multiple of four columns is kept
    assert not kernels.is_narrow(torch.empty(1, 4097, 1))


@needs_loops
def test_a_class_that_is_none_makes_the_loss_nan():
    outputs, target = random(1, 3, 4), torch.tensor([0, 4, 1])
    assert bool(kernels.mean_and_gradient(kernels.CROSS_ENTROPY, outputs, target, None)[0].isnan())
    assert bool(kernels.mean_and_gradient(kernels.CROSS_ENTROPY, outputs, target - 2, None)[0].isnan())


@needs_loops
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_cosines_of_many_periods(dtype):
    x = torch.linspace(-40, 40, 1003, dtype=dtype)[:, None]
    learned = [torch.ones(1, 1, 1, dtype=dtype) / (2 * np.pi), torch.zeros(1, 1, 1, dtype=dtype)]
    learned += [torch.ones(1, 1, 1, 1, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype)]
    out = torch.empty(1, 1003, 1, dtype=dtype)
    kernels.periodic(x, learned, out)
    within = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(out[0].double(), torch.cos(x.double()), rtol=0, atol=within)


@needs_loops
@pytest.mark.parametrize("width", [1, 4, 6])
@pytest.mark.parametrize("frequencies", [1, 16, 32])
def test_periodic_embeddings(width, frequencies, threads):
    c, n, d = 3, 37, 2
    x, gradient = random(n, d), random(c, n, d * width + 5, seed=9)
    shapes = (c, d, frequencies), (c, d, frequencies), (c, d, frequencies, width), (c, d, width)
    learned = [random(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    waves = torch.cos(2 * torch.pi * x.t()[None, :, :, None] * learned[0][:, :, None] + learned[1][:, :, None])
    mixed = (waves @ learned[2] + learned[3][:, :, None]).transpose(1, 2).reshape(c, n, -1)
    part = gradient[:, :, 2 : 2 + d * width]
    expected = torch.autograd.grad(mixed, learned, part)
    values = [each.detach() for each in learned]
    out = torch.empty(c, n, d * width + 3, dtype=F64)[:, :, 1 : 1 + d * width]
    kernels.periodic(x, values, out)
    torch.testing.assert_close(out, mixed.detach(), rtol=1e-9, atol=1e-11)
    found = [torch.full_like(each, torch.nan) for each in values]
    kernels.periodic_backward(x, values, part, found)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@needs_loops
@pytest.mark.parametrize("width", [8, 5])
@pytest.mark.parametrize("c", [1, 4])
def test_pieces_are_the_clipped_ones_and_their_gradients(width, c, threads):
    n, bins = 50, 6
    edges = [[-2.0, -1, 0, 0.5, 1, 1.25, 3], [0.0, 1], [-1.0, 0, 4]]
    d = len(edges)
    left, scale = torch.zeros(2, d, bins, dtype=F64)
    for j, each in enumerate(edges):
        bounds = torch.tensor(each, dtype=F64)
        left[j, : len(each) - 1], scale[j, : len(each) - 1] = bounds[:-1], 1 / bounds.diff()
    x = 2 * random(n, d)
    x[:9, 0] = torch.tensor([-9.0, -2, -1, 0, 0.5, 1.25, 2.999, 3, 9])
    pieces = ((x[:, :, None] - left) * scale).clamp(0, 1)
    weight, bias = random(c, d, bins, width).requires_grad_(), random(c, d, width, seed=1).requires_grad_()
    y = torch.relu(torch.einsum("ndb,cdbw->cndw", pieces, weight) + bias[:, None]).reshape(c, n, -1)
    gradient = random(c, n, d * width, seed=2)
    expected = torch.autograd.grad(y, (weight, bias), gradient)
    place, share = torch.empty(n, d, dtype=torch.int32), torch.empty(n, d, dtype=F64)
    kernels.find_pieces(x, left, scale, (scale > 0).sum(1), place, share)
    assert place[:9, 0].tolist() == [0, 0, 1, 2, 3, 5, 5, 5, 5]
    out = torch.empty(c, n, d * width + 4, dtype=F64)[:, :, : d * width]
    kernels.pieces(place, share, weight.detach(), bias.detach(), out)
    close(out, y.detach())
    found = [torch.full_like(each, torch.nan) for each in (weight.detach(), bias.detach())]
    kernels.pieces_backward(place, share, gradient, out, *found)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs)
    x[0, 0] = torch.nan
    kernels.find_pieces(x, left, scale, (scale > 0).sum(1), place, share)
    kernels.pieces(place, share, weight.detach(), bias.detach(), out)
    assert bool(out[:, 0, :width].isnan().all())
    assert not bool(out[:, 1:].isnan().any())


@needs_loops
def test_codes_become_columns_or_rows_of_a_table(threads):
    codes = torch.randint(0, 4, (60, 3), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    which, code = torch.tensor([0, 0, 2, 2]), torch.tensor([1, 2, 1, 3], dtype=torch.int32)
    out = torch.full((3, 60, 6), torch.nan, dtype=F64)
    kernels.one_hot(codes, which, code, out[:, :, 1:5])
    close(out[:, :, 1:5], (codes[:, which] == code).double().expand(3, -1, -1))
    assert bool(out[:, :, [0, 5]].isnan().all())
    table, gradient = random(3, 4, 5), random(3, 60, 5, seed=1)
    picked = torch.empty(3, 60, 5, dtype=F64)
    kernels.pick(table, codes[:, 1], picked)
    close(picked, table[:, codes[:, 1].long()])
    by_table = torch.full_like(table, torch.nan)
    kernels.pick_backward(gradient, codes[:, 1], by_table)
    expected = torch.zeros_like(table).index_add_(1, codes[:, 1].long(), gradient)
    close(by_table, expected)


@needs_loops
@pytest.mark.parametrize("n", [1, 17, 4099])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_step_by_step(n, decoupled, threads):
    weight = torch.nn.Parameter(random(n))
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    reference = kind([weight], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, foreach=False)
    mine, mean, square = weight.detach().clone(), torch.zeros(n, dtype=F64), torch.zeros(n, dtype=F64)
    for step in range(1, 6):
        weight.grad = random(n, seed=step)
        adam = kernels.Adam(rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-6, decoupled=decoupled, count=step)
        kernels.adam_(adam, 0.1, mine, weight.grad, mean, square)
        reference.step()
        torch.testing.assert_close(mine, weight.detach(), rtol=1e-12, atol=1e-14)


@needs_loops
def test_the_rounding_of_halves_and_of_columns_that_are_zero(threads):
    weight = random(70, 130, dtype=torch.float32)
    weight[:, 3] = 0
    bias, rounded = torch.arange(130.0), torch.empty(70, 130, dtype=torch.int8)
    factor, constant = torch.empty(2, 130)
    kernels.round_weight(weight, bias, rounded, factor, constant, 2.0, 0.5)
    step = weight.abs().amax(0).div(126).clamp(min=1e-30)
    levels = (weight * step.reciprocal()).round()
    assert torch.equal(rounded.float(), levels)
    torch.testing.assert_close(factor, 2 * step)
    torch.testing.assert_close(constant, bias + 0.5 * step * levels.sum(0), rtol=1e-5, atol=1e-5)
    product = torch.randint(-(10**6), 10**6, (70, 130), dtype=torch.int32)
    out = torch.empty(2, 70, 65)
    kernels.scale_product(product, out, factor, constant)
    expected = (constant + factor * product).view(70, 2, 65).transpose(0, 1)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    in_place = product.view(torch.float32)[None]
    kernels.scale_product(product, in_place, factor, constant)
    torch.testing.assert_close(in_place[0], expected.transpose(0, 1).reshape(70, 130), rtol=1e-5, atol=1e-5)
