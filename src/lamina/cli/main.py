"""The ``lamina`` command: parses, calls the library, presents. Results on stdout, talk on stderr.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the data or the schema does not fit; 4 a requirement was missed,
or a textbook claim went against expectation; 130 interrupted.
"""

import importlib
import os
import re
import sys
from collections.abc import Sequence

import click

import lamina
from lamina.errors import ConfigError, DataError, LaminaError, did_you_mean

EXIT_FAILED, EXIT_USAGE, EXIT_DATA, EXIT_REQUIREMENT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

# Imported when its command runs, or when all of them are listed; none of these modules imports torch at its top.
_COMMANDS = {
    "inspect": "lamina.cli.inspect:inspect_data",
    "train": "lamina.cli.train:train",
    "evaluate": "lamina.cli.evaluate:evaluate",
    "predict": "lamina.cli.predict:predict",
    "show": "lamina.cli.show:show",
    "export": "lamina.cli.export:export",
    "explain": "lamina.cli.explain:explain",
    "diagnose": "lamina.cli.diagnose:diagnose",
    "report": "lamina.cli.report:report",
    "activations": "lamina.cli.activations:activations",
    "textbook": "lamina.cli.textbook:textbook",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            hint = did_you_mean(args[0], _COMMANDS) or f" Commands: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"there is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(lamina.__version__, "-V", "--version", prog_name="lamina")
def cli() -> None:
    """Train, score and use multilayer perceptrons, from a file to a model folder.

    DATA is a file (CSV, Parquet, IDX, npz), a folder of images per class, - for CSV on standard input, or a built-in
    set: digits, iris, wine, breast-cancer, diabetes, fashion-mnist.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (``None``: those of the process) and return its exit code."""
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="lamina", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted.", EXIT_INTERRUPTED)
    except ConfigError as error:
        return _fail(str(error), EXIT_USAGE)
    except DataError as error:
        return _fail(str(error), EXIT_DATA)
    except LaminaError as error:
        return _fail(str(error), EXIT_FAILED)
    except BrokenPipeError:  # the reader of our output, such as head, has left
        return EXIT_FAILED
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}.", EXIT_FAILED)
    except (MemoryError, RuntimeError) as error:  # torch reports memory that cannot be had as a RuntimeError
        if isinstance(error, MemoryError) or re.search("allocate|out of memory", str(error)):
            return _fail("the memory does not suffice; use fewer hidden units, less data or float32.", EXIT_FAILED)
        raise


def main() -> None:
    """Entry point of the ``lamina`` command."""
    code = run()
    try:
        sys.stdout.flush()
    except OSError:
        # A full disk or a reader that has left was reported; Python must not stumble over it again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code
