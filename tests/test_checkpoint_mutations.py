"""Checkpoints that were changed behind a right checksum: refused in one sentence, or training goes on and ends."""

import copy
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.checkpointing import Checkpointing
from lamina.errors import LaminaError, ModelFileError
from lamina.model_file import _checksum
from test_model_file_mutations import changed, changed_weights, places

EPOCHS, WRITTEN = 5, 3


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)), rng.integers(0, 2, 60)


@dataclass(frozen=True)
class Unfinished:
    """A folder with the checkpoint of a run of five epochs after its third, its document and its weights file."""

    folder: Path
    optimizer: str
    document: dict[str, Any]
    weights: bytes

    def put(self, document: dict[str, Any], weights: bytes) -> None:
        for path in self.folder.glob("checkpoint-*"):
            path.unlink()
        digest = hashlib.sha256(weights).hexdigest()
        name = f"checkpoint-{digest}.safetensors"
        (self.folder / name).write_bytes(weights)
        document = {**document, "checksum": None}
        if weights != self.weights:
            document["files"] = {"weights": {"name": name, "sha256": digest}}
        del document["checksum"]
        document["checksum"] = _checksum(document)
        (self.folder / "checkpoint.json").write_text(json.dumps(document))

    def go_on(self) -> lamina.Model:
        run = prepared(self.optimizer)
        checkpointing = Checkpointing(run, self.folder)
        checkpointing.resume()
        for n, _ in enumerate(run.train()):
            assert n < EPOCHS
            checkpointing.after_epoch()
        return run.finish()


def prepared(optimizer: str) -> Any:
    return lamina.prepare(rows(), members=2, hidden_units=(4,), epochs=EPOCHS, batch_size=32, optimizer=optimizer)


@pytest.fixture(params=["adamw", "sgd", "lbfgs"])
def unfinished(request: pytest.FixtureRequest, tmp_path: Path) -> Unfinished:
    run = prepared(request.param)
    checkpointing = Checkpointing(run, tmp_path)
    for n, _ in enumerate(run.train(), start=1):
        checkpointing.after_epoch()
        if n == WRITTEN:
            break
    checkpointing.write()
    (weights,) = tmp_path.glob("checkpoint-*")
    document = json.loads((tmp_path / "checkpoint.json").read_bytes())
    return Unfinished(tmp_path, request.param, document, weights.read_bytes())


def mutate(unfinished: Unfinished, seed: int, n: int) -> None:
    rng, refused = np.random.default_rng(seed), 0
    all_places = places({key: value for key, value in unfinished.document.items() if key != "checksum"})
    for _ in range(n):
        if rng.random() < 0.7:
            unfinished.put(changed(unfinished.document, all_places, rng), unfinished.weights)
        else:
            unfinished.put(unfinished.document, changed_weights(unfinished.weights, rng))
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                probabilities = unfinished.go_on().predict_proba(rows()[0])
            assert probabilities.shape == (60, 2)
        except LaminaError as error:
            refused += 1
            said = str(error)
            assert 10 < len(said) < 2000
            assert said.count("\n") == 0
    assert 0.3 * n < refused < 0.9 * n
    unfinished.put(unfinished.document, unfinished.weights)
    assert len(unfinished.go_on().history) == EPOCHS


def test_wrong_values_behind_a_right_checksum_are_refused_or_trained_on(unfinished):
    mutate(unfinished, 0, 60)


@pytest.mark.slow
def test_five_hundred_wrong_values_of_each_optimizer(unfinished):
    mutate(unfinished, 1, 500)


@pytest.mark.parametrize(
    ("unfinished", "change", "said"),
    [
        ("adamw", lambda numbers: numbers.update(epoch="3"), "numbers.epoch is of another type than it should be."),
        ("adamw", lambda numbers: numbers.update(n_steps=-10), "a count below 0."),
        ("adamw", lambda numbers: numbers.update(epoch=2), "epoch 2, after a history of 3."),
        ("adamw", lambda numbers: numbers.pop("history"), "'history'."),
        (
            "adamw",
            lambda numbers: numbers.update(averaged={"tensor": "network.output.bias"}),
            "the mean of the weights is of another shape or type than the weights.",
        ),
        (
            "sgd",
            lambda numbers: numbers["best_weights"]["items"].popitem(),
            "the best weights are of other shapes than the weights.",
        ),
        (
            "lbfgs",
            lambda numbers: numbers["optimizer"]["items"]["0"]["items"].update(old_dirs={"list": []}),
            "what the line search kept is of other weights.",
        ),
    ],
    indirect=["unfinished"],
)
def test_what_does_not_fit_is_said(unfinished: Unfinished, change: Callable[[dict[str, Any]], object], said: str):
    document = copy.deepcopy(unfinished.document)
    change(document["numbers"])
    unfinished.put(document, unfinished.weights)
    with pytest.raises(ModelFileError) as caught:
        unfinished.go_on()
    assert str(caught.value) == f"the checkpoint in {str(unfinished.folder)!r} is not of this format: {said}"
