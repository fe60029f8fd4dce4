"""Verdicts: a sound run gets none, a run broken on purpose gets its own."""

import csv
import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import lamina
from lamina.diagnosis import diagnose, found_in_run
from lamina.diagnosis_course import found_in_course
from lamina.diagnosis_layers import found_in_layers, layer_states
from lamina.errors import DataError
from lamina.finding import Finding, option
from lamina.fitting import prepare


def names(model) -> list[str]:
    return [finding.name for finding in diagnose(model).findings]


def remedy(model) -> str:
    (finding,) = diagnose(model).findings
    return finding.remedy


def trained(run):
    for _ in run.train():
        pass
    return run.finish()


@pytest.fixture(scope="module")
def rings():
    """Two rings, one around the other: 400 rows, two numbers that say something and one that does not."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 400), 1 + y + rng.normal(0, 0.25, 400)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=400)], axis=1), y


def test_a_sound_run_gets_no_verdict(rings):
    model = lamina.fit(rings, members=1, hidden_units=(32, 32), epochs=30)
    assert model.report.diagnosis == []
    assert str(diagnose(model)) == "nothing was found"
    again = diagnose(model, rings)
    assert again.findings == ()
    assert again.rows == 400


def test_dead_units(rings):
    run = prepare(rings, members=1, hidden_units=(16, 16), epochs=5)
    with torch.no_grad():
        run.state.network.hidden[0].affine.bias.fill_(-100)
    model = trained(run)
    assert names(model) == ["dead units"]
    (finding,) = diagnose(model).findings
    assert finding.evidence == {"share": 1.0, "layer": 1, "units": 16, "of": 16, "members_share": 1.0}
    assert "--activation leaky_relu (activation='leaky_relu')" in finding.remedy


def test_dead_units_of_some_members_are_counted_over_all(rings):
    run = prepare(rings, members=4, hidden_units=(16,), epochs=8)
    with torch.no_grad():
        for part in run.state.network.hidden[0].affine.parts[:2]:  # of two members
            part.bias.fill_(-100)
    model = trained(run)
    (finding,) = diagnose(model).findings
    assert finding.name == "dead units"
    assert finding.evidence["of"] == 64
    assert 32 <= finding.evidence["units"] < 40
    assert finding.evidence["members_share"] == 0.5


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softsign"])
def test_saturated_units(rings, activation):
    run = prepare(rings, members=1, hidden_units=(16,), activation=activation, epochs=5)
    with torch.no_grad():
        run.state.network.hidden[0].affine.weight.mul_(1e4)
    model = trained(run)
    assert names(model) == ["saturated units"]
    assert "--normalization layer (normalization='layer')" in remedy(model)


def test_vanishing_gradients(rings):
    run = prepare(rings, members=1, hidden_units=(8,) * 12, activation="sigmoid", epochs=8)
    with torch.no_grad():
        for block in run.state.network.hidden:
            block.affine.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    model = trained(run)
    assert names(model) == ["vanishing gradients"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["hidden_layers"] == 12
    assert finding.evidence["per_layer"] < 0.25  # no slope of a sigmoid is larger
    assert "activation='relu'" in finding.remedy


def test_exploding_gradients(rings):
    run = prepare(rings, members=1, hidden_units=(8,) * 6, activation="leaky_relu", epochs=1)
    with torch.no_grad():
        for block in run.state.network.hidden:
            block.affine.weight.mul_(20)
    model = run.finish(baselines=False)  # not trained, so there is no course
    assert names(model) == ["exploding gradients"]
    assert diagnose(model).findings[0].evidence["first_to_last_gradient"] > 1e3


def test_the_gradient_of_a_layer_is_that_of_central_differences(rings):
    model = lamina.fit(rings, members=1, hidden_units=(4, 3), activation="tanh", epochs=2, dtype="float64")
    part = (
        prepare(rings, members=1, hidden_units=(4, 3), activation="tanh", dtype="float64")
        .parts["train"]
        .rows(np.arange(1))
    )
    (layers,) = layer_states(model, part)
    network, inputs = model.network, {"numbers": torch.from_numpy(part.arrays["numbers"])}
    target = torch.from_numpy(part.y)

    def loss_at(layer: int, unit: int, step: float) -> float:
        with torch.no_grad():
            bias = network.hidden[layer].affine.bias
            bias[unit] += step
            value = float(torch.nn.functional.cross_entropy(network(inputs), target))
            bias[unit] -= step
        return value

    for i, units in enumerate((4, 3)):
        slopes = [(loss_at(i, unit, 1e-5) - loss_at(i, unit, -1e-5)) / 2e-5 for unit in range(units)]
        assert layers[i].gradient == pytest.approx(np.linalg.norm(slopes), rel=1e-5)


def test_a_threshold_and_a_linear_model_have_no_verdict_on_layers(rings):
    model = lamina.fit(rings, members=1, hidden_units=(), epochs=2)
    part = prepare(rings, members=1, hidden_units=()).parts["train"]
    assert layer_states(model, part) == [[]]
    assert found_in_layers(model, [[]]) == []


@pytest.mark.parametrize("members", [1, 4])
def test_learning_rate_too_high(rings, members):
    model = lamina.fit(rings, members=members, learning_rate=1.0, epochs=10)
    assert names(model) == ["learning rate too high"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["largest_update"] > 0.02 or finding.evidence["training_loss_rose_by"] > 0.1
    assert "(learning_rate=0.00" in finding.remedy


def test_divergence_is_a_learning_rate_too_high():
    x = np.linspace(-1, 1, 200)[:, None]
    model = lamina.fit((x, x[:, 0]), members=1, optimizer="sgd", learning_rate=0.3, epochs=2, hidden_units=(8,))
    model.report = lamina.model.replace(model.report, stopped="the loss was not finite in epoch 3; ...", diagnosis=[])
    parts = prepare((x, x[:, 0]), members=1, hidden_units=(8,)).parts
    (finding,) = found_in_run(model, parts, checks_data=False)
    assert finding.name == "learning rate too high"
    assert finding.evidence["diverged"] is True


@pytest.mark.parametrize(("last", "verdict"), [(0.051, ["learning rate too high"]), (0.049, []), (1e-7, [])])
def test_a_loss_that_rose_while_the_weights_hardly_moved_is_chance(last, verdict):
    model = lamina.fit("iris", members=1, hidden_units=(8,), epochs=4, batch_size=10)
    steps = -(-model.report.rows["train"] // 10)
    assert steps in range(10, 16)
    # The loss is lowest after the second epoch and rises by 0.2 of log 3; in two epochs the weights move by ``last``.
    losses, updates = [1.0, 0.5, 0.5 + 0.2 * np.log(3), 0.5 + 0.2 * np.log(3)], [0.01, *[last / 2 / steps] * 3]
    history = [
        lamina.model.replace(record, train_loss=loss, update_ratio=update)
        for record, loss, update in zip(model.history, losses, updates, strict=True)
    ]
    report = lamina.model.replace(model.report, stopped="early", comparison={})
    found = found_in_course(lamina.model.replace(model, history=history, report=report))
    assert [finding.name for finding in found] == verdict
    if verdict:
        assert found[0].evidence["training_loss_rose_by"] == 0.2


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_learning_rate_too_low(rings, members, seed):
    # Whose loss rises and falls by dropout's chance alone.
    model = lamina.fit(rings, members=members, learning_rate=1e-7, epochs=5, seed=seed)
    assert names(model) == ["learning rate too low"]
    assert diagnose(model).findings[0].evidence["largest_update"] < 1e-5
    assert "--learning-rate 0.00" in remedy(model)


def test_overfitting():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    y = (x[:, 0] + rng.normal(0, 1.5, 200) > 0).astype(int)
    model = lamina.fit(
        (x, y), members=1, dropout=0.0, weight_decay=0.0, early_stopping=False, validation=0.3, epochs=40,
        hidden_units=(64, 64),
    )  # fmt: skip
    assert names(model) == ["overfitting"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["training_loss"] < 0.5 * finding.evidence["validation_loss"]
    assert finding.evidence["best_epoch"] < 20
    assert finding.remedy.startswith(
        "Hold it back: --early-stopping (early_stopping=True), --dropout 0.2 (dropout=0.2)"
    )


def test_underfitting_of_a_network_that_cannot_bend():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6))
    y = x @ [3.0, -2.0, 2.0, 1.0, -1.0, 2.0] + 0.1 * rng.normal(size=600)
    model = lamina.fit((x, y), members=1, hidden_units=(1,), numeric="standard", epochs=40)
    assert names(model) == ["underfitting"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["training_loss"] > 1.1 * finding.evidence["training_loss_of_linear"]
    assert "--hidden-units 64 (hidden_units=(64,))" in finding.remedy


def test_underfitting_of_a_run_that_ends_too_soon(rings):
    model = lamina.fit(
        rings, members=1, learning_rate=1e-3, schedule="constant", epochs=3, early_stopping=False, hidden_units=(32,)
    )
    assert names(model) == ["underfitting"]
    assert "--epochs 12 (epochs=12)" in remedy(model)


def with_leak(rings, noise: float, seed: int = 0):
    x, y = rings
    flipped = np.random.default_rng(seed).random(len(y)) < noise
    return np.column_stack([x, np.where(flipped, 1 - y, y)]), y


def test_target_leak(rings):
    model = lamina.fit(with_leak(rings, 0.0), members=1, hidden_units=(16,), epochs=20)
    assert names(model) == ["target leak"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["columns"] == ["x3"]
    assert finding.evidence["roc_auc_alone"] == 1.0
    assert finding.evidence["roc_auc_without"] < 0.95
    assert "--drop x3 (drop=('x3',))" in finding.remedy


def test_a_good_column_is_no_leak(rings):
    assert names(lamina.fit(with_leak(rings, 0.1), members=1, hidden_units=(16,), epochs=20)) == []


def test_a_copied_number_is_a_leak():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = np.exp(x[:, 0] + rng.normal(0, 1, 300))
    model = lamina.fit((np.column_stack([x, 3 * y + 1]), y), members=1, hidden_units=(64,), epochs=60)
    assert names(model) == ["target leak"]
    (finding,) = diagnose(model).findings
    assert finding.evidence["columns"] == ["x3"]
    assert finding.evidence["r2_alone"] >= 0.99


def test_rows_shared_between_the_splits(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 3))
    y = np.where(x[:, 0] + rng.normal(0, 0.5, 240) > 0, "yes", "no")
    rows = [[*map(str, x[i]), y[i]] for i in range(240)]
    for name, chosen in (("train", rows[:160]), ("test", rows[150:240]), ("apart", rows[160:])):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([["a", "b", "c", "y"], *chosen])
    options = {"target": "y", "members": 1, "hidden_units": (8,), "epochs": 40, "validation": 0.0}
    model = lamina.fit(str(tmp_path / "train.csv"), test=str(tmp_path / "test.csv"), **options)
    (finding,) = diagnose(model).findings
    assert finding.name == "rows shared between the splits"
    assert finding.evidence == {"share": 0.111, "rows": 10, "of": 90, "part": "test"}
    assert "--group COL (group='COL')" in finding.remedy
    assert names(lamina.fit(str(tmp_path / "train.csv"), test=str(tmp_path / "apart.csv"), **options)) == []


@pytest.mark.parametrize("members", [1, 4])
def test_rows_twice_in_a_table_stay_together(rings, members):
    x, y = rings
    twice = np.concatenate([x, x[:150]]), np.concatenate([y, y[:150]])
    model = lamina.fit(twice, members=members, hidden_units=(16,), epochs=20)
    assert names(model) == []
    assert any(f"150 of {len(x) + 150:,} rows are copies" in note for note in model.report.notes)


def test_test_rows_of_the_training_table_are_shared_between_the_splits():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 3))
    frame = pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(y=pl.Series(np.where(x[:, 0] > 0, "yes", "no")))
    model = lamina.fit(frame, "y", test=frame[:60], validation=0.0, members=1, hidden_units=(8,), epochs=20)
    (finding,) = (each for each in diagnose(model).findings if each.name == "rows shared between the splits")
    assert finding.evidence == {"share": 1.0, "rows": 60, "of": 60, "part": "test"}
    assert "rows shared between the splits" in [each.name for each in diagnose(model, frame).findings]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_table_of_few_values_repeats_by_nature(seed):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(300, 3)).astype(float)
    y = (x[:, 0] != x[:, 1]).astype(int) ^ (rng.random(300) < 0.1)
    assert names(lamina.fit((x, y), members=1, hidden_units=(8,), epochs=10, numeric="standard", seed=seed)) == []


def test_values_of_any_size_are_looked_at():
    x = np.random.default_rng(0).normal(size=(200, 2))
    target = 1e30 * (x[:, 0] + np.random.default_rng(1).normal(size=200))
    leaking = lamina.fit((np.column_stack([x, target / 1e300]), target), members=1, hidden_units=(8,), epochs=20)
    assert "target leak" in names(leaking)


def test_findings_are_saved_and_read_back(rings, tmp_path):
    model = lamina.fit(rings, members=1, learning_rate=1e-7, epochs=3)
    loaded = lamina.load(model.save(tmp_path / "m"))
    assert diagnose(loaded) == diagnose(model)
    assert [record.update_ratio for record in loaded.history] == [record.update_ratio for record in model.history]


def test_data_without_rows_is_refused(rings):
    model = lamina.fit(rings, members=1, hidden_units=(8,), epochs=1)
    with pytest.raises(DataError, match="no rows to look at; give some"):
        diagnose(model, (rings[0][:0], rings[1][:0]))


def test_a_finding_is_a_record_and_a_line():
    finding = Finding("dead units", {"share": 0.75, "columns": ["a", "b"]}, "A cause.", "A remedy.")
    assert Finding.from_json(finding.as_json()) == finding
    assert str(finding) == "dead units (share 0.75, columns 'a' and 'b'): A cause. A remedy."


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("learning_rate", 0.0004, "--learning-rate 0.0004 (learning_rate=0.0004)"),
        ("hidden_units", (64, 32), "--hidden-units 64,32 (hidden_units=(64, 32))"),
        ("early_stopping", True, "--early-stopping (early_stopping=True)"),
        ("activation", "relu", "--activation relu (activation='relu')"),
        ("epochs", 12, "--epochs 12 (epochs=12)"),
    ],
)
def test_an_option_can_be_pasted(name, value, text):
    assert option(name, value) == text


def test_the_update_ratio_is_that_of_the_last_step():
    run = prepare("iris", members=1, hidden_units=(4,), epochs=1, batch_size=200, validation=0.0, dropout=0.0)
    before = torch.cat([p.detach().flatten().clone() for p in run.state.network.parameters() if p.ndim > 1])
    (record,) = run.train()
    after = torch.cat([p.detach().flatten() for p in run.state.network.parameters() if p.ndim > 1])
    assert record.update_ratio == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)


PAGE = Path(__file__).parents[1] / "docs" / "diagnosis.md"


def test_the_page_has_every_verdict_and_its_examples_print_what_they_say(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    verdicts = {
        "dead units", "saturated units", "vanishing gradients", "exploding gradients", "learning rate too high",
        "learning rate too low", "overfitting", "underfitting", "target leak", "rows shared between the splits",
    }  # fmt: skip
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) == verdicts
    source = "".join(path.read_text(encoding="utf-8") for path in Path(lamina.__file__).parent.glob("diagnosis_*.py"))
    assert all(name in source or name.endswith(" gradients") for name in verdicts)
    namespace: dict = {}
    for code, expected in re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), namespace)
        assert capsys.readouterr().out == expected
    assert namespace


def test_the_docstring_example_runs():
    assert doctest.testmod(importlib.import_module("lamina.diagnosis")) == (0, 3)
    assert doctest.testmod(importlib.import_module("lamina.finding")) == (0, 1)


TABLES = {
    "adult-train": "income",
    "california-housing": "median_house_value",
    "concrete": "compressive_strength",
    "credit": "Status",
    "default": "default",
    "deliveries": "time_to_delivery",
    "diamonds": "price",
    "phoneme": "nasal",
    "telco-churn": "churn",
}


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, None])
@pytest.mark.parametrize("name", [*TABLES, "iris", "wine", "breast-cancer", "diabetes"])
def test_sound_runs_on_real_tables_get_no_verdict(name, members, request):
    data, target = name, None
    if name in TABLES:
        polars = pytest.importorskip("polars")
        path = request.getfixturevalue("lamina_data") / "tables" / f"{name}.csv"
        table = polars.read_csv(path, infer_schema_length=None)
        data, target = table.sample(min(1600, len(table)), seed=0, shuffle=True), TABLES[name]
    assert names(lamina.fit(data, target, members=members)) == []
