"""``lamina diagnose``: what is wrong with a model, with evidence and remedy."""

import click

from lamina.cli.present import Talk, print_json


@click.command()
@click.argument("model")
@click.argument("data", required=False)
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def diagnose(model: str, data: str | None, data_dir: str | None, as_json: bool, quiet: bool) -> int:
    """Say what is wrong with the model folder MODEL: what shows it, what it comes from, what helps.

    Without DATA this is what was found when it was trained. With DATA, which holds the target, units, gradients and
    columns are looked at anew on at most 2,000 of its rows.
    """
    talk = Talk(quiet)
    from lamina.data.readers import read_table
    from lamina.diagnosis import diagnose as diagnosed
    from lamina.model import Model

    loaded = Model.load(model)
    table = None
    if data is not None:
        table = read_table(data, text_columns=loaded.text_columns, data_dir=data_dir)
        targets = loaded.schema.target.columns_in(table)
        if all(name in table for name in targets):
            kept, n_dropped = table.rows_with(targets)
            if n_dropped and kept.n_rows:  # a target that is missing everywhere is refused below
                table = kept
                talk.note(f"note: dropped {n_dropped} rows without a value of the target")
    diagnosis = diagnosed(loaded, table)
    if as_json:
        print_json({"rows": diagnosis.rows, "findings": [finding.as_json() for finding in diagnosis.findings]})
        return 0
    where = "when it was trained" if table is None else f"on {diagnosis.rows:,} rows"
    if not diagnosis.findings:
        click.echo(f"nothing was found {where}")
        return 0
    talk.note(f"found {where}:")
    for finding in diagnosis.findings:
        click.echo(f"{finding.name}")
        click.echo(f"  evidence  {finding.shown_evidence()}")
        click.echo(f"  cause     {finding.cause}")
        click.echo(f"  remedy    {finding.remedy}")
    return 0
