"""Members: each is the plain network it stands for, they learn apart, and their average is that of predictions."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

import lamina
from lamina.data.encoder import CategoryCode, Encoder, NumberCode
from lamina.errors import ConfigError
from lamina.losses import LOSSES, weighted_mean
from lamina.network.layers import set_dropout_generator
from lamina.network.members import Members
from lamina.training.step import make_full_batch_step, make_step

F64 = torch.float64
PIECES, LEARNED, WAVES, PLAIN = "piecewise_linear", "piecewise_embedding", "periodic", "standard"
ENCODER = Encoder(
    (NumberCode("a", 0.0, 1.0, 0.0, True, (-1.0, 0.0, 1.5)), NumberCode("b", 0.0, 1.0, 0.0, False, (-2.0, 2.0))),
    (CategoryCode("few", ("x", "y"), True, False), CategoryCode("many", tuple("pqrst"), False, True)),
    (),
)
NUMBERS = Encoder(ENCODER.numbers, (), ())
ENCODINGS = [(PIECES,) * 3, (LEARNED,) * 2, (WAVES,) * 2, (PLAIN,) * 2, (PIECES, PIECES, LEARNED, WAVES, WAVES)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(n: int, encoder: Encoder = ENCODER, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = seeded(seed)
    arrays = {
        "numbers": torch.randn(n, 2, generator=generator, dtype=F64),
        "flags": torch.randint(0, 2, (n, 1), generator=generator).to(F64),
    }
    if encoder.categories:
        codes = [torch.randint(0, code.n_codes, (n,), generator=generator) for code in encoder.categories]
        arrays["codes"] = torch.stack(codes, dim=1).to(torch.int32)
    return arrays


def members(encodings, *, encoder=ENCODER, loss="cross_entropy", n_outputs=3, seed=0, **network) -> Members:
    """Return members whose weights, slopes and statistics are all random."""
    network = {"hidden_units": (5, 4), "activation": "tanh", **network}
    made = Members(
        encoder, n_outputs, encodings=encodings, average=LOSSES[loss].average, generator=seeded(seed), dtype=F64,
        **network,
    )  # fmt: skip
    generator = seeded(seed + 1)
    for name, tensor in made.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=F64) * 0.5)
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    return made.eval()


# -- each is a plain network


@pytest.mark.parametrize("encodings", ENCODINGS)
@pytest.mark.parametrize(
    "network",
    [
        {},
        {"hidden_units": ()},
        {"hidden_units": (6,)},
        {"hidden_units": (3, 7, 4), "activation": ("relu", "gelu", "sigmoid")},
        {"normalization": "batch"},
        {"normalization": "layer"},
        {"normalization": "layer", "activation": "prelu", "activation_parameters": "unit", "dropout": 0.4},
        {"normalization": "batch", "activation": "prelu", "activation_parameters": "layer"},
        {"activation": "swish", "activation_parameters": "unit"},
        {"embedding_width": 3, "n_outputs": 1},
    ],
)
def test_the_outputs_of_each_are_those_of_the_plain_network(encodings, network):
    together, x = members(encodings, **network), inputs(20)
    alone = together.members()
    assert len(alone) == together.k == len(encodings)
    assert not any(each.training for each in alone)
    outputs = together.outputs_of_each(x).detach()
    expected = torch.stack([each(x) for each in alone], dim=1).detach()
    assert outputs.shape == (20, len(encodings), network.get("n_outputs", 3))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)
    assert float((outputs[:, 0] - outputs[:, 1]).abs().max()) > 0.01
    for i in range(len(together.hidden)):
        expected = torch.cat([each.hidden_output(x, i) for each in alone], dim=1).detach()
        np.testing.assert_allclose(together.hidden_output(x, i).detach(), expected, rtol=0, atol=1e-12)
    assert together.n_layers == alone[0].n_layers == len(together.hidden) + 1


@pytest.mark.parametrize("options", [{"normalization": "batch", "activation": "prelu"}, {"activation": "tanh"}])
def test_members_that_were_taken_out_once_are_brought_up_to_date(options):
    run = lamina.prepare("wine", members=4, hidden_units=(6, 5), epochs=3, **options)
    network, records = run.state.network, run.train()
    next(records)
    alone = network.members()
    before = [{name: value.clone() for name, value in each.state_dict().items()} for each in alone]
    next(records)
    network.refresh(alone)
    for kept, each, expected in zip(before, alone, network.members(), strict=True):
        for name, value in expected.state_dict().items():
            assert torch.equal(each.state_dict()[name], value)
        assert not all(torch.equal(kept[name], value) for name, value in expected.state_dict().items())


@pytest.mark.parametrize("encodings", ENCODINGS)
@pytest.mark.parametrize("hidden_units", [(), (5, 4)])
def test_what_learns_is_each_members_own_and_counted_once(encodings, hidden_units):
    together = members(encodings, hidden_units=hidden_units, normalization="batch")
    counts = [sum(p.numel() for p in each.parameters()) for each in together.members()]
    assert sum(p.numel() for p in together.parameters()) == sum(counts)
    assert sum(row.n_parameters for row in together.summary()) == sum(counts)
    assert together.summary()[-1].output == (len(encodings) * 3,)


def test_an_input_layer_that_learns_nothing_is_shared():
    encodings = (PIECES,) * 3 + (PLAIN,) * 2 + (LEARNED,) * 2 + (WAVES,) * 2
    assert members(encodings, encoder=NUMBERS).reads == [0, 0, 0, 1, 1, 2, 3, 4, 5]
    assert members(encodings).reads == list(range(9))  # an embedding of categories learns


def test_what_members_returns_are_copies():
    together, x = members((PIECES, WAVES)), inputs(4)
    before = together.outputs_of_each(x).detach()
    for each in together.members():
        for parameter in each.parameters():
            parameter.data.zero_()
    assert torch.equal(together.outputs_of_each(x).detach(), before)


def test_in_training_the_outputs_are_those_of_each_and_in_evaluation_their_average():
    together, x = members((PIECES, PIECES, WAVES)), inputs(7)
    assert together.train()(x).shape == (7, 3, 3)
    average = together.eval()(x).detach()
    assert average.shape == (7, 3)
    assert torch.equal(average, together.combine(together.outputs_of_each(x)).detach())


@pytest.mark.parametrize("hidden_units", [(), (5,)])
def test_scaled_outputs_are_scaled(hidden_units):
    together, x = members((PIECES, WAVES), hidden_units=hidden_units), inputs(6)
    before = together.outputs_of_each(x).detach()
    together.scale_outputs(0.25)
    assert torch.equal(together.outputs_of_each(x).detach(), before * 0.25)


def test_dropout_draws_for_every_unit_of_every_member():
    together, x = members((PIECES,) * 2, encoder=NUMBERS, dropout=0.5, hidden_units=(200,)), inputs(50, NUMBERS)
    set_dropout_generator(together.train(), seeded(3))
    dropped = together.hidden[0]([layer(x) for layer in together.inputs]) == 0
    assert dropped.shape == (50, 400)
    assert float(dropped.double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((dropped[:, :200] == dropped[:, 200:]).double().mean()) == pytest.approx(0.5, abs=0.02)


# -- the average


MEAN_OF = {
    "cross_entropy": lambda z, w: np.log((softmax(z, axis=2) * w[:, :, None]).sum(1)),
    "binary_cross_entropy": lambda z, w: _logit((expit(z) * w[:, :, None]).sum(1)),
    "poisson": lambda z, w: np.log((np.exp(z) * w[:, :, None]).sum(1)),
}


def _logit(p):
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize("name", [loss.name for loss in LOSSES])
def test_the_average_predicts_the_weighted_mean_of_predictions(name):
    rng = np.random.default_rng(0)
    z, w = rng.normal(size=(40, 5, 3)) * 2, rng.random((40, 5))
    w[:10, :2] = 0  # members that have seen the row do not count
    expected = MEAN_OF.get(name, lambda z, w: (z * w[:, :, None]).sum(1))(z, w / w.sum(1, keepdims=True))
    network = members((PLAIN,) * 5, loss=name)
    found = network.combine(torch.from_numpy(z), torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    # Without weights each counts alike, and one alone is its own prediction.
    equal = MEAN_OF.get(name, lambda z, w: (z * w[:, :, None]).sum(1))(z, np.full((40, 5), 0.2))
    np.testing.assert_allclose(network.combine(torch.from_numpy(z)).numpy(), equal, rtol=1e-10, atol=1e-12)
    only = torch.zeros(40, 5, dtype=F64)
    only[:, 3] = 1
    map_ = LOSSES[name].output_map
    alone = map_(network.combine(torch.from_numpy(z), only)).numpy()
    np.testing.assert_allclose(alone, map_(torch.from_numpy(z[:, 3])).numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_sure_members_lose_no_digits(name):
    z = torch.tensor([[[400.0, -400.0], [390.0, -395.0]]], dtype=F64)
    found = LOSSES[name].average(z, torch.full((1, 2), 0.5, dtype=F64))[0]
    # Of classes: the log of the mean of exp(-800) and exp(-785). Of labels: of their odds, exp(400) and so on.
    if name == "cross_entropy":
        assert found.tolist() == pytest.approx([0.0, np.logaddexp(-800, -785) - np.log(2)], abs=1e-9)
    else:
        expected = [np.log(2) - np.logaddexp(-400, -390), np.logaddexp(-400, -395) - np.log(2)]
        assert found.tolist() == pytest.approx(expected, abs=1e-9)


# -- they learn apart


def target_for(name: str, n: int, seed: int = 5) -> torch.Tensor:
    task, generator = LOSSES[name].task, seeded(seed)
    if task == "classification":
        return torch.randint(0, 3, (n,), generator=generator)
    if task == "multilabel":
        return torch.randint(0, 2, (n, 3), generator=generator).to(F64)
    return torch.randn(n, 3, generator=generator, dtype=F64).abs()


def step_of(network, loss, x, y, w, rate) -> None:
    """Take one step of plain gradient descent."""
    make_step(network.train(), loss, torch.optim.SGD(network.parameters(), lr=rate), None)(x, y, w)


def assert_same_state(one, other, atol=0.0) -> None:
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("weighted", [None, "rows", "members"])
@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("cross_entropy", {}),
        ("cross_entropy", {"normalization": "batch", "activation": "prelu", "activation_parameters": "unit"}),
        ("binary_cross_entropy", {"normalization": "layer"}),
        ("squared_error", {"hidden_units": (4, 4, 4)}),
        ("poisson", {"hidden_units": ()}),
    ],
)
def test_a_step_of_all_is_the_step_of_each_alone(name, network, weighted):
    encodings, n = (PIECES, LEARNED, WAVES, PLAIN), 30
    together = members(encodings, loss=name, **network)
    alone, loss = together.members(), LOSSES[name].bound({"label_smoothing": 0.0})
    x, y, rng = inputs(n), target_for(name, n), np.random.default_rng(1)
    w = None if weighted is None else torch.from_numpy(rng.random((n, 4) if weighted == "members" else n))
    step_of(together, loss, x, y, w, rate=4.0)  # the loss is the mean over the four members
    for m, (each, after) in enumerate(zip(alone, together.members(), strict=True)):
        own = w[:, m] if weighted == "members" else w
        # By autograd on the plain network, without the step of the library.
        value = weighted_mean(loss.per_row(each.train()(x), y), own)
        torch.autograd.backward(value)
        assert float(each.output.weight.grad.abs().max()) > 1e-3
        assert float(each.inputs.categories.tables[0].grad.abs().max()) > 1e-6
        with torch.no_grad():
            for parameter in each.parameters():
                parameter -= parameter.grad
        assert_same_state(after, each, atol=1e-12)


@pytest.mark.parametrize("full_batch", [False, True])
def test_rows_of_weight_0_leave_a_member_as_if_they_were_others(full_batch):
    encodings, n = (PIECES, WAVES, WAVES), 24
    held = torch.arange(n)[:, None] % 3 == torch.arange(3)
    loss = LOSSES["cross_entropy"].bound({"label_smoothing": 0.0})
    x, y = inputs(n), target_for("cross_entropy", n)
    other_x, other_y = {name: each.clone() for name, each in x.items()}, y.clone()
    other_y[held[:, 1]] = (y[held[:, 1]] + 1) % 3
    other_x["numbers"][held[:, 1]] += 0.5
    other_x["codes"][held[:, 1], 1] = 0
    after = []
    for rows, target in ((x, y), (other_x, other_y)):
        network = members(encodings).train()
        if full_batch:
            optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
            make_full_batch_step(network, loss, optimizer, 0.1)(rows, target, (~held).to(F64))
        else:
            step_of(network, loss, rows, target, (~held).to(F64), rate=1.0)
        after.append(network.members())
    assert_same_state(after[0][1], after[1][1])
    for m in (0, 2):
        assert not torch.equal(after[0][m].output.weight, after[1][m].output.weight)
        assert not torch.equal(after[0][m].inputs.categories.tables[0], after[1][m].inputs.categories.tables[0])


# -- models


QUICK = {"hidden_units": (6,), "epochs": 2, "baselines": False}


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_the_same_seed_gives_the_same_predictions(k):
    one, again, other = (lamina.fit("iris", members=k, seed=seed, **QUICK) for seed in (4, 4, 5))
    predictions = [model.predict_outputs("iris") for model in (one, again, other)]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert np.abs(predictions[0] - predictions[2]).max() > 1e-3
    assert len(one.network.members()) == one.config.members == k


@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_a_models_prediction_is_the_mean_of_its_members(data):
    model = lamina.fit(data, members=5, normalization="layer", dtype="float64", linear_share=False, **QUICK)
    each = [model.member(i) for i in range(5)]
    assert [m.config.numeric for m in each] == [LEARNED] * 3 + [WAVES] * 2
    assert [m.config.members for m in each] == [1] * 5
    mean = np.mean([m.predict_outputs(data) for m in each], axis=0)
    np.testing.assert_allclose(model.predict_outputs(data), mean, rtol=1e-12)
    if data == "iris":
        np.testing.assert_allclose(model.predict_log_proba(data), np.log(mean), rtol=1e-9)


def test_saved_and_pickled_members_predict_the_same_bits(tmp_path):
    model = lamina.fit("iris", members=3, activation="prelu", activation_parameters="unit", **QUICK)
    expected = model.predict_outputs("iris")
    assert model.report.calibration["temperature"] != 1
    for again in (lamina.load(model.save(tmp_path / "m")), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_outputs("iris"), expected)
        assert again.report == model.report
        assert again.network.encodings == (LEARNED, LEARNED, WAVES)
    for i in range(3):
        member = model.member(i)
        np.testing.assert_array_equal(
            lamina.load(member.save(tmp_path / f"{i}")).predict_outputs("iris"), member.predict_outputs("iris")
        )


@pytest.mark.parametrize("i", [-1, 3])
def test_a_member_that_there_is_not(i):
    model = lamina.prepare("iris", members=3, hidden_units=(4,)).current()
    with pytest.raises(ConfigError, match=f"there is no member {i}; this model has 3, counted from 0"):
        model.member(i)


def test_one_network_is_its_own_only_member():
    model = lamina.prepare("iris", members=1, hidden_units=(4,)).current()
    assert model.network.members() == [model.network]
    assert model.member(0).network is model.network
    x = {"numbers": torch.zeros(3, 4)}
    outputs = model.network.outputs_of_each(x)
    assert outputs.shape == (3, 1, 3)
    assert torch.equal(model.network.combine(outputs, torch.ones(3, 1)), model.network(x))
