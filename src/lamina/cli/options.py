"""Command-line flags generated from the fields of ``lamina.config.Config``."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from lamina.config import default, options, read_toml
from lamina.option_values import CHOSEN, Option

_REPEATABLE = ("names", "kinds")


class GroupedCommand(click.Command):
    """A command whose help shows the configuration's flags under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        known = options()
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            if not isinstance(parameter, click.Option):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None:
                option = known.get(parameter.name or "")
                sections.setdefault("Options" if option is None else option.group, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def config_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with one flag for each option of a run, and with ``--config`` and ``--set``."""
    for name, option in reversed(options().items()):
        command = _flag(name, option)(command)
    command = click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set an option by name (repeatable)."
    )(command)
    return click.option(
        "--config", "config_file", metavar="FILE.toml", help="Read options from a file; flags overrule it."
    )(command)


def collected(config_file: str | None, settings: tuple[str, ...], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given: those of the file, overruled by ``--set``, overruled by flags."""
    values = read_toml(config_file) if config_file else {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set {setting!r}: expected NAME=VALUE, as in --set dropout=0.2.")
        values[name.strip().replace("-", "_")] = value.strip()
    values.update({name: value for name, value in flags.items() if value is not None and value != ()})
    return values


def _flag(name: str, option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag = "--" + name.replace("_", "-")
    value = default(name)
    if value is None:
        value = () if option.unset == CHOSEN else option.unset
    shown = "" if value in ({}, ()) or option.parse == "bool" else f"  [default: {value}]"
    help_text = option.help + shown
    if option.parse == "bool":
        # The default is None, not the field's: only what was typed overrules the file.
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=help_text)
    metavar = option.metavar or _metavar(option)
    return click.option(flag, name, multiple=option.parse in _REPEATABLE, metavar=metavar, help=help_text)


def _metavar(option: Option) -> str:
    if option.choices and option.registry is None:
        return "|".join(option.choices)
    return {"int": "N", "float": "X"}.get(option.parse, "NAME")
