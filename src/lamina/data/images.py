"""Small grey images: IDX files (gzipped or not) and npz archives, kept as uint8.

IDX is the format of MNIST and Fashion-MNIST: two zero bytes, a type byte, the number of axes, the axes' lengths as
big-endian 32-bit integers, then the values.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.data.table import Column, Table, text_column
from lamina.errors import DataError

_UBYTE = 0x08
_NPZ_NAMES = (("images", "labels"), ("x_train", "y_train"), ("X", "y"), ("x", "y"))
LABEL = "label"
IMAGE = "image"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file.

    Raises:
        DataError: no file, a wrong magic number, a type other than unsigned byte, a file cut short or too long.
    """
    content = unpacked(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[3] not in (1, 2, 3, 4):
        found = int.from_bytes(content[:4], "big")
        raise DataError(
            f"{path} is not an IDX file: its magic number is {found}, expected 2051 (images) or 2049 (labels)."
        )
    if content[2] != _UBYTE:
        raise DataError(f"{path} holds values of IDX type 0x{content[2]:02x}; only unsigned bytes (0x08) are read.")
    n_axes = content[3]
    header = 4 + 4 * n_axes
    if len(content) < header:
        raise DataError(f"{path} is cut short: its header needs {header} bytes and the file has {len(content)}.")
    shape = struct.unpack(f">{n_axes}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise DataError(f"{path} has {len(content)} bytes, but its header {shape} needs {expected}; fetch it again.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_idx_pair(path: Path) -> Table:
    """Return images, and their labels from the file beside it (``...images-idx3...`` -> ``...labels-idx1...``)."""
    images = read_idx(path)
    if images.ndim == 1:
        raise DataError(f"{path} holds labels; give the file of the images, and the labels beside it are found.")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    labels = read_idx(beside) if beside != path and beside.exists() else None
    return array_table(images, labels, str(path))


def read_npz(path: Path) -> Table:
    """Return the images (n, height, width), or the rows (n, d), and the labels in an npz archive.

    The arrays are called images and labels, x_train and y_train, X and y, or x and y; labels may be absent.

    Raises:
        DataError: no file, not an npz archive, objects inside (never unpickled), no known name.
    """
    if not path.exists():
        raise DataError(f"there is no file {str(path)!r}; check the path.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
            for x_name, y_name in _NPZ_NAMES:
                if x_name in names:
                    y = archive[y_name] if y_name in names else None
                    return array_table(archive[x_name], y, str(path))
    except DataError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zlib.error, AttributeError) as error:
        raise DataError(f"{path} is not an npz archive of plain arrays: {error}.") from None
    except Exception as error:  # zipfile.BadZipFile and struct.error of a damaged archive
        raise DataError(f"{path} is damaged: {error}.") from None
    raise DataError(
        f"{path} holds the arrays {', '.join(sorted(names))}; "
        "expected images and labels, x_train and y_train, or X and y."
    )


def image_table(images: NDArray[Any], labels: NDArray[Any] | None, source: str, names: tuple[str, ...] = ()) -> Table:
    """Return a table of one image column and, where there are labels, one label column, which is the target.

    Args:
        images: (n, height, width), uint8 or float.
        labels: (n,) whole numbers, or ``None``.
        source: for messages.
        names: the classes' names by label; without them labels stay numbers.
    """
    columns = {IMAGE: Column("image", images)}
    if labels is None:
        return Table(columns, len(images), source)
    if len(labels) != len(images):
        raise DataError(f"{source}: {len(images)} images, but {len(labels)} labels.")
    label = text_column([names[code] for code in labels]) if names else _label_column(labels, source)
    return Table({**columns, LABEL: label}, len(images), source, targets=(LABEL,))


def array_table(x: NDArray[Any], y: NDArray[Any] | None, source: str) -> Table:
    """Return a table of an array: (n, height, width) are images, (n, d) are d number columns x0, x1, ...

    Raises:
        DataError: another number of axes.
    """
    if x.dtype.kind not in "biuf":
        raise DataError(f"{source}: expected an array of numbers, got one of dtype {x.dtype}.")
    if x.ndim == 3:
        return image_table(x, y, source)
    if x.ndim != 2:
        raise DataError(f"{source}: expected an array of shape (n, d) or (n, height, width), got {x.shape}.")
    columns = {f"x{i}": Column("number", x[:, i]) for i in range(x.shape[1])}
    if y is not None:
        columns["y"] = _label_column(y, source)
    return Table(columns, len(x), source, targets=() if y is None else ("y",), named=False)


def _label_column(labels: NDArray[Any], source: str) -> Column:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.reshape(-1)
    if labels.ndim != 1 or labels.dtype.kind not in "biufU":
        raise DataError(
            f"{source}: labels of shape {labels.shape} and dtype {labels.dtype}, expected (n,) numbers or text."
        )
    if labels.dtype.kind == "b":
        return Column("boolean", labels.astype(np.int32), ("False", "True"))
    return text_column(labels.tolist()) if labels.dtype.kind == "U" else Column("number", labels)


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, unpacked where it is gzipped.

    Raises:
        DataError: no file, or a gzip file that is cut short or damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}; check the path.") from None
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}.") from None
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is a gzip file that is cut short or damaged; fetch it again.") from None
