"""The NumPy runtime predicts what the model does, from dictionaries and arrays, without torch in the process."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina.activations import ACTIVATIONS
from lamina.config import Config
from lamina.errors import ConfigError, DataError, LaminaWarning, ModelFileError, SchemaError
from lamina.export import one_row
from lamina.export.numpy_functions import ACTIVATE, OUTPUT_OF_LOSS
from lamina.export.runtime import Runtime, load
from lamina.export.weights_file import read_weights
from lamina.losses import LOSSES
from lamina.model import build_network
from lamina.model_file import _checksum
from random_models import frame, heavy_tailed_model, random_model, randomised
from test_diagnosis import TABLES

TEXTS = st.sampled_from(["red", "green", "blue", "True", "3", "a b", "ü", "?"])


def taken(model: lamina.Model, folder: Path) -> Runtime:
    return load(model.save(folder / "m"))


def rows_of(data: pl.DataFrame) -> list[dict[str, Any]]:
    return data.drop("y", strict=False).to_dicts()


def agree(found: np.ndarray, expected: np.ndarray) -> bool:
    return np.abs(found - expected).max(initial=0) <= 1e-9 * max(1.0, np.abs(expected).max(initial=0))


def one_by_one(runtime: Runtime, rows: list[Any]) -> np.ndarray:
    return np.concatenate([runtime.predict_outputs(row) for row in rows])


# -- functions


@pytest.mark.parametrize("record", list(ACTIVATIONS), ids=lambda record: record.name)
def test_every_activation_is_that_of_torch(record):
    x = np.concatenate([np.linspace(-50, 50, 2001), [-1e6, -1e-300, 0.0, 1e-300, 1e6]])
    for value in (None,) if record.parameter is None else (0.3, -0.7, 1.5):
        parameter = () if value is None else (torch.tensor([value], dtype=torch.float64),)
        expected = record.function(torch.from_numpy(x), *parameter).numpy()
        found = ACTIVATE[record.name](x, None if value is None else np.array([value]))
        assert np.all(np.abs(found - expected) <= 1e-12 * np.maximum(1, np.abs(expected)))


def test_every_loss_has_its_output():
    assert set(OUTPUT_OF_LOSS) == set(LOSSES.names())


# -- models


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("numeric", ["standard", "piecewise_linear", "piecewise_embedding", "periodic"])
def test_every_normalization_and_encoding(members, normalization, numeric, tmp_path):
    data = frame(mixed=True, task="classification")
    options = {"hidden_units": (5, 4), "activation": ("prelu", "gelu"), "one_hot_levels": 2}
    model = random_model(data, members=members, normalization=normalization, numeric=numeric, **options)
    runtime, expected = taken(model, tmp_path), model.predict_proba(data)
    assert agree(runtime.predict_proba(rows_of(data)), expected)
    assert agree(one_by_one(runtime, rows_of(data)[:12]), expected[:12])


def test_a_column_with_a_heavy_tail(tmp_path):
    model, data = heavy_tailed_model()
    runtime, expected = taken(model, tmp_path), model.predict_proba(data)
    assert agree(runtime.predict_proba(rows_of(data)), expected)
    assert agree(one_by_one(runtime, rows_of(data)[:12]), expected[:12])


@pytest.mark.parametrize("loss", LOSSES.names())
def test_members_are_averaged_as_every_loss_says(loss, tmp_path):
    rng = np.random.default_rng(0)
    X, task = rng.normal(size=(60, 3)), LOSSES[loss].task
    y = {"classification": rng.integers(0, 3, 60), "multilabel": rng.integers(0, 2, (60, 2))}.get(task, rng.random(60))
    model = random_model((X, y), members=4, hidden_units=(5,), loss=loss, task=task)
    runtime = taken(model, tmp_path)
    assert agree(runtime.predict_outputs(X), model.predict_outputs(X))
    assert agree(one_by_one(runtime, [X[i : i + 1] for i in range(12)]), model.predict_outputs(X[:12]))
    assert runtime.predict(X) == pytest.approx(model.predict(X), rel=1e-9)


@pytest.mark.parametrize("hidden_units", [(), (5,), (5, 4)])
@pytest.mark.parametrize("most_products", [0, one_row._MOST_PRODUCTS])
@pytest.mark.parametrize("numeric", ["mixed", "piecewise_linear"])
def test_one_row_of_several_members_is_that_of_many(numeric, most_products, hidden_units, tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    more = {
        "word": rng.choice(list("abcdefg"), 80), "sort": rng.choice(["x", "y", None], 80), "flag": rng.random(80) < 0.5
    }  # fmt: skip
    data = frame(n=80, mixed=True, task="classification").with_columns(**{k: pl.Series(v) for k, v in more.items()})
    data = data.with_columns(word=pl.when(pl.arange(pl.len()) < 2).then(pl.lit("rare")).otherwise("word"))
    monkeypatch.setattr(one_row, "_MOST_PRODUCTS", most_products)
    model = random_model(data, members=5, numeric=numeric, hidden_units=hidden_units, one_hot_levels=4)
    runtime, rows = taken(model, tmp_path), rows_of(data)
    assert {category.one_hot for category in model.encoder.categories} == {True, False}
    assert any(category.has_rare for category in model.encoder.categories)
    way = runtime._one_row
    assert way is not None
    assert (way.piles[0].tables is None) == bool(most_products)
    assert agree(one_by_one(runtime, rows), model.predict_outputs(data))
    rows[3]["word"], rows[4]["kind"] = "unseen", None
    assert agree(one_by_one(runtime, rows[3:5]), runtime.predict_outputs(rows[3:5]))


@pytest.mark.parametrize(("layer", "more"), [("phm", {"phm_n": 3}), ("low_rank", {"rank": 2})])
def test_layers_that_save_numbers(layer, more, tmp_path):
    data = frame(mixed=True)
    model = random_model(data, hidden_units=(9, 6), layer=layer, members=1, **more)
    assert agree(taken(model, tmp_path).predict_outputs(rows_of(data)), model.predict_outputs(data))


@pytest.mark.parametrize("transform", ["none", "log", "log1p", "quantile"])
def test_a_transformed_target_comes_back_in_its_unit(transform, tmp_path):
    model = random_model(frame(), members=2, hidden_units=(4,), target_transform=transform)
    runtime = taken(model, tmp_path)
    assert agree(runtime.predict(rows_of(frame())), model.predict(frame()))
    with pytest.raises(ConfigError, match="predict_proba is for classification"):
        runtime.predict_proba(rows_of(frame()))


def test_a_threshold_network_that_cannot_be_trained(tmp_path):
    model = random_model(frame(), hidden_units=(6,), members=1)
    config = model.config.replace(activation="threshold")
    network = build_network(model.encoder, 1, config, torch.Generator().manual_seed(0))
    model = randomised(replace(model, network=network, config=config), 1)
    assert agree(taken(model, tmp_path).predict(rows_of(frame())), model.predict(frame()))


def test_images_and_their_pixels_as_a_vector(tmp_path):
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (60, 6, 5)).astype(np.uint8), rng.integers(0, 3, 60)
    model = random_model((images, y), hidden_units=(8,), members=1)
    runtime = taken(model, tmp_path)
    expected = model.predict_proba(images)
    assert agree(runtime.predict_proba(images), expected)
    assert agree(runtime.predict_proba({"image": images}), expected)
    assert agree(runtime.predict_proba({"image": images[7]}), expected[7:8])
    logits = model.predict_logits(images)
    assert runtime.logits(images[3].ravel()) == pytest.approx(logits[3], abs=1e-4)
    assert agree(runtime.logits(images.reshape(60, -1)), logits)
    with pytest.raises(SchemaError, match="the vector has 29 values, but the model's images have"):
        runtime.logits(np.zeros(29))


def test_logits_of_a_vector_of_numbers(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(2, 3, size=(60, 4))
    model = random_model((X, rng.integers(0, 3, 60)), hidden_units=(8, 5), numeric="standard", members=1)
    runtime = taken(model, tmp_path)
    expected = model.predict_logits(X)
    assert runtime._direct is not None
    assert runtime.logits(X[0]).dtype == np.float32
    assert runtime.logits(X[0]) == pytest.approx(expected[0], abs=1e-4)
    assert runtime.logits(X) == pytest.approx(expected, abs=1e-12)
    X[0, 1] = np.nan  # the median stands for it, in float64
    assert runtime.logits(X[0]) == pytest.approx(model.predict_logits(X)[0], abs=1e-12)
    X[1, 2] = 1e300
    assert runtime.logits(X[1]) == pytest.approx(model.predict_logits(X)[1], rel=1e-12)
    X[2, 0] = np.inf
    with pytest.raises(DataError, match="the value is infinite"):
        runtime.logits(X[2])
    with pytest.raises(ConfigError, match="logits is for models of numbers or of images alone"):
        taken(random_model(frame(mixed=True)), tmp_path).logits(X[0])


def test_far_from_zero_logits_keep_their_digits(tmp_path):
    rng = np.random.default_rng(0)
    X = 1e9 + rng.normal(size=(60, 2))
    model = random_model((X, rng.integers(0, 2, 60)), hidden_units=(4,), numeric="standard", members=1)
    runtime = taken(model, tmp_path)
    assert runtime._direct is None
    assert runtime.logits(X[5]) == pytest.approx(model.predict_logits(X)[5], abs=1e-12)


def test_the_threshold_decides_as_in_the_model(tmp_path):
    data = frame(n=80, task="classification").with_columns(y=pl.Series(["no", "yes"] * 40))
    model = random_model(data, hidden_units=(4,), threshold=0.3, positive_class="no")
    runtime = taken(model, tmp_path)
    assert runtime.predict(rows_of(data)).tolist() == model.predict(data).tolist()
    assert runtime.at_threshold(0.8).predict(rows_of(data)).tolist() == model.at_threshold(0.8).predict(data).tolist()
    with pytest.raises(ConfigError, match="threshold"):
        runtime.at_threshold(1.5)


# -- forms of rows


def test_all_forms_of_rows_are_the_same(tmp_path):
    data = frame(mixed=True, task="classification")
    model = random_model(data, hidden_units=(5,))
    runtime, rows, expected = taken(model, tmp_path), rows_of(data), model.predict_proba(data)
    assert agree(runtime.predict_proba(rows), expected)
    assert agree(np.concatenate([runtime.predict_proba(row) for row in rows]), expected)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert agree(runtime.predict_proba(columns), expected)
    assert agree(runtime.predict_proba(np.array([list(row.values()) for row in rows], dtype=object)), expected)
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert agree(runtime.predict_proba(texts), expected)
    assert runtime.predict_proba([]).shape == (0, 3)


def test_durations_decimals_and_named_months(tmp_path):
    rng = np.random.default_rng(0)
    days = [date(2024, 1, 1) + timedelta(days=int(day)) for day in rng.integers(0, 300, 60)]
    data = pd.DataFrame({
        "wait": pd.to_timedelta(rng.integers(1, 1000, 60), unit="s"),
        "price": [Decimal(int(cents)) / 100 for cents in rng.integers(100, 9999, 60)],
        "when": [f"{day:%d-%b-%Y}" for day in days],
    })  # fmt: skip
    data["y"] = data["wait"].dt.total_seconds() + rng.normal(size=60)
    model = lamina.fit(data, "y", epochs=2, members=1, baselines=False)
    assert [column.kind for column in model.schema.features] == ["number", "number", "datetime"]
    light = load(model.save(tmp_path / "m"))
    expected = model.predict(data)
    for i in (0, 7):
        row = data.drop(columns="y").iloc[i].to_dict()
        plain = {**row, "wait": row["wait"].to_pytimedelta(), "price": str(row["price"])}
        numpy = {**row, "wait": np.timedelta64(row["wait"].value, "ns"), "price": float(row["price"])}
        for each in (row, plain, numpy):
            np.testing.assert_allclose(light.predict(each), expected[[i]], rtol=1e-12)
    columns = {name: data[name].to_numpy() for name in ("wait", "price", "when")}
    np.testing.assert_allclose(light.predict(columns), expected, rtol=1e-12)
    missing = {"wait": None, "price": None, "when": None}
    np.testing.assert_allclose(light.predict(missing), model.predict(pd.DataFrame([missing])), rtol=1e-12)


def test_what_is_wrong_with_rows_is_said(tmp_path):
    runtime = taken(random_model(frame(mixed=True)), tmp_path)
    row = rows_of(frame(mixed=True))[1]
    with pytest.raises(SchemaError, match="the data lacks the column 'age'"):
        runtime.predict({name: value for name, value in row.items() if name != "age"})
    with pytest.raises(SchemaError, match="'old' is not a number"):
        runtime.predict({**row, "age": "old"})
    with pytest.raises(DataError, match="the value is infinite"):
        runtime.predict({**row, "age": float("inf")})
    with pytest.raises(SchemaError, match="'yesterday' is not a date"):
        runtime.predict({**row, "day": "yesterday"})
    with pytest.raises(DataError, match="a value of type list"):
        runtime.predict({**row, "kind": [1]})
    with pytest.raises(DataError, match="different lengths"):
        runtime.predict({name: [value] * (2 if name == "age" else 3) for name, value in row.items()})
    with pytest.raises(SchemaError, match="the rows have 3 columns, but the model was trained on 5"):
        runtime.predict(np.zeros((2, 3)))
    with pytest.warns(LaminaWarning, match="ignored the columns that the model does not know: mood"):
        runtime.predict({**row, "mood": 1})


cells = st.one_of(
    st.none(), st.floats(allow_infinity=False, width=32), st.integers(-(10**12), 10**12), st.booleans(), TEXTS,
    st.sampled_from(["", "NA", "3.0", "TRUE", " red ", "2024-02-29", "29.02.2024", "1e3"]),
    st.sampled_from([date(2024, 2, 29), datetime(2023, 5, 6, 7, 8, 9), float("nan"), 10**400]),
)  # fmt: skip


@pytest.fixture(scope="module")
def mixed_runtime(tmp_path_factory):
    data = frame(n=80, mixed=True).with_columns(
        flag=pl.Series([True, False] * 40), word=pl.Series(["red", "ü", "3", None] * 20)
    )
    return taken(random_model(data, hidden_units=(5,), members=2), tmp_path_factory.mktemp("mixed")), rows_of(data)


@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, 79), changes=st.dictionaries(st.integers(0, 6), cells, max_size=3))
def test_the_short_way_of_a_row_is_the_long_way(mixed_runtime, index, changes):
    runtime, rows = mixed_runtime
    names = list(rows[0])
    row = {**rows[index], **{names[i]: value for i, value in changes.items()}}
    arrays = runtime._row_encoder.encode(row)
    if not changes:
        assert arrays is not None
    if arrays is not None:
        expected, n_rows = runtime._encoded([row])
        assert n_rows == 1
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            assert array == pytest.approx(arrays[name], rel=1e-12)


column_sets = st.fixed_dictionaries(
    {
        "numbers": st.integers(0, 3), "texts": st.integers(0, 2), "dates": st.integers(0, 1),
        "flags": st.integers(0, 1), "missing": st.sampled_from([0.0, 0.2]),
    }
).filter(lambda kinds: kinds["numbers"] + kinds["texts"] + kinds["dates"] + kinds["flags"] > 0)  # fmt: skip


def random_frame(kinds: dict[str, Any], seed: int, n: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"n{i}": rng.normal(10.0**i, 3, n).tolist() for i in range(kinds["numbers"])}
    levels = [f"level {i}" for i in range(12)]
    columns |= {f"t{i}": rng.choice(levels[: 3 + 9 * i], n).tolist() for i in range(kinds["texts"])}
    moments = [datetime.fromtimestamp(1.7e9 + 1e6 * float(each)) for each in rng.normal(size=n)]
    columns |= {f"d{i}": moments for i in range(kinds["dates"])}
    columns |= {f"b{i}": [bool(each) for each in rng.integers(0, 2, n)] for i in range(kinds["flags"])}
    for values in columns.values():
        for row in np.flatnonzero(rng.random(n) < kinds["missing"]):
            values[row] = None
    return pl.DataFrame({**columns, "y": rng.choice(["no", "yes"], n)})


networks = st.fixed_dictionaries(
    {
        "hidden_units": st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
        "activation": st.sampled_from([name for name in ACTIVATIONS.names() if name != "threshold"]),
        "activation_parameters": st.sampled_from(["layer", "unit"]),
        "normalization": st.sampled_from(["none", "batch", "layer"]),
        "members": st.integers(1, 3),
        "numeric": st.sampled_from(["auto", "standard", "periodic", "piecewise_linear"]),
        "one_hot_levels": st.sampled_from([0, 8]),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=column_sets, options=networks, seed=st.integers(0, 10_000))
def test_random_tables_and_networks(tmp_path, kinds, options, seed):
    data = random_frame(kinds, seed)
    model = random_model(data, seed, **options)
    runtime = taken(model, tmp_path)
    expected = model.predict_proba(data)
    assert agree(runtime.predict_proba(rows_of(data)), expected)
    assert agree(runtime.predict_proba(rows_of(data)[0]), expected[:1])


# -- real data


def real_model(folder: Path, name: str) -> tuple[lamina.Model, Any]:
    """Return a model of 800 rows of a real table, half of its members with pieces and half with waves, and the rows."""
    table = lamina.read_table(str(folder / "tables" / f"{name}.csv"))
    table = table.rows(np.arange(min(800, table.n_rows)))
    return lamina.fit(table, TABLES[name], epochs=2, members=4, hidden_units=(16,), baselines=False), table


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_real_tables(name, lamina_data, tmp_path):
    model, table = real_model(lamina_data, name)
    runtime, expected = taken(model, tmp_path), model.predict_outputs(table)
    assert model.config.numeric == "mixed"
    assert agree(runtime.predict_outputs(table), expected)
    columns = {column.name: table[column.name] for column in model.schema.features}
    rows = [{key: each.cell(i) for key, each in columns.items()} for i in range(50)]
    assert agree(one_by_one(runtime, rows), expected[:50])


@pytest.mark.slow
def test_fashion_mnist(lamina_data, tmp_path):
    table = lamina.read_table("fashion-mnist:test", data_dir=str(lamina_data / "fashion-mnist"))
    table = table.rows(np.arange(500))
    model = lamina.fit(table, epochs=2, hidden_units=(32,), baselines=False)
    runtime = taken(model, tmp_path)
    assert agree(runtime.predict_proba(table), model.predict_proba(table))
    vectors = table["image"].values.reshape(500, -1)
    assert runtime.logits(vectors[0]) == pytest.approx(model.predict_logits(table)[0], abs=1e-4)


# -- alone

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "sklearn", "scipy", "polars", "pandas", "narwhals", "safetensors", "onnx"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import numpy as np
from lamina.export.runtime import load
runtime = load(sys.argv[1])
X = np.loadtxt(sys.argv[2], delimiter=",")
names = [column.name for column in runtime.schema.features]
rows = [dict(zip(names, row)) for row in X.tolist()]
print(repr([runtime.predict_proba(X).tolist(), runtime.predict_proba(rows).tolist(), runtime.predict(rows[0]).tolist(),
            runtime.logits(X[0]).tolist(), runtime.at_threshold(0.4).predict(X).tolist()]))
"""


def test_it_runs_where_numpy_is_all_there_is(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    model = random_model((X, y), members=2, hidden_units=(4,))
    np.savetxt(tmp_path / "x.csv", X, delimiter=",", fmt="%.17g")
    arguments = [str(model.save(tmp_path / "m")), str(tmp_path / "x.csv")]
    done = subprocess.run([sys.executable, "-c", BLOCKED, *arguments], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    array, rows, one, logits, classes = eval(done.stdout)
    expected = model.predict_proba(X)
    assert agree(np.array(array), expected)
    assert agree(np.array(rows), expected)
    assert one == model.predict(X[:1]).tolist()
    assert logits == pytest.approx(model.predict_logits(X)[0], rel=1e-9)
    assert classes == model.at_threshold(0.4).predict(X).tolist()


@pytest.mark.parametrize("command", ["predict"])
def test_the_command_waits_for_neither_torch_nor_scikit_learn(command, tmp_path):
    data = frame(mixed=True)
    folder = str(random_model(data, hidden_units=(4,), members=2).save(tmp_path / "m"))
    data.head(3).write_csv(tmp_path / "rows.csv")
    code = (
        "import sys\nfrom lamina.cli.main import run\nassert run(sys.argv[1:]) == 0\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'pandas', 'onnx') if name in sys.modules])"
    )
    arguments = [sys.executable, "-c", code, command, folder, str(tmp_path / "rows.csv")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "y"
    assert [float(line) for line in lines[1:4]] == pytest.approx(lamina.load(folder).predict(data.head(3)), rel=1e-9)
    assert lines[4] == "[]"


# -- what it refuses


def test_a_sparse_block_is_refused(tmp_path):
    from scipy import sparse

    X = sparse.random_array((60, 8), density=0.3, rng=np.random.default_rng(0), format="csr")
    model = lamina.fit((X, np.arange(60) % 2), epochs=1, hidden_units=(4,), baselines=False)
    with pytest.raises(ConfigError, match="a model of a sparse matrix cannot be taken to NumPy or ONNX"):
        taken(model, tmp_path)


def test_an_activation_of_the_user_is_refused(tmp_path):
    model = random_model(frame(), hidden_units=(4,), activation="relu")
    model.save(tmp_path / "m")
    resealed(tmp_path / "m", lambda document: document["config"].update(activation="my_own"))
    with pytest.raises(ConfigError, match="the activation 'my_own' is not built in and cannot be taken to NumPy"):
        load(tmp_path / "m")


def resealed(folder: Path, change: Any) -> None:
    document = json.loads((folder / "model.json").read_bytes())
    document.pop("checksum")
    change(document)
    document["checksum"] = _checksum(document)
    (folder / "model.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"abc", "3 bytes are no header"),
        (b"\xff" * 8, "the header should have"),
        (b"\x02" + b"\0" * 7 + b"[]", "the header is no JSON object"),
        (b"\x03" + b"\0" * 7 + b"{x}", "not safetensors"),
    ],
)
def test_bytes_that_are_no_weights(content, said):
    with pytest.raises(ModelFileError, match=said):
        read_weights(content, "m")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "does not fill the bytes"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "no whole number"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "does not fill the bytes"),
        ({"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}, "X9"),
        ({"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}, "belongs to no array"),
        ({"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, "2 bytes behind the last array"),
    ],
)
def test_a_header_that_does_not_fit_its_bytes(entry, said):
    header = json.dumps({"a": entry}).encode()
    with pytest.raises(ModelFileError, match=said):
        read_weights(len(header).to_bytes(8, "little") + header + bytes(4), "m")


def mutated(folder: Path, seed: int, n: int) -> tuple[int, int]:
    """Load the folder with ``n`` random changes; return how many both loaders refused, and how many were resealed."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(5, 3))
    expected = load(folder).predict_outputs(X)
    work = folder.parent / "work"
    (weights,) = folder.glob("weights-*")
    document, weight_bytes = (folder / "model.json").read_bytes(), weights.read_bytes()
    shutil.copytree(folder, work, dirs_exist_ok=True)
    refused = 0
    for _ in range(n):
        name, content = [("model.json", document), (weights.name, weight_bytes)][int(rng.integers(2))]
        damaged = bytearray(content)
        where = int(rng.integers(len(content)))
        kind = int(rng.integers(4))
        if kind == 0:
            damaged[where] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del damaged[where:]
        elif kind == 2:
            damaged[where:where] = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
        else:
            del damaged[where : where + int(rng.integers(1, 30))]
        (work / name).write_bytes(damaged)
        for loader in (load, lamina.load):
            try:
                found = loader(work).predict_outputs(X)
            except ModelFileError:
                refused += 1
            else:
                assert agree(found, expected)
        (work / name).write_bytes(content)
    return refused, n


def small_model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    return random_model((X, y), members=2, hidden_units=(3,)).save(tmp_path / "m")


def test_mutated_folders_are_refused_or_predict_the_same(tmp_path):
    refused, n = mutated(small_model(tmp_path), 0, 300)
    assert refused > 1.8 * n


@pytest.mark.slow
def test_ten_thousand_mutated_folders(tmp_path):
    refused, n = mutated(small_model(tmp_path), 1, 10_000)
    assert refused > 1.8 * n


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in items for place in _places(each, (*path, key))]


def test_wrong_values_behind_a_right_checksum_raise_nothing_else(tmp_path):
    folder = small_model(tmp_path)
    original = (folder / "model.json").read_bytes()
    document = json.loads(original)
    places = [place for part in ("schema", "encoder", "config", "scaler") for place in _places(document[part], (part,))]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 3))
    wrong = [None, "x", -1, 0, 7, 2.5, [], {}, [1], True, {"a": 1}]
    refused = 0
    for place in [places[i] for i in rng.integers(len(places), size=300)]:

        def change(document: Any, place: tuple = place) -> None:
            for key in place[:-1]:
                document = document[key]
            document[place[-1]] = wrong[int(rng.integers(len(wrong)))]

        resealed(folder, change)
        try:
            runtime = load(folder)
            assert isinstance(runtime, Runtime)
            with np.errstate(all="ignore"):
                runtime.predict_outputs(X)
        except (ModelFileError, ConfigError, DataError):
            refused += 1
        (folder / "model.json").write_bytes(original)
    assert refused > 50
    assert Config.of(**json.loads(original)["config"]).members == 2
