"""Model folders that were changed: they are refused in one sentence, or what is loaded predicts.

Where the line is. A byte that changed without the checksum is noticed: the folder is refused, or it predicts what it
did before. Who changes ``model.json`` and renews its checksum has written another model: it may predict otherwise, and
a value of the right form, such as another mean or another class, is not refused. What must not happen is anything but a
prediction of the right shape or a ``LaminaError``, in little time and memory. ``Model.load`` and the NumPy runtime draw
the same line; more of the runtime is in test_runtime.py.
"""

import copy
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lamina
from lamina.errors import LaminaError, ModelFileError
from lamina.export import runtime
from lamina.model_file import _checksum
from random_models import frame

OPTIONS: dict[str, Any] = {
    "epochs": 1,
    "hidden_units": (4, 3),
    "bins": 4,
    "baselines": False,
    "batch_size": 64,
    "averaging": 0,
}
WRONG = [
    None, True, False, "", "x", "0", "nan", "../x", "relu", "log", -1, 0, 1, 2, 7, 2.5, -2.5, 1e-300, 1e308, 10**6,
    10**9, 10**12, 10**30, [], {}, [1], [[]], ["x"], {"a": 1}, [10**9, 10**9], "x" * 5000, [0] * 3000,
]  # fmt: skip


@dataclass(frozen=True)
class Original:
    """A model folder, rows for it, and what it predicts for them."""

    folder: Path
    rows: Any
    outputs: np.ndarray


def _numbers() -> tuple[Any, Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    return (X, np.exp(rng.normal(size=60))), X[:4], {"members": 4, "target_transform": "quantile", "validation": 0.3}


def _mixed() -> tuple[Any, Any, dict[str, Any]]:
    data = frame(mixed=True, task="classification")
    return data, data.head(4), {"members": 2, "numeric": "periodic", "one_hot_levels": 2, "normalization": "batch"}


def _images() -> tuple[Any, Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 6, 5)).astype(np.uint8)
    return (images, rng.integers(0, 2, 60)), images[:4], {"members": 1, "layer": "low_rank", "rank": 2}


def _sparse() -> tuple[Any, Any, dict[str, Any]]:
    from scipy import sparse

    rng = np.random.default_rng(0)
    X = sparse.random_array((60, 8), density=0.3, rng=rng, format="csr")
    return (X, rng.integers(0, 2, (60, 2))), X[:4], {"task": "multilabel", "members": 1, "activation": "prelu"}


KINDS: dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]] = {
    "numbers": _numbers, "mixed": _mixed, "images": _images, "sparse": _sparse
}  # fmt: skip


@pytest.fixture(params=KINDS)
def original(request: pytest.FixtureRequest, tmp_path: Path) -> Original:
    data, rows, options = KINDS[request.param]()
    model = lamina.fit(data, None if isinstance(data, tuple) else "y", **OPTIONS, **options)
    return Original(model.save(tmp_path / "m"), rows, model.predict_outputs(rows))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in items for place in places(each, (*path, key))]


def changed(document: dict[str, Any], all_places: list[tuple[Any, ...]], rng: np.random.Generator) -> dict[str, Any]:
    """Return a copy of ``document`` with one place changed."""
    document = copy.deepcopy(document)
    # First how deep, then where: else nearly all changes would be to the history and to bins.
    depth = int(rng.choice([1, 2, 2, 3, 3, 4, 5, 6]))
    at_depth = [place for place in all_places if len(place) == depth] or all_places
    *way, last = at_depth[int(rng.integers(len(at_depth)))]
    parent: Any = document
    for key in way:
        parent = parent[key]
    value = parent[last]
    kind = int(rng.integers(8))
    if kind == 0:
        del parent[last]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(last, copy.deepcopy(value))
    elif kind == 1:
        parent[f"{last}2"] = parent.pop(last)
    elif kind == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        parent[last] = [-value, value + 1, value - 1, value * 1000, value / 3, str(value)][int(rng.integers(6))]
    elif kind == 2 and isinstance(value, list):
        parent[last] = value[::-1]
    elif kind == 3:
        other = document
        for key in all_places[int(rng.integers(len(all_places)))]:
            other = other[key]
        parent[last] = copy.deepcopy(other)
    else:
        parent[last] = WRONG[int(rng.integers(len(WRONG)))]
    return document


def write(folder: Path, document: dict[str, Any]) -> None:
    """Write ``document`` with the checksum that it should have."""
    document.pop("checksum", None)
    document["checksum"] = _checksum(document)
    (folder / "model.json").write_text(json.dumps(document))


Use = Callable[[Path, Any], np.ndarray]


def by_model(folder: Path, rows: Any) -> np.ndarray:
    model = lamina.load(folder)
    outputs = model.predict_outputs(rows)
    model.predict(rows)
    if model.task == "regression" and model.scores is not None:
        model.predict_interval(rows, 0.5)
    model.summary()
    return outputs


def by_runtime(folder: Path, rows: Any) -> np.ndarray:
    loaded = runtime.load(folder)
    each: Any = rows.drop("y").to_dicts() if isinstance(rows, pl.DataFrame) else rows
    outputs = loaded.predict_outputs(each)
    loaded.predict(each)
    one = loaded.predict_outputs(each[0] if isinstance(each, list) else each[:1])
    assert one.shape == outputs[:1].shape
    if not isinstance(each, list):
        loaded.logits(each[0].ravel())
    return outputs


USES = {"model": by_model, "runtime": by_runtime}


def use(folder: Path, rows: Any, way: str = "model") -> np.ndarray | None:
    """Return the outputs of the model in ``folder``; ``None`` where it was refused, in one sentence."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return USES[way](folder, rows)
    except LaminaError as error:
        said = str(error)
    assert 10 < len(said) < 2000
    assert said.count("\n") == 0
    return None


def mutate(original: Original, seed: int, n: int, way: str = "model") -> tuple[int, int]:
    """Change the document ``n`` times, its checksum renewed; return how often it was refused, and how often not."""
    document = json.loads((original.folder / "model.json").read_bytes())
    unread = ("checksum", "report", "history", "scores") if way == "runtime" else ("checksum",)
    all_places = places({key: value for key, value in document.items() if key not in unread})
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(n):
        write(original.folder, changed(document, all_places, rng))
        outputs = use(original.folder, original.rows, way)
        if outputs is None:
            refused += 1
        else:
            assert outputs.dtype == np.float64
            assert (outputs.ndim, len(outputs)) == (2, len(original.outputs))
    write(original.folder, document)
    assert np.array_equal(lamina.load(original.folder).predict_outputs(original.rows), original.outputs)
    return refused, n - refused


def test_wrong_values_behind_a_right_checksum_are_refused_or_predict(original):
    refused, used = mutate(original, 0, 60)
    assert min(refused, used) > 10


@pytest.mark.slow
def test_a_thousand_wrong_values_of_each_model(original):
    refused, used = mutate(original, 1, 1000)
    assert min(refused, used) > 250


NO_SPARSE = pytest.mark.parametrize("original", ["numbers", "mixed", "images"], indirect=True)


@NO_SPARSE
def test_wrong_values_are_refused_by_the_runtime_too_or_predict(original):
    refused, used = mutate(original, 0, 100, "runtime")
    assert min(refused, used) > 20


@pytest.mark.slow
@NO_SPARSE
def test_a_thousand_wrong_values_of_each_model_in_the_runtime(original):
    refused, used = mutate(original, 1, 1000, "runtime")
    assert min(refused, used) > 250


def changed_weights(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a weights file with another header, other numbers or other bytes."""
    length = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    names, kind = sorted(header), int(rng.integers(6))
    first, second = (names[int(rng.integers(len(names)))] for _ in range(2))
    if kind == 0:
        return damaged(content, rng)
    if kind == 1:
        header = changed(header, places(header), rng)
    elif kind == 2:  # numbers of any size, NaN and infinite ones among them
        start, end = header[first]["data_offsets"]
        numbers = numbers[:start] + rng.bytes(end - start) + numbers[end:]
    elif kind == 3:
        header[first], header[second] = header[second], header[first]
    elif kind == 4:
        header[first]["shape"] = header[first]["shape"][::-1]
    else:
        header[first]["dtype"] = {"F32": "I32", "I64": "F64"}.get(header[first]["dtype"], "F32")
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def put_weights(folder: Path, content: bytes) -> None:
    """Put other weights into a folder, under their own name and checksum."""
    for path in folder.glob("weights-*"):
        path.unlink()
    digest = hashlib.sha256(content).hexdigest()
    name = f"weights-{digest}.safetensors"
    (folder / name).write_bytes(content)
    document = json.loads((folder / "model.json").read_bytes())
    write(folder, {**document, "files": {"weights": {"name": name, "sha256": digest}}})


def mutate_weights(original: Original, n: int) -> None:
    (path,) = original.folder.glob("weights-*")
    content, rng, refused = path.read_bytes(), np.random.default_rng(4), 0
    ways = ["model", *(["runtime"] if isinstance(original.rows, pl.DataFrame | np.ndarray) else [])]
    for _ in range(n):
        put_weights(original.folder, changed_weights(content, rng))
        for way in ways:
            outputs = use(original.folder, original.rows, way)
            refused += outputs is None
            assert outputs is None or (outputs.dtype, outputs.shape) == (np.float64, original.outputs.shape)
    assert 0.2 < refused / (n * len(ways)) < 0.8
    put_weights(original.folder, content)
    assert np.array_equal(lamina.load(original.folder).predict_outputs(original.rows), original.outputs)


def test_other_weights_behind_a_right_checksum_are_refused_or_predict(original):
    mutate_weights(original, 60)


@pytest.mark.slow
def test_five_hundred_other_weights_of_each_model(original):
    mutate_weights(original, 500)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    where, kind = int(rng.integers(len(content))), int(rng.integers(4))
    if kind == 0:
        return content[:where] + bytes([content[where] ^ 1 << int(rng.integers(8))]) + content[where + 1 :]
    if kind == 1:
        return content[:where]
    if kind == 2:
        return content[:where] + rng.bytes(int(rng.integers(1, 9))) + content[where:]
    return content[:where] + content[where + int(rng.integers(1, 30)) :]


@pytest.mark.slow
def test_bytes_that_changed_are_noticed(original):
    rng = np.random.default_rng(2)
    files = {path: path.read_bytes() for path in original.folder.iterdir() if path.name != "report.html"}
    refused = 0
    for _ in range(1500):
        path = list(files)[int(rng.integers(2))]
        path.write_bytes(damaged(files[path], rng))
        outputs = use(original.folder, original.rows)
        path.write_bytes(files[path])
        refused += outputs is None
        assert outputs is None or np.array_equal(outputs, original.outputs)
    assert refused > 1300


def test_columns_without_names_of_which_some_are_left_out_are_loaded(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    model = lamina.fit((X, rng.integers(0, 2, 60)), members=1, drop=("x1", "x3"), **OPTIONS)
    assert [column.role for column in model.schema.columns].count("left out") == 2
    loaded = lamina.load(model.save(tmp_path / "m"))
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("original", ["numbers", "mixed"], indirect=True)
def test_a_report_that_was_meddled_with_is_drawn_or_refused(original):
    document = json.loads((original.folder / "model.json").read_bytes())
    all_places = [place for place in places(document) if place[0] == "report" and len(place) > 1]
    rng, refused = np.random.default_rng(3), 0
    for _ in range(150):
        write(original.folder, changed(document, all_places, rng))
        try:
            model = lamina.load(original.folder)
        except ModelFileError:
            continue
        try:
            assert model.page().endswith("</html>\n")
        except ModelFileError as error:
            refused += "the report of this model cannot be drawn: " in str(error)
    assert 0 < refused < 120


# -- what is found before memory is taken, and what is said


def refusal(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Return why the folder is refused, by the runtime with the same words, unless it is for the history."""
    document = json.loads((folder / "model.json").read_bytes())
    change(document)
    write(folder, document)
    with pytest.raises(ModelFileError) as caught:
        lamina.load(folder)
    said = str(caught.value).removeprefix(f"{str(folder)!r} is not a model of this format: ")
    if not said.startswith("history"):
        with pytest.raises(ModelFileError) as caught:
            runtime.load(folder)
        assert str(caught.value).endswith(said)
    return said


@pytest.mark.parametrize("original", ["mixed"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [{"hidden_units": [10**9, 3]}, {"hidden_units": [10**5, 10**5]}, {"members": 10**9}, {"embedding_width": 10**9}],
)
def test_a_network_larger_than_its_weights_is_refused_before_it_is_made(original, options):
    said = refusal(original.folder, lambda document: document["config"].update(options))
    assert said.startswith("a network of at least ")
    assert said.endswith(" are there.")


@pytest.mark.parametrize("original", ["images"], indirect=True)
@pytest.mark.parametrize("options", [{"layer": "phm", "phm_n": 10**4}, {"rank": 10**9, "hidden_units": [10**5, 10**5]}])
def test_a_layer_that_saves_numbers_is_held_against_its_weights_too(original, options):
    assert "a network of at least" in refusal(original.folder, lambda document: document["config"].update(options))


@pytest.mark.parametrize("original", ["images"], indirect=True)
def test_an_image_larger_than_its_weights_is_refused(original):
    def enlarge(document: dict[str, Any]) -> None:
        document["encoder"]["images"][0]["shape"] = document["schema"]["columns"][0]["shape"] = [2**32, 2**32]

    assert refusal(original.folder, enlarge).startswith(f"a network of at least {str(2**65)[:10]}")


@pytest.mark.parametrize("original", ["mixed"], indirect=True)
@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        (("encoder", "numbers", 0), {"mean": "3"}, "encoder.numbers.mean is of another type than it should be."),
        (("encoder", "numbers", 0), {"mean": 10**400}, "encoder.numbers.mean is of another type than it should be."),
        (("encoder", "numbers", 0), {"scale": 0}, "a column is divided by a number that is not above 0."),
        (("encoder", "numbers", 0), {"scale": -2.0}, "a column is divided by a number that is not above 0."),
        (("encoder", "numbers", 0), {"name": ["age"]}, "encoder.numbers.name is of another type than it should be."),
        (("encoder", "numbers", 0), {"name": "size"}, "schema and encoder have other columns of the kind number."),
        (("encoder", "numbers", 0), {"edges": [1.0, 0.5]}, "the bounds of bins are not in ascending order."),
        (("encoder", "numbers", 3), {"part": "century"}, "a part of a date that is none."),
        (
            ("encoder", "categories", 0),
            {"levels": 5},
            "encoder.categories.levels is of another type than it should be.",
        ),
        (("schema", "columns", 0), {"kind": "colour"}, "schema.columns.kind is of another type than it should be."),
        (("schema", "columns", 0), {"name": "size"}, "schema and encoder have other columns of the kind number."),
        (("schema", "target"), {"positive": 7}, "the positive class is none of the classes."),
        (("schema", "target"), {"classes": []}, "the target has no names, or classes that do not fit its task."),
        (("schema", "target"), {"classes": [{}]}, "schema.target.classes is of another type than it should be."),
        (("schema", "target"), {"task": "regression"}, "the target has no names, or classes that do not fit its task."),
        (("config",), {"activation": ["relu", []]}, "config.activation is of another type than it should be."),
        (("config",), {"rank": 1.5}, "config.rank is of another type than it should be."),
        (("history", 0), {"epoch": "one"}, "history.epoch is of another type than it should be."),
    ],
)
def test_what_does_not_fit_is_said(original, part, change, said):
    def apply(document: dict[str, Any]) -> None:
        for key in part:
            document = document[key]
        document.update(change)

    assert refusal(original.folder, apply) == said


@pytest.mark.parametrize("original", ["numbers"], indirect=True)
def test_a_header_that_is_no_header_is_said_in_a_line(original):
    text = json.dumps("x" * 5000).encode()
    put_weights(original.folder, len(text).to_bytes(8, "little") + text)
    for way in (lamina.load, runtime.load):
        with pytest.raises(ModelFileError, match=r"^the weights in .* are not safetensors: ") as caught:
            way(original.folder)
        assert len(str(caught.value)) < 800
