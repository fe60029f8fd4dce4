"""Figures for a page that may be light or dark: text and axes take the page's colour, series have their own."""

import re
import warnings
from io import StringIO
from typing import Any

from lamina.errors import MissingExtraError

DARK_GROUND = "#14181d"

# Each has a contrast of at least 3 : 1 with white and with the dark ground; a test computes it.
SERIES = ("#2f7fd1", "#d0662a", "#2c9461", "#b8559c", "#8a7a1f", "#7f6bd6")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))

# Drawn in this colour, which nothing else has, and replaced by the page's own in the SVG.
_INK = "#010203"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lamina",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "legend.frameon": False,
    "patch.edgecolor": _INK,
    "hatch.color": _INK,
}


def require_matplotlib() -> None:
    """Refuse where matplotlib is not installed.

    Raises:
        MissingExtraError: it is not; the message holds the command that installs it.
    """
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        raise MissingExtraError("the textbook's figures need matplotlib: pip install 'lamina[plot]'.") from None


def page_style() -> Any:
    """Return a context in which figures are made and saved for the page."""
    require_matplotlib()
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def canvas(rows: int = 1, columns: int = 1, *, width: float = 5.4, height: float = 2.8, **subplots: Any) -> Any:
    """Return ``(figure, axes)`` in the style of the page: a grid of ``rows`` x ``columns`` axes.

    Args:
        rows, columns: of the grid; ``axes`` is one axes object for 1 x 1, else an array as matplotlib returns it.
        width, height: of the whole figure, in inches; 5.4 fits a phone, up to 7.2 fits the page, more shrinks.
        subplots: further arguments of ``Figure.subplots``, such as ``sharey=True``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from cycler import cycler
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, **subplots)
    for each in [axes] if rows == columns == 1 else axes.flat:
        each.set_prop_cycle(cycler(color=SERIES) + cycler(linestyle=LINE_STYLES))
        each.grid(alpha=0.2, linewidth=0.6)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg_of(figure: Any, name: str) -> str:
    """Return ``figure`` as one ``<svg>`` element whose ink is ``currentColor`` and whose ids begin with ``name``.

    The ids matter on a page with several figures: without the prefix one figure would take another's clip paths.
    """
    out = StringIO()
    with warnings.catch_warnings(), page_style():
        # Chinese is not in matplotlib's own font; the reader's browser has one.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace(_INK, "currentColor")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    return svg.replace('href="#', f'href="#{name}-')


def standalone(svg: str) -> str:
    """Return an ``<svg>`` element as a file of its own, with light or dark ground and ink as the reader prefers."""
    # Without a ground of its own, light ink would stand on the white that a browser puts behind an image.
    dark = f"@media (prefers-color-scheme: dark) {{ svg {{ color: #e6e8eb; background: {DARK_GROUND} }} }}"
    style = f"<style>svg {{ color: #1b1f24; background: #fff }} {dark}</style>"
    head, bracket, rest = svg.partition(">")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{bracket}\n{style}{rest}\n'
