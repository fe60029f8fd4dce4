"""Losses: values against independent formulas, gradients against autograd and differences, two classes as sigmoid."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_absolute_error, mean_pinball_loss, mean_poisson_deviance
from torch.nn import functional as F

from lamina.config import default
from lamina.losses import LOSSES, Loss, weighted_mean

pytestmark = pytest.mark.usefixtures("loops")

N, K = 7, 4
NUMBERS = {"label_smoothing": 0.2, "huber_delta": 0.7, "quantile": 0.9}

# Each loss as it is, and each with an option once more with a number that is not its default: name, number, loss.
CASES = [(record.name, None, record) for record in LOSSES]
CASES += [(r.name, NUMBERS[r.option], r.bound({r.option: NUMBERS[r.option]})) for r in LOSSES if r.option]
each_loss = pytest.mark.parametrize(
    ("name", "number", "loss"), CASES, ids=[name if number is None else f"{name}-{number}" for name, number, _ in CASES]
)


def example(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    outputs = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    if LOSSES[name].task == "classification":
        return outputs, torch.randint(0, K, (N,), generator=generator)
    if LOSSES[name].task == "multilabel":
        return outputs, torch.randint(0, 2, (N, K), generator=generator).double()
    if name == "poisson":
        return outputs, torch.randint(0, 6, (N, K), generator=generator).double()
    return outputs, torch.randn(N, K, generator=generator, dtype=torch.float64)


def by_autograd(loss: Loss, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    leaf = outputs.clone().requires_grad_()
    return torch.autograd.grad(loss.per_row(leaf, target).sum(), leaf)[0]


def kinks(name: str, number: float | None) -> tuple[float, ...]:
    """Errors at which the loss, or its derivative, has a kink."""
    delta = 1.0 if number is None else number
    return {"absolute_error": (0.0,), "quantile": (0.0,), "huber": (-delta, delta)}.get(name, ())


@each_loss
def test_value_and_gradient_at_once_are_those_apart(name, number, loss):
    outputs, target = example(name)
    mean, gradient = loss.mean_and_gradient(outputs[None].clone(), target)
    torch.testing.assert_close(mean, loss.per_row(outputs, target).mean(), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(gradient[0], loss.gradient(outputs, target) / N, rtol=1e-13, atol=1e-15)


@each_loss
@pytest.mark.parametrize("by_member", [False, True])
def test_the_mean_over_members_and_rows_is_that_of_weighted_rows(name, number, loss, by_member):
    first, target = example(name)
    outputs = torch.stack([first, first.flip(0), first / 2])
    weights = torch.rand((N, 3) if by_member else (N,), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, gradient = loss.mean_and_gradient(outputs.clone(), target, weights)
    leaf = outputs.clone().requires_grad_()
    of_each = [weights[:, m] if by_member else weights for m in range(3)]
    wanted = torch.stack([(loss.per_row(leaf[m], target) * of_each[m]).mean() for m in range(3)]).mean()
    torch.testing.assert_close(mean, wanted.detach(), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, leaf)[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_at_large_logits_is_torchs(smoothing):
    outputs = torch.tensor([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0], [-3e4, -3e4, -3e4], [88.0, 90.0, -200.0], [1e-30, 0, 0]])
    target = torch.tensor([1, 2, 0, 0, 1])
    loss = LOSSES["cross_entropy"].bound({"label_smoothing": smoothing})
    each = [loss.mean_and_gradient(outputs[i : i + 1, None].clone(), target[i : i + 1]) for i in range(5)]
    values, gradient = torch.stack([mean for mean, _ in each]), torch.cat([of_row[0] for _, of_row in each])
    leaf = outputs.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf, target, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(values.double(), expected.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient.double(), torch.autograd.grad(expected.sum(), leaf)[0], rtol=1e-6, atol=1e-7)
    members = torch.stack([outputs, outputs.flip(0)], 1).double()
    weights = torch.tensor([[0.25, 0.75]]).expand(5, -1).double()
    averaged = torch.softmax(loss.average(members, weights), 1)
    wanted = (torch.softmax(members, 2) * weights[:, :, None]).sum(1)
    torch.testing.assert_close(averaged, wanted, rtol=1e-12, atol=1e-15)


@each_loss
def test_gradient_agrees_with_autograd_and_central_differences(name, number, loss):
    outputs, target = example(name)
    assert all(float((outputs - target - kink).abs().min()) > 1e-3 for kink in kinks(name, number))
    closed = loss.gradient(outputs, target)
    torch.testing.assert_close(closed, by_autograd(loss, outputs, target), rtol=1e-12, atol=1e-14)
    step = 1e-6
    for column in range(K):
        up, down = outputs.clone(), outputs.clone()
        up[:, column] += step
        down[:, column] -= step
        central = (loss.per_row(up, target) - loss.per_row(down, target)) / (2 * step)
        torch.testing.assert_close(closed[:, column], central, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "number", "at", "expected"),
    [
        ("absolute_error", None, 0.0, 0.0), ("quantile", None, 0.0, -0.5), ("quantile", 0.9, 0.0, -0.9),
        ("huber", None, 1.0, 1.0), ("huber", None, -1.0, -1.0), ("huber", 0.75, 0.75, 0.75), ("huber", 0.75, 0.0, 0.0),
    ],
)  # fmt: skip
def test_at_a_kink_the_declared_derivative_is_that_of_autograd(name, number, at, expected):
    loss = LOSSES[name] if number is None else LOSSES[name].bound({LOSSES[name].option: number})
    target = torch.tensor([[0.25, -3.0]], dtype=torch.float64)
    outputs = target + at
    assert loss.gradient(outputs, target)[0].tolist() == [expected / 2] * 2
    assert torch.equal(loss.gradient(outputs, target), by_autograd(loss, outputs, target))


def reference(name: str, number: float | None, z: list[float], y) -> tuple[float, list[float]]:
    """The loss of one row and its derivatives, in Python's floats; ``y`` a class's code or a list."""
    k = len(z)
    if name == "cross_entropy":
        smoothing = number or 0.0
        wanted = [(1 - smoothing) * (code == y) + smoothing / k for code in range(k)]
        total = math.fsum(math.exp(each - max(z)) for each in z)
        value = math.fsum(w * (max(z) - each + math.log(total)) for w, each in zip(wanted, z, strict=True))
        return value, [math.exp(each - max(z)) / total - w for w, each in zip(wanted, z, strict=True)]
    values, slopes = zip(*(elementwise(name, number, *pair) for pair in zip(z, y, strict=True)), strict=True)
    return math.fsum(values) / k, [slope / k for slope in slopes]


def elementwise(name: str, number: float | None, z: float, y: float) -> tuple[float, float]:
    e = z - y
    if name == "binary_cross_entropy":
        y = y * (1 - (number or 0.0)) + (number or 0.0) / 2
        # log(1 + exp(-|z|)) is the smaller of the two terms, and max(z, 0) - z y the larger.
        return max(z, 0.0) - z * y + math.log1p(math.exp(-abs(z))), 1 / (1 + math.exp(-z)) - y
    if name == "squared_error":
        return e * e, 2 * e
    if name == "absolute_error":
        return abs(e), math.copysign(1.0, e)
    if name == "huber":
        delta = 1.0 if number is None else number
        inside = abs(e) <= delta
        return (e * e / 2, e) if inside else (delta * (abs(e) - delta / 2), math.copysign(delta, e))
    if name == "quantile":
        q = 0.5 if number is None else number
        return max(-q * e, (1 - q) * e), -q if e <= 0 else 1 - q
    assert name == "poisson"
    return (y * math.log(y) if y else 0.0) - y - y * z + math.exp(z), math.exp(z) - y


@each_loss
def test_values_and_gradients_agree_with_a_formula(name, number, loss):
    outputs, target = example(name)
    expected = [reference(name, number, z, y) for z, y in zip(outputs.tolist(), target.tolist(), strict=True)]
    assert loss.per_row(outputs, target).tolist() == pytest.approx([value for value, _ in expected], rel=1e-12)
    for row, (_, slopes) in zip(loss.gradient(outputs, target).tolist(), expected, strict=True):
        assert row == pytest.approx(slopes, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-14), (torch.float32, 1e-6)], ids=["float64", "float32"])
@each_loss
def test_outputs_of_thirty_are_safe(name, number, loss, dtype, rel):
    rows = [[30.0, -30.0], [-30.0, 30.0], [30.0, 30.0], [-30.0, -30.0]]
    targets = [0, 1, 0, 1] if LOSSES[name].task == "classification" else [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0] * 2]
    for again in (targets, targets[::-1]):
        z = torch.tensor(rows, dtype=dtype)
        y = torch.tensor(again) if LOSSES[name].task == "classification" else torch.tensor(again, dtype=dtype)
        values, slopes = loss.per_row(z, y), loss.gradient(z, y)
        expected = [reference(name, number, *pair) for pair in zip(rows, again, strict=True)]
        # A term of 30 in a sum leaves an error of 30 units in the last place.
        close = {"rtol": rel, "atol": 30 * torch.finfo(dtype).eps, "check_dtype": False}
        torch.testing.assert_close(values, torch.tensor([value for value, _ in expected], dtype=dtype), **close)
        torch.testing.assert_close(slopes, torch.tensor([slope for _, slope in expected], dtype=dtype), **close)
        torch.testing.assert_close(by_autograd(loss, z, y), slopes, **close)


def test_binary_cross_entropy_keeps_its_digits_far_out():
    loss = LOSSES["binary_cross_entropy"]
    for dtype, rel in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        right = loss.per_row(torch.tensor([[30.0]], dtype=dtype), torch.tensor([[1.0]], dtype=dtype))
        assert float(right) == pytest.approx(math.log1p(math.exp(-30)), rel=rel)
        wrong = loss.per_row(torch.tensor([[-30.0]], dtype=dtype), torch.tensor([[1.0]], dtype=dtype))
        assert float(wrong) == pytest.approx(30 + math.log1p(math.exp(-30)), rel=rel)


def test_poisson_far_out_by_hand():
    for dtype, rel in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        z, y = torch.tensor([[30.0], [-30.0], [-30.0]], dtype=dtype), torch.tensor([[2.0], [2.0], [0.0]], dtype=dtype)
        values = LOSSES["poisson"].per_row(z, y).tolist()
        known = 2 * math.log(2) - 2
        expected = [known - 30 * 2 + math.exp(30), known + 30 * 2 + math.exp(-30), math.exp(-30)]
        assert values == pytest.approx(expected, rel=rel)


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


def test_binary_cross_entropy_of_one_label_is_cross_entropy_of_two_classes():
    z = torch.tensor([[-2.0], [0.3], [5.0]], dtype=torch.float64)
    y = torch.tensor([1, 0, 1])
    logits = torch.cat([torch.zeros_like(z), z], dim=1)
    for smoothing in (0.0, 0.3):
        labels, classes = (
            LOSSES[name].bound({"label_smoothing": smoothing}) for name in ("binary_cross_entropy", "cross_entropy")
        )
        one = labels.per_row(z, y[:, None].double())
        torch.testing.assert_close(one, classes.per_row(logits, y), rtol=1e-12, atol=0)


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


def test_smoothed_labels_by_hand():
    outputs = torch.tensor([[1.0, 2.0, 0.5, -1.0]], dtype=torch.float64)
    smoothed = LOSSES["cross_entropy"].bound({"label_smoothing": 0.2})
    logs = [z - math.log(sum(math.exp(each) for each in (1.0, 2.0, 0.5, -1.0))) for z in (1.0, 2.0, 0.5, -1.0)]
    # A fifth of the weight is spread over four classes: 0.85 for the label's, 0.05 for each other.
    by_hand = -(0.05 * logs[0] + 0.85 * logs[1] + 0.05 * logs[2] + 0.05 * logs[3])
    assert float(smoothed.per_row(outputs, torch.tensor([1]))) == pytest.approx(by_hand, rel=1e-14)
    labels = LOSSES["binary_cross_entropy"].bound({"label_smoothing": 0.2})
    p = 1 / (1 + math.exp(-1.5))
    value = labels.per_row(torch.tensor([[1.5]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    assert float(value) == pytest.approx(-0.9 * math.log(p) - 0.1 * math.log(1 - p), rel=1e-14)


def test_smoothed_labels_agree_with_torch():
    outputs, target = example("cross_entropy")
    for smoothing in (0.0, 0.1, 0.75):
        value = LOSSES["cross_entropy"].bound({"label_smoothing": smoothing}).per_row(outputs, target).mean()
        expected = F.cross_entropy(outputs, target, label_smoothing=smoothing)
        torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)


def test_losses_agree_with_scikit_learn_and_torch():
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    values = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    codes, labels = torch.randint(0, 3, (50,), generator=generator), (values > 0).double()
    counts = torch.randint(0, 4, (50, 3), generator=generator).double()
    weights = torch.rand(50, generator=generator, dtype=torch.float64)
    weights = weights / weights.mean()
    given = {"sample_weight": weights.numpy()}

    def mean(name: str, target: torch.Tensor, **number: float) -> float:
        loss = LOSSES[name].bound(number) if number else LOSSES[name]
        return float(weighted_mean(loss.per_row(z, target), weights))

    p = torch.softmax(z, dim=1).numpy()
    assert mean("cross_entropy", codes) == pytest.approx(log_loss(codes.numpy(), p, **given), rel=1e-12)
    each = [log_loss(labels[:, i].numpy(), torch.sigmoid(z[:, i]).numpy(), **given) for i in range(3)]
    assert mean("binary_cross_entropy", labels) == pytest.approx(np.mean(each), rel=1e-12)
    assert mean("absolute_error", values) == pytest.approx(mean_absolute_error(values, z, **given), rel=1e-12)
    for q in (0.1, 0.5, 0.9):
        expected = mean_pinball_loss(values, z, alpha=q, **given)
        assert mean("quantile", values, quantile=q) == pytest.approx(expected, rel=1e-12)
    each = [mean_poisson_deviance(counts[:, i], torch.exp(z[:, i]), **given) / 2 for i in range(3)]
    assert mean("poisson", counts) == pytest.approx(np.mean(each), rel=1e-12)
    for delta in (0.3, 1.0, 2.5):
        expected = F.huber_loss(z, values, reduction="none", delta=delta).mean(dim=1)
        assert mean("huber", values, huber_delta=delta) == pytest.approx(float((expected * weights).mean()), rel=1e-12)


def test_a_huge_delta_leaves_half_the_squared_error():
    outputs, target = example("huber")
    half = LOSSES["squared_error"].per_row(outputs, target) / 2
    torch.testing.assert_close(LOSSES["huber"].bound({"huber_delta": 1e6}).per_row(outputs, target), half)


@pytest.mark.parametrize("q", [0.1, 0.37, 0.5, 0.9])
def test_the_constant_of_least_quantile_loss_is_the_sample_quantile(q):
    y = torch.randn(99, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss = LOSSES["quantile"].bound({"quantile": q})
    candidates = y.flatten().sort().values
    means = torch.stack([loss.per_row(c.expand(99, 1), y).mean() for c in candidates])
    best = float(candidates[means.argmin()])
    assert best == np.quantile(y.numpy(), q, method="inverted_cdf")
    for at, sign in ((best - 1e-6, -1), (best + 1e-6, 1)):
        slope = loss.gradient(torch.full((99, 1), at, dtype=torch.float64), y).mean()
        assert float(slope.sign()) == sign


def test_the_poisson_loss_of_a_perfect_prediction_is_zero_and_its_best_constant_the_log_of_the_mean():
    loss = LOSSES["poisson"]
    y = torch.tensor([[1.0], [3.0], [8.0]], dtype=torch.float64)
    assert loss.per_row(torch.log(y), y).tolist() == pytest.approx([0.0] * 3, abs=1e-14)
    constant = torch.full((3, 1), math.log(4.0), dtype=torch.float64)
    assert float(loss.gradient(constant, y).sum()) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("name", LOSSES.names())
def test_the_number_of_an_option_is_filled_in_once(name):
    loss = LOSSES[name]
    if not loss.option:
        assert loss.bound({}) is loss
        return
    outputs, target = example(name)
    bound = loss.bound({loss.option: default(loss.option), "epochs": 3})
    assert torch.equal(bound.per_row(outputs, target), loss.per_row(outputs, target))
    assert torch.equal(bound.gradient(outputs, target), loss.gradient(outputs, target))
    assert bound.bound({loss.option: NUMBERS[loss.option]}) is bound
    other = loss.bound({loss.option: NUMBERS[loss.option]})
    assert torch.equal(other.per_row(outputs, target), loss.per_row(outputs, target, NUMBERS[loss.option]))
    assert (bound.name, bound.task, bound.output_map) == (loss.name, loss.task, loss.output_map)


def test_options_output_maps_and_scaling_of_the_target():
    assert {loss.name: (loss.task, loss.option, loss.target_scaling) for loss in LOSSES} == {
        "cross_entropy": ("classification", "label_smoothing", "standard"),
        "binary_cross_entropy": ("multilabel", "label_smoothing", "standard"),
        "squared_error": ("regression", "", "standard"),
        "absolute_error": ("regression", "", "standard"),
        "huber": ("regression", "huber_delta", "standard"),
        "quantile": ("regression", "quantile", "standard"),
        "poisson": ("regression", "", "mean"),
    }
    z = torch.tensor([[0.0, math.log(3.0)]], dtype=torch.float64)
    expected = {"cross_entropy": [0.25, 0.75], "binary_cross_entropy": [0.5, 0.75], "poisson": [1.0, 3.0]}
    for loss in LOSSES:
        assert loss.output_map(z)[0].tolist() == pytest.approx(expected.get(loss.name, z[0].tolist()), rel=1e-14)


@each_loss
def test_a_weight_of_two_is_the_row_twice_and_zero_its_absence(name, number, loss):
    outputs, target = example(name)
    counts = torch.tensor([2, 1, 0, 1, 3, 0, 1])
    weights = counts.double() / counts.double().mean()
    weighted = weighted_mean(loss.per_row(outputs, target), weights)
    repeated = loss.per_row(outputs.repeat_interleave(counts, 0), target.repeat_interleave(counts, 0))
    torch.testing.assert_close(weighted, weighted_mean(repeated, None), rtol=1e-13, atol=0)
