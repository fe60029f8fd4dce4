"""``lamina train``: data in, model folder out."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamina.cli.main import EXIT_FAILED, EXIT_INTERRUPTED
from lamina.cli.options import GroupedCommand, collected, config_flags
from lamina.cli.present import Talk, decision, fold_rows, print_json, score_rows, score_table

if TYPE_CHECKING:
    from lamina.checkpointing import Checkpointing
    from lamina.model import Model
    from lamina.run import Run

_MAX_NOTES = 12


@click.command(cls=GroupedCommand)
@click.argument("data", required=False)
@click.option(
    "--target", multiple=True, metavar="COL", help="The column to predict (repeatable); not needed for a built-in set."
)
@click.option("-o", "--out", metavar="DIR", help="The model folder.  [default: the data's name with .lamina]")
@click.option("--data-dir", metavar="DIR", help="Folder of Fashion-MNIST's files; without it they are downloaded.")
@click.option("--folds", type=int, metavar="K", help="Before training, score the options by K-fold cross-validation.")
@click.option("--jobs", type=int, metavar="N", help="Folds to train at the same time; -1: one a core.  [default: 1]")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run on the same data and options was.")
@click.option("--print-config", is_flag=True, help="Print the options as TOML for --config, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when done.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on stderr but errors.")
@config_flags
def train(
    data: str | None,
    target: tuple[str, ...],
    out: str | None,
    data_dir: str | None,
    folds: int | None,
    jobs: int | None,
    resume: bool,
    print_config: bool,
    as_json: bool,
    quiet: bool,
    config_file: str | None,
    settings: tuple[str, ...],
    **flags: Any,
) -> int:
    """Train a multilayer perceptron on DATA and write a model folder.

    The scores at the end stand beside two baselines on the same rows: a constant, and a linear model on standardised
    columns. Ctrl-C stops training and saves the best weights so far.
    """
    started = time.perf_counter()
    values = collected(config_file, settings, flags)
    if print_config:
        from lamina.config import Config, to_toml

        click.echo(to_toml(Config.of(**values)), nl=False)
        return 0
    if data is None:
        raise click.UsageError("say what to train on: lamina train DATA --target COL.")
    if jobs is not None and folds is None:
        raise click.UsageError("--jobs is for the folds of cross-validation; add --folds K, or leave it out.")
    talk = Talk(quiet)

    from lamina.checkpointing import Checkpointing
    from lamina.config import Config
    from lamina.data.readers import read_table
    from lamina.fitting import prepare
    from lamina.model_file import check_writable

    out = out or _default_folder(data)
    check_writable(out)
    about: dict[str, Any] = {"data_dir": data_dir, "drop_missing_targets": True}
    source: Any = data
    if data == "-" and folds is not None:  # which are read once more
        kinds = Config.of(**values).kind
        source = read_table(data, text_columns={name for name, kind in kinds.items() if kind == "category"})
    with _downloads(talk) as progress:
        run = prepare(source, target, progress=progress, **about, **values)
    _announce(talk, run, out)
    checkpoint = Checkpointing(run, out)
    if resume:
        talk.note(checkpoint.resume())
    if folds is not None:
        run.folds = _cross_validated(talk, folds, 1 if jobs is None else jobs, source, target, about, values)
    interrupted = _train(talk, run, checkpoint)
    if interrupted and run.state.best_weights is None:
        talk.note("interrupted before the first epoch was complete; nothing was saved.")
        return EXIT_INTERRUPTED
    if interrupted:
        checkpoint.write()
        talk.note("the same command with --resume goes on from here")
    n_announced = len(run.notes)
    model = run.finish()
    for note in run.notes[n_announced:]:
        talk.note(f"note: {note}")
    model.save(out)
    if not interrupted:
        checkpoint.remove()
    _present(talk, model, out, as_json, time.perf_counter() - started)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if run.state.diverged else 0


@contextmanager
def _downloads(talk: Talk) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows how far a download is."""
    with talk.progress("{task.completed:.0f} bytes") as bar:
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total or None)
            bar.update(tasks[name], completed=done)

        yield show


def _cross_validated(
    talk: Talk, k: int, jobs: int, data: Any, target: tuple[str, ...], about: dict[str, Any], values: dict[str, Any]
) -> dict[str, Any]:
    from lamina.cross_validation import cross_validate

    with talk.progress("{task.completed:.0f}/{task.total:.0f}") as bar:
        task = bar.add_task("fold", total=k)
        advance = lambda: bar.advance(task)  # noqa: E731
        scores = cross_validate(data, target, folds=k, n_jobs=jobs, each=advance, **about, **values)
    return {"k": k, "scores": scores}


def _default_folder(data: str) -> str:
    if data == "-":
        return "model.lamina"
    name = Path(data).name
    for suffix in (".gz", ".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz"):
        name = name.removesuffix(suffix)
    return f"{name.replace(':', '-')}.lamina"


def _announce(talk: Talk, run: "Run", out: str) -> None:
    target = run.schema.target
    what = (
        f"{len(target.classes)} classes" if target.classes else "labels" if target.task == "multilabel" else "numbers"
    )
    talk.note(f"{target.task} of {target.name!r} ({what}) from {len(run.schema.features)} columns{decision(target)}")
    rows = ", ".join(f"{len(part):,} {name}" for name, part in run.parts.items())
    talk.note(f"rows: {rows}")
    for note in run.notes[:_MAX_NOTES]:
        talk.note(f"note: {note}")
    if len(run.notes) > _MAX_NOTES:
        talk.note(f"note: and {len(run.notes) - _MAX_NOTES} more, which `lamina show {out} --json` lists")
    config = run.config
    members = "" if config.members == 1 else f"{config.members} members, "
    units = "-".join(str(units) for units in config.hidden_units or ())
    talk.note(
        f"network: {members}{run.state.network.n_inputs} inputs, hidden units {units or 'none'}; "
        f"at most {config.epochs} epochs of minibatches of {config.batch_size}"
    )


def _train(talk: Talk, run: "Run", checkpoint: "Checkpointing") -> bool:
    """Train, showing the epochs as they pass; return whether Ctrl-C ended it."""
    with talk.progress("{task.completed:.0f}/{task.total:.0f}", "{task.fields[losses]}") as bar:
        task = bar.add_task("epoch", total=run.config.epochs, completed=run.state.epoch, losses="")
        try:
            for record in run.train():
                checkpoint.after_epoch()
                losses = f"train {record.train_loss:.4f}"
                if record.validation_loss is not None:
                    losses += f"  validation {record.validation_loss:.4f}  best epoch {run.state.best_epoch}"
                bar.update(task, completed=record.epoch, losses=losses)
        except KeyboardInterrupt:
            run.state.stopped = f"interrupted in epoch {run.state.epoch + 1}"
            return True
    return False


def _present(talk: Talk, model: "Model", out: str, as_json: bool, total: float) -> None:
    report = model.report
    if report.stopped:
        talk.note(f"stopped: {report.stopped}; the weights of epoch {report.best_epoch} are kept")
    for finding in report.diagnosis:
        talk.note(f"found: {_finding(finding)}")
    if report.comparison:
        talk.note(_comparison(report.comparison))
    seconds = {"fit": round(report.seconds["fit"], 3), "total": round(total, 3)}
    if as_json:
        print_json(
            {
                "model": out,
                "task": model.task,
                "rows": report.rows,
                "seconds": seconds,
                "scores": report.scores,
                "baselines": report.baselines,
                "comparison": report.comparison,
                "diagnosis": list(report.diagnosis),
                **({"seen": list(report.seen)} if report.seen else {}),
                **({"folds": report.folds} if report.folds else {}),
                **_decision_json(model),
            }
        )
        return
    if report.scored_on:
        click.echo(score_table({**fold_rows(report), **score_rows(model)}))
        if report.scored_on == "validation" and model.config.patience is not None:
            talk.note("early stopping watched the validation rows; --test FRACTION|FILE gives a score nobody saw")
    elif report.folds:
        click.echo(score_table(fold_rows(report)))
    else:
        talk.note("no rows were held out, so there is no score; --folds K or --test FRACTION|FILE gives one")
    with suppress(ZeroDivisionError):
        talk.note(f"trained in {seconds['fit']:.1f} s, best epoch {report.best_epoch} of {len(model.history)}")
    click.echo(f"model: {out}")


def _finding(record: Mapping[str, Any]) -> str:
    from lamina.finding import Finding

    return str(Finding.from_json(record))


def _comparison(record: Mapping[str, Any]) -> str:
    """Return in one line whether the MLP is better than a linear model, and than a constant."""
    losses, name = record["losses"], record["loss"].replace("_", " ")
    doubtful = [each for each in ("constant", "linear") if record["improvement"][each]["low"] <= 0]
    other = doubtful[0] if doubtful else "linear"
    better = record["improvement"][other]
    what = "a constant" if other == "constant" else "a linear model"
    mlp = "the MLP"
    if record.get("linear_share"):  # a linear model is better or worse than one that is mostly linear itself
        mlp = f"the blend of the MLP with a linear model, which counts for {record['linear_share']:.0%},"
    says = f"{mlp} is better than {what}"
    if doubtful:
        would = "does better" if better["high"] < 0 else "may do as well"
        says = f"{mlp} is not worth it: {what} {would}"
    name += " with the weights of the classes" if record.get("class_weight") else ""
    return (
        f"{says}: {name} {losses['mlp']:.4g} against {losses[other]:.4g} on {record['rows']:,} {record['scored_on']} "
        f"rows, an improvement of {better['mean']:.3g} (95 % interval {better['low']:.3g} to {better['high']:.3g})"
    )


def _decision_json(model: "Model") -> dict[str, Any]:
    target = model.schema.target
    if target.positive is None:
        return {}
    return {"positive_class": target.classes[target.positive], "threshold": target.threshold}
