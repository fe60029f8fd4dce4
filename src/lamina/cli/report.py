"""``lamina report``: a page for people from a model folder."""

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.option("-o", "--out", metavar="FILE", help="Write there; - for stdout.  [default: report.html in MODEL]")
def report(model: str, out: str | None) -> int:
    """Write the page of the model folder MODEL and print its path.

    It says what the fit measured: scores, comparison, diagnosis, learning curves, held-out predictions, importances,
    the network and how to reproduce it. It is one HTML file that loads nothing, and needs no data.
    """
    from lamina.errors import ConfigError
    from lamina.model import Model
    from lamina.model_file import PAGE, write_page

    page = Model.load(model).page()
    if out == "-":
        click.echo(page, nl=False)
        return 0
    path = Path(out) if out is not None else Path(model) / PAGE
    if path.is_dir():
        raise ConfigError(f"cannot write {str(path)!r}: it is a folder; name a file.")
    if not path.parent.is_dir():
        raise ConfigError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}.")
    click.echo(str(write_page(path, page)))
    return 0
