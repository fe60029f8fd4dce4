"""How results and talk look: aligned columns on stdout, notes and progress on stderr."""

import contextlib
import json
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lamina.errors import LaminaWarning

if TYPE_CHECKING:
    from rich.progress import Progress

    from lamina.data.target import Target
    from lamina.model import Model
    from lamina.model_report import Report


class Talk:
    """What is said beside the results: notes on stderr unless quiet, progress on a terminal only."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        warnings.showwarning = self._show_warning  # type: ignore[assignment]

    def note(self, text: str) -> None:
        """Say one sentence."""
        if not self.quiet:
            click.echo(text, err=True)

    @contextlib.contextmanager
    def progress(self, *columns: str) -> Iterator["Progress"]:
        """Yield a progress display with a bar between the description and ``columns``, format strings of its task."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True, highlight=False)
        shown = [TextColumn(column) for column in columns]
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), *shown, TimeElapsedColumn(), console=console
        )
        if self.quiet or not console.is_terminal:
            yield bar  # never started: it keeps count and shows nothing
        else:
            with bar:
                yield bar

    def _show_warning(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
    ) -> None:
        if issubclass(category, LaminaWarning):
            self.note(f"note: {message}")
        elif not self.quiet:
            click.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)


def print_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def columns(rows: Sequence[Sequence[str]], header: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Return rows as aligned columns.

    Args:
        rows: cells as text.
        header: names of the columns.
        right: positions of the columns that are aligned to the right.
    """
    every = [list(map(str, row)) for row in ([header] if header else []) + list(rows)]
    widths = [max(_width(row[i]) for row in every) for i in range(len(every[0]))]
    lines = []
    for row in every:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [gap + cell if i in right else cell + gap for i, (cell, gap) in enumerate(zip(row, gaps, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns of a terminal that ``text`` takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def decision(target: "Target") -> str:
    """Return how a class, or a label, is decided on, to be put behind its name; empty for numbers and many classes."""
    if target.positive is not None:
        return f"; {target.classes[target.positive]!r} is predicted from probability {target.threshold:g} on"
    return f"; a label is predicted from probability {target.threshold:g} on" if target.task == "multilabel" else ""


def fold_rows(report: "Report") -> dict[str, dict[str, str]]:
    """Return the cross-validated scores as rows of a score table."""
    if not report.folds:
        return {}
    k = report.folds["k"]
    return {
        f"{name}, {k} folds": {
            metric: f"{value['mean']:.4f} ± {value['standard_error']:.4f}" for metric, value in metrics.items()
        }
        for name, metrics in report.folds["scores"].items()
    }


def score_rows(model: "Model") -> dict[str, Mapping[str, float]]:
    """Return the scores of a model and of its baselines as rows of a score table."""
    from lamina.report.subject import blend_name

    report = model.report
    name = "MLP on gradients" if model.encoder.sees_gradients else "MLP"
    name = blend_name(name, 0.0 if model.linear is None else model.linear.share)
    rows = {
        f"{name}, {report.part_name(part)} ({report.rows[part]:,} rows)": scores
        for part, scores in report.scores.items()
    }
    return {
        **rows,
        **{f"{each}, {report.part_name(report.scored_on)}": scores for each, scores in report.baselines.items()},
    }


def score_table(rows: Mapping[str, Mapping[str, float | str]]) -> str:
    """Return scores as a table: a row for each of ``rows``, a column for each metric, in the order of ``METRICS``."""
    from lamina.metrics import in_order

    names = in_order(metric for scores in rows.values() for metric in scores)
    body = [[label, *(_shown(scores.get(name, "")) for name in names)] for label, scores in rows.items()]
    return columns(body, ["", *names], right=range(1, len(names) + 1))


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4f}"
