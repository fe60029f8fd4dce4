import functools
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from lamina.data.images import read_idx, read_idx_pair, read_npz
from lamina.data.readers import read_table
from lamina.errors import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
LABELS = np.array([3, 0, 1, 3], np.uint8)

# Without the time of day, which would make each process of a parallel run call the test otherwise.
packed = functools.partial(gzip.compress, mtime=0)


def idx(array: np.ndarray, type_byte: int = 8) -> bytes:
    return bytes([0, 0, type_byte, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(read, path: Path) -> str:
    with pytest.raises(DataError) as error:
        read(path)
    return str(error.value).replace(f"{path.parent}/", "")


def test_idx_files_plain_and_gzipped(tmp_path):
    np.testing.assert_array_equal(read_idx(written(tmp_path / "a", idx(IMAGES))), IMAGES)
    np.testing.assert_array_equal(read_idx(written(tmp_path / "b.gz", gzip.compress(idx(LABELS)))), LABELS)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_labels_are_found_beside_their_images(tmp_path, suffix):
    pack = gzip.compress if suffix else bytes
    path = written(tmp_path / f"train-images-idx3-ubyte{suffix}", pack(idx(IMAGES)))
    assert list(read_idx_pair(path).columns) == ["image"]
    labels = written(tmp_path / f"train-labels-idx1-ubyte{suffix}", pack(idx(LABELS)))
    table = read_table(path)
    np.testing.assert_array_equal(table["image"].values, IMAGES)
    assert (table.targets, table["label"].values.tolist()) == (("label",), LABELS.tolist())
    assert refused(read_idx_pair, labels) == (
        f"{labels.name} holds labels; give the file of the images, and the labels beside it are found."
    )


def test_labels_of_another_number_are_refused(tmp_path):
    written(tmp_path / "train-labels-idx1-ubyte", idx(LABELS[:3]))
    path = written(tmp_path / "train-images-idx3-ubyte", idx(IMAGES))
    assert refused(read_idx_pair, path) == "train-images-idx3-ubyte: 4 images, but 3 labels."


def test_an_idx_file_of_two_axes_holds_rows_of_numbers(tmp_path):
    table = read_idx_pair(written(tmp_path / "rows-idx2-ubyte", idx(IMAGES.reshape(4, 6))))
    assert list(table.columns) == ["x0", "x1", "x2", "x3", "x4", "x5"]
    assert table["x5"].values.tolist() == [5, 11, 17, 23]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "f is not an IDX file: its magic number is 0, expected 2051 (images) or 2049 (labels)."),
        (b"\0\1\2\3", "f is not an IDX file: its magic number is 66051, expected 2051 (images) or 2049 (labels)."),
        (idx(IMAGES, 0x0D), "f holds values of IDX type 0x0d; only unsigned bytes (0x08) are read."),
        (idx(IMAGES)[:9], "f is cut short: its header needs 16 bytes and the file has 9."),
        (idx(IMAGES)[:-1], "f has 39 bytes, but its header (4, 2, 3) needs 40; fetch it again."),
        (idx(IMAGES) + b"x", "f has 41 bytes, but its header (4, 2, 3) needs 40; fetch it again."),
        (packed(idx(IMAGES))[:-9], "f is a gzip file that is cut short or damaged; fetch it again."),
        (packed(idx(IMAGES))[:-8] + b"\0" * 8, "f is a gzip file that is cut short or damaged; fetch it again."),
    ],
    ids=["empty", "magic", "type", "header", "short", "long", "gzip-short", "gzip-checksum"],
)  # fmt: skip
def test_what_is_wrong_with_an_idx_file(tmp_path, content, expected):
    assert refused(read_idx, written(tmp_path / "f", content)) == expected


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match=f"there is no file '{tmp_path}/no'; check the path"):
        read_idx(tmp_path / "no")
    with pytest.raises(DataError, match=f"cannot read '{tmp_path}': Is a directory"):
        read_idx(tmp_path)


@pytest.mark.parametrize(("x", "y"), [("images", "labels"), ("x_train", "y_train"), ("X", "y"), ("x", "y")])
def test_npz_archives_of_images(tmp_path, x, y):
    np.savez(tmp_path / "a.npz", **{x: IMAGES, y: LABELS})
    table = read_table(tmp_path / "a.npz")
    np.testing.assert_array_equal(table["image"].values, IMAGES)
    assert (table.targets, table["label"].values.tolist()) == (("label",), LABELS.tolist())


def test_npz_archives_of_rows_with_labels_of_any_type(tmp_path):
    path = tmp_path / "a.npz"
    for labels, texts in ((LABELS, ["3", "0", "1", "3"]), (np.array(list("abca")), ["a", "b", "c", "a"])):
        for y in (labels, labels.reshape(-1, 1)):
            np.savez(path, X=np.eye(4), y=y)
            table = read_npz(path)
            assert (table.targets, [table["y"].cell(row) for row in range(4)]) == (("y",), texts)
            assert table["x1"].values.tolist() == [0, 1, 0, 0]
    np.savez(path, X=np.eye(4))
    assert read_npz(path).targets == ()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder,)


def test_pickled_objects_are_refused_and_never_unpickled(tmp_path):
    path, sprung = tmp_path / "a.npz", tmp_path / "sprung"
    np.savez(path, X=np.array([[Trap(sprung)]], dtype=object), y=np.zeros(1))
    assert refused(read_npz, path).startswith(
        "a.npz is not an npz archive of plain arrays: Object arrays cannot be loaded"
    )
    np.savez(path, X=np.zeros((1, 1)), y=np.array([Trap(sprung)], dtype=object))
    assert refused(read_npz, path).startswith(
        "a.npz is not an npz archive of plain arrays: Object arrays cannot be loaded"
    )
    assert not sprung.exists()


def test_npz_archives_that_do_not_fit(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=IMAGES, b=LABELS)
    assert refused(read_npz, path) == (
        "a.npz holds the arrays a, b; expected images and labels, x_train and y_train, or X and y."
    )
    np.savez(path, X=np.eye(4), y=np.eye(4))
    assert refused(read_npz, path) == (
        "a.npz: labels of shape (4, 4) and dtype float64, expected (n,) numbers or text."
    )
    np.savez(path, X=np.array([["a"]]))
    assert refused(read_npz, path) == "a.npz: expected an array of numbers, got one of dtype <U1."
    np.savez(path, X=np.zeros(3))
    assert refused(read_npz, path) == "a.npz: expected an array of shape (n, d) or (n, height, width), got (3,)."


def test_npz_archives_that_are_damaged(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.eye(50))
    content = path.read_bytes()
    assert refused(read_npz, written(path, content[:-40])).startswith("a.npz is ")
    assert refused(read_npz, written(path, content[:200] + b"\xff" * 64 + content[264:])).startswith(
        "a.npz is damaged: "
    )
    assert refused(read_npz, written(path, b"plain text")).startswith("a.npz is not an npz archive of plain arrays: ")
    assert refused(read_npz, written(path, b"")).startswith("a.npz is not an npz archive of plain arrays: ")
