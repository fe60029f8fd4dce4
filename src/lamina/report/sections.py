"""The sections of the page below its verdict."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lamina.metrics import in_order
from lamina.report import figures as draw
from lamina.report.html import Raw, column_name, details, figures, paragraph, percent, section, table, text
from lamina.report.reproduction import command_of, python_of
from lamina.report.subject import Subject
from lamina.report.svg import short
from lamina.report.verdict import with_interval

_MOST_COLUMNS, _FEW_COLUMNS = 200, 12
_MOST_LABELS = 50
_MOST_NOTES = 30
_ENCODINGS = {
    "mixed": "by piecewise embeddings in half of the networks and by sines and cosines in the other half",
    "standard": "by their mean and standard deviation",
    "piecewise_linear": "piecewise linearly",
    "piecewise_embedding": "by piecewise embeddings",
    "periodic": "by sines and cosines",
}


def data_section(about: Subject) -> str:
    """Return rows by part, columns with their kinds, what is missing and left out, and the target's distribution."""
    report, schema = about.report, about.schema
    rows = ", ".join(f"{n:,} {escape(name)}" for name, n in report.rows.items())
    parts = [paragraph(f"Rows: {rows}. {_folds(report.rows)}".strip())] if report.rows else []
    if about.config.weight is not None:
        parts.append(
            paragraph(f"Below, rows count by their weights, column {text(repr(about.config.weight))}.", "soft")
        )
    parts.append(figures(_target_figures(about)))
    missing = report.origin.get("missing", {})
    body: list[tuple[object, ...]] = [
        (column_name(column.name), column.kind, column.role, f"{missing.get(column.name, 0):,}", column.reason)
        for column in schema.columns[:_MOST_COLUMNS]
    ]
    header = ["column", "kind", "role", "missing", ""]
    if not any(row[-1] for row in body):
        body, header = [row[:-1] for row in body], header[:-1]
    columns = table(body, header, numbers=(3,))
    n = len(schema.columns)
    if n > _MOST_COLUMNS:
        columns += paragraph(f"And {n - _MOST_COLUMNS:,} more columns.", "soft")
    lacking = f", {len(missing):,} with missing values" if missing else ""
    parts.append(columns if n <= _FEW_COLUMNS else details(f"All {n:,} columns{lacking}", columns))
    if report.notes:
        notes = "".join(f"<li>{text(note, 400)}</li>\n" for note in report.notes[:_MOST_NOTES])
        more = len(report.notes) - _MOST_NOTES
        parts.append(f"<ul>\n{notes}</ul>\n" + (paragraph(f"And {more:,} more notes.", "soft") if more > 0 else ""))
    return section("Data", "".join(parts))


def scores_section(about: Subject) -> str:
    """Return the scores of each part, with intervals, and those of the baselines."""
    report = about.report
    if not report.scores:
        return ""
    intervals = report.curves.get("intervals", {})
    every = [*report.scores.values(), *report.baselines.values(), *report.folds.get("scores", {}).values()]
    metrics = in_order(name for scores in every for name in scores)
    body: list[list[object]] = []
    for part, scores in report.scores.items():
        bounds = intervals.get(part, {})
        cells = [with_interval(scores[name], bounds.get(name)) if name in scores else "" for name in metrics]
        label = f"<strong>{text(about.model_name)}</strong>, {text(report.part_name(part))}"
        body.append([Raw(f"{label} ({report.rows.get(part, 0):,} rows)"), *cells])
    for name, scores in report.baselines.items():
        # That of a constant is 0, but for rounding.
        scores = {metric: round(value, 4) + 0.0 if metric == "r2" else value for metric, value in scores.items()}
        cells = [with_interval(scores[metric], None) if metric in scores else "" for metric in metrics]
        body.append([f"{name}, {report.part_name(report.scored_on)}", *cells])
    for part, values in report.folds.get("scores", {}).items():
        cells = [
            f"{values[name]['mean']:.4f} ± {values[name]['standard_error']:.4f}" if name in values else ""
            for name in metrics
        ]
        body.append([f"{part}, {report.folds['k']} folds", *cells])
    numbers = range(1, len(metrics) + 1)
    header = ["", *(name.replace("_", " ") for name in metrics)]
    content = table(body, header, numbers)
    if any(intervals.values()):
        content += paragraph("Under a score: the 95 % bootstrap interval over the rows.", "soft small")
    if report.seen:
        content += paragraph(
            "Seen: the model that training started from may have learned from these rows, so that their scores may be "
            "too good.",
            "soft small",
        )
    return section("Scores", content)


def training_section(about: Subject) -> str:
    """Return the learning curves and when training ended."""
    report, history = about.report, about.history
    if not history:
        return ""
    kept = f"The weights of epoch {report.best_epoch} of {len(history)} are kept." if report.best_epoch else ""
    ended = f" Training ended early: {text(report.stopped, 300)}." if report.stopped else ""
    seconds = f" It took {report.seconds['fit']:.1f} seconds." if "fit" in report.seconds else ""
    return section(
        "Training", paragraph(kept + ended + seconds) + figures([draw.learning_curves(history, report.best_epoch)])
    )


def predictions_section(about: Subject) -> str:
    """Return what the predictions of held-out rows are like: of classes, of labels or of numbers."""
    curves = about.report.curves
    parts = []
    if "confusion" in curves:
        parts.append(_confusion(about, curves["confusion"]))
    if "calibration" in curves:
        parts.append(figures([draw.calibration(curves["calibration"])]))
        temperature = about.report.calibration.get("temperature")
        if temperature is not None:
            parts.append(paragraph(f"The logits are divided by the temperature {temperature:.3f}.", "soft small"))
        if about.config.class_weight is not None:
            parts.append(
                paragraph(
                    "The classes have weights: the probabilities are those of the weighted classes, and rows count by "
                    "the weights of their classes here. Among the rows as they are, classes of large weight are rarer "
                    "than their probabilities say.",
                    "soft small",
                )
            )
    if "labels" in curves:
        parts.append(_labels(about, curves["labels"]))
    if "errors" in curves:
        parts.append(_errors(about, curves["errors"]))
    which = " (seen)" if about.report.scored_on in about.report.seen else ""
    return section(f"Predictions of the {about.report.scored_on} rows{which}", "".join(parts))


def importances_section(about: Subject) -> str:
    """Return how much each column matters to the model, or why that is not known."""
    record = about.report.curves.get("importances")
    if not record:
        return ""
    content = paragraph(text(record["reason"], 400)) if "reason" in record else figures([draw.importances(record)])
    return section("What the model needs", content)


def network_section(about: Subject) -> str:
    """Return members, layers and parameters."""
    config = about.config
    members = config.members or 1
    units = "-".join(map(str, config.hidden_units or ())) or "none"
    facts = [
        f"{members} networks side by side, whose predictions are averaged" if members > 1 else "one network",
        f"{about.n_layers} layers each" if members > 1 else f"{about.n_layers} layers",
        f"hidden units {units}",
        f"activation {config.activation if isinstance(config.activation, str) else ', '.join(config.activation)}",
        f"{about.n_parameters:,} parameters",
    ]
    if any(column.kind == "number" for column in about.schema.features):
        facts.append("numbers encoded " + _ENCODINGS.get(config.numeric, f"as {config.numeric}"))
    sentence = ", ".join(facts)
    body = [(row.name, row.kind, f"{row.output[0]:,}", f"{row.n_parameters:,}") for row in about.layers]
    layers = table(body, ("layer", "part", "output", "parameters"), numbers=(2, 3))
    return section("The network", paragraph(f"{sentence[0].upper()}{escape(sentence[1:])}.") + layers)


def reproduction_section(about: Subject) -> str:
    """Return the command, the versions, the machine and the data's hash."""
    report, origin = about.report, about.report.origin
    parts = []
    if origin:
        parts.append(f"<pre>{escape(command_of(origin))}</pre>\n")
        parts.append(f"<pre>{escape(python_of(origin))}</pre>\n")
        if not origin["data"]:
            parts.append(paragraph("The data was in memory; put your own in its place.", "soft small"))
    facts = [("seed", str(about.config.seed))]
    if origin:
        facts.append(("data", f"{origin['rows']:,} rows, {origin['columns']:,} columns"))
        facts.append(("SHA-256 of the data's values", origin["sha256"]))
    facts += [(f"seconds, {name}", f"{value:.1f}") for name, value in report.seconds.items()]
    facts += list(report.environment.items())
    parts.append(table([(name, Raw(f'<span class="value">{text(value, 200)}</span>')) for name, value in facts]))
    options = [(name, _option(value)) for name, value in about.config.as_json().items() if value is not None]
    parts.append(details("All options, those chosen from the data included", table(options, ("option", "value"))))
    return section("How to reproduce it", "".join(parts))


def _folds(rows: Mapping[str, int]) -> str:
    train, validation = rows.get("train", 0), rows.get("validation", 0)
    return (
        "Each member holds out rows of its own: validation rows are training rows of the other members."
        if (0 < validation == train)
        else ""
    )


def _target_figures(about: Subject) -> list[str]:
    record, target = about.report.curves.get("target", {}), about.schema.target
    if "counts" in record:
        names = target.classes if about.task == "classification" else target.names
        what = "class" if about.task == "classification" else "label"
        return [draw.class_counts([str(name) for name in names], record["counts"], what)]
    each = zip(record.get("histograms", ()), target.names, strict=False)
    return [draw.value_counts(histogram, name) for histogram, name in each]


def _confusion(about: Subject, record: Mapping[str, Any]) -> str:
    classes = [str(name) for name in about.schema.target.classes]
    if "mistakes" in record:
        body = [(classes[true], classes[given], _count(n)) for true, given, n in record["mistakes"]]
        lead = paragraph(f"The most frequent mistakes among {len(classes)} classes.")
        return lead + table(body, ("class", "predicted", "rows"), numbers=(2,)) if body else ""
    rows: list[Sequence[object]] = []
    for name, counts in zip(classes, record["counts"], strict=True):
        total = sum(counts)
        cells = [_shaded(n, n / total if total else 0.0) for n in counts]
        recall = counts[classes.index(name)] / total if total else None
        rows.append((name, "" if recall is None else percent(recall), *cells))
    header = ("class", "right", *classes)
    lead = paragraph(
        "A row for each class, a column for what was predicted; the stronger the colour, the larger the share."
    )
    return lead + table(rows, header, range(1, len(classes) + 2), "confusion", above=(2, "predicted"))


def _shaded(count: float, share: float) -> Raw:
    return Raw(_count(count), style=f"--share: {share:.3f}")


def _labels(about: Subject, record: Mapping[str, Sequence[float]]) -> str:
    body = []
    for name, there, given, right in zip(
        about.schema.target.names, record["there"], record["given"], record["right"], strict=True
    ):
        found, exact = (percent(right / n) if n else "" for n in (there, given))
        body.append((name, _count(there), _count(given), _count(right), found, exact))
    more = paragraph(f"And {len(body) - _MOST_LABELS:,} more labels.", "soft") if len(body) > _MOST_LABELS else ""
    header = ("label", "have it", "are given it", "rightly", "recall", "precision")
    return table(body[:_MOST_LABELS], header, numbers=range(1, 6)) + more


def _errors(about: Subject, record: Mapping[str, Any]) -> str:
    names, parts = about.schema.target.names, []
    for name, each in zip(names, record["targets"], strict=False):
        if len(names) > 1:
            parts.append(f"<h3>{text(name)}</h3>\n")
        parts.append(figures([draw.residuals(each, name, record["rows"]), draw.errors(each)]))
        if "width" in each:
            parts.append(
                paragraph(
                    f"Prediction intervals of 90 % are {short(each['width'])} wide (median); "
                    f"{percent(each['covered'])} of these {record['rows']:,} rows lie within theirs."
                )
            )
    if len(names) > len(record["targets"]):
        parts.append(paragraph(f"And {len(names) - len(record['targets'])} more numbers.", "soft"))
    return "".join(parts)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _option(value: Any) -> str:
    if isinstance(value, Mapping):
        value = [f"{key}={each}" for key, each in value.items()]
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
