"""The exceptions that Lamina raises.

Every message is one sentence that says what is wrong, where (file, column, row, argument, value), and what to do next.
The command line maps each class to an exit code; see ``lamina.cli.main``.
"""

import difflib
from collections.abc import Iterable


class LaminaError(Exception):
    """Base of every error that Lamina raises on purpose."""


class DataError(LaminaError, ValueError):
    """The data cannot be read or cannot be learned from."""


class SchemaError(DataError):
    """The data does not fit the columns that a model was trained on."""


class ConfigError(LaminaError, ValueError):
    """An option has an unknown name or a value out of its bounds."""


class ModelFileError(LaminaError):
    """A model folder is missing, damaged, foreign or too new, or cannot be written."""


class TrainingError(LaminaError):
    """Training could not produce usable weights."""


class MissingExtraError(LaminaError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""


class LaminaWarning(UserWarning):
    """Something that a user should know and that does not stop the work."""


def did_you_mean(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``" Did you mean 'x'?"`` for the choice closest to ``name``, or ``""`` where none is close.

    ``cutoff``: how much alike they must be, 0 to 1.
    """
    by_folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return f" Did you mean {by_folded[close[0]]!r}?" if close else ""


def shortened(names: Iterable[str], limit: int = 12) -> str:
    """Join names for a message; beyond ``limit`` of them, say how many more there are."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def in_one_line(error: Exception) -> str:
    """Return what an error says on one line of a bearable length, without a full stop: torch writes several."""
    text = " ".join(str(error).split()).removesuffix(".")
    return text if len(text) <= 500 else f"{text[:500]}..."
