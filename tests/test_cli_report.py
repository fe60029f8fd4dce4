"""``lamina report``: the page of a folder, where it was asked for."""

import shutil
from pathlib import Path

import pytest

import lamina
from lamina.cli.main import run

FORMAT_1 = Path(__file__).parent / "data" / "format-1"


@pytest.fixture(scope="module")
def model() -> lamina.Model:
    return lamina.fit("iris", epochs=2, members=1, hidden_units=(4,))


def test_the_page_is_written_into_the_folder_and_its_path_printed(model, tmp_path, capsys):
    folder = model.save(tmp_path / "m")
    (folder / "report.html").unlink()
    assert run(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").read_text(encoding="utf-8") == model.page()


def test_the_page_goes_to_a_file_or_to_stdout(model, tmp_path, capsys):
    folder = str(model.save(tmp_path / "m"))
    assert run(["report", folder, "-o", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == model.page()
    assert run(["report", folder, "-o", "-"]) == 0
    assert capsys.readouterr().out == model.page()


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_a_folder_of_format_1_has_a_page(name, tmp_path, capsys):
    shutil.copytree(FORMAT_1 / name, tmp_path / "m")
    assert run(["report", str(tmp_path / "m")]) == 0
    capsys.readouterr()
    page = (tmp_path / "m" / "report.html").read_text(encoding="utf-8")
    scores = lamina.load(tmp_path / "m").report.scores
    value = next(iter(scores.values()))["accuracy" if name == "classification" else "rmse"]
    assert (f"{value:.4f}" if value < 10 else f"{value:.2f}") in page
    assert "The network" in page


@pytest.mark.parametrize("damage", ["missing", "garbage", "folder"])
def test_a_page_that_is_missing_or_damaged_prevents_nothing(damage, model, tmp_path):
    folder = model.save(tmp_path / "m")
    page = folder / "report.html"
    page.unlink()
    if damage == "garbage":
        page.write_bytes(b"\xff\x00")
    if damage == "folder":
        page.mkdir()
    again = lamina.load(folder)
    again.save(folder)
    assert lamina.load(folder).report == model.report


def test_a_model_without_a_page_removes_the_one_that_was_there(model, tmp_path):
    from lamina.model_file import write_folder

    folder = model.save(tmp_path / "m")
    write_folder(folder, *model._state())
    assert not (folder / "report.html").exists()
    assert lamina.load(folder).report == model.report


def test_places_that_cannot_be_written_are_named(model, tmp_path, capsys):
    folder = str(model.save(tmp_path / "m"))
    assert run(["report", folder, "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: cannot write {str(tmp_path)!r}: it is a folder; name a file.\n"
    assert run(["report", folder, "-o", str(tmp_path / "no" / "page.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert run(["report", str(tmp_path / "none")]) == 1
    assert "there is no model folder" in capsys.readouterr().err
