import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.cli.main import run
from lamina.data.readers import read_table, read_tables
from lamina.data.table import Table
from lamina.errors import DataError, MissingExtraError

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3) * 10
SUFFIXES = ".png, .jpg, .jpeg, .bmp, .gif, .pgm, .tif, .tiff, .webp"


def written(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def labels(table: Table) -> list[str]:
    return [table["label"].cell(row) for row in range(table.n_rows)]


def grey(path: Path) -> list[list[int]]:
    """The pixels of the one image in the folder of ``path``."""
    (pixels,) = read_table(path.parent)["image"].values
    return pixels.tolist()


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as error:
        read_table(folder)
    return str(error.value).replace(f"{folder.parent}/", "")


@pytest.fixture
def two_classes(tmp_path) -> Path:
    """Written in an order that is neither that of the names nor that of the classes."""
    folder = tmp_path / "d"
    for name, pixels in (("cat/b.png", 1), ("ape/z.PNG", 3), ("cat/a.png", 0), ("cat/B.bmp", 2)):
        written(folder / name, IMAGES[pixels])
    return folder


def test_pixels_labels_and_their_order(two_classes):
    table = read_table(two_classes)
    column = table["image"]
    assert (column.type, column.values.dtype, table.source) == ("image", np.uint8, str(two_classes))
    np.testing.assert_array_equal(column.values, IMAGES[[3, 2, 0, 1]])  # ape/z, cat/B, cat/a, cat/b
    assert (table.targets, labels(table)) == (("label",), ["ape", "cat", "cat", "cat"])
    assert table["label"].type == "text"


def test_the_order_does_not_depend_on_the_file_system(two_classes, monkeypatch):
    expected = read_table(two_classes)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(listed(self), reverse=True))
    table = read_table(str(two_classes) + "/")
    np.testing.assert_array_equal(table["image"].values, expected["image"].values)
    assert labels(table) == labels(expected)


def test_images_right_in_the_folder_have_no_labels(tmp_path):
    for i in (2, 0, 1):
        written(tmp_path / f"{i}.png", IMAGES[i])
    (tmp_path / "notes").mkdir()
    table = read_table(tmp_path)
    assert (list(table.columns), table.targets) == (["image"], ())
    np.testing.assert_array_equal(table["image"].values, IMAGES[:3])


def test_names_that_are_numbers_stay_text(tmp_path):
    for name in ("1", "0", "10"):
        written(tmp_path / name / "a.png", IMAGES[0])
    column = read_table(tmp_path)["label"]
    assert (column.type, column.levels, column.values.tolist()) == ("text", ("0", "1", "10"), [0, 1, 2])


def test_what_is_hidden_or_no_image_is_ignored(two_classes):
    for name in (".thumbs/a.png", "cat/.a.png", "cat/deeper/a.png", "empty/deeper/a.png"):
        written(two_classes / name, IMAGES[0, :1])
    (two_classes / "cat" / "folder.png").mkdir()
    (two_classes / "cat" / "notes.txt").write_text("not an image")
    (two_classes / "README").write_text("not an image")
    assert labels(read_table(two_classes)) == ["ape", "cat", "cat", "cat"]


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "gif", "pgm", "tif", "Tiff"])
def test_lossless_formats_keep_the_pixels(tmp_path, suffix):
    assert grey(written(tmp_path / f"a.{suffix}", IMAGES[3])) == IMAGES[3].tolist()


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "webp"])
def test_lossy_formats_keep_an_even_grey(tmp_path, suffix):
    pixels = np.array(grey(written(tmp_path / f"a.{suffix}", np.full((8, 16), 90, np.uint8))))
    assert pixels.shape == (8, 16)
    assert np.abs(pixels - 90).max() <= 2


def test_colours_become_grey(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    weights = [[76, 150, 29, 255]]  # 255 times 0.299, 0.587 and 0.114
    assert grey(written(tmp_path / "rgb" / "a.png", colours)) == weights
    assert grey(written(tmp_path / "palette" / "a.png", colours, "P")) == weights
    assert Image.open(tmp_path / "palette" / "a.png").mode == "P"


def test_transparent_pixels_are_laid_over_white(tmp_path):
    # Black at 0, 20, 60 and 100 % of opacity; a decoder that drops the opacity shows four black pixels.
    opacity = np.array([[0, 51, 153, 255]], np.uint8)
    black = np.zeros_like(opacity)
    assert grey(written(tmp_path / "rgba" / "a.png", np.dstack([black] * 3 + [opacity]))) == [[255, 204, 102, 0]]
    assert grey(written(tmp_path / "la" / "a.png", np.dstack([black] * 3 + [opacity]), "LA")) == [[255, 204, 102, 0]]
    key = written(tmp_path / "key" / "a.png", np.array([[7, 8]], np.uint8), transparency=7)
    assert grey(key) == [[255, 8]]
    palette = written(tmp_path / "palette" / "a.gif", np.array([[7, 8]], np.uint8), transparency=7)
    assert grey(palette) == [[255, 8]]


@pytest.mark.parametrize("suffix", ["png", "pgm", "tif"])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, suffix):
    pixels = np.array([[0, 255, 256], [257, 40000, 65535]], np.uint16)
    assert grey(written(tmp_path / f"a.{suffix}", pixels)) == [[0, 0, 1], [1, 156, 255]]


def test_1_bit_becomes_black_and_white(tmp_path):
    path = written(tmp_path / "a.png", np.array([[True, False, True]]))
    assert Image.open(path).mode == "1"
    assert grey(path) == [[255, 0, 255]]


def test_of_several_frames_the_first_is_read(tmp_path):
    first, second = (Image.fromarray(pixels) for pixels in IMAGES[:2])
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert grey(tmp_path / "a.gif") == IMAGES[0].tolist()


def test_chunks_together_are_the_whole(two_classes):
    chunks = list(read_tables(str(two_classes), chunk_rows=3))
    assert [chunk.n_rows for chunk in chunks] == [3, 1]
    assert [chunk.row_number(0) for chunk in chunks] == [1, 4]
    np.testing.assert_array_equal(np.concatenate([chunk["image"].values for chunk in chunks]), IMAGES[[3, 2, 0, 1]])
    assert [label for chunk in chunks for label in labels(chunk)] == ["ape", "cat", "cat", "cat"]


def test_folders_without_images(tmp_path):
    folder = tmp_path / "d"
    expected = (
        f"the folder 'd' holds no images; put images ({SUFFIXES}) into it, or into one sub-folder for each class."
    )
    (folder / "cat").mkdir(parents=True)
    assert refused(folder) == expected
    (folder / "cat" / "a.txt").write_text("not an image")
    written(folder / ".a.png", IMAGES[0])
    assert refused(folder) == expected


def test_a_folder_named_like_a_file_is_a_folder(tmp_path):
    written(tmp_path / "d.csv" / "a.png", IMAGES[0])
    np.testing.assert_array_equal(read_table(tmp_path / "d.csv")["image"].values, IMAGES[:1])


def test_an_empty_path_is_not_the_current_folder(tmp_path, monkeypatch):
    written(tmp_path / "a.png", IMAGES[0])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="'' is of no known format; expected "):
        read_table("")


def test_images_beside_class_folders(two_classes):
    written(two_classes / "lost.png", IMAGES[0])
    assert refused(two_classes) == (
        "the folder 'd' holds the image 'lost.png' beside the class folder 'ape'; "
        "move every image into the folder of its class."
    )


def test_a_class_folder_whose_name_is_not_utf_8(two_classes):
    try:
        (two_classes / "cat").rename(two_classes / os.fsdecode(b"caf\xe9"))
    except (OSError, UnicodeError):
        pytest.skip("this file system has UTF-8 names only")
    assert refused(two_classes) == "'d': the name of the class folder 'caf\\udce9' is not UTF-8; rename it."


def test_images_of_different_sizes(two_classes):
    written(two_classes / "cat" / "c.png", IMAGES[0].T)
    assert refused(two_classes) == (
        "'d/ape/z.PNG' is 3 x 2 pixels (width x height), but 'd/cat/c.png' is 2 x 3; resize the images to one size."
    )


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.png", lambda content: b""),
        ("a.png", lambda content: b"plain text"),
        ("a.png", lambda content: content[:-30]),
        ("a.png", lambda content: content[:60] + bytes(40) + content[100:]),
        ("a.jpg", lambda content: content[: len(content) // 2]),
        ("a.bmp", lambda content: content[:-9]),
        ("a.tif", lambda content: content[:40]),
        ("a.pgm", lambda content: content[:-9]),
        ("a.webp", lambda content: content[: len(content) // 2]),
        ("a.png", lambda content: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\n"),
    ],
    ids=["empty", "text", "short", "checksum", "jpg", "bmp", "tif", "pgm", "webp", "postscript"],
)
def test_images_that_are_damaged(tmp_path, name, damage):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    path = written(tmp_path / "d" / "cat" / name, noise)
    path.write_bytes(damage(path.read_bytes()))
    assert refused(tmp_path / "d") == (
        f"'d/cat/{name}' is no image that can be read: damaged, cut short or of an unknown format; "
        "replace or remove it."
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_32_bits(tmp_path, dtype):
    written(tmp_path / "d" / "a.tif", IMAGES[0].astype(dtype))
    assert refused(tmp_path / "d") == (
        "'d/a.tif' has pixels of 32 bits, whose range is not known; save it with 8 or 16 bits a pixel."
    )


@pytest.mark.parametrize("limit", [5, 2])  # 6 pixels: up to twice its limit Pillow only warns
def test_images_of_too_many_pixels(tmp_path, monkeypatch, limit):
    written(tmp_path / "d" / "a.png", IMAGES[0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert refused(tmp_path / "d") == f"'d/a.png' says that it has more than {limit} pixels; resize or remove it."


def test_a_link_to_nothing_and_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.png").symlink_to(tmp_path / "gone.png")
    assert refused(tmp_path / "d") == "there is no file 'd/a.png'; check the path."

    def forbidden(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert refused(tmp_path / "d") == "cannot read the folder 'd': Permission denied."


def test_a_model_folder_is_no_data(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.json").write_text("{}")
    assert refused(tmp_path / "m") == (
        "'m' is a model folder, not data; give a file or a folder of images as the data."
    )


def test_without_pillow(two_classes, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError) as error:
        read_table(two_classes)
    assert str(error.value) == "reading images needs Pillow: pip install 'lamina[images]'."


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_no_file_stays_open(tmp_path):
    for suffix in ("png", "jpg", "bmp", "gif", "pgm", "tif", "webp"):
        written(tmp_path / suffix / f"a.{suffix}", IMAGES[0])
    before = len(os.listdir("/proc/self/fd"))
    table = read_table(tmp_path)
    (tmp_path / "png" / "b.png").write_bytes(b"damaged")
    refused(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert table.n_rows == 7


@pytest.fixture
def stripes(tmp_path) -> Path:
    """``train`` holds 40 images of 8 by 8, across or down; ``new`` holds 2 of each without labels, across first."""
    rng = np.random.default_rng(0)
    across = np.tile(np.array([[40], [200]], np.uint8), (4, 8))
    for name, pattern in (("0", across), ("1", across.T)):
        for i in range(20):
            written(tmp_path / "train" / name / f"{i}.png", pattern + rng.integers(0, 40, (8, 8), dtype=np.uint8))
        for i in range(2):
            written(tmp_path / "new" / f"{name}-{i}.png", pattern + rng.integers(0, 40, (8, 8), dtype=np.uint8))
    return tmp_path


def test_from_a_folder_to_predictions(stripes):
    model = lamina.fit(str(stripes / "train"), epochs=20, validation=0)
    assert model.classes.tolist() == ["0", "1"]
    assert model.predict(stripes / "new").tolist() == ["0", "0", "1", "1"]
    assert model.evaluate(stripes / "train")["accuracy"] == 1.0


def test_the_commands_take_a_folder(stripes, monkeypatch, capsys):
    monkeypatch.chdir(stripes)
    assert run(["train", "train/", "--epochs", "20", "--validation", "0", "-q"]) == 0
    capsys.readouterr()
    assert run(["predict", "train.lamina", "new", "-q"]) == 0
    assert capsys.readouterr().out == "label\n0\n0\n1\n1\n"
    assert run(["train", "train.lamina"]) == 3
    assert capsys.readouterr().err == (
        "error: 'train.lamina' is a model folder, not data; give a file or a folder of images as the data.\n"
    )
