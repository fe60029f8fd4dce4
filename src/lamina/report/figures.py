"""The figures of the page, each from the record that it draws."""

from collections.abc import Mapping, Sequence
from typing import Any

from lamina.report.html import figure
from lamina.report.svg import Axis, Plot, ranking, short
from lamina.training.loop import EpochRecord

_MOST_BARS = 20
# Losses that differ by more than this factor are drawn on a logarithmic axis.
_WIDE = 20.0
# What a bin of fewer rows shows in a calibration curve is chance.
_FEWEST = 10


def learning_curves(history: Sequence[EpochRecord], best_epoch: int) -> str:
    """Return training and validation loss by epoch, with the epoch that is kept."""
    epochs = list(range(1, len(history) + 1))
    train = [record.train_loss for record in history]
    pairs = [(i, record.validation_loss) for i, record in zip(epochs, history, strict=True)]
    watched = [(epoch, loss) for epoch, loss in pairs if loss is not None]
    every = [*train, *(loss for _, loss in watched)]
    wide = min(every) > 0 and max(every) / min(every) > _WIDE
    y = Axis.around(every, "loss, logarithmic" if wide else "loss", log=wide)
    plot = Plot(Axis.around([1, len(history)], "epoch", whole=True), y, "Training and validation loss by epoch")
    if best_epoch:
        plot.vertical(best_epoch, f"kept: {best_epoch}")
    dots = len(history) < 12
    plot.line(epochs, train, "s0", dots)
    legend = [("s0", "training")]
    if watched:
        plot.line([epoch for epoch, _ in watched], [loss for _, loss in watched], "s1", dots)
        legend.append(("s1", "validation"))
    caption = "The training loss is measured while the weights change, the validation loss after the epoch."
    return figure(plot.svg(), caption, legend)


def calibration(record: Mapping[str, Any]) -> str:
    """Return how often the model is right against how sure it is, before and after the temperature."""
    plot = Plot(Axis(0, 1, "how sure the model is"), Axis(0, 1.02, "how often it is right"), "Calibration curve")
    plot.guide(0, 0, 1, 1)
    legend = []
    if "before" in record:
        plot.line(*_curve(record["before"], record["rows"]), "s1", dots=True)
        legend = [("s1", "before the temperature"), ("s0", "after")]
    plot.line(*_curve(record["after"], record["rows"]), "s0", dots=True)
    error = f"calibration error {record['error_after']:.3f}"
    if "before" in record:
        error += f", before {record['error_before']:.3f}"
    caption = (
        f"Probability of the predicted class against the share of right predictions; on the dashed line they agree. "
        f"Bins of fewer than {_FEWEST} rows are not drawn. "
        f"{error[0].upper()}{error[1:]}; a perfect model would have {record['error_of_perfect']:.3f} by chance on "
        f"these {record['rows']:,} rows."
    )
    return figure(plot.svg(), caption, legend)


def _curve(record: Mapping[str, Sequence[float]], n_rows: int) -> tuple[list[float], list[float]]:
    """Return the points of the bins that hold a fair number of the rows."""
    total = sum(record["rows"])
    each = zip(record["rows"], record["confidence"], record["accuracy"], strict=True)
    shown = [(sure, right) for n, sure, right in each if n / total * n_rows > _FEWEST - 0.5]
    return [sure for sure, _ in shown], [right for _, right in shown]


def class_counts(names: Sequence[str], counts: Mapping[str, Sequence[float]], what: str) -> str:
    """Return how many training rows each class, or label, has."""
    train = counts["train"]
    order = sorted(range(len(train)), key=lambda i: -train[i])[:_MOST_BARS]
    shown = f" The {_MOST_BARS} most frequent of {len(train)}." if len(train) > _MOST_BARS else ""
    svg = ranking([names[i] for i in order], [train[i] for i in order], f"Training rows by {what}", "training rows")
    return figure(svg, f"Training rows of each {what}.{shown}")


def value_counts(record: Mapping[str, Any], name: str) -> str:
    """Return the histogram of a number target among the training rows."""
    svg = _histogram(record, name, "training rows", f"Distribution of {name}")
    facts = f"least {short(record['least'])}, median {short(record['median'])}, largest {short(record['largest'])}"
    return figure(svg, f"{name} among the training rows: {facts}. Values farther out stand in the outer bars.")


def residuals(record: Mapping[str, Any], name: str, n_rows: int) -> str:
    """Return errors against predictions."""
    xs, ys = record["predictions"], record["errors"]
    plot = Plot(Axis.around(xs, f"predicted {name}"), Axis.around([*ys, 0.0], "value - prediction"), "Errors")
    plot.points(xs, ys, "s0", 1.8)
    plot.guide(plot.x.low, 0, plot.x.high, 0)
    sample = f"{len(xs):,} of {n_rows:,} rows. " if len(xs) < n_rows else ""
    return figure(
        plot.svg(), f"{sample}Above the dashed line the value is larger than predicted. A pattern here is one missed."
    )


def errors(record: Mapping[str, Any]) -> str:
    """Return the distribution of the errors."""
    svg = _histogram(record["histogram"], "value - prediction", "rows", "Distribution of the errors", middle=0.0)
    low, middle, high = (record["quantiles"][i] for i in (1, 3, 5))
    caption = f"Nine in ten errors lie between {short(low)} and {short(high)}; the median error is {short(middle)}."
    return figure(svg, caption)


def importances(record: Mapping[str, Any]) -> str:
    """Return by how much the loss grows without each column."""
    n, metric = len(record["columns"]), record["metric"].replace("_", " ")
    shown = {name: record[name][:_MOST_BARS] for name in ("columns", "means", "deviations")}
    svg = ranking(
        shown["columns"], shown["means"], "Permutation importances", f"{metric} grows by", shown["deviations"]
    )
    first = f" The first {_MOST_BARS} of {n:,} columns." if n > _MOST_BARS else ""
    caption = (
        f"By how much the {metric} grows where the column's values are shuffled among {record['rows']:,} held-out "
        f"rows: mean and standard deviation of {record['repeats']} shuffles.{first} Of two columns that say the same, "
        "either may seem to matter little."
    )
    return figure(svg, caption)


def _histogram(record: Mapping[str, Any], x: str, y: str, name: str, middle: float | None = None) -> str:
    edges, counts = record["edges"], record["counts"]
    plot = Plot(Axis.around(edges, x, margin=0.01), Axis(0, max(max(counts), 1) * 1.06, y), name)
    plot.bars(edges, counts, "s0")
    if middle is not None and edges[0] < middle < edges[-1]:
        plot.vertical(middle)
    return plot.svg()
