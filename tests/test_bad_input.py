"""Bad input, end to end: what is said, the exit code, and that nothing is half-written and the old model is intact."""

import functools
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import lamina
from lamina.cli import predict as predict_command
from lamina.cli.main import run
from lamina.errors import ConfigError

HEADER = "age,income,city,w,bought"
QUICK = ("--epochs", "2", "--hidden-units", "8", "-q")
NOTES = pytest.mark.filterwarnings("default::lamina.errors.LaminaWarning")  # as outside of tests: shown, not raised


# Without the time of day, which would make each process of a parallel run call the test otherwise.
packed = functools.partial(gzip.compress, mtime=0)


def lines(n: int = 60) -> list[str]:
    rng = np.random.default_rng(0)
    rows = [(int(rng.integers(18, 80)), round(rng.normal(30, 8), 2), rng.choice(["Bonn", "Ulm"])) for _ in range(n)]
    return [HEADER, *(f"{age},{income},{city},1,{'yes' if age > 49 else 'no'}" for age, income, city in rows)]


def text_of(rows: list[str]) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def changed(row: int, old: str, new: str, n: int = 60) -> bytes:
    """The data with ``old`` replaced in data row ``row``, counted from 1."""
    rows = lines(n)
    assert old in rows[row]
    rows[row] = rows[row].replace(old, new, 1)
    return text_of(rows)


def with_cell(row: int, column: str, value: str, n: int = 60) -> bytes:
    rows = [line.split(",") for line in lines(n)]
    rows[row][rows[0].index(column)] = value
    return text_of([",".join(cells) for cells in rows])


def with_column(column: str, value: str) -> bytes:
    rows = [line.split(",") for line in lines()]
    for cells in rows[1:]:
        cells[rows[0].index(column)] = value
    return text_of([",".join(cells) for cells in rows])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "good.csv").write_bytes(text_of(lines()))
    assert run(["train", str(folder / "good.csv"), "--target", "bought", "-o", str(folder / "m"), *QUICK]) == 0
    return folder


@pytest.fixture
def work(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good.csv and the good model m; it is the current one."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]):
    """Run a command that must fail; assert code, message and that no byte of the folder changed."""

    def check(arguments: list[str], code: int, *said: str) -> str:
        before, expected = tree(work), lamina.load("m").predict_proba("good.csv")
        capsys.readouterr()
        assert run(arguments) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        assert [part for part in said if part not in captured.err] == [], captured.err
        assert tree(work) == before
        assert np.array_equal(lamina.load("m").predict_proba("good.csv"), expected)
        return captured.err

    return check


# -- training


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, ["there is no file 'none.csv'; check the path"]),
        ("iriss", None, ["there is no file 'iriss'. Did you mean 'iris'?", "digits"]),
        ("empty.csv", b"", ["empty.csv is empty; expected a header row"]),
        ("header.csv", text_of(lines()[:1]), ["header.csv has a header and no rows; add rows below the header"]),
        ("one.csv", text_of(lines(1)), ["one.csv has 1 usable row; at least 2 are needed"]),
        ("class.csv", with_column("bought", "yes"), ["target 'bought' has one class only, 'yes'", "at least two"]),
        ("target.csv", text_of(lines()).replace(b"bought", b"bougth"), ["no column 'bought'. Did you mean 'bougth'?"]),
        ("twice.csv", text_of(lines()).replace(b"income", b"age"), ["column 'age' appears 2 times", "rename"]),
        ("inf.csv", with_cell(7, "income", "inf"), ["inf.csv, column 'income', row 7: the value is infinite", "empty"]),
        ("split.csv", with_cell(150, "age", "-inf", 200), ["split.csv, column 'age', row 150: the value is infinite"]),
        ("latin.csv", with_cell(9, "city", "Köln").decode().encode("latin-1"), ["line 10: byte 0xf6 is not UTF-8"]),
        ("ragged.csv", changed(4, ",", ",,"), ["ragged.csv, line 5: 6 fields, but the header has 5; complete the"]),
        ("quote.csv", with_cell(3, "city", '"Bonn'), ["quote.csv, line 4: a quote is opened there and never closed"]),
        ("binary.csv", bytes(range(256)), ["binary.csv is not a text file", "zero byte", "Expected CSV in UTF-8"]),
        ("noise.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)), ["noise.csv, line 1: byte 0x89 is not UTF-8"]),
        ("cut.csv.gz", packed(text_of(lines()))[:-30], ["cut.csv.gz is a gzip file that is cut short or damag"]),
        ("a.pdf", b"%PDF", ["'a.pdf' is of no known format; expected .csv, .tsv, .parquet, .npz or an IDX file"]),
        ("a.parquet", b"PAR0" * 9, ["a.parquet is not a Parquet file that can be read"]),
        ("a.npz", b"PK\x03\x04" + bytes(40), ["a.npz is"]),
        ("magic-idx3", b"\0\0\x08\x07" + bytes(40), ["magic number is 2055, expected 2051 (images) or 2049 (labels)"]),
        ("type-idx3", b"\0\0\x0d\x03" + bytes(40), ["values of IDX type 0x0d; only unsigned bytes (0x08) are read"]),
        ("short-idx3", b"\0\0\x08\x03" + bytes([0, 0, 0, 9] * 3), ["has 16 bytes, but its header (9, 9, 9) needs 745"]),
        ("cut-idx3.gz", packed(bytes(500))[:-9], ["is a gzip file that is cut short or damaged; fetch it"]),
    ],
)  # fmt: skip
def test_data_that_cannot_be_learned_from(refused, work, name, content, said):
    if content is not None:
        (work / name).write_bytes(content)
    refused(["train", name, "--target", "bought", "-o", "m", *QUICK], 3, *said)
    refused(["train", name, "--target", "bought", "-o", "new", *QUICK], 3, *said)


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--target", "bougth"], 3, ["good.csv has no column 'bougth'. Did you mean 'bought'? Columns: age, income"]),
        ([], 3, ["say which column is the target (--target, target=). Columns: age, income, city, w, bought"]),
        (["--drop", "agee"], 3, ["good.csv has no column 'agee'. Did you mean 'age'?"]),
        (["--weight", "city"], 3, ["the weight column 'city' holds text; expected numbers of at least 0"]),
        (["--class-weight", "maybe=3"], 2, ["class_weight names 'maybe', which is no class. Classes: no, yes."]),
        (["--class-weight", "yes=0,no=0"], 2, ["class_weight leaves no row with a weight above 0"]),
        (["--class-weight", "yes=-1"], 2, ["weights are finite numbers of at least 0"]),
        (["--activation", "rellu"], 2, ["unknown activation 'rellu'. Did you mean 'relu'? Known: "]),
        (["--hidden-units", "0"], 2, ["hidden_units = (0,): every hidden layer needs at least 1 unit"]),
        (["--hidden-units", "1000000000000"], 1, ["the memory does not suffice; use fewer hidden units"]),
        (["--learning-rate", "0"], 2, ["learning_rate = '0' is out of bounds: it must be above 0"]),
        (["--loss", "squared_error"], 2, ["the loss 'squared_error' is for regression, but the task is classificatio"]),
        (["--task", "regression"], 3, ["good.csv: the target 'bought' holds text, 'yes'; regression needs numbers"]),
        (["--test", "none.csv"], 3, ["there is no file 'none.csv'"]),
        (["--validation", "1.5"], 2, ["validation = 1.5 is out of bounds: a fraction is at least 0 and below 1"]),
        (["--threshold", "1.5"], 2, ["threshold = '1.5' is out of bounds: it must be at most 1.0."]),
        (["--positive-class", "maybe"], 2, ["positive_class names 'maybe', which is no class. Classes: no, yes."]),
        (["--optimizer", "lbfgs", "--dropout", "0.2"], 2, ["line search of lbfgs cannot follow it; use dropout 0."]),
        (["--watch", "rmse"], 2, ["'rmse' is not for classification; watch loss, or one of accuracy, log_loss, roc_a"]),
        (["--target-transform", "log"], 2, ["target_transform is for numbers, but the target is classes; leave it o"]),
        (["--target", "age", "--target", "city"], 3, ["the target 'city' holds text, 'Ulm'; regression needs numbers"]),
        (
            ["--target", "bought", "--target", "city", "--task", "classification"],
            3,
            ["good.csv: several targets of classes, bought, city, cannot be one model; train one for each"],
        ),
        (["--folds", "1"], 2, ["folds = 1, but it must be at least 2 and at most the number of rows, 60."]),
        (["--folds", "61"], 2, ["folds = 61, but it must be at least 2 and at most the number of rows, 60."]),
        (["--test", "0.001"], 3, ["good.csv: a test share of 0.001 of 60 rows leaves a part empty"]),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(refused, flags, code, said):
    target = [] if code == 3 and (flags == [] or flags[0] == "--target") else ["--target", "bought"]
    refused(["train", "good.csv", *target, "-o", "m", *QUICK, *flags], code, *said)


@pytest.mark.parametrize(
    ("value", "said"), [("-2", "the weight is -2"), ("", "the weight is nan"), ("inf", "the weight is inf")]
)
def test_weights_are_finite_and_not_negative(refused, work, value, said):
    (work / "w.csv").write_bytes(with_cell(11, "w", value))
    command = ["train", "w.csv", "--target", "bought", "--weight", "w", "-o", "m", *QUICK]
    refused(command, 3, f"w.csv, column 'w', row 11: {said}; expected a finite number of at least 0.")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(refused):
    command = ["train", "good.csv", "--target", "bought", "--device", "cuda", "-o", "m", *QUICK]
    refused(command, 2, "device = 'cuda', but this machine or this build of torch has none; use cpu or auto.")


def test_python_raises_what_the_command_says(work):
    with pytest.raises(ConfigError, match=r"hidden_units = \(0,\): every hidden layer needs at least 1 unit"):
        lamina.fit("good.csv", "bought", hidden_units=(0,))
    with pytest.raises(ConfigError, match="unknown activation 'rellu'"):
        lamina.fit("good.csv", "bought", activation="rellu")
    with pytest.raises(ValueError, match=r"has no column 'bougth'. Did you mean 'bought'"):
        lamina.fit("good.csv", "bougth")


def test_rows_without_a_target_are_dropped_with_a_note_and_the_others_keep_their_numbers(work, refused, capsys):
    rows = with_cell(2, "bought", "").decode().splitlines()
    (work / "t.csv").write_bytes(text_of(rows))
    assert run(["train", "t.csv", "--target", "bought", "-o", "new", "--epochs", "2"]) == 0
    captured = capsys.readouterr()
    assert "dropped 1 rows without a value of the target 'bought'\n" in captured.err
    assert lamina.load("new").report.rows == {"train": 59, "validation": 59}  # each member holds out a quarter
    rows[20] = rows[20].replace(rows[20].split(",")[1], "inf")
    (work / "t.csv").write_bytes(text_of(rows))
    refused(["train", "t.csv", "--target", "bought", "-o", "m", *QUICK], 3, "t.csv, column 'income', row 20: the value")


def test_a_column_of_missing_values_is_left_out_with_a_note(work, capsys):
    (work / "gone.csv").write_bytes(with_column("income", ""))
    assert run(["train", "gone.csv", "--target", "bought", "-o", "new", "--epochs", "2"]) == 0
    assert "note: column 'income' is left out: every value is missing\n" in capsys.readouterr().err
    assert [column.name for column in lamina.load("new").schema.features] == ["age", "city"]


def test_fewer_rows_than_a_minibatch_are_enough(work):
    (work / "few.csv").write_bytes(text_of(lines(6)))
    assert run(["train", "few.csv", "--target", "bought", "-o", "few", "--batch-size", "64", *QUICK]) == 0
    loaded = lamina.load("few")
    assert loaded.report.rows == {"train": 6}
    assert np.allclose(loaded.predict_proba("few.csv").sum(axis=1), 1, atol=1e-6)


# -- divergence


@pytest.mark.parametrize(
    "flags", [["--epochs", "20"], ["--epochs", "1", "--batch-size", "60", "--learning-rate", "1e30"]]
)
@pytest.mark.parametrize("validation", ["0", "0.2"])
def test_divergence_in_the_first_epoch_saves_nothing(refused, flags, validation):
    command = ["train", "good.csv", "--target", "bought", "--optimizer", "sgd", "--learning-rate", "1e6", *flags]
    said = "training failed: the loss was not finite in epoch 1; the learning rate 1e+"
    error = refused([*command, "--validation", validation, "-o", "m", "-q"], 1, said, "is likely too high: try ")
    assert error.count("\n") == 1
    refused([*command, "--validation", validation, "-o", "new", "-q"], 1, said)


@NOTES
def test_divergence_later_keeps_the_last_good_weights_and_fails(work, capsys):
    flags = ["--optimizer", "sgd", "--learning-rate", "10", "--schedule", "constant", "--batch-size", "1000"]
    more = ["--hidden-units", "none", "--epochs", "200", "--seed", "7", "-o", "new", "--json"]
    assert run(["train", "diabetes", *flags, *more]) == 1
    captured = capsys.readouterr()
    report = lamina.load("new").report
    assert 1 <= report.best_epoch < len(lamina.load("new").history) < 200
    assert report.stopped.endswith("; the learning rate 10 is likely too high: try 1")
    assert f"stopped: {report.stopped}; the weights of epoch {report.best_epoch} are kept\n" in captured.err
    assert json.loads(captured.out)["scores"] == report.scores
    assert np.isfinite(lamina.load("new").predict("diabetes")).all()


# -- prediction


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ["new.csv is empty"]),
        (text_of([HEADER]), ["new.csv has a header and no rows"]),
        (with_cell(8, "income", "much"), ["new.csv, column 'income', row 8: 'much' is not a number; correct it"]),
        (with_cell(8, "income", "inf"), ["new.csv, column 'income', row 8: the value is infinite"]),
        (text_of(["income,city", "30,Ulm"]), ["new.csv lacks the column 'age'."]),
        (text_of(["ages,city", "30,Ulm"]), ["new.csv lacks the columns 'age', 'income'. Is 'age' called 'ages'?"]),
        (text_of(["age,age,income,city", "30,30,1,Ulm"]), ["column 'age' appears 2 times (fields 1 and 2)"]),
        (text_of(["age,income,city", "30,1"]), ["new.csv, line 2: 2 fields, but the header has 3"]),
        (text_of(["age,income,city", "2024-05-31,1,Ulm"]), ["column 'age': expected numbers, got dates"]),
    ],
)  # fmt: skip
def test_new_data_that_does_not_fit_is_refused_before_a_line_is_written(refused, work, content, said):
    (work / "new.csv").write_bytes(content)
    (work / "out.csv").write_text("from before\n")
    refused(["predict", "m", "new.csv"], 3, *said)
    refused(["predict", "m", "new.csv", "-o", "out.csv"], 3, *said)
    refused(["predict", "m", "new.csv", "-o", "fresh.csv"], 3, *said)


def test_a_bad_row_in_a_later_chunk_is_named_by_its_own_number(refused, work, monkeypatch):
    monkeypatch.setattr(predict_command, "_CHUNK_ROWS", 10)
    (work / "new.csv").write_bytes(with_cell(37, "age", "old"))
    refused(["predict", "m", "new.csv", "-o", "out.csv"], 3, "new.csv, column 'age', row 37: 'old' is not a number")


def test_predict_refuses_places_where_it_cannot_write(refused):
    refused(["predict", "m", "good.csv", "-o", "m"], 2, "cannot write 'm': it is a folder; name a file.")
    refused(["predict", "m", "good.csv", "-o", "no/p.csv"], 2, "cannot write 'no/p.csv': there is no folder 'no'.")
    refused(["predict", "m", "good.csv", "--keep", "agee"], 3, "no column 'agee'. Did you mean 'age'?")


def test_evaluate_names_an_unknown_class_and_a_missing_target(refused, work, capsys):
    (work / "new.csv").write_bytes(with_cell(12, "bought", "yess"))
    said = "new.csv, column 'bought', row 12: 'yess' is not a class of the model. Did you mean 'yes'?"
    refused(["evaluate", "m", "new.csv"], 3, said)
    (work / "new.csv").write_bytes(with_column("bought", ""))
    refused(["evaluate", "m", "new.csv"], 3, "the target 'bought' is missing in 60 rows, the first is row 1")
    (work / "new.csv").write_bytes(text_of([line.rpartition(",")[0] for line in lines()]))
    refused(["evaluate", "m", "new.csv"], 3, "new.csv has no column 'bought'. Columns: age, income, city, w.")


def test_evaluate_scores_the_rows_that_have_a_target(work, capsys):
    (work / "new.csv").write_bytes(with_cell(12, "bought", ""))
    (work / "rest.csv").write_bytes(text_of([line for i, line in enumerate(lines()) if i != 12]))
    assert run(["evaluate", "m", "new.csv", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"rows": 59, "scores": lamina.load("m").evaluate("rest.csv")}
    assert captured.err == "note: dropped 1 rows without a value of the target\n"


@NOTES
def test_unseen_categories_and_further_columns_predict_with_a_note(work, capsys):
    (work / "new.csv").write_bytes(text_of(["extra,city,income,age", "1,Atlantis,30,20", "2,Ulm,30,70"]))
    assert run(["predict", "m", "new.csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "bought"
    assert captured.out.splitlines()[1:] == lamina.load("m").predict("new.csv").tolist()
    assert (
        "note: column 'city': 1 rows hold a category that was not there in training, such as 'Atlantis'" in captured.err
    )
    assert "note: new.csv: ignored the columns that the model does not know: extra\n" in captured.err


def test_one_row_is_enough_to_predict(work, capsys):
    (work / "one.csv").write_bytes(text_of([HEADER, lines()[1]]))
    assert run(["predict", "m", "one.csv"]) == 0
    assert capsys.readouterr().out == f"bought\n{lamina.load('m').predict('good.csv')[0]}\n"


def test_a_frame_without_rows_gives_predictions_without_rows(work):
    empty = pl.read_csv("good.csv").head(0)
    assert lamina.load("m").predict_proba(empty).shape == (0, 2)
    assert lamina.load("m").predict(empty).tolist() == []
