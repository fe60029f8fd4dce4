"""How to make a model again: the command line and the Python that were meant, from the record of its origin."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lamina.config import options
from lamina.data.builtin import is_builtin


def command_of(origin: Mapping[str, Any]) -> str:
    """Return the ``lamina train`` command, a line for each option; ``DATA`` stands for data that was in memory."""
    parts = ["lamina train " + (shlex.quote(origin["data"]) if origin["data"] else "DATA")]
    if not _names_its_target(origin["data"]):
        parts += [f"--target {shlex.quote(name)}" for name in origin["target"]]
    for name, value in origin["options"].items():
        parts += _flags(name, value)
    return " \\\n    ".join(parts)


def python_of(origin: Mapping[str, Any]) -> str:
    """Return the call of ``lamina.fit``; ``data`` stands for data that was in memory."""
    arguments = [repr(origin["data"]) if origin["data"] else "data"]
    if not _names_its_target(origin["data"]):
        names = origin["target"]
        arguments.append(f"target={(names[0] if len(names) == 1 else names)!r}")
    arguments += [f"{name}={value!r}" for name, value in origin["options"].items()]
    return f"lamina.fit({', '.join(arguments)})"


def _names_its_target(data: str) -> bool:
    return is_builtin(data)


def _flags(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{name.replace('_', '-')}"]
    if isinstance(value, Mapping) and options()[name].parse == "kinds":
        return [f"{flag} {shlex.quote(f'{key}={each}')}" for key, each in value.items()]
    if isinstance(value, Mapping):
        return [f"{flag} " + shlex.quote(",".join(f"{key}={each}" for key, each in value.items()))]
    if isinstance(value, list) and options()[name].parse == "names":
        return [f"{flag} {shlex.quote(str(each))}" for each in value]
    if isinstance(value, list):
        return [f"{flag} {shlex.quote(','.join(map(str, value)) or 'none')}"]
    return [f"{flag} {shlex.quote(value if isinstance(value, str) else json.dumps(value))}"]
