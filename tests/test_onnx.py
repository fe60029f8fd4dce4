"""An ONNX file predicts what the model does, from raw columns, and what has no ONNX form is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina.activations import ACTIVATIONS
from lamina.cli.main import run
from lamina.errors import ConfigError, MissingExtraError
from lamina.export.onnx import feeds, to_onnx
from lamina.export.onnx_functions import ACTIVATE
from lamina.export.onnx_graph import Graph
from lamina.losses import LOSSES
from lamina.model import build_network
from random_models import frame, heavy_tailed_model, random_model, randomised
from test_diagnosis import TABLES
from test_runtime import column_sets, networks, random_frame, real_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def exported(model: lamina.Model, folder: Path, data: Any) -> tuple[float, dict[str, np.ndarray]]:
    """Return the largest difference that export reports, and the graph's outputs for ``data`` by name."""
    path = folder / "m.onnx"
    difference = to_onnx(model, path, sample=data)
    made = session(path)
    names = [output.name for output in made.get_outputs()]
    return difference, dict(zip(names, made.run(None, feeds(model, lamina.read_table(data))), strict=True))


@pytest.mark.parametrize("record", list(ACTIVATIONS), ids=lambda record: record.name)
def test_every_activation_is_that_of_torch(record):
    x = np.concatenate([np.linspace(-40, 40, 1601), [0.0, 1e-12, -1e-12, 1e4, -1e4]])[:, None]
    value = None if record.parameter is None else -0.6
    g = Graph()
    y = ACTIVATE[record.name](g, g.input("x", "DOUBLE", ["n", 1]), value)
    g.output("y", y, "DOUBLE", ["n", 1])
    made = onnxruntime.InferenceSession(g.model("g", {}).SerializeToString(), providers=["CPUExecutionProvider"])
    parameter = () if value is None else (torch.tensor([value], dtype=torch.float64),)
    expected = record.function(torch.from_numpy(x), *parameter).numpy()
    found = made.run(None, {"x": x})[0]
    assert np.all(np.abs(found - expected) <= 1e-12 * np.maximum(1, np.abs(expected)))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear", "piecewise_embedding", "periodic"])
def test_every_normalization_and_encoding(members, normalization, numeric, tmp_path):
    data = frame(mixed=True, task="classification")
    options = {"hidden_units": (5, 4), "activation": ("prelu", "gelu"), "one_hot_levels": 2}
    model = random_model(data, members=members, normalization=normalization, numeric=numeric, **options)
    difference, outputs = exported(model, tmp_path, data)
    assert difference < 1e-9
    assert outputs["probabilities"] == pytest.approx(model.predict_proba(data), abs=1e-9)
    assert outputs["label"].tolist() == model.predict(data).tolist()


def test_a_column_with_a_heavy_tail(tmp_path):
    model, data = heavy_tailed_model()
    difference, outputs = exported(model, tmp_path, data)
    assert difference < 1e-9
    assert outputs["probabilities"] == pytest.approx(model.predict_proba(data), abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("hidden_units", [(), (5,)])
def test_members_are_averaged_as_every_loss_says(loss, hidden_units, tmp_path):
    rng = np.random.default_rng(0)
    X, task = rng.normal(size=(60, 3)), LOSSES[loss].task
    y = {"classification": rng.integers(0, 3, 60), "multilabel": rng.integers(0, 2, (60, 2))}.get(task, rng.random(60))
    model = random_model((X, y), members=4, hidden_units=hidden_units, loss=loss, task=task)
    difference, outputs = exported(model, tmp_path, (X, y))
    assert difference < 1e-9
    if task == "regression":
        assert outputs["values"][:, 0] == pytest.approx(model.predict(X), rel=1e-9)
    else:
        assert outputs["label"].dtype == np.int64
        assert outputs["label"].tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("transform", ["log", "log1p", "quantile"])
def test_a_transformed_target_comes_back_in_its_unit(transform, tmp_path):
    model = random_model(frame(), members=2, hidden_units=(4,), target_transform=transform)
    difference, outputs = exported(model, tmp_path, frame())
    assert difference < 1e-9
    assert outputs["values"][:, 0] == pytest.approx(model.predict(frame()), rel=1e-9)


@pytest.mark.parametrize(("layer", "more"), [("phm", {"phm_n": 3}), ("low_rank", {"rank": 2})])
def test_layers_that_save_numbers(layer, more, tmp_path):
    model = random_model(frame(mixed=True), hidden_units=(9, 6), layer=layer, members=1, **more)
    assert exported(model, tmp_path, frame(mixed=True))[0] < 1e-9


def test_a_threshold_network_that_cannot_be_trained(tmp_path):
    model = random_model(frame(), hidden_units=(6,), members=1)
    config = model.config.replace(activation="threshold")
    network = build_network(model.encoder, 1, config, torch.Generator().manual_seed(0))
    assert exported(randomised(replace(model, network=network, config=config), 1), tmp_path, frame())[0] < 1e-9


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=column_sets, options=networks, seed=st.integers(0, 10_000))
def test_random_tables_and_networks(tmp_path, kinds, options, seed):
    data = random_frame(kinds, seed)
    assert exported(random_model(data, seed, **options), tmp_path, data)[0] < 1e-9


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_images(kind, tmp_path):
    rng = np.random.default_rng(0)
    images = (rng.integers(0, 256, (60, 6, 5)) if kind is np.uint8 else rng.random((60, 6, 5))).astype(kind)
    model = random_model((images, rng.integers(0, 3, 60)), hidden_units=(8,), members=1)
    path = tmp_path / "m.onnx"
    assert to_onnx(model, path) is None
    found = session(path).run(["probabilities"], {"image": images})[0]
    assert found == pytest.approx(model.predict_proba(images), abs=1e-9)


@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [3, 7], [0.5, 1.5]])
def test_labels_have_the_type_of_the_classes_and_keep_the_threshold(classes, tmp_path):
    data = frame(n=80).with_columns(y=pl.Series(classes * 40))
    model = random_model(data, hidden_units=(4,), threshold=0.3, positive_class=str(classes[0]), task="classification")
    _, outputs = exported(model, tmp_path, data)
    assert outputs["label"].tolist() == model.predict(data).tolist()
    metadata = session(tmp_path / "m.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == classes
    assert json.loads(metadata["schema"]) == json.loads(json.dumps(model.schema.as_json()))


def test_texts_are_read_as_the_model_reads_them(tmp_path):
    words = ["true", "3.0.0", "3", "x", "ü y", None] * 12
    data = pl.DataFrame({"word": words, "y": ["no", "yes", "no"] * 24})
    model = random_model(data, hidden_units=(4,))
    to_onnx(model, tmp_path / "m.onnx")
    cells = ["true", "TRUE", "True", "3", "3.0", "3.0.0", "3.0.0.0", "x", "x.0", "ü y", "new", "", "NA", "?"]
    found = session(tmp_path / "m.onnx").run(["probabilities"], {"word": np.array(cells, dtype=object)[:, None]})[0]
    with pytest.warns(lamina.LaminaWarning):
        expected = np.concatenate([model.predict_proba(pl.DataFrame({"word": [cell]})) for cell in cells])
    assert found == pytest.approx(expected, abs=1e-12)


def test_dates_are_read_from_iso_text(tmp_path):
    rng = np.random.default_rng(0)
    seconds = rng.integers(-(10**9) * 3, 4 * 10**9, 90)
    moments = (np.datetime64("1970-01-01", "s") + seconds.astype("timedelta64[s]")).astype("datetime64[us]")
    data = pl.DataFrame({"t": moments, "y": rng.choice(["no", "yes"], 90)})
    model = random_model(data, hidden_units=(6,))
    path = tmp_path / "m.onnx"
    assert to_onnx(model, path, sample=data) < 1e-9
    cells = ["2024-02-29", "2023-12-31T23:59:59.5", "1900-03-01 12:30", "2000-01-01T00:00:00Z", "", "1969-12-31"]
    made = session(path)
    found = made.run(["probabilities"], {"t": np.array(cells, dtype=object)[:, None]})[0]
    assert found == pytest.approx(model.predict_proba(pl.DataFrame({"t": [cell or None for cell in cells]})), abs=1e-9)
    for cell in ("31.05.2024", "2023-02-29", "2024-13-01", "2024-01-00", "2024-01-01T25:00", "soon"):
        with pytest.raises(Exception, match="stod"):
            made.run(None, {"t": np.array([[cell]], dtype=object)})


# -- refusals


def test_what_has_no_onnx_form_is_refused(tmp_path, monkeypatch):
    from scipy import sparse

    X = sparse.random_array((60, 8), density=0.3, rng=np.random.default_rng(0), format="csr")
    model = lamina.fit((X, np.arange(60) % 2), epochs=1, hidden_units=(4,), baselines=False)
    with pytest.raises(ConfigError, match="a model of a sparse matrix cannot be taken to NumPy or ONNX"):
        to_onnx(model, tmp_path / "m.onnx")
    model = random_model(frame().rename({"age": "label"}), hidden_units=(4,))
    with pytest.raises(ConfigError, match="'label' is called as an output of the graph"):
        to_onnx(model, tmp_path / "m.onnx")
    model = random_model(frame(), hidden_units=(4,))
    with pytest.raises(ConfigError, match="there is no such folder"):
        to_onnx(model, tmp_path / "none" / "m.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lamina\[onnx\]'"):
        to_onnx(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


# -- the command


def test_the_command_writes_and_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = frame(mixed=True, task="classification")
    data.write_csv("rows.csv")
    model = random_model(data, hidden_units=(4,))
    model.save("m.lamina")
    assert run(["export", "m.lamina", "--to", "onnx", "--check", "rows.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"file: {tmp_path / 'm.onnx'}"
    assert float(lines[1].removeprefix("largest difference on 60 rows: ")) < 1e-9
    assert run(["export", "m.lamina", "--to", "onnx", "-o", "n.onnx", "--json"]) == 0
    captured = capsys.readouterr()
    expected = {"file": "n.onnx", "to": "onnx", "rows": None, "largest_difference": None}
    assert json.loads(captured.out) == expected
    assert "not compared with the model" in captured.err
    assert (tmp_path / "n.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()
    assert run(["export", "m.lamina", "--to", "pmml"]) == 2
    frame().write_csv("numbers.csv")
    random_model(frame(), hidden_units=(4,)).save("n.lamina")
    assert run(["export", "n.lamina", "--to", "onnx", "--check", "numbers.csv"]) == 0
    said = capsys.readouterr().out.splitlines()[1]
    assert said.startswith("largest difference on 60 rows, as a share of the largest value: ")
    assert float(said.split(": ")[1]) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_real_tables(name, lamina_data, tmp_path):
    model, table = real_model(lamina_data, name)
    difference, outputs = exported(model, tmp_path, table)
    assert difference < 1e-9
    if model.task == "regression":
        assert outputs["values"] == pytest.approx(model.predict_outputs(table), rel=1e-9)
    else:
        assert outputs["label"].tolist() == model.predict(table).tolist()


@pytest.mark.slow
def test_real_images(lamina_data, tmp_path):
    images = lamina.read_table("fashion-mnist:test", data_dir=str(lamina_data / "fashion-mnist")).rows(np.arange(500))
    model = lamina.fit(images, epochs=2, hidden_units=(32,), baselines=False)
    assert to_onnx(model, tmp_path / "m.onnx", sample=images) < 1e-9
