"""Pieces of the page: escaped text, tables in boxes, figures with a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LONGEST = 60


@dataclass(frozen=True)
class Raw:
    """A piece of HTML, which is not escaped again; ``style`` is that of the cell of a table that it stands in."""

    html: str
    style: str = ""


def text(value: object, longest: int = LONGEST) -> str:
    """Return ``value`` as escaped text; of a long one the beginning, the whole shown under the pointer."""
    whole = str(value)
    if len(whole) <= longest:
        return escape(whole)
    return f'<span title="{escape(whole[:2000])}">{escape(whole[: longest - 1])}…</span>'


def column_name(value: str) -> Raw:
    """Return the name of a column, which a narrow page may break behind an underscore."""
    shown = text(value)
    return Raw(shown if len(value) > LONGEST else shown.replace("_", "_<wbr>"))


def percent(share: float) -> str:
    """Return ``share`` as a text such as "90.1 %"."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def paragraph(content: str, kind: str = "") -> str:
    """Return ``content``, HTML, as a paragraph of the class ``kind``."""
    return f"<p{_class(kind)}>{content}</p>\n"


def table(
    rows: Sequence[Sequence[object]],
    header: Sequence[str] = (),
    numbers: Sequence[int] = (),
    kind: str = "",
    above: tuple[int, str] | None = None,
) -> str:
    """Return a table in a box that scrolls by itself.

    Args:
        rows: cells: ``Raw``, or what is shown as text.
        header: names of the columns.
        numbers: positions of the columns that are aligned to the right.
        kind: a class of the table.
        above: from which column on a second header stands above the others, and its text.
    """
    head = "".join(f"<th{_class('number' if i in numbers else '')}>{text(name)}</th>" for i, name in enumerate(header))
    body = []
    for row in rows:
        cells = (_cell(cell, _class("number" if i in numbers else "")) for i, cell in enumerate(row))
        body.append(f"<tr>{''.join(cells)}</tr>\n")
    first = ""
    if above is not None:
        start, over = above
        first = f'<tr><th colspan="{start}"></th><th colspan="{len(header) - start}">{text(over)}</th></tr>\n'
    thead = f"<thead>{first}<tr>{head}</tr></thead>\n" if header else ""
    return f'<div class="box"><table{_class(kind)}>\n{thead}<tbody>\n{"".join(body)}</tbody></table></div>\n'


def _cell(content: object, kind: str) -> str:
    piece = content if isinstance(content, Raw) else Raw(text(content))
    style = f' style="{piece.style}"' if piece.style else ""
    return f"<td{kind}{style}>{piece.html}</td>"


def figure(svg: str, caption: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    """Return a figure with its caption, text, and a legend of classes and what they stand for."""
    keys = "".join(f'<span class="key {kind}"></span>{escape(what)} ' for kind, what in legend)
    shown = f'<span class="legend">{keys}</span><br>\n' if keys else ""
    return f"<figure>{svg}<figcaption>{shown}{escape(caption)}</figcaption></figure>\n"


def figures(each: Sequence[str]) -> str:
    """Return figures side by side where there is room."""
    return f'<div class="figures">{"".join(each)}</div>\n' if each else ""


def section(title: str, content: str) -> str:
    """Return a section, or nothing where there is no content."""
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>\n" if content else ""


def details(summary: str, content: str) -> str:
    """Return what is folded away until it is asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}</details>\n"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
