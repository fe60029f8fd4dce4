"""The command on real tables and images, with nothing chosen but the target, and the scores that it must reach."""

import json

import numpy as np
import pytest

from lamina.cli.main import run

pytestmark = pytest.mark.slow


def train(capsys, *arguments: str) -> dict:
    assert run(["train", *arguments, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


def test_adult(lamina_data, tmp_path, capsys):
    tables, out = lamina_data / "tables", str(tmp_path / "adult.lamina")
    areas = []
    for seed in ("0", "1", "2"):  # from one to the next the area differs by 0.002
        result = train(capsys, str(tables / "adult-train.csv"), "--target", "income", "-o", out, "--seed", seed)
        assert result["task"] == "classification"
        assert result["rows"] == {"train": 32_561, "validation": 20_000}  # each row held out by two members
        arguments = ["evaluate", out, str(tables / "adult-test.csv"), "--json", "--require", "log_loss<=0.290"]
        assert run(arguments) == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores["rows"] == 16_281
        areas.append(scores["scores"]["roc_auc"])
    assert np.mean(areas) > 0.92


def test_fashion_mnist(lamina_data, tmp_path, capsys):
    folder = str(lamina_data / "fashion-mnist")
    out = str(tmp_path / "fashion.lamina")
    result = train(capsys, "fashion-mnist", "--data-dir", folder, "-o", out)
    assert result["rows"] == {"train": 54_000, "validation": 6_000, "test": 10_000}
    assert result["scores"]["test"]["accuracy"] >= 0.890
    assert run(["evaluate", out, "fashion-mnist", "--data-dir", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == pytest.approx(result["scores"]["test"])


def test_fashion_mnist_without_hidden_units(lamina_data, tmp_path, capsys):
    folder = str(lamina_data / "fashion-mnist")
    arguments = ["fashion-mnist", "--data-dir", folder, "--hidden-units", "none", "-o", str(tmp_path / "m")]
    accuracy = train(capsys, *arguments)["scores"]["test"]["accuracy"]
    assert 0.83 <= accuracy <= 0.85


@pytest.mark.parametrize(
    ("table", "target", "task"),
    [
        ("credit", "Status", "classification"),
        ("phoneme", "nasal", "classification"),
        ("default", "default", "classification"),
        ("concrete", "compressive_strength", "regression"),
        ("deliveries", "time_to_delivery", "regression"),
    ],
)
def test_a_table_with_nothing_but_its_target_beats_or_matches_a_linear_model(
    lamina_data, tmp_path, capsys, table, target, task
):
    path = str(lamina_data / "tables" / f"{table}.csv")
    result = train(capsys, path, "--target", target, "--test", "0.2", "-o", str(tmp_path / "m"))
    assert result["task"] == task
    mlp, linear, constant = result["scores"]["test"], result["baselines"]["linear"], result["baselines"]["constant"]
    metric = "log_loss" if task == "classification" else "rmse"
    assert mlp[metric] < 1.05 * linear[metric] < constant[metric] * 1.05
