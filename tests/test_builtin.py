import gzip
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lamina.data.builtin import FASHION_CLASSES, NAMES, cache_dir, download_fashion, is_builtin, read_builtin, test_part
from lamina.data.images import read_idx
from lamina.data.readers import read_table, read_tables
from lamina.errors import DataError

test_part.__test__ = False  # its name begins like that of a test
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a name that begins with ``short-`` is cut off after half of the bytes that were announced."""

    def log_message(self, *_: object) -> None: ...

    def copyfile(self, source, outputfile) -> None:
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "short-" in self.path else content)


@pytest.fixture
def served(tmp_path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def failure(stem: str, folder: Path, url: str) -> str:
    with pytest.raises(DataError) as error:
        download_fashion(stem, folder, url)
    assert list(folder.iterdir()) == []  # nothing is left behind
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "n_rows", "n_columns", "target", "first"),
    [
        ("iris", 150, 5, "species", "setosa"),
        ("wine", 178, 14, "cultivar", "class_0"),
        ("breast-cancer", 569, 31, "diagnosis", "malignant"),
        ("diabetes", 442, 11, "progression", "151"),
        ("digits", 1797, 2, "digit", "0"),
    ],
)
def test_sets_that_come_with_scikit_learn(name, n_rows, n_columns, target, first):
    table = read_table(name)
    assert (table.n_rows, len(table.columns), table.targets, table.source) == (n_rows, n_columns, (target,), name)
    assert table[target].cell(0) == first


def test_values_of_the_bundled_sets():
    iris = read_builtin("iris")
    assert [iris[name].cell(0) for name in iris.columns] == ["5.1", "3.5", "1.4", "0.2", "setosa"]
    assert iris["species"].levels == ("setosa", "versicolor", "virginica")
    digits = read_builtin("digits")["image"].values
    assert (digits.dtype, digits.shape, digits.min(), digits.max()) == (np.uint8, (1797, 8, 8), 0, 16)
    assert digits[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_names_of_built_in_sets():
    assert all(is_builtin(name) for name in NAMES)
    assert not is_builtin("iris.csv")
    assert [test_part(name) for name in ("fashion-mnist", "iris", "fashion-mnist:test")] == [
        "fashion-mnist:test", None, None,
    ]  # fmt: skip


def test_built_in_sets_in_chunks():
    chunks = list(read_tables("iris", chunk_rows=100))
    assert [(chunk.n_rows, chunk.row_number(0)) for chunk in chunks] == [(100, 1), (50, 101)]
    assert chunks[1]["species"].cell(49) == "virginica"


def test_fashion_mnist_from_a_folder(lamina_data):
    folder = str(lamina_data / "fashion-mnist")
    train, test = read_table("fashion-mnist", data_dir=folder), read_table("fashion-mnist:test", data_dir=folder)
    assert (train.n_rows, test.n_rows, test.targets, test.source) == (60000, 10000, ("label",), "fashion-mnist (test)")
    pixels = train["image"].values
    assert (pixels.dtype, pixels.shape) == (np.uint8, (60000, 28, 28))
    # Mean and deviation that the data set's authors publish.
    assert (round(pixels.mean() / 255, 4), round(float(pixels.std()) / 255, 4)) == (0.286, 0.353)
    assert [test["label"].cell(row) for row in range(3)] == ["Ankle boot", "Pullover", "Trouser"]
    assert np.bincount(test["label"].values).tolist() == [1000] * 10
    assert sorted(test["label"].levels) == sorted(FASHION_CLASSES)


def test_fashion_mnist_unpacked_in_the_folder(lamina_data, tmp_path):
    for stem in (IMAGES, LABELS):
        (tmp_path / stem).write_bytes(gzip.decompress((lamina_data / "fashion-mnist" / f"{stem}.gz").read_bytes()))
    table = read_table("fashion-mnist:test", data_dir=str(tmp_path))
    assert (table.n_rows, table["label"].cell(0)) == (10000, "Ankle boot")


def test_a_folder_without_the_files(tmp_path):
    with pytest.raises(DataError) as error:
        read_table("fashion-mnist", data_dir=str(tmp_path))
    assert str(error.value) == (
        f"'{tmp_path}' holds neither train-images-idx3-ubyte.gz nor train-images-idx3-ubyte; "
        "give the folder of the four files as --data-dir."
    )


def test_a_download_is_checked_kept_and_not_repeated(lamina_data, tmp_path, served):
    folder, url = served
    official = lamina_data / "fashion-mnist" / f"{IMAGES}.gz"
    (folder / f"{IMAGES}.gz").write_bytes(official.read_bytes())
    seen = []
    kept = tmp_path / "deep" / "cache"
    path = download_fashion(IMAGES, kept, url, lambda *progress: seen.append(progress))
    np.testing.assert_array_equal(read_idx(path), read_idx(official))
    size = official.stat().st_size
    assert seen[-1] == (IMAGES, size, size)
    assert all(before[1] < after[1] for before, after in pairwise(seen))
    assert list(kept.iterdir()) == [path] == [kept / f"{IMAGES}.gz"]
    (folder / f"{IMAGES}.gz").unlink()
    assert download_fashion(IMAGES, kept, url) == path


def test_the_cache_is_read_without_a_connection(lamina_data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "lamina"
    (tmp_path / "lamina").mkdir()
    (tmp_path / "lamina" / "fashion-mnist").symlink_to(lamina_data / "fashion-mnist")
    assert read_table("fashion-mnist:test")["label"].cell(1) == "Pullover"


def test_other_contents_than_the_official_ones_are_refused(tmp_path, served):
    folder, url = served
    labels = b"\0\0\x08\x01\0\0\0\x02\x03\x04"
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(labels))
    message = failure(LABELS, tmp_path / "cache", url)
    assert re.fullmatch(
        f"the download of {LABELS} has the SHA-256 [0-9a-f]{{64}}, not that of the official file; try again.", message
    )


def test_a_download_that_is_damaged_or_breaks_off_is_refused(tmp_path, served):
    folder, url = served
    content = gzip.compress(bytes(range(256)) * 4000, compresslevel=0)
    (folder / f"{LABELS}.gz").write_bytes(content[:-20])
    assert failure(LABELS, tmp_path / "cache", url).endswith(
        "is a gzip file that is cut short or damaged; fetch it again."
    )
    (folder / f"short-{LABELS}.gz").write_bytes(content)
    message = failure(LABELS, tmp_path / "cache", f"{url}short-")
    half = len(content) // 2
    assert (
        message == f"the download of {url}short-{LABELS}.gz broke off after {half} of {len(content)} bytes; try again."
    )


def test_a_server_without_the_file_or_none_at_all(tmp_path, served):
    _, url = served
    help = "Download the four files yourself and give their folder as --data-dir."
    assert failure(LABELS, tmp_path / "cache", url) == f"cannot download {url}{LABELS}.gz: File not found. {help}"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        message = failure(LABELS, tmp_path / "cache", nowhere)
    assert message.startswith(f"cannot download {nowhere}{LABELS}.gz: ")
    assert message.endswith(f"Connection refused. {help}")
