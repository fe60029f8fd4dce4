"""The folder that ``lamina textbook`` writes: the page, each figure as SVG, each experiment as a notebook."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamina.errors import ConfigError
from lamina.textbook.drawing import standalone
from lamina.textbook.experiment import Setting
from lamina.textbook.notebooks import notebook
from lamina.textbook.page import page
from lamina.textbook.runner import Outcome

PAGE = "index.html"


def make_folder(folder: Path) -> None:
    """Make the folder where it is missing.

    Raises:
        ConfigError: a file has its name.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"cannot write the textbook to {str(folder)!r}, which is a file; name a folder with --out.")
    for each in (folder, folder / "figures", folder / "notebooks"):
        each.mkdir(parents=True, exist_ok=True)


def write_textbook(folder: Path, outcomes: Sequence[Outcome], setting: Setting) -> None:
    """Write what there is so far; each file takes its name when it is whole, the page last.

    Called after each experiment: a run that is interrupted leaves a page of those that were finished.
    """
    make_folder(folder)
    for outcome in outcomes[-1:]:
        for drawn in outcome.drawn:
            _write(folder / "figures" / f"{outcome.experiment.name}-{drawn.name}.svg", standalone(drawn.svg))
        name = f"{outcome.experiment.name}.ipynb"
        _write(folder / "notebooks" / name, notebook(outcome.experiment, setting))
    _write(folder / PAGE, page(outcomes, setting))


def summary(folder: Path, outcomes: Sequence[Outcome], setting: Setting) -> dict[str, Any]:
    """Return what ``lamina textbook --json`` prints."""
    return {
        "page": str(folder / PAGE),
        "language": setting.language,
        "quick": setting.quick,
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 3),
        "unexpected": [
            f"{outcome.experiment.name}/{each.claim.name}"
            for outcome in outcomes
            for each in outcome.judged
            if each.unexpected
        ],
        "experiments": [_experiment(folder, outcome, setting) for outcome in outcomes],
    }


def _experiment(folder: Path, outcome: Outcome, setting: Setting) -> dict[str, Any]:
    experiment = outcome.experiment
    return {
        "name": experiment.name,
        "title": setting.say(experiment.title),
        "source": experiment.source,
        "data": setting.say(experiment.data_in(setting)),
        "seeds": list(experiment.seeds),
        "seconds": round(outcome.seconds, 3),
        "failure": None if outcome.failure is None else str(outcome.failure),
        "claims": [
            {
                "name": each.claim.name,
                "statement": setting.say(each.claim.statement),
                "figure": each.claim.figure,
                "at_least": each.claim.at_least,
                "at_most": each.claim.at_most,
                "kind": each.claim.kind,
                "expected": each.claim.expected,
                "verdict": each.verdict,
                "mean": each.measured.mean,
                "min": each.measured.low,
                "max": each.measured.high,
            }
            for each in outcome.judged
        ],
        "figures": {key: list(measured.values) for key, measured in outcome.figures.items()},
        "drawings": [str(folder / "figures" / f"{experiment.name}-{drawn.name}.svg") for drawn in outcome.drawn],
        "notebook": str(folder / "notebooks" / f"{experiment.name}.ipynb"),
    }


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp gives 0o600, with which a web server could not read the page
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
