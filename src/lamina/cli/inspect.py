"""``lamina inspect``: what the columns of a file are taken for."""

from dataclasses import asdict
from typing import Any

import click

from lamina.cli.present import Talk, columns, print_json


@click.command("inspect")
@click.argument("data")
@click.option("--target", multiple=True, metavar="COL", help="The column to predict (repeatable).")
@click.option(
    "--kind",
    multiple=True,
    metavar="COL=KIND",
    help="Treat a column as a number, a category or a datetime (repeatable).",
)
@click.option("--drop", multiple=True, metavar="COL", help="Leave a column out (repeatable).")
@click.option("--task", default="auto", metavar="auto|classification|multilabel|regression", help="What the target is.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect_data(
    data: str,
    target: tuple[str, ...],
    kind: tuple[str, ...],
    drop: tuple[str, ...],
    task: str,
    data_dir: str | None,
    as_json: bool,
) -> int:
    """Show the columns of DATA: kind, role, missing and distinct values, and why a column is left out."""
    Talk(quiet=False)
    from lamina.config import Config
    from lamina.data.profile import describe
    from lamina.data.readers import read_table
    from lamina.data.schema import Schema, column_schemas

    config = Config.of(kind=kind, drop=drop, task=task)
    categories = frozenset(name for name, value in config.kind.items() if value == "category")
    table = read_table(data, text_columns=categories, data_dir=data_dir)
    targets = target or table.targets
    about: dict[str, Any] = {"source": table.source, "rows": table.n_rows}
    if not targets:
        schemas = column_schemas(table, {}, config.kind, config.drop)
    else:
        schema = Schema.infer(table, targets, task=config.task, kind=config.kind, drop=config.drop)
        schemas = schema.columns
        shown = targets[0] if len(targets) == 1 else list(targets)
        about.update(target=shown, task=schema.target.task, classes=list(schema.target.classes))
    facts = describe(table, schemas)
    if as_json:
        print_json({**about, "columns": [asdict(fact) for fact in facts]})
        return 0
    click.echo(f"{table.source}: {table.n_rows:,} rows, {len(facts)} columns")
    if targets:
        n_classes = len(about["classes"])
        click.echo(
            f"target: {schema.target.name!r}, {about['task']}" + (f" of {n_classes} classes" if n_classes else "")
        )
    header = ("column", "kind", "role", "missing", "distinct", "values")
    rows = [
        (
            fact.name,
            fact.kind,
            fact.role,
            f"{fact.n_missing:,}",
            f"{fact.n_distinct:,}",
            _shown(fact.values, fact.reason),
        )
        for fact in facts
    ]
    click.echo(columns(rows, header, right=(3, 4)))
    return 0


def _shown(values: str, reason: str) -> str:
    return f"{values}  [{reason}]" if reason else values
