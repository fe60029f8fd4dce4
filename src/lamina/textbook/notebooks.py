"""An experiment as a notebook (nbformat 4), its cells cut from the experiment's own source file, not executed."""

import ast
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

from lamina.textbook.experiment import Experiment, Setting

_RUN = """\
from lamina.textbook.experiment import SEEDS
from lamina.textbook.runner import judge

setting = Setting(quick={quick}, data_dir={data_dir}, language={language})
measured = [measure(seed, setting) for seed in SEEDS]
for claim in EXPERIMENT.claims:
    judged = judge(claim, [each.figures[claim.figure] for each in measured])
    print(f"{{claim.name}}: {{judged.measured}}, bound {{claim.bound}}: {{judged.verdict}}")
"""
_DRAW = """\
from IPython.display import HTML, display

from lamina.textbook import runner

for drawn in runner.draw(EXPERIMENT, measured, setting):
    display(HTML(drawn.svg))
    print(setting.say(drawn.caption))
"""


def source_of(experiment: Experiment) -> str:
    """Return the text of the file that defines the experiment."""
    path = inspect.getsourcefile(experiment.measure)
    assert path is not None, "an experiment's measure is a function in a file"
    return Path(path).read_text(encoding="utf-8")


def notebook(experiment: Experiment, setting: Setting) -> str:
    """Return the notebook as JSON: what the text says, the code piece by piece, a run with every seed, the drawings."""
    say = setting.say
    claims = "\n".join(f"- **{claim.name}** ({claim.bound}): {say(claim.statement)}" for claim in experiment.claims)
    run = _RUN.format(quick=setting.quick, data_dir=repr(setting.data_dir), language=repr(setting.language))
    cells = [
        _cell("markdown", f"# {say(experiment.title)}\n\n{say(experiment.about)}\n\n{claims}"),
        *[_cell("code", piece) for piece in pieces(source_of(experiment))],
        _cell("code", run),
        _cell("code", _DRAW),
    ]
    for position, cell in enumerate(cells):
        # Ids are the same each time, so that an unchanged experiment gives an unchanged file.
        cell["id"] = hashlib.sha256(f"{position} {cell['source']}".encode()).hexdigest()[:12]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def pieces(source: str) -> list[str]:
    """Cut a source file into cells: one for each function, one for what stands between two functions."""
    lines = source.splitlines()
    cells: list[str] = []
    start, previous_was_function = 0, True
    for node in ast.parse(source).body:
        is_function = isinstance(node, ast.FunctionDef | ast.ClassDef)
        piece = "\n".join(lines[start : node.end_lineno]).strip("\n")
        if is_function or previous_was_function:
            cells.append(piece)
        else:
            cells[-1] += "\n" + "\n".join(lines[start : node.end_lineno])
        start, previous_was_function = node.end_lineno or 0, is_function
    return cells


def _cell(kind: str, source: str) -> dict[str, Any]:
    lines = source.strip("\n").splitlines(keepends=True)
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": lines}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
