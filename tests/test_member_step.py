"""The step of whole members: the gradients and the weights that the passes layer by layer give."""

import ctypes

import numpy as np
import pandas as pd
import pytest
import torch

import lamina
from lamina.losses import LOSSES
from lamina.native import kernels, library, members
from lamina.training.fused import FusedOptimizer
from lamina.training.member_step import MemberByMember, member_by_member
from lamina.training.passes import passes_of

needs_loops = pytest.mark.skipif(
    library.load() is None or library.matrix_products() is None,
    reason="installed without the compiled loops, or torch's products are not MKL's",
)
pytestmark = needs_loops
N = 37


@pytest.fixture(params=[1, 2, 3, 4])
def threads(request, monkeypatch):
    # 37 rows are few, but are to be divided between threads.
    monkeypatch.setattr(members, "_LEAST_ROWS", 7)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def table(n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    letters = rng.integers(0, 20, n)
    y = np.sin(2 * a) + b + 0.1 * letters
    letter = np.array(list("abcdefghijklmnopqrst"))[letters]
    return pd.DataFrame({"a": a, "b": np.where(b > 1, np.nan, b), "letter": letter, "y": y})


def prepared(target: str = "y", **options):
    data = table()
    if target == "side":
        data["y"] = np.where(data["y"] > 1, "up", "down")
    options = {"hidden_units": (24, 6, 18), "dropout": 0.2, "numeric": "mixed", "members": 4, **options}
    if options["members"] == 1 and options["numeric"] == "mixed":
        options["numeric"] = "periodic"
    if target == "y":
        options["target_transform"] = "none"
    return lamina.prepare(data, "y", dtype="float64", seed=0, validation=0.0, **options)


def ways(run, moved: bool) -> tuple[MemberByMember, object, dict, torch.Tensor]:
    """Return the step, the loss, inputs and target of a minibatch."""
    run.state.flat.attach()
    network = run.state.network.train()
    loss = LOSSES[run.config.loss].bound(run.config.as_dict())
    optimizer = run.state.optimizer
    assert isinstance(optimizer, FusedOptimizer)
    step = member_by_member(passes_of(network, N), loss, optimizer if moved else None)
    rows = run._rows(run.parts["train"]).at(torch.arange(N))
    return step, loss, dict(rows.inputs), rows.target


def test_structures_are_those_of_c():
    found = [ctypes.sizeof(each) for each in (kernels.Adam, members.MemberLayer, members.MembersStep)]
    assert found == [kernels.limit(f"lamina_size_of_{name}") for name in ("adam", "layer", "step")]


@pytest.mark.parametrize("target", ["y", "side"])
@pytest.mark.parametrize("hidden_units", [(), (24,), (24, 6, 18)])
@pytest.mark.parametrize("n_members", [1, 2, 3, 4])
def test_gradients_are_those_of_layer_by_layer(target, hidden_units, n_members, threads):
    options = {"members": n_members, "hidden_units": hidden_units}
    weights = torch.rand(N, n_members, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for way in ("members", "layers"):
        run = prepared(target, **options)
        step, loss, inputs, t = ways(run, moved=False)
        assert isinstance(step, MemberByMember)
        run.state.flat.gradient.fill_(torch.nan)
        with torch.no_grad():
            if way == "members":
                value = step(inputs, t, weights)
            else:
                value, gradient = loss.mean_and_gradient(step.passes.forward(inputs), t, weights)
                step.passes.backward(gradient)
        gradients = [parameter.grad.clone() for parameter in run.state.network.parameters()]
        found.append((float(value), torch.cat([each.flatten() for each in gradients])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    assert float(found[1][1].abs().max()) > 1e-3
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("numeric", ["standard", "mixed"])
@pytest.mark.parametrize("n_members", [1, 4])
def test_what_moves_in_the_same_loops_moves_as_by_the_optimizer(optimizer, numeric, n_members, threads):
    found, options = [], {"optimizer": optimizer, "numeric": numeric, "members": n_members}
    for moved in (True, False):
        run = prepared(learning_rate=0.01, weight_decay=0.1, **options)
        step, _, inputs, t = ways(run, moved)
        for _ in range(5):
            with torch.no_grad():
                step(inputs, t, None)
            if not moved:
                run.state.optimizer.step()
        state = run.state.optimizer.state_dict()["state"]
        kept = torch.cat([each[name].flatten() for each in state.values() for name in ("exp_avg", "exp_avg_sq")])
        assert [float(each["step"]) for each in state.values()] == [5.0, 5.0]
        found.append((run.state.flat.weights.clone(), kept))
    start = prepared(**options).state.flat
    start.attach()
    assert int(((found[0][0] - start.weights).abs() > 1e-3).sum()) > 0.9 * int((start.weights != 0).sum())
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-14)


def test_the_result_is_the_same_for_any_number_of_threads():
    before, found = torch.get_num_threads(), []
    for n_threads in (1, 2, 4):
        torch.set_num_threads(n_threads)
        run = prepared(numeric="standard")
        step, _, inputs, t = ways(run, moved=True)
        for _ in range(3):
            with torch.no_grad():
                step(inputs, t, None)
        found.append(run.state.flat.weights.clone())
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_what_the_loops_do_not_know_is_left_to_the_passes(monkeypatch):
    def step_of(**options) -> MemberByMember | None:
        return ways(prepared(**options), moved=False)[0]

    assert isinstance(step_of(), MemberByMember)
    for options in ({"activation": "tanh"}, {"normalization": "batch"}, {"loss": "huber"}, {"input_dropout": 0.1}):
        assert (step_of(**options) is None) == (options != {"input_dropout": 0.1}), options
    monkeypatch.setattr(members, "matrix_products", lambda: None)
    assert step_of() is None


@pytest.mark.parametrize(
    ("m", "n", "n_weights", "n_threads", "parts"),
    [
        (1, 5, 10**6, 1, 1),
        (1, 32, 5 * 10**5, 2, 2),
        (1, 31, 5 * 10**5, 2, None),  # too few rows for two threads
        (1, 32, 6 * 10**5, 2, None),  # too many gradients to add up
        (1, 31, 60_000, 2, 1),  # little work
        (3, 99, 10**6, 2, 1),
        (9, 99, 10**6, 8, None),  # the ninth would be alone at the end
        (3, 256, 10**5, 8, 2),
        (1, 64, 10**5, 8, None),
    ],
)
def test_no_thread_is_left_without_work_for_long(m, n, n_weights, n_threads, parts):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    found, divided = members.takes_members(torch.zeros(m, n, 2), n_weights), members._parts(m, n, n_weights)
    torch.set_num_threads(before)
    assert found is (parts is not None)
    assert parts in (None, divided)
    assert not members.takes_members(torch.zeros(8, 256, 2, dtype=torch.float16), n_weights)


def test_an_optimizer_knows_only_what_it_moves():
    run = prepared()
    run.state.flat.attach()
    assert run.state.optimizer.is_of_vectors
    weight = run.state.network.output.weight.detach()
    mean, square = run.state.optimizer.moments(weight)
    assert mean.shape == square.shape == weight.shape
    mean += 1.0
    matrices = run.state.optimizer.state_dict()["state"][0]["exp_avg"]
    assert float(matrices.sum()) == weight.numel()
    with pytest.raises(ValueError, match="none of the vectors"):
        run.state.optimizer.moments(torch.zeros(3))
