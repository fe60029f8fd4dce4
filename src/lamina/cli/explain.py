"""``lamina explain``: which columns a model needs, and what they add to the prediction for one row."""

import sys
from typing import TYPE_CHECKING, Any

import click

from lamina.cli.present import Talk, columns, print_json
from lamina.errors import ConfigError, DataError

if TYPE_CHECKING:
    from lamina.analysis.attributions import Attributions
    from lamina.analysis.formula import LocalFormula
    from lamina.data.table import Table
    from lamina.model import Model

_BAR_WIDTH = 24
_CELL_WIDTH = 24


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("--row", type=int, metavar="N", help="Explain the prediction for this row of DATA, counted from 1.")
@click.option(
    "--output", metavar="NAME", help="With --row: the class, label or target.  [default: the predicted class]"
)
@click.option("--repeats", type=int, default=5, show_default=True, help="Shuffles of each column.")
@click.option("--metric", metavar="NAME", help="What a shuffle makes worse.  [default: log_loss, or rmse for numbers]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffles.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def explain(
    model: str,
    data: str,
    row: int | None,
    output: str | None,
    repeats: int,
    metric: str | None,
    seed: int,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Tell which columns the model folder MODEL needs on DATA, which holds the target: how much worse it predicts where
    a column is shuffled. Up to 5,000 rows are used.

    With --row N, which needs no target: the prediction for one row, and what each column adds to it in comparison with
    the typical row of DATA (the median of each number, the most frequent level of each category).
    """
    talk = Talk(quiet)
    if row is None and output is not None:
        raise click.UsageError("--output goes with --row: lamina explain MODEL DATA --row 1 --output NAME.")
    from lamina.data.builtin import test_part
    from lamina.data.readers import read_table
    from lamina.model import Model

    loaded = Model.load(model)
    official = test_part(data)
    if official is not None:
        data = official
        talk.note(f"explaining on {data}, the official test part")
    table = read_table(data, text_columns=loaded.text_columns, data_dir=data_dir)
    if row is not None:
        _explain_row(loaded, table, row, output, as_json)
        return 0
    _importances(loaded, _with_target(loaded, table, talk), repeats, seed, metric, as_json)
    return 0


def _with_target(model: "Model", table: "Table", talk: Talk) -> "Table":
    targets = model.schema.target.columns_in(table)
    if not all(name in table for name in targets):
        return table  # which of them is missing is said where it is read
    kept, n_dropped = table.rows_with(targets)
    if not n_dropped or not kept.n_rows:
        return table
    talk.note(f"note: dropped {n_dropped} rows without a value of the target")
    return kept


def _importances(model: "Model", table: "Table", repeats: int, seed: int, metric: str | None, as_json: bool) -> None:
    from lamina.analysis.importance import permutation_importance

    found = permutation_importance(model, table, repeats, seed, metric)
    ordered = found.ordered()
    if as_json:
        print_json(
            {
                "rows": found.n_rows,
                "metric": found.metric,
                "score": found.score,
                "repeats": repeats,
                "importances": [{"column": name, "mean": mean, "sd": deviation} for name, mean, deviation in ordered],
            }
        )
        return
    largest = max(ordered[0][1], 0.0)
    body = [
        [name, f"{mean:.4f}", f"± {deviation:.4f}", *([_bar(mean, largest)] if sys.stdout.isatty() else [])]
        for name, mean, deviation in ordered
    ]
    click.echo(
        f"{found.metric} {found.score:.4f} on {found.n_rows:,} rows; by how much worse where a column is shuffled:"
    )
    click.echo(columns(body, right=(1,)))


def _bar(value: float, largest: float) -> str:
    """Return a bar of eighths of a character, as long as ``value`` is of ``largest``; none for what is not above 0."""
    if value <= 0:
        return ""
    full, eighths = divmod(round(8 * _BAR_WIDTH * value / largest), 8)
    return "█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()


def _explain_row(model: "Model", table: "Table", number: int, output: str | None, as_json: bool) -> None:
    import numpy as np

    from lamina.analysis.attributions import attributions
    from lamina.analysis.formula import LocalFormula, local_formula

    if not 1 <= number <= table.n_rows:
        raise DataError(f"{table.source} has no row {number}; its rows are 1 to {table.n_rows}.")
    row = table.rows(np.array([number - 1]))
    found = attributions(model, row, table, output=output)
    formula: LocalFormula | None
    try:
        formula = local_formula(model, row)
    except ConfigError:  # several networks, or none that is piecewise linear
        formula = None
    predictions = _predictions(model, row)
    if as_json:
        print_json(_row_as_json(number, predictions, found, formula))
        return
    click.echo("\n".join(f"{name}: {text}" for name, text in _predicted_words(model, predictions)) + "\n")
    numbers = {column.name for column in model.schema.features if column.kind == "number"}
    body = [
        [name, *(_cell(part[name], name in numbers) for part in (found.row, found.baseline)), f"{x:+.4g}"]
        for name, x in found.ordered()
    ]
    body += [["all columns", "", "", f"{sum(found.contributions.values()):+.4g}"]]
    click.echo(columns(body, ("column", f"row {number}", "typical row", f"adds to {found.output}"), right=(3,)))
    click.echo(f"\n{found.output} = {found.value:.4g}; for the typical row {found.baseline_value:.4g}")
    if formula is not None:
        click.echo(f"\n{formula}")


def _predictions(model: "Model", row: "Table") -> dict[str, Any]:
    """Return what is predicted, by target, and the probabilities, by class or label, where there are any."""
    outputs = model.predict_outputs(row)
    target = model.schema.target
    values = model.schema.target.decode(outputs).reshape(-1).tolist()
    names = [str(name) for name in target.classes or target.names]
    probabilities = dict(zip(names, outputs[0].tolist(), strict=True))
    return {
        "prediction": dict(zip(target.names, values, strict=True)),
        "probabilities": None if model.task == "regression" else probabilities,
    }


def _predicted_words(model: "Model", predictions: dict[str, Any]) -> list[tuple[str, str]]:
    probabilities, words = predictions["probabilities"], []
    for name, value in predictions["prediction"].items():
        if model.task == "regression":
            words.append((name, f"{value:.6g}"))
        elif model.task == "multilabel":
            words.append((name, f"{value} (probability of 1: {probabilities[name]:.4f})"))
        else:
            words.append((name, f"{value} (probability {probabilities[str(value)]:.4f})"))
    return words


def _cell(text: str, is_number: bool) -> str:
    if is_number and text:
        return f"{float(text):.6g}"
    return text if len(text) <= _CELL_WIDTH else text[: _CELL_WIDTH - 3] + "..."


def _row_as_json(
    number: int, predictions: dict[str, Any], found: "Attributions", formula: "LocalFormula | None"
) -> dict[str, Any]:
    return {
        "row": number,
        **predictions,
        "output": found.output,
        "value": found.value,
        "baseline_value": found.baseline_value,
        "gap": found.gap,
        "contributions": [
            {"column": name, "value": found.row[name], "baseline": found.baseline[name], "contribution": part}
            for name, part in found.ordered()
        ],
        "formula": None if formula is None else _formula_as_json(formula),
    }


def _formula_as_json(formula: "LocalFormula") -> dict[str, Any]:
    return {
        "outputs": list(formula.outputs),
        "weights": {name: weight.tolist() for name, weight in formula.weights.items()},
        "bias": formula.bias.tolist(),
        "distance": formula.distance if formula.border else None,  # no border: JSON has no infinity
        "border": formula.border,
    }
