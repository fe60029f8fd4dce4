"""A model folder on disk, to and from plain state: ``model.json`` and ``weights-<sha256>.safetensors``.

The weights are written first under a name that holds their SHA-256; ``model.json``, which names them and holds its own
checksum, is replaced last. A reader sees the old model or the new one, and a byte that changed is noticed. Nothing is
ever unpickled. Beside them lies ``report.html``, a page for people that is never read back. The state of an unfinished
training run lies there in the same form as the model, ``checkpoint.json`` and ``checkpoint-<sha256>.safetensors``.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamina.errors import ModelFileError, in_one_line

FORMAT_VERSION = 3
PAGE = "report.html"
_TEMPORARY = ".writing-"

Document = dict[str, Any]
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Kind:
    """A document and its weights file, ``PREFIX-<sha256>.safetensors``."""

    format: str
    document: str
    prefix: str

    def weights_name(self, digest: str) -> str:
        return f"{self.prefix}-{digest}.safetensors"

    @property
    def weights(self) -> re.Pattern[str]:
        return re.compile(rf"{self.prefix}-[0-9a-f]{{64}}\.safetensors")


MODEL = _Kind("lamina-model", "model.json", "weights")
CHECKPOINT = _Kind("lamina-checkpoint", "checkpoint.json", "checkpoint")


def write_folder(
    folder: str | Path, document: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], page: str | None = None
) -> Path:
    """Write a model folder, whole or not at all; a model that was there is replaced at the very end.

    Args:
        folder: made if need be; one that holds anything else than a model is refused.
        document: JSON-able state.
        tensors: arrays by name.
        page: HTML for people; where there is no room left for it, the model is written without.

    Raises:
        ModelFileError: the folder holds something else, or the disk is full or not writable.
    """
    path = _write(Path(folder), MODEL, document, tensors)
    with contextlib.suppress(OSError):
        if page is not None:
            write_page(path / PAGE, page)
            return path
    with contextlib.suppress(OSError):
        if (path / PAGE).exists():  # that of the model that was there
            (path / PAGE).unlink()
    return path


def write_checkpoint(folder: str | Path, document: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Path:
    """Write the state of an unfinished training run beside the model that may be there; as ``write_folder``."""
    return _write(Path(folder), CHECKPOINT, document, tensors)


def write_page(file: str | Path, page: str) -> Path:
    """Write a page of HTML, whole or not at all, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(file)
    _write_atomically(path, page.encode())
    return path


def read_checkpoint(folder: str | Path) -> tuple[Document, Tensors] | None:
    """Return the state of an unfinished training run in ``folder``, or ``None`` where there is none.

    Raises:
        ModelFileError: it is damaged or of a newer format.
    """
    path = Path(folder)
    return _read(path, CHECKPOINT) if (path / CHECKPOINT.document).exists() else None


def remove_checkpoint(folder: str | Path) -> None:
    """Remove the state of a training run that is finished, if there is one."""
    path = Path(folder)
    if not path.is_dir():
        return
    # The document first: weights that none names are no checkpoint.
    (path / CHECKPOINT.document).unlink(missing_ok=True)
    _remove(path, lambda name: CHECKPOINT.weights.fullmatch(name) is not None)


def _write(path: Path, kind: "_Kind", document: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Path:
    from safetensors.numpy import save

    check_writable(path)
    weights = save({name: np.asarray(array, order="C") for name, array in tensors.items()})
    digest = hashlib.sha256(weights).hexdigest()
    weights_name = kind.weights_name(digest)
    content = {
        "format": kind.format,
        "format_version": FORMAT_VERSION,
        **document,
        "files": {"weights": {"name": weights_name, "sha256": digest}},
    }
    content["checksum"] = _checksum(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    created = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        _write_atomically(path / weights_name, weights)
        _write_atomically(path / kind.document, text.encode())
    except OSError as error:
        with contextlib.suppress(OSError):  # weights that no document names, and a folder that was made for nothing
            document_file = path / kind.document
            if not document_file.exists() or weights_name not in document_file.read_text(encoding="utf-8"):
                (path / weights_name).unlink(missing_ok=True)
            if created:
                path.rmdir()
        raise ModelFileError(
            f"cannot write the model folder {str(path)!r}: {error.strerror or error}. "
            "Free some space or choose another folder; a model that was there is intact."
        ) from None
    _remove(path, lambda name: kind.weights.fullmatch(name) is not None and name != weights_name)
    return path


def _has_document(path: Path) -> bool:
    return any((path / kind.document).exists() for kind in (MODEL, CHECKPOINT))


def _is_ours(name: str) -> bool:
    """Whether a file is a part of a folder of ours, if only what was left where a write was killed."""
    return (
        name == PAGE or name.startswith(_TEMPORARY) or any(kind.weights.fullmatch(name) for kind in (MODEL, CHECKPOINT))
    )


def _remove(path: Path, unwanted: Callable[[str], bool]) -> None:
    """Remove files by name, and those that a killed write has left."""
    for file in path.iterdir():
        if unwanted(file.name) or file.name.startswith(_TEMPORARY):
            with contextlib.suppress(OSError):
                file.unlink()


def check_writable(folder: str | Path) -> None:
    """Refuse a path that holds something else than a model or cannot be written, before any work is done for it.

    Raises:
        ModelFileError: it is a file, a folder with other contents, or a place where no folder can be made.
    """
    path = Path(folder)
    if path.is_file():
        raise ModelFileError(f"{str(path)!r} is a file; a model is a folder, so choose another name.")
    if path.is_dir() and not all(_is_ours(file.name) for file in path.iterdir()) and not _has_document(path):
        raise ModelFileError(f"the folder {str(path)!r} holds other things than a model; choose another one.")
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        reason = "is not writable" if nearest.is_dir() else "is a file"
        raise ModelFileError(f"cannot write the model folder {str(path)!r}: {str(nearest)!r} {reason}.")


def read_folder(folder: str | Path) -> tuple[Document, Tensors]:
    """Return the document and the arrays of a model folder.

    Raises:
        ModelFileError: no folder, no model in it, a newer format, or contents other than those that were written.
    """
    return _unpacked(*read_folder_bytes(folder), Path(folder))


def read_folder_bytes(folder: str | Path) -> tuple[Document, bytes]:
    """Return the document of a model folder and the bytes of its weights file, both checked; as ``read_folder``."""
    path = Path(folder)
    if not path.exists():
        raise ModelFileError(f"there is no model folder {str(path)!r}; check the path.")
    return _read_bytes(path, MODEL)


def _read(path: Path, kind: "_Kind") -> tuple[Document, Tensors]:
    return _unpacked(*_read_bytes(path, kind), path)


def _read_bytes(path: Path, kind: "_Kind") -> tuple[Document, bytes]:
    content = _read_document(path, kind)
    try:
        weights = (path / content["files"]["weights"]["name"]).read_bytes()
    except FileNotFoundError:
        # The model may have been replaced between the two reads.
        content = _read_document(path, kind)
        weights = _read_weights(path, content)
    digest = hashlib.sha256(weights).hexdigest()
    if digest != content["files"]["weights"]["sha256"]:
        raise ModelFileError(f"the weights in {str(path)!r} are damaged: their SHA-256 is not that in {kind.document}.")
    return content, weights


def _unpacked(content: Document, weights: bytes, path: Path) -> tuple[Document, Tensors]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return content, dict(load(weights))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(f"the weights in {str(path)!r} are not safetensors: {in_one_line(error)}.") from None


def _read_document(path: Path, kind: "_Kind") -> Document:
    file = path / kind.document
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if (path / CHECKPOINT.document).exists():
            raise ModelFileError(
                f"{str(path)!r} holds a training run that was not finished; finish it with `lamina train ... --resume`."
            ) from None
        raise ModelFileError(f"{str(path)!r} is not a model folder: it has no {kind.document}.") from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"{str(file)!r} is damaged: it is not JSON. Train or copy the model again.") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {str(file)!r}: {error.strerror}.") from None
    if not isinstance(content, dict) or content.get("format") != kind.format:
        raise ModelFileError(f"{str(file)!r} was not written by Lamina.")
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(
            f"{str(path)!r} has the format version {version}, newer than {FORMAT_VERSION}, the newest known here; "
            "upgrade: pip install --upgrade lamina."
        )
    checksum = content.pop("checksum", None)
    try:
        fits = checksum == _checksum(content)
    except ValueError:  # a number that became infinite
        fits = False
    if not fits:
        raise ModelFileError(f"{str(file)!r} is damaged: its checksum does not fit. Train or copy the model again.")
    try:
        name, digest = str(content["files"]["weights"]["name"]), content["files"]["weights"]["sha256"]
    except (KeyError, TypeError):
        raise ModelFileError(f"{str(file)!r} does not name its weights. Train or copy the model again.") from None
    if not kind.weights.fullmatch(name) or name != kind.weights_name(digest):
        raise ModelFileError(f"{str(file)!r} names {name[:80]!r} as its weights, which is no weights file.")
    return content


def _read_weights(path: Path, content: Document) -> bytes:
    try:
        return path.joinpath(str(content["files"]["weights"]["name"])).read_bytes()
    except OSError:
        raise ModelFileError(f"{str(path)!r} is cut short: its weights file is missing.") from None


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep others from reading a shared model
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a folder, and renames durably by itself
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
