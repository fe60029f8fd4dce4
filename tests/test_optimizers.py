"""Optimizers: steps by their formulas, decay, and L-BFGS against the normal equations."""

import copy
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

import lamina.training.step
from lamina.data.encoder import Encoder, NumberCode
from lamina.losses import LOSSES, weighted_mean
from lamina.network.mlp import MLP
from lamina.training.fused import FusedOptimizer
from lamina.training.loop import EpochRecord, TrainState, train
from lamina.training.optimizers import OPTIMIZERS
from lamina.training.rows import Rows
from lamina.training.step import make_step

pytestmark = pytest.mark.usefixtures("loops")

F64 = torch.float64
SQUARED = LOSSES["squared_error"]
CONVERGED = "the gradient is as small as tol, or the line search found no lower loss"


def network(n_outputs: int = 2, hidden_units: tuple[int, ...] = (4,), **options) -> MLP:
    encoder = Encoder(tuple(NumberCode(f"x{i}", 0.0, 1.0, 0.0, False) for i in range(3)), (), ())
    generator = torch.Generator().manual_seed(0)
    return MLP(
        encoder, n_outputs, hidden_units=hidden_units, activation="tanh", generator=generator, dtype=F64, **options
    )


def rows(n: int = 40, weighted: bool = True) -> Rows:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=generator, dtype=F64) * torch.tensor([1.0, 3.0, 0.3], dtype=F64) + 0.5
    y = torch.sin(x[:, :2]) + x[:, 2:] + 0.1 * torch.randn(n, 2, generator=generator, dtype=F64)
    weights = torch.rand(n, generator=generator, dtype=F64) + 0.1
    return Rows({"numbers": x}, y, weights / weights.mean() if weighted else None)


def start(mlp: MLP, optimizer: str, **options) -> TrainState:
    usual = {"learning_rate": 0.05, "weight_decay": 0.0, "batch_size": 8, "generator": torch.Generator().manual_seed(0)}
    return TrainState.start(mlp, optimizer=optimizer, **{**usual, **options})


def gradients(mlp: MLP, given: Rows) -> list[torch.Tensor]:
    value = weighted_mean(SQUARED.per_row(mlp(given.inputs), given.target), given.weights)
    return list(torch.autograd.grad(value, list(mlp.parameters())))


def three_steps(optimizer: str, **options) -> list[torch.Tensor]:
    """Return the parameters after three steps over the same rows."""
    state = start(network(), optimizer, **options)
    state.flat.attach()
    step, given = make_step(state.network, SQUARED, state.optimizer, None), rows()
    for _ in range(3):
        step(given.inputs, given.target, given.weights)
    return [parameter.detach() for parameter in state.network.parameters()]


@pytest.mark.parametrize(("name", "decoupled"), [("adam", False), ("adamw", True)])
def test_adam_and_adamw_step_as_their_formulas_say(name, decoupled):
    rate, decay, beta_1, beta_2, epsilon, batch_size = 0.05, 0.4, 0.8, 0.6, 0.1, 8
    betas = {"beta_1": beta_1, "beta_2": beta_2}
    moved = three_steps(name, learning_rate=rate, weight_decay=decay, epsilon=epsilon, batch_size=batch_size, **betas)
    mlp = network()
    means = [torch.zeros_like(p) for p in mlp.parameters()]
    squares = [torch.zeros_like(p) for p in mlp.parameters()]
    for t in (1, 2, 3):
        for p, g, m, v in zip(mlp.parameters(), gradients(mlp, rows()), means, squares, strict=True):
            with torch.no_grad():
                shrink = decay if p.ndim > 1 else 0.0  # biases do not decay
                g = g if decoupled else g + shrink / batch_size * p
                m.mul_(beta_1).add_((1 - beta_1) * g)
                v.mul_(beta_2).add_((1 - beta_2) * g * g)
                change = m / (1 - beta_1**t) / (torch.sqrt(v / (1 - beta_2**t)) + epsilon)
                p.sub_(rate * (change + shrink * p if decoupled else change))
    for one, other in zip(moved, mlp.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.5, False), (0.5, True), (0.0, True)])
def test_sgd_steps_as_its_formula_says(momentum, nesterov):
    rate, decay, batch_size = 0.05, 0.4, 8
    moved = three_steps(
        "sgd", learning_rate=rate, weight_decay=decay, momentum=momentum, nesterov=nesterov, batch_size=batch_size
    )
    mlp = network()
    velocities = [torch.zeros_like(p) for p in mlp.parameters()]
    for _ in range(3):
        for p, g, v in zip(mlp.parameters(), gradients(mlp, rows()), velocities, strict=True):
            with torch.no_grad():
                g = g + (decay / batch_size * p if p.ndim > 1 else 0.0)
                v.mul_(momentum).add_(g)
                p.sub_(rate * (g + momentum * v if nesterov else v))
    for one, other in zip(moved, mlp.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-11, atol=1e-13)


def test_the_penalty_is_divided_by_the_rows_of_a_minibatch_and_decoupled_decay_is_not():
    decays = {
        name: [group["weight_decay"] for group in start(network(), name, weight_decay=0.4).optimizer.param_groups]
        for name in ("adam", "sgd", "adamw")
    }
    assert decays == {"adam": [0.05, 0.0], "sgd": [0.05, 0.0], "adamw": [0.4, 0.0]}


def test_defaults():
    assert {o.name: (o.learning_rate, o.weight_decay, o.beta_2, o.decoupled, o.full_batch) for o in OPTIMIZERS} == {
        "adamw": (2e-3, 1e-2, 0.95, True, False),
        "adam": (2e-3, 1e-4, 0.999, False, False),
        "sgd": (2e-2, 1e-4, 0.999, False, False),
        "lbfgs": (1.0, 1.0, 0.999, False, True),
    }
    for name, expected in (("adamw", (0.9, 0.95)), ("adam", (0.9, 0.999))):
        given = start(network(), name).optimizer.options
        assert (given["beta1"], given["beta2"]) == expected
        given = start(network(), name, beta_1=0.7, beta_2=0.0).optimizer.options
        assert (given["beta1"], given["beta2"]) == (0.7, 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("AdamW", {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}), (torch.optim.AdamW, {"betas": (0.8, 0.9), "eps": 1e-3})),
        (("Adam", {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}), (torch.optim.Adam, {"betas": (0.8, 0.9), "eps": 1e-3})),
        (("SGD", {"momentum": 0.7, "nesterov": True}), (torch.optim.SGD, {"momentum": 0.7, "nesterov": True})),
        (("SGD", {"momentum": 0.7, "nesterov": False}), (torch.optim.SGD, {"momentum": 0.7})),
        (("SGD", {"momentum": 0.0, "nesterov": False}), (torch.optim.SGD, {})),
    ],
)
def test_a_fused_update_is_the_plain_one_of_torch_and_goes_on_where_it_was(ours, theirs):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(37, generator=generator, dtype=F64) for _ in range(2))
    alike = [[torch.nn.Parameter(each.clone()) for each in (first, second)] for _ in range(2)]
    groups = [[{"params": [one], "weight_decay": 0.3}, {"params": [two], "weight_decay": 0.0}] for one, two in alike]
    (kind, options), (plain, theirs_options) = ours, theirs
    fused = FusedOptimizer(kind, groups[0], 0.05, **options)
    reference = plain(groups[1], lr=0.05, foreach=False, **theirs_options)
    for i in range(6):
        if i == 3:
            stored = {"state": copy.deepcopy(fused.state_dict()["state"]), "param_groups": fused.param_groups}
            fused = FusedOptimizer(kind, groups[0], 0.05, **options)
            fused.load_state_dict(stored)
        for group in (*fused.param_groups, *reference.param_groups):
            group["lr"] = 0.05 / (i + 1)
        for one, other in zip(*alike, strict=True):
            one.grad = torch.randn(37, generator=generator, dtype=F64)
            other.grad = one.grad.clone()
        fused.step()
        reference.step()
        for one, other in zip(*alike, strict=True):
            torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-13, atol=1e-15)
    fused.zero_grad()
    assert all(float(each.grad.abs().sum()) == 0 for each in alike[0])


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_moments_without_a_gradient_end_at_zero_and_not_among_denormal_numbers(kind):
    still, moving = torch.nn.Parameter(torch.ones(8)), torch.nn.Parameter(torch.ones(8))
    groups = [{"params": [still, moving], "weight_decay": 0.0}]
    fused = FusedOptimizer(kind, groups, 1e-3, beta1=0.9, beta2=0.95, eps=1e-8)
    smallest = torch.finfo(torch.float32).tiny
    for i in range(2000):
        still.grad = torch.full((8,), 1e-3 if i < 5 else 0.0)
        moving.grad = torch.full((8,), 1e-3)
        fused.step()
        for kept in fused.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                assert not bool(((kept[name] != 0) & (kept[name] < smallest)).any())
    assert float(fused.state[still]["exp_avg"].abs().sum() + fused.state[still]["exp_avg_sq"].sum()) == 0
    assert fused.state[moving]["exp_avg"].tolist() == pytest.approx([1e-3] * 8, rel=1e-4)
    assert moving.tolist() == pytest.approx([1.0 - 2000 * 1e-3] * 8, abs=0.01)


def test_the_state_of_other_parameters_is_refused():
    def of(n: int) -> FusedOptimizer:
        groups = [{"params": [torch.nn.Parameter(torch.ones(n))], "weight_decay": 0.0}]
        return FusedOptimizer("SGD", groups, 0.1, momentum=0.5, nesterov=False)

    with pytest.raises(ValueError, match=r"momentum_buffer is of shape \(1,\), not \(3,\)"):
        of(3).load_state_dict(of(1).state_dict())
    with pytest.raises(KeyError):
        of(3).load_state_dict({"state": {}, "param_groups": []})


def test_a_fit_does_not_import_the_compiler_of_torch():
    code = """
import sys, lamina, numpy
X = numpy.random.default_rng(0).normal(size=(80, 2))
run = lamina.prepare((X, X[:, 0]), epochs=2)
for record in run.train():
    pass
assert record.epoch == 2
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def lbfgs(mlp: MLP, given: Rows, *, weight_decay: float = 1.0, tol: float = 1e-10, **options) -> TrainState:
    state = start(mlp, "lbfgs", learning_rate=1.0, weight_decay=weight_decay, tol=tol)
    usual = {"loss": SQUARED, "schedule": "constant", "batch_size": 8, "epochs": 100}
    list(train(
        state, given, optimizer="lbfgs", learning_rate=1.0, weight_decay=weight_decay, tol=tol, **{**usual, **options}
    ))  # fmt: skip
    return state


def losses(state: TrainState) -> list[float]:
    return [record.train_loss for record in state.history]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_lbfgs_solves_the_normal_equations(weighted, alpha):
    # mean_i w_i |x_i W + b - y_i|^2 / k + α |W|^2 / (2 n) is least where, with X and Y centred at their weighted means,
    # (X' D X + α k / 2) W = X' D Y, and b is what is left at the means; here k = 2.
    given = rows(weighted=weighted)
    X, Y = given.inputs["numbers"].numpy(), given.target.numpy()
    w = given.weights.numpy() if weighted else np.ones(len(X))
    x_mean, y_mean = np.average(X, axis=0, weights=w), np.average(Y, axis=0, weights=w)
    Xc, Yc = X - x_mean, Y - y_mean
    W = np.linalg.solve(Xc.T @ (w[:, None] * Xc) + alpha * np.eye(3), Xc.T @ (w[:, None] * Yc))
    state = lbfgs(network(hidden_units=()), given, weight_decay=alpha)
    np.testing.assert_allclose(state.network.output.weight.detach().numpy(), W, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state.network.output.bias.detach().numpy(), y_mean - x_mean @ W, rtol=0, atol=1e-6)
    assert state.epoch < 100
    assert state.stopped == CONVERGED


def test_the_loss_of_lbfgs_is_that_of_the_rows_and_the_penalty():
    mlp, given = network(), rows()
    with torch.no_grad():
        loss = float(weighted_mean(SQUARED.per_row(mlp(given.inputs), given.target), given.weights))
        matrices = sum(float(p.square().sum()) for p in mlp.parameters() if p.ndim > 1)
    state = lbfgs(mlp, given, weight_decay=0.7, epochs=1)
    assert losses(state) == pytest.approx([loss + 0.5 * 0.7 / 40 * matrices], rel=1e-12)


def test_an_epoch_of_lbfgs_is_one_step_over_all_rows_and_never_raises_the_loss():
    state = lbfgs(network(hidden_units=(8, 6)), rows(), weight_decay=0.1, epochs=60)
    assert all(later <= earlier for earlier, later in pairwise(losses(state)))
    assert losses(state)[-1] < 0.2 * losses(state)[0]
    assert (state.epoch, state.n_steps, state.n_rows) == (60, 60, 60 * 40)


def test_lbfgs_in_slices_equals_lbfgs_at_once(monkeypatch):
    whole = lbfgs(network(), rows(), epochs=8)
    monkeypatch.setattr(lamina.training.step, "_SLICE_ROWS", 7)
    sliced = lbfgs(network(), rows(), epochs=8)
    assert losses(sliced) == pytest.approx(losses(whole), rel=1e-9)
    for one, other in zip(sliced.network.parameters(), whole.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_line_search_may_evaluate_more_than_once():
    # torch lets a step of one iteration evaluate the loss once, unless told otherwise, and takes no step then.
    state = start(network(), "lbfgs", learning_rate=1.0)
    given, evaluations = rows(), []
    for _ in train(
        state, given, loss=SQUARED, optimizer="lbfgs", learning_rate=1.0, schedule="constant", batch_size=8, epochs=20
    ):
        evaluations.append(state.n_evaluations - sum(evaluations))
    assert len(evaluations) == 20
    assert min(evaluations) == 2
    assert 2 < max(evaluations) <= 27
    assert all(later < earlier for earlier, later in pairwise(losses(state)))


def test_max_fun_ends_lbfgs():
    state = lbfgs(network(), rows(), max_fun=9)
    assert state.stopped == "max_fun = 9 evaluations of the loss were made"
    assert state.n_evaluations >= 9
    before = lbfgs(network(), rows(), epochs=state.epoch - 1)
    assert before.n_evaluations < 9


def test_a_small_gradient_ends_lbfgs():
    mlp, given = network(), rows(weighted=False)
    state = lbfgs(mlp, given, weight_decay=0.0, tol=1e-2, epochs=500)
    assert state.stopped == CONVERGED
    assert max(float(g.abs().max()) for g in gradients(mlp, given)) <= 1e-2
    further = lbfgs(network(), given, weight_decay=0.0, tol=1e-3, epochs=500)
    assert further.epoch > state.epoch


def test_lbfgs_where_there_is_nothing_to_improve_stops_after_one_evaluation():
    mlp, given = network(hidden_units=()), rows(weighted=False)
    with torch.no_grad():
        exact = Rows(given.inputs, mlp(given.inputs))
    state = lbfgs(mlp, exact, weight_decay=0.0)
    assert (state.epoch, state.n_evaluations, state.stopped) == (1, 1, CONVERGED)
    assert losses(state) == [0.0]


def test_lbfgs_watches_validation_rows_and_keeps_the_best_epoch():
    given, held = rows(20), rows(60)
    state = start(network(hidden_units=(30,)), "lbfgs", learning_rate=1.0, tol=0.0)
    records: list[EpochRecord] = list(train(
        state, given, held, loss=SQUARED, optimizer="lbfgs", learning_rate=1.0, schedule="constant", batch_size=8,
        epochs=200, patience=10,
    ))  # fmt: skip
    best = min(records, key=lambda record: record.validation_loss)
    assert (state.best_epoch, state.best_loss) == (best.epoch, best.validation_loss)
    assert state.stopped == "no better validation loss in 10 epochs"
    assert len(records) == best.epoch + 10
    assert math.isfinite(records[-1].train_loss)
