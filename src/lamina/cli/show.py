"""``lamina show``: what is in a model folder."""

from dataclasses import asdict
from typing import Any

import click

from lamina.cli.present import columns, decision, fold_rows, print_json, score_rows, score_table


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(model: str, as_json: bool) -> int:
    """Show the model folder MODEL: target, layers, columns, scores, options, versions."""
    from lamina.config import to_toml
    from lamina.model import Model
    from lamina.older_scores import faults_of_scores

    loaded = Model.load(model)
    report, target = loaded.report, loaded.schema.target
    faults = faults_of_scores(loaded.config, report, loaded.history)
    if as_json:
        layers = [asdict(row) for row in loaded.network.summary()]
        print_json(
            {
                "target": {"name": target.name, **target.as_json()},
                "layers": layers,
                "n_layers": loaded.network.n_layers,
                "n_parameters": sum(layer["n_parameters"] for layer in layers),
                "columns": [asdict(column) for column in loaded.schema.columns],
                "config": loaded.config.as_json(),
                **asdict(report),
                "seen": list(report.seen),
                "faults_of_scores": faults,
            }
        )
        return 0
    classes = f" of {len(target.classes)} classes" if target.classes else ""
    click.echo(f"{target.task} of {target.name!r}{classes}{decision(target)}\n")
    click.echo(loaded.summary() + "\n")
    rows: dict[str, Any] = {**fold_rows(report), **score_rows(loaded)}
    if rows:
        click.echo(score_table(rows) + "\n")
    for fault in faults:
        click.echo(f"note: {fault}\n")
    body = [(column.name, column.kind, column.role, column.reason) for column in loaded.schema.columns]
    click.echo(columns(body, ("column", "kind", "role", "")) + "\n")
    ended = f", ended early: {report.stopped}" if report.stopped else ""
    click.echo(f"trained on {report.rows['train']:,} rows in {report.seconds['fit']:.1f} s; ", nl=False)
    click.echo(f"best epoch {report.best_epoch} of {len(loaded.history)}{ended}\n")
    click.echo("\n".join(line for line in to_toml(loaded.config).splitlines() if not line.startswith("#")) + "\n")
    click.echo(", ".join(f"{name} {value}" for name, value in report.environment.items()))
    return 0
