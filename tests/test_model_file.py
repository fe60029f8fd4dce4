"""The model folder: what is written is read back, a replacement is atomic, and damage is noticed."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from lamina import model_file
from lamina.errors import ModelFileError
from lamina.model_file import check_writable, read_folder, write_folder

DOCUMENT = {
    "schema": {"columns": ["größe", 'quote " and \\']},
    "number": 0.1,
    "tiny": 1e-05,
    "nothing": None,
    "list": [],
}


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "affine.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "affine.bias": rng.normal(size=4),
        "transposed": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "empty": np.zeros((0, 2), dtype=np.float32),
    }


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def weights_file(folder: Path) -> Path:
    (path,) = folder.glob("weights-*.safetensors")
    return path


def rewrite(folder: Path, change) -> None:
    """Change the document and give it the checksum of its new contents, as a forger could."""
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content.pop("checksum")
    change(content)
    content["checksum"] = model_file._checksum(content)
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "m", DOCUMENT, tensors())


def test_what_is_written_is_read_back(folder):
    document, arrays = read_folder(folder)
    assert {name: document[name] for name in DOCUMENT} == DOCUMENT
    assert (document["format"], document["format_version"]) == ("lamina-model", 3)
    assert arrays.keys() == tensors().keys()
    for name, expected in tensors().items():
        assert arrays[name].dtype == expected.dtype
        assert np.array_equal(arrays[name], expected)


def test_the_folder_holds_the_document_and_the_weights_under_their_checksum(folder):
    entry = json.loads((folder / "model.json").read_text(encoding="utf-8"))["files"]["weights"]
    assert sorted(listing(folder)) == ["model.json", f"weights-{entry['sha256']}.safetensors"]
    assert entry["name"] == weights_file(folder).name
    assert [oct(path.stat().st_mode & 0o777) for path in folder.iterdir()] == ["0o644", "0o644"]


def test_parents_are_made(tmp_path):
    write_folder(tmp_path / "a" / "b" / "m", DOCUMENT, tensors())
    assert read_folder(tmp_path / "a" / "b" / "m")[0]["number"] == 0.1


def test_replacing_removes_the_old_weights_and_keeps_other_files(folder):
    (folder / "notes.txt").write_text("mine")
    write_folder(folder, {**DOCUMENT, "number": 2}, tensors(1))
    document, arrays = read_folder(folder)
    assert document["number"] == 2
    assert np.array_equal(arrays["affine.weight"], tensors(1)["affine.weight"])
    assert sorted(listing(folder)) == ["model.json", "notes.txt", weights_file(folder).name]


def test_the_document_is_replaced_last_and_old_weights_leave_after_it(folder, monkeypatch):
    old = weights_file(folder).name
    steps = []
    replace, unlink = os.replace, Path.unlink

    def recording_replace(source, destination):
        replace(source, destination)
        steps.append(("replaced", Path(destination).name))
        # Whoever reads between any two steps finds a whole model.
        assert read_folder(folder)[0]["number"] in (0.1, 2)

    def recording_unlink(path, missing_ok=False):
        unlink(path, missing_ok=missing_ok)
        steps.append(("removed", path.name))

    monkeypatch.setattr(os, "replace", recording_replace)
    monkeypatch.setattr(Path, "unlink", recording_unlink)
    write_folder(folder, {**DOCUMENT, "number": 2}, tensors(1))
    new = weights_file(folder).name
    assert new != old
    assert steps == [("replaced", new), ("replaced", "model.json"), ("removed", old)]


def test_the_same_weights_may_be_written_again(folder):
    before = listing(folder)
    write_folder(folder, DOCUMENT, tensors())
    assert listing(folder) == before


def fail_at_sync(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the disk full at the sync of that number, counted from 1."""
    calls, fsync = [], os.fsync

    def full(handle):
        calls.append(handle)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("failing_sync", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_old_model_or_the_new_one_and_nothing_else(folder, monkeypatch, failing_sync):
    # Syncs: the weights, their folder, the document, its folder.
    before = listing(folder)
    fail_at_sync(failing_sync, monkeypatch)
    with pytest.raises(ModelFileError, match=r"cannot write the model folder '.*m': No space left.*Free some space"):
        write_folder(folder, {**DOCUMENT, "number": 2}, tensors(1))
    monkeypatch.undo()
    document, arrays = read_folder(folder)
    if failing_sync < 4:
        assert listing(folder) == before
    else:  # the document had taken its place already
        assert document["number"] == 2
        assert np.array_equal(arrays["affine.weight"], tensors(1)["affine.weight"])


@pytest.mark.parametrize("failing_sync", [1, 2, 3])
def test_a_full_disk_leaves_no_new_folder(tmp_path, monkeypatch, failing_sync):
    fail_at_sync(failing_sync, monkeypatch)
    with pytest.raises(ModelFileError, match="No space left"):
        write_folder(tmp_path / "m", DOCUMENT, tensors())
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_is_no_json_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_folder(tmp_path / "m", {"loss": float("nan")}, tensors())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("indent", [None, 4])
def test_whitespace_and_order_do_not_matter_to_the_checksum(folder, indent):
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    reordered = dict(reversed(content.items()))
    (folder / "model.json").write_text("\n\n" + json.dumps(reordered, indent=indent, ensure_ascii=True) + " \n")
    assert read_folder(folder)[0]["schema"] == DOCUMENT["schema"]


def test_every_change_of_a_value_is_noticed(folder):
    text = (folder / "model.json").read_text(encoding="utf-8")
    for old, new in (("0.1", "0.2"), ("1e-05", "1e905"), ("größe", "grösse"), ("null", "true"), ("[]", "[1]")):
        assert text.count(old) >= 1
        (folder / "model.json").write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(
            ModelFileError, match=r"is damaged: its checksum does not fit. Train or copy the model again"
        ):
            read_folder(folder)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_weights_cut_short_or_longer_are_damaged(folder, cut):
    path = weights_file(folder)
    content = path.read_bytes()
    path.write_bytes(content[:cut] if cut >= 0 else content + b"\0")
    with pytest.raises(
        ModelFileError, match=r"the weights in '.*m' are damaged: their SHA-256 is not that in model.json"
    ):
        read_folder(folder)


def test_missing_weights_are_said(folder):
    weights_file(folder).unlink()
    with pytest.raises(ModelFileError, match="is cut short: its weights file is missing"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "weights-0.safetensors", "model.json", 5])
def test_weights_by_another_name_are_refused(folder, name):
    (folder.parent / "weights.safetensors").write_bytes(weights_file(folder).read_bytes())
    rewrite(folder, lambda content: content["files"]["weights"].update(name=name))
    with pytest.raises(ModelFileError, match=r"model.json' names '.*' as its weights, which is no weights file"):
        read_folder(folder)


@pytest.mark.parametrize("files", [None, {}, {"weights": {}}, {"weights": {"name": "x"}}, [1]])
def test_a_document_that_names_no_weights_is_refused(folder, files):
    rewrite(folder, lambda content: content.update(files=files))
    with pytest.raises(ModelFileError, match="does not name its weights"):
        read_folder(folder)


def test_a_newer_format_is_refused_with_the_command_that_helps(folder):
    rewrite(folder, lambda content: content.update(format_version=4))
    with pytest.raises(ModelFileError, match=r"format version 4, newer than 3.*pip install --upgrade lamina"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is damaged: it is not JSON"),
        (b"\xff\xfe\x00", "is damaged: it is not JSON"),
        (b"[" * 100_000, "is damaged: it is not JSON"),
        (b"[]", "was not written by Lamina"),
        (b'{"format": "other"}', "was not written by Lamina"),
    ],
)
def test_another_document_is_refused(folder, text, said):
    (folder / "model.json").write_bytes(text)
    with pytest.raises(ModelFileError, match=said):
        read_folder(folder)


def test_what_is_no_model_folder_is_said(tmp_path):
    with pytest.raises(ModelFileError, match=r"there is no model folder '.*none'; check the path"):
        read_folder(tmp_path / "none")
    with pytest.raises(ModelFileError, match=r"is not a model folder: it has no model.json"):
        read_folder(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFileError, match=r"is not a model folder: it has no model.json"):
        read_folder(tmp_path / "file")


def test_check_writable_accepts_new_empty_and_model_folders(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (folder, tmp_path / "empty", tmp_path / "new", tmp_path / "new" / "deeper"):
        check_writable(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "m"]


def test_check_writable_refuses_files_and_foreign_folders(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n")
    with pytest.raises(ModelFileError, match=r"data.csv' is a file; a model is a folder, so choose another name"):
        check_writable(tmp_path / "data.csv")
    with pytest.raises(ModelFileError, match="holds other things than a model; choose another one"):
        check_writable(tmp_path)
    with pytest.raises(ModelFileError, match=r"cannot write the model folder '.*': '.*data.csv' is a file"):
        check_writable(tmp_path / "data.csv" / "m" / "n")
    with pytest.raises(ModelFileError, match="holds other things than a model"):
        write_folder(tmp_path, DOCUMENT, tensors())
    assert listing(tmp_path) == {"data.csv": b"a,b\n"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_check_writable_refuses_a_place_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ModelFileError, match="is not writable"):
        check_writable(tmp_path / "m")
