"""``lamina textbook``: every claim of the textbook's section on multilayer perceptrons, measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamina.cli.main import EXIT_DATA, EXIT_FAILED, EXIT_REQUIREMENT
from lamina.cli.present import Talk, columns, print_json
from lamina.errors import DataError

if TYPE_CHECKING:
    from lamina.textbook.experiment import Experiment, Setting
    from lamina.textbook.runner import Outcome


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--out", metavar="DIR", default="textbook", show_default=True, help="Folder of the page.")
@click.option(
    "--quick", is_flag=True, help="Less data and fewer epochs: about a minute of processor time for all experiments."
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language.")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files.")
@click.option("--list", "as_list", is_flag=True, help="List the experiments and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
def textbook(
    names: tuple[str, ...],
    out: str,
    quick: bool,
    lang: str,
    data_dir: str | None,
    as_list: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure every claim of the textbook's section on multilayer perceptrons, or those of the experiments NAME.

    Writes DIR/index.html (one page that loads nothing), DIR/figures/*.svg and DIR/notebooks/*.ipynb. Exits with 4 if a
    claim is refuted that should hold, or the reverse.
    """
    from lamina.textbook import words
    from lamina.textbook.drawing import require_matplotlib
    from lamina.textbook.experiment import Setting, Text
    from lamina.textbook.folder import PAGE, make_folder, summary, write_textbook
    from lamina.textbook.runner import EXPERIMENTS, load, run_all

    talk = Talk(quiet)
    experiments = [load(name) for name in dict.fromkeys(names or EXPERIMENTS)]
    setting = Setting(quick, data_dir, "zh" if lang == "zh" else "en")
    if as_list:
        _list(experiments, setting, as_json)
        return 0
    require_matplotlib()
    folder = Path(out)
    make_folder(folder)
    outcomes: list[Outcome] = []
    with talk.progress("{task.completed:.0f}/{task.total:.0f}") as bar:
        total = sum(len(each.seeds) for each in experiments)
        task = bar.add_task("textbook", total=total)

        def before_seed(experiment: "Experiment", seed: int) -> None:
            before = experiments[: experiments.index(experiment)]
            done = sum(len(each.seeds) for each in before) + experiment.seeds.index(seed)
            which = setting.say(Text(f"{experiment.name}, seed {seed}", f"{experiment.name}，种子 {seed}"))
            bar.update(task, description=which, completed=done)

        for outcome in run_all(experiments, setting, before_seed):
            outcomes.append(outcome)
            write_textbook(folder, outcomes, setting)
        bar.update(task, completed=total)
    if as_json:
        print_json(summary(folder, outcomes, setting))
    else:
        click.echo(_table(outcomes, setting))
        for outcome in outcomes:
            if setting.quick and outcome.experiment.quick_data is not None:
                click.echo(setting.say(words.quick_data(outcome.experiment)))
        click.echo(setting.say(words.summary(outcomes)))
        click.echo(setting.say(words.page_at(folder / PAGE)))
    return _exit_code(outcomes, setting)


def _list(experiments: "list[Experiment]", setting: "Setting", as_json: bool) -> None:
    from lamina.textbook import words

    facts: list[dict[str, Any]] = [
        {"name": each.name, "section": each.source, "claims": len(each.claims), "title": setting.say(each.title)}
        for each in experiments
    ]
    if as_json:
        print_json(facts)
    else:
        rows = [[str(value) for value in fact.values()] for fact in facts]
        click.echo(columns(rows, [setting.say(head) for head in words.LIST], right=(2,)))


def _table(outcomes: "list[Outcome]", setting: "Setting") -> str:
    from lamina.textbook import words

    heads = (words.CLAIM, words.MEASURED, words.BOUND, words.KIND, words.VERDICT)
    rows = [
        (
            f"{outcome.experiment.name}/{each.claim.name}",
            str(each.measured),
            each.claim.bound,
            setting.say(words.kind(each.claim)),
            setting.say(words.verdict(each)),
        )
        for outcome in outcomes
        for each in outcome.judged
    ]
    return columns(rows, [setting.say(head) for head in heads])


def _exit_code(outcomes: "list[Outcome]", setting: "Setting") -> int:
    """Say what went wrong and return the exit code: 4 for an unexpected verdict, else 3 or 1 for a failure, else 0."""
    from lamina.textbook import words

    code = 0
    for outcome in outcomes:
        if outcome.failure is not None:
            click.echo(setting.say(words.failed(outcome)), err=True)
            code = max(code, EXIT_DATA if isinstance(outcome.failure, DataError) else EXIT_FAILED)
    for outcome in outcomes:
        for each in outcome.judged:
            if each.unexpected:
                click.echo(setting.say(words.against(outcome, each)), err=True)
                code = EXIT_REQUIREMENT
    return code
