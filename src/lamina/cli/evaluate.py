"""``lamina evaluate``: score a model on data with its target."""

import operator
import re
from collections.abc import Callable

import click

from lamina.cli.main import EXIT_REQUIREMENT
from lamina.cli.present import Talk, columns, print_json

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_REQUIREMENT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\S+)\s*")


@click.command()
@click.argument("model")
@click.argument("data")
@click.option(
    "--require", multiple=True, metavar="'METRIC<=VALUE'", help="Exit with 4 where this is missed (repeatable)."
)
@click.option("--threshold", metavar="X", help="Probability from which on the positive class is predicted.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def evaluate(
    model: str,
    data: str,
    require: tuple[str, ...],
    threshold: str | None,
    data_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Score the model folder MODEL on DATA, which holds the target.

    A built-in set with an official test part, fashion-mnist, is scored on that part.
    """
    talk = Talk(quiet)
    requirements = [_requirement(text) for text in require]
    from lamina.data.builtin import test_part
    from lamina.data.readers import read_table
    from lamina.metrics import METRICS
    from lamina.model import Model
    from lamina.older_scores import faults_of_scores

    loaded = Model.load(model)
    for fault in faults_of_scores(loaded.config, loaded.report, loaded.history):
        talk.note(f"note: of what {model} keeps of its training, {fault}")
    if threshold is not None:
        loaded = loaded.at_threshold(threshold)
    official = test_part(data)
    if official is not None:
        data = official
        talk.note(f"scoring on {data}, the official test part")
    table = read_table(data, text_columns=loaded.text_columns, data_dir=data_dir)
    targets = loaded.schema.target.columns_in(table)
    if all(name in table for name in targets):
        kept, n_dropped = table.rows_with(targets)
        if n_dropped and kept.n_rows:  # a target that is missing everywhere is refused below
            table = kept
            talk.note(f"note: dropped {n_dropped} rows without a value of the target")
    scores = loaded.evaluate(table)
    known = [metric.name for metric in METRICS if loaded.task in metric.tasks]
    for metric, _, _, text in requirements:
        if metric not in known:
            raise click.UsageError(f"--require {text!r}: the metrics of this model are {', '.join(known)}.")
    if as_json:
        print_json({"rows": table.n_rows, "scores": scores})
    else:
        click.echo(columns([(name, f"{value:.6g}") for name, value in scores.items()], right=(1,)))
    missed = [
        (text, scores.get(metric))
        for metric, holds, bound, text in requirements
        if metric not in scores or not holds(scores[metric], bound)
    ]
    for text, value in missed:
        what = "it is not defined on these rows" if value is None else f"the value is {value:.6g}"
        click.echo(f"error: the requirement {text} is missed: {what}.", err=True)
    return EXIT_REQUIREMENT if missed else 0


def _requirement(text: str) -> tuple[str, Callable[[float, float], bool], float, str]:
    """Return metric, comparison, bound and the text itself of ``METRIC<=VALUE``."""
    match = _REQUIREMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return match[1], _COMPARISONS[match[2]], float(match[3]), text
    except ValueError:
        raise click.UsageError(f"--require {text!r}: expected METRIC<=VALUE, as in 'log_loss<=0.3'.") from None
