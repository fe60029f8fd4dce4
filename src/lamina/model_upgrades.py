"""Documents of earlier formats to the present one, a function for each step, named after what it upgrades."""

from typing import Any

from lamina.errors import ModelFileError
from lamina.model_file import FORMAT_VERSION

Document = dict[str, Any]


def upgraded(document: Document) -> Document:
    """Return ``document`` in the present format.

    Raises:
        ModelFileError: its version is not one that there was.
    """
    version = document.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(f"the model has the format version {repr(version)[:80]}, which there never was.")
    for step in _STEPS[version - 1 :]:
        document = step(document)
    return document


def _one_target_to_several(document: Document) -> Document:
    """1 to 2: a target has several names, a positive class and a threshold; its scaling is a record of its own."""
    target = dict(document["schema"]["target"])
    name, classes = target.pop("name"), target["classes"]
    target.update(names=[name], positive=1 if len(classes) == 2 else None, threshold=0.5)
    column = {"mean": document["target_mean"], "scale": document["target_scale"]}
    scaler = {"transform": "none", "columns": [column]} if target["task"] == "regression" else None
    return {**document, "schema": {**document["schema"], "target": target}, "scaler": scaler}


def _one_network_to_members(document: Document) -> Document:
    """2 to 3: a model may have members, averaged weights and a temperature; none of those before had."""
    config = {**document["config"], "members": 1, "averaging": 0.0, "calibrate": False}
    return {**document, "config": config, "scores": None}


_STEPS = (_one_target_to_several, _one_network_to_members)
