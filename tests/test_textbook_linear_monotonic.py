"""Linear implies monotonic: the verdicts, the generated loans, and the report on a real table where there is one."""

import numpy as np
import pytest

from lamina.textbook.experiment import Setting
from lamina.textbook.experiments.linear_monotonic import EXPERIMENT, chance, log_loss, real_loans, steps, turns
from lamina.textbook.runner import run_one


@pytest.mark.slow
def test_every_claim_holds():
    outcome = run_one(EXPERIMENT, Setting(quick=True))
    assert {each.claim.name: each.verdict for each in outcome.judged} == {
        "monotonic": "held",
        "equal-steps": "held",
        "logarithm": "held",
        "mlp": "held",
        "mlp-steps": "held",
    }
    assert [drawn.name for drawn in outcome.drawn] == ["generated"]


def test_chance_rises_from_a_tenth_and_saturates():
    assert chance(0) == pytest.approx(0.1)
    assert chance(50_000) - chance(0) == pytest.approx(0.85 * (1 - np.exp(-5 / 6)))
    assert chance(1_050_000) - chance(1_000_000) < 1e-6


def test_log_loss_is_that_of_the_formula_and_least_at_the_truth():
    p, q = np.array([0.2, 0.9]), np.array([0.5, 0.6])
    expected = np.mean(-p * np.log(q) - (1 - p) * np.log(1 - q))
    assert log_loss(p, np.log(q / (1 - q))) == pytest.approx(expected, rel=1e-12)
    assert log_loss(p, np.log(p / (1 - p))) < expected


def test_steps_and_turns():
    assert steps(lambda x: 3 * x) == pytest.approx(1)
    assert steps(np.log) == pytest.approx(np.log(1.05) / np.log(11))
    assert turns(np.array([1, 2, 2, 3])) == 0
    assert turns(np.array([1, 2, 0, 0, 1])) == 2


def test_no_table_is_reported_where_there_is_none(tmp_path):
    assert real_loans(0, Setting()) is None
    assert real_loans(0, Setting(data_dir=str(tmp_path / "images"))) is None


def test_a_table_beside_the_images_is_reported(tmp_path):
    rng = np.random.default_rng(0)
    income = rng.uniform(1_000, 70_000, 8000)
    default = np.where(rng.random(8000) < 0.03, "Yes", "No")
    (tmp_path / "tables").mkdir()
    lines = ["default,income", *(f"{each},{value}" for each, value in zip(default, income, strict=True))]
    (tmp_path / "tables" / "default.csv").write_text("\n".join(lines) + "\n")
    real = real_loans(0, Setting(data_dir=str(tmp_path / "images")))
    share = np.mean(default == "No")
    assert set(real["losses"]) == {"constant", "linear", "log", "mlp"}
    # Income says nothing here: every model is as good as the constant.
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert max(real["losses"].values()) == pytest.approx(entropy, abs=0.05)
    assert np.mean([each for _, each in real["shares"]]) == pytest.approx(share, abs=1e-3)
