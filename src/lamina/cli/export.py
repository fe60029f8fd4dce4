"""``lamina export``: a model as a file for other programs."""

from pathlib import Path

import click

from lamina.cli.present import Talk, print_json


@click.command()
@click.argument("model")
@click.option("--to", "form", type=click.Choice(["onnx"]), required=True, help="Form of the file.")
@click.option("-o", "--out", metavar="FILE", help="Where to write it.  [default: MODEL with the ending .onnx]")
@click.option("--check", metavar="DATA", help="Compare the file's predictions with the model's on these rows.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def export(
    model: str, form: str, out: str | None, check: str | None, data_dir: str | None, as_json: bool, quiet: bool
) -> int:
    """Write the model folder MODEL, from raw columns to predictions, as one file that needs no Lamina.

    An ONNX file is computed by ONNX Runtime in many languages; see docs/export.md for its inputs and outputs. With
    --check, the largest difference between its probabilities or values and the model's is printed.
    """
    talk = Talk(quiet)
    from lamina.data.readers import read_table
    from lamina.export.onnx import to_onnx
    from lamina.model import Model

    loaded = Model.load(model)
    path = Path(out) if out is not None else Path(model).resolve().with_suffix(".onnx")
    sample = None
    if check is not None:
        sample = read_table(check, text_columns=loaded.text_columns, data_dir=data_dir)
    difference = to_onnx(loaded, path, sample=sample)
    if difference is None:
        talk.note("not compared with the model; --check DATA does, on the rows of DATA")
    if as_json:
        rows = None if sample is None else sample.n_rows
        print_json({"file": str(path), "to": form, "rows": rows, "largest_difference": difference})
        return 0
    click.echo(f"file: {path}")
    if sample is not None:
        of = ", as a share of the largest value" if loaded.task == "regression" else ""
        click.echo(f"largest difference on {sample.n_rows:,} rows{of}: {difference:.2g}")
    return 0
