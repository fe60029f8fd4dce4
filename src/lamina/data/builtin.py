"""Data sets with a name: scikit-learn's bundled ones, and Fashion-MNIST from a folder or by download.

Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747; 60,000 + 10,000 images of 28 x 28 grey pixels.
"""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lamina.data.images import image_table, read_idx, unpacked
from lamina.data.table import Column, Table, text_column
from lamina.errors import DataError

BUNDLED = ("digits", "iris", "wine", "breast-cancer", "diabetes")
FASHION = "fashion-mnist"
NAMES = (*BUNDLED, FASHION, f"{FASHION}:test")

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_FASHION_FILES = {"train": "train", "test": "t10k"}
# Of the IDX bytes inside the gzip files: the same images re-compressed are still the same images.
_FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_TARGETS = {
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
    "breast-cancer": "diagnosis",
    "diabetes": "progression",
}

Progress = Callable[[str, int, int], None]


def is_builtin(name: str) -> bool:
    """Whether ``name`` is that of a data set."""
    return name in NAMES


def read_builtin(name: str, data_dir: str | None = None, progress: Progress | None = None) -> Table:
    """Return a data set by name; ``fashion-mnist`` is its training part, ``fashion-mnist:test`` its test part.

    Args:
        name: one of ``NAMES``.
        data_dir: folder of Fashion-MNIST's four files; ``None``: the cache, filled by download.
        progress: called with (file name, bytes so far, bytes in all or 0) while a file is downloaded.
    """
    if name.startswith(FASHION):
        part = "test" if name.endswith(":test") else "train"
        return _read_fashion(part, data_dir, progress)
    return _read_bundled(name)


def test_part(name: str) -> str | None:
    """Return the name of the official test part of the data set ``name``, if it has one."""
    return f"{FASHION}:test" if name == FASHION else None


def cache_dir() -> Path:
    """Return the folder for downloaded data."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lamina"


def _read_bundled(name: str) -> Table:
    from sklearn import datasets

    target = _TARGETS[name]
    if name == "digits":
        digits = datasets.load_digits()
        table = image_table(digits.images.astype(np.uint8), None, name)
        return table.with_target(target, Column("number", digits.target))
    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    columns = {
        str(feature).replace(" ", "_"): Column("number", bunch.data[:, i])
        for i, feature in enumerate(bunch.feature_names)
    }
    if name == "diabetes":
        label = Column("number", bunch.target)
    else:
        label = text_column([str(bunch.target_names[code]) for code in bunch.target])
    return Table(columns, len(bunch.data), name).with_target(target, label)


def _read_fashion(part: str, data_dir: str | None, progress: Progress | None) -> Table:
    prefix = _FASHION_FILES[part]
    arrays = []
    for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
        path = download_fashion(stem, progress=progress) if data_dir is None else _local(stem, Path(data_dir))
        arrays.append(read_idx(path))
    images, labels = arrays
    return image_table(images, labels, f"{FASHION} ({part})", FASHION_CLASSES)


def _local(stem: str, folder: Path) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.exists():
            return path
    raise DataError(
        f"{str(folder)!r} holds neither {stem}.gz nor {stem}; give the folder of the four files as --data-dir."
    )


def download_fashion(
    stem: str, folder: Path | None = None, url: str = FASHION_URL, progress: Progress | None = None
) -> Path:
    """Return the path of one Fashion-MNIST file, downloaded where it is not in ``folder`` yet.

    The file is written under a temporary name, its contents are compared with the known SHA-256, and only then is it
    renamed: a broken download leaves nothing behind.

    Raises:
        DataError: no connection, or other contents than the official ones.
    """
    folder = folder or cache_dir() / FASHION
    path = folder / f"{stem}.gz"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{stem}-", suffix=".gz", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            _fetch(f"{url}{stem}.gz", file.write, lambda done, total: progress and progress(stem, done, total))
            file.flush()
            os.fsync(file.fileno())
        digest = hashlib.sha256(unpacked(Path(temporary))).hexdigest()
        if digest != _FASHION_SHA256[stem]:
            raise DataError(
                f"the download of {stem} has the SHA-256 {digest}, not that of the official file; try again."
            )
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _fetch(url: str, write: Callable[[bytes], object], progress: Callable[[int, int], object]) -> None:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            total, done = int(response.headers.get("Content-Length") or 0), 0
            while block := response.read(1 << 16):
                write(block)
                done += len(block)
                progress(done, total)
            if done < total:
                raise DataError(f"the download of {url} broke off after {done} of {total} bytes; try again.")
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"cannot download {url}: {reason}. Download the four files yourself and give their folder as --data-dir."
        ) from None
