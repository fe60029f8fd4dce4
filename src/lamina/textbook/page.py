"""The page: one HTML file that loads nothing, for a desk and a phone, by day and by night."""

import platform
import re
from collections.abc import Sequence
from html import escape

import lamina
from lamina.textbook import words
from lamina.textbook.drawing import DARK_GROUND
from lamina.textbook.experiment import Experiment, Setting, Text
from lamina.textbook.notebooks import source_of
from lamina.textbook.runner import Drawn, Judged, Outcome

_CSS = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --panel: #f5f7f9;
  --link: #0a5cb8; --held: #1a6e3c; --wrong: #a8321e; --inconclusive: #7a5b00; }
@media (prefers-color-scheme: dark) { :root { --ground: DARK; --ink: #e6e8eb; --soft: #a3abb5; --rule: #3a4149;
  --panel: #20252b; --link: #7db8ff; --held: #6fd398; --wrong: #ff9a86; --inconclusive: #e5c35a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 52rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", "Noto Sans SC", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.3rem; margin: 3rem 0 .3rem; line-height: 1.3; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; } a { color: var(--link); }
.soft { color: var(--soft); } .small { font-size: .875rem; }
.box { overflow-x: auto; border: 1px solid var(--rule); border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
tr:last-child > td { border-bottom: 0; } th { background: var(--panel); font-weight: 600; white-space: nowrap; }
td.words { min-width: 12rem; } td.result { min-width: 5.5rem; word-break: keep-all; }
td.nowrap, td.number { white-space: nowrap; } td.number { text-align: right; }
th.number { text-align: right; }
td.group { background: var(--panel); font-weight: 600; } td.group .small { font-weight: 400; }
td a { text-decoration: none; } td a:hover, td a:focus { text-decoration: underline; }
.verdict { font-weight: 600; } .held { color: var(--held); } .inconclusive { color: var(--inconclusive); }
.kind { color: var(--soft); font-size: .8rem; border: 1px solid var(--rule); border-radius: .6rem; padding: 0 .45rem;
  white-space: nowrap; }
nav ol { columns: 2 19rem; column-gap: 2.5rem; padding-left: 1.8rem; } nav li { margin: .2rem 0; }
.unexpected { color: var(--wrong); text-decoration: underline wavy; text-underline-offset: .25em; }
ol.claims { padding-left: 1.6rem; } ol.claims li { margin: .5rem 0; }
figure { margin: 1.2rem 0; } figcaption { color: var(--soft); font-size: .9rem; }
.drawing { overflow-x: auto; } .drawing svg { display: block; max-width: 100%; height: auto; }
@media (max-width: 36rem) { body { padding: .5rem .8rem 3rem; } }
details { margin: 1.2rem 0; } summary { cursor: pointer; color: var(--link); }
pre { overflow-x: auto; background: var(--panel); border: 1px solid var(--rule); border-radius: .4rem; padding: .8rem;
  font: .8rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; tab-size: 4; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; }
pre code { font-size: 1em; }
:target { scroll-margin-top: 1rem; outline: 2px solid var(--link); outline-offset: .3rem; border-radius: .2rem; }
@media print { details > pre { display: none; } .box, .drawing { overflow: visible; } }
""".replace("DARK", DARK_GROUND)


def page(outcomes: Sequence[Outcome], setting: Setting) -> str:
    """Return the page as HTML: contents, a section for each experiment, then a table of all claims."""
    say = setting.say
    title = escape(say(words.TITLE))
    introduction = [words.INTRODUCTION, words.KINDS, *([words.QUICK] if setting.quick else [])]
    return (
        f'<!DOCTYPE html>\n<html lang="{"zh-Hans" if setting.language == "zh" else "en"}">\n<head>\n'
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + "".join(f"<p>{escape(say(text))}</p>\n" for text in introduction)
        + _edition(setting)
        + f'<p class="soft small">{escape(_made_by(setting))}</p>\n'
        + _contents(outcomes, setting)
        + "".join(_section(outcome, setting) for outcome in outcomes)
        + f'<h2 id="all-claims">{escape(say(words.ALL_CLAIMS))}</h2>\n'
        + f"<p>{escape(say(words.summary(outcomes)))}</p>\n{_all_claims(outcomes, setting)}"
        + "</body>\n</html>\n"
    )


def _made_by(setting: Setting) -> str:
    import numpy as np
    import torch

    used = f"lamina {lamina.__version__}, torch {torch.__version__}, NumPy {np.__version__}"
    return f"{setting.say(words.MADE_BY)}{used}, Python {platform.python_version()}, {platform.machine()}"


def _edition(setting: Setting) -> str:
    before, chinese, between, english, after = (escape(setting.say(text)) for text in words.EDITION)
    links = [
        f'<a href="{address}">{text}</a>'
        for address, text in ((words.CHINESE_EDITION, chinese), (words.ENGLISH_EDITION, english))
    ]
    return f"<p>{before}{links[0]}{between}{links[1]}{after}</p>\n"


def _contents(outcomes: Sequence[Outcome], setting: Setting) -> str:
    items = [
        f'<li><a href="#{escape(outcome.experiment.name)}">{escape(setting.say(outcome.experiment.title))}</a> '
        f'<span class="soft small">{escape(outcome.experiment.source)}</span></li>\n'
        for outcome in outcomes
    ]
    items.append(f'<li><a href="#all-claims">{escape(setting.say(words.ALL_CLAIMS))}</a></li>\n')
    return f"<nav>\n<h2>{escape(setting.say(words.CONTENTS))}</h2>\n<ol>\n{''.join(items)}</ol>\n</nav>\n"


def _all_claims(outcomes: Sequence[Outcome], setting: Setting) -> str:
    rows = []
    for outcome in outcomes:
        name = escape(outcome.experiment.name)
        rows.append(
            f'<tr><td class="group" colspan="4"><a href="#{name}">{escape(setting.say(outcome.experiment.title))}</a>'
            f'<br><span class="soft small">{escape(setting.say(outcome.experiment.data_in(setting)))}</span>'
            f"{_failure(outcome, setting)}</td></tr>\n"
        )
        rows += [
            f'<tr><td class="words"><a href="#{name}.{escape(each.claim.name)}">'
            f"{escape(setting.say(each.claim.statement))}</a></td>"
            f'<td class="result">{_verdict(each, setting)}{_kind(each, setting, "<br>")}</td>'
            f'<td class="nowrap">{_two_lines(each)}</td><td class="nowrap">{escape(each.claim.bound)}</td></tr>\n'
            for each in outcome.judged
        ]
    heads = (words.CLAIM, words.VERDICT, words.MEASURED, words.BOUND)
    head = "".join(f"<th>{escape(setting.say(text))}</th>" for text in heads)
    return f'<div class="box"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(rows)}</tbody></table></div>\n'


def _two_lines(each: Judged) -> str:
    mean, _, rest = str(each.measured).partition(" ")
    return f'{mean}<br><span class="soft small">{rest}</span>' if rest else mean


def _section(outcome: Outcome, setting: Setting) -> str:
    experiment, say = outcome.experiment, setting.say
    name = escape(experiment.name)
    parts = [
        f'<section id="{name}">\n<h2>{escape(say(experiment.title))}</h2>\n',
        f'<p class="soft small">{escape(_about_run(outcome, setting))}</p>\n',
        _paragraphs(say(experiment.about)),
    ]
    if outcome.failure is not None:
        parts.append(f'<p class="verdict unexpected">{escape(say(words.tally(outcome)))}</p>\n')
    else:
        claims = "".join(_claim(experiment, each, setting) for each in outcome.judged)
        parts += [
            f'<h3>{escape(say(words.CLAIMS))}</h3>\n<ol class="claims">\n{claims}</ol>\n',
            f"<h3>{escape(say(words.FIGURES))}</h3>\n{_figures(outcome, setting)}",
            f'<p class="verdict">{escape(say(words.tally(outcome)))}</p>\n',
            *[_drawing(drawn, setting) for drawn in outcome.drawn],
        ]
    parts.append(
        f"<details><summary>{escape(say(words.CODE))}</summary>\n"
        f"<pre><code>{escape(source_of(experiment))}</code></pre>\n"
        f'<p class="small"><a href="notebooks/{name}.ipynb">{escape(say(words.NOTEBOOK))}</a></p>\n'
        "</details>\n</section>\n"
    )
    return "".join(parts)


def _about_run(outcome: Outcome, setting: Setting) -> str:
    source, seconds, n = outcome.experiment.source, f"{outcome.seconds:.1f}", len(outcome.experiment.seeds)
    data = outcome.experiment.data_in(setting)
    return setting.say(
        Text(
            f"Section {source} of the text · data: {data.en} · {n} seeds · {seconds} seconds",
            f"教材第 {source} 节 · 数据：{data.zh} · {n} 个种子 · {seconds} 秒",
        )
    )


def _claim(experiment: Experiment, each: Judged, setting: Setting) -> str:
    claim, say = each.claim, setting.say
    measured = say(words.measured(each, experiment))
    return (
        f'<li id="{escape(experiment.name)}.{escape(claim.name)}">{escape(say(claim.statement))}<br>\n'
        f'{_verdict(each, setting)} <span class="soft">{escape(measured)}</span>{_kind(each, setting, " ")}</li>\n'
    )


def _kind(each: Judged, setting: Setting, before: str) -> str:
    if each.claim.kind == "measurement":
        return ""
    return f'{before}<span class="kind">{escape(setting.say(words.kind(each.claim)))}</span>'


def _verdict(each: Judged, setting: Setting) -> str:
    kind = f"{each.verdict} unexpected" if each.unexpected else each.verdict
    return f'<span class="verdict {kind}">{escape(setting.say(words.verdict(each)))}</span>'


def _failure(outcome: Outcome, setting: Setting) -> str:
    if outcome.failure is None:
        return ""
    return f'<br><span class="verdict unexpected">{escape(setting.say(words.tally(outcome)))}</span>'


def _figures(outcome: Outcome, setting: Setting) -> str:
    heads = (words.MEAN, words.LEAST, words.LARGEST)
    head = "".join(f'<th class="number">{escape(setting.say(text))}</th>' for text in heads)
    rows = "".join(
        f'<tr><td class="words">{escape(setting.say(outcome.experiment.figures[key]))}</td>'
        + "".join(f'<td class="number">{value:.4g}</td>' for value in (figure.mean, figure.low, figure.high))
        + "</tr>\n"
        for key, figure in outcome.figures.items()
    )
    first = f"<th>{escape(setting.say(words.FIGURE))}</th>"
    return f'<div class="box"><table>\n<thead><tr>{first}{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n'


def _drawing(drawn: Drawn, setting: Setting) -> str:
    caption = escape(setting.say(drawn.caption))
    # On a phone a wide figure shrinks to two thirds and then scrolls: its letters stay legible.
    width = re.search(r'width="([\d.]+)pt"', drawn.svg)
    least = 0.65 * float(width[1]) if width else 0
    svg = drawn.svg.replace("<svg", f'<svg style="min-width: {least:.0f}pt"', 1)
    return f'<figure><div class="drawing">{svg}</div>\n<figcaption>{caption}</figcaption></figure>\n'


def _paragraphs(text: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return "".join(f"<p>{paragraph}</p>\n" for paragraph in marked.split("\n\n"))
