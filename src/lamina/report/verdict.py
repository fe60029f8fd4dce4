"""What the page says first: what is predicted, how well, whether a simpler model would do, and what is wrong."""

from collections.abc import Mapping
from html import escape

from lamina.errors import shortened
from lamina.older_scores import faults_of_scores
from lamina.report.html import Raw, text
from lamina.report.subject import Subject
from lamina.report.svg import short

_MAIN_SCORE = {"classification": "accuracy", "multilabel": "log_loss", "regression": "rmse"}
_PLAIN = {"constant": "a constant", "linear": "a linear model"}


def title_of(about: Subject) -> str:
    """Return what is predicted from what, as text."""
    target, features = about.schema.target, about.schema.features
    kinds = [column.kind for column in features]
    if kinds == ["image"]:
        source = f"images of {' x '.join(map(str, features[0].shape))} pixels"
    else:
        source = f"{len(features):,} column{'' if len(features) == 1 else 's'}"
    classes = [str(name) for name in target.classes]
    what = {
        "classification": f"{target.name} ({' or '.join(classes) if len(classes) < 4 else f'{len(classes)} classes'})",
        "multilabel": f"which of {len(target.names)} labels a row has",
        "regression": f"{shortened(target.names, 4)} ({'numbers' if len(target.names) > 1 else 'a number'})",
    }[about.task]
    return f"A network that predicts {what} from {source}"


def verdict_box(about: Subject) -> str:
    """Return the box with the main score, the comparison with simpler models, and what was found."""
    report = about.report
    faults = faults_of_scores(about.config, report, about.history)
    better = None if faults else report.comparison.get("worth_it")
    kind = "" if better is None else "good" if better else "doubtful"
    lines = [
        _score_line(about),
        *(f"<strong>{text(fault[0].upper() + fault[1:], 1000)}.</strong>" for fault in faults),
        _comparison_line(about),
        *_finding_lines(about),
    ]
    content = "".join(f"<p>{line}</p>\n" for line in lines)
    return f'<div class="verdict {kind}">\n{content}</div>\n'


def with_interval(value: float, interval: Mapping[str, float] | None) -> Raw:
    """Return a score, with its bounds under it where there are any."""
    if interval is None:
        return Raw(_figures(value))
    bounds = f"{_figures(interval['low'])}&nbsp;to {_figures(interval['high'])}"
    return Raw(f'{_figures(value)}<br><span class="soft small">{bounds}</span>')


def _score_line(about: Subject) -> str:
    report = about.report
    name = _MAIN_SCORE[about.task]
    if not report.scored_on or name not in report.scores[report.scored_on]:
        return "<strong>No rows were held out, so there is no score.</strong> <code>--test 0.2</code> gives one."
    value = report.scores[report.scored_on][name]
    interval = report.curves.get("intervals", {}).get(report.scored_on, {}).get(name)
    bounds = f", 95 % interval {_figures(interval['low'])} to {_figures(interval['high'])}" if interval else ""
    rows = f"{report.rows[report.scored_on]:,} {escape(report.scored_on)} rows"
    seen = "" if report.scored_on == "test" else ", which training watched to choose its best epoch"
    if report.scored_on in report.seen:
        seen += (
            ". These rows are <strong>seen</strong>: the model that training started from may have learned from them"
        )
    label = name.replace("_", " ") if name != "rmse" else "root mean squared error"
    return f"<strong>{label[0].upper()}{label[1:]} {_figures(value)}</strong>{bounds}, on {rows}{seen}."


def _comparison_line(about: Subject) -> str:
    record = about.report.comparison
    if about.report.scored_on in about.report.seen:
        return "It was not compared with simpler models, which have not seen these rows."
    if not record:
        return "It was not compared with a linear model and a constant."
    losses, improvement = record["losses"], record["improvement"]
    name = record["loss"].replace("_", " ")
    against = " and ".join(f"{_figures(losses[each])} of {_PLAIN[each]}" for each in ("linear", "constant"))
    weighted = " with the weights of the classes" if record.get("class_weight") else ""
    compared = f"Its {name}{weighted} is {_figures(losses['mlp'])}, against {against}"
    doubtful = [each for each in ("constant", "linear") if improvement[each]["low"] <= 0]
    if doubtful:
        says = "does better" if improvement[doubtful[0]]["high"] < 0 else "may do as well"
        start, other = f"<strong>Not worth it</strong>: {_PLAIN[doubtful[0]]} {says}.", doubtful[0]
    else:
        start, other = "<strong>Worth it</strong>: it is better than a linear model.", "linear"
    if record.get("linear_share"):
        start += f" This model is a blend: a linear model counts for {record['linear_share']:.0%} of it."
    better = improvement[other]
    gain = f"an improvement on {_PLAIN[other]} of {_figures(better['mean'])}"
    bounds = f"95 % interval {_figures(better['low'])} to {_figures(better['high'])}"
    return f"{start} {compared}; {gain}, {bounds}.{_but_accuracy(about) if not doubtful else ''}"


def _but_accuracy(about: Subject) -> str:
    """Return a sentence where a linear model is right at least as often as a network whose loss is lower."""
    report = about.report
    mlp, linear = (each.get("accuracy") for each in (report.scores[report.scored_on], report.baselines["linear"]))
    if mlp is None or linear is None or linear < mlp:
        return ""
    often = "more often" if linear > mlp else "as often"
    return f" Better are its probabilities: the linear model is right {often}, with an accuracy of {_figures(linear)}."


def _finding_lines(about: Subject) -> list[str]:
    findings = about.report.diagnosis
    if not findings:
        return ["Diagnosis: nothing was found."]
    return [
        f"<strong>Found: {text(each['name'])}.</strong> {text(each['cause'], 1000)} {text(each['remedy'], 1000)}"
        for each in findings
    ]


def _figures(value: float) -> str:
    if abs(value) < 1e-12:
        return "0"
    size = abs(value)
    return f"{value:.4f}" if 5e-5 <= size < 10 else f"{value:,.2f}" if 10 <= size < 1e5 else short(value)
