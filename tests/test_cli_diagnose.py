"""``lamina diagnose``, and what ``lamina train`` says at the end."""

import json

import pytest

from lamina.cli.main import run

BROKEN = ["--learning-rate", "1e-7", "--members", "1", "--epochs", "4"]


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("models") / "broken")
    assert run(["train", "iris", "-o", folder, "-q", *BROKEN]) == 0
    return folder


def test_train_prints_each_finding_as_one_line_on_stderr(tmp_path, capsys):
    assert run(["train", "iris", "-o", str(tmp_path / "m"), *BROKEN]) == 0
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("found: ")]
    assert line.startswith("found: learning rate too low (learning rate 1e-07, largest update ")
    assert "Take larger steps: --learning-rate 0.00" in line
    (line,) = [line for line in captured.err.splitlines() if "the MLP is not worth it" in line]
    assert "log loss" in line
    assert "95 % interval" in line
    assert "found" not in captured.out


def test_train_json_holds_findings_and_comparison(tmp_path, capsys):
    assert run(["train", "iris", "-o", str(tmp_path / "m"), "--json", "-q", *BROKEN]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in result["diagnosis"]] == ["learning rate too low"]
    assert set(result["diagnosis"][0]) == {"name", "evidence", "cause", "remedy"}
    assert result["comparison"]["worth_it"] is False


def test_diagnose_prints_verdict_evidence_cause_and_remedy(broken, capsys):
    assert run(["diagnose", broken]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "learning rate too low"
    assert [line.split()[0] for line in lines[1:]] == ["evidence", "cause", "remedy"]
    assert captured.err == "found when it was trained:\n"


def test_diagnose_looks_at_given_rows(broken, capsys):
    assert run(["diagnose", broken, "iris", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == 150
    assert [finding["name"] for finding in result["findings"]] == ["learning rate too low"]


def test_diagnose_says_that_nothing_was_found(tmp_path, capsys):
    folder = str(tmp_path / "m")
    assert run(["train", "iris", "-o", folder, "-q", "--members", "1", "--epochs", "40"]) == 0
    capsys.readouterr()
    assert run(["diagnose", folder]) == 0
    assert capsys.readouterr().out == "nothing was found when it was trained\n"
    assert run(["diagnose", folder, "iris"]) == 0
    assert capsys.readouterr().out == "nothing was found on 150 rows\n"


def test_what_does_not_fit_is_refused(broken, tmp_path, capsys):
    assert run(["diagnose", str(tmp_path / "none")]) == 1
    assert "there is no model folder" in capsys.readouterr().err
    assert run(["diagnose", broken, "wine"]) == 3
    assert "error: " in capsys.readouterr().err
