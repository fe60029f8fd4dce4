"""Models of earlier formats are read and predict what they predicted; and a pickle holds what a folder holds."""

import copy
import json
import pickle
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

import lamina
from lamina import model_file
from lamina.data.target import Target
from lamina.data.target_scaling import ColumnScaling, TargetScaler
from lamina.errors import ModelFileError
from lamina.model_upgrades import upgraded

FORMAT_1 = Path(__file__).parent / "data" / "format-1"
EXPECTED = json.loads((FORMAT_1 / "expected.json").read_text())
ROWS = FORMAT_1 / "rows.csv"


def document(name: str) -> dict:
    return json.loads((FORMAT_1 / name / "model.json").read_text())


def rewrite(folder: Path, change) -> None:
    """Change the document and give it the checksum of its new contents."""
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content.pop("checksum")
    change(content)
    content["checksum"] = model_file._checksum(content)
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_regression_of_format_1_predicts_what_it_did():
    model = lamina.load(FORMAT_1 / "regression")
    np.testing.assert_allclose(model.predict(ROWS), EXPECTED["regression"]["predict"], rtol=1e-5)
    np.testing.assert_allclose(model.predict_outputs(ROWS), EXPECTED["regression"]["outputs"], rtol=1e-5)
    old = document("regression")
    assert model.schema.target == Target((old["schema"]["target"]["name"],), "regression")
    assert model.scaler == TargetScaler("none", (ColumnScaling(old["target_mean"], old["target_scale"]),))
    assert model.report.scores == old["report"]["scores"]
    assert [record.train_loss for record in model.history] == [each["train_loss"] for each in old["history"]]


def test_a_classification_of_format_1_predicts_what_it_did():
    model = lamina.load(FORMAT_1 / "classification")
    assert model.predict(ROWS).tolist() == EXPECTED["classification"]["predict"]
    np.testing.assert_allclose(model.predict_proba(ROWS), EXPECTED["classification"]["outputs"], rtol=1e-5)
    name = document("classification")["schema"]["target"]["name"]
    assert model.schema.target == Target((name,), "classification", ("no", "yes"), positive=1)
    assert model.scaler is None


@pytest.mark.parametrize("name", ["regression", "classification"])
def test_a_model_of_format_1_is_saved_in_the_present_one(name, tmp_path):
    old = lamina.load(FORMAT_1 / name)
    old.save(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "model.json").read_text())["format_version"] == 3
    new = lamina.load(tmp_path / "m")
    np.testing.assert_array_equal(new.predict_outputs(ROWS), old.predict_outputs(ROWS))
    assert (new.schema, new.scaler, new.report, new.history) == (old.schema, old.scaler, old.report, old.history)


def test_three_classes_of_format_1_have_no_positive_one():
    old = document("classification")
    old["schema"]["target"]["classes"] = ["a", "b", "c"]
    assert upgraded(old)["schema"]["target"] == {
        "names": [old["schema"]["target"]["name"]], "task": "classification", "classes": ["a", "b", "c"],
        "positive": None, "threshold": 0.5,
    }  # fmt: skip


def test_an_upgrade_leaves_the_old_document_and_the_present_format_as_they_are():
    old = document("regression")
    before = copy.deepcopy(old)
    upgraded(old)
    assert old == before
    present = {**old, "format_version": 3}
    assert upgraded(present) is present


def test_models_of_formats_1_and_2_are_one_network_of_its_own_weights():
    added = {"members": 1, "averaging": 0.0, "calibrate": False}
    first = document("classification")
    second = {**upgraded(first), "config": first["config"], "format_version": 2}
    before = copy.deepcopy(second)
    assert upgraded(second) == {**second, "config": {**first["config"], **added}}
    assert upgraded(first)["config"] == {**first["config"], **added}
    assert second == before
    model = lamina.load(FORMAT_1 / "classification")
    assert len(model.network.members()) == 1
    assert (model.config.members, model.config.averaging, model.config.calibrate) == (1, 0.0, False)
    assert model.report.calibration == {}


@pytest.mark.parametrize("version", [0, -1, "x", "1", 1.0, None, [1]])
def test_a_version_that_there_never_was_is_refused(version, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(FORMAT_1 / "regression", folder)
    rewrite(folder, lambda content: content.update(format_version=version))
    with pytest.raises(ModelFileError) as error:
        lamina.load(folder)
    assert str(error.value) == f"the model has the format version {version!r}, which there never was."


def test_a_newer_version_is_refused_with_the_command_that_helps(tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(FORMAT_1 / "regression", folder)
    rewrite(folder, lambda content: content.update(format_version=4))
    with pytest.raises(ModelFileError) as error:
        lamina.load(folder)
    assert str(error.value) == (
        f"{str(folder)!r} has the format version 4, newer than 3, the newest known here; "
        "upgrade: pip install --upgrade lamina."
    )


@pytest.mark.parametrize("key", ["target_mean", "schema"])
def test_a_document_of_format_1_that_lacks_something_is_no_model(key, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(FORMAT_1 / "regression", folder)
    rewrite(folder, lambda content: content.pop(key))
    with pytest.raises(ModelFileError, match=f"is not a model of this format: '{key}'"):
        lamina.load(folder)


# -- pickles


def fitted(kind: str) -> tuple[lamina.Model, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    y = {
        "classes": np.where(x[:, 0] > 0, "yes", "no"),
        "labels": (x[:, :2] > 0).astype(int),
        "numbers": np.exp(x[:, :2]),
    }[kind]
    options = {"target_transform": "quantile"} if kind == "numbers" else {"threshold": 0.3}
    return lamina.fit((x, y), epochs=3, activation="prelu", normalization="batch", **options), x


def through_pickle(model: lamina.Model, folder: Path) -> lamina.Model:
    return pickle.loads(pickle.dumps(model))


def through_joblib(model: lamina.Model, folder: Path) -> lamina.Model:
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def through_deepcopy(model: lamina.Model, folder: Path) -> lamina.Model:
    return copy.deepcopy(model)


@pytest.mark.parametrize("through", [through_pickle, through_joblib, through_deepcopy])
@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_a_pickle_is_the_model_that_the_folder_is(through, kind, tmp_path):
    model, x = fitted(kind)
    from_folder = lamina.load(model.save(tmp_path / "m"))
    again = through(model, tmp_path)
    assert again.predict(x).tolist() == from_folder.predict(x).tolist() == model.predict(x).tolist()
    np.testing.assert_array_equal(again.predict_outputs(x), from_folder.predict_outputs(x))
    np.testing.assert_array_equal(again.predict_outputs(x), model.predict_outputs(x))
    assert (again.schema, again.encoder, again.scaler) == (model.schema, model.encoder, model.scaler)
    assert (again.history, again.report, again.config.as_json()) == (
        model.history, model.report, model.config.as_json(),
    )  # fmt: skip
    assert again.network is not model.network
    assert not again.network.training
    assert [p.dtype for p in again.network.parameters()] == [torch.float32] * len(list(model.network.parameters()))
