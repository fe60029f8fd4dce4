"""Labels come back as they were given, with their type, whatever they pass through; texts of a frame stay its own."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lamina
from lamina.cli.main import run
from lamina.errors import ConfigError, DataError
from lamina.export.runtime import load as load_runtime

N = 80
X = np.random.default_rng(0).normal(size=N)
FEW = {"hidden_units": (4,), "epochs": 12, "seed": 0, "baselines": False, "learning_rate": 0.1}


def two(low, high) -> list:
    return [high if value > 0 else low for value in X]


def plain(values) -> list:
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def exactly(found, expected) -> None:
    """Compare values and their types."""
    found, expected = plain(found), plain(expected)
    assert [(type(value), value) for value in found] == [(type(value), value) for value in expected]


TEXTS = {
    "plain": ("lo", "hi"),
    "blank": (" <=50K", " >50K"),
    "tab": ("a\t", "\tb"),
    "letters": ("größe", "naïve ☃"),
    "missing": ("NA", "null"),
    "nan": ("nan", "ok"),
    "numbers": ("1", "2.0"),
    "truth": ("true", "TRUE"),
}
OTHERS = {"bool": (False, True), "int": (3, 7), "negative": (-1, 1), "float": (0.0, 1.0), "half": (0.5, 1.5)}
SERIES = {
    "pandas": lambda y: pd.Series(y, name="t"),
    "pandas category": lambda y: pd.Series(pd.Categorical(y), name="t"),
    "pandas objects": lambda y: pd.Series(y, name="t", dtype=object),
    "polars": lambda y: pl.Series("t", y),
}
TEXT_SERIES = {
    "arrow": lambda y: pd.Series(y, name="t", dtype="string[pyarrow]"),
    "polars enum": lambda y: pl.Series("t", y, dtype=pl.Enum(sorted(set(y)))),
    "polars category": lambda y: pl.Series("t", y, dtype=pl.Categorical),
}
CASES = [(name, form) for name in [*TEXTS, *OTHERS] for form in SERIES] + [
    (name, form) for name in TEXTS for form in TEXT_SERIES
]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_labels_come_back_from_a_frame_with_their_type(name, form, tmp_path):
    y = two(*{**TEXTS, **OTHERS}[name])
    series = {**SERIES, **TEXT_SERIES}[form](y)
    frame = (pd if isinstance(series, pd.Series) else pl).DataFrame({"x": X, "t": series})
    model = lamina.fit(frame, "t", task="classification", **FEW)
    exactly(model.classes, sorted(set(y)))
    expected = model.predict(frame)
    assert (expected == np.array(y)).mean() > 0.9
    exactly(lamina.load(model.save(tmp_path / "m")).predict(frame), expected)
    exactly(load_runtime(tmp_path / "m").predict({"x": X}), expected)
    exactly(load_runtime(tmp_path / "m").predict({"x": X[0]}), expected[:1])
    assert model.evaluate(frame)["accuracy"] > 0.9


@pytest.mark.parametrize("name", [*TEXTS, "bool", "int", "negative", "float"])
@pytest.mark.parametrize("form", [np.array, *SERIES.values()])
def test_labels_come_back_from_an_estimator_with_their_type(name, form):
    y = two(*{**TEXTS, **OTHERS}[name])
    given = form(y)
    classifier = lamina.MLPClassifier((4,), max_iter=12, learning_rate_init=0.1, random_state=0)
    classifier.fit(X[:, None], given)
    exactly(classifier.classes_, sorted(set(y)))
    assert (classifier.predict(X[:, None]) == np.array(y)).mean() > 0.9
    partial = lamina.MLPClassifier((4,), random_state=0).partial_fit(X[:, None], given, classes=sorted(set(y)))
    exactly(partial.classes_, sorted(set(y)))


def test_two_labels_may_differ_in_blanks_alone():
    y = two("a", " a")
    for model in (lamina.fit((X[:, None], y), **FEW), lamina.fit(pl.DataFrame({"x": X, "t": y}), "t", **FEW)):
        exactly(model.classes, [" a", "a"])


def test_a_blank_text_is_a_class_in_a_target_given_apart():
    model = lamina.fit((X[:, None], two("", "x")), **FEW)
    exactly(model.classes, ["", "x"])
    assert model.evaluate((X[:, None], two("", "x")))["accuracy"] > 0.9


@pytest.mark.parametrize("labels", [("2024-01-01", "2024-01-02"), ("?", "!")])
def test_texts_of_a_target_given_apart_are_neither_dates_nor_missing(labels):
    exactly(lamina.fit((X[:, None], two(*labels)), **FEW).classes, sorted(labels))


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_labels_leave_through_onnx_with_their_type(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from lamina.export.onnx import to_onnx

    y = two(*{**TEXTS, **OTHERS}[name])
    model = lamina.fit((X[:, None], pd.Series(y)), task="classification", **FEW)
    to_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    exactly(session.run(["label"], {"x0": X[:, None]})[0].tolist(), model.predict(X[:, None]))


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS])
def test_labels_leave_through_the_command_and_are_known_again(name, tmp_path, capsys):
    y = two(*{**TEXTS, **OTHERS}[name])
    frame = pd.DataFrame({"x": X, "t": y})
    model = lamina.fit(frame, "t", task="classification", **FEW)
    expected = model.predict(frame)
    model.save(tmp_path / "m")
    frame[["x"]].to_csv(tmp_path / "x.csv", index=False)
    for file in ("p.csv", "p.parquet", "p.pq"):
        assert (
            run(["predict", str(tmp_path / "m"), str(tmp_path / "x.csv"), "--keep", "x", "-o", str(tmp_path / file)])
            == 0
        )
        if file != "p.csv":
            exactly(pl.read_parquet(tmp_path / file, glob=False)["t"].to_list(), expected)
    assert [str(value) for value in plain(expected)] == pd.read_csv(
        tmp_path / "p.csv", dtype=str, keep_default_na=False, skipinitialspace=False
    )["t"].tolist()
    for file in ("p.csv", "p.parquet"):
        assert run(["evaluate", str(tmp_path / "m"), str(tmp_path / file), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["scores"]["accuracy"] == 1.0


def test_a_csv_file_gives_whole_numbers_as_integers(tmp_path):
    for cells, classes in ((("0", "1"), [0, 1]), (("0.0", "1.0"), [0, 1]), (("0", "0.5"), [0.0, 0.5])):
        pd.DataFrame({"x": X, "t": two(*cells)}).to_csv(tmp_path / "t.csv", index=False)
        exactly(lamina.fit(str(tmp_path / "t.csv"), "t", task="classification", **FEW).classes, classes)


def test_labels_in_an_npz_archive_keep_their_type(tmp_path):
    for y in (two(False, True), two(0.0, 1.0), two(1, 2), two(" a", "b")):
        np.savez(tmp_path / "t.npz", X=X[:, None], y=np.array(y))
        model = lamina.fit(str(tmp_path / "t.npz"), **FEW)
        exactly(model.classes, sorted(set(y)))
        assert model.evaluate(str(tmp_path / "t.npz"))["accuracy"] > 0.9


def test_a_file_has_no_blanks_around_its_cells_and_a_frame_may(tmp_path):
    """A model of either knows the levels and the classes of the other."""
    work = [" Private" if value > 0 else " State-gov" for value in X]
    frame = pd.DataFrame({"work": work, "t": two(" <=50K", " >50K")})
    frame.to_csv(tmp_path / "t.csv", index=False)
    of_frame, of_file = lamina.fit(frame, "t", **FEW), lamina.fit(str(tmp_path / "t.csv"), "t", **FEW)
    exactly(of_frame.classes, [" <=50K", " >50K"])
    exactly(of_file.classes, ["<=50K", ">50K"])
    assert of_frame.encoder.categories[0].levels == (" Private", " State-gov")
    np.testing.assert_array_equal(of_frame.predict_proba(frame), of_file.predict_proba(frame))
    for model in (of_frame, of_file):
        runtime = load_runtime(model.save(tmp_path / "m"))
        for data in (frame, str(tmp_path / "t.csv")):
            assert model.evaluate(data)["accuracy"] == 1.0
        for rows in ({"work": work}, {"work": [text.strip() for text in work]}):
            np.testing.assert_allclose(runtime.predict_proba(rows), model.predict_proba(frame), atol=1e-9)
        for text in (" Private", "Private", "Private\t"):
            np.testing.assert_allclose(
                runtime.predict_proba({"work": text}), model.predict_proba(pd.DataFrame({"work": [text]})), atol=1e-9
            )


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ((" <=50K", " >50K"), (" >50K", ">50K")),
        ((0.0, 1.0), (1, 1.0, "1", "1.0")),
        ((0, 1), (1, 1.0, "1", "1.0")),
        ((False, True), (True, "True", "true", np.True_)),
    ],
)
def test_options_name_a_class_in_any_spelling(classes, names):
    y = two(*classes)
    for name in names:
        model = lamina.fit(
            (X[:, None], pd.Series(y)), positive_class=name, threshold=0.7, class_weight={name: 3}, **FEW
        )
        assert model.schema.target.positive == 1
        weighted = lamina.fit((X[:, None], pd.Series(y)), class_weight={names[0]: 3}, **FEW)
        np.testing.assert_array_equal(weighted.predict_proba(X[:, None]), model.predict_proba(X[:, None]))
    with pytest.raises(ConfigError, match="class_weight names 'x', which is no class"):
        lamina.fit((X[:, None], y), class_weight={"x": 3}, **FEW)
    twice = ", ".join((str(names[0]), f"{names[0]}\t"))
    with pytest.raises(ConfigError, match=f"class_weight names a class twice in {twice}; name each once"):
        lamina.fit((X[:, None], y), class_weight=dict.fromkeys((names[0], f"{names[0]}\t"), 2), **FEW)
    with pytest.raises(ConfigError, match="positive_class names 'x', which is no class"):
        lamina.fit((X[:, None], y), positive_class="x", **FEW)


LINEAR = {"hidden_units": (), "members": 1, "epochs": 200, "learning_rate": 0.1, "seed": 0}
COUNTRY = ["NA", "DE", None] * 40


def namibia(text: str = "NA") -> tuple[pd.DataFrame, np.ndarray]:
    value = {text: 10.0, "DE": 5.0, None: 0.0}
    frame = pd.DataFrame({"country": [text if each == "NA" else each for each in COUNTRY]}, dtype=object)
    return frame, np.array([value[each] for each in frame["country"]])


@pytest.mark.parametrize("text", ["NA", "nan", "null", "N/A", "NULL"])
def test_a_token_among_the_texts_of_a_frame_is_a_level_in_every_dress(text, tmp_path):
    frame, y = namibia(text)
    model = lamina.fit(frame.assign(y=y), "y", task="regression", **LINEAR)
    assert set(model.encoder.categories[0].levels) == {text, "DE", None}
    expected = model.predict(frame)
    assert np.abs(expected - y).max() < 0.5
    unknown = next(each for each in ("NA", "null") if each != text)
    asked = [text, "DE", None, unknown, "", f" {text}"]
    values = expected[[0, 1, 2, 2, 2, 0]]
    np.testing.assert_array_equal(model.predict(pd.DataFrame({"country": asked}, dtype=object)), values)
    np.testing.assert_array_equal(model.predict(pl.DataFrame({"country": asked})), values)
    np.testing.assert_array_equal(model.predict(pl.DataFrame({"country": asked[:1]})), values[:1])
    pl.DataFrame({"country": asked}).write_parquet(tmp_path / "c.parquet")
    np.testing.assert_array_equal(model.predict(str(tmp_path / "c.parquet")), values)
    (tmp_path / "c.csv").write_text("country,z\n" + "\n".join(f"{each or ''},1" for each in asked))
    runtime = load_runtime(model.save(tmp_path / "m"))
    with pytest.warns(lamina.errors.LaminaWarning, match="ignored the columns"):
        np.testing.assert_array_equal(model.predict(str(tmp_path / "c.csv")), values)
    np.testing.assert_allclose(runtime.predict({"country": asked}), values, atol=1e-9)
    np.testing.assert_allclose(runtime.predict([{"country": each} for each in asked]), values, atol=1e-9)
    np.testing.assert_allclose([runtime.predict({"country": each})[0] for each in asked], values, atol=1e-9)
    onnxruntime = pytest.importorskip("onnxruntime")
    from lamina.export.onnx import to_onnx

    to_onnx(model, tmp_path / "m.onnx")
    asked, values = asked[:-1], values[:-1]  # a graph knows no blanks but those of the levels themselves
    cells = np.array([each or "" for each in asked], dtype=object)[:, None]
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(["values"], {"country": cells})[0]
    np.testing.assert_allclose(found[:, 0], values, atol=1e-9)


def test_a_token_in_a_csv_file_is_missing_in_training_and_so_it_stays(tmp_path):
    frame, y = namibia()
    frame.assign(y=y).to_csv(tmp_path / "t.csv", index=False, na_rep="")
    model = lamina.fit(str(tmp_path / "t.csv"), "y", hidden_units=(), members=1, epochs=5, seed=0)
    assert set(model.encoder.categories[0].levels) == {"DE", None}
    prediction = model.predict(frame)
    assert prediction[0] == prediction[2]


def test_a_token_of_an_array_of_texts_is_a_level():
    frame, y = namibia()
    for x in (frame.to_numpy(), np.array([["NA"], ["DE"], ["x"]] * 40)):
        model = lamina.fit((x, y), hidden_units=(), members=1, epochs=5, seed=0)
        assert "NA" in model.encoder.categories[0].levels


@pytest.mark.parametrize(
    ("cells", "kind", "levels"),
    [
        (["1.5", "NA", "2", "1.5"], "category", ("1.5", "2", None)),
        (["1.5", "NA", "?", "2"], "number", ()),
        (["2024-01-01", "NA", "2024-01-03", "2024-01-01"], "datetime", ()),
        (["a", "NA", "?", ""], "category", ("NA", "a", None)),
        ([" a", "a", "NA", "  "], "category", (" a", "NA", "a", None)),
    ],
)
def test_a_token_among_numbers_or_dates_is_missing(cells, kind, levels):
    model = lamina.fit(
        pd.DataFrame({"c": cells * 20, "x": X}), "x", hidden_units=(), members=1, epochs=1, min_level_rows=1
    )
    assert [column.kind for column in model.schema.features] == [kind]
    assert [code.levels for code in model.encoder.categories] == ([levels] if levels else [])


def test_held_out_rows_of_a_file_know_the_levels_of_the_frame(tmp_path):
    frame, y = namibia()
    (tmp_path / "t.csv").write_text("country,y\nNA,10\nDE,5\n,0\n")
    model = lamina.fit(frame.assign(y=y), "y", test=str(tmp_path / "t.csv"), task="regression", **LINEAR)
    assert model.report.scores["test"]["rmse"] < 0.5


def test_classes_called_as_a_missing_value_are_scored_and_others_are_missing(tmp_path, capsys):
    y = two("NA", "ok")
    lamina.fit((X[:, None], y), **FEW).save(tmp_path / "m")
    for name, write in (("t.csv", "write_csv"), ("t.parquet", "write_parquet")):
        getattr(pl.DataFrame({"x0": X, "y": ["null", *y[1:]]}), write)(tmp_path / name)
        assert run(["evaluate", str(tmp_path / "m"), str(tmp_path / name), "--json"]) == 0
        output = capsys.readouterr()
        assert json.loads(output.out)["rows"] == N - 1
        assert "note: dropped 1 rows without a value of the target" in output.err
    with pytest.raises(DataError, match="the target 'y' is missing in 1 rows, the first is row 3"):
        lamina.load(tmp_path / "m").evaluate((X[:, None], [*y[:2], "null", *y[3:]]))
