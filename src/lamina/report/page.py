"""The page of a model: one HTML file that loads nothing, for a desk and a phone, by day and by night."""

from html import escape

import lamina
from lamina.errors import ModelFileError, in_one_line
from lamina.model_forms import UNFIT
from lamina.report import sections
from lamina.report.html import text
from lamina.report.subject import Subject
from lamina.report.verdict import title_of, verdict_box

# Text has a contrast of at least 4.5 : 1 with its ground, drawn series of at least 3 : 1; a test computes both.
LIGHT = {
    "ground": "#ffffff", "ink": "#1b1f24", "soft": "#59636e", "rule": "#d5dae0", "panel": "#f5f7f9",
    "link": "#0a5cb8", "more": "#9aa4b0", "good": "#1a6e3c", "doubtful": "#8a5a00", "s0": "#2f7fd1", "s1": "#c0531a",
}  # fmt: skip
DARK = {
    "ground": "#14181d", "ink": "#e6e8eb", "soft": "#a3abb5", "rule": "#3a4149", "panel": "#20252b",
    "link": "#7db8ff", "more": "#4a545f", "good": "#6fd398", "doubtful": "#e5c35a", "s0": "#5aa0ea", "s1": "#f08a50",
}  # fmt: skip

_CSS = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) { :root { DARK } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 54rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin: 2.4rem 0 .5rem; line-height: 1.3; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
.soft, figcaption, footer { color: var(--soft); } .small, figcaption, footer { font-size: .875rem; }
.verdict { border: 1px solid var(--rule); border-left: .35rem solid var(--soft); border-radius: .4rem;
  background: var(--panel); padding: .3rem 1rem; }
.verdict p { margin: .6rem 0; } .verdict.good { border-left-color: var(--good); }
.verdict.doubtful { border-left-color: var(--doubtful); }
.verdict.good p:nth-child(2) strong { color: var(--good); }
.verdict.doubtful p:nth-child(2) strong { color: var(--doubtful); }
.box { overflow-x: auto; border: 1px solid var(--rule); border-radius: .4rem; margin: .8rem 0;
  background: linear-gradient(90deg, var(--ground) 40%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(-90deg, var(--ground) 40%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(90deg, var(--more), transparent) 0 0 / .9rem 100% no-repeat scroll,
    linear-gradient(-90deg, var(--more), transparent) 100% 0 / .9rem 100% no-repeat scroll; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule);
  overflow-wrap: normal; }
tr:last-child > td { border-bottom: 0; } th { background: var(--panel); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td:first-child { min-width: 7.5rem; }
.value { overflow-wrap: anywhere; }
.confusion th { white-space: normal; vertical-align: bottom; } .confusion td:first-child { min-width: 0; }
.confusion th, .confusion td { padding: .35rem .4rem; }
.confusion th:first-child, .confusion td:first-child { position: sticky; left: 0; background: var(--panel); }
.confusion td[style] { background: rgb(47 127 209 / calc(var(--share) * .42)); }
.confusion tr:first-child > th { border-bottom: 0; padding-bottom: 0; font-weight: 400; color: var(--soft); }
.confusion tr:first-child > th + th { padding-left: 1.2rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 0 1.5rem; }
figure { margin: .8rem 0; max-width: 26rem; } svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: .6; } .axis { stroke: var(--soft); fill: none; }
.mark { stroke: var(--soft); stroke-dasharray: 4 3; fill: none; } .whisker { stroke: var(--ink); stroke-width: 1.4; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .dot { fill-opacity: .75; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); stroke-dasharray: 6 2; }
.dot.s0, .bar.s0 { fill: var(--s0); } .dot.s1 { fill: var(--s1); }
.key { display: inline-block; width: 1.2em; height: .25em; margin: 0 .4em .25em 0; background: var(--s0); }
.key.s1 { background: repeating-linear-gradient(90deg, var(--s1) 0 .4em, transparent .4em .55em); }
.key ~ .key { margin-left: .8em; }
.legend { color: var(--ink); }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--link); }
pre { white-space: pre-wrap;
  background: var(--panel); border: 1px solid var(--rule); border-radius: .4rem; padding: .8rem; }
pre, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { font-size: .82rem; line-height: 1.45; } code { font-size: .92em; }
ul { padding-left: 1.3rem; } footer { margin-top: 3rem; }
@media (min-width: 36rem) { .confusion td:first-child { white-space: nowrap; } }
@media (max-width: 36rem) { body { padding: .5rem .8rem 3rem; } h1 { font-size: 1.35rem; }
  th, td { padding: .35rem .45rem; } table { font-size: .85rem; } td:first-child { min-width: 5rem; }
  th { white-space: normal; }
  td.number .small { display: inline-block; max-width: 5rem; white-space: normal; line-height: 1.3; } }
@media print { .box, pre { overflow: visible; } }
"""


def page_of(about: Subject) -> str:
    """Return the page of a model: the same for the same model, and without a reference to anything outside it.

    Older models, or those of an estimator, lack some of the records; their sections are left out.

    Raises:
        ModelFileError: the records came from a folder, and are such as no fit writes: a model predicts without them, so
            that nothing has looked at them before.
    """
    try:
        return _page(about)
    except UNFIT as error:
        raise ModelFileError(f"the report of this model cannot be drawn: {in_one_line(error)}.") from error


def _page(about: Subject) -> str:
    title = title_of(about)
    body = "".join(
        part(about)
        for part in (
            sections.data_section,
            sections.scores_section,
            sections.training_section,
            sections.predictions_section,
            sections.importances_section,
            sections.network_section,
            sections.reproduction_section,
        )
    )
    version = text(about.report.environment.get("lamina", lamina.__version__))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style()}</style>\n</head>\n<body>\n"
        f"<h1>{text(title, 200)}</h1>\n{verdict_box(about)}{body}"
        f"<footer>Trained with Lamina {version}. This page loads nothing.</footer>\n</body>\n</html>\n"
    )


def style() -> str:
    """Return the page's style sheet."""
    light, dark = (" ".join(f"--{name}: {value};" for name, value in each.items()) for each in (LIGHT, DARK))
    return _CSS.replace("LIGHT", light).replace("DARK", dark)
