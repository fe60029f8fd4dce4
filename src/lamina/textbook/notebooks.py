"""An experiment as a notebook (nbformat 4), not executed: its own source in public names, as a student would write it.

The source file is rewritten piece by piece, with its comments and its layout: ``Text`` becomes the words of the one
language, ``setting.quick`` the constant ``QUICK``, ``Measured`` a ``SimpleNamespace``, ``Drawing`` a figure with its
caption, ``canvas`` ``plt.subplots``; ``EXPERIMENT`` and what only it needs are left out. What remains imports lamina,
NumPy, torch and matplotlib, and runs with ``pip install 'lamina[plot]'``.
"""

import ast
import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

from lamina.textbook.experiment import Experiment, Language, Setting, Text

_FIRST = """\
{docstring}

# True: less data and fewer epochs.
QUICK = {quick}
# Folder of Fashion-MNIST's files, which only some notebooks read, and only if QUICK is False; None: download them.
DATA_DIR = {data_dir}

from math import inf
from types import SimpleNamespace
"""
_STYLE = """\
import matplotlib.pyplot as plt

plt.rcParams.update({"axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True})
"""
# matplotlib's own font has no Chinese characters.
_CHINESE = """\
from matplotlib import font_manager

fonts = ("Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "WenQuanYi Micro Hei")
installed = set(font_manager.get_font_names())
plt.rcParams["font.sans-serif"] = [font for font in fonts if font in installed] + ["DejaVu Sans"]
plt.rcParams["axes.unicode_minus"] = False
"""
_RUN = """\
measured = [measure(seed) for seed in {seeds}]
for name, quantity, low, high in CLAIMS:
    values = [each.figures[quantity] for each in measured]
    within = [low <= value <= high for value in values]
    verdict = "{held}" if all(within) else "{inconclusive}" if any(within) else "{refuted}"
    print(f"{{name}}: {{min(values):.4g}} … {{max(values):.4g}}, [{{low:g}}, {{high:g}}]: {{verdict}}")
"""
_DRAW = """\
drawings = draw(measured)
plt.show()
for figure, caption in drawings:
    print(caption)
"""
_VERDICTS = {
    "held": Text("held", "成立"),
    "refuted": Text("refuted", "不成立"),
    "inconclusive": Text("inconclusive", "无定论"),
}


def source_of(experiment: Experiment) -> str:
    """Return the text of the file that defines the experiment."""
    path = inspect.getsourcefile(experiment.measure)
    assert path is not None, "an experiment's measure is a function in a file"
    return Path(path).read_text(encoding="utf-8")


def notebook(experiment: Experiment, setting: Setting) -> str:
    """Return the notebook as JSON: what the text says, the code piece by piece, a run with every seed, the drawings."""
    say = setting.say
    claims = "\n".join(f"- **{claim.name}** ({claim.bound}): {say(claim.statement)}" for claim in experiment.claims)
    cells = [
        _cell("markdown", f"# {say(experiment.title)}\n\n{say(experiment.about)}\n\n{claims}"),
        *[_cell("code", piece) for piece in code_of(experiment, setting)],
    ]
    for position, cell in enumerate(cells):
        # Ids are the same each time, so that an unchanged experiment gives an unchanged file.
        cell["id"] = hashlib.sha256(f"{position} {cell['source']}".encode()).hexdigest()[:12]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def code_of(experiment: Experiment, setting: Setting) -> list[str]:
    """Return the code cells: settings and imports, the functions, the claims, the run, the drawings."""
    docstring, *rest = pieces(in_public_names(source_of(experiment), setting.language))
    words = ast.get_docstring(ast.parse(docstring)) or experiment.name
    imports = docstring.partition(f'"""{words}"""')[2].strip("\n")
    first = _FIRST.format(docstring=f'"""{words}"""', quick=setting.quick, data_dir=repr(setting.data_dir))
    style = _STYLE + (_CHINESE if setting.language == "zh" else "")
    verdicts = {name: setting.say(word) for name, word in _VERDICTS.items()}
    return [
        f"{first}\n{imports}",
        style,
        *rest,
        _claims(experiment),
        _RUN.format(seeds=experiment.seeds, **verdicts),
        _DRAW,
    ]


def _claims(experiment: Experiment) -> str:
    rows = "\n".join(
        f"    ({claim.name!r}, {claim.figure!r}, {_bound(claim.at_least, '-inf')}, {_bound(claim.at_most, 'inf')}),"
        for claim in experiment.claims
    )
    return f"CLAIMS = (  # name, measured quantity, at least, at most\n{rows}\n)"


def _bound(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else repr(value)


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


# -- Public names


def in_public_names(source: str, language: Language) -> str:
    """Return the source of an experiment without the names of ``lamina.textbook.experiment`` and ``drawing``."""
    source = re.sub(r"  # fmt: skip$", "", source, flags=re.MULTILINE)
    tree = ast.parse(source)
    used = _used(tree)
    rewriter = _Rewriter(source, language)
    kept, at = [], 0
    for node in tree.body:
        # What stands above a node, comments and all, goes with it; nodes at the top have lines of their own.
        _, end = rewriter.span(node)
        end_of_line = rewriter.starts[node.end_lineno or 0]
        if not _left_out(node, used):
            start, _ = rewriter.span_with_decorators(node)
            kept += [rewriter.text(at, start), rewriter.render(node), rewriter.text(end, end_of_line)]
        at = end_of_line
    return "".join(kept)


def _used(tree: ast.Module) -> set[str]:
    """Names of the functions that ``measure`` and ``draw`` reach."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    constants = [
        node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and not _is_experiment(node)
    ]
    reached = {"measure", "draw"} & functions.keys()
    open_: list[ast.AST] = [*constants, *(functions[name] for name in sorted(reached))]
    while open_:
        names = {node.id for node in ast.walk(open_.pop()) if isinstance(node, ast.Name)}
        new = names & functions.keys() - reached
        reached |= new
        open_ += [functions[name] for name in new]
    return reached


def _is_experiment(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXPERIMENT"


def _left_out(node: ast.stmt, used: set[str]) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name not in used
    inner = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lamina.textbook.")
    return inner or _is_experiment(node)


class _Rewriter:
    """Renders nodes as their own source text, in which some inner nodes are replaced."""

    def __init__(self, source: str, language: Language) -> None:
        self.lines = [line.encode() for line in source.splitlines(keepends=True)]
        self.language = language
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.bytes = b"".join(self.lines)

    def span(self, node: Any) -> tuple[int, int]:
        """Where a node begins and ends in the file, in bytes."""
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def span_with_decorators(self, node: ast.AST) -> tuple[int, int]:
        start, end = self.span(node)
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        return min([start, *(self.span(each)[0] - len("@") for each in decorators)]), end

    def text(self, start: int, end: int) -> str:
        return self.bytes[start:end].decode()

    def render(self, node: ast.AST) -> str:
        """Return the text of a node."""
        start, end = self.span_with_decorators(node)
        rendered, at = [], start
        for first, last, new in sorted(self.changes(node)):
            rendered += [self.text(at, first), new]
            at = last
        return "".join([*rendered, self.text(at, end)])

    def changes(self, node: ast.AST) -> list[tuple[int, int, str]]:
        """Return (begin, end, new text) for each outermost part of a node that is written otherwise."""
        new = self.replacement(node)
        if new is not None:
            return [(*self.span(node), new)]
        if isinstance(node, ast.JoinedStr):  # before Python 3.12 what is inside has no positions to go by
            start, end = self.span(node)
            return [(start, end, re.sub(r"(?<=[\w\])])\.(en|zh)\b(?=[^{}]*\})", "", self.text(start, end)))]
        return self.without_setting(node) + [
            change
            for child in ast.iter_child_nodes(node)
            if not self.is_setting(child)
            for change in self.changes(child)
        ]

    def is_setting(self, node: ast.AST) -> bool:
        return (isinstance(node, ast.arg) and node.arg == "setting") or (
            isinstance(node, ast.Name) and node.id == "setting"
        )

    def without_setting(self, node: ast.AST) -> list[tuple[int, int, str]]:
        """Take ``setting`` out of the parameters of a function, or out of the arguments of a call."""
        given: list[Any] = node.args if isinstance(node, ast.arguments | ast.Call) else []
        for i, each in enumerate(given):
            if self.is_setting(each):
                start, end = self.span(each)
                if i > 0:
                    return [(self.span(given[i - 1])[1], end, "")]
                if len(given) > 1:
                    return [(start, self.span(given[1])[0], "")]
                return [(start, end, "")]
        return []

    def replacement(self, node: ast.AST) -> str | None:
        """Return what stands for a node, or ``None`` where it stays, and only its parts may change."""
        match node:
            case ast.Call(func=ast.Name(id="Text"), args=[en, zh]):
                return self.whole(en if self.language == "en" else zh)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="setting"), attr="say"), args=[text]):
                return self.whole(text)
            case ast.Attribute(value=ast.Name(id="setting"), attr="quick"):
                return "QUICK"
            case ast.Attribute(value=ast.Name(id="setting"), attr="data_dir"):
                return "DATA_DIR"
            case ast.Attribute(value=value, attr="en" | "zh"):
                return self.render(value)
            case ast.Call(func=ast.Name(id="Measured"), args=[figures, *kept]):
                keeps = self.render(kept[0]) if kept else "{}"
                return f"SimpleNamespace(figures={self.render(figures)}, kept={keeps})"
            case ast.Call(func=ast.Name(id="Drawing"), args=[_, figure, caption]):
                return f"({self.render(figure)}, {self.render(caption)})"
            case ast.Call(func=ast.Name(id="canvas")):
                return self.subplots(node)
            case ast.Name(id="Measured"):
                return "SimpleNamespace"
            case ast.Name(id="Drawing"):
                return "tuple"
            case ast.Name(id="Text"):
                return "str"
        return None

    def whole(self, node: ast.AST) -> str:
        """Return a text that may have several lines as one expression."""
        text = self.render(node)
        return f"({text})" if "\n" in text and isinstance(node, ast.Constant | ast.JoinedStr) else text

    def subplots(self, call: ast.Call) -> str:
        options = {each.arg: self.render(each.value) for each in call.keywords if each.arg is not None}
        size = f"({options.pop('width', '5.4')}, {options.pop('height', '2.8')})"
        options = {"figsize": size, "layout": '"constrained"', **options}
        given = [*(self.render(each) for each in call.args), *(f"{name}={value}" for name, value in options.items())]
        return f"plt.subplots({', '.join(given)})"


def _cell(kind: str, source: str) -> dict[str, Any]:
    lines = source.strip("\n").splitlines(keepends=True)
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": lines}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
